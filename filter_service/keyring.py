"""Data keys: one for each case file and one for each listed identifier, and their destruction.

Keys live in a folder beside the database, never in it and never in its backups: a record is erased by
destroying its key. The file ``data.keys`` is a row of slots of one size; a slot holds a key wrapped by
the master key (AES-256-GCM, NIST SP 800-38D). To destroy a key its id is first written to
``destroyed.log``, then its slot is overwritten. The log is replayed whenever the file is opened, so
neither a crash midway nor an old copy of ``data.keys`` brings a destroyed key back.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filter_service.errors import KeyDestroyed, UnusableFolder

KEY_BYTES = 32
NONCE_BYTES = 12
_MAGIC = b"LETHE KEYS 1".ljust(16, b"\0")
_WRAPPED = KEY_BYTES + 16
_SLOT = 16 + NONCE_BYTES + _WRAPPED + 4
_EMPTY = bytes(_SLOT)
_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def private_folder(path: Path) -> None:
    """Make a folder that nobody else can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, octets: bytes) -> None:
    """Write a whole file that nobody else can read; it appears at once or not at all."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class KeyRing:
    """The data keys of a registry, open once. Keys are made and destroyed by one thread only."""

    def __init__(self, folder: Path, master: bytes) -> None:
        """Open the keys in ``folder``, making an empty file where there is none.

        Raises:
            UnusableFolder: the file is another one, or the master key is not the one it was made with,
                or somebody else has the keys open.
        """
        if len(master) != KEY_BYTES:
            raise UnusableFolder(f"A master key has {KEY_BYTES} octets: give the right one.")
        self.folder = folder
        self._master = AESGCM(master)
        self._keys: dict[UUID, bytes] = {}
        self._slots: dict[UUID, int] = {}
        self._free: list[int] = []
        self._pending: dict[UUID, bytes] = {}
        private_folder(folder)
        folder.chmod(0o700)
        self._path = folder / "data.keys"
        self._log = folder / "destroyed.log"
        self._lock = _locked(folder)
        try:
            if not self._path.exists():
                write_private(self._path, _MAGIC)
            self._path.chmod(0o600)
            self._file = self._path.open("r+b", buffering=0)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def close(self) -> None:
        """Close the file; pending keys are forgotten."""
        if not self._file.closed:
            self._file.close()
            os.close(self._lock)

    def new(self) -> UUID:
        """A new key, to be used at once; it lasts only from the next `flush` on."""
        key_id = uuid4()
        self._keys[key_id] = self._pending[key_id] = AESGCM.generate_key(8 * KEY_BYTES)
        return key_id

    def flush(self) -> None:
        """Make the new keys durable, before anything that is sealed with them is."""
        if not self._pending:
            return
        for key_id, key in self._pending.items():
            if not self._free:
                self._free.append((self._size - len(_MAGIC)) // _SLOT)
                self._size += _SLOT
            slot = self._slots[key_id] = self._free.pop()
            self._write(slot, self._wrapped(key_id, key, self._master))
        os.fsync(self._file.fileno())
        self._pending.clear()

    def discard(self, beyond: int = 0) -> None:
        """Forget the new keys but for the first few: what was sealed with them was not written."""
        for key_id in list(self._pending)[beyond:]:
            del self._keys[key_id], self._pending[key_id]
            slot = self._slots.pop(key_id, None)
            if slot is not None:
                self._free.append(slot)
                with suppress(OSError):  # nothing that anybody has was sealed with it
                    self._write(slot, _EMPTY)

    @property
    def pending(self) -> int:
        """How many keys are new and not yet durable."""
        return len(self._pending)

    def durable(self) -> set[UUID]:
        """The ids of all keys that are not new; for the thread that makes them."""
        return self._keys.keys() - self._pending.keys()

    def seal(self, key_id: UUID, plain: bytes, purpose: bytes) -> bytes:
        """Encrypt; what is sealed for one purpose does not open for another.

        Raises:
            KeyDestroyed: the key is gone.
        """
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key(key_id)).encrypt(nonce, plain, purpose)

    def open(self, key_id: UUID, sealed: bytes, purpose: bytes) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            KeyDestroyed: the key is gone.
            UnusableFolder: the record was changed, or sealed for another purpose.
        """
        key = AESGCM(self._key(key_id))
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError):
            raise UnusableFolder(
                "A sealed record was changed since it was written: restore a backup."
            ) from None

    def destroy(self, key_ids: Iterable[UUID]) -> None:
        """Destroy keys for good; ids that are not known any more only go to the log."""
        doomed = list(key_ids)
        if not doomed:
            return
        self._append_to_log(doomed)
        self._overwrite(doomed)

    def destroyed(self) -> set[UUID]:
        """The ids of all keys that were ever destroyed."""
        if not self._log.exists():
            return set()
        # What else stands there was cut short by a crash: nothing was destroyed by it yet.
        return {
            UUID(line.decode("ascii"))
            for line in self._log.read_bytes().split(b"\n")
            if _ID.fullmatch(line)
        }

    def rewrap(self, master: bytes) -> None:
        """Wrap all keys by another master key; the data stays as it is."""
        other = AESGCM(master)
        self.flush()
        octets = bytearray(_MAGIC)
        slots: dict[UUID, int] = {}
        for number, (key_id, key) in enumerate(self._keys.items()):
            octets += self._wrapped(key_id, key, other)
            slots[key_id] = number
        write_private(self._path, bytes(octets))
        self._file.close()
        self._file = self._path.open("r+b", buffering=0)
        self._master, self._slots, self._free, self._size = other, slots, [], len(octets)

    def _key(self, key_id: UUID) -> bytes:
        key = self._keys.get(key_id)
        if key is None:
            raise KeyDestroyed("This record was erased.")
        return key

    def _load(self) -> None:
        octets = self._path.read_bytes()
        if not octets.startswith(_MAGIC):
            raise UnusableFolder(
                f"{self._path} is no file of keys: give the registry's own folder."
            )
        # What a crash cut short was never acknowledged.
        count = (len(octets) - len(_MAGIC)) // _SLOT
        self._size = len(_MAGIC) + count * _SLOT
        wrong = 0
        for slot in range(count):
            record = octets[len(_MAGIC) + slot * _SLOT :][:_SLOT]
            if int.from_bytes(record[-4:], "little") != zlib.crc32(record[:-4]) or record == _EMPTY:
                self._free.append(slot)
                continue
            key_id = UUID(bytes=record[:16])
            nonce, wrapped = record[16 : 16 + NONCE_BYTES], record[16 + NONCE_BYTES : -4]
            try:
                self._keys[key_id] = self._master.decrypt(nonce, wrapped, key_id.bytes)
            except InvalidTag:
                wrong += 1
                continue
            self._slots[key_id] = slot
        if wrong:
            raise UnusableFolder(
                f"{wrong} keys do not open with this master key: give the one they were made with."
            )
        self._overwrite(self.destroyed() & self._slots.keys())

    def _wrapped(self, key_id: UUID, key: bytes, master: AESGCM) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        record = key_id.bytes + nonce + master.encrypt(nonce, key, key_id.bytes)
        return record + zlib.crc32(record).to_bytes(4, "little")

    def _write(self, slot: int, record: bytes) -> None:
        _written(self._file.fileno(), record, len(_MAGIC) + slot * _SLOT)

    def _append_to_log(self, key_ids: list[UUID]) -> None:
        descriptor = os.open(self._log, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # After a line that a crash cut short a new one begins.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            lines = "\n" * torn + "".join(f"{key_id}\n" for key_id in key_ids)
            _written(descriptor, lines.encode("ascii"), size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self.folder)

    def _overwrite(self, key_ids: Collection[UUID]) -> None:
        freed = []
        for key_id in key_ids:
            self._keys.pop(key_id, None)
            self._pending.pop(key_id, None)
            slot = self._slots.pop(key_id, None)
            if slot is not None:
                self._write(slot, _EMPTY)
                freed.append(slot)
        if freed:
            os.fsync(self._file.fileno())
            self._free += freed


def _locked(folder: Path) -> int:
    """A descriptor of a folder that one process only has at a time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UnusableFolder(
            f"{folder.parent} is in use by another process: stop it, or reach it by its socket."
        ) from None
    return descriptor


def _written(descriptor: int, octets: bytes, offset: int) -> None:
    """Write all of it: a full disk may take a part only."""
    while octets:
        done = os.pwrite(descriptor, octets, offset)
        octets, offset = octets[done:], offset + done
