"""What a hostile server, network or thief can try, and what a client does: the file stays as it is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from filter import Bundle
from filter_service.client import Fetched, KeyRefused, Limits, NoRepository, NotReached, NotTrusted
from filter_service.publishing import keys, roots, signing
from filter_service.publishing.layout import AUDIENCE
from filter_service.publishing.targets import bundle_target

TIMESTAMP = "/public/metadata/timestamp.json"
SOON = timedelta(days=9)


@pytest.fixture
def old(world: Any) -> bytes:
    """A client that has the first release; returns what it has."""
    world.publish("0")
    return bytes(world.get().path.read_bytes())


def refused(world: Any, match: str = "not what the publisher signed") -> None:
    """Neither a client that has a bundle nor a new one takes what the server says."""
    before = world.placed().read_bytes()
    for name in ("client", "newcomer"):
        with pytest.raises(NotTrusted, match=match):
            world.get(name)
    assert world.placed().read_bytes() == before
    assert not world.placed("newcomer").exists()


def target_path(world: Any, version: int, audience: str = "public") -> str:
    name = f"lethe-{audience}.safetensors"
    folder = world.base / audience / "metadata"
    targets: Any = Metadata.from_file(str(folder / f"{version}.targets.json")).signed
    return f"/{audience}/targets/{targets.targets[name].hashes['sha256']}.{name}"


def online_over(world: Any, targets: MetaFile, version: int, *signers: CryptoSigner) -> None:
    """A snapshot and a timestamp of this version, made by whoever has the online keys."""
    snapshot_key, timestamp_key = signers or (world.online.snapshot, world.online.timestamp)
    expires = datetime.now(UTC) + SOON
    snapshot = world.forge(
        f"{version}.snapshot.json",
        Snapshot(version=version, expires=expires, meta={"targets.json": targets}),
        snapshot_key,
    )
    world.forge(
        "timestamp.json",
        Timestamp(
            version=version,
            expires=expires,
            snapshot_meta=MetaFile.from_data(version, snapshot, ["sha256"]),
            unrecognized_fields={AUDIENCE: "public"},
        ),
        timestamp_key,
    )


def forged_targets(world: Any, version: int, *signers: CryptoSigner) -> bytes:
    """The attacker's bundle and targets metadata for it; returns the bundle."""
    path = world.bundle("9")
    target = TargetFile.from_file("lethe-public.safetensors", str(path), ["sha256"])
    targets = Targets(version=version, expires=world.repository.status().targets_expires)
    targets.targets[target.path] = target
    octets = world.forge(f"{version}.targets.json", targets, *signers)
    served = world.base / "public" / "targets" / f"{target.hashes['sha256']}.{target.path}"
    served.write_bytes(path.read_bytes())
    online_over(world, MetaFile.from_data(version, octets, ["sha256"]), version + 10)
    return bytes(path.read_bytes())


# Rollback, freeze, mix and match


def test_rollback_of_the_timestamp(world: Any, old: bytes, tools: Any) -> None:
    stamp = world.read("timestamp.json")
    second = world.publish("1").read_bytes()
    world.get()
    world.server.answers[TIMESTAMP] = tools.octets(stamp)
    with pytest.raises(NotTrusted, match="BadVersionNumberError"):
        world.get()
    assert world.placed().read_bytes() == second != old
    # Nobody can tell a newcomer that there is something newer, as long as it has not expired.
    assert world.get("newcomer").release == f"{tools.HALF}.0"


def test_rollback_of_the_snapshot(world: Any, old: bytes) -> None:
    """By a thief of the timestamp key: an old, true snapshot under a new timestamp."""
    snapshot = world.read("1.snapshot.json")
    second = world.publish("1").read_bytes()
    world.get()
    world.forge(
        "timestamp.json",
        Timestamp(
            version=7,
            expires=world.repository.status().timestamp_expires,
            snapshot_meta=MetaFile.from_data(1, snapshot, ["sha256"]),
            unrecognized_fields={AUDIENCE: "public"},
        ),
        world.online.timestamp,
    )
    with pytest.raises(NotTrusted, match="BadVersionNumberError"):
        world.get()
    assert world.placed().read_bytes() == second != old


def test_rollback_of_the_targets(world: Any, old: bytes) -> None:
    """By a thief of both online keys: old, true targets metadata under a new snapshot."""
    targets = world.read("1.targets.json")
    second = world.publish("1").read_bytes()
    world.get()
    online_over(world, MetaFile.from_data(1, targets, ["sha256"]), 7)
    with pytest.raises(NotTrusted, match="BadVersionNumberError"):
        world.get()
    assert world.placed().read_bytes() == second != old


