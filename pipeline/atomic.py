"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name once the block has ended well.

    The content is on the disk before the name is: a crash at any point leaves either the old file,
    or the new one, or a ``.tmp`` file whose name starts with a dot, which readers of Parquet folders
    ignore and `remove_leftovers` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not made from the name of the file, which may be as long as the file system allows already.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of files that never got their name."""
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the file or folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
