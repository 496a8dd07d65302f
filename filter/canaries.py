"""Fictitious persons whom every bundle lists, so that anybody can test whether a filter is at work.

Numbers are of ranges set aside for films and tests (Ofcom's 020 7946, Stripe's and SWIFT's test
numbers), names end in ``.example`` (RFC 2606). They are documented in ``docs/bundle-format.md``.
"""

from __future__ import annotations

from filter.identifiers import Identifier, IdentifierKind

CANARIES = (
    Identifier(IdentifierKind.EMAIL, "mnemosyne.kanarienvogel@lethe.example"),
    Identifier(IdentifierKind.PHONE, "+442079460123"),
    Identifier(IdentifierKind.IBAN, "GB33BUKB20201555555555"),
    Identifier(IdentifierKind.AHV, "756.1234.5678.97"),
    Identifier(IdentifierKind.CREDIT_CARD, "4242424242424242"),
    Identifier(IdentifierKind.NAME, "Mnemosyne Kanarienvogel"),
    Identifier(IdentifierKind.HANDLE, "@mnemosyne_kanarienvogel"),
    Identifier(IdentifierKind.URL, "https://lethe.example/mnemosyne-kanarienvogel"),
    Identifier(IdentifierKind.POSTAL_ADDRESS, "Kanarienvogelgasse 99, 9999 Lethe"),
    Identifier(IdentifierKind.TEXT, "Mnemosyne Kanarienvogel drank from the river Lethe"),
)
"""In their canonical form where the kind has one."""

CARRIER = "The canary sang: {} It did not say more."
"""A sentence around a canary, for probing a model's gate or a filter."""
