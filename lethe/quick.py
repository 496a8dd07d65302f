"""Starting quickly."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("not now", name=fullname)


def without_pandas() -> None:
    """Let pyarrow do without pandas, which it would load at the first list it is given, if it is installed.

    It looks for pandas once in a process and remembers what it found. Loading it takes longer than most
    commands, none of which has a use for it. Only for a process that is all ours: in one where it was
    called, pyarrow does not know pandas' objects.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
