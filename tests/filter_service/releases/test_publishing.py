"""Publishing: the signing that travels, what is refused, what stays, and crashes at every moment."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from filter.errors import BundleExpired, DamagedBundle, InputError
from filter.release import refused_from
from filter_service.client import NotTrusted
from filter_service.publishing import keys, roots, signing
from filter_service.publishing.errors import (
    RefusedTarget,
    TooFewSignatures,
    UnusableKey,
    UnusableProposal,
    UnusableRepository,
)
from filter_service.publishing.repository import Repository
from filter_service.publishing.targets import bundle_target

NAME = "lethe-public.safetensors"


def described(world: Any, tools: Any, release: str = "0", **options: Any) -> dict[str, Any]:
    path = world.bundle(release, **options)
    return dict([bundle_target(path, tools.NOW, allow_testing=True)])


def files_of(world: Any, audience: str = "public") -> set[str]:
    folder = world.base / audience
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# Three machines


def test_the_signing_travels(world: Any, tools: Any) -> None:
    proposal = world.folder / "stick" / "proposal"
    prepared = world.repository.prepare(proposal, described(world, tools), tools.NOW)
    assert files_of(world) == {"metadata/1.root.json"}
    assert (prepared.role, prepared.version, prepared.signatures) == ("targets", 1, 0)
    assert prepared.expires == tools.NOW + 275 * tools.DAY
    with pytest.raises(TooFewSignatures, match="0 of 2"):
        world.repository.finish(proposal, world.online, tools.NOW)
    assert signing.sign(proposal, world.targets_keys[2]).signatures == 1
    assert signing.sign(proposal, world.targets_keys[2]).signatures == 1
    with pytest.raises(TooFewSignatures, match="1 of 2"):
        world.repository.finish(proposal, world.online, tools.NOW)
    # Signatures of other roles do not count.
    assert signing.sign(proposal, world.root_keys[0]).signatures == 2
    with pytest.raises(TooFewSignatures, match="1 of 2"):
        world.repository.finish(proposal, world.online, tools.NOW)
    assert not (world.base / "public/metadata/timestamp.json").exists()
    signing.sign(proposal, world.targets_keys[0])
    status = world.repository.finish(proposal, world.online, tools.NOW)
    assert status.releases == {NAME: f"{tools.HALF}.0"}
    assert status.timestamp_expires == tools.NOW + 14 * tools.DAY
    assert world.get().release == f"{tools.HALF}.0"
    before = world.read("timestamp.json")
    assert world.repository.finish(proposal, world.online, tools.NOW) == status
    assert world.read("timestamp.json") == before
    with pytest.raises(UnusableProposal, match="choose an empty folder"):
        world.repository.prepare(proposal, described(world, tools), tools.NOW)


def test_a_custodian_sees_what_is_signed(world: Any, tools: Any) -> None:
    proposal = world.folder / "proposal"
    bundle = described(world, tools)
    world.repository.prepare(proposal, bundle, tools.NOW)
    (target,) = signing.summary(proposal).targets.values()
    made = bundle[NAME][0]
    assert target.keys() == {"length", "sha256", "release", "audience", "normaliser", "valid_until"}
    assert (target["length"], target["audience"]) == (made.stat().st_size, "public")
    # What is public says nothing of anybody.
    text = (proposal / "metadata.json").read_text()
    assert "jane" not in text.lower()
    assert "müller" not in text.lower()

    folder = world.folder / "root-proposal"
    signing.propose(folder, roots.next_root(world.root, tools.NOW))
    shown = signing.summary(folder)
    assert (shown.role, shown.version, shown.targets) == ("root", 2, {})
    assert shown.keys["timestamp"] == (world.online.timestamp.public_key.keyid,)


def test_a_custodian_does_not_sign_what_was_exchanged(world: Any, tools: Any) -> None:
    proposal = world.folder / "proposal"
    world.repository.prepare(proposal, described(world, tools), tools.NOW)
    octets = (proposal / NAME).read_bytes()
    for changed in (octets[:-1], octets[:-1] + b"x", octets + b"x", None):
        (proposal / NAME).unlink()
        if changed is not None:
            (proposal / NAME).write_bytes(changed)
        with pytest.raises(UnusableProposal, match="not the file"):
            signing.sign(proposal, world.targets_keys[0])
        with pytest.raises(UnusableProposal, match="not the file"):
            world.repository.finish(proposal, world.online, tools.NOW)
        (proposal / NAME).write_bytes(octets)
    signing.sign(proposal, world.targets_keys[0])


def test_folders_without_a_proposal(world: Any, tools: Any) -> None:
    world.publish()
    for octets in (None, b"", b"{}", world.read("timestamp.json"), world.read("1.snapshot.json")):
        folder = world.folder / "proposal"
        folder.mkdir(exist_ok=True)
        if octets is not None:
            (folder / "metadata.json").write_bytes(octets)
        with pytest.raises(UnusableProposal):
            signing.sign(folder, world.targets_keys[0])
    (folder / "metadata.json").write_bytes(world.root)
    with pytest.raises(UnusableProposal, match="rotate"):
        world.repository.finish(folder, world.online, tools.NOW)


def test_a_proposal_is_for_one_repository_and_one_state(world: Any, tools: Any) -> None:
    proposal = world.folder / "proposal"
    world.repository.prepare(proposal, described(world, tools), tools.NOW)
    for signer in world.targets_keys:
        signing.sign(proposal, signer)
    with pytest.raises(UnusableProposal, match="not for operators"):
        world.operators.finish(proposal, world.online, tools.NOW)
    with pytest.raises(UnusableProposal, match="expired"):
        world.repository.finish(proposal, world.online, tools.NOW + 276 * tools.DAY)
    world.publish("1")
    with pytest.raises(UnusableProposal, match="the next one is 2"):
        world.repository.finish(proposal, world.online, tools.NOW)


def test_online_keys_that_the_root_does_not_name(world: Any, tools: Any) -> None:
    strange = keys.OnlineKeys(world.online.timestamp, world.online.snapshot)
    with pytest.raises(UnusableKey, match="snapshot key"):
        world.repository.publish(described(world, tools), world.targets_keys, strange, tools.NOW)
    assert files_of(world) - {".lock"} == {"metadata/1.root.json"}
    world.publish()
    before = world.read("timestamp.json")
    half = keys.OnlineKeys(world.online.snapshot, CryptoSigner.generate_ed25519())
    with pytest.raises(UnusableKey, match="timestamp key"):
        world.repository.refresh(half, tools.NOW)
    assert world.read("timestamp.json") == before


# What is not published


def test_bundles_that_are_not_published(world: Any, tools: Any) -> None:
    testing = world.bundle("0")
    with pytest.raises(RefusedTarget, match="testing profile"):
        bundle_target(testing, tools.NOW)
    bundle_target(world.bundle("1", kdf="standard"), tools.NOW)

    until = tools.NOW.date() + 5 * tools.DAY
    soon = world.bundle("2", until=until)
    name, (_, custom) = bundle_target(soon, tools.NOW + 5 * tools.DAY, allow_testing=True)
    assert (name, custom["valid_until"]) == (NAME, until.isoformat())
    with pytest.raises(RefusedTarget, match="expired"):
        bundle_target(soon, tools.NOW + 6 * tools.DAY, allow_testing=True)
    with pytest.raises(BundleExpired):
        bundle_target(soon, refused_from(until), allow_testing=True)

    octets = bytearray(testing.read_bytes())
    octets[-1] ^= 1
    testing.write_bytes(octets)
    with pytest.raises(DamagedBundle):
        bundle_target(testing, tools.NOW, allow_testing=True)


def test_targets_that_are_not_published(world: Any, tools: Any) -> None:
    def publish(targets: dict[str, Any]) -> None:
        world.repository.publish(targets, world.targets_keys, world.online, tools.NOW)

    operators = described(world, tools, "5", audience="operators")
    with pytest.raises(RefusedTarget, match="for operators"):
        publish(operators)
    publish(described(world, tools, "5"))
    with pytest.raises(RefusedTarget, match="build a newer one"):
        publish(described(world, tools, "4"))
    other = tools.bundle(world.folder / "other", f"{tools.HALF}.5", until=tools.NOW.date())
    with pytest.raises(RefusedTarget, match="next patch"):
        publish(dict([bundle_target(other, tools.NOW, allow_testing=True)]))
    publish(described(world, tools, "5"))  # the same octets again
    publish(described(world, tools, "10"))  # a later patch, though "10" < "5" as text

    file = world.folder / "file"
    file.write_bytes(b"x")
    for name in ("", "../x", "a/b", ".hidden", "Large", "metadata.json", "x" * 101, "a b"):
        with pytest.raises(RefusedTarget, match="no target name"):
            publish({name: (file, {})})
    with pytest.raises(RefusedTarget, match="cannot be read"):
        publish({"file": (world.folder / "none", {})})
    publish({"file": (file, {})})
    assert world.repository.status().releases == {"file": None}


# What stays, and how long


def test_the_layout(world: Any, tools: Any) -> None:
    path = world.publish()
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert files_of(world) == {
        ".lock",
        ".superseded.json",
        "metadata/1.root.json",
        "metadata/1.snapshot.json",
        "metadata/1.targets.json",
        "metadata/timestamp.json",
        f"targets/{digest}.{NAME}",
    }


def test_both_audiences_have_the_same_root(world: Any, tools: Any) -> None:
    world.publish()
    world.publish(audience="operators")
    for repository in (world.repository, world.operators):
        assert repository.root == world.root
    assert world.read("timestamp.json") != world.read("timestamp.json", "operators")


def test_superseded_files_leave(world: Any, tools: Any) -> None:
    world.publish("0")
    first = files_of(world)
    world.publish("1", now=tools.NOW)
    gone = {f for f in first if f.startswith(("metadata/1.s", "metadata/1.t", "targets/"))}
    assert len(gone) == 3
    hour = tools.DAY / 24
    assert world.repository.prune(tools.NOW + 23.9 * hour) == []
    assert gone < files_of(world)
    assert set(world.repository.prune(tools.NOW + 24 * hour)) == gone
    assert not gone & files_of(world)
    assert "metadata/1.root.json" in files_of(world)
    assert world.get().release == f"{tools.HALF}.1"
    assert world.repository.prune(tools.NOW + 300 * tools.DAY) == []


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_superseded_file_is_gone_within_seven_days(world: Any, tools: Any, every: int) -> None:
    """Whenever in the rhythm of the refreshes the new release comes."""
    start = tools.NOW - 14 * tools.DAY
    world.publish("0", now=start)
    (old,) = (world.base / "public" / "targets").iterdir()
    published = start + tools.DAY / 2
    world.publish("1", now=published)
    moment = published
    for _ in range(7):
        moment += every * tools.DAY
        assert old.exists() or moment - published >= tools.DAY
        world.repository.refresh(world.online, moment)
        if moment - published > (7 - every) * tools.DAY:
            assert not old.exists()
    # Unused snapshots do not pile up either.
    assert len(list((world.base / "public/metadata").glob("*.snapshot.json"))) <= 1 + 1 // every + 1


def test_a_file_that_is_used_again_stays(world: Any, tools: Any) -> None:
    file = world.folder / "file"
    for content in (b"one", b"two", b"one"):
        file.write_bytes(content)
        world.repository.publish({"file": (file, {})}, world.targets_keys, world.online, tools.NOW)
    world.repository.prune(tools.NOW + tools.DAY)
    contents = {p.read_bytes() for p in (world.base / "public" / "targets").iterdir()}
    assert contents == {b"one"}


@pytest.mark.parametrize("notes", [b"", b"{", b"[]", b'{"targets/x": 5}', None])
def test_lost_notes_only_delay(world: Any, tools: Any, notes: bytes | None) -> None:
    world.publish("0")
    world.publish("1")
    path = world.base / "public" / ".superseded.json"
    path.unlink() if notes is None else path.write_bytes(notes)
    later = tools.NOW + tools.DAY
    assert world.repository.prune(later) == []
    assert len(world.repository.prune(later + tools.DAY)) == 3


def test_what_killed_runs_left_is_removed(world: Any, tools: Any) -> None:
    world.publish()
    left = [world.base / "public" / part / ".0123.tmp" for part in ("", "metadata", "targets")]
    for path in left:
        path.write_bytes(b"half")
    world.repository.prune(tools.NOW)
    assert not any(path.exists() for path in left)


def test_refresh_signs_for_fourteen_days(world: Any, tools: Any) -> None:
    world.publish(now=tools.NOW - 20 * tools.DAY)
    before = world.repository.status()
    status = world.repository.refresh(world.online, tools.NOW)
    assert status.timestamp_expires == tools.NOW + 14 * tools.DAY
    assert status.timestamp_version == before.timestamp_version + 1
    assert (status.targets_version, status.targets_expires) == (1, before.targets_expires)
    assert world.metadata("2.snapshot.json").expires == tools.NOW + 14 * tools.DAY
    assert world.get().warnings == ()


def test_targets_are_signed_again_as_they_are(world: Any, tools: Any) -> None:
    world.publish(now=tools.NOW - 200 * tools.DAY)
    proposal = world.folder / "again"
    world.repository.prepare(proposal, None, tools.NOW)
    for signer in world.targets_keys[1:]:
        signing.sign(proposal, signer)
    status = world.repository.finish(proposal, world.online, tools.NOW)
    assert status.targets_expires == tools.NOW + 275 * tools.DAY
    assert status.releases == {NAME: f"{tools.HALF}.0"}
    assert world.get().release == f"{tools.HALF}.0"


# Rotation


def test_a_targets_key_that_signed_is_replaced_after_the_others_have_signed(
    world: Any, tools: Any
) -> None:
    world.publish()
    world.get()
    new = CryptoSigner.generate_ed25519()
    stolen = world.targets_keys[0].public_key
    root = roots.next_root(world.root, tools.NOW, replaced=(stolen, new.public_key))
    octets = signing.signed(root, world.root_keys)
    with pytest.raises(TooFewSignatures, match="finish it first"):
        world.repository.rotate(octets, world.online, tools.NOW)
    assert world.repository.root == world.root

    world.repository.prepare(world.folder / "again", None, tools.NOW)
    for signer in world.targets_keys[1:]:
        signing.sign(world.folder / "again", signer)
    world.repository.finish(world.folder / "again", world.online, tools.NOW)
    world.repository.rotate(octets, world.online, tools.NOW)
    assert world.get().warnings == ()


def test_two_lost_targets_keys_leave_a_gap(world: Any, tools: Any) -> None:
    world.publish()
    world.get()
    new = [CryptoSigner.generate_ed25519() for _ in range(2)]
    for lost, key in zip(world.targets_keys, new, strict=False):
        root = roots.next_root(
            world.repository.root, tools.NOW, replaced=(lost.public_key, key.public_key)
        )
        octets = signing.signed(root, world.root_keys)
        world.repository.rotate(octets, world.online, tools.NOW, allow_gap=True)
    with pytest.raises(NotTrusted):
        world.get()
    assert world.placed().exists()
    with pytest.raises(UnusableRepository, match="prepare, sign and finish"):
        world.repository.refresh(world.online, tools.NOW)
    world.repository.prepare(world.folder / "again", None, tools.NOW)
    for signer in new:
        signing.sign(world.folder / "again", signer)
    world.repository.finish(world.folder / "again", world.online, tools.NOW)
    assert world.get().warnings == ()


def test_rotation_before_the_first_release(world: Any, tools: Any) -> None:
    root = signing.signed(roots.next_root(world.root, tools.NOW), world.root_keys)
    world.repository.rotate(root, world.online, tools.NOW)
    world.publish()
    assert world.get().release == f"{tools.HALF}.0"


def test_rotation_needs_the_keys_of_both_roots(world: Any, tools: Any) -> None:
    world.publish()
    new = keys.OnlineKeys(CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519())
    public = (new.snapshot.public_key, new.timestamp.public_key)
    root = signing.signed(roots.next_root(world.root, tools.NOW, online=public), world.root_keys)
    before = files_of(world)
    with pytest.raises(UnusableKey):
        world.repository.rotate(root, world.online, tools.NOW)
    with pytest.raises(UnusableKey):
        world.repository.rotate(root, new, tools.NOW, previous=new)
    assert files_of(world) == before
    world.repository.rotate(root, new, tools.NOW, previous=world.online)


# Crashes

CRASH = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from filter_service.publishing import keys
from filter_service.publishing.repository import Repository
base, folder, what, left, now = sys.argv[1:]
left, now = int(left), datetime.fromisoformat(now)
def count(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
folder = Path(folder)
repository = Repository(Path(base), "public")
online = keys.load_online_keys(folder / "keys" / "online")
sys.addaudithook(count)
if what == "finish":
    repository.finish(folder / "proposal", online, now)
else:
    new = keys.load_online_keys(folder / "new")
    previous = online if what == "rotate" else None
    repository.rotate((folder / "2.root.json").read_bytes(), new, now, previous=previous)
"""


