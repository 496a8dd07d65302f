"""The database: batches, threads, crashes, backups, compaction, damaged files."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_batch import Together

from filter_service.database import STAGING, Database, Transaction
from filter_service.errors import NotFound, UnusableFolder
from filter_service.keyring import KeyRing

MASTER = bytes(range(32))
NOW = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)


class Opened:
    """A database and its keys."""

    sizes: list[int]
    """Of the log, after each write of a process that was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "registry.duckdb"
        self.reopen()

    def reopen(self) -> None:
        self.keys = KeyRing(self.folder / "keys", MASTER)
        try:
            self.database = Database(self.path, self.keys, lambda: NOW)
        except BaseException:
            self.keys.close()
            raise

    def close(self) -> None:
        self.database.close()
        self.keys.close()

    def names(self) -> list[str]:
        rows = self.database.rows("SELECT name FROM meta WHERE name <> 'schema' ORDER BY name")
        return [row[0] for row in rows]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    found = Opened(tmp_path)
    yield found
    found.close()


def add(name: str, content: str = "-") -> Callable[[Transaction], str]:
    """A write that inserts a row, which fails when the row is there."""

    def work(transaction: Transaction) -> str:
        transaction.insert("meta", name=name, content=content)
        transaction.audit("system", "added", name)
        return name

    return work


# -- batches --------------------------------------------------------------------------------------


def test_a_refused_write_costs_the_others_nothing(opened: Opened) -> None:
    runs: list[str] = []

    def counted(name: str) -> Callable[[Transaction], str]:
        def work(transaction: Transaction) -> str:
            runs.append(name)
            return add(name)(transaction)

        return work

    def refused(transaction: Transaction) -> None:
        transaction.keys.new()
        transaction.scratch["left"] = True
        transaction.destroy("never")
        transaction.then.append(lambda: runs.append("never"))
        raise NotFound

    def sees(transaction: Transaction) -> bool:
        return "left" in transaction.scratch

    with Together(opened.database) as batch:
        one, no, sight, two = map(batch.submit, (counted("a"), refused, sees, counted("b")))
    assert (one.result(), two.result()) == ("a", "b")
    assert isinstance(no.exception(), NotFound)
    assert sight.result() is False
    assert runs == ["a", "b"], "each was run once, and nothing of the refused one"
    assert opened.names() == ["a", "b"]
    assert len(opened.keys) == 0


def fail_at_once(transaction: Transaction) -> None:
    add("half")(transaction)
    transaction.keys.new()
    raise ValueError("midway")


def fail_in_sql(transaction: Transaction) -> None:
    transaction.write("UPDATE meta SET content = content || 1 / 0 WHERE name = 'a'")
    transaction.write("SELECT no_such_column FROM meta")


def fail_when_flushed(transaction: Transaction) -> None:
    add("schema")(transaction)


@pytest.mark.parametrize("fails", [fail_at_once, fail_in_sql, fail_when_flushed])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_write_that_fails_midway_is_undone_and_the_others_are_run_again(
    opened: Opened, fails: Callable[[Transaction], None], place: int
) -> None:
    opened.database.write(add("a", "old"))
    called: list[str] = []

    def change(transaction: Transaction) -> int:
        transaction.write("UPDATE meta SET content = 'new' WHERE name = 'a'")
        transaction.then.append(lambda: called.append("change"))
        return 1

    def read(transaction: Transaction) -> Any:
        return transaction.row("SELECT count(*) FROM meta WHERE name = 'half'")

    def key(transaction: Transaction) -> Any:
        made = transaction.keys.new()
        transaction.insert("meta", name=str(made), content="key")
        return made

    works = [change, read, key]
    works.insert(place, fails)
    with Together(opened.database) as batch:
        futures = {work: batch.submit(work) for work in works}
    assert isinstance(futures[fails].exception(), ValueError | duckdb.Error)
    assert futures[change].result() == 1
    assert futures[read].result() == (0,)
    assert called == ["change"], "once, and only when it is durable"
    assert opened.keys.durable() == {futures[key].result()}
    assert opened.database.row("SELECT content FROM meta WHERE name = 'a'") == ("new",)
    assert opened.database.verify_audit().length == 1


