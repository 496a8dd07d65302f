"""Payment card numbers: ISO/IEC 7812-1, with the prefixes and lengths of the large networks.

A candidate must have its network's length, prefix and the Luhn check digit. Grouping is free, one
separator at a time.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.checksums import luhn
from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = " \u00a0\u2009\u202f\u2010\u2011-"
"""Space, no-break, thin and narrow no-break space, hyphens."""
_S = f"(?:{'|'.join(_SEPARATORS)})?"

TRIGGER = f"[2-6](?:{_S}[0-9]){{12}}"

MOST = 19
"""Digits at most."""


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    edge = r"[\d_A-Za-z\u00c0-\u024f]"
    number = re.compile(
        rf"(?<!{edge})(?<!\d[.,-])[2-6](?:{_S}[0-9]){{12,{MOST - 1}}}(?!{edge})(?![.,-]\d)"
    )
    network = re.compile(
        "4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
        "|(?:5[1-5]|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]+"  # Mastercard
        "|3[47][0-9]{13}"  # American Express
        "|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"  # Diners Club
        "|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
        "|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}"  # Discover
        "|62[0-9]{14,17}"  # UnionPay
        "|(?:50|5[6-9]|6[0-9])[0-9]{10,17}"  # Maestro
    )
    return number, network


def is_card(digits: str) -> bool:
    """Whether a string of digits has a network's prefix and length and satisfies the check."""
    network = _patterns()[1].fullmatch(digits)
    if network is None or (digits[:2] in {"51", "52", "53", "54", "55"} and len(digits) != 16):
        return False
    if digits[0] == "2" and len(digits) != 16:
        return False
    return luhn(digits)


def find(text: str) -> Iterator[Span]:
    """The card numbers of a text, ascending; a value has no separators."""
    for match in _patterns()[0].finditer(text):
        digits = re.sub("[^0-9]", "", match.group())
        if is_card(digits):
            yield Span(match.start(), match.end(), IdentifierKind.CREDIT_CARD, digits)


def canonicalize(text: str) -> str:
    """The canonical form of one card number: what `find` gives for it.

    Raises `InputError` where the text, white space around it aside, is not a card number.
    """
    text = text.strip()
    for span in find(text):
        if (span.start, span.end) == (0, len(text)):
            return span.value
    raise InputError("This is not a payment card number: check its length and its last digit.")
