"""How often strangers are hit: never oftener than ``docs/threat-model.md`` says.

Ten thousand made-up persons are listed. Real pages speak of others, so whatever is changed in them is
wrong, unless a plain comparison, which shares no code with the filter, finds a listed value there.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import people as made_up
import pytest
from anyascii import anyascii

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter, candidates
from filter.identifiers import RECOGNISED
from filter.reading import read
from filter.recognisers import email, phone
from filter.widths import WIDTHS

COUNT = 10_000
"""Persons, each with an identifier of every kind."""
UNLIMITED = FilterPolicy(slow_hashes=1 << 30)
"""What is measured here is chance, not the budget."""
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EVERY = 4
"""Of the long pages one in so many is read, to keep this short."""
AROUND = 40
"""Characters on both sides of a change in which a listed value is looked for."""


class Corpus(NamedTuple):
    """Texts by people who are not listed, and what the filter made of them."""

    texts: list[str]
    changed: list[tuple[IdentifierKind, str, str]]
    """Kind, what was removed, and the text around it."""
    slow_hashes: list[int]
    """What each text cost."""

    @property
    def characters(self) -> int:
        return sum(map(len, self.texts))


class Listed(NamedTuple):
    """Who is listed, by kind."""

    values: dict[IdentifierKind, list[str]]
    forms: dict[IdentifierKind, set[tuple[str, ...]]]
    """Pieces of plain text that must all be there for a value to be there."""


@pytest.fixture(scope="module")
def listed(people: tuple[Identifier, ...]) -> Listed:
    names = [name for script in made_up.SCRIPTS for name in made_up.names(script, COUNT)]
    assert len(names) >= COUNT
    values = defaultdict(list)
    for make in (made_up.emails, made_up.phones, made_up.ibans, made_up.ahvs):
        for kind, text in make(COUNT):
            values[kind].append(text)
    for kind, text in (*names, *people):
        values[kind].append(text)
    forms = {
        kind: {form for v in some for form in pieces(kind, v)} for kind, some in values.items()
    }
    return Listed(dict(values), forms)


@pytest.fixture(scope="module")
def crowd(listed: Listed) -> OutputFilter:
    entries = [(kind, text) for kind, texts in listed.values.items() for text in texts]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"), UNLIMITED)


@pytest.fixture(scope="module")
def corpus(crowd: OutputFilter) -> Corpus:
    texts = [*column("webdocs")[::EVERY], *column("multilingual")]
    redactions = crowd.redact_batch(texts)
    changed = [
        (match.kind, text[match.start : match.end], around(text, match.start, match.end))
        for text, redaction in zip(texts, redactions, strict=True)
        for match in redaction.matches
    ]
    return Corpus(texts, changed, [redaction.slow_hashes for redaction in redactions])


def around(text: str, start: int, end: int) -> str:
    return text[max(0, start - AROUND) : end + AROUND]


def column(name: str) -> list[str]:
    path = DATA / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"shared/data/{name}.parquet is not there")
    import pyarrow.parquet as pq

    found: list[str] = pq.read_table(path, columns=["text"])["text"].to_pylist()
    return found


# A plain comparison


def plain(text: str) -> str:
    """Letters and digits, in small letters and without marks."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum())


def pieces(kind: IdentifierKind, value: str) -> Iterator[tuple[str, ...]]:
    """What of a value must be there: each word of a name up to two letters, which change by case and
    gender, or of its transliteration; of a telephone number its last seven digits; of the rest all
    letters and digits."""
    if kind is IdentifierKind.NAME:
        for form in (value, anyascii(value), made_up.spelled_out(value)):
            words = map(plain, form.split())
            yield tuple(word[: max(3, len(word) - 2)] for word in words)
    else:
        yield (plain(value)[-7:] if kind is IdentifierKind.PHONE else plain(value),)


def really_there(kind: IdentifierKind, text: str, listed: Listed) -> bool:
    """Whether a listed value of this kind stands in a short text."""
    there = plain(text)
    return any(all(piece in there for piece in form) for form in listed.forms[kind])


def test_the_plain_comparison_sees_what_is_there(listed: Listed) -> None:
    for kind in (*RECOGNISED, IdentifierKind.NAME):
        value = listed.values[kind][0]
        assert really_there(kind, f"It says {value} there.", listed)
        assert not really_there(kind, "Nobody who is listed.", listed)


