"""A mixture: which datasets make up the stages of a training; a file of its own, see docs/mixture.md."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.errors import UnreadableFile, WrongVersion
from pipeline.reconstruct.recipes import recipes

FORMAT = 1
_TITLE = {"format": int, "title": str, "stage": list}
_STAGE = {"name": str, "span": str, "dataset": list}
_DATASET = {
    "name": str, "recipes": list, "variant": str, "settings": dict, "weight": (int, float),
    "billions": (int, float),
}  # fmt: skip
_NEEDED = {"format", "stage", "name", "dataset", "recipes", "billions"}
_HEADER = re.compile(r"\s*\[\[\s*(stage(?:\s*\.\s*dataset)?)\s*\]\]")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One row of a stage: what several recipes make together."""

    name: str
    recipes: tuple[str, ...]
    billions: float
    """Tokens that were available upstream, in units of 1e9."""
    weight: float = 1.0
    """How often its tokens are in the stage."""
    variant: str = ""
    """What of it is meant, in words."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of stages that the run of a corpus must have had to be one of these."""

    def differences(self, held: dict[str, Any]) -> list[str]:
        """The settings of a recipe that are others than wanted, like ``quality.keep = 0.1``."""
        return [
            f"{stage}.{key} = {json.dumps(held.get(stage, {}).get(key))}"
            for stage, wanted in self.settings.items()
            for key, value in wanted.items()
            if held.get(stage, {}).get(key) != value
        ]

    @property
    def planned(self) -> int:
        """Tokens in the stage."""
        return round(self.billions * 1e9 * self.weight)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained on between two points of a training."""

    name: str
    datasets: tuple[Dataset, ...]
    span: str = ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The stages of a training, in their order."""

    title: str
    stages: tuple[Stage, ...]


def shipped() -> Mixture:
    """The mixture of Apertus."""
    text = files("pipeline.reconstruct").joinpath("data/mixture.toml").read_text(encoding="utf-8")
    return parsed(text, "mixture.toml")


def read(path: Path) -> Mixture:
    """The mixture in a file.

    Raises:
        UnreadableFile: there is none, or it does not follow the format; it says in which line.
        WrongVersion: it is of a later format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UnreadableFile(f"{path} cannot be read: {why}.") from None
    return parsed(text, str(path))


def parsed(text: str, name: str) -> Mixture:
    """The mixture in ``text``, which is the content of the file ``name``; raises as `read` does."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnreadableFile(f"{name} is not TOML: {error}.") from None
    if content.get("format") != FORMAT:
        raise WrongVersion(
            f"{name} has no 'format = {FORMAT}', the one that this program knows: see docs/mixture.md."
        )
    return _Reader(text, name).mixture(content)


class _Reader:
    """Reads the tables of a mixture, and knows in which line each of them begins."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = text.splitlines()
        self._headers = [
            (number, found[1].replace(" ", ""))
            for number, line in enumerate(self._lines, 1)
            if (found := _HEADER.match(line))
        ]

    def mixture(self, content: dict[str, Any]) -> Mixture:
        self._check(content, _TITLE, 1, "the file")
        stages, seen = [], set()
        lines = self._lines_of("stage", len(content["stage"]))
        for table in self._tables(content["stage"], 1):
            line = next(lines)
            self._check(table, _STAGE, line, "a stage")
            if table["name"] in seen:
                self._refuse(line, f"there are two stages {table['name']!r}")
            seen.add(table["name"])
            begins = self._lines_of("stage.dataset", len(table["dataset"]), line)
            made = [self._dataset(t, next(begins)) for t in self._tables(table["dataset"], line)]
            stages.append(Stage(table["name"], tuple(made), table.get("span", "")))
        return Mixture(content.get("title", self._name), tuple(stages))

    def _lines_of(self, kind: str, count: int, behind: int = 0) -> Iterator[int]:
        """Where ``count`` tables begin behind a line; that line for each where they have no headers."""
        end = min((n for n, k in self._headers if k == "stage" and n > behind > 0), default=None)
        found = [
            n for n, k in self._headers if k == kind and n > behind and (end is None or n < end)
        ]
        return iter(found if len(found) == count else [max(behind, 1)] * count)

    def _dataset(self, table: dict[str, Any], line: int) -> Dataset:
        self._check(table, _DATASET, line, "a dataset")
        names = table["recipes"]
        if not names:
            self._refuse(line, "a dataset has no recipe", "recipes")
        for name in names:
            if not isinstance(name, str) or name not in recipes():
                self._refuse(
                    line, f"there is no recipe {name!r} (lethe reconstruct list)", "recipes"
                )
        for key in ("billions", "weight"):
            if not 0 < table.get(key, 1) < 1e9:
                self._refuse(line, f"{key!r} must be above 0 and below a billion", key)
        return Dataset(
            table["name"],
            tuple(dict.fromkeys(names)),
            float(table["billions"]),
            float(table.get("weight", 1)),
            table.get("variant", ""),
            self._settings(table.get("settings", {}), line),
        )

    def _settings(self, table: dict[str, Any], line: int) -> dict[str, dict[str, Any]]:
        if not all(isinstance(settings, dict) for settings in table.values()):
            self._refuse(line, "'settings' must be like { quality = { keep = 0.33 } }", "settings")
        return table

    def _tables(self, value: list[Any], line: int) -> list[dict[str, Any]]:
        if not value or not all(isinstance(table, dict) for table in value):
            self._refuse(line, "there must be tables like [[stage]] and [[stage.dataset]]")
        return value

    def _check(self, table: dict[str, Any], known: dict[str, Any], line: int, what: str) -> None:
        for key, value in table.items():
            if key not in known:
                self._refuse(line, f"{what} has no {key!r}: it has {', '.join(known)}", key)
            if not isinstance(value, known[key]) or isinstance(value, bool):
                kinds = {str: "a text", list: "a list", dict: "a table"}
                self._refuse(line, f"{key!r} must be {kinds.get(known[key], 'a number')}", key)
        for key in known:
            if key in _NEEDED and key not in table:
                self._refuse(line, f"{what} needs {key!r}")

    def _refuse(self, line: int, why: str, key: str | None = None) -> None:
        """Raise, with the line of ``key`` behind the header at ``line`` where it is found there."""
        if key is not None:
            later = [number for number, _ in self._headers if number > line]
            end = min(later, default=len(self._lines) + 1)
            keyed = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
            for number in range(line, end):
                if keyed.match(self._lines[number - 1]):
                    line = number
                    break
        raise UnreadableFile(f"{self._name}, line {line}: {why}.")
