"""Keys: none is lost, none is wrong, none comes back, whatever happens to the files."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from filter_service.errors import KeyDestroyed, UnusableFolder
from filter_service.keyring import KeyRing

MASTER = bytes(range(32))
OTHER = bytes(32)
HEAD, SLOT = 16, 80
"""Octets of the file's beginning, and of one key in it."""


def opened(folder: Path, master: bytes = MASTER) -> KeyRing:
    return KeyRing(folder, master)


def made(folder: Path, count: int, master: bytes = MASTER) -> dict[UUID, bytes]:
    """Keys in a new ring, each with something sealed by it."""
    with opened(folder, master) as ring:
        ids = [ring.new() for _ in range(count)]
        ring.flush()
        return {one: ring.seal(one, one.bytes, b"p") for one in ids}


def opens(ring: KeyRing, key_id: UUID, sealed: bytes) -> bool:
    """Whether a key is there; if so it must be the right one."""
    try:
        assert ring.open(key_id, sealed, b"p") == key_id.bytes, "a wrong key"
    except KeyDestroyed:
        return False
    return True


def test_a_record_opens_with_its_key_for_its_purpose_only(tmp_path: Path) -> None:
    with opened(tmp_path) as ring:
        key, other = ring.new(), ring.new()
        sealed = ring.seal(key, b"words", b"one")
        assert ring.open(key, sealed, b"one") == b"words"
        assert ring.seal(key, b"words", b"one") != sealed
        for key_id, octets, purpose in (
            (key, sealed, b"two"),
            (other, sealed, b"one"),
            (key, sealed[:-1], b"one"),
            (key, sealed[:5], b"one"),
            (key, b"", b"one"),
        ):
            with pytest.raises(UnusableFolder, match="changed"):
                ring.open(key_id, octets, purpose)
        with pytest.raises(KeyDestroyed):
            ring.open(uuid4(), sealed, b"one")


def test_files_and_folder_are_private_also_when_they_were_not(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    made(folder, 2)
    (folder / "data.keys").chmod(0o644)
    with opened(folder) as ring:
        assert stat.S_IMODE((folder / "data.keys").stat().st_mode) == 0o600
        ring.destroy([ring.new()])
        ring.rewrap(OTHER)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"keys": 0o700, "data.keys": 0o600, "destroyed.log": 0o600}


def test_no_key_stands_in_the_file_as_it_is(tmp_path: Path) -> None:
    with opened(tmp_path) as ring:
        for _ in range(3):
            ring.new()
        ring.flush()
        octets = (tmp_path / "data.keys").read_bytes()
        assert not any(key in octets for key in ring._keys.values())


def test_another_master_key_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    sealed = made(tmp_path, 3)
    before = (tmp_path / "data.keys").read_bytes()
    for master, words in ((OTHER, "do not open"), (b"short", "32 octets")):
        with pytest.raises(UnusableFolder, match=words):
            opened(tmp_path, master)
    assert (tmp_path / "data.keys").read_bytes() == before
    with opened(tmp_path) as ring:
        assert all(opens(ring, *one) for one in sealed.items())


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    for octets in (b"", b"LETHE KEYS 2".ljust(16, b"\0"), bytes(200)):
        (tmp_path / "data.keys").write_bytes(octets)
        with pytest.raises(UnusableFolder, match="no file of keys"):
            opened(tmp_path)


