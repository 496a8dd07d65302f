"""What is judged by which head, and from which score on documents stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.languages import Languages, languages
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.stage_heads import HeadFiles
from pipeline.reconstruct.vectors import check_vectors

if TYPE_CHECKING:
    from pipeline.reconstruct.manifest import Options

JUDGED = ("quality", "toxicity")
"""Stages that judge by a head, in their order."""
EMBEDDINGS = "embeddings"
"""The column with the vectors."""
SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Judge:
    """A stage that judges documents by a head."""

    stage: str
    languages: Languages
    heads: HeadFiles
    origin: str
    """Where the thresholds come from: ``published``, ``given`` or ``estimated``."""
    share: float | None
    """Of documents whose score is at least an estimated threshold."""
    thresholds: dict[str, float] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """What of it the output depends on, JSON-able. Estimates follow from the rest."""
        said: dict[str, Any] = {"heads": self.heads.digests, "thresholds": self.origin}
        if self.origin != "estimated":
            said["values"] = self.thresholds
        if self.origin != "published":
            said["share"] = self.share
        return said

    def stays(self, scores: npt.NDArray[np.float32], language: str) -> npt.NDArray[np.bool_]:
        """Which scores are good enough: at least the threshold for quality, below it for toxicity.

        Raises:
            WrongRun: no threshold for that language is known.
        """
        if language not in self.thresholds:
            raise WrongRun(
                f"There are documents in {language}, and the thresholds that were given have none for "
                f"{self.stage} there: run without --thresholds, or give those of a run with such documents."
            )
        enough = scores.astype(np.float64) >= self.thresholds[language]
        return enough if self.stage == "quality" else ~enough


@dataclass(frozen=True, slots=True)
class Shares:
    """Which share of the documents of each language is drawn, and with which seed."""

    seed: int
    by_language: tuple[Fraction, ...]
    """In the order in which the stage knows them."""
    others: Fraction


@dataclass(frozen=True, slots=True)
class Selection:
    """All judges of a run."""

    judges: tuple[Judge, ...]

    @classmethod
    def of(cls, recipe: Recipe, options: Options) -> Self | None:
        """What a run selects by; ``None`` where its recipe judges nothing.

        Raises:
            InputError: an option that the recipe has no use for, a head that is missing or wrong,
                thresholds that do not fit.
        """
        _check(recipe, options)
        stages = [stage for stage in JUDGED if stage in recipe.stages]
        if not stages:
            return None
        return cls(tuple(_judge(recipe, options, stage) for stage in stages))

    @classmethod
    def again(cls, recipe: Recipe, options: Options, held: dict[str, Any]) -> Self | None:
        """What the run with the manifest ``held`` selected by, thresholds included.

        Raises:
            InputError: a head is missing, or is another than that of the run.
        """
        found = cls.of(recipe, replace(options, thresholds=None))
        if found is None:
            return None
        judges = []
        for judge in found.judges:
            said = _table(_table(held, "selection"), judge.stage)
            if said.get("heads") != judge.heads.digests:
                raise WrongRun(
                    f"The run had another head for {judge.stage}: give that one with "
                    f"--{judge.stage}-head."
                )
            if said.get("thresholds") == "given":
                values = _numbers(_table(said, "values"))
                judges.append(replace(judge, origin="given", thresholds=values))
            else:
                judges.append(judge)
        return replace(found, judges=tuple(judges)).with_estimates(held.get("estimated"))

    def described(self) -> dict[str, Any]:
        """For the manifest, JSON-able."""
        return {judge.stage: judge.described() for judge in self.judges}

    def by_stage(self, stage: str) -> Judge:
        """The judge of ``stage``."""
        return next(judge for judge in self.judges if judge.stage == stage)

    def to_estimate(self) -> tuple[Judge, ...]:
        """Those of whom no threshold is known yet."""
        return tuple(j for j in self.judges if j.origin == "estimated" and not j.thresholds)

    def with_estimates(self, found: object) -> Self:
        """The same with what a manifest holds under ``estimated``.

        Raises:
            WrongRun: it is damaged.
        """
        judges = [
            replace(j, thresholds=_numbers(_table(found, j.stage)))
            if j.origin == "estimated"
            else j
            for j in self.judges
        ]
        return replace(self, judges=tuple(judges))


def check_columns(recipe: Recipe, schema: pa.Schema, name: str) -> None:
    """Look whether the file ``name`` has what the selecting stages of ``recipe`` need.

    Raises:
        WrongColumns: it has not.
    """
    if any(stage in recipe.stages for stage in JUDGED):
        check_vectors(schema, EMBEDDINGS, name, recipe.name)
    for stage in (*JUDGED, SAMPLE):
        if stage in recipe.stages:
            languages((), recipe.settings.get(stage, {})).check(schema, name, recipe.name)


def check_shares(recipe: Recipe) -> None:
    """Look whether the shares that a recipe was given for its stages are some.

    Raises:
        UnknownName: one is not.
    """
    for stage, setting in (("quality", "keep"), ("toxicity", "drop")):
        share = recipe.settings.get(stage, {}).get(setting)
        if share is not None and not 0 < share < 1:
            raise UnknownName(
                f"The stage {stage} can {setting} a share of the documents: give one between 0 and 1."
            )


def drawn(recipe: Recipe) -> tuple[Shares, Languages]:
    """What the stage ``sample`` draws of each language."""
    settings = recipe.settings[SAMPLE]
    by_language = {name: Fraction(str(share)) for name, share in settings["shares"].items()}
    kept = recipe.settings.get("quality", {}).get("keep", 1)
    others = Fraction(str(settings["others"])) * Fraction(str(kept))
    shares = Shares(settings["seed"], tuple(by_language.values()), others)
    return shares, languages(by_language, settings)


def _check(recipe: Recipe, options: Options) -> None:
    given = {"quality": options.quality_head, "toxicity": options.toxicity_head}
    for stage, head in given.items():
        if head is not None and stage not in recipe.stages:
            raise InputError(
                f"Recipe {recipe.name} has no stage {stage}: leave out --{stage}-head."
            )
    if any(stage in recipe.stages for stage in JUDGED):
        return
    for flag, value in (
        ("thresholds", options.thresholds),
        ("drop-embeddings", options.drop_embeddings),
    ):
        if value:
            raise InputError(f"Recipe {recipe.name} judges nothing: leave out --{flag}.")


def _judge(recipe: Recipe, options: Options, stage: str) -> Judge:
    settings = recipe.settings[stage]
    given = options.quality_head if stage == "quality" else options.toxicity_head
    if given is None:
        raise InputError(
            f"Recipe {recipe.name} judges {stage} by a head, which does not come with Lethe: give one with "
            f"--{stage}-head (docs/selection.md says how to make it)."
        )
    known = tuple(settings.get("languages") or settings.get("below") or [settings.get("language")])
    heads = HeadFiles.open(given, stage, known)
    spoken = languages(known, settings)
    share = settings.get("keep" if stage == "quality" else "drop")
    if share is None:
        return Judge(stage, spoken, heads, "published", None, dict(settings["below"]))
    if options.thresholds is None:
        return Judge(stage, spoken, heads, "estimated", share)
    values = _given(str(options.thresholds), stage, share, heads)
    return Judge(stage, spoken, heads, "given", share, values)


def _given(source: str, stage: str, share: float, heads: HeadFiles) -> dict[str, float]:
    """The thresholds of another run, or of the run whose thresholds that one was given."""
    root, name = (source, "manifest.json")
    if source.endswith(".json"):
        root, _, name = source.rpartition("/")
    held = Folder(root or ".").read_json(name)
    if not isinstance(held, dict):
        raise UnreadableFile(
            f"{source} is no corpus that Lethe made, nor the manifest of one: give either."
        )
    said = _table(_table(held, "selection"), stage)
    given = said.get("thresholds") == "given"
    values = _table(said, "values") if given else _table(_table(held, "estimated"), stage)
    if not values:
        raise WrongRun(f"The run at {source} has no thresholds for {stage}: give another one.")
    if said.get("share") != share:
        raise WrongRun(
            f"The thresholds at {source} are those of a share of {said.get('share')} for {stage}, and this "
            f"run wants {share}: give the same."
        )
    if said.get("heads") != heads.digests:
        raise WrongRun(
            f"The thresholds at {source} are those of another head for {stage}: give that one."
        )
    return _numbers(values)


def fixed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest in which what was estimated is given.

    For a corpus whose policy has changed since: the thresholds do not follow from it any more. It is what a
    run under that policy has whose thresholds were given by the corpus.
    """
    found = _table(content, "estimated")
    if not found:
        return dict(content)
    selection = dict(_table(content, "selection"))
    for stage in found:
        values = _numbers(_table(found, stage))
        selection[stage] = {**_table(selection, stage), "thresholds": "given", "values": values}
    left = {name: value for name, value in content.items() if name != "estimated"}
    return {**left, "selection": selection}


def _table(held: object, name: str) -> dict[str, Any]:
    """A table in a manifest, empty where there is none."""
    found = held.get(name) if isinstance(held, dict) else None
    return found if isinstance(found, dict) else {}


def _numbers(held: Mapping[str, Any]) -> dict[str, float]:
    """Thresholds by language, as a number or with what else is known of them."""
    try:
        return {
            name: float(value["threshold"] if isinstance(value, dict) else value)
            for name, value in held.items()
        }
    except (KeyError, TypeError, ValueError):
        raise WrongRun(
            "The thresholds in a manifest are damaged: make that corpus again."
        ) from None
