"""Recipes: what is known of each dataset, as data."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one dataset is rebuilt. Candidates for a column are tried in order."""

    name: str
    title: str
    dataset: str
    revision: str
    license: str
    homepage: str
    stages: tuple[str, ...]
    text: str
    id: tuple[str, ...]
    url: tuple[str, ...]
    language: tuple[str, ...]
    tokens: tuple[str, ...]
    upstream: str
    """What the scripts of the Apertus project do with it, in words."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What a stage needs to know, by its name."""

    def described(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    text = files("pipeline.reconstruct").joinpath("data/recipes.toml").read_text(encoding="utf-8")
    return {name: _recipe(name, fields) for name, fields in tomllib.loads(text).items()}


def recipe(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        UnknownName: there is none.
    """
    if name not in recipes():
        raise UnknownName(f"There is no recipe {name!r}: use one of {', '.join(recipes())}.")
    return recipes()[name]


def _recipe(name: str, fields: dict[str, Any]) -> Recipe:
    frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Recipe(name=name, **frozen)
