"""IBANs anywhere in the letters and digits of an island: the country fixes the length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from filter.candidates.model import LONGEST_GAP, Candidate, Glyphs
from filter.checksums import mod97
from filter.identifiers import IdentifierKind
from filter.recognisers.iban import is_structured, length_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = re.compile("(?=([a-z]{2})[0-9]{2})")


def find(text: Glyphs) -> Iterator[Candidate]:
    """Every stretch with a country's structure and valid check digits."""
    for match in _START.finditer(text.text):
        first = match.start()
        length = length_of(match[1].upper())
        if length is None or first + length > len(text.text):
            continue
        iban = text.text[first : first + length].upper()
        if not iban.isascii() or not is_structured(iban) or not mod97(iban):
            continue
        end = first + length
        if any(len(gap) > LONGEST_GAP for gap in text.gaps[first + 1 : end]):
            continue
        yield Candidate(text.places[first], text.places[end - 1], IdentifierKind.IBAN, iban)
