"""What a repository has published: the chain of metadata that ``timestamp.json`` begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from filter_service.publishing.errors import UnusableRepository
from filter_service.publishing.layout import AUDIENCE, METADATA, TARGETS, TIMESTAMP


@dataclass(frozen=True)
class Published:
    """The state that ``timestamp.json`` names."""

    targets: Metadata[Targets]
    targets_octets: bytes
    snapshot: Snapshot
    timestamp: Timestamp

    @property
    def in_use(self) -> frozenset[str]:
        """The versioned files that clients need, relative to the repository's folder."""
        found = {location(n, t.hashes) for n, t in self.targets.signed.targets.items()}
        found.add(f"{METADATA}/{self.targets.signed.version}.targets.json")
        found.add(f"{METADATA}/{self.snapshot.version}.snapshot.json")
        return frozenset(found)


@dataclass(frozen=True)
class Status:
    """What is published, and when somebody must sign again."""

    root_version: int
    root_expires: datetime
    releases: Mapping[str, str | None]
    """Each target's name and release."""
    targets_version: int
    targets_expires: datetime
    timestamp_version: int
    timestamp_expires: datetime

    @classmethod
    def of(cls, root: Root, now: Published) -> Status:
        """The same in short."""
        targets = now.targets.signed
        return cls(
            root.version,
            root.expires,
            {
                name: (target.custom or {}).get("release")
                for name, target in targets.targets.items()
            },
            targets.version,
            targets.expires,
            now.timestamp.version,
            now.timestamp.expires,
        )


def location(name: str, hashes: Mapping[str, str]) -> str:
    """Where a target lies, relative to the repository's folder."""
    return f"{TARGETS}/{hashes['sha256']}.{name}"


def published(folder: Path, audience: str) -> Published | None:
    """The state of a repository; none before its first release.

    Raises:
        UnusableRepository: a file is missing or damaged, or it is the repository of another audience.
    """
    metadata = folder / METADATA
    if not (metadata / TIMESTAMP).exists():
        return None
    timestamp, _ = _load(metadata / TIMESTAMP)
    if timestamp.signed.unrecognized_fields.get(AUDIENCE) != audience:
        raise UnusableRepository(f"{folder} is not the repository for {audience}: name its base.")
    version = timestamp.signed.snapshot_meta.version
    snapshot, _ = _load(metadata / f"{version}.snapshot.json")
    version = snapshot.signed.meta["targets.json"].version
    targets, octets = _load(metadata / f"{version}.targets.json")
    return Published(targets, octets, snapshot.signed, timestamp.signed)


def _load(path: Path) -> tuple[Metadata[Any], bytes]:
    try:
        octets = path.read_bytes()
        return Metadata.from_bytes(octets), octets
    except (OSError, DeserializationError):
        raise UnusableRepository(f"{path} cannot be read: restore it from a mirror.") from None