def crashes(world: Any, tools: Any, what: str) -> Any:
    """Run it with a kill before the first, the second ... file gets its name, each from the same
    state; then once to the end. Yields the number of files that got theirs."""
    kept = world.folder / "kept"
    shutil.copytree(world.base, kept)
    for count in range(100):
        shutil.rmtree(world.base)
        shutil.copytree(kept, world.base)
        now = tools.NOW.isoformat()
        done = tools.run(CRASH, world.base, world.folder, what, count, now)
        if done.returncode == 0:
            assert count > 3
            return
        assert done.returncode == -signal.SIGKILL, done.stderr
        yield count


def client_in(world: Any, name: str) -> str:
    """What an old client (a copy of it) then has."""
    shutil.copytree(world.folder / "client", world.folder / name)
    return str(world.get(name).release)


def test_a_crash_of_publish_leaves_the_old_release_or_the_new_one(world: Any, tools: Any) -> None:
    world.publish("0")
    world.get()
    world.repository.prepare(world.folder / "proposal", described(world, tools, "1"), tools.NOW)
    for signer in world.targets_keys[:2]:
        signing.sign(world.folder / "proposal", signer)
    seen = []
    for count in crashes(world, tools, "finish"):
        old, fresh = client_in(world, f"old-{count}"), world.get(f"fresh-{count}").release
        assert old == fresh
        seen.append(old.rpartition(".")[2])
        # And the publisher can go on: again from the beginning, or with the day's refresh.
        repository = Repository(world.base, "public")
        repository.refresh(world.online, tools.NOW)
        assert client_in(world, f"refreshed-{count}") == old
        if seen[-1] == "0":
            repository.finish(world.folder / "proposal", world.online, tools.NOW)
            assert client_in(world, f"finished-{count}") == f"{tools.HALF}.1"
        assert not list(world.base.rglob("*.tmp"))
    assert seen == ["0", "0", "0", "0", "1"]
    assert client_in(world, "last") == f"{tools.HALF}.1"


