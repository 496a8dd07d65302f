"""What all recognisers promise: order, fixed points, triggers; and how overlaps are settled."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import recognisers
from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span
from filter.recognisers import RECOGNISERS, find_all, phone

EMAIL, IBAN, AHV = IdentifierKind.EMAIL, IdentifierKind.IBAN, IdentifierKind.AHV
IP, PHONE = IdentifierKind.IP, IdentifierKind.PHONE
CREDIT_CARD = IdentifierKind.CREDIT_CARD

WRITTEN = {
    EMAIL: ["jane@example.org", "jörg@müller.example", "a@[192.0.2.1]", "jane＠example.org"],
    IBAN: ["CH93 0076 2011 6238 5295 7", "FR1420041010050500013M02606", "kz86-125k-zt50-0410-0100"],
    AHV: ["756.9217.0769.85", "7569217076985", "756\u00a09217\u202f0769\u200985"],
    CREDIT_CARD: ["4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444"],
    IP: ["208.67.222.222", "2620:fe::fe", "2001:4860:4860::8.8.8.8", "DNS 8.8.4.4"],
    PHONE: ["+41 44 668 18 00", "+1\u00a0(212)\u202f555–0123", "044/668 18 00", "0041446681800"],
}
FRAGMENTS = [text for texts in WRITTEN.values() for text in texts]
NOISE = st.sampled_from(" .-/()@:+0159aA_,;\n\t\u00a0\u2011\u202fä联＠x<>[]%")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Identifiers among noise, some of them with a character more, less or other."""
    pieces: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from(FRAGMENTS))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(NOISE | st.just("")) + text[at + draw(st.integers(0, 1)) :]
        pieces += [draw(st.text(NOISE, max_size=3)), text]
    return "".join(pieces)


@pytest.mark.parametrize("kind", RECOGNISERS)
def test_the_samples_are_found(kind: IdentifierKind) -> None:
    """Or else the properties below would hold for nothing."""
    for text in WRITTEN[kind]:
        assert [span.kind for span in RECOGNISERS[kind].find(text)] == [kind]


@pytest.mark.parametrize("kind", RECOGNISERS)
@settings(max_examples=200, deadline=None)
@given(text=mutated())
def test_spans_triggers_and_fixed_points(kind: IdentifierKind, text: str) -> None:
    recogniser = RECOGNISERS[kind]
    spans = list(recogniser.find(text))
    end = 0
    for span in spans:
        assert end <= span.start < span.end <= len(text)
        end = span.end
        assert span.kind is kind
        # Within the identifier alone, so that a buffer of many texts can be scanned at once.
        assert re.search(recogniser.TRIGGER.encode(), text[span.start : span.end].encode())
        assert recogniser.canonicalize(text[span.start : span.end]) == span.value
        assert recogniser.canonicalize(span.value) == span.value


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_phone_trigger_for_other_regions(text: str) -> None:
    regions = ("DE", "FR", "GB", "IT", "AT", "NL")
    for span in phone.find(text, regions):
        assert re.search(phone.TRIGGER.encode(), text[span.start : span.end].encode())


def canonical_or_message(kind: IdentifierKind, text: str) -> str:
    try:
        return RECOGNISERS[kind].canonicalize(text)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("kind", RECOGNISERS)
@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_read_and_errors_are_ours(kind: IdentifierKind, text: str) -> None:
    list(RECOGNISERS[kind].find(text))
    value = canonical_or_message(kind, text)
    if value != canonical_or_message(kind, ""):  # the one message, whatever the text
        assert canonical_or_message(kind, value) == value


@pytest.mark.parametrize("kind", RECOGNISERS)
def test_triggers_keep_to_the_common_subset(kind: IdentifierKind) -> None:
    trigger = RECOGNISERS[kind].TRIGGER
    for barred in ("(?=", "(?!", "(?<", "(?P", r"\b", r"\B", r"\w", r"\d", r"\s", "^", "$"):
        assert barred not in trigger.replace("[^", "")
    # A class of octets must not be cut out of the middle of a character.
    assert all(inside.isascii() for inside in re.findall(r"\[([^\]]*)\]", trigger))


@pytest.mark.parametrize("kind", RECOGNISERS)
def test_triggers_mean_the_same_to_re2(kind: IdentifierKind) -> None:
    pa = pytest.importorskip("pyarrow")
    pc = pytest.importorskip("pyarrow.compute")
    trigger = RECOGNISERS[kind].TRIGGER
    expected = [bool(re.search(trigger.encode(), text.encode())) for text in FRAGMENTS]
    for column in (pa.array(FRAGMENTS), pa.array([text.encode() for text in FRAGMENTS])):
        assert pc.match_substring_regex(column, trigger).to_pylist() == expected