def test_freeze(world: Any, old: bytes, tools: Any) -> None:
    """The same true answers for ever: a warning once the timestamp has expired, no new client."""
    world.repository.refresh(world.online, tools.NOW - timedelta(days=13, hours=23))
    assert world.get().warnings == ()
    world.repository.refresh(world.online, tools.NOW - timedelta(days=14, seconds=1))
    assert "expired metadata" in world.get().warnings[0]
    assert world.placed().read_bytes() == old
    with pytest.raises(NotReached):
        world.get("newcomer")


def test_mix_and_match(world: Any, old: bytes, tools: Any) -> None:
    """Parts of two true releases."""
    for part in ("snapshot", "targets"):
        before = world.read(f"1.{part}.json")
        if part == "snapshot":
            world.publish("1")
        world.server.answers = {f"/public/metadata/2.{part}.json": tools.octets(before)}
        refused(world, "LengthOrHashMismatchError")


def test_a_target_of_another_release(world: Any, old: bytes, tools: Any) -> None:
    world.publish("1")
    world.server.answers[target_path(world, 2)] = tools.octets(old)
    refused(world, "LengthOrHashMismatchError")


@pytest.mark.parametrize("at", [0, 500, -1])
def test_a_tampered_target(world: Any, old: bytes, tools: Any, at: int) -> None:
    second = bytearray(world.publish("1").read_bytes())
    second[at] ^= 1
    world.server.answers[target_path(world, 2)] = tools.octets(bytes(second))
    refused(world, "LengthOrHashMismatchError")


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_tampered_metadata(world: Any, old: bytes, tools: Any, name: str) -> None:
    world.publish("1")
    octets = world.read(name).replace(b'"version":2', b'"version":3')
    assert octets != world.read(name)
    world.server.answers[f"/public/metadata/{name}"] = tools.octets(octets)
    refused(world)


@pytest.mark.parametrize(
    "content", [b"", b"no JSON", b"[]", b"{}", b'{"signed": []}', b"[" * 5000, b"\xff\xfe"]
)
@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "2.snapshot.json"])
def test_nonsense(world: Any, old: bytes, tools: Any, name: str, content: bytes) -> None:
    world.publish("1")
    world.server.answers[f"/public/metadata/{name}"] = tools.octets(content)
    refused(world, "not to be trusted|not what")


# Stolen keys


def test_stolen_online_keys(world: Any, old: bytes) -> None:
    forged_targets(world, 2, world.online.snapshot, world.online.timestamp)
    refused(world, "UnsignedMetadataError")


def test_one_stolen_targets_key(world: Any, old: bytes) -> None:
    forged_targets(world, 2, world.targets_keys[0], world.online.snapshot, world.root_keys[0])
    refused(world, "UnsignedMetadataError")


def test_two_targets_keys_are_the_threshold(world: Any, old: bytes) -> None:
    """The near miss of the two tests above: they fail for the signatures alone."""
    forged = forged_targets(world, 2, *world.targets_keys[1:])
    assert world.get().path.read_bytes() == forged != old


def test_one_signature_counted_twice(world: Any, old: bytes, tools: Any) -> None:
    forged_targets(world, 2, world.targets_keys[0])
    octets = world.read("2.targets.json")
    first, rest = octets.split(b"}],", 1)
    twice = first + b"}," + first.removeprefix(b'{"signatures":[') + b"}]," + rest
    (world.base / "public/metadata/2.targets.json").write_bytes(twice)
    online_over(world, MetaFile.from_data(2, twice, ["sha256"]), 13)
    refused(world)


def test_one_stolen_root_key(world: Any, old: bytes, tools: Any) -> None:
    thief = keys.OnlineKeys(CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519())
    root = roots.next_root(
        world.root, tools.NOW, online=(thief.snapshot.public_key, thief.timestamp.public_key)
    )
    octets = signing.signed(root, [world.root_keys[0], world.targets_keys[0], thief.snapshot])
    (world.base / "public/metadata/2.root.json").write_bytes(octets)
    refused(world, "UnsignedMetadataError")


def test_a_stranger_with_a_repository_of_his_own(world: Any, old: bytes, tools: Any) -> None:
    root, targets = ([CryptoSigner.generate_ed25519() for _ in range(3)] for _ in range(2))
    online = keys.OnlineKeys(CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519())
    theirs = tools.first_root(root, targets, online, tools.NOW)
    (world.base / "public/metadata/1.root.json").write_bytes(theirs)
    described = dict([bundle_target(world.bundle("9"), tools.NOW, allow_testing=True)])
    world.repository.publish(described, targets, online, tools.NOW)
    refused(world, "UnsignedMetadataError")
    # Whoever is given their root by mistake does not mix it with what came before.
    with pytest.raises(NotTrusted):
        world.get("newcomer")
    assert world.get("theirs", root=theirs).updated


