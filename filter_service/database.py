"""DuckDB with one writer: a write is durable before it is acknowledged.

Writes are functions that a single thread runs. It takes all that wait, runs them in one transaction and
commits once, so that many clients share one ``fdatasync``. A write that is refused before it has
written anything costs the others nothing; if one fails later, the transaction is rolled back and each
of them is run again alone. Therefore a write must depend on nothing but its arguments and the database.

Where the thread cannot go on (the disk is gone, say), whoever waits is told so, and nothing is taken any
more until the registry is opened again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import duckdb

from filter_service.audit import GENESIS, Entry, Head, chained, verified
from filter_service.errors import UnusableFolder
from filter_service.keyring import KeyRing, private_folder, sync_folder, write_private

T = TypeVar("T")
Row = tuple[Any, ...]

SCHEMA = 1
_BATCH = 64
_MOST_WAITING = 4096
_MOST_VALUES = 5000
"""Of one statement."""
_TORN = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")
_DAMAGED = re.compile(r"corrupt|checksum|could not read|I/?O error", re.IGNORECASE)
_STOPPED = "This registry takes no more writes: look after its disk and start it again."
STAGING = ".staging"
"""Folder beside the database, the only one that DuckDB itself may write to."""


class Transaction:
    """What one write sees; only the writer's thread has one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, keys: KeyRing, now: datetime) -> None:
        self.keys = keys
        self.now = now
        """One moment for all that a transaction does (UTC)."""
        self.wrote = False
        self.entries: list[tuple[str, str, str, Mapping[str, str | int]]] = []
        self.doomed: list[Any] = []
        self.then: list[Callable[[], None]] = []
        """Run once everything is durable."""
        self.scratch: dict[Any, Any] = {}
        """What one write leaves for the others of its transaction, which are not durable either."""
        self._connection = connection
        self._inserts: dict[tuple[str, tuple[str, ...]], list[object]] = {}

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """Read."""
        self.flush()
        return self._connection.execute(sql, list(parameters)).fetchall()

    def row(self, sql: str, *parameters: object) -> Row | None:
        """Read one row."""
        self.flush()
        return self._connection.execute(sql, list(parameters)).fetchone()

    def write(self, sql: str, *parameters: object) -> None:
        """Update or delete."""
        self.wrote = True
        self.flush()
        self._connection.execute(sql, list(parameters))

    def insert(self, table: str, **columns: object) -> None:
        """Insert one row; rows wait for others of their table, since a statement costs more than they."""
        self.wrote = True
        values = (naive(v) if isinstance(v, datetime) else v for v in columns.values())
        waiting = self._inserts.setdefault((table, tuple(columns)), [])
        waiting.extend(values)
        if len(waiting) > _MOST_VALUES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        for (table, columns), values in self._inserts.items():
            row = f"({', '.join('?' * len(columns))})"
            rows = ", ".join([row] * (len(values) // len(columns)))
            self._connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {rows}",  # noqa: S608
                values,
            )
        self._inserts.clear()

    def audit(self, actor: str, action: str, subject: object, **details: str | int) -> None:
        """Write down what was done."""
        self.wrote = True
        self.entries.append((actor, action, str(subject), details))

    def destroy(self, key_id: object) -> None:
        """Destroy a key when the transaction is durable."""
        self.doomed.append(key_id)

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Run one write; where it is refused before it has written anything, nothing of it is left."""
        self.wrote = False
        doomed, then, keys = len(self.doomed), len(self.then), self.keys.pending
        scratch = dict(self.scratch)
        try:
            return work(self)
        except Exception:
            if not self.wrote:
                del self.doomed[doomed:], self.then[then:]
                self.scratch = scratch
                self.keys.discard(keys)
            raise


class _Write:
    def __init__(self, work: Callable[[Transaction], Any], *, alone: bool = False) -> None:
        self.work = work
        self.alone = alone
        """To be run between two transactions, without one."""
        self.future: Future[Any] = Future()


class Database:
    """The database of a registry, open in this process only."""

    def __init__(self, path: Path, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        """Open a database, making one where there is none.

        Raises:
            UnusableFolder: it is in use, damaged, of another program or of a newer version.
        """
        self.path = path
        self.keys = keys
        self.clock = clock
        staging = path.parent / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        private_folder(staging)
        if not path.exists():
            _make(staging / uuid4().hex, path)
        path.chmod(0o600)
        self._connection, cut = _opened(path)
        self._readers = 0
        self._gate = threading.Condition()
        self._exclusive = False
        try:
            self.head = self._last_entry()
        except duckdb.Error:
            self._connection.close()
            raise _damaged(path) from None
        self._waiting: deque[_Write] = deque()
        self._door = threading.Lock()
        self._room = threading.Condition(self._door)
        self._work = threading.Condition(self._door)
        self._closed = False
        self._failed = False
        self._writer = threading.Thread(target=self._run, name="registry-writer", daemon=True)
        self._writer.start()
        if cut:
            self.write(lambda t: t.audit("system", "torn_log_cut", "-", octets=cut))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what waits, then close."""
        with self._door:
            self._closed = True
            self._work.notify_all()
            self._room.notify_all()
        self._writer.join()
        self._connection.close()

    def is_alive(self) -> bool:
        """Whether writes are taken."""
        return not self._closed and not self._failed and self._writer.is_alive()

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Queue a write; the future is done when it is durable, or has the error that refused it.

        Raises:
            UnusableFolder: nothing is taken any more.
        """
        return self._queued(_Write(work))

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run a write and wait until it is durable."""
        if threading.current_thread() is self._writer:
            raise RuntimeError("A write cannot wait for another one: it would wait for ever.")
        return self.submit(work).result()

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """Read what is durable, from any thread."""
        with self._reading() as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    def row(self, sql: str, *parameters: object) -> Row | None:
        """Read one row."""
        with self._reading() as cursor:
            return cursor.execute(sql, list(parameters)).fetchone()

    def trail(self) -> Iterator[tuple[Entry, bytes]]:
        """The audit trail from its beginning."""
        step, done = 10_000, 0
        while True:
            rows = self.rows(
                "SELECT number, moment, actor, action, subject, details, digest FROM audit "
                "WHERE number > ? ORDER BY number LIMIT ?",
                done,
                step,
            )
            for number, moment, actor, action, subject, details, digest in rows:
                entry = Entry(number, utc(moment), actor, action, subject, json.loads(details))
                yield entry, digest
                done = number
            if len(rows) < step:
                return

    def verify_audit(self, known: Collection[Head] = ()) -> Head:
        """The head of the audit trail, all of which was checked.

        Args:
            known: heads that it had before, which signed releases name.

        Raises:
            UnusableFolder: it was changed.
        """
        now = [self.head] if self.head.length else []
        return verified(self.trail(), [*known, *now])

    def backup(self, to: Path) -> None:
        """Write a copy of the database while it serves.

        Raises:
            UnusableFolder: the file exists already.
        """
        if to.exists():
            raise UnusableFolder(f"{to} exists already: give the backup another name.")
        partial = to.with_name(f".{to.name}.partial")
        staged = self._staged()
        partial.unlink(missing_ok=True)
        try:
            self._alone(lambda: self._copy(staged))
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with staged.open("rb") as source, os.fdopen(descriptor, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            partial.replace(to)
        finally:
            staged.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
        sync_folder(to.parent)

    def compact(self) -> None:
        """Rewrite the file, so that nothing deleted is left in it."""
        self._alone(self._rewrite)

    # -- the writer's thread ----------------------------------------------------------------------

    def _queued(self, write: _Write) -> Future[Any]:
        with self._door:
            self._room.wait_for(
                lambda: len(self._waiting) < _MOST_WAITING or self._closed or self._failed
            )
            if self._failed:
                raise UnusableFolder(_STOPPED)
            if self._closed:
                raise UnusableFolder("This registry is closed: open it again.")
            self._waiting.append(write)
            self._work.notify()
        return write.future

    def _taken(self) -> list[_Write]:
        """What waits: one that is to be alone, or a batch of others; nothing at the end."""
        with self._door:
            self._work.wait_for(lambda: self._waiting or self._closed)
            taken: list[_Write] = []
            while self._waiting and len(taken) < _BATCH:
                if taken and (taken[0].alone or self._waiting[0].alone):
                    break
                taken.append(self._waiting.popleft())
            self._room.notify_all()
        return taken

    def _run(self) -> None:
        taken: list[_Write] = []
        try:
            while taken := self._taken():
                # From here on nobody can cancel them; what was cancelled before is not run.
                writes = [w for w in taken if w.future.set_running_or_notify_cancel()]
                if taken[0].alone:
                    self._by_themselves(writes)
                elif writes:
                    self._together(writes)
        except BaseException:  # noqa: BLE001 -- nobody may be left waiting
            with self._door:
                self._failed = True
                left = [write for write in (*taken, *self._waiting) if not write.future.done()]
                self._waiting.clear()
                self._room.notify_all()
            for write in left:
                with suppress(InvalidStateError):  # cancelled in this moment
                    write.future.set_exception(UnusableFolder(_STOPPED))

    def _by_themselves(self, writes: Sequence[_Write]) -> None:
        for write in writes:
            try:
                result = write.work(Transaction(self._connection, self.keys, self.clock()))
            except Exception as error:  # noqa: BLE001 -- it is handed to whoever asked
                write.future.set_exception(error)
            else:
                write.future.set_result(result)

    def _together(self, writes: Sequence[_Write]) -> None:
        done: list[tuple[_Write, Any]] = []
        refused: list[tuple[_Write, Exception]] = []
        transaction = self._begin()
        try:
            for write in writes:
                try:
                    done.append((write, transaction.attempt(write.work)))
                except duckdb.Error:
                    raise  # the transaction is lost, whoever's fault it was
                except Exception as error:
                    if transaction.wrote:
                        raise
                    refused.append((write, error))
            head = self._commit(transaction)
        except Exception as error:  # noqa: BLE001 -- it is handed to whoever asked
            self._roll_back()
            if len(writes) == 1:
                writes[0].future.set_exception(error)
                return
            for write in writes:
                self._together([write])
            return
        self.head = head
        try:
            # The keys go after the rows: who crashes in between is finished by `Store`.
            self.keys.destroy(transaction.doomed)
            for callback in transaction.then:
                callback()
        finally:
            for write, result in done:
                write.future.set_result(result)
            for write, refusal in refused:
                write.future.set_exception(refusal)

    def _begin(self) -> Transaction:
        self._connection.execute("BEGIN TRANSACTION")
        return Transaction(self._connection, self.keys, self.clock())

    def _commit(self, transaction: Transaction) -> Head:
        transaction.flush()
        head = self.head
        values: list[object] = []
        moment = transaction.now
        for actor, action, subject, details in transaction.entries:
            entry = Entry(head.length + 1, moment, actor, action, subject, details)
            head = Head(entry.number, chained(head.digest, entry))
            values += (entry.number, naive(moment), actor, action, subject)
            values += (json.dumps(dict(details), sort_keys=True), head.digest)
        if values:
            marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(transaction.entries))
            self._connection.execute(f"INSERT INTO audit VALUES {marks}", values)  # noqa: S608
        self.keys.flush()
        try:
            self._connection.execute("COMMIT")
        except duckdb.Error:
            # It may have been written all the same.
            if head == self.head or self._last_entry() != head:
                raise
        return head

    def _roll_back(self) -> None:
        self.keys.discard()
        with suppress(duckdb.Error):  # a failed commit has rolled back already
            self._connection.execute("ROLLBACK")

    # -- everything else --------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._gate:
            self._gate.wait_for(lambda: not self._exclusive)
            try:
                cursor = self._connection.cursor()
            except duckdb.ConnectionException:
                raise UnusableFolder("This registry is closed: open it again.") from None
            self._readers += 1
        try:
            yield cursor
        except duckdb.Error as error:
            if not _DAMAGED.search(str(error)):
                raise
            raise _damaged(self.path) from None
        finally:
            cursor.close()
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def _alone(self, work: Callable[[], None]) -> None:
        """Run something in the writer's thread, between two transactions."""
        self._queued(_Write(lambda _: work(), alone=True)).result()

    def _copy(self, to: Path) -> None:
        source = self._connection.execute("SELECT current_database()").fetchone()
        assert source is not None
        literal = str(to).replace("'", "''")
        self._connection.execute(f"ATTACH '{literal}' AS copied")
        try:
            self._connection.execute(f'COPY FROM DATABASE "{source[0]}" TO copied')
        finally:
            self._connection.execute("DETACH copied")

    def _staged(self) -> Path:
        return self.path.parent / STAGING / uuid4().hex

    def _rewrite(self) -> None:
        staged = self._staged()
        with self._gate:
            self._exclusive = True
            self._gate.wait_for(lambda: not self._readers)
        try:
            self._connection.execute("CHECKPOINT")
            self._copy(staged)
            staged.chmod(0o600)
            with staged.open("rb") as file:
                os.fsync(file.fileno())
            self._connection.close()
            try:
                if _log(self.path).exists():  # it would not fit the new file
                    raise UnusableFolder("The database is not at rest: compact it later.")
                staged.replace(self.path)
                sync_folder(self.path.parent)
            finally:
                self._connection, _ = _opened(self.path)
        finally:
            staged.unlink(missing_ok=True)
            with self._gate:
                self._exclusive = False
                self._gate.notify_all()

    def _last_entry(self) -> Head:
        row = self._connection.execute(
            "SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return Head(*row) if row is not None else Head(0, GENESIS)


def utc(moment: datetime) -> datetime:
    """A moment as it comes out of the database, with its time zone."""
    return moment.replace(tzinfo=UTC)


def naive(moment: datetime) -> datetime:
    """A moment as it goes into the database."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _damaged(path: Path) -> UnusableFolder:
    return UnusableFolder(f"{path} is damaged: restore a backup with lethe registry restore.")


def _make(draft: Path, path: Path) -> None:
    """Make an empty database; it appears at once or not at all."""
    if _log(path).exists():
        raise UnusableFolder(f"{_log(path)} is of a database that is gone: move it away.")
    with duckdb.connect(str(draft)) as connection:
        connection.execute("BEGIN TRANSACTION")
        connection.execute((files("filter_service") / "schema.sql").read_text("utf-8"))
        connection.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA)])
        connection.execute("COMMIT")
    draft.chmod(0o600)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _opened(path: Path) -> tuple[duckdb.DuckDBPyConnection, int]:
    """A connection, and how much of a torn log of writes was cut off to get it."""
    cut = 0
    try:
        try:
            connection = duckdb.connect(str(path), config={"threads": 2})
        except duckdb.Error as error:
            torn = _TORN.search(str(error))
            cut = _cut(path, int(torn[1])) if torn is not None else 0
            if not cut:
                raise
            connection = duckdb.connect(str(path), config={"threads": 2})
    except duckdb.Error as error:
        raise _unusable(path, str(error)) from None
    try:
        literal = str((path.parent / STAGING).absolute()).replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{literal}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        row = connection.execute("SELECT content FROM meta WHERE name = 'schema'").fetchone()
    except duckdb.CatalogException:
        connection.close()
        raise UnusableFolder(f"{path} is not a registry's database: name another folder.") from None
    except duckdb.Error:
        connection.close()
        raise _damaged(path) from None
    if row is None or row[0] != str(SCHEMA):
        connection.close()
        raise UnusableFolder(
            f"{path} was made by another version: install the version that made it."
        )
    return connection, cut


def _unusable(path: Path, said: str) -> UnusableFolder:
    """What DuckDB says, in a sentence that says what to do."""
    if "Could not set lock" in said:
        return UnusableFolder(
            f"{path.parent} is in use by another process: stop it, or reach it by its socket."
        )
    if "WAL does not match" in said:
        return UnusableFolder(f"{_log(path)} is of another database: move it away.")
    if "version number" in said:
        return UnusableFolder(
            f"{path} was made by another version of DuckDB: install the version that made it."
        )
    return _damaged(path)


def _cut(path: Path, position: int) -> int:
    """Cut off the end of a log of writes that a loss of power has torn; how much, 0 if it was not that.

    The file had its new length already, but not all of what belongs there: it ends in zeros, and the
    damaged entry is the last. Such an entry was never acknowledged. The whole log is kept beside it.
    """
    log = _log(path)
    octets = log.read_bytes()
    begin = position - 16  # before it stand its length and its checksum
    end = position + int.from_bytes(octets[begin : begin + 8], "little")
    if begin < 0 or octets[-1:] != b"\0" or octets[end:].strip(b"\0"):
        return 0
    write_private(log.with_name(log.name + ".torn"), octets)
    write_private(log, octets[:begin])
    return len(octets) - begin
