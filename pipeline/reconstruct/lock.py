"""One process in a folder at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.atomic import remove_leftovers
from pipeline.errors import WrongRun
from pipeline.reconstruct import jobs
from pipeline.reconstruct.folder import Folder

_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What network file systems answer that know no locks."""


@contextmanager
def alone_in(out: Folder) -> Iterator[None]:
    """Keep a second process out of a local folder; the lock goes with the process that holds it.

    What an earlier process left half-written is removed before the block, what a failure leaves behind
    it. Jobs that were submitted for the folder keep everybody out until they are through.
    """
    if out.local is None:
        jobs.check_none(out)
        yield
        return
    descriptor = _locked(out, out.local)
    try:
        jobs.check_none(out)
        remove_leftovers(out.local)
        yield
    finally:
        if not jobs.announced(out):  # what jobs are writing is no leftover
            remove_leftovers(out.local)
        os.close(descriptor)


def _locked(out: Folder, path: Path) -> int:
    """A descriptor that holds the lock of the folder, which is made if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise WrongRun(
            f"{out.root} cannot be written to ({error.strerror}): choose another folder for --out."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WrongRun(f"Another process is working in {out.root}: wait for it.") from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            os.close(descriptor)
            raise
    return descriptor
