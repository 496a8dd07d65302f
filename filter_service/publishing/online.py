"""Snapshot and timestamp: what the online keys sign, every day, over what the targets keys signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from filter_service.publishing.errors import UnusableKey
from filter_service.publishing.keys import OnlineKeys
from filter_service.publishing.layout import AUDIENCE, ONLINE_VALID
from filter_service.publishing.moments import whole_seconds
from filter_service.publishing.state import Published


@dataclass(frozen=True)
class OnlineMetadata:
    """Signed metadata, ready to be written; ``version`` is the snapshot's."""

    version: int
    snapshot: bytes
    timestamp: bytes


def signed_online(
    root: Root,
    targets: Metadata[Targets],
    octets: bytes,
    before: Published | None,
    *,
    audience: str,
    keys: Sequence[OnlineKeys],
    now: datetime,
) -> OnlineMetadata:
    """The next snapshot and timestamp over targets metadata.

    Each names length and SHA-256 of what is below it, so that the audience, which the timestamp
    names, binds all of it.

    Args:
        root: the root under which they must be valid.
        targets: the targets metadata.
        octets: the same as it is written.
        before: what is published now.
        audience: ``public`` or ``operators``.
        keys: one pair; two while keys are rotated.
        now: the moment from which they are valid for 14 days, with time zone.

    Raises:
        UnusableKey: no key is one that the root names.
    """
    expires = whole_seconds(now) + ONLINE_VALID
    below = MetaFile.from_data(targets.signed.version, octets, ["sha256"])
    snapshot = Metadata(
        Snapshot(
            version=before.snapshot.version + 1 if before else 1,
            expires=expires,
            meta={"targets.json": below},
        )
    )
    snapshot_octets = _signed(root, snapshot, [pair.snapshot for pair in keys])
    version = snapshot.signed.version
    timestamp = Metadata(
        Timestamp(
            version=before.timestamp.version + 1 if before else 1,
            expires=expires,
            snapshot_meta=MetaFile.from_data(version, snapshot_octets, ["sha256"]),
            unrecognized_fields={AUDIENCE: audience},
        )
    )
    timestamp_octets = _signed(root, timestamp, [pair.timestamp for pair in keys])
    return OnlineMetadata(version, snapshot_octets, timestamp_octets)


def fits(root: Root, metadata: Metadata[Any]) -> bool:
    """Whether enough keys have signed that a root names for the role."""
    try:
        root.verify_delegate(metadata.signed.type, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError:
        return False
    return True


def _signed(root: Root, metadata: Metadata[Any], signers: Iterable[Signer]) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    if not fits(root, metadata):
        raise UnusableKey(
            f"The {metadata.signed.type} key is not one that the root names: name its folder."
        )
    return metadata.to_bytes()
