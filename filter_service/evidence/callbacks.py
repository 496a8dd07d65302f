"""Status callbacks (OpenDSR 2.0): an agent is told, at an address agreed before, how a request stands.

The body is a small JSON object; the header ``Lethe-Signature: keyid=...,alg=ed25519,sig=...`` holds
the Ed25519 signature (RFC 8032) of its very octets, in base64. The address is signed with the rest, so
that a callback cannot be passed off on somebody else. An old callback can be sent again by whoever has
read it: the state that counts is the one that ``GET /v1/requests/{id}`` gives.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from filter_service.errors import NotAllowed, UnsafeSettings
from filter_service.messages.retry import Patience, next_attempt
from filter_service.safe_http import Reply, SafeHttp, Target, Unreached

HEADER = "Lethe-Signature"
PATIENCE = Patience(timedelta(minutes=1), timedelta(hours=6), 16)
"""Two days in all, nearly."""
_key_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_signature = re.compile(
    r"keyid=([A-Za-z0-9._-]{1,64}),alg=ed25519,sig=([A-Za-z0-9+/=]{88})"
).fullmatch
_FOR_GOOD = frozenset({"not-public", "redirect"})
_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that another attempt may change (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""

Status = Literal["pending", "in_progress", "completed", "cancelled"]


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What an agent is told."""

    controller_id: str
    subject_request_id: UUID
    request_status: Status
    status_callback_url: str
    """As it was registered."""
    expected_completion_time: datetime | None = None
    """With time zone."""

    def body(self) -> bytes:
        """The JSON object, always in the same octets."""
        fields = {
            "controller_id": self.controller_id,
            "request_status": self.request_status,
            "status_callback_url": self.status_callback_url,
            "subject_request_id": str(self.subject_request_id),
        }
        if self.expected_completion_time is not None:
            moment = self.expected_completion_time.astimezone(UTC).replace(tzinfo=None)
            fields["expected_completion_time"] = f"{moment.isoformat(timespec='seconds')}Z"
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()


@dataclass(frozen=True, slots=True)
class Delivered:
    """It was taken."""


@dataclass(frozen=True, slots=True)
class Again:
    """It is to be sent again."""

    at: datetime
    code: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It is not sent again."""

    code: str


Decision = Delivered | Again | GivenUp


class Callbacks:
    """Sends callbacks to registered addresses, and only there."""

    def __init__(
        self, http: SafeHttp, key: Ed25519PrivateKey, key_id: str, registered: Collection[str]
    ) -> None:
        """``registered`` are addresses as `registrable` gives them, looked at anew at each sending.

        Raises:
            UnsafeSettings: ``key_id`` is not letters, digits, dots, hyphens and underscores.
        """
        if not _key_id(key_id):
            raise UnsafeSettings(
                "The id of a signing key has up to 64 letters, digits, ., _ and -."
            )
        self._http = http
        self._key = key
        self._key_id = key_id
        self._registered = registered

    async def send(self, update: StatusUpdate) -> Reply | Unreached:
        """Post an update once; `decided` says what is to follow.

        Raises:
            NotAllowed: its address is not registered.
            UnusableUrl: a registered address that must not be asked.
        """
        if update.status_callback_url not in self._registered:
            raise NotAllowed(
                "callback_not_registered",
                "Callbacks only go to addresses that were registered before.",
            )
        body = update.body()
        headers = {
            "Content-Type": "application/json",
            HEADER: signature(body, self._key, self._key_id),
        }
        try:
            return await self._http.post(update.status_callback_url, body, headers)
        except Unreached as error:
            return error


def registrable(url: str) -> str:
    """The one spelling of an address that callbacks may be sent to.

    Raises:
        UnusableUrl: it must not be asked; see `Target.parse`.
    """
    return str(Target.parse(url))


def decided(
    outcome: Reply | Unreached, failures: int, now: datetime, patience: Patience = PATIENCE
) -> Decision:
    """What follows an attempt that ended now; ``failures`` were there before it.

    Whatever is no 2xx is a failure. A refusal (4xx), a redirect and an address that is not public are for good;
    408, 425, 429, 5xx and broken connections are not.
    """
    asked = None
    if isinstance(outcome, Unreached):
        code, final = outcome.code, outcome.code in _FOR_GOOD
    elif 200 <= outcome.status < 300:
        return Delivered()
    else:
        code = f"status-{outcome.status}"
        final = 400 <= outcome.status < 500 and outcome.status not in _PASSING
        if outcome.retry_after_s is not None:
            asked = timedelta(seconds=outcome.retry_after_s)
    at = None if final else next_attempt(failures + 1, now, patience, asked)
    return GivenUp(code) if at is None else Again(at, code)


def signature(body: bytes, key: Ed25519PrivateKey, key_id: str) -> str:
    """The value of the header `HEADER` for a body."""
    encoded = base64.b64encode(key.sign(body)).decode("ascii")
    return f"keyid={key_id},alg=ed25519,sig={encoded}"


def verified(header: str, body: bytes, keys: Mapping[str, Ed25519PublicKey]) -> bool:
    """Whether a callback was signed by one of the keys that are known by their ids."""
    parts = _signature(header)
    key = keys.get(parts[1]) if parts else None
    if parts is None or key is None:
        return False
    try:
        key.verify(base64.b64decode(parts[2], validate=True), body)
    except (InvalidSignature, binascii.Error):
        return False
    return True
