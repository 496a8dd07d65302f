"""Recognised identifiers: what kinds there are, and where one stands in a text."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class IdentifierKind(StrEnum):
    """A kind of identifier that has a form of its own and can be recognised without a list."""

    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    AHV = "ahv"
    IP = "ip"


class Span(NamedTuple):
    """One identifier in a text: ``text[start:end]`` is how it is written there."""

    start: int
    """Offset of the first code point."""
    end: int
    """Offset behind the last code point."""
    kind: IdentifierKind
    value: str
    """The canonical form: what two spellings of one identifier have in common."""
