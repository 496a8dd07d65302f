"""Signing keys: Ed25519 (RFC 8032) as PEM in PKCS #8 (RFC 5958), made and loaded.

Root and targets keys are *offline*: each of three custodians holds one of each, and two of three must
sign. Snapshot and timestamp keys are *online*, on the machine that signs them again every day. Beside
each private ``root-1.pem`` lies its public half ``root-1.pub.pem``, which is all that others need.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from filter_service.publishing.errors import UnusableKey
from filter_service.publishing.layout import CUSTODIANS, THRESHOLD

OFFLINE_ROLES = ("root", "targets")
ONLINE_ROLES = ("snapshot", "timestamp")
PASSPHRASE_VARIABLE = "LETHE_KEY_PASSPHRASE"
"""The environment variable with the passphrase of private keys."""


@dataclass(frozen=True)
class OnlineKeys:
    """The two keys of the machine that signs every day."""

    snapshot: CryptoSigner
    timestamp: CryptoSigner


def passphrase() -> bytes | None:
    """The passphrase of private keys, from the environment; none where it is unset or empty."""
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None


def make_key(path: Path, secret: bytes | None = None) -> None:
    """Make a key pair: ``path`` (``NAME.pem``, mode 0600) and ``NAME.pub.pem`` beside it.

    Args:
        path: the private key's file; its folder is made (mode 0700) where there is none.
        secret: a passphrase to encrypt it with.

    Raises:
        UnusableKey: there is a key already, or it cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, pem, 0o600)
        _write_new(_public(path), public, 0o644)
    except FileExistsError as error:
        raise UnusableKey(f"{error.filename} exists: keys are never overwritten.") from None
    except OSError as error:
        raise UnusableKey(
            f"{path} cannot be written ({error.strerror}): choose another folder."
        ) from None


def make_offline_keys(folder: Path, secret: bytes | None = None) -> list[Path]:
    """A root and a targets key for each custodian: ``folder/custodian-1/root-1.pem`` and so on.

    Each folder is then moved to a medium of its own. Where custodians shall have a passphrase each,
    they use `make_key` instead.

    Returns:
        The files of the private keys.

    Raises:
        UnusableKey: there is a key already, or it cannot be written.
    """
    return _make(
        [
            folder / f"custodian-{number}" / f"{role}-{number}.pem"
            for number in range(1, CUSTODIANS + 1)
            for role in OFFLINE_ROLES
        ],
        secret,
    )


def make_online_keys(folder: Path, secret: bytes | None = None) -> list[Path]:
    """The keys ``folder/snapshot-1.pem`` and ``folder/timestamp-1.pem``.

    Raises:
        UnusableKey: there is a key already, or it cannot be written.
    """
    return _make([folder / f"{role}-1.pem" for role in ONLINE_ROLES], secret)


def load_key(path: Path, secret: bytes | None = None) -> CryptoSigner:
    """A private key, ready to sign.

    Raises:
        UnusableKey: it cannot be read, is no Ed25519 key, or the passphrase is not the right one.
    """
    pem = _read(path)
    is_encrypted = b"ENCRYPTED PRIVATE KEY" in pem
    if is_encrypted and not secret:
        raise UnusableKey(f"{path} is encrypted: set {PASSPHRASE_VARIABLE} to its passphrase.")
    try:
        key = serialization.load_pem_private_key(pem, secret if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey(
            f"{path} cannot be opened: it is no private key, or the passphrase is a wrong one."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(f"{path} is no Ed25519 key: name one made by Lethe.")
    return CryptoSigner(key)


def load_public_key(path: Path) -> Key:
    """The public half of a key.

    Raises:
        UnusableKey: it cannot be read, or is no Ed25519 key.
    """
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey(f"{path} is no public key: name a .pub.pem file.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableKey(f"{path} is no Ed25519 key: name one made by Lethe.")
    return cast("Key", SSlibKey.from_crypto(key))


def load_offline_keys(
    role: str, folders: Iterable[Path], secret: bytes | None = None
) -> list[CryptoSigner]:
    """The keys of a role in some folders and the folders right below them, as on two USB sticks.

    Raises:
        UnusableKey: fewer than two different keys are there, or one cannot be read.
    """
    signers = {s.public_key.keyid: s for s in (load_key(p, secret) for p in _found(role, folders))}
    if len(signers) < THRESHOLD:
        raise UnusableKey(
            f"{len(signers)} of {THRESHOLD} {role} keys were found:"
            f" name the folders of at least {THRESHOLD} custodians."
        )
    return list(signers.values())


def load_public_keys(role: str, folders: Iterable[Path]) -> list[Key]:
    """The public halves of a role's keys in some folders and the folders right below them.

    Raises:
        UnusableKey: one cannot be read.
    """
    paths = _found(role, folders, ".pub.pem")
    return list({key.keyid: key for key in map(load_public_key, paths)}.values())


def load_online_keys(folder: Path, secret: bytes | None = None) -> OnlineKeys:
    """The snapshot and the timestamp key in a folder; of several the one with the highest number.

    Raises:
        UnusableKey: one is missing or cannot be read.
    """
    newest = []
    for role in ONLINE_ROLES:
        paths = _found(role, [folder])
        if not paths:
            raise UnusableKey(f"{folder} has no {role} key: make the online keys first.")
        newest.append(load_key(paths[-1], secret))
    return OnlineKeys(*newest)


def _make(paths: list[Path], secret: bytes | None) -> list[Path]:
    for path in paths:  # all or none
        if path.exists() or _public(path).exists():
            raise UnusableKey(f"{path} exists: keys are never overwritten.")
    for path in paths:
        make_key(path, secret)
    return paths


def _found(role: str, folders: Iterable[Path], ending: str = ".pem") -> list[Path]:
    """Files named ``ROLE-NUMBER.pem``, by number."""
    numbered = []
    for folder in folders:
        for path in (*folder.glob(f"{role}-*{ending}"), *folder.glob(f"*/{role}-*{ending}")):
            number = path.name.removeprefix(f"{role}-").removesuffix(ending)
            if number.isascii() and number.isdigit():
                numbered.append((int(number), path))
    return [path for _, path in sorted(numbered)]


def _public(path: Path) -> Path:
    return path.with_suffix(".pub.pem")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableKey(f"{path} cannot be read ({error.strerror}): name a key file.") from None


def _write_new(path: Path, octets: bytes, mode: int) -> None:
    """Write a file that must not exist yet; none is left where it cannot be written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
