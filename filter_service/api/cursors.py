"""Cursors: where a list goes on; opaque to clients, and signed, so that they cannot make their own."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from filter_service.errors import Unacceptable

CURSOR = "^[A-Za-z0-9_-]{16,200}$"
_TAG_BYTES = 16
_ID_BYTES = 16
Digest = Callable[[str, bytes], bytes]
"""Keyed; takes a purpose and octets."""


def cursor(due: datetime, request_id: UUID, digest: Digest) -> str:
    """A cursor behind a request."""
    octets = request_id.bytes + due.isoformat().encode()
    return base64.urlsafe_b64encode(_tag(octets, digest) + octets).rstrip(b"=").decode()


def place(text: str, digest: Digest) -> tuple[datetime, UUID]:
    """Behind which request a cursor stands.

    Raises:
        Unacceptable: it is none of ours.
    """
    try:
        signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        signed = b""
    octets = signed[_TAG_BYTES:]
    if not hmac.compare_digest(_tag(octets, digest), signed[:_TAG_BYTES]):
        raise Unacceptable(
            "unknown_cursor", "This cursor is none of ours: begin at the first page."
        )
    return datetime.fromisoformat(octets[_ID_BYTES:].decode()), UUID(bytes=octets[:_ID_BYTES])


def _tag(octets: bytes, digest: Digest) -> bytes:
    return digest("cursor", octets)[:_TAG_BYTES]