def test_callbacks_run_after_the_row_is_durable_and_never_for_one_that_is_not(
    opened: Opened,
) -> None:
    seen: list[object] = []

    def good(transaction: Transaction) -> None:
        add("good")(transaction)
        transaction.then.append(lambda: seen.append(opened.names()))

    def bad(transaction: Transaction) -> None:
        add("bad")(transaction)
        transaction.then.append(lambda: seen.append("bad"))
        raise ValueError("no")

    with Together(opened.database) as batch:
        batch.submit(good)
        batch.submit(bad)
    assert seen == [["good"]]


def test_keys_are_durable_before_the_rows_that_need_them(opened: Opened) -> None:
    """When the transaction commits, the file of keys has the key already."""
    found: list[bool] = []
    file = opened.folder / "keys" / "data.keys"

    def sealed(transaction: Transaction) -> None:
        key = transaction.keys.new()
        add("row")(transaction)
        assert key.bytes not in file.read_bytes()
        transaction.then.append(lambda: found.append(key.bytes in file.read_bytes()))

    opened.database.write(sealed)
    assert found == [True]


def test_a_doomed_key_goes_only_once_the_rows_are_durable(opened: Opened) -> None:
    key = opened.database.write(lambda t: t.keys.new())

    def doomed(transaction: Transaction) -> None:
        transaction.write("UPDATE meta SET content = content")
        transaction.destroy(key)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        opened.database.write(doomed)
    assert key in opened.keys
    opened.database.write(lambda t: t.destroy(key))
    assert key not in opened.keys
    assert key in opened.keys.destroyed()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["add", "again", "refuse", "fail", "sql"]), max_size=12))
def test_any_batch_leaves_what_one_write_after_the_other_leaves(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    opened = Opened(tmp_path_factory.mktemp("batch"))
    try:
        opened.database.write(add("again"))
        called: list[int] = []

        def made(number: int, kind: str) -> Callable[[Transaction], int]:
            def work(transaction: Transaction) -> int:
                if kind == "refuse":
                    raise NotFound
                add("again" if kind == "again" else f"{number:02d}")(transaction)
                transaction.keys.new()
                transaction.then.append(lambda: called.append(number))
                if kind == "fail":
                    raise ValueError("no")
                if kind == "sql":
                    transaction.rows("SELECT nothing FROM nowhere")
                return number

            return work

        with Together(opened.database) as batch:
            for number, kind in enumerate(kinds):
                batch.submit(made(number, kind))
        good = [number for number, kind in enumerate(kinds) if kind == "add"]
        done = [n for n, f in enumerate(batch.futures) if f.exception() is None]
        assert done == good
        assert sorted(called) == good
        assert opened.names() == [*(f"{n:02d}" for n in good), "again"]
        assert len(opened.keys.durable()) >= len(good)
        assert opened.database.verify_audit().length == 1 + len(good)
    finally:
        opened.close()


def test_many_threads_write_and_read_at_once(opened: Opened, tmp_path: Path) -> None:
    """Beside backups and compaction; what was acknowledged is seen at once by everybody."""
    database = opened.database
    over = threading.Event()
    wrong: list[object] = []

    def writer(who: int) -> None:
        for number in range(40):
            name = f"{who}-{number:03d}"
            database.write(add(name))
            if database.row("SELECT 1 FROM meta WHERE name = ?", name) != (1,):
                wrong.append(name)

    def reader() -> None:
        seen = 0
        while not over.is_set():
            row = database.row("SELECT (SELECT count(*) FROM meta), (SELECT count(*) FROM audit)")
            assert row is not None
            if row[0] < seen or row[0] - 1 != row[1]:
                wrong.append(row)
            seen = row[0]
            database.verify_audit()

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(reader) for _ in range(2)]
        writers = [pool.submit(writer, n) for n in range(4)]
        for round_ in range(3):
            database.compact()
            database.backup(tmp_path / f"copy-{round_}.duckdb")
        for future in writers:
            future.result()
        over.set()
        for future in readers:
            future.result()
    assert wrong == []
    assert len(opened.names()) == 160
    assert database.verify_audit().length == 160


