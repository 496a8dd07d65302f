"""Bank account numbers: ISO 13616, with the lengths and structures of SWIFT's registry.

A candidate must have its country's structure and satisfy the check digits; grouping is free, one
separator at a time. That leaves about one in 97 of the strings that look like an IBAN and are none.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.checksums import mod97
from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRUCTURES = """
AD n8c12    AE n19      AL n8c16    AT n16      AZ a4c20    BA n16      BE n12      BG a4n6c8
BH a4c14    BI n23      BR n23a1c1  BY c4n4c16  CH n5c12    CR n18      CY n8c16    CZ n20
DE n18      DJ n23      DK n14      DO c4n20    EE n16      EG n25      ES n20      FI n14
FK a2n12    FO n14      FR n10c11n2 GB a4n14    GE a2n16    GI a4c15    GL n14      GR n7c16
GT c24      HN a4n20    HR n17      HU n24      IE a4n14    IL n19      IQ a4n15    IS n22
IT a1n10c12 JO a4n4c18  KW a4c22    KZ n3c13    LB n4c20    LC a4c24    LI n5c12    LT n16
LU n3c13    LV a4c13    LY n21      MC n10c11n2 MD c20      ME n18      MK n3c10n2  MN n16
MR n23      MT a4n5c18  MU a4n19a3  NI a4n20    NL a4n10    NO n11      OM n3c16    PK a4c16
PL n24      PS a4c21    PT n21      QA a4c21    RO a4c16    RS n18      RU n14c15   SA n2c18
SC a4n20a3  SD n14      SE n20      SI n15      SK n20      SM a1n10c12 SO n19      ST n21
SV a4n20    TL n19      TN n20      TR n6c16    UA n6c19    VA n18      VG a4n16    XK n16
YE a4n4c18
"""
"""What follows country code and check digits, by country, neighbours of one class merged (IBAN
registry, release 100 of 2025): n = digits, a = letters, c = either. French and British overseas
territories use FR and GB. The partial, unregistered schemes of other countries are left out."""

_SEPARATORS = " \u00a0\u2009\u202f\u2010\u2011-"
"""Space, no-break, thin and narrow no-break space, hyphens."""
_CLASSES = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[0-9A-Za-z]"}
_S = f"(?:{'|'.join(_SEPARATORS)})?"

TRIGGER = f"[A-Za-z]{_S}[A-Za-z]{_S}[0-9]{_S}[0-9](?:{_S}[0-9A-Za-z]){{0,11}}(?:{_S}[0-9]){{5}}"

_EDGE = r"[\d_A-Za-z\u00c0-\u024f]"
"""What may not touch an IBAN; scripts that set no spaces may."""


@cache
def _start() -> re.Pattern[str]:
    """Country and check digits, compiled at first use so that importing stays cheap."""
    return re.compile(rf"(?<!{_EDGE})([A-Za-z]){_S}([A-Za-z]){_S}[0-9]{_S}[0-9]")


@cache
def _structures() -> dict[str, str]:
    pairs = _STRUCTURES.split()
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


@cache
def _rest(country: str) -> re.Pattern[str] | None:
    structure = _structures().get(country)
    if structure is None:
        return None
    parts = re.findall("([nac])([0-9]+)", structure)
    body = "".join(f"(?:{_S}{_CLASSES[kind]}){{{count}}}" for kind, count in parts)
    return re.compile(rf"{body}(?!{_EDGE})")


def length_of(country: str) -> int | None:
    """How many characters the IBANs of a country (upper case) have; `None` where it has none."""
    structure = _structures().get(country)
    return None if structure is None else 4 + sum(map(int, re.findall("[0-9]+", structure)))


def is_structured(iban: str) -> bool:
    """Whether a string without separators, upper case, has its country's structure."""
    rest = _rest(iban[:2])
    return rest is not None and rest.fullmatch(iban, 4) is not None and _is_numbered(iban)


def _is_numbered(iban: str) -> bool:
    """Whether five digits stand in a row among the first sixteen of the BBAN.

    A structure may allow letters throughout, but an account is numbered; without this, `TRIGGER`
    could demand next to nothing.
    """
    return re.search("[0-9]{5}", iban[4:20]) is not None


def find(text: str) -> Iterator[Span]:
    """The IBANs of a text, ascending; a value is upper-case and has no separators.

    A word that follows is no part of it: the country fixes the length.
    """
    floor = 0
    for match in _start().finditer(text):
        if match.start() < floor:
            continue
        rest = _rest(f"{match[1]}{match[2]}".upper())
        found = rest.match(text, match.end()) if rest is not None else None
        if found is None:
            continue
        iban = re.sub(f"[{_SEPARATORS}]", "", text[match.start() : found.end()]).upper()
        if mod97(iban) and _is_numbered(iban):
            floor = found.end()
            yield Span(match.start(), floor, IdentifierKind.IBAN, iban)


def canonicalize(text: str) -> str:
    """The canonical form of one IBAN: what `find` gives for it.

    Raises `InputError` where the text, white space around it aside, is not an IBAN.
    """
    text = text.strip()
    for span in find(text):
        if (span.start, span.end) == (0, len(text)):
            return span.value
    raise InputError("This is not an IBAN: check its length and its check digits.")
