"""How far a run is: each task leaves word in a file, and a thread adds them up for who watches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from pipeline.reconstruct.folder import Folder

Progress = Callable[[int, int], None]
"""Called with (rows read, rows in all)."""
_SECONDS = 0.2


def leave_word(marks: Path, rank: int, rows: int) -> None:
    """Say in ``marks`` that task number ``rank`` has read so many rows.

    On another machine there may be no such folder: nobody watches there.
    """
    try:
        descriptor = os.open(marks / f"{rank:05d}", os.O_WRONLY | os.O_CREAT, 0o644)
    except FileNotFoundError:
        return
    try:
        os.pwrite(descriptor, rows.to_bytes(8, "little"), 0)
    finally:
        os.close(descriptor)


@contextmanager
def marks_for(out: Folder) -> Iterator[Path]:
    """An empty local folder for the words of the tasks of a run into ``out``."""
    if out.local is None:
        with tempfile.TemporaryDirectory(prefix="lethe-") as temporary:
            yield Path(temporary)
        return
    marks = out.local / "logs" / "progress"
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir(parents=True)
    try:
        yield marks
    finally:
        shutil.rmtree(marks, ignore_errors=True)


@contextmanager
def shown(progress: Progress | None, marks: Path, before: int, total: int) -> Iterator[None]:
    """Call ``progress`` from time to time while the block runs, and once behind it.

    ``before`` rows of the ``total`` had been read by an earlier attempt.
    """
    if progress is None:
        yield
        return
    stop = Event()

    def look() -> None:
        while not stop.wait(_SECONDS):
            read = sum(int.from_bytes(m.read_bytes()[:8], "little") for m in marks.iterdir())
            progress(min(total, before + read), total)

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    progress(total, total)
