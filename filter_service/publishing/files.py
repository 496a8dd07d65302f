"""Files that appear whole or not at all, and folders that one process changes at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filter.errors import InputError


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name once the block has ended well.

    Raises:
        InputError: it cannot be written there.
    """
    # Not made from the name of the file, which may be as long as the file system allows already.
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.chmod(mode)
        place(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): free the place or choose another."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, octets: bytes, mode: int = 0o644) -> None:
    """Write a file.

    Raises:
        InputError: it cannot be written there.
    """
    with replacing(path, mode) as temporary:
        temporary.write_bytes(octets)


def copy(source: Path, path: Path) -> None:
    """Copy a file.

    Raises:
        InputError: it cannot be read, or not be written there.
    """
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def place(temporary: Path, path: Path) -> None:
    """Give a finished file its name: the content is on the disk before the name is."""
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of files that never got their name."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; waits for whoever holds it. The lock ends with the process that has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    """Have the file or folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
