"""What travels between the web host and the machines of the custodians: a folder to be signed.

A proposal holds ``metadata.json`` (root or targets metadata) and, for targets, the files it names, so
that each custodian's machine can check what it signs. Signatures are added one at a time, on one
machine after the other; no offline key ever visits the web host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from filter_service.publishing import files
from filter_service.publishing.errors import UnusableProposal

METADATA_FILE = "metadata.json"


@dataclass(frozen=True)
class Summary:
    """What a custodian looks at before signing."""

    role: str
    version: int
    expires: datetime
    targets: Mapping[str, Mapping[str, Any]]
    """For each target: ``length`` in octets, ``sha256``, and what its ``custom`` field says."""
    keys: Mapping[str, tuple[str, ...]]
    """For root metadata the ids of the keys of each role."""
    signatures: int


def propose(folder: Path, metadata: bytes, targets: Mapping[str, Path] | None = None) -> None:
    """Write a proposal; the metadata comes last, so that a folder that has it is complete.

    Raises:
        UnusableProposal: the folder holds a proposal already.
        InputError: it cannot be written there.
    """
    if (folder / METADATA_FILE).exists():
        raise UnusableProposal(f"{folder} holds a proposal already: choose an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in (targets or {}).items():
        files.copy(source, folder / name)
    files.write(folder / METADATA_FILE, metadata)


def read(folder: Path) -> Metadata[Root] | Metadata[Targets]:
    """The metadata of a proposal, whose files are as it says.

    Raises:
        UnusableProposal: there is none, or a file is missing or another one.
    """
    path = folder / METADATA_FILE
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    except (OSError, DeserializationError):
        raise UnusableProposal(f"{folder} holds no proposal: prepare one first.") from None
    if isinstance(metadata.signed, Targets):
        for name, target in metadata.signed.targets.items():
            try:
                with (folder / name).open("rb") as file:
                    target.verify_length_and_hashes(file)
            except (OSError, LengthOrHashMismatchError):
                raise UnusableProposal(
                    f"{folder / name} is not the file that the proposal names: prepare it again."
                ) from None
    elif not isinstance(metadata.signed, Root):
        raise UnusableProposal(f"{path} is {metadata.signed.type} metadata: nothing to sign here.")
    return metadata


def summary(folder: Path) -> Summary:
    """What a proposal says, its files checked.

    Raises:
        UnusableProposal: there is none, or a file is missing or another one.
    """
    metadata = read(folder)
    signed = metadata.signed
    found = signed.targets if isinstance(signed, Targets) else {}
    targets = {
        name: {"length": target.length, "sha256": target.hashes["sha256"], **(target.custom or {})}
        for name, target in found.items()
    }
    roles = signed.roles if isinstance(signed, Root) else {}
    keys = {role: tuple(about.keyids) for role, about in roles.items()}
    signatures = len(metadata.signatures)
    return Summary(signed.type, signed.version, signed.expires, targets, keys, signatures)


def sign(folder: Path, signer: Signer) -> Summary:
    """Add a signature to a proposal; the same key twice counts once.

    Raises:
        UnusableProposal: there is none, or a file is missing or another one.
        InputError: it cannot be written there.
    """
    metadata = read(folder)
    metadata.sign(signer, append=True)
    files.write(folder / METADATA_FILE, metadata.to_bytes())
    return summary(folder)


def signed(metadata: bytes, signers: Iterable[Signer]) -> bytes:
    """Metadata with more signatures: for development, where all keys are at hand."""
    parsed: Metadata[Any] = Metadata.from_bytes(metadata)
    for signer in signers:
        parsed.sign(signer, append=True)
    return parsed.to_bytes()