# One repository in place of the other


def test_metadata_of_operators_replayed_to_the_public(world: Any, old: bytes, tools: Any) -> None:
    """Same root, same keys, higher versions: remembered once, it would look like a rollback ever after."""
    world.publish("0", audience="operators")
    for _ in range(3):
        world.operators.refresh(world.online, tools.NOW)
    for name in ("timestamp.json", "4.snapshot.json", "1.targets.json"):
        octets = world.read(name, "operators")
        world.server.answers[f"/public/metadata/{name}"] = tools.octets(octets)
    refused(world, "another audience")
    world.server.answers.clear()
    world.publish("1")
    assert world.get().release == f"{tools.HALF}.1"


# Rotation


def test_an_old_client_after_many_rotations(
    world: Any, old: bytes, tools: Any, tmp_path: Path
) -> None:
    """Online keys, a targets key and a root key were replaced, one after the other."""
    online = [world.online]
    for number in (2, 3):
        folder = tmp_path / f"online-{number}"
        keys.make_online_keys(folder)
        online.append(keys.load_online_keys(folder))
        public = (online[-1].snapshot.public_key, online[-1].timestamp.public_key)
        root = roots.next_root(world.repository.root, tools.NOW, online=public)
        world.repository.rotate(
            signing.signed(root, world.root_keys[:2]), online[-1], tools.NOW, previous=online[-2]
        )
    new = [CryptoSigner.generate_ed25519() for _ in range(2)]
    for held, key in zip((world.targets_keys, world.root_keys), new, strict=True):
        # The key at the end is the one that did not sign what is published.
        root = roots.next_root(
            world.repository.root, tools.NOW, replaced=(held[2].public_key, key.public_key)
        )
        octets = signing.signed(root, [*world.root_keys[:2]])
        world.repository.rotate(octets, online[-1], tools.NOW)
    assert world.get().warnings == ()

    world.targets_keys = [world.targets_keys[0], new[0]]
    world.online = online[-1]
    second = world.publish("1").read_bytes()
    assert world.get().path.read_bytes() == second != old
    assert world.get("another").path.read_bytes() == second
    # The keys that were replaced are worth nothing any more.
    online_over(
        world,
        MetaFile.from_data(2, world.read("2.targets.json"), ["sha256"]),
        50,
        online[0].snapshot,
        online[0].timestamp,
    )
    refused(world, "UnsignedMetadataError")


def test_new_online_keys_undo_a_fast_forward(
    world: Any, old: bytes, tools: Any, tmp_path: Path
) -> None:
    """A thief of the online keys pushed all versions ahead (TUF 5.3.11)."""
    stamp = world.read("timestamp.json")
    online_over(world, MetaFile(9_999_999), 9_999_999)
    with pytest.raises(NoRepository):
        world.get()
    # The publisher puts back what was there, in vain.
    (world.base / TIMESTAMP.removeprefix("/")).write_bytes(stamp)
    with pytest.raises(NotTrusted, match="BadVersionNumberError"):
        world.get()
    keys.make_online_keys(tmp_path / "new")
    new = keys.load_online_keys(tmp_path / "new")
    public = (new.snapshot.public_key, new.timestamp.public_key)
    root = roots.next_root(world.root, tools.NOW, online=public)
    world.repository.rotate(signing.signed(root, world.root_keys), new, tools.NOW)
    assert world.get().warnings == ()
    world.online = new
    world.publish("1")
    assert world.get().release == f"{tools.HALF}.1"


# Servers that do not end


