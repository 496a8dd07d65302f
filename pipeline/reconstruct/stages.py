"""The stages of a recipe: which steps each of them becomes, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.steps.decide import ApplyPolicy
from pipeline.reconstruct.steps.documents import between
from pipeline.reconstruct.steps.scrub import ScrubText

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases


@dataclass(frozen=True, slots=True)
class Plan:
    """What the stages of a run are made of."""

    recipe: Recipe
    policy: OptOutPolicy
    options: Options
    listed: ListedPhrases | None = None

    def settings(self, stage: str) -> dict[str, Any]:
        """What the recipe says of a stage."""
        return self.recipe.settings.get(stage, {})


def _optout(plan: Plan) -> list[PipelineStep]:
    keep_removed = plan.options.removed != "none"
    return [ApplyPolicy(plan.policy.path.resolve(), plan.recipe, keep_removed=keep_removed)]


def _pii(plan: Plan) -> list[PipelineStep]:
    options = plan.options
    if options.pii == "none" and plan.listed is None:
        return []
    verbatim = options.removed == "verbatim"
    return [ScrubText(plan.recipe.text, options.pii, plan.listed, also_removed=not verbatim)]


STAGES: dict[str, Callable[[Plan], list[PipelineStep]]] = {
    "optout": _optout,
    "pii": _pii,
}
"""In the order in which they run; a recipe has some of them. The policy decides in every run, since
opt-outs may name a whole data set; how personal data is scrubbed is chosen by the run."""

_ALWAYS = {"optout", "pii"}


def steps_of(plan: Plan, stock: Sequence[PipelineStep] = ()) -> list[PipelineStep]:
    """The steps of a run between reading and writing; stock blocks stand before the scrubbing."""
    found: list[PipelineStep] = []
    for stage, made in STAGES.items():
        if stage == "pii" and stock:
            found += between(stock, plan.recipe.text)
        if stage in plan.recipe.stages or stage in _ALWAYS:
            found += made(plan)
    return found