# Real pages


def expected_hits(output_filter: OutputFilter, texts: list[str]) -> dict[IdentifierKind, float]:
    """Look-ups that are made, each distinct one once, times T / 2^b, by kind."""
    bundle = output_filter.bundle
    made = {
        (candidate.kind, candidate.value)
        for text in texts
        for candidate in candidates.find(read(text).text(), bundle.kinds, bundle.regions)
    }
    shares = {kind: about["entries"] / 2 ** about["bits"] for kind, about in kinds_of(bundle)}
    return {kind: n * shares[kind] for kind, n in Counter(kind for kind, _ in made).items()}


def kinds_of(bundle: Bundle) -> Iterator[tuple[IdentifierKind, dict[str, int]]]:
    return ((IdentifierKind(kind), about) for kind, about in bundle.manifest["kinds"].items())


def most(expected: float) -> float:
    """Four standard deviations above (Poisson), and one."""
    return expected + 4 * sqrt(expected) + 1


def test_recognised_kinds_on_real_pages(
    corpus: Corpus, crowd: OutputFilter, listed: Listed
) -> None:
    hit = {
        (kind, plain(removed))
        for kind, removed, beside in corpus.changed
        if kind in RECOGNISED and not really_there(kind, beside, listed)
    }
    expected = expected_hits(crowd, corpus.texts)
    assert expected[IdentifierKind.EMAIL] > 0.2, "too few look-ups to say anything"
    assert len(hit) <= most(sum(expected.values()))


def test_phrases_on_real_pages(corpus: Corpus, listed: Listed) -> None:
    wrong = [
        removed
        for kind, removed, beside in corpus.changed
        if kind not in RECOGNISED and not really_there(kind, beside, listed)
    ]
    assert corpus.characters > 10_000_000
    assert len(wrong) < corpus.characters / 10_000_000, wrong


def test_ordinary_pages_fit_into_the_budget(corpus: Corpus) -> None:
    """Lists of more than a hundred addresses do not: their end is removed undecided."""
    costs = [
        cost
        for text, cost in zip(corpus.texts, corpus.slow_hashes, strict=True)
        if text.count("@") < 100
    ]
    assert len(costs) > 0.99 * len(corpus.texts)
    assert max(costs) <= FilterPolicy().slow_hashes


# Strangers


STRANGERS = {
    IdentifierKind.EMAIL: made_up.emails,
    IdentifierKind.PHONE: made_up.phones,
    IdentifierKind.IBAN: made_up.ibans,
    IdentifierKind.AHV: made_up.ahvs,
}