def forever(handler: Any) -> None:
    """Data without end."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.closing.is_set():
        handler.wfile.write(b"x" * 65536)


def one_by_one(handler: Any, content: bytes) -> None:
    for octet in content:
        handler.wfile.write(bytes([octet]))
        handler.wfile.flush()
        if handler.server.closing.wait(0.05):
            return


def drips_headers(handler: Any) -> None:
    handler.close_connection = True
    one_by_one(handler, b"HTTP/1.1 200 OK\r\nX-Endless: " + b"x" * 60000)


def drips_content(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "3000")
    handler.end_headers()
    one_by_one(handler, b"x" * 3000)


def drips_chunk_size(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    one_by_one(handler, b"1;" + b"x" * 60000)


def says_nothing(handler: Any) -> None:
    handler.close_connection = True
    handler.server.closing.wait(30)


def stops_midway(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "3000")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)
    handler.close_connection = True


@pytest.mark.parametrize("where", ["timestamp", "snapshot", "targets", "file", "root"])
def test_data_without_end(world: Any, old: bytes, where: str) -> None:
    world.publish("1")
    path = {
        "root": "/public/metadata/2.root.json",
        "timestamp": TIMESTAMP,
        "snapshot": "/public/metadata/2.snapshot.json",
        "targets": "/public/metadata/2.targets.json",
        "file": target_path(world, 2),
    }[where]
    world.server.answers[path] = forever
    began = time.monotonic()
    refused(world, "DownloadLengthMismatchError")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "answer", [drips_headers, drips_content, drips_chunk_size, says_nothing, stops_midway]
)
@pytest.mark.parametrize("where", ["timestamp", "file"])
def test_slow_servers(world: Any, old: bytes, tools: Any, answer: Any, where: str) -> None:
    world.publish("1")
    path = TIMESTAMP if where == "timestamp" else target_path(world, 2)
    world.server.answers[path] = answer
    began = time.monotonic()
    kept = world.get(limits=tools.HASTY)
    assert time.monotonic() - began < 10
    assert "did not answer in full and in time" in kept.warnings[0]
    assert kept.path.read_bytes() == old
    with pytest.raises(NotReached):
        world.get("newcomer", limits=tools.HASTY)


def test_a_server_that_is_slow_but_fast_enough(world: Any, old: bytes) -> None:
    """The near miss: the same drip, within what the size allows."""
    second = world.publish("1").read_bytes()

    def steps(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for first in range(0, len(second), 512):
            piece = second[first : first + 512]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.05)
        handler.wfile.write(b"0\r\n\r\n")

    world.server.answers[target_path(world, 2)] = steps
    fetched: Fetched = world.get(limits=Limits(idle_s=20, answer_s=0.1, slowest_bytes_per_s=1024))
    assert fetched.path.read_bytes() == second != old
    assert threading.active_count() < 30  # the timers are gone


# Redirects


def test_redirects_to_another_origin(world: Any, old: bytes, tools: Any, tmp_path: Path) -> None:
    world.publish("1")
    other = tools.Server(world.base)
    try:
        for path in (TIMESTAMP, target_path(world, 2), "/public/metadata/2.root.json"):
            world.server.answers = {path: tools.redirect(other.url + path)}
            refused(world, "redirects to 127.0.0.1")
        assert other.requests == []
        # Named hosts are reached over https only.
        with pytest.raises(NotTrusted, match="redirects to"):
            world.get(redirect_hosts=["127.0.0.1"])
        assert other.requests == []
    finally:
        other.stop()


@pytest.mark.parametrize(
    "location",
    [
        "http://elsewhere.example/x",
        "https://elsewhere.example/x",
        "//elsewhere.example/x",
        "file:///x",
    ],
)
def test_redirects_elsewhere(world: Any, old: bytes, tools: Any, location: str) -> None:
    world.server.answers[TIMESTAMP] = tools.redirect(location)
    refused(world, "not to be trusted")


def test_redirects_inside_the_origin(world: Any, old: bytes, tools: Any) -> None:
    second = world.publish("1").read_bytes()
    path = target_path(world, 2)
    world.server.answers[path] = tools.redirect("/once")
    world.server.answers["/once"] = tools.redirect("twice?token=1")
    world.server.answers["/twice?token=1"] = tools.octets(second)
    assert world.get().path.read_bytes() == second != old


def test_redirects_in_a_circle(world: Any, old: bytes, tools: Any) -> None:
    world.server.answers[TIMESTAMP] = tools.redirect(TIMESTAMP)
    refused(world, "too many redirects")
    asked = [path for path, _ in world.server.requests].count(TIMESTAMP)
    assert asked == 1 + 2 * 4  # once by the fixture, and four times by each client


# The key


def test_the_key_goes_nowhere_else(world: Any, tools: Any) -> None:
    world.publish(audience="operators")
    other = tools.Server(world.base)
    try:
        world.server.answers["/operators/metadata/timestamp.json"] = tools.redirect(
            other.url + "/operators/metadata/timestamp.json"
        )
        with pytest.raises(NotTrusted):
            world.get(audience="operators", key=tools.OPERATOR_KEY)
        assert other.requests == []
    finally:
        other.stop()
    asked = [headers["Authorization"] for _, headers in world.server.requests]
    assert set(asked) == {f"Bearer {tools.OPERATOR_KEY}"}


def test_the_key_is_in_no_message(world: Any) -> None:
    world.publish(audience="operators")
    with pytest.raises(KeyRefused) as error:
        world.get(audience="operators", key="s3cret-k3y")
    assert "s3cret" not in f"{error.value!r}{error.value.__cause__!r}{error.value.__context__!r}"


def test_what_a_client_had_is_a_bundle(world: Any, old: bytes) -> None:
    """Of the fixture that these tests stand on."""
    assert Bundle.from_bytes(old).audience == "public"
