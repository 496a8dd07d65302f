"""Root metadata: which keys are trusted for what (TUF specification 4.3 and 6.1).

One root serves both audiences: byte for byte the same ``N.root.json`` lies in both repositories. Two
different roots signed by the same root keys would be unsound, since a client of one would accept the
other as its next version. What could still be replayed from one repository to the other is told apart
by the audience that every timestamp names (`filter_service.publishing.layout.AUDIENCE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from filter_service.publishing.errors import TooFewSignatures, UnusableProposal
from filter_service.publishing.layout import CUSTODIANS, ROOT_VALID, THRESHOLD
from filter_service.publishing.moments import whole_seconds


def first_root(
    root_keys: Sequence[Key],
    targets_keys: Sequence[Key],
    snapshot_key: Key,
    timestamp_key: Key,
    now: datetime,
) -> bytes:
    """Version 1, still without signatures.

    Args:
        root_keys: the public halves of the three root keys.
        targets_keys: of the three targets keys.
        snapshot_key: of the online key that signs snapshots.
        timestamp_key: of the online key that signs timestamps.
        now: the moment from which it is valid for 730 days, with time zone.

    Raises:
        UnusableProposal: not three different keys each, or one key in two roles.
    """
    root = Root(expires=whole_seconds(now) + ROOT_VALID, consistent_snapshot=True)
    assigned = {
        "root": root_keys,
        "targets": targets_keys,
        "snapshot": [snapshot_key],
        "timestamp": [timestamp_key],
    }
    for role, keys in assigned.items():
        for key in keys:
            root.add_key(key, role)
    for role in ("root", "targets"):
        root.roles[role].threshold = THRESHOLD
    _check_keys(root)
    return Metadata(root).to_bytes()


def next_root(
    current: bytes,
    now: datetime,
    *,
    online: tuple[Key, Key] | None = None,
    replaced: tuple[Key, Key] | None = None,
) -> bytes:
    """The version after ``current``, still without signatures, valid for 730 days from ``now``.

    Args:
        current: the root metadata now in force.
        now: a moment with time zone.
        online: public halves of a new snapshot and a new timestamp key. Both are replaced together:
            only so do clients recover from versions that a thief pushed ahead (TUF 5.3.11).
        replaced: an offline key and the one that takes its place, of the same role.

    Raises:
        UnusableProposal: the old key is in no offline role, or a new key has a role already.
    """
    root = deepcopy(parsed(current).signed)
    root.version += 1
    root.expires = whole_seconds(now) + ROOT_VALID
    if online is not None:
        for role, key in zip(("snapshot", "timestamp"), online, strict=True):
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(key, role)
    if replaced is not None:
        old, new = replaced
        roles = [role for role in ("root", "targets") if old.keyid in root.roles[role].keyids]
        if not roles:
            raise UnusableProposal(
                "The key to be replaced is no offline key of this root: name its .pub.pem file."
            )
        for role in roles:
            root.revoke_key(old.keyid, role)
            root.add_key(new, role)
    _check_keys(root)
    return Metadata(root).to_bytes()


def parsed(octets: bytes) -> Metadata[Root]:
    """Root metadata, its signatures not looked at.

    Raises:
        UnusableProposal: something else.
    """
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(octets)
    except DeserializationError:
        raise UnusableProposal("This is no TUF metadata: name a root.json.") from None
    if not isinstance(metadata.signed, Root):
        raise UnusableProposal(f"This is {metadata.signed.type} metadata: name a root.json.")
    return metadata


def verified(octets: bytes, previous: Metadata[Root] | None = None) -> Metadata[Root]:
    """Root metadata signed by enough of its own keys and of the keys of the version before it.

    Raises:
        TooFewSignatures: it is not.
        UnusableProposal: it is something else, or not the version after ``previous``.
    """
    metadata = parsed(octets)
    if previous is not None and metadata.signed.version != previous.signed.version + 1:
        raise UnusableProposal(
            f"This root has version {metadata.signed.version}, the repository has"
            f" {previous.signed.version}: make the next one of the root that is in force."
        )
    for judge in (metadata, previous or metadata):
        try:
            judge.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError:
            raise TooFewSignatures(
                f"Root version {metadata.signed.version} lacks signatures: at least {THRESHOLD} root"
                f" keys of this version and {THRESHOLD} of the one before must sign."
            ) from None
    return metadata


def _check_keys(root: Root) -> None:
    expected = {"root": CUSTODIANS, "targets": CUSTODIANS, "snapshot": 1, "timestamp": 1}
    for role, count in expected.items():
        if len(root.roles[role].keyids) != count:
            raise UnusableProposal(
                f"{len(root.roles[role].keyids)} different {role} keys are given,"
                f" it takes {count}: name the public keys of all custodians, each once."
            )
    if len(root.keys) != sum(expected.values()):
        raise UnusableProposal("A key has two roles: make a new key for each role.")