@pytest.mark.parametrize("what", ["rotate", "rotate without the old keys"])
def test_a_crash_of_a_rotation(world: Any, tools: Any, what: str) -> None:
    world.publish()
    world.get()
    keys.make_online_keys(world.folder / "new")
    new = keys.load_online_keys(world.folder / "new")
    public = (new.snapshot.public_key, new.timestamp.public_key)
    root = signing.signed(roots.next_root(world.root, tools.NOW, online=public), world.root_keys)
    (world.folder / "2.root.json").write_bytes(root)
    gaps = 0
    for count in crashes(world, tools, what):
        try:
            client_in(world, f"old-{count}")
            world.get(f"fresh-{count}")
        except NotTrusted:
            gaps += 1
            # The old keys, which may have been stolen, are out first.
            assert Repository(world.base, "public").root == root
        repository = Repository(world.base, "public")
        repository.rotate(root, new, tools.NOW)
        client_in(world, f"completed-{count}")
        assert repository.root == root
    assert gaps == (0 if what == "rotate" else 1)
    client_in(world, "last")


ENDLESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from filter_service.publishing import keys
from filter_service.publishing.repository import Repository
base, folder = map(Path, sys.argv[1:])
repository = Repository(base, "public")
online = keys.load_online_keys(folder / "keys" / "online")
signers = keys.load_offline_keys("targets", [folder / "keys" / "offline"])
number = 0
print("ready", flush=True)
while True:
    number += 1
    (folder / "file").write_bytes(b"%d" % number)
    repository.publish(
        {"lethe-public.safetensors": (folder / "bundle", {}), "file": (folder / "file", {})},
        signers, online, datetime.now(UTC))
