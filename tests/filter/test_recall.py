"""Recall of listed identifiers, cell by cell, and whether the instrument itself can be trusted."""

from __future__ import annotations

import ipaddress
import random
import re
import unicodedata
from types import SimpleNamespace

import carriers
import people
import phonenumbers
import pytest
import recall
import variants

from filter import Identifier, IdentifierKind, canonicalize
from filter.checksums import ean13, mod97

CELLS = [
    (name, group)
    for name, variant in variants.VARIANTS.items()
    for group in people.GROUPS
    if group in variant.groups
]
CLAIMED = [(name, group) for name, group in CELLS if variants.VARIANTS[name].claimed]
RESERVED = re.compile(r"(?:.+\.)?(?:example(?:\.(?:org|com|net))?|test)")
"""RFC 2606, sections 2 and 3; RFC 6761."""


WHOLE = pytest.param(recall.COUNT, id="whole", marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=[pytest.param(recall.COUNT // 5, id="a fifth"), WHOLE])
def count(request: pytest.FixtureRequest) -> int:
    """Identifiers a cell: all of them are for `make soak`."""
    return int(request.param)


@pytest.fixture(scope="module")
def table(count: int) -> recall.Table:
    return recall.measure(count)


# What is measured


@pytest.mark.parametrize(("name", "group"), CLAIMED, ids=map(" of ".join, CLAIMED))
def test_claimed(table: recall.Table, count: int, name: str, group: str) -> None:
    cell = table[name, group]
    assert recall.COUNT == 500
    assert cell.n >= count
    assert cell.recall >= recall.CLAIM, cell.missed


def test_words_beside_an_identifier_stay(table: recall.Table) -> None:
    for (name, group), cell in table.items():
        if not variants.VARIANTS[name].glue:
            assert cell.overreach <= cell.n // 100, (name, group)


def test_what_is_not_claimed_is_measured_too(table: recall.Table, count: int) -> None:
    assert list(table) == CELLS
    assert all(cell.n >= count // 5 for cell in table.values())


@pytest.mark.parametrize("count", [WHOLE], indirect=True)
def test_the_document_shows_these_figures(table: recall.Table) -> None:
    """Run `python benchmarks/recall.py --write` after a change."""
    written = recall.DOCUMENT.read_text(encoding="utf-8")
    assert recall.claimed_rows(written) == recall.claimed_rows(recall.document(table))


def test_sentences_without_an_identifier_are_left_alone() -> None:
    listed = [one for make in people.GROUPS.values() for one in make(50)]
    sentences = [s.replace("{}", "…") for many in carriers.CARRIERS.values() for s in many]
    redactions = recall.build(listed).redact_batch(sentences)
    assert [redaction.text for redaction in redactions] == sentences


# How it is judged

NUMBER = (IdentifierKind.PHONE, "+41 44 668 18 00", "Call tel:+41-44-668-18-00 today.", 5, 25)
PAGE = (
    IdentifierKind.URL,
    "https://www.x.test/a/",
    "See https%3A%2F%2Fwww.x.te&#115;t/%61%2F.",
    4,
    40,
)
"""Kind and text of an identifier; a sentence, and where in it the identifier stands."""


@pytest.mark.parametrize(
    ("case", "spans", "found", "overreach"),
    [
        (NUMBER, [(9, 25)], 1, 0),
        (NUMBER, [(10, 25)], 1, 0),  # a plus is neither letter nor digit
        (NUMBER, [(10, 12), (13, 25)], 1, 0),  # nor is a hyphen
        (NUMBER, [(5, 25)], 1, 0),  # tel: may go
        (NUMBER, [(9, 26)], 1, 0),  # and the space
        (NUMBER, [(9, 24)], 0, 0),
        (NUMBER, [(11, 25)], 0, 0),
        (NUMBER, [(10, 14), (16, 25)], 0, 0),
        (NUMBER, [(9, 27)], 1, 1),
        (NUMBER, [(0, 24)], 0, 1),
        (NUMBER, [], 0, 0),
        (PAGE, [(22, 37)], 1, 0),
        (PAGE, [(4, 40)], 1, 0),
        (PAGE, [(23, 37)], 0, 0),
        (PAGE, [(22, 29), (33, 37)], 0, 0),  # a part of a character reference
        (PAGE, [(22, 35)], 0, 0),
    ],
)
def test_every_letter_and_digit_counts(
    case: tuple[IdentifierKind, str, str, int, int],
    spans: list[tuple[int, int]],
    found: int,
    overreach: int,
) -> None:
    kind, text, *where = case
    matches = [SimpleNamespace(start=start, end=end) for start, end in spans]
    fake = SimpleNamespace(redact_batch=lambda _: [SimpleNamespace(matches=matches)])
    cell = recall.count_cell(fake, [recall.Case(Identifier(kind, text), *where)])  # type: ignore[arg-type]
    assert (cell.n, cell.found, cell.overreach) == (1, found, overreach)
    assert bool(cell.missed) is not bool(found)


def test_shares_are_rounded_down() -> None:
    cells = {("plain", "email"): recall.Cell(n=500, found=499), ("plain", "ahv"): recall.Cell(3, 3)}
    (row,) = [r for r in recall.claimed_rows(recall.document(cells)) if r.startswith("| plain")]
    assert "| 99.8 |" in row
    assert "| 100 (3) |" in row


# Who is measured


@pytest.mark.parametrize("group", people.GROUPS)
def test_identifiers_are_distinct_and_the_same_every_time(group: str) -> None:
    made = people.GROUPS[group](500)
    assert len(made) == len(set(made)) == 500
    assert made == people.GROUPS[group](500)


@pytest.mark.parametrize("group", people.GROUPS)
def test_the_filter_takes_them_all(group: str) -> None:
    for kind, text in people.GROUPS[group](500):
        assert canonicalize(kind, text, regions=people.HOME)


def test_emails() -> None:
    for one in people.emails(500):
        local, _, domain = one.text.partition("@")
        assert RESERVED.fullmatch(domain)
        assert sum(c.isalnum() for c in local) >= 6
    short = people.emails(500, short=0.5)
    assert 200 < sum(sum(c.isalnum() for c in e.text.split("@")[0]) < 6 for e in short) < 300


def test_idn_emails_have_diacritics_on_both_sides() -> None:
    for one in people.idn_emails(500):
        local, _, domain = one.text.partition("@")
        assert RESERVED.fullmatch(domain)
        assert not local.isascii()
        assert not domain.isascii()


def test_urls_are_on_reserved_hosts() -> None:
    for one in people.urls(500):
        assert RESERVED.fullmatch(one.text.split("/")[2])


def test_phones_are_valid_and_of_many_regions() -> None:
    numbers = [phonenumbers.parse(one.text) for one in people.phones(500)]
    assert all(map(phonenumbers.is_valid_number, numbers))
    regions = {phonenumbers.region_code_for_number(number) for number in numbers}
    assert regions == {*people.HOME, *people.ABROAD}


def test_check_digits() -> None:
    assert all(mod97(one.text.replace(" ", "")) for one in people.ibans(500))
    assert all(ean13(one.text.replace(".", "")) for one in people.ahvs(500))
    for one in people.credit_cards(500):
        digits = [int(c) for c in one.text if c != " "]
        doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]
        assert (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


@pytest.mark.parametrize("version", [4, 6])
def test_ips_are_global(version: int) -> None:
    for one in people.ips(500, version=version):
        assert ipaddress.ip_address(one.text).version == version
        assert ipaddress.ip_address(one.text).is_global


@pytest.mark.parametrize("script", people.SCRIPTS)
def test_names_are_of_their_script_and_long_enough(script: str) -> None:
    scripts = {"Han": "CJK", "kana": "HIRAGANA KATAKANA"}.get(script, script.upper()).split(" ")
    for one in people.names(script, 500):
        found = {unicodedata.name(c).split(" ")[0] for c in one.text if c.isalpha()}
        assert {name.split("-")[0] for name in found} <= set(scripts)
        assert people.letters(one.text) >= (3 if script in {"Han", "kana"} else 6)


# What stands around them


def test_carriers() -> None:
    assert len(carriers.CARRIERS) >= 20
    for language, sentences in carriers.CARRIERS.items():
        assert len(sentences) >= 3, language
        for sentence in sentences:
            assert re.fullmatch(r"[^{}@0-9]+\{\}[^{}@0-9]+", sentence), sentence
            before, behind = carriers.glued(*sentence.split("{}"))
            assert unicodedata.category(before[-1])[0] in "LM"
            assert unicodedata.category(behind[0])[0] in "LM"


def test_carried_says_where() -> None:
    rng = random.Random(1)
    for glue in (False, True):
        text, start = carriers.carried("XYZ", rng, glue=glue, languages=("en",))
        assert text[start : start + 3] == "XYZ"
        assert text[start - 1].isalpha() is glue


# How they are written

EMAIL, NAME, PHONE = IdentifierKind.EMAIL, IdentifierKind.NAME, IdentifierKind.PHONE
WRITTEN = [
    ("upper case", NAME, "Jana Groß", "JANA GROSS"),
    ("diacritics dropped", NAME, "Søren Łukaszewicz", "Soren Lukaszewicz"),
    ("umlauts spelled out", NAME, "Åse Müller", "Aase Mueller"),
    ("umlauts restored", NAME, "Manuel Mueller", "Manuel Müller"),
    ("full-width", EMAIL, "a b@c", "ａ\u3000ｂ＠ｃ"),
    ("domain as A-labels", EMAIL, "jörg@bücher.example", "jörg@xn--bcher-kva.example"),
    ("dots between all", NAME, "Åsa Li", "Å.s.a L.i"),
    ("dashes between all", EMAIL, "j.doe@ex.test", "j.d-o-e@e-x.t-e-s-t"),
    ("HTML entities, named", EMAIL, "zoë@x.test", "zo&euml;&commat;x&period;test"),
    ("percent-encoded, special", EMAIL, "zoë@x.test", "zo%C3%AB%40x.test"),
    ("percent-encoded, all", NAME, "Jö", "%4A%C3%B6"),
    ("Last, First", NAME, "Jane De Luca", "De Luca, Jane"),
    ("LAST First", NAME, "Jane De Luca", "DE LUCA Jane"),
    ("E.164", PHONE, "+41 44 668 18 00", "+41446681800"),
    ("tel: (RFC 3966)", PHONE, "+41446681800", "tel:+41-44-668-18-00"),
    ("00", PHONE, "+41446681800", "0041 44 668 18 00"),
    ("international, slashes", PHONE, "+41446681800", "+41/44/668/18/00"),
    ("international, parentheses", PHONE, "+41446681800", "+41 (44) 668 18 00"),
    ("national, slash", PHONE, "+41446681800", "044/668 18 00"),
    ("national, parentheses", PHONE, "+41446681800", "(044) 668 18 00"),
    ("national, unspaced", PHONE, "+41446681800", "0446681800"),
    ("initial", NAME, "Helga Müller", "H. Müller"),
    # does not apply
    ("diacritics dropped", NAME, "Jane Doe", None),
    ("umlauts restored", NAME, "Manuel Bauer", None),
    ("national", PHONE, "+442079460958", None),
    ("+41 (0)44", PHONE, "+390612345678", None),
]


@pytest.mark.parametrize(("variant", "kind", "text", "written"), WRITTEN)
def test_variants(variant: str, kind: IdentifierKind, text: str, written: str | None) -> None:
    found = variants.VARIANTS[variant].write(Identifier(kind, text), random.Random(1))
    assert found == written


def test_look_alikes_change_letters_and_nothing_else() -> None:
    rng = random.Random(1)
    for one in people.emails(500):
        written = variants.lookalikes(one, rng)
        assert written != one.text
        for was, now in zip(one.text, written or "", strict=True):
            assert was == now or (was.isalpha() and now in variants.TWINS[was])


def test_no_variant_is_empty_or_the_same_for_all() -> None:
    for cell, found in recall.plan(40).items():
        written = {case.text[case.start : case.end] for case in found}
        assert len(written) >= 10, cell
        assert all(any(c.isalnum() for c in text) for text in written), cell
