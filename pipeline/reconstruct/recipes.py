"""Recipes: what is known of each dataset, as data."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, replace
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
    unaltered: bool = False
    """The texts must stay as they are: nothing may be scrubbed from them."""

    def described(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def changed(self, stage: str, **settings: Any) -> Recipe:
        """The same recipe with other settings of a stage.

        Raises:
            UnknownName: it has no such stage.
        """
        if stage not in self.stages:
            raise UnknownName(
                f"Recipe {self.name} has no stage {stage!r}: it has {', '.join(self.stages) or 'none'}."
            )
        merged = {**self.settings.get(stage, {}), **settings}
        return replace(self, settings={**self.settings, stage: merged})


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    text = files("pipeline.reconstruct").joinpath("data/recipes.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {name: _recipe(name, _inherited(fields, tables)) for name, fields in tables.items()}


def _inherited(fields: dict[str, Any], tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The fields of a recipe together with those of the one that it is ``like``."""
    if "like" not in fields:
        return fields
    own = {key: value for key, value in fields.items() if key != "like"}
    return {**_inherited(tables[fields["like"]], tables), **own}


def recipe(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        UnknownName: there is none.
    """
    if name not in recipes():
        raise UnknownName(
            f"There is no recipe {name!r}: `lethe reconstruct list` shows those that there are."
        )
    return recipes()[name]


def _recipe(name: str, fields: dict[str, Any]) -> Recipe:
    frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Recipe(name=name, **frozen)
