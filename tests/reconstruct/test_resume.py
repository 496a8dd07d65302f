"""A run that was stopped goes on where it was, and ends with the same bytes as one that was not."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

FILE_COUNT = 12
FILES = {f"{n:02d}.parquet": 700 for n in range(FILE_COUNT)}
TRIES = 5
"""A run may be over before it is caught: it is then begun again elsewhere, so many times at most."""


@pytest.fixture(scope="module")
def whole(shared_world: Any) -> Any:
    """An uninterrupted run, and how long the command takes for it."""
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    out = shared_world.folder / "whole"
    begin = time.monotonic()
    command = shared_world.command(shared_world.source, out)
    with shared_world.watcher(out) as watcher:
        subprocess.run(command, check=True, capture_output=True)
    shared_world.seconds = time.monotonic() - begin
    assert watcher.opened > 0
    shared_world.expected = shared_world.contents(out)
    return shared_world


@pytest.mark.parametrize(("workers", "seed"), [pytest.param(1, 5, marks=pytest.mark.soak), (2, 7)])
def test_killed_at_any_moment(whole: Any, tmp_path: Path, workers: int, seed: int) -> None:
    rng = random.Random(seed)
    hit = 0
    for attempt in range(TRIES):
        out = tmp_path / str(attempt)
        command = whole.command(whole.source, out, "--workers", str(workers))
        hit += whole.killed_and_resumed(command, out, rng, 2, whole.seconds)
        assert whole.contents(out) == whole.expected
        assert whole.leftovers(out) == []
        if hit:
            break
    assert hit > 0


@pytest.fixture
def finished(whole: Any, tmp_path: Path) -> Path:
    """A copy of the finished run, the one that was stopped having got as far as this."""
    shutil.copytree(whole.folder / "whole", tmp_path / "out")
    return tmp_path / "out"


def test_the_same_command_again_does_nothing(whole: Any, finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*.parquet")}
    seen: list[tuple[int, int]] = []
    result = whole.run(whole.source, finished, progress=lambda *at: seen.append(at))
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*.parquet")} == before
    assert result.resumed_files == result.files == FILE_COUNT
    assert result.documents_in == FILE_COUNT * 700
    assert result.documents_out == sum(
        pq.read_metadata(p).num_rows for p in finished.glob("data/*")
    )
    assert result.replaced["email"] > 100
    assert seen[-1] == (FILE_COUNT * 700, FILE_COUNT * 700)
    assert whole.contents(finished) == whole.expected


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def other(path: Path) -> None:
    path.write_bytes(path.with_name("03.parquet").read_bytes()[:-20_000])


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("data/07.parquet", Path.unlink),
        ("data/07.parquet", cut),
        ("data/07.parquet", other),
        ("ledger/07.parquet", Path.unlink),
        ("ledger/07.parquet", cut),
        ("state/07.parquet.json", Path.unlink),
        ("state/07.parquet.json", lambda path: path.write_text('{"file": "07.par')),
        ("state/07.parquet.json", lambda path: path.write_text("[]")),
        ("state/07.parquet.json", lambda path: path.write_text("{}")),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", None),
)
def test_what_is_lost_is_made_again(
    whole: Any, finished: Path, name: str, harm: Callable[[Path], Any]
) -> None:
    """datatrove's marker says that the file is done; it is not to be trusted."""
    harm(finished / name)
    assert (finished / "logs/completions/00007").exists()
    result = whole.run(whole.source, finished)
    assert result.resumed_files == FILE_COUNT - 1
    assert whole.contents(finished) == whole.expected


def test_missing_markers_do_no_harm(whole: Any, finished: Path) -> None:
    for path in (finished / "logs").rglob("*"):
        if path.is_file():
            path.unlink()
    assert whole.run(whole.source, finished).resumed_files == FILE_COUNT


def test_leftovers_of_a_killed_process_go(whole: Any, finished: Path) -> None:
    for name in (".x.tmp", "data/.00.parquet.1a2b.tmp", "ledger/.y.tmp", "state/.z.tmp"):
        (finished / name).write_bytes(b"half")
    whole.run(whole.source, finished)
    assert whole.leftovers(finished) == []
    assert whole.contents(finished) == whole.expected


@contextlib.contextmanager
def held_midway(whole: Any, out: Path, workers: str) -> Iterator[subprocess.Popen[str]]:
    """A run that stands still, all its processes: some files are there, half of them are not."""
    command = whole.command(whole.source, out, "--workers", workers)
    for _ in range(TRIES):
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            while not list(out.glob("data/*.parquet")):
                assert process.poll() is None
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGSTOP)
            if len(list(out.glob("data/*.parquet"))) <= FILE_COUNT // 2:
                yield process
                return
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        shutil.rmtree(out)
    pytest.fail("Every run was nearly over when it was seen.")


def test_a_worker_that_is_killed_is_missed(whole: Any, tmp_path: Path) -> None:
    """By the kernel for want of memory, say: no waiting for ever, and nothing lost."""
    with held_midway(whole, tmp_path / "out", "2") as process:
        victim = worker_of(process.pid)
        assert victim is not None
        victim.kill()
        os.killpg(process.pid, signal.SIGCONT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith(
        "lethe: A worker process was killed, perhaps for want of"
    )
    assert "Traceback" not in said
    assert whole.leftovers(tmp_path) == []
    whole.run(whole.source, tmp_path / "out")
    assert whole.contents(tmp_path / "out") == whole.expected


def worker_of(pid: int) -> psutil.Process | None:
    """One that works: a grandchild, whose parent is the server that starts the workers."""
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if process.ppid() != pid and process.cpu_times().user > 0:
                return process
        except psutil.NoSuchProcess:
            continue
    return None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_outlives_a_killed_run(whole: Any, tmp_path: Path, workers: str) -> None:
    """Neither a process nor the lock: the very next command has the folder for itself."""
    with held_midway(whole, tmp_path / "out", workers) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        os.killpg(process.pid, signal.SIGCONT)
        process.wait()
        assert whole.run(whole.source, tmp_path / "out").documents_in == FILE_COUNT * 700
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
    assert whole.contents(tmp_path / "out") == whole.expected


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_by_a_person(whole: Any, tmp_path: Path, workers: str) -> None:
    """Ctrl-C goes to every process of the terminal: no traceback, and the same command goes on."""
    with held_midway(whole, tmp_path / "out", workers) as process:
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGCONT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert whole.leftovers(tmp_path) == []
    whole.run(whole.source, tmp_path / "out")
    assert whole.contents(tmp_path / "out") == whole.expected
