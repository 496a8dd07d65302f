"""A bundle for measuring a gate: made-up persons with invented codes, and canaries that it really stops."""

from __future__ import annotations

import zlib

from matching import addresses, persons

from filter import Bundle
from filter.canaries import CANARIES
from filter.compile import secrets_of
from filter.kdf import profile

SALT = bytes(16)
REGIONS = ("CH",)
EACH = 5
"""Stored phrases of one made-up name, variants included."""


def gate_bundle(phrases: int) -> Bundle:
    """A bundle of the standard profile that stores about so many phrases, and a tenth as many addresses.

    Hashing them all would take hours, and no text that is measured holds one; a gate tries its
    canaries, so these are hashed.
    """
    kdf = profile("standard")
    real = {secret for one in CANARIES for secret in secrets_of(one.kind, one.text, REGIONS)}

    def slow(secret: str) -> int:
        return kdf.hash(SALT, secret) if secret in real else zlib.crc32(secret.encode())

    return Bundle.build(
        [*persons(phrases // EACH), *addresses(phrases // 10)],
        release="2026.2.0",
        salt=SALT,
        regions=REGIONS,
        slow=slow,
    )