@pytest.mark.parametrize("kind", RECOGNISERS)
def test_triggers_mean_the_same_to_hyperscan(kind: IdentifierKind) -> None:
    hyperscan = pytest.importorskip("hyperscan")
    trigger = RECOGNISERS[kind].TRIGGER.encode()
    database = hyperscan.Database()
    database.compile(expressions=[trigger], flags=[hyperscan.HS_FLAG_SINGLEMATCH])
    for text in FRAGMENTS:
        hits: list[int] = []
        database.scan(text.encode(), match_event_handler=lambda i, *_, hits=hits: hits.append(i))
        assert bool(hits) == bool(re.search(trigger, text.encode()))


TRIGGERLESS = {
    EMAIL: "meet @ 10.30, @jane, jane@localhost",
    IBAN: "it is no 12 of 24, in 1999 and 2000",
    AHV: "756.9217, 756 francs",
    CREDIT_CARD: "12-34, 4111 1111 1111x",
    IP: "version 1.2.3 of 12:30:45",
    PHONE: "2024-01-02, 10:00, 1,000,000 and 0.5",
}


@pytest.mark.parametrize("kind", RECOGNISERS)
def test_triggers_pass_over_ordinary_text(kind: IdentifierKind) -> None:
    assert not re.search(RECOGNISERS[kind].TRIGGER.encode(), TRIGGERLESS[kind].encode())


# find_all


def test_find_all_is_ascending_and_of_the_kinds_asked_for() -> None:
    text = "; ".join(texts[0] for texts in WRITTEN.values())
    assert [span.kind for span in find_all(text, IdentifierKind)] == [
        EMAIL,
        IBAN,
        AHV,
        CREDIT_CARD,
        IP,
        PHONE,
    ]
    assert [span.kind for span in find_all(text, [PHONE, EMAIL])] == [EMAIL, PHONE]
    assert find_all(text, []) == []


def test_find_all_passes_the_regions_on() -> None:
    assert find_all("020 7946 0958", [PHONE]) == []
    assert len(find_all("020 7946 0958", [PHONE], regions=("GB",))) == 1
    with pytest.raises(InputError):
        find_all("020 7946 0958", [PHONE], regions=("XX",))


def test_the_longer_of_two_stays() -> None:
    """An address literal holds an IP address; the part behind the slash is a second address."""
    text = "a@[208.67.222.222]/208.67.222.222"
    assert find_all(text, [EMAIL, IP]) == [
        Span(0, 18, EMAIL, "a@[208.67.222.222]"),
        Span(19, 33, IP, "208.67.222.222"),
    ]
    assert [span.start for span in find_all(text, [IP])] == [3, 19]


SETTLED = {
    "length before kind": ([(0, 5, EMAIL), (3, 9, PHONE)], [(3, 9, PHONE)]),
    "kind where lengths are equal": (
        [(0, 5, PHONE), (3, 8, IP), (6, 11, AHV)],
        [(0, 5, PHONE), (6, 11, AHV)],
    ),
    "the first where kinds are equal": ([(3, 8, IP), (0, 5, IP)], [(0, 5, IP)]),
    "neighbours": ([(5, 9, IP), (0, 5, IP)], [(0, 5, IP), (5, 9, IP)]),
    "the same place": ([(0, 5, PHONE), (0, 5, IBAN)], [(0, 5, IBAN)]),
}


@pytest.mark.parametrize(("spans", "kept"), SETTLED.values(), ids=SETTLED)
def test_overlaps(
    spans: list[tuple[int, int, IdentifierKind]], kept: list[tuple[int, int, IdentifierKind]]
) -> None:
    assert [span[:3] for span in recognisers._apart([Span(*s, "") for s in spans])] == kept


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_find_all_keeps_what_nothing_longer_overlaps(text: str) -> None:
    kept = find_all(text, RECOGNISERS)
    assert all(a.end <= b.start for a, b in pairwise(kept))
    order = list(RECOGNISERS)
    for recogniser in RECOGNISERS.values():
        for span in recogniser.find(text):
            if span not in kept:
                over = [k for k in kept if k.start < span.end and span.start < k.end]
                assert any(
                    (k.end - k.start, -order.index(k.kind))
                    >= (span.end - span.start, -order.index(span.kind))
                    for k in over
                )


def test_find_all_is_linear_in_what_is_found() -> None:
    text = "jane@example.org 208.67.222.222 " * 10_000
    assert len(find_all(text, IdentifierKind)) == 20_000


def test_importing_brings_nothing_heavy() -> None:
    script = "import sys, filter.recognisers; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert {"phonenumbers", "idna", "ipaddress", "pyarrow"}.isdisjoint(done.stdout.split())
