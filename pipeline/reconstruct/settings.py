"""What a stock block is set to, so that a run with another setting is another run."""

from __future__ import annotations

import hashlib
import json
import re
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from datatrove.pipeline.base import PipelineStep

_PLAIN = (str, int, float, type(None))


def described(step: PipelineStep) -> dict[str, Any]:
    """A block by its class and its settings: plain values as they are, all others by a digest.

    The digest covers the content of collections, patterns, objects and random generators, and of
    functions their code, defaults and closures. Not covered is what a function looks up by name, and
    what Python cannot look into: a compiled extension counts by its type alone.
    """
    settings = {k: v for k, v in sorted(vars(step).items()) if k != "stats"}
    return {
        "class": _name(type(step)),
        "settings": {k: v if isinstance(v, _PLAIN) else _digest(v) for k, v in settings.items()},
    }


def _digest(value: object) -> str:
    text = json.dumps(_content(value, {}), sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _content(value: Any, met: dict[int, object]) -> Any:
    """A JSON-able value that differs where ``value`` does; each object is looked into once."""
    if isinstance(value, _PLAIN):
        return value
    if id(value) in met or len(met) > 100_000:
        return "met before"
    met[id(value)] = value  # held, so that no other object gets its id

    def of(*parts: Any) -> list[Any]:
        return [_content(part, met) for part in parts]

    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, (list, tuple)):
        return of(*value)
    if isinstance(value, (set, frozenset, dict)):
        parts = value.items() if isinstance(value, dict) else value
        return sorted(of(*parts), key=json.dumps)
    if isinstance(value, re.Pattern):
        return of(value.pattern, value.flags)
    if isinstance(value, CodeType):
        return of(value.co_code, value.co_names, value.co_freevars, value.co_consts)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return of(_name(value), value.__code__, value.__defaults__, value.__kwdefaults__, cells)
    if isinstance(value, (MethodType, BuiltinMethodType)):
        return of(_name(value), value.__self__)
    if isinstance(value, (type, ModuleType)):
        return _name(value)
    return of(_name(type(value)), _inside(value))


def _inside(value: object) -> object:
    """What an object consists of, ``None`` where it does not say."""
    held = {k: v for k, v in getattr(value, "__dict__", {}).items() if k != "stats"}
    if held:
        return held
    try:
        return value.__reduce_ex__(4)[1:3]
    except Exception:  # noqa: BLE001  (locks, handles: they say so in many ways)
        return None


def _name(value: Any) -> str:
    owner = getattr(value, "__module__", None)
    return f"{owner}.{getattr(value, '__qualname__', type(value).__qualname__)}"
