"""Candidates: every spelling has a reading that is the identifier's own; ordinary text has few."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import candidates
from filter.candidates.islands import LONGEST, TRIGGER, WORD, islands, joins, windows
from filter.identifiers import RECOGNISED, IdentifierKind
from filter.reading import read

REGIONS = ("CH", "DE", "FR", "IT", "AT", "US")


def values(text: str, kind: str) -> set[str]:
    found = candidates.find(read(text).text(), frozenset(RECOGNISED), REGIONS)
    return {c.value for c in found if c.kind == kind}


EMAIL = "janedoe@exampleorg"
WRITTEN = {
    EMAIL: [
        "jane.doe@example.org", "JANE.DOE@EXAMPLE.ORG.", "<jane.doe@example.org>", "mailto:jane.doe@example.org?x=1",
        "**jane**.doe@`example`.org", "jane.doe (at) example [dot] org", "jane{at}x, jane.doe[at]example(dot)org",
        "jane.doe&#64;example&period;org", "jane.doe%40example.org", "j a n e . d o e @ e x a m p l e . o r g is it",
        "a j a n e.d o e@e x a m p l e.o r g is", "j-a-n-e-.-d-o-e-@-e-x-a-m-p-l-e-.-o-r-g", "jane.doe@exam\nple.org and",
        "jane.\r\ndoe@example.org", "jane.doe\n@example.org", "jane.doe@example.o\nrg", "mailjane.doe@example.organd so",
        "0441234567jane.doe@example.org", "so it ends\n0076jane.doe@example.org", "请联系jane.doe@example.org找到", "“jane.doe@example.org”", "a;jane.doe@example.org;b",
        "jane.doe@example.org.Please", r"foo\njane.doe@example.org\nbar", r"foo\tjane.doe@example.org", r"jane\.doe@example\.org",
        "contact her—jane.doe@example.org—today", "E-Mail•jane.doe@example.org", "**E-Mail**jane.doe@example.org", "foo...jane.doe@example.org",
        "x@y.ch&jane.doe@example.org", "我的地址是j a n e . d o e @ e x a m p l e . o r g", "地址是jane\n.doe@example.org",
        "jane.doe[@]example[.]org", "jane(.)doe@example(.)org", "ｊａｎｅ．ｄｏｅ＠ｅｘａｍｐｌｅ．ｏｒｇ", "jane.dое@exаmple.org",
    ],
    "jurg@mullerexample": ["jürg@müller.example", "jürg@xn--mller-kva.example", "JÜRG@XN--MLLER-KVA.EXAMPLE"],
    "+41446681800": [
        "+41 44 668 18 00", "+41446681800", "0041 44 668 18 00", "0041446681800", "+41 (0)44 668 18 00", "+41(0)446681800",
        "044 668 18 00", "0446681800", "044/668.18.00", "(044) 668-18-00", "tel:+41-44-668-18-00", "0 4 4 6 6 8 1 8 0 0",
        "+ 4 1 4 4 6 6 8 1 8 0 0", "044 668\n18 00", "Tel044 668 18 00now", "41 44 668 18 00", "**044** 668 18 00",
        "044 668 18 01\n044 668 18 02\n044 668 18 03\n044 668 18 00", "1 2 3 4 5 6 7 8 9 10 11 12 13 044 668 18 00",
        "044 668 18 00 1 2 3 4 5 6 7 8 9", "2 0 4 4 6 6 8 1 8 0 0", "８００１ ０４４ ６６８ １８ ００", "8001 Zürich 044 668 18 00, 8001",
    ],
    "+12015550123": ["+1 201 555 0123", "(201) 555-0123", "201.555.0123"],
    "CH9300762011623852957": [
        "CH93 0076 2011 6238 5295 7", "ch9300762011623852957", "C H 9 3 0 0 7 6 2 0 1 1 6 2 3 8 5 2 9 5 7", "IBANCH9300762011623852957now",
        "CH93-0076-2011-6238-5295-7", "CH93.0076.2011.6238.5295.7", "CH93 0076 2011\n6238 5295 7 is", "C\nH93 0076 2011 6238 5295 7",
        "**CH93** 0076 2011 6238 5295 7", "zu CH93 0076 2011 6238 5295 7 zahlen",
    ],
    "GB33BUKB20201555555555": ["GB33 BUKB 2020 1555 5555 55", "GB33 BU\nKB 2020 1555 5555 55", "kontoGB33BUKB20201555555555x"],
    "7569217076985": ["756.9217.0769.85", "7569217076985", "756 9217 0769 85", "7 5 6 9 2 1 7 0 7 6 9 8 5", "AHV756.9217.0769.85x"],
    "4111111111111111": ["4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111"],
    "8.8.8.8": ["8.8.8.8", "http://8.8.8.8:80/", "8 . 8 . 8 . 8", "8.8.\n8.8", "ip8.8.8.8x"],
    "2a00:1450:4001:81b::200e": ["2A00:1450:4001:81B::200E", "[2a00:1450:4001:81b::200e]:80", "：2a00:1450:4001:81b::200e，", "at2a00:1450:4001:81b::200eof"],
}  # fmt: skip
KIND = {
    "@": "email",
    "+": "phone",
    "C": "iban",
    "G": "iban",
    "7": "ahv",
    "4": "credit_card",
    "8": "ip",
    "2": "ip",
}


@pytest.mark.parametrize(
    ("value", "text"), [(value, text) for value, texts in WRITTEN.items() for text in texts]
)
def test_spellings(value: str, text: str) -> None:
    kind = "email" if "@" in value else KIND[value[0]]
    assert value in values(text, kind)
    assert value in values(f"Well, this: {text} ; that is all", kind)


ORDINARY = [
    "On 26.11.2026 at 12:30 the price was 12'500.00 francs, 3,5% more than in 2025.",
    "ISBN 978-3-16-148410-0, version 10.4.1.12, section 1.2.3.4, DOI 10.1000/182",
    "Order 20261125-000123, 1-800, 24/7, 90210-1234, 2026-11-25T10:00:00Z",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "package@1.2.3, git@, @handle, a @ b, me@localhost, 10.0.0.1, 192.168.1.1, ::1",
    "x = a[0] + 41 * (44 - 668) / 18.00",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_asks_for_little(text: str) -> None:
    found = candidates.find(read(text).text(), frozenset(RECOGNISED), ("CH",))
    kinds = [c.kind for c in found if c.kind is not IdentifierKind.EMAIL]
    assert len(kinds) <= 2


words = st.lists(
    st.sampled_from(
        "a an the Seestrasse CH93 0076 4 44 +41 (0)44 j n e@t . @ (at) .com "
        "x@y jane.doe@example.org 12.5 B2B ... - / 8.8.8.8 ss th w.w.w « :a ： 王小 김철 7".split()
    )
    | st.text("ab1@. -:", max_size=5),
    max_size=30,
)
gaps = st.sampled_from([" ", " ", "\n", "\n", "  ", "     ", "\n\n", ""])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(words, gaps), max_size=4))
def test_islands_are_those_of_a_walk_over_all_words(parts: list[tuple[list[str], str]]) -> None:
    """Found from the triggers outwards, they are what joining word by word gives."""
    reading = read("".join(gap.join(some) + gap for some, gap in parts)).text()
    expected, low, before = [], None, None
    for match in WORD.finditer(reading):
        if before is not None and not joins(
            before.group(), reading[before.end() : match.start()], match.group()
        ):
            expected.append((low, before.end()))
            low = match.start()
        elif before is None:
            low = match.start()
        before = match
    if before is not None:
        expected.append((low, before.end()))
    triggered = {
        window
        for first, end in expected
        if any(first <= m.start() and m.end() <= end for m in TRIGGER.finditer(reading, first, end))
        for window in windows(first, end)
    }
    found = list(islands(reading))
    assert triggered <= set(found) <= {w for first, end in expected for w in windows(first, end)}
    assert sorted(set(found)) == found


@settings(max_examples=400, deadline=None)
@given(words, gaps, words, st.integers(0, 100))
def test_an_early_decision_is_the_late_one(
    one: list[str], gap: str, two: list[str], at: int
) -> None:
    before, after = read("".join(one)).text(), read("".join(two)).text()
    if any(c in " \n" for c in before + after) or not before or not after or gap.strip(" \n"):
        return
    early = joins(before, gap, after[:at], whole=False)
    if early is not None:
        assert early == joins(before, gap, after)


def test_candidates_do_not_outgrow_a_window() -> None:
    rng = random.Random(2)
    for _ in range(50):
        text = "".join(
            rng.choice(["7", "6", "0", " ", ".", "@", "a", "CH93", "4"]) for _ in range(2000)
        )
        for candidate in candidates.find(read(text).text(), frozenset(RECOGNISED), ("CH",)):
            assert candidate.last - candidate.first < LONGEST
