"""What lies where in a repository, how long each role is valid, and who may sign it.

A base address has one repository for each audience, ``public/`` and ``operators/``. Each is a folder of
static files: ``metadata/`` and ``targets/``, the latter with the SHA-256 of the content before the
name (consistent snapshots, TUF specification 6.2).
"""

from __future__ import annotations

from datetime import timedelta

from filter.release import VALID_DAYS

METADATA = "metadata"
TARGETS = "targets"
TIMESTAMP = "timestamp.json"

ROOT_VALID = timedelta(days=730)
TARGETS_VALID = timedelta(days=VALID_DAYS)
ONLINE_VALID = timedelta(days=14)
"""Of snapshot and timestamp; they are signed again every day or, at the least, every week."""

KEPT = timedelta(hours=24)
"""How long a superseded file stays for clients that are midway: longer than any download may take."""

CUSTODIANS = 3
THRESHOLD = 2
"""Signatures that root and targets metadata need, of as many keys as there are custodians."""

AUDIENCE = "x-lethe-audience"
"""A signed field of every timestamp. Both repositories have the same root and the same keys, so
without it the metadata of one could be replayed to the clients of the other."""


def bundle_name(audience: str) -> str:
    """The target's name, which is also the name of the file that a client keeps."""
    return f"lethe-{audience}.safetensors"
