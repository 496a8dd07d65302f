"""A message to one person: by e-mail, text message or letter."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID, uuid4

from filter.errors import InputError, MalformedHost
from filter.hosts import canonical_host, is_ip_address

_MAX_ADDRESS = 254
"""Octets of an e-mail address: a path of 256 (RFC 5321, section 4.5.3.1.3) without its brackets."""
_MAX_LOCAL = 64
"""Octets of a local part (RFC 5321, section 4.5.3.1.1)."""
_MAX_SUBJECT = 200
_MAX_BODY = 1 << 16
_MAX_LINES = 8
_MAX_LINE = 100
# No quoted local parts and no comments (RFC 5322, section 3.4.1): they are what injections are made of.
_local = re.compile(r"""[^\s@<>()\[\],;:\\"]+""").fullmatch
_e164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_language = re.compile(r"[a-z]{2,3}").fullmatch


class UnusableMessage(InputError):
    """A message that no sender could carry; ``str()`` never shows what is in it."""


class Channel(StrEnum):
    """The way a message takes."""

    EMAIL = "email"
    SMS = "sms"
    LETTER = "letter"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one person. ``repr`` shows neither the recipient nor the text.

    Raises:
        UnusableMessage: the recipient is not one address of this channel, or subject or body hold
            control characters or are too long.
    """

    channel: Channel
    to: str = field(repr=False)
    """An e-mail address, a number in E.164 form, or the lines of a postal address."""
    subject: str = field(repr=False)
    """One line; of a text message only the file in the outbox shows it."""
    body: str = field(repr=False)
    """Plain text, lines ended by ``\\n``."""
    language: str
    """ISO 639 code."""
    message_id: UUID = field(default_factory=uuid4)
    """Random; the name of its file in an outbox, so keep it to erase the message later."""

    def __post_init__(self) -> None:
        """Refuse what no sender could carry."""
        _check_recipient[self.channel](self.to)
        if not self.subject.strip() or len(self.subject) > _MAX_SUBJECT or _headless(self.subject):
            raise UnusableMessage(
                f"The subject must be one line of at most {_MAX_SUBJECT} printable characters."
            )
        if not self.body.strip() or len(self.body) > _MAX_BODY or _barred(self.body, "\n"):
            raise UnusableMessage(
                f"The text must be at most {_MAX_BODY} characters, without control characters."
            )
        if not _language(self.language):
            raise UnusableMessage("The language must be an ISO 639 code, such as de.")


def email_address(text: str) -> tuple[str, str]:
    """Local part and canonical domain of an e-mail address.

    Raises:
        UnusableMessage: it is not exactly one address, or one with a quoted local part, a comment or
            an address literal, which are not sent to.
    """
    local, at, authority = text.rpartition("@")
    usable = at and _local(local) and not _headless(text) and len(local.encode()) <= _MAX_LOCAL
    if usable and not set(authority) & set("[]:%/"):
        try:
            domain = canonical_host(authority)
        except MalformedHost:
            domain = None
        named = domain is not None and not is_ip_address(domain)
        if domain and named and len(local.encode()) + len(domain) < _MAX_ADDRESS:
            return local, domain
    raise UnusableMessage("This is not one plain e-mail address: write name@domain.")


def _number(text: str) -> None:
    if not _e164(text):
        raise UnusableMessage("This is not a telephone number in international form: write +41 ...")


def _postal(text: str) -> None:
    lines = text.split("\n")
    if len(lines) > _MAX_LINES or not all(
        line.strip() and len(line) <= _MAX_LINE and not _barred(line) for line in lines
    ):
        raise UnusableMessage(
            f"A postal address has at most {_MAX_LINES} lines of at most {_MAX_LINE} characters,"
            " and no empty line."
        )


def _headless(text: str) -> bool:
    """Whether no header could hold the text.

    An encoded word (RFC 2047) is text to us, but a mail library may read a line break out of it.
    """
    return "=?" in text or _barred(text)


def _barred(text: str, allowed: str = "") -> bool:
    """Whether there are controls, lone surrogates or line separators among the characters."""
    return any(
        unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text if c not in allowed
    )


_check_recipient = {
    Channel.EMAIL: email_address,
    Channel.SMS: _number,
    Channel.LETTER: _postal,
}