def test_a_write_from_the_writers_own_thread_is_refused_instead_of_waiting_for_itself(
    opened: Opened,
) -> None:
    with pytest.raises(RuntimeError, match="wait for another"):
        opened.database.write(lambda _: opened.database.write(add("inner")))
    assert opened.names() == []


def test_a_cancelled_write_is_not_run_and_harms_nobody(opened: Opened) -> None:
    """asyncio cancels what a client no longer waits for."""
    with Together(opened.database) as batch:
        gone = batch.submit(add("gone"))
        assert gone.cancel()
        kept = batch.submit(add("kept"))
    with pytest.raises(CancelledError):
        gone.result()
    assert kept.result() == "kept"
    assert opened.names() == ["kept"]
    assert opened.database.is_alive()


# -- the end --------------------------------------------------------------------------------------


def test_closing_finishes_what_waits_and_takes_nothing_more(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    database = opened.database
    with Together(database) as batch:
        futures = [batch.submit(add(f"{n:03d}")) for n in range(200)]
        closing = threading.Thread(target=opened.close)
        closing.start()
        while database.is_alive():
            time.sleep(0.001)
        with pytest.raises(UnusableFolder, match="closed"):
            database.submit(add("late"))
    closing.join(30)
    assert [future.result() for future in futures] == [f"{n:03d}" for n in range(200)]
    for call in (lambda: database.row("SELECT 1"), lambda: database.write(add("late"))):
        with pytest.raises(UnusableFolder, match="closed"):
            call()
    database.close()
    opened.reopen()
    assert len(opened.names()) == 200
    opened.close()


def test_nobody_hangs_however_closing_and_writing_meet(tmp_path: Path) -> None:
    """Each write is either durable or refused."""
    for round_ in range(8):
        opened = Opened(tmp_path / str(round_))
        done: list[str] = []

        def write(who: int, database: Database = opened.database, done: list[str] = done) -> None:
            for number in range(1000):
                try:
                    done.append(database.write(add(f"{who}-{number}")))
                except UnusableFolder:
                    return

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.01 * round_)
        opened.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        opened.reopen()
        assert sorted(done) == opened.names()
        opened.close()


