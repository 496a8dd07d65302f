"""One-time secrets: a link in an e-mail, a code in a text message or a letter.

Pure functions over values; the moment is handed in. What is stored of a secret is its HMAC-SHA256 (RFC 2104)
by a key that the registry keeps outside its database: eight digits could be found by trying, whatever the
hash, by whoever has both.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from filter_service.errors import UnsafeSettings

ATTEMPTS = 5
"""Wrong answers after which a secret is worth nothing: a guess at eight digits then succeeds once in
20 million times."""
_DIGITS = 8
_LINK_BYTES = 16
_SALT_BYTES = 16
_KEY_BYTES = 32


class Way(StrEnum):
    """How a secret reaches a person."""

    LINK = "link"
    TEXT_MESSAGE = "text_message"
    LETTER = "letter"


VALIDITY = {
    Way.LINK: timedelta(days=7),
    Way.TEXT_MESSAGE: timedelta(minutes=15),
    Way.LETTER: timedelta(days=60),
}


class Outcome(StrEnum):
    """What became of an answer."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Secret:
    """What is stored of a one-time secret."""

    way: Way
    salt: bytes
    """Random; empty for a link, so that it can be looked up by its digest alone."""
    digest: bytes = field(repr=False)
    """32 octets."""
    expires_at: datetime
    """From this very moment on it is worth nothing. With time zone."""
    attempts_left: int = ATTEMPTS
    used: bool = False


def issue(way: Way, key: bytes, now: datetime) -> tuple[str, Secret]:
    """A new secret as its receiver sees it, and what to store of it.

    A link's token is 128 random bits in 22 characters that a URL can hold; a code is eight digits in two
    groups, ``1234 5678``.

    Raises:
        UnsafeSettings: the key has not 32 octets.
    """
    if way is Way.LINK:
        text, salt = secrets.token_urlsafe(_LINK_BYTES), b""
    else:
        digits = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
        text, salt = f"{digits[:4]} {digits[4:]}", secrets.token_bytes(_SALT_BYTES)
    return text, Secret(way, salt, _digest(way, key, salt, text), now + VALIDITY[way])


def link_digest(token: str, key: bytes) -> bytes:
    """The digest of a link's token, by which what is stored of it is found.

    Raises:
        UnsafeSettings: the key has not 32 octets.
    """
    return _digest(Way.LINK, key, b"", token)


def answer(secret: Secret, text: str, key: bytes, now: datetime) -> tuple[Outcome, Secret]:
    """What becomes of an answer, and what to store from now on: before anybody is told the outcome.

    Spaces and hyphens in a code do not matter. Only a wrong answer costs an attempt; after the last one even
    the right answer is refused.

    Raises:
        UnsafeSettings: the key has not 32 octets.
    """
    if secret.used:
        return Outcome.USED, secret
    if now >= secret.expires_at:
        return Outcome.EXPIRED, secret
    if secret.attempts_left <= 0:
        return Outcome.EXHAUSTED, secret
    if hmac.compare_digest(_digest(secret.way, key, secret.salt, text), secret.digest):
        return Outcome.ACCEPTED, replace(secret, used=True)
    return Outcome.WRONG, replace(secret, attempts_left=secret.attempts_left - 1)


def _digest(way: Way, key: bytes, salt: bytes, text: str) -> bytes:
    if len(key) != _KEY_BYTES:
        raise UnsafeSettings(f"The key of one-time secrets must have {_KEY_BYTES} octets.")
    plain = text.strip() if way is Way.LINK else _digits(text)
    # The way has no zero octet and the salt one length, so no two triples are one string.
    message = way.encode() + b"\0" + salt + plain.encode("utf-8", "surrogatepass")
    return hmac.digest(key, message, hashlib.sha256)


def _digits(text: str) -> str:
    """A code without what people put between its digits."""
    return "".join(c for c in text if unicodedata.category(c) not in {"Zs", "Pd", "Cc"})