@pytest.mark.parametrize("kind", STRANGERS, ids=str)
def test_strangers_of_each_kind(kind: IdentifierKind, crowd: OutputFilter, listed: Listed) -> None:
    """A crowd of others, where chance alone decides: on the average a few of them are hit."""
    judge = OutputFilter(crowd.bundle, FilterPolicy(kinds=frozenset({kind})))
    known = {plain(value) for value in listed.values[kind]}
    strangers = [
        text for _, text in STRANGERS[kind](COUNT // 2, seed=2) if plain(text) not in known
    ]
    sentences = [f"Or {text}, say." for text in strangers]
    hit = [
        sentence
        for sentence, redaction in zip(sentences, judge.redact_batch(sentences), strict=True)
        if redaction.matches and not really_there(kind, sentence, listed)
    ]
    assert len(strangers) > 0.4 * COUNT
    assert len(hit) <= most(expected_hits(crowd, sentences)[kind])


# How many ways there are to read one identifier


def readings(texts: list[str], kind: IdentifierKind, crowd: OutputFilter) -> Counter[int]:
    """Of the identifiers of a kind that its recogniser finds: how many look-ups reach into them."""
    find = {IdentifierKind.EMAIL: email.find, IdentifierKind.PHONE: phone.find}[kind]
    counts: Counter[int] = Counter()
    for text in texts:
        spans = list(find(text))
        if not spans:
            continue
        reading = read(text)
        found = candidates.find(reading.text(), {kind}, crowd.bundle.regions)
        places = [reading.span(candidate.first, candidate.last) for candidate in found]
        for span in spans:
            counts[sum(first < span.end and span.start < end for first, end in places)] += 1
    return counts


@pytest.mark.parametrize("kind", [IdentifierKind.EMAIL, IdentifierKind.PHONE], ids=str)
def test_readings_of_one_identifier(
    kind: IdentifierKind, pages: list[str], crowd: OutputFilter
) -> None:
    """The width counts on so many, to the nearest whole number."""
    counts = readings(pages, kind, crowd)
    identifiers = counts.total()
    looked_up = sum(n * times for n, times in counts.items())
    mean = looked_up / identifiers
    print(f"{kind}: {looked_up} look-ups for {identifiers} identifiers, {mean:.2f} each")
    assert identifiers > 100
    assert counts[0] < 0.02 * identifiers
    assert WIDTHS[kind].readings >= mean - 0.5


# What looks like a listed value and is none. Listed are, beside the crowd: Ann Lee, Anna Leemann,
# Jürg Müller, jane.doe@example.org, 044 668 18 00, CH93 0076 2011 6238 5295 7, 756.9217.0769.85,
# 4111 1111 1111 1111, 8.8.8.8, @jane_doe, Seestrasse 5 in 8001 Zürich.

NEAR = {
    # names
    "within longer words": "Susann Leeman, Johann Leeds and Ann Leeson met in Annleeville.",
    "beginning within a word": "Joann Lee sang.",
    "ending within a word": "Ann Leery sang.",
    "glued": "annleepunk, xannlee",
    "a digit behind": "annlee7",
    "only the first name": "Ann and Jürg came late.",
    "only the surname": "Müller and Lee came late.",
    "first names of a crowd": "Anneliese, Björn, Céline, Günther, Jürgen and Thérèse left.",
    "surnames of a crowd": "Müller Schäfer Köhler Böhm Krämer: notaries",
    "two persons, crossed": "Jürg Lee and Ann Müller",
    "a middle name": "Ann Marie Lee",
    "a longer surname": "Jürg Müllermann",
    "one letter else": "Jürg Möller, Ann Loe",
    "one letter less": "Jürg Mülle",
    "far apart": "Ann ............. Lee",
    "a Chinese name with another end": "王小朋来了。",
    # handles
    "no at-sign before it": "jane_doe is a variable",
    "another handle": "@jane_dough wrote",
    # addresses
    "another number": "Seestrasse 15, 8001 Zürich",
    "another town": "Seestrasse 5, 8002 Zürich",
    "the street alone": "Seestrasse 5",
    "a digit more": "1 Seestrasse 5, 8001 Bern",
    # e-mail
    "another domain": "jane.doe@example.com",
    "another top": "jane.doe@example.net",
    "a subdomain": "jane.doe@mail.example.org",
    "one letter more": "jane.does@example.org",
    "a letter missing": "jane.de@example.org",
    "the local part alone": "jane.doe at home",
    "the domain alone": "visit example.org",
    "a handle of a network": "@jane@social.example",
    "retina image": "logo@2x.png",
    "a package": "left-pad@1.3.0 and @types/node@20.11.5",
    "an action": "uses: actions/checkout@v4",
    "times": "meet @ 10.30",
    "a remote": "git@host.example:path/to/repository.git",
    "a decorator": "@pytest.fixture(scope='module')",
    # numbers
    "another phone": "044 668 18 01",
    "another prefix": "+41 43 668 18 00",
    "another country": "+49 44 668 18 00",
    "digits before": "12044 668 18 00",
    "digits behind": "044 668 18 0055",
    "grouped as a phone": "04 46 68, 18 00",
    "dates": "on 24.12.2023, 2023-12-24, 12/24/23 and 20231224T235959Z",
    "a range of dates": "06.09.2023-07.07.2024",
    "times of a day": "09:30-11:45, 23:59:59.999",
    "seconds since 1970": "1700000000 and 1700000000123",
    "versions": "Python 3.11.4, libfoo 2.40.1.3, 1.2.3-rc.4+5",
    "ISBN-13": "ISBN 978-3-16-148410-0",
    "ISBN-10": "ISBN 3-16-148410-X, 0-306-40615-2",
    "ISSN": "ISSN 2049-3630",
    "EAN": "EAN 4006381333931",
    "a Swiss product": "7610000000003 and 7612345678900",
    "prices": "CHF 1'299.95, 1 299,00 EUR, $12,345,678.90",
    "coordinates": "47.376887, 8.541694; 47°22'36.8\"N 8°32'30.1\"E; 2683141 / 1247919",
    "order numbers": "order 446-6818-0012, invoice 2023/0044668, case AB-12-345-678",
    "a tracking number": "99.00.123456.12345678, RB 123 456 785 CH",
    "post codes": "8001 8002 8003 8004 8005 8006",
    "populations": "434,008 in 2021 and 443,037 in 2023",
    "pi": "3.14159265358979323846264338327950288419716939937510",
    "a table": "| 12 | 345 | 6789 | 1011 | 1213 | 1415 |",
    "an account with wrong check digits": "CH94 0076 2011 6238 5295 7",
    "another account": "CH44 3199 9123 0008 8901 2",
    "an AHV number with a wrong check digit": "756.9217.0769.84",
    "another AHV number": "756.1111.2222.11",
    "a card with a wrong check digit": "4111 1111 1111 1112",
    "other cards for tests": "5555 5555 5555 4444, 3782 822463 10005",
    "a section": "section 8.8.8 and 8.8.8.80",
    "private addresses": "192.168.1.1, 10.0.0.8/8, 127.0.0.1:8080",
    "a netmask": "255.255.255.0",
    "a MAC address": "2a:00:14:50:40:01",
    # more than numbers
    "hashes": "d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "a UUID": "550e8400-e29b-41d4-a716-446655440000",
    "a DOI": "doi:10.1145/3510449, arXiv:2201.01174v2",
    "base64": "SGVsbG8sIHdvcmxkISBUaGlzIGlzIG5vYm9keS4=",
    "chemical formulas": "C6H12O6, CH3(CH2)16COOH, 2-amino-3-methylbutanoic acid, Fe2(SO4)3",
    "a CAS number": "CAS 7732-18-5, 50-00-0",
    "a gene": "NM_000546.6:c.215C>G (p.Pro72Arg)",
    "Python": "def ann_leech(x: int = 756) -> str:\n    return f'{x:04d}' + name[0:8]",
    "C": "#define MULLER 0x044668UL\nfor (int i = 0; i < 1800; ++i) { a[i] += b[i] * 8; }",
    "CSS": ".jane { margin: 0 4px 4px 6px; color: #668180; } @media (min-width: 680px) {}",
    "a URL": "https://shop.example/item?id=4466818&ref=0044&utm=20231224",
    "a regular expression": r"^(?:\+41|0041|0)\d{2}[ .-]?\d{3}[ .-]?\d{2}[ .-]?\d{2}$",
    "a chess game": "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7",
    "a verse": "Genesis 1:1-2:3; Psalm 119:105-112",
    "percent signs": "100% sure, 20%30 off, %d items, 5%",
}


@pytest.mark.parametrize("text", NEAR.values(), ids=NEAR)
def test_near_misses_stay(text: str, crowd: OutputFilter) -> None:
    assert crowd.redact(text).text == text
    framed = f"They wrote: {text}\nAnd so on."
    assert crowd.redact(framed).text == framed


TAKEN = {
    "an address that ends with a listed one": "maryjane.doe@example.org",
    "a last label that begins with another": "jane.doe@example.organic",
    "an address without its dot": "janedoe@example.org",
    "a handle that goes on": "@jane_does wrote",
    "a handle that goes on behind a mark": "@jane_doe_fan wrote",
    "a name in an address": "ann.lee@example.com",
    "a name in code": "def ann_lee(): ...",
    "a namesake": "Ann Lee, who founded the Shakers",
    "a name across two sentences": "I saw Ann. Lee was there too.",
    "a telephone number of another country in the same digits": "Sweden 044-668 18 00",
}
"""Strangers who are hit by rule, not by chance: ``docs/threat-model.md`` tells why."""


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_what_strangers_pay(text: str, crowd: OutputFilter) -> None:
    assert crowd.redact(text).matches


def test_what_they_miss_is_listed(crowd: OutputFilter) -> None:
    """The table above means something only if these are found."""
    text = "Ann Lee, Anna Leemann, Jürg Müller, jane.doe@example.org, 044 668 18 00, @jane_doe"
    removed = [match.kind for match in crowd.redact(text).matches]
    assert Counter(removed) == {"name": 3, "email": 1, "phone": 1, "handle": 1}