def test_when_the_writer_cannot_go_on_everybody_is_told(opened: Opened) -> None:
    """Here a callback fails; a disk that is gone ends in the same place."""
    called: list[str] = []

    def broken(transaction: Transaction) -> str:
        add("durable")(transaction)
        transaction.then.append(lambda: called.append(str(1 // 0)))
        return "durable"

    others: list[Future[str]] = []
    with Together(opened.database) as batch:
        first = batch.submit(broken)
        # Enough for another batch, which is never run.
        others = [batch.submit(add(f"{n:03d}")) for n in range(100)]
    assert first.result() == "durable"
    results = [future.exception(30) for future in others]
    assert {type(error) for error in results} <= {type(None), UnusableFolder}
    assert results[-1] is not None
    assert not opened.database.is_alive()
    for call in (opened.database.compact, lambda: opened.database.write(add("late"))):
        with pytest.raises(UnusableFolder, match="takes no more writes"):
            call()
    opened.close()
    opened.reopen()
    durable = [f"{n:03d}" for n, error in enumerate(results) if error is None]
    assert opened.names() == [*durable, "durable"]


def test_a_lost_connection_is_the_end_and_not_a_hang(opened: Opened) -> None:
    opened.database._connection.close()
    with pytest.raises(UnusableFolder, match="takes no more writes"):
        opened.database.write(add("late"))
    assert not opened.database.is_alive()


def test_a_queue_that_is_full_makes_others_wait(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filter_service.database._MOST_WAITING", 2)
    with ThreadPoolExecutor(6) as pool:
        with Together(opened.database):
            futures = [pool.submit(opened.database.write, add(str(n))) for n in range(6)]
            time.sleep(0.1)
            assert len(opened.database._waiting) == 2
        assert sorted(future.result(30) for future in futures) == list("012345")


# -- opening --------------------------------------------------------------------------------------


def test_everything_is_there_after_reopening(opened: Opened) -> None:
    opened.database.write(add("a", "ö"))
    head = opened.database.head
    opened.close()
    opened.path.chmod(0o644)
    opened.reopen()
    assert opened.names() == ["a"]
    assert opened.database.head == head
    assert stat.S_IMODE(opened.path.stat().st_mode) == 0o600


def test_a_second_process_is_refused_with_one_sentence(opened: Opened) -> None:
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from filter_service.keyring import KeyRing; from filter_service.database import Database;"
        "folder = Path(sys.argv[1]);"
        "Database(folder / 'registry.duckdb', KeyRing(folder / 'other', bytes(32)), datetime.now)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(opened.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"filter_service.errors.UnusableFolder: {opened.folder} is in use by another process: "
        "stop it, or reach it by its socket."
    )


def refused(opened: Opened, words: str) -> None:
    with pytest.raises(UnusableFolder, match=words) as error:
        opened.reopen()
    assert error.value.__cause__ is None
    assert "\n" not in str(error.value)


def test_damaged_and_foreign_files_are_refused_with_one_sentence(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    for number in range(50):
        opened.database.write(add(f"{number:03d}", "x" * 2000))
    opened.close()
    whole = opened.path.read_bytes()
    damaged = {
        "empty": b"",
        "short": whole[:5000],
        "cut": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
        "text": b"hello " * 5000,
        "head": bytes(4096) + whole[4096:],
        "blocks": whole[:12288] + bytes(len(whole) - 12288),
    }
    for octets in damaged.values():
        opened.path.write_bytes(octets)
        refused(opened, "is damaged: restore a backup")
    opened.path.unlink()
    with duckdb.connect(str(opened.path)) as other:
        other.execute("CREATE TABLE cats (name VARCHAR)")
    refused(opened, "not a registry's database")
    opened.path.write_bytes(whole)
    opened.reopen()
    opened.database.write(lambda t: t.write("UPDATE meta SET content = '2' WHERE name = 'schema'"))
    opened.close()
    refused(opened, "another version")


def test_a_damaged_block_that_is_read_later_is_one_sentence_too(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    for number in range(400):
        opened.database.write(add(f"{number:03d}", os.urandom(3000).hex()))
    opened.close()
    octets = bytearray(opened.path.read_bytes())
    middle = len(octets) // 2
    octets[middle : middle + 200_000] = bytes(200_000)
    opened.path.write_bytes(octets)
    try:
        opened.reopen()
    except UnusableFolder:
        return
    try:
        with pytest.raises(UnusableFolder, match="damaged"):
            opened.database.rows("SELECT sum(length(content)) FROM meta")
    finally:
        opened.close()


def test_a_log_of_another_database_is_named(tmp_path: Path) -> None:
    opened = killed(tmp_path / "a", 3)
    other = killed(tmp_path / "b", 3)
    log = opened.path.with_name("registry.duckdb.wal")
    shutil.copy(other.path.with_name(log.name), log)
    refused(opened, "is of another database: move it away")
    opened.path.unlink()
    refused(opened, "of a database that is gone: move it away")


def test_a_folder_whose_first_start_was_cut_short_is_started_again(tmp_path: Path) -> None:
    staging = tmp_path / STAGING
    staging.mkdir(parents=True)
    (staging / "half").write_bytes(b"half a database")
    opened = Opened(tmp_path)
    assert list(staging.iterdir()) == []
    opened.close()


# -- crashes --------------------------------------------------------------------------------------

WRITES = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from filter_service.database import Database
from filter_service.keyring import KeyRing
folder = Path(sys.argv[1])
keys = KeyRing(folder / "keys", bytes(range(32)))
database = Database(folder / "registry.duckdb", keys, lambda: datetime.now(UTC))

def work(transaction, name):
    transaction.insert("meta", name=name, content="x" * 300)
    transaction.audit("system", "added", name)

for number in range(int(sys.argv[2])):
    name = f"{number:03d}"
    database.write(lambda t: work(t, name))
    size = (folder / "registry.duckdb.wal").stat().st_size
    os.write(1, f"{size}\\n".encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path, count: int) -> Opened:
    """A database whose process was killed after so many acknowledged writes; closed."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(folder), str(count)],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    sizes = [int(size) for size in done.stdout.split()]
    assert len(sizes) == count
    opened = object.__new__(Opened)
    opened.folder, opened.path = folder, folder / "registry.duckdb"
    opened.sizes = sizes
    return opened


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    opened = killed(tmp_path, 50)
    opened.reopen()
    assert opened.names() == [f"{n:03d}" for n in range(50)]
    assert opened.database.verify_audit().length == 50
    opened.close()


@pytest.mark.parametrize(
    "fill", ["cut", pytest.param("zeros", marks=pytest.mark.soak), "more zeros"]
)
def test_a_log_of_writes_torn_anywhere_in_its_last_write_loses_only_that(
    tmp_path: Path, fill: str
) -> None:
    """A loss of power leaves the new length of a file without all of its content."""
    opened = killed(tmp_path / "six", 6)
    log = opened.path.with_name("registry.duckdb.wal")
    data, octets = opened.path.read_bytes(), log.read_bytes()
    before, after = opened.sizes[-2:]
    assert after == len(octets)
    cuts = 0
    for length in range(before, after, 29):
        rest = {"cut": 0, "zeros": len(octets) - length, "more zeros": 4096}[fill]
        opened.path.write_bytes(data)
        log.write_bytes(octets[:length] + bytes(rest))
        opened.reopen()
        names = opened.names()
        assert names == [f"{n:03d}" for n in range(5)], length
        head = opened.database.verify_audit()
        cut = opened.database.row("SELECT count(*) FROM audit WHERE action = 'torn_log_cut'")
        assert cut is not None
        assert head.length == len(names) + cut[0]
        cuts += cut[0]
        assert opened.database.write(add("goes on")) == "goes on"
        # As if it was killed then: what was written behind the torn place is found again.
        again = object.__new__(Opened)
        again.folder, again.path = tmp_path / "again", tmp_path / "again" / opened.path.name
        shutil.copytree(opened.folder, again.folder)
        opened.close()
        again.reopen()
        assert again.names() == [*names, "goes on"]
        again.close()
        shutil.rmtree(again.folder)
        torn = log.with_name(log.name + ".torn")
        if cut[0]:
            assert torn.read_bytes() == octets[:length] + bytes(rest), "a copy is kept"
            assert stat.S_IMODE(torn.stat().st_mode) == 0o600
            torn.unlink()
        assert not torn.exists()
    assert (cuts > 0) == (fill != "cut")


def test_a_log_damaged_in_its_middle_is_refused_not_cut(tmp_path: Path) -> None:
    """What comes behind was acknowledged. (Not seen: a damaged length, which DuckDB takes for the end.)"""
    opened = killed(tmp_path, 20)
    log = opened.path.with_name("registry.duckdb.wal")
    octets = log.read_bytes()
    middle = opened.sizes[9] + 100
    for damaged in (
        octets[:middle] + bytes([octets[middle] ^ 1]) + octets[middle + 1 :],
        octets[:middle] + bytes(600) + octets[middle + 600 :],
        octets[:middle] + bytes([octets[middle] ^ 1]) + octets[middle + 1 :] + bytes(4096),
    ):
        log.write_bytes(damaged)
        refused(opened, "is damaged: restore a backup")
        assert log.read_bytes() == damaged
    log.write_bytes(octets)
    opened.reopen()
    assert len(opened.names()) == 20
    opened.close()


# -- copies ---------------------------------------------------------------------------------------


def test_a_backup_is_whole_private_and_not_written_over(opened: Opened, tmp_path: Path) -> None:
    opened.database.write(add("a"))
    target = tmp_path / "copy.duckdb"
    opened.database.backup(target)
    opened.database.write(add("b"))
    with pytest.raises(UnusableFolder, match="exists already"):
        opened.database.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / STAGING).iterdir()] == []
    assert not list(tmp_path.glob(".copy*"))
    with duckdb.connect(str(target), read_only=True) as copy:
        assert copy.execute("SELECT name FROM meta ORDER BY 1").fetchall() == [("a",), ("schema",)]


def test_a_backup_is_of_one_moment(opened: Opened, tmp_path: Path) -> None:
    """Rows and audit trail agree in it, though others write meanwhile; it opens as a database."""
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            opened.database.write(add(f"{number:05d}"))
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        opened.database.backup(tmp_path / str(number) / "registry.duckdb")
    over.set()
    thread.join()
    lengths = []
    for number in range(4):
        copy = Opened(tmp_path / str(number))
        assert copy.database.verify_audit().length == len(copy.names())
        lengths.append(len(copy.names()))
        copy.close()
    assert lengths == sorted(lengths)


def test_work_between_transactions_never_sees_half_a_write(opened: Opened, tmp_path: Path) -> None:
    """A backup that waits in the middle of a batch is of what is durable, keys and all."""

    def half(transaction: Transaction) -> None:
        transaction.insert("meta", name=str(transaction.keys.new()), content="key")
        transaction.rows("SELECT 1")  # which writes what was waiting

    with Together(opened.database) as batch:
        batch.submit(half)
        with ThreadPoolExecutor(1) as pool:
            copying = pool.submit(opened.database.backup, tmp_path / "copy")
            while len(opened.database._waiting) < 2:
                time.sleep(0.001)
            batch.submit(half)
            batch.submit(fail_at_once)
            batch.go.set()
            copying.result(30)
    with duckdb.connect(str(tmp_path / "copy"), read_only=True) as copy:
        names = [row[0] for row in copy.execute("SELECT name FROM meta").fetchall()]
    assert len(names) == 2
    assert {str(one) for one in opened.keys.durable()} >= set(names) - {"schema"}


def test_compaction_leaves_nothing_deleted_in_the_file(opened: Opened) -> None:
    for number in range(50):
        opened.database.write(add(f"{number:03d}", f"sentinel-{number:03d}-" * 50))
    opened.database.write(lambda t: t.write("DELETE FROM meta WHERE name < '049'"))
    opened.database.compact()
    files = [p for p in opened.folder.iterdir() if p.is_file() and p.name.startswith("registry")]
    octets = b"".join(path.read_bytes() for path in files)
    assert b"sentinel-049-" in octets
    assert not any(f"sentinel-{n:03d}-".encode() in octets for n in range(49))
    assert stat.S_IMODE(opened.path.stat().st_mode) == 0o600
    assert [path.name for path in (opened.folder / STAGING).iterdir()] == []
    # The copy has its keys and limits like the first.
    with pytest.raises(duckdb.ConstraintException):
        opened.database.write(add("049"))
    with pytest.raises(duckdb.PermissionException):
        opened.database.rows("SELECT * FROM read_text('/etc/hostname')")
    opened.close()
    opened.reopen()
    assert opened.names() == ["049"]


def test_a_compaction_that_fails_changes_nothing(opened: Opened) -> None:
    """Here the folder that it writes to is gone."""
    opened.database.write(add("a"))
    shutil.rmtree(opened.folder / STAGING)
    with pytest.raises(duckdb.Error):
        opened.database.compact()
    opened.database.write(add("b"))
    assert opened.names() == ["a", "b"]


def test_a_changed_trail_is_found_in_the_database(opened: Opened) -> None:
    for name in "abcd":
        opened.database.write(add(name))
    for statement in (
        "UPDATE audit SET actor = 'admin' WHERE number = 2",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit WHERE number = 4",
        "UPDATE audit SET number = CASE number WHEN 2 THEN 30 ELSE number END",
        "UPDATE audit SET moment = moment + INTERVAL 1 SECOND WHERE number = 4",
    ):
        copy = opened.folder / "tried"
        copy.mkdir()
        opened.database.backup(copy / "registry.duckdb")
        known = opened.database.head
        tried = Opened(copy)
        tried.database.write(lambda t, s=statement: t.write(s))
        assert tried.database.head == known
        with pytest.raises(UnusableFolder, match="audit trail"):
            tried.database.verify_audit()
        tried.close()
        shutil.rmtree(copy)
    assert opened.database.verify_audit().length == 4
