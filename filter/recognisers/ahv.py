"""Swiss social security numbers (AHV, AVS): 756.XXXX.XXXX.XC, C being an EAN-13 check digit.

The number begins with Switzerland's numeric code of ISO 3166-1; it is defined by the Federal Act on
Old-Age and Survivors' Insurance (SR 831.10), article 50c.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.checksums import ean13
from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = ". \u00a0\u2009\u202f\u2010\u2011-"
"""Full stop, space, no-break, thin and narrow no-break space, hyphens."""
_S = f"(?:{'|'.join(map(re.escape, _SEPARATORS))})?"

TRIGGER = f"756{_S}[0-9]{{4}}{_S}[0-9]{{4}}{_S}[0-9]{{2}}"


@cache
def _pattern() -> re.Pattern[str]:
    edge = r"[\d_A-Za-z\u00c0-\u024f]"
    # Neither part of a word or a longer number, nor of a chain of dotted or hyphenated numbers.
    return re.compile(rf"(?<!{edge})(?<!\d[.,-]){TRIGGER}(?!{edge})(?![.,-]\d)")


def find(text: str) -> Iterator[Span]:
    """The AHV numbers of a text, ascending; a value is written 756.XXXX.XXXX.XX."""
    for match in _pattern().finditer(text):
        digits = re.sub("[^0-9]", "", match.group())
        if ean13(digits):
            value = f"{digits[:3]}.{digits[3:7]}.{digits[7:11]}.{digits[11:]}"
            yield Span(match.start(), match.end(), IdentifierKind.AHV, value)


def canonicalize(text: str) -> str:
    """The canonical form of one AHV number: what `find` gives for it.

    Raises `InputError` where the text, white space around it aside, is not an AHV number.
    """
    text = text.strip()
    for span in find(text):
        if (span.start, span.end) == (0, len(text)):
            return span.value
    raise InputError(
        "This is not an AHV number: 13 digits from 756 on, the last one a check digit."
    )
