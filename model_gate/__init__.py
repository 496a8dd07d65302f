"""The gate: a language model with the output filter around its generation.

`GatedModel` runs Apertus on torch; `model_gate.server` serves it, `model_gate.proxy` stands before
other engines. Nothing heavy at import: names are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_gate.channels import Piece
    from model_gate.guard import Guard, Health
    from model_gate.model import GatedModel, Generation
    from model_gate.policy import GatePolicy, Mode, NamedPrompt
    from model_gate.sampling import Sampling
    from model_gate.speech import Speech

__all__ = [
    "GatePolicy",
    "GatedModel",
    "Generation",
    "Guard",
    "Health",
    "Mode",
    "NamedPrompt",
    "Piece",
    "Sampling",
    "Speech",
]

_HOMES = {
    "GatePolicy": "policy",
    "GatedModel": "model",
    "Generation": "model",
    "Guard": "guard",
    "Health": "guard",
    "Mode": "policy",
    "NamedPrompt": "policy",
    "Piece": "channels",
    "Sampling": "sampling",
    "Speech": "speech",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        home = import_module(f"model_gate.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "filter", "model_gate"):
            raise
        raise ImportError(
            f"{name} needs the package {error.name!r}: pip install 'lethe-llm[gate]'"
        ) from error
    found = globals()[name] = getattr(home, name)
    return found
