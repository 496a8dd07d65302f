"""A corpus is read, decided, scrubbed and written again; every decision is in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.reconstruct.engine import RunResult, run
    from pipeline.reconstruct.manifest import Options

__all__ = ["Options", "RunResult", "run"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the recipes can be listed without datatrove.
    if name in {"run", "RunResult"}:
        from pipeline.reconstruct import engine

        return getattr(engine, name)
    if name == "Options":
        from pipeline.reconstruct.manifest import Options

        return Options
    raise AttributeError(name)
