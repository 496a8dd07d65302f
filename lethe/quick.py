"""Starting quickly, and ending so. Only for processes that are all ours."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

_TELL_OF_LEAKS = {"duckdb"}
"""Packages that take for leaked what is still there when they are unloaded, and tell the user of it."""
_THREADS = "OPENBLAS_NUM_THREADS"


class _Absent(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname == self.package:
            raise ModuleNotFoundError("not now", name=fullname)


@contextmanager
def _as_if_without(package: str) -> Iterator[None]:
    finder = _Absent(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def without_pandas() -> None:
    """Let pyarrow do without pandas, which it would load at the first list it is given, if it is installed.

    It looks for pandas once in a process and remembers what it found. Loading it takes longer than most
    commands, none of which has a use for it. In a process where this was called, pyarrow does not know
    pandas' objects.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    with _as_if_without("pandas"):
        pa.array([0])


def without_clouds() -> None:
    """Let securesystemslib do without boto3, with which it would sign by keys that Amazon holds: 130 ms.

    It comes with S3 for corpora; the keys of releases are files.
    """
    if "boto3" in sys.modules:
        return
    with _as_if_without("boto3"):
        import securesystemslib.signer  # noqa: F401  (it looks for boto3 when it is loaded)


def without_threads() -> None:
    """Load numpy without the threads of its linear algebra, one for each processor.

    They are started when numpy is loaded, and wait for work in a loop: a tenth of a second of CPU time for
    commands that multiply no matrix. Whoever has set how many there are gets as many; PyTorch has its own.
    """
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import numpy as np  # noqa: F401  (for what it does when it is loaded)
    finally:
        del os.environ[_THREADS]


def without_looking_back() -> None:
    """End without looking through all objects once more for cycles: 40 ms with the libraries of a corpus."""
    atexit.register(_freeze)


def _freeze() -> None:
    if _TELL_OF_LEAKS.isdisjoint(sys.modules):
        gc.freeze()
