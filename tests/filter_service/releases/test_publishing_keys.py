"""Keys, roots and signatures."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filter_service.publishing import keys, roots, signing
from filter_service.publishing.errors import (
    TooFewSignatures,
    UnusableKey,
    UnusableProposal,
    UnusableRepository,
)
from filter_service.publishing.repository import Repository


def test_offline_keys_are_three_pairs(tmp_path: Path) -> None:
    made = keys.make_offline_keys(tmp_path / "keys")
    names = [f"custodian-{n}/{role}-{n}.pem" for n in (1, 2, 3) for role in ("root", "targets")]
    assert [str(path.relative_to(tmp_path / "keys")) for path in made] == names
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert keys.load_public_key(path.with_suffix(".pub.pem")) == keys.load_key(path).public_key
    assert len({keys.load_key(path).public_key.keyid for path in made}) == 6


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    keys.make_online_keys(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    with pytest.raises(UnusableKey, match="never overwritten"):
        keys.make_online_keys(tmp_path)
    with pytest.raises(UnusableKey, match="never overwritten"):
        keys.make_key(tmp_path / "snapshot-1.pem")
    (tmp_path / "snapshot-1.pem").unlink()
    with pytest.raises(UnusableKey, match="never overwritten"):  # its public half is there
        keys.make_online_keys(tmp_path)
    assert not (tmp_path / "snapshot-1.pem").exists()
    assert all(path.read_bytes() == octets for path, octets in before.items() if path.exists())


def test_passphrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    assert keys.passphrase() is None
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "Hütte 7")
    secret = keys.passphrase()
    path = tmp_path / "sealed" / "root-1.pem"
    keys.make_key(path, secret)
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert keys.load_key(path, secret).public_key == keys.load_public_key(
        path.with_suffix(".pub.pem")
    )
    with pytest.raises(UnusableKey, match=keys.PASSPHRASE_VARIABLE):
        keys.load_key(path)
    with pytest.raises(UnusableKey, match="wrong one") as error:
        keys.load_key(path, b"another")
    assert "another" not in str(error.value)
    # A key without one opens whatever the environment says.
    keys.make_key(tmp_path / "open.pem")
    keys.load_key(tmp_path / "open.pem", secret)


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "root-1.pem"
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for octets in (b"", b"-----BEGIN PRIVATE KEY-----\n", pem, b"\xff"):
        path.write_bytes(octets)
        with pytest.raises(UnusableKey):
            keys.load_key(path)
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for octets in (b"", pem, public):
        path.write_bytes(octets)
        with pytest.raises(UnusableKey):
            keys.load_public_key(path)
    with pytest.raises(UnusableKey, match="cannot be read"):
        keys.load_key(tmp_path / "none.pem")
    with pytest.raises(UnusableKey, match="cannot be read"):
        keys.load_public_key(tmp_path / "none.pub.pem")


def test_two_of_three_sticks(ceremony: Path) -> None:
    sticks = sorted((ceremony / "offline").iterdir())
    every = {s.public_key.keyid for s in keys.load_offline_keys("targets", [ceremony / "offline"])}
    assert len(every) == 3
    for left_out in range(3):
        two = [stick for number, stick in enumerate(sticks) if number != left_out]
        found = {s.public_key.keyid for s in keys.load_offline_keys("targets", two)}
        assert len(found) == 2
        assert found < every
    for too_few in ([sticks[0]], [sticks[0], sticks[0]], []):
        with pytest.raises(UnusableKey, match="of 2 targets keys"):
            keys.load_offline_keys("targets", too_few)
    assert len(keys.load_public_keys("root", sticks)) == 3


def test_the_newest_online_keys_are_loaded(tmp_path: Path) -> None:
    keys.make_online_keys(tmp_path)
    first = keys.load_online_keys(tmp_path)
    for number in (2, 10):
        keys.make_key(tmp_path / f"snapshot-{number}.pem")
    newer = keys.load_online_keys(tmp_path)
    assert newer.snapshot.public_key == keys.load_public_key(tmp_path / "snapshot-10.pub.pem")
    assert newer.timestamp.public_key == first.timestamp.public_key
    with pytest.raises(UnusableKey, match="has no snapshot key"):
        keys.load_online_keys(tmp_path / "empty")


# Roots


def test_the_first_root(world: Any, tools: Any) -> None:
    root = roots.verified(world.root).signed
    assert root.consistent_snapshot
    assert (root.version, root.expires - (tools.NOW - 300 * tools.DAY)) == (1, 730 * tools.DAY)
    shape = {name: (len(role.keyids), role.threshold) for name, role in root.roles.items()}
    assert shape == {"root": (3, 2), "targets": (3, 2), "snapshot": (1, 1), "timestamp": (1, 1)}


def test_roots_that_are_not_made(world: Any, tools: Any) -> None:
    root = [k.public_key for k in world.root_keys]
    targets = [k.public_key for k in world.targets_keys]
    snapshot, timestamp = world.online.snapshot.public_key, world.online.timestamp.public_key
    for arguments in [
        (root[:2], targets, snapshot, timestamp),
        ([root[0], root[1], root[1]], targets, snapshot, timestamp),
        (root, targets[:1], snapshot, timestamp),
        (root, root, snapshot, timestamp),
        ([*root[:2], targets[0]], targets, snapshot, timestamp),
        (root, targets, snapshot, snapshot),
    ]:
        with pytest.raises(UnusableProposal):
            roots.first_root(*arguments, tools.NOW)
    roots.first_root(root, targets, snapshot, timestamp, tools.NOW)
    with pytest.raises(ValueError, match="time zone"):
        roots.first_root(root, targets, snapshot, timestamp, tools.NOW.replace(tzinfo=None))


def test_a_root_needs_two_root_keys(world: Any, tmp_path: Path) -> None:
    document = json.loads(world.root)
    document["signatures"] = []
    unsigned = json.dumps(document).encode()
    root, targets = world.root_keys, world.targets_keys
    for signers in ([], root[:1], targets, [root[0], root[0], targets[0], world.online.snapshot]):
        with pytest.raises(TooFewSignatures):
            Repository.create(tmp_path / "new", "public", signing.signed(unsigned, signers))
        assert not (tmp_path / "new").exists()
    Repository.create(tmp_path / "new", "public", signing.signed(unsigned, root[1:]))


def test_the_next_root(world: Any, tools: Any) -> None:
    new = keys.OnlineKeys(*(_key() for _ in range(2)))
    fresh = _key().public_key
    old = world.root_keys[0].public_key
    online = (new.snapshot.public_key, new.timestamp.public_key)
    root = roots.parsed(
        roots.next_root(world.root, tools.NOW, online=online, replaced=(old, fresh))
    ).signed
    assert (root.version, root.expires) == (2, tools.NOW + 730 * tools.DAY)
    assert [root.roles[r].keyids for r in ("snapshot", "timestamp")] == [[k.keyid] for k in online]
    assert fresh.keyid in root.roles["root"].keyids
    assert old.keyid not in root.keys
    assert len(root.keys) == 8
    # A root that only lives longer.
    same = roots.parsed(roots.next_root(world.root, tools.NOW)).signed
    assert same.keys == roots.parsed(world.root).signed.keys
    for replaced in [
        (fresh, old),
        (world.online.snapshot.public_key, fresh),
        (old, world.root_keys[1].public_key),
        (old, world.targets_keys[0].public_key),
    ]:
        with pytest.raises(UnusableProposal):
            roots.next_root(world.root, tools.NOW, replaced=replaced)
    for octets in (b"", b"{}", world.root[:-1]):
        with pytest.raises(UnusableProposal):
            roots.next_root(octets, tools.NOW)


def test_a_root_key_is_replaced_by_two_of_the_old_and_two_of_the_new(
    world: Any, tools: Any
) -> None:
    new = _key()
    unsigned = roots.next_root(
        world.root, tools.NOW, replaced=(world.root_keys[0].public_key, new.public_key)
    )
    old = world.root_keys
    for too_few in ([old[1], new], [old[0], old[1]], [old[0], new], [new]):
        with pytest.raises(TooFewSignatures):
            world.repository.rotate(signing.signed(unsigned, too_few), world.online, tools.NOW)
    assert world.repository.root == world.root
    for enough in ([old[1], old[2]], [old[0], old[1], new]):
        roots.verified(signing.signed(unsigned, enough), roots.parsed(world.root))


def test_versions_of_roots(world: Any, tools: Any) -> None:
    second = signing.signed(roots.next_root(world.root, tools.NOW), world.root_keys)
    third = signing.signed(roots.next_root(second, tools.NOW), world.root_keys)
    with pytest.raises(UnusableProposal, match="version 3"):
        world.repository.rotate(third, world.online, tools.NOW)
    world.repository.rotate(second, world.online, tools.NOW)
    world.repository.rotate(third, world.online, tools.NOW)
    with pytest.raises(UnusableProposal, match="version 2"):
        world.repository.rotate(second, world.online, tools.NOW)
    assert world.repository.root == third
    with pytest.raises(UnusableProposal, match="version 1"):
        Repository.create(world.folder / "new", "public", second)


def test_repositories_that_are_none(world: Any, tmp_path: Path) -> None:
    with pytest.raises(UnusableRepository, match="create it first"):
        Repository(tmp_path / "nowhere", "public")
    for make in (Repository, lambda *a: Repository.create(*a, world.root)):
        with pytest.raises(UnusableRepository, match="no audience"):
            make(world.base, "everybody")
    assert not (world.base / "everybody").exists()
    with pytest.raises(UnusableRepository, match="already"):
        Repository.create(world.base, "public", world.root)
    with pytest.raises(UnusableRepository, match="publish first"):
        world.repository.status()
    with pytest.raises(UnusableRepository, match="publish first"):
        world.repository.refresh(world.online, datetime.now(UTC))
    world.publish()
    (world.base / "public").rename(world.base / "aside")
    (world.base / "operators").rename(world.base / "public")
    (world.base / "aside").rename(world.base / "operators")
    with pytest.raises(UnusableRepository, match="not the repository for operators"):
        Repository(world.base, "operators").status()


def _key() -> Any:
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner.generate_ed25519()