def test_keys_are_open_once(tmp_path: Path) -> None:
    with opened(tmp_path):
        with pytest.raises(UnusableFolder, match="in use by another process"):
            opened(tmp_path)
        code = (
            "import sys, pathlib; from filter_service.keyring import KeyRing;"
            "KeyRing(pathlib.Path(sys.argv[1]), bytes(range(32)))"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
        assert "in use by another process" in said.stderr
    opened(tmp_path).close()


@pytest.mark.parametrize("count", [1, 3])
def test_truncated_anywhere(tmp_path: Path, count: int) -> None:
    """Keys whose slot is whole are there; the next key goes where the torn one was."""
    sealed = made(tmp_path / "a", count)
    octets = (tmp_path / "a" / "data.keys").read_bytes()
    order = [UUID(bytes=octets[HEAD + SLOT * n :][:16]) for n in range(count)]
    for length in range(HEAD, len(octets)):
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        (folder / "data.keys").write_bytes(octets[:length])
        whole = set(order[: (length - HEAD) // SLOT])
        with opened(folder) as ring:
            assert {one for one in sealed if opens(ring, one, sealed[one])} == whole
            fresh = ring.new()
            ring.flush()
            told = ring.seal(fresh, fresh.bytes, b"p")
        with opened(folder) as ring:
            assert opens(ring, fresh, told)
            assert {one for one in sealed if opens(ring, one, sealed[one])} == whole
        shutil.rmtree(folder)


def test_a_bit_flipped_anywhere(tmp_path: Path) -> None:
    """At most the key it stands in is missing; no other, and none is wrong."""
    sealed = made(tmp_path / "a", 2)
    octets = (tmp_path / "a" / "data.keys").read_bytes()
    order = [UUID(bytes=octets[HEAD + SLOT * n :][:16]) for n in range(2)]
    for at in range(HEAD, len(octets)):
        folder = tmp_path / f"flip-{at}"
        folder.mkdir()
        damaged = bytearray(octets)
        damaged[at] ^= 1 << at % 8
        (folder / "data.keys").write_bytes(damaged)
        with opened(folder) as ring:
            found = {one for one in sealed if opens(ring, one, sealed[one])}
        assert found == set(order) - {order[(at - HEAD) // SLOT]}
        shutil.rmtree(folder)


def test_zeros_behind_the_last_key_are_no_key(tmp_path: Path) -> None:
    sealed = made(tmp_path, 2)
    with (tmp_path / "data.keys").open("ab") as file:
        file.write(bytes(3 * SLOT + 7))
    with opened(tmp_path) as ring:
        assert len(ring) == 2
        assert all(opens(ring, *one) for one in sealed.items())


def test_destroyed_keys_do_not_come_back_with_an_old_file(tmp_path: Path) -> None:
    sealed = made(tmp_path, 5)
    shutil.copy(tmp_path / "data.keys", tmp_path / "old")
    gone = list(sealed)[:3]
    with opened(tmp_path) as ring:
        ring.destroy(gone)
        assert ring.destroyed() == set(gone)
    shutil.copy(tmp_path / "old", tmp_path / "data.keys")
    with opened(tmp_path) as ring:
        assert {one for one in sealed if opens(ring, one, sealed[one])} == set(sealed) - set(gone)
    # Not even for somebody who has the master key and reads the file without the log.
    (tmp_path / "destroyed.log").unlink()
    with opened(tmp_path) as ring:
        assert not any(one in ring for one in gone)


def test_a_log_cut_anywhere_forgets_only_what_it_no_longer_says(tmp_path: Path) -> None:
    sealed = made(tmp_path / "a", 3)
    shutil.copy(tmp_path / "a" / "data.keys", tmp_path / "old")
    gone = list(sealed)
    with opened(tmp_path / "a") as ring:
        for one in gone[:2]:
            ring.destroy([one])
    log = (tmp_path / "a" / "destroyed.log").read_bytes()
    for length in range(len(log) + 1):
        for rest in (b"", bytes(len(log) - length), b"\xff" * 36 + b"\n", b"x" * 36):
            folder = tmp_path / "b"
            folder.mkdir()
            shutil.copy(tmp_path / "old", folder / "data.keys")
            (folder / "destroyed.log").write_bytes(log[:length] + rest)
            whole = set(gone[: length // 37])
            with opened(folder) as ring:
                assert whole <= ring.destroyed() <= set(gone[:2])
                # What is destroyed now is also found behind a line that was cut short.
                ring.destroy(gone[2:])
                assert gone[2] in ring.destroyed()
            shutil.copy(tmp_path / "old", folder / "data.keys")
            with opened(folder) as ring:
                assert gone[2] not in ring
                assert not any(one in ring for one in whole)
            shutil.rmtree(folder)


def test_a_crash_between_log_and_slot_is_finished_at_the_next_start(tmp_path: Path) -> None:
    sealed = made(tmp_path, 2)
    gone, kept = sealed
    with opened(tmp_path) as ring:
        ring._append_to_log([gone])
    before = (tmp_path / "data.keys").read_bytes()
    assert gone.bytes in before
    with opened(tmp_path) as ring:
        assert gone not in ring
        assert kept in ring
    assert gone.bytes not in (tmp_path / "data.keys").read_bytes()


FULL = """
import resource, signal, sys, pathlib
from filter_service.keyring import KeyRing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ring = KeyRing(pathlib.Path(sys.argv[1]), bytes(range(32)))
size = (ring.folder / "data.keys").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))
new = [ring.new(), ring.new()]
try:
    ring.flush()
    raise SystemExit("the disk was not full")
except OSError:
    ring.discard()
assert len(ring) == 2 and ring.pending == 0
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
last = ring.new()
ring.flush()
print(last)
"""


@pytest.mark.parametrize("room", [0, 1, SLOT // 2, SLOT - 1, SLOT, SLOT + 40])
def test_a_full_disk_loses_no_key_and_leaves_none_behind(tmp_path: Path, room: int) -> None:
    """The limit of a file's size cuts a write short as a full disk does."""
    sealed = made(tmp_path, 2)
    command = [sys.executable, "-c", FULL, str(tmp_path), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with opened(tmp_path) as ring:
        assert all(opens(ring, *one) for one in sealed.items())
        assert ring.durable() == {*sealed, UUID(done.stdout.strip())}
    assert (tmp_path / "data.keys").stat().st_size <= HEAD + 4 * SLOT, "places are used again"


def test_rewrapped_keys_open_with_the_new_master_key_only(tmp_path: Path) -> None:
    sealed = made(tmp_path, 4)
    gone, *kept = sealed
    with opened(tmp_path) as ring:
        ring.destroy([gone])
        ring.rewrap(OTHER)
        fresh = ring.new()
        ring.flush()
        told = ring.seal(fresh, fresh.bytes, b"p")
        assert all(opens(ring, one, sealed[one]) for one in kept)
    with pytest.raises(UnusableFolder, match="4 keys do not open"):
        opened(tmp_path)
    with opened(tmp_path, OTHER) as ring:
        assert all(opens(ring, one, sealed[one]) for one in kept)
        assert opens(ring, fresh, told)
        assert gone not in ring


def test_a_new_master_key_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    folder, away = tmp_path / "keys", tmp_path / "away"
    sealed = made(folder, 2)
    with opened(folder) as ring:
        folder.rename(away)
        with pytest.raises(FileNotFoundError):
            ring.rewrap(OTHER)
        away.rename(folder)
        fresh = ring.new()
        ring.flush()
    with opened(folder) as ring:
        assert fresh in ring
        assert all(opens(ring, *one) for one in sealed.items())


class Ring(RuleBasedStateMachine):
    """Any sequence of what a registry does with its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.environ["KEYRING_TEST"]) / uuid4().hex
        self.master = MASTER
        self.ring = opened(self.folder)
        self.durable: dict[UUID, bytes] = {}
        self.pending: dict[UUID, bytes] = {}
        self.gone: dict[UUID, bytes] = {}
        self.copies: list[Path] = []

    def teardown(self) -> None:
        self.ring.close()
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 4))
    def new(self, count: int) -> None:
        for _ in range(count):
            one = self.ring.new()
            self.pending[one] = self.ring.seal(one, one.bytes, b"p")

    @rule()
    def flush(self) -> None:
        self.ring.flush()
        self.durable |= self.pending
        self.pending.clear()

    @rule(beyond=st.integers(0, 3))
    def discard(self, beyond: int) -> None:
        self.ring.discard(beyond)
        for one in list(self.pending)[beyond:]:
            self.gone[one] = self.pending.pop(one)

    @rule(data=st.data())
    @precondition(lambda self: self.durable or self.pending)
    def destroy(self, data: st.DataObject) -> None:
        known = sorted(self.durable | self.pending)
        doomed = data.draw(st.lists(st.sampled_from(known), max_size=4))
        self.ring.destroy(doomed)
        for one in set(doomed):
            self.gone[one] = (self.durable | self.pending)[one]
            self.durable.pop(one, None)
            self.pending.pop(one, None)

    @rule()
    def rewrap(self) -> None:
        self.master = os.urandom(32)
        self.ring.rewrap(self.master)
        self.durable |= self.pending
        self.pending.clear()
        self.copies.clear()

    @rule()
    def copy(self) -> None:
        path = self.folder / f"copy-{len(self.copies)}"
        shutil.copy(self.folder / "data.keys", path)
        self.copies.append(path)

    @rule(old=st.booleans())
    def reopen(self, old: bool) -> None:
        """After a crash: what was not flushed is gone. Or with an old copy of the keys."""
        self.ring.close()
        before = (self.folder / "data.keys").read_bytes()
        for path in self.copies if old else ():
            shutil.copy(path, self.folder / "data.keys")
            with opened(self.folder, self.master) as ring:
                assert not any(opens(ring, *one) for one in self.gone.items())
        (self.folder / "data.keys").write_bytes(before)
        self.gone |= self.pending
        self.pending.clear()
        self.ring = opened(self.folder, self.master)

    @invariant()
    def all_there_and_no_more(self) -> None:
        known = self.durable | self.pending
        assert len(self.ring) == len(known)
        assert self.ring.durable() == set(self.durable)
        assert self.ring.pending == len(self.pending)
        assert all(opens(self.ring, *one) for one in known.items())
        assert not any(opens(self.ring, *one) for one in self.gone.items())


@pytest.fixture(autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRING_TEST", str(tmp_path_factory.mktemp("rings")))


class TestRing(Ring.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@settings(max_examples=30, deadline=None)
@given(octets=st.binary(max_size=400), damage=st.sampled_from(["data.keys", "destroyed.log"]))
def test_any_octets_are_refused_or_hold_no_key(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, damage: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    sealed = made(folder, 1)
    head = (folder / "data.keys").read_bytes()[:HEAD]
    (folder / damage).write_bytes((head if damage == "data.keys" else b"") + octets)
    with opened(folder) as ring:
        assert len(ring) == (damage == "destroyed.log")
        assert all(opens(ring, *one) for one in sealed.items() if one[0] in ring)
