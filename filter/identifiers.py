"""Identifiers: what kinds there are, and where one stands in a text."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class IdentifierKind(StrEnum):
    """A kind of personal data that somebody may ask to have removed."""

    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    AHV = "ahv"
    CREDIT_CARD = "credit_card"
    IP = "ip"
    NAME = "name"
    POSTAL_ADDRESS = "postal_address"
    HANDLE = "handle"
    URL = "url"
    TEXT = "text"


RECOGNISED = (
    IdentifierKind.EMAIL,
    IdentifierKind.PHONE,
    IdentifierKind.IBAN,
    IdentifierKind.AHV,
    IdentifierKind.CREDIT_CARD,
    IdentifierKind.IP,
)
"""Kinds that have a form of their own and can be recognised without a list."""

PHRASES = (
    IdentifierKind.NAME,
    IdentifierKind.POSTAL_ADDRESS,
    IdentifierKind.HANDLE,
    IdentifierKind.URL,
    IdentifierKind.TEXT,
)
"""Kinds that look like any other words: only a list knows them."""


class Identifier(NamedTuple):
    """One identifier as a person gave it."""

    kind: IdentifierKind
    text: str


class Span(NamedTuple):
    """One identifier in a text: ``text[start:end]`` is how it is written there."""

    start: int
    """Offset of the first code point."""
    end: int
    """Offset behind the last code point."""
    kind: IdentifierKind
    value: str
    """The canonical form: what two spellings of one identifier have in common."""