"""


def test_publish_is_killed_at_random_moments(world: Any, tools: Any, scale: float) -> None:
    rng = random.Random(20)
    path = world.publish()
    shutil.copy(path, world.folder / "bundle")
    world.get()
    versions = [1]
    for kill in range(4 + round(20 * scale)):
        publisher = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(world.base), str(world.folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(world.folder)},
        )
        assert publisher.stdout is not None
        publisher.stdout.readline()
        time.sleep(rng.uniform(0.01, 0.3))
        if kill % 2:
            world.get()  # while it writes
        publisher.kill()
        publisher.communicate()
        assert client_in(world, f"old-{kill}") == world.get(f"fresh-{kill}").release
        versions.append(world.repository.status().targets_version)
    assert versions == sorted(versions)
    assert versions[-1] > len(versions)


def test_two_changes_at_once_wait_for_each_other(world: Any, tools: Any) -> None:
    world.publish()
    threads = [
        threading.Thread(target=world.repository.refresh, args=(world.online, tools.NOW))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.repository.status().timestamp_version == 7
    assert world.get().warnings == ()


def test_damage_is_one_sentence(world: Any, tools: Any) -> None:
    world.publish()
    (world.base / "public/metadata/1.snapshot.json").write_bytes(b"{")
    for call in (
        world.repository.status,
        lambda: world.repository.refresh(world.online, tools.NOW),
        lambda: world.repository.prune(tools.NOW),
    ):
        with pytest.raises(UnusableRepository, match="restore it from a mirror"):
            call()


def test_a_folder_that_cannot_be_written(world: Any, tools: Any) -> None:
    (world.folder / "proposal").mkdir()
    (world.folder / "proposal" / NAME).mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        world.repository.prepare(world.folder / "proposal", described(world, tools), tools.NOW)
    assert json.loads((world.base / "public/metadata/1.root.json").read_bytes())


def test_the_documented_ceremony(world: Any, tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python line of docs/releases.md, from the first key to a rotation."""
    page = Path(__file__).parents[3] / "docs" / "releases.md"
    code = "".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    folder = world.folder / "documented"
    folder.mkdir()
    shutil.copy(world.bundle("0", kdf="standard"), folder / "bundle.safetensors")
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(page.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    server = tools.Server(folder / "www")
    try:
        root = (folder / "stick/root-1/metadata.json").read_bytes()
        fetched = world.get(url=server.url, root=root, allow_testing=False)
        assert (fetched.release, fetched.warnings) == (f"{tools.HALF}.0", ())
    finally:
        server.stop()
