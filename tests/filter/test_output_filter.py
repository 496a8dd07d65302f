"""Whole texts: what goes, what stays, at what price."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter, canonicalize
from filter.errors import InputError, MalformedIdentifier, UnknownKind
from filter.policy import MARKERS, POLICIES, policy

GONE = [
    ("It was Jürg Müller.", "It was [name removed]."),
    ("It was Müller, Jürg.", "It was [name removed]."),
    ("It was JUERG\nMUELLER.", "It was [name removed]."),
    ("It was *Jürg* **Müller**, no", "It was *[name removed]**, no"),
    ("It was Ju\u0308rg Mu\u0308ller\u0301 then", "It was [name removed] then"),
    ("Ann Lee and Ann  Lee", "[name removed] and [name removed]"),
    ("我是王小明。", "我是[name removed]。"),
    ("저는 김철수입니다", "저는 [name removed]입니다"),
    ("ΝΊΚΟΣ ΠΑΠΑΔΆΚΗΣ and νίκος παπαδάκης", "[name removed] and [name removed]"),
    ("Anna Petrova, Анны Петровой", "[name removed], [name removed]"),
    ("see @jane_doe or x.test/jane_doe/", "see @[handle removed] or x.test/[handle removed]/"),
    ("http://people.example/jane-doe", "http://[url removed]"),
    ("Seestr. 5 in 8001 Zürich", "Seestr. 5 in 8001 Zürich"),
    ("Seestr. 5, 8001 Zuerich", "[postal address removed]"),
    ("Seestrasse 5, CH-8001 Zürich", "[postal address removed]"),
    ("Анной Петровой, Anna Petrowa", "[name removed], [name removed]"),
    ("Well,KEIN WORT DAVON IST WAHR!", "Well,[text removed]!"),
    ("jane.doe@example.org/044 668 18 00", "[email removed]/[phone removed]"),
]
STAYS = [
    "Susann Leeman, Ann Leeds, Joann Leed, Ann-Leest, Annleed",
    "Jürg Müllerei und Jürgen Müller",
    "Jürg sah Müller",
    "jane_doe without a sign before it",
    "Seestrasse 5, 8001 Zürichberg 5 and Seestrasse 55, 8001 Zürich",
    "people.example/jane",
    "김철숙 왔다",
    "王小李明",
    "john.doe@example.org, jane.doe@example.com, 044 668 18 01, CH93 0076 2011 6238 5295",
]


@pytest.mark.parametrize(("text", "said"), GONE)
def test_what_goes(output_filter: OutputFilter, text: str, said: str) -> None:
    assert output_filter.redact(text).text == said


@pytest.mark.parametrize("text", STAYS)
def test_what_stays(output_filter: OutputFilter, text: str) -> None:
    if "Zürichberg" in text:
        text = text.partition(" and ")[2]
    assert output_filter.redact(text).text == text


@given(st.text())
def test_letters_are_what_is_no_separator(text: str) -> None:
    from filter.nv1 import SEPARATORS
    from filter.phrase_index import letters_of
    from filter.reading import read

    reading = read(text)
    found = letters_of(reading.codes)
    assert [chr(c) for c in found.codes] == [c for c in reading.text() if c not in SEPARATORS]


def test_a_number_is_not_cut_in_two(output_filter: OutputFilter) -> None:
    one = OutputFilter(
        Bundle.build([("text", "room 1234 of it 56")], release="2026.2.0", kdf="testing")
    )
    assert one.redact("room 1234 of it 56!").matches
    assert not one.redact("room 1234 of it 567").matches
    assert one.redact("room 1234 of it 56 7").matches


def test_matches_point_into_the_text(output_filter: OutputFilter) -> None:
    text = "x &Uuml; J&uuml;rg Müller, jane.doe&#64;example.org"
    redaction = output_filter.redact(text)
    assert [(text[m.start : m.end], m.kind, m.reason) for m in redaction.matches] == [
        ("J&uuml;rg Müller", "name", "listed"),
        ("jane.doe&#64;example.org", "email", "listed"),
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("anJürgMle \n.@0468+1&#;uml%"), max_size=80))
def test_redacting_again_changes_nothing(output_filter: OutputFilter, text: str) -> None:
    once = output_filter.redact(text + " Jürg Müller " + text).text
    assert output_filter.redact(once).text == once


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Jürg Müller", "x", "jane.doe@example.org", "", "044 668 18 00", "김"]),
        max_size=9,
    )
)
def test_a_batch_is_its_texts(output_filter: OutputFilter, texts: list[str]) -> None:
    assert output_filter.redact_batch(texts) == [output_filter.redact(text) for text in texts]


def test_many_candidates_are_followed_as_one_is() -> None:
    """From some number on candidates are followed together, by other code."""
    names = [
        "Michaela Bern",
        "Michael Bernasconi",
        "Michael Bernasconi Zgraggen",
        "김민준",
        "李小龙",
    ]
    listed = [("name", name) for name in names]
    listed += [("text", "michael of the hill 12"), ("handle", "michaelb"), ("handle", "michae")]
    one = OutputFilter(Bundle.build(listed, release="2026.2.0", kdf="testing"))
    said = [*names, "Michael Bernasc", "Michaela Berna", "Michaelab Bern", "xMichaela Bern"]
    said += [
        "michael of the hill 123",
        "xmichael of the hill 12",
        "@michaelb",
        "@michaelbe",
        "@michae",
    ]
    said += [
        "Michael\x00Bernasconi",
        "Michael" + 13 * "." + "Bernasconi",
        "李小龙吗",
        "Michael Bern",
    ]
    said += [" ".join(pair) for pair in zip(said, reversed(said), strict=True)]
    singly = [one.redact(text) for text in said]
    assert 20 < sum(bool(redaction.matches) for redaction in singly) < len(said) - 5
    assert one.redact_batch(said * 5) == singly * 5


def test_a_batch_does_not_join_its_texts(output_filter: OutputFilter) -> None:
    assert not any(
        r.matches for r in output_filter.redact_batch(["Jürg", "Müller", "044 668", "18 00"])
    )


def test_a_mark_of_one_text_is_none_of_the_next(output_filter: OutputFilter) -> None:
    one, two = output_filter.redact_batch(["mail me @", "janedoe is here"])
    assert not one.matches
    assert not two.matches
    assert output_filter.redact("@janedoe is here").matches


def test_overlapping_matches_become_one() -> None:
    one = OutputFilter(
        Bundle.build(
            [("name", "Anna Maria"), ("name", "Maria Berger")], release="2026.2.0", kdf="testing"
        )
    )
    redaction = one.redact("Anna Maria Berger")
    assert redaction.text == "[name removed]"
    assert len(redaction.matches) == 1


def test_the_budget_is_counted_in_the_order_of_the_text(bundle: Bundle) -> None:
    text = "a.b@x.example, c.d@x.example, jane.doe@example.org, 8.8.8.8"
    whole = OutputFilter(bundle).redact(text)
    assert whole.text == "a.b@x.example, c.d@x.example, [email removed], [ip removed]"
    for limit in range(whole.slow_hashes + 1):
        some = OutputFilter(bundle, FilterPolicy(slow_hashes=limit)).redact(text)
        assert some.slow_hashes == limit
        reasons = [m.reason for m in some.matches]
        assert reasons == sorted(reasons, key=lambda r: r == "undecided")
        assert "jane" not in some.text
        assert "8.8.8.8" not in some.text
    assert OutputFilter(bundle, FilterPolicy(slow_hashes=0)).redact(text).text == ", ".join(
        ["[email removed]"] * 3 + ["[ip removed]"]
    )


def test_kinds_and_markers(bundle: Bundle) -> None:
    text = "Jürg Müller, jane.doe@example.org"
    some = FilterPolicy(
        kinds=frozenset({IdentifierKind.NAME}), markers=MARKERS | {IdentifierKind.NAME: "X."}
    )
    assert OutputFilter(bundle, some).redact(text).text == "X., jane.doe@example.org"
    assert OutputFilter(bundle, policy("corpus")).redact(text).text == "<email-pii>, <email-pii>"


def test_what_a_user_wrote_may_be_exempt(bundle: Bundle) -> None:
    mine = [
        Identifier(IdentifierKind.PHONE, "0041 44 668 18 00"),
        ("name", "jürg müller"),
    ]
    one = OutputFilter(bundle, FilterPolicy().exempting(mine))
    text = "Müller, Jürg or Juerg Mueller, 044 668 18 00, jane.doe@example.org"
    assert one.redact(text).text == "Müller, Jürg or Juerg Mueller, 044 668 18 00, [email removed]"


def test_bad_policies_say_so() -> None:
    with pytest.raises(InputError, match="negative"):
        FilterPolicy(slow_hashes=-1)
    with pytest.raises(InputError, match="no marker for ahv"):
        FilterPolicy(markers={k: "x" for k in IdentifierKind if k != "ahv"})
    with pytest.raises(InputError, match="standard, corpus, frugal"):
        policy("strict")
    assert set(POLICIES) == {"standard", "corpus", "frugal"}


CANONICAL = [
    ("email", " Jane.Doe@EXAMPLE.org ", "jane.doe@example.org"),
    ("phone", "044 668 18 00", "+41446681800"),
    ("phone", "+44 20 7946 0999", "+442079460999"),
    ("iban", "ch93 0076 2011 6238 5295 7", "CH9300762011623852957"),
    ("ahv", "7569217076985", "756.9217.0769.85"),
    ("credit_card", "4111-1111-1111-1111", "4111111111111111"),
    ("ip", "2A00:1450:4001:81B:0::200E", "2a00:1450:4001:81b::200e"),
    ("name", "Müller, Jürg", "jurg muller"),
    ("name", "  JÜRG   Müller ", "jurg muller"),
    ("handle", "@Jane_Doe", "jane doe"),
    ("url", "HTTPS://www.Example.org/J%C3%BCrg/", "example org jurg"),
    ("postal_address", "Seestrasse 5, 8001 Zürich", "seestrasse 5 8001 zurich"),
    ("text", "So—it goes", "so it goes"),
]


@pytest.mark.parametrize(("kind", "text", "value"), CANONICAL)
def test_canonical_forms(kind: str, text: str, value: str) -> None:
    assert canonicalize(kind, text) == value
    again = value if kind != "url" else "example.org/jurg"
    assert canonicalize(kind, again) == value


def test_regions_say_where_a_number_is_at_home() -> None:
    assert canonicalize("phone", "(201) 555-0123", ("US",)) == "+12015550123"
    with pytest.raises(MalformedIdentifier):
        canonicalize("phone", "(201) 555-0123", ("CH",))
    with pytest.raises(UnknownKind):
        canonicalize("fax", "044 668 18 00")


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, filter; print(*({'numpy', 'argon2', 'phonenumbers', 'presidio_analyzer', 'pyarrow', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
    code = "import sys; from filter import OutputFilter, Bundle, StreamFilter, canonicalize; print(*({'argon2', 'phonenumbers', 'presidio_analyzer', 'pyarrow', 'torch', 'idna'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_public_names_are_what_all_says() -> None:
    import filter as package

    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        package.nothing  # noqa: B018
