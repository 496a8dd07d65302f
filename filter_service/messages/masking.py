"""Identifiers as they may stand in a message: enough for their owner to know, too little for others."""

from __future__ import annotations

from collections.abc import Callable

from filter.canonical import kind_of
from filter.identifiers import IdentifierKind

_GAP = "…"
"""Of one length whatever it stands for, so that it does not say how much."""


def masked(kind: IdentifierKind | str, value: str) -> str:
    """The first letters or last digits of an identifier, such as ``j…@e….org`` or ``+41…21``.

    Works on a value as it was given and on its canonical form. What is not of its kind becomes ``…``.

    Raises:
        UnknownKind: there is no such kind.
    """
    return _MASKS[kind_of(kind)](value.strip()) or _GAP


def _email(value: str) -> str:
    local, at, domain = value.rpartition("@")
    return f"{_first(local)}{_GAP}@{_domain(domain)}" if at and local else ""


def _domain(domain: str) -> str:
    name, dot, last = domain.rpartition(".")
    known = last if dot and name and last.isalnum() else ""
    return f"{_first(domain)}{_GAP}.{known}" if known else f"{_first(domain)}{_GAP}"


def _phone(value: str) -> str:
    digits = "".join(c for c in value if c in "0123456789")
    if len(digits) < 7:
        return ""
    return f"+{digits[:2]}{_GAP}{digits[-2:]}" if value[0] == "+" else f"{_GAP}{digits[-2:]}"


def _ends(front: int) -> Callable[[str], str]:
    """The first few and the last two letters or digits of a number that has at least eight."""

    def mask(value: str) -> str:
        kept = "".join(c for c in value if c.isalnum())
        return f"{kept[:front]}{_GAP}{kept[-2:]}" if len(kept) >= 8 else ""

    return mask


def _ip(value: str) -> str:
    sign = "." if "." in value and ":" not in value else ":"
    head, found, _ = value.partition(sign)
    return f"{head}{sign}{_GAP}" if found and head.isalnum() and len(head) <= 4 else ""


def _words(value: str) -> str:
    """The first letter of the first word and of the last."""
    words = [word for word in value.split() if _first(word)]
    ends = words[:1] + words[-1:] if len(words) > 1 else words
    return " ".join(f"{_first(word)}{_GAP}" for word in ends)


def _url(value: str) -> str:
    scheme, found, rest = value.partition("://")
    rest = (rest if found and scheme.isalnum() else value).lower().removeprefix("www.")
    host, slash, path = rest.partition("/")
    shown = _domain(host) if _first(host) else ""
    return f"{shown}/{_GAP}" if shown and slash and path else shown


def _handle(value: str) -> str:
    at = "@" if value.startswith("@") else ""
    return f"{at}{_first(value)}{_GAP}" if _first(value) else ""


def _text(value: str) -> str:
    return f"{_first(value)}{_GAP}"


def _first(text: str) -> str:
    """The first letter or digit: nothing that could turn the line round or hide."""
    return next((c for c in text if c.isalnum()), "")


_MASKS: dict[IdentifierKind, Callable[[str], str]] = {
    IdentifierKind.EMAIL: _email,
    IdentifierKind.PHONE: _phone,
    IdentifierKind.IBAN: _ends(2),
    IdentifierKind.AHV: _ends(3),
    IdentifierKind.CREDIT_CARD: _ends(0),
    IdentifierKind.IP: _ip,
    IdentifierKind.NAME: _words,
    IdentifierKind.POSTAL_ADDRESS: _words,
    IdentifierKind.HANDLE: _handle,
    IdentifierKind.URL: _url,
    IdentifierKind.TEXT: _text,
}
