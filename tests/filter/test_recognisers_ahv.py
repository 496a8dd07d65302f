"""Swiss social security numbers, around the number that the authorities print in their examples."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.checksums import ean13
from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import ahv

NUMBER = "756.9217.0769.85"

HITS = {
    "dots": NUMBER,
    "digits": "7569217076985",
    "spaces": "756 9217 0769 85",
    "no-break spaces": "756\u00a09217\u00a00769\u00a085",
    "narrow no-break spaces": "756\u202f9217\u202f0769\u202f85",
    "hyphens": "756-9217-0769-85",
    "mixed": "756.9217 0769-85",
    "partly": "7569217.076985",
}


@pytest.mark.parametrize("written", HITS.values(), ids=HITS)
@pytest.mark.parametrize(
    "around", ["{}", "AHV-Nr. {}.", "AHV-Nr.{}", "({})", "N° AVS: {}, née", "号码{}是"]
)
def test_found(written: str, around: str) -> None:
    text = around.format(written)
    (span,) = ahv.find(text)
    assert text[span.start : span.end] == written
    assert span.value == NUMBER
    assert span.kind is IdentifierKind.AHV
    assert ahv.canonicalize(written) == NUMBER


MISSES = {
    "wrong check digit": "756.9217.0769.84",
    "two digits swapped": "756.9271.0769.85",
    "another country": "757.9217.0769.82",
    "too short": "756.9217.0769.8",
    "a digit more": "756.9217.0769.851",
    "a digit before": "1756.9217.0769.85",
    "a decimal point before": "1.756.9217.0769.85",
    "the number goes on": "756.9217.0769.85.1",
    "the number goes on with a hyphen": "756-9217-0769-85-1",
    "a letter before": "x7569217076985",
    "a letter behind": "7569217076985x",
    "two dots": "756..9217.0769.85",
    "other groups": "75.69217.0769.85",
    "slashes": "756/9217/0769/85",
    "line break": "756.9217\n0769.85",
    "the number used before 2008": "269.58.257.113",
}


@pytest.mark.parametrize("text", MISSES.values(), ids=MISSES)
def test_not_found(text: str) -> None:
    assert list(ahv.find(text)) == []


@pytest.mark.parametrize("text", ["", "secret", "756.9217.0769.84", f"{NUMBER} {NUMBER}"])
def test_canonicalize_refuses_without_an_echo(text: str) -> None:
    with pytest.raises(InputError) as caught:
        ahv.canonicalize(text)
    assert not text or text not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9 - 1), st.sampled_from([".", " ", "", "-", "\u2009"]), st.integers(1, 9))
def test_one_check_digit_of_ten_is_right(number: int, gap: str, by: int) -> None:
    head = f"756{number:09}"
    check = next(c for c in "0123456789" if ean13(head + c))
    wrong = str((int(check) + by) % 10)
    for last, expected in ((check, 1), (wrong, 0)):
        digits = head + last
        text = gap.join((digits[:3], digits[3:7], digits[7:11], digits[11:]))
        found = list(ahv.find(text))
        assert len(found) == expected
        for span in found:
            assert ahv.canonicalize(span.value) == span.value


@pytest.mark.parametrize("text", ["756." * 150_000, "756" * 200_000, "7569217076985" * 40_000])
def test_linear(text: str) -> None:
    """Half a million characters: anything quadratic would not come back."""
    assert list(ahv.find(text)) == []
