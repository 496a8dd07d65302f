"""A corpus is read, decided, scrubbed and written again; every decision is in the ledger."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.reconstruct.engine import RunResult, run
    from pipeline.reconstruct.manifest import Options
    from pipeline.reconstruct.takedowns import TakedownResult, takedown

__all__ = ["Options", "RunResult", "TakedownResult", "run", "takedown"]

_HOME = {
    "run": "engine",
    "RunResult": "engine",
    "Options": "manifest",
    "takedown": "takedowns",
    "TakedownResult": "takedowns",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the recipes can be listed without datatrove.
    if name not in _HOME:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
