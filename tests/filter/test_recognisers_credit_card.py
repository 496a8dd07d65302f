"""Payment card numbers: networks' own test numbers, and near-misses."""

from __future__ import annotations

import pytest

from filter.errors import InputError
from filter.recognisers import credit_card

FOUND = [
    ("4111 1111 1111 1111", "4111111111111111"),
    ("4242424242424242", "4242424242424242"),
    ("4222222222222", "4222222222222"),
    ("5555-5555-5555-4444", "5555555555554444"),
    ("2223 0031 2200 3222", "2223003122003222"),
    ("378282246310005", "378282246310005"),
    ("3782 822463 10005", "378282246310005"),
    ("30569309025904", "30569309025904"),
    ("3530111333300000", "3530111333300000"),
    ("6011111111111117", "6011111111111117"),
    ("6759649826438453", "6759649826438453"),
]
NOT_FOUND = [
    "4111 1111 1111 1112",
    "4111 1111 1111",
    "1234567812345670",
    "a4111111111111111",
    "41111111111111110000000",
    "4111.1111.1111.1111",
    "12-4111111111111111",
    "5111111111111",
    "978-3-16-148410-0",
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_found(text: str, value: str) -> None:
    assert [span.value for span in credit_card.find(f"card {text}, please")] == [value]
    assert credit_card.canonicalize(f" {text} ") == value


@pytest.mark.parametrize("text", NOT_FOUND)
def test_not_found(text: str) -> None:
    assert list(credit_card.find(f"card {text}, please")) == []
    with pytest.raises(InputError, match="payment card"):
        credit_card.canonicalize(text)
