"""The slow hash: what a look-up in a bundle costs whoever tries.

Argon2id (RFC 9106) with 19 MiB, two passes and one lane (OWASP's password storage cheat sheet), four
octets long: no reader ever uses more, and nothing longer need be kept. A salt is fixed for a family
of releases, since releases with fresh salts could be intersected.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class KdfProfile:
    """Parameters of the slow hash."""

    name: str
    algorithm: str
    """``argon2id``, or ``sha256``, which is cheap and for tests."""
    memory_kib: int
    """KiB; zero where it does not apply."""
    passes: int
    lanes: int

    def hash(self, salt: bytes, secret: str) -> int:
        """32 bits of one secret; releases the interpreter's lock while it works."""
        octets = secret.encode()
        if self.algorithm == "sha256":
            return int.from_bytes(hashlib.sha256(salt + octets).digest()[:4], "little")
        from filter.argon2id import argon2id

        digest = argon2id(
            octets,
            salt,
            passes=self.passes,
            memory_kib=self.memory_kib,
            lanes=self.lanes,
            length=4,
        )
        return int.from_bytes(digest, "little")


PROFILES: Mapping[str, KdfProfile] = MappingProxyType(
    {
        "standard": KdfProfile("standard", "argon2id", 19 * 1024, 2, 1),
        "testing": KdfProfile("testing", "sha256", 0, 1, 1),
    }
)
"""What `lethe filter build --kdf` offers. ``testing`` hides nothing."""


def profile(name: str) -> KdfProfile:
    """A profile by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in PROFILES:
        raise InputError(f"There is no KDF profile {name!r}: use {' or '.join(PROFILES)}.")
    return PROFILES[name]


def family_salt(family: str) -> bytes:
    """The salt of a family of releases that was given no random one: 16 octets of its name's hash."""
    return hashlib.sha256(f"lethe family {family}".encode()).digest()[:SALT_BYTES]
