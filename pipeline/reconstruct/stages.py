"""The stages of a recipe: which steps each of them becomes, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnknownName
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.selection import JUDGED, Selection, check_columns, check_shares, drawn
from pipeline.reconstruct.steps.classes import KeepClasses, check_class, class_column
from pipeline.reconstruct.steps.decide import ApplyPolicy
from pipeline.reconstruct.steps.documents import between
from pipeline.reconstruct.steps.scrub import ScrubText
from pipeline.reconstruct.steps.select import DrawSample, DropEmbeddings, JudgeDocuments
from pipeline.reconstruct.steps.template import MakeText
from pipeline.reconstruct.templates import made_schema

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases


@dataclass(frozen=True, slots=True)
class Plan:
    """What the stages of a run are made of."""

    recipe: Recipe
    policy: OptOutPolicy
    options: Options
    listed: ListedPhrases | None = None
    selection: Selection | None = None

    def settings(self, stage: str) -> dict[str, Any]:
        """What the recipe says of a stage."""
        return self.recipe.settings.get(stage, {})


def _template(plan: Plan) -> list[PipelineStep]:
    return [MakeText(plan.recipe)]


def _class(plan: Plan) -> list[PipelineStep]:
    return [KeepClasses(plan.recipe)]


def _optout(plan: Plan) -> list[PipelineStep]:
    keep_removed = plan.options.removed != "none"
    return [ApplyPolicy(plan.policy, plan.recipe, keep_removed=keep_removed)]


def _quality(plan: Plan) -> list[PipelineStep]:
    return _judged(plan, "quality")


def _toxicity(plan: Plan) -> list[PipelineStep]:
    return _judged(plan, "toxicity")


def _judged(plan: Plan, stage: str) -> list[PipelineStep]:
    assert plan.selection is not None
    return [JudgeDocuments(plan.selection.by_stage(stage), plan.options.device)]


def _sample(plan: Plan) -> list[PipelineStep]:
    return [DrawSample(*drawn(plan.recipe))]


def _embeddings(plan: Plan) -> list[PipelineStep]:
    return [DropEmbeddings()] if plan.options.drop_embeddings else []


def _pii(plan: Plan) -> list[PipelineStep]:
    options = plan.options
    if options.pii == "none" and plan.listed is None:
        return []
    verbatim = options.removed == "verbatim"
    return [ScrubText(plan.recipe.text, options.pii, plan.listed, also_removed=not verbatim)]


STAGES: dict[str, Callable[[Plan], list[PipelineStep]]] = {
    "template": _template,
    "optout": _optout,
    "class": _class,
    "quality": _quality,
    "toxicity": _toxicity,
    "sample": _sample,
    "embeddings": _embeddings,
    "pii": _pii,
}
"""In the order in which they run; a recipe has some of them. The policy decides in every run, since
opt-outs may name a whole data set; whether vectors go and how personal data is scrubbed is chosen by
the run."""

_ALWAYS = {"optout", "embeddings", "pii"}


def steps_of(
    plan: Plan, stock: Sequence[PipelineStep] = (), *, judging: bool = True
) -> list[PipelineStep]:
    """The steps of a run between reading and writing; stock blocks stand before the scrubbing.

    Without ``judging`` only those before the first stage that judges by a head.
    """
    found: list[PipelineStep] = []
    for stage, made in STAGES.items():
        if stage in JUDGED and not judging:
            break
        if stage == "pii" and stock:
            found += between(stock, plan.recipe.text)
        if stage in plan.recipe.stages or stage in _ALWAYS:
            found += made(plan)
    return found


def check_recipe(recipe: Recipe, options: Options, *, bundle: bool) -> None:
    """Look whether a recipe may be run with such options, with or without a ``bundle``.

    Raises:
        UnknownName: it may not.
    """
    if recipe.unaltered and (bundle or options.pii != "none"):
        raise UnknownName(
            f"The texts of recipe {recipe.name} must stay as they are: leave out --bundle, and give "
            "--pii none or nothing."
        )
    if "class" in recipe.stages:
        check_class(recipe)
    check_shares(recipe)


def check_input(recipe: Recipe, schema: pa.Schema, name: str) -> None:
    """Look whether the input file ``name`` has all columns that the stages of a recipe need.

    Raises:
        WrongColumns: one is missing, or of a type that cannot be used.
    """
    resolve(recipe, made_schema(recipe, schema, name), name)
    if "class" in recipe.stages:
        class_column(recipe, schema, name)
    check_columns(recipe, schema, name)
