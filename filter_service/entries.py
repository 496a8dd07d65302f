"""What may be asked for: identifiers and opt-outs, brought into canonical form."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date

from filter.canonical import canonicalize, comparable
from filter.compile import recognised_secret, secrets_of
from filter.errors import InputError
from filter.hosts import Host, canonical_host, is_ip_address
from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter.kdf import profile
from filter.urls import split_url
from filter_service.errors import Unacceptable
from filter_service.model import (
    Audience,
    Identity,
    OptOutScope,
    RequestKind,
    evidence_for,
)

LONGEST_TEXT = 2048
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
OPTOUT = "optout"
"""Kind of what a rightsholder has listed."""


def identity(
    request: RequestKind,
    kind: str,
    text: str,
    audience: str | None,
    regions: Collection[str],
    *,
    position: int,
) -> Identity:
    """One identifier of a request, checked.

    Raises:
        Unacceptable: it cannot be listed; the message has its position, never its text.
    """
    where = f"Identity {position}"
    if len(text) > LONGEST_TEXT or _UNFIT.search(text) or not text.strip():
        raise Unacceptable(
            "malformed_identity",
            f"{where} is empty, has more than {LONGEST_TEXT} characters or control characters: "
            "write it as text.",
        )
    if request is RequestKind.RIGHTSHOLDER:
        canonical = [_optout(kind, text.strip(), where)]
        chosen: str = Audience.CORPUS
    else:
        canonical, chosen = _identifier(kind, text, audience, regions, where)
    return Identity(kind, text.strip(), canonical, chosen, evidence_for(request, kind))


def _identifier(
    name: str, text: str, audience: str | None, regions: Collection[str], where: str
) -> tuple[list[str], str]:
    try:
        kind = IdentifierKind(name)
    except ValueError:
        raise Unacceptable(
            "unknown_kind", f"{where} is of no known kind: use one of {', '.join(IdentifierKind)}."
        ) from None
    if kind in PHRASES and audience == Audience.PUBLIC:
        raise Unacceptable(
            "phrases_for_operators",
            f"{where}: a {kind.value} is listed only in the operators' file, choose it.",
        )
    if audience not in (None, Audience.PUBLIC, Audience.OPERATORS):
        raise Unacceptable("unknown_audience", f"{where}: choose the audience public or operators.")
    try:
        canonical = canonicalize(kind, text, regions)
        key = comparable(kind, canonical) if kind in RECOGNISED else canonical.replace(" ", "")
    except InputError as error:
        raise Unacceptable("malformed_identity", f"{where}: {error}") from None
    default = Audience.OPERATORS if kind in PHRASES else Audience.PUBLIC
    return [str(canonical), key], audience or default


def _optout(scope: str, value: str, where: str) -> str:
    if scope not in tuple(OptOutScope):
        raise Unacceptable(
            "unknown_scope", f"{where} has no known scope: use one of {', '.join(OptOutScope)}."
        )
    try:
        if scope in (OptOutScope.DOMAIN, OptOutScope.SUBDOMAINS):
            value = canonical_host(value)
        elif scope in (OptOutScope.URL, OptOutScope.URL_PREFIX):
            split_url(value)
    except InputError as error:
        raise Unacceptable("malformed_identity", f"{where}: {error}") from None
    host = host_of(scope, value)
    if host is not None and ("." not in host or is_ip_address(host)):
        raise Unacceptable("malformed_identity", f"{where}: name a domain such as example.org.")
    return value


def host_of(kind: str, canonical: str) -> Host | None:
    """The host that a rightsholder must control; `None` where there is none."""
    if kind in (OptOutScope.DOMAIN, OptOutScope.SUBDOMAINS):
        return canonical_host(canonical)
    if kind in (OptOutScope.URL, OptOutScope.URL_PREFIX):
        return split_url(canonical).host
    return None


def hashed(kind: str, text: str, kdf: str, salt: bytes, regions: Collection[str]) -> dict[str, int]:
    """The slow hashes of an identifier by their secrets, truncated to what a bundle may store."""
    slow = profile(kdf)
    keep = 0xFFFFFFFF if kind in RECOGNISED else 0xFFFF0000
    return {
        secret: slow.hash(salt, secret) & keep
        for secret in secrets_of(IdentifierKind(kind), text, regions)
    }


def tag_text(kind: str, canonical: list[str]) -> str:
    """What two spellings of one entry have in common; the lookup key is an HMAC of it."""
    if kind in RECOGNISED:
        return recognised_secret(IdentifierKind(kind), canonical[-1])
    return f"{kind}\0{canonical[-1]}"


def optout_line(
    scope: str, value: str, effective: date, withdrawn: date | None, request_id: str
) -> dict[str, str | None]:
    """One line of the opt-out list."""
    return {
        "scope": scope,
        "value": value,
        "effective": effective.isoformat(),
        "withdrawn": withdrawn.isoformat() if withdrawn else None,
        "origin": "registry",
        "request_id": request_id,
    }
