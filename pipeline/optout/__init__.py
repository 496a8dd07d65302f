"""Opt-out signals become a compiled policy, and a policy becomes a verdict for a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.optout.policy import OptOutPolicy

__all__ = ["OptOutPolicy"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for, so that the parsers can be used without pyarrow.
    if name == "OptOutPolicy":
        from pipeline.optout.policy import OptOutPolicy

        return OptOutPolicy
    raise AttributeError(name)
