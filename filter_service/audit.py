"""The audit trail: an append-only chain of hashes over what was done, by whom and when.

An entry's hash is SHA-256 over the hash before it and the entry's own fields as canonical JSON
(RFC 8785 for what occurs here: strings and integers). Entries name requests, releases and actors by
their ids and hold no personal data; the head and length of the chain stand in every signed release, so
that nobody can shorten or rewrite it unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from filter_service.errors import UnusableFolder

GENESIS = bytes(32)


class Entry(NamedTuple):
    """One thing that was done."""

    number: int
    """Counted from 1."""
    moment: datetime
    """With time zone."""
    actor: str
    """``person``, ``system``, ``reviewer:<id>``, ``operator:<id>``, ``agent:<id>`` or ``admin``."""
    action: str
    subject: str
    """The id of a request, listed identifier, release or key; never a value."""
    details: Mapping[str, str | int]


class Head(NamedTuple):
    """Where a chain ends."""

    length: int
    digest: bytes


def chained(before: bytes, entry: Entry) -> bytes:
    """The hash of an entry that stands behind another one."""
    fields = {
        "action": entry.action,
        "actor": entry.actor,
        "details": dict(entry.details),
        "moment": entry.moment.astimezone(UTC).isoformat(timespec="microseconds"),
        "number": entry.number,
        "subject": entry.subject,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(before + text.encode()).digest()


def verified(entries: Iterable[tuple[Entry, bytes]], known: Collection[Head] = ()) -> Head:
    """The head of a chain that holds together.

    Args:
        entries: with their digests, from the first on.
        known: heads that the chain had before, from signed releases say: it must have grown from them.

    Raises:
        UnusableFolder: an entry was changed, left out or put in; says which is the first.
    """
    head = Head(0, GENESIS)
    before = {one.length: one.digest for one in known}
    longest = max(before, default=0)
    for entry, digest in entries:
        if entry.number != head.length + 1 or chained(head.digest, entry) != digest:
            raise UnusableFolder(
                f"The audit trail does not hold from entry {head.length + 1} on: it was changed."
            )
        head = Head(entry.number, digest)
        if before.get(head.length, digest) != digest:
            raise UnusableFolder(
                f"The audit trail is another one than it was at entry {head.length}: it was rewritten."
            )
    if head.length < longest:
        raise UnusableFolder(
            f"The audit trail ends at entry {head.length}, but had {longest}: entries were removed."
        )
    return head
