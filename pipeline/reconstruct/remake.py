"""One file of a corpus, made again from the input by the steps of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.selection import Selection
from pipeline.reconstruct.settings import described
from pipeline.reconstruct.stages import Plan, check_input, steps_of
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.write import WriteChunks

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases


def remake(
    recipe: Recipe,
    policy: OptOutPolicy,
    options: Options,
    held: dict[str, Any],
    source: str,
    file: InputFile,
    out: Folder,
    stock: Sequence[PipelineStep] = (),
    listed: ListedPhrases | None = None,
) -> None:
    """Write data, ledger and state of one input file into ``out``; ``held`` is the manifest of its run.

    Raises:
        UnreadableFile: the input is not there any more, or is another.
        WrongRun: the run had stock blocks, or a bundle, that were not handed in.
    """
    if [described(step) for step in stock] != held["steps"]:
        raise WrongRun(
            "The run had stock blocks of datatrove, and documents have to be read again: call "
            "pipeline.reconstruct.takedown with the same steps."
        )
    if "bundle" in held and listed is None:
        raise WrongRun(
            "The run had a bundle, and documents have to be read again: give that bundle, or a newer one, "
            "with --bundle."
        )
    folder = Folder(source)
    check_same(folder, recipe, file)
    plan = Plan(recipe, policy, options, listed, Selection.again(recipe, options, held))
    steps: list[PipelineStep] = [
        ReadChunks(folder, [file]),
        *steps_of(
            plan, deepcopy(list(stock))
        ),  # they keep state: each file has its own, as in a run
        WriteChunks(out, recipe.text),
    ]
    data: Iterator[Any] | None = None
    for step in steps:
        data = step(data, rank=0, world_size=1)
    for _ in data or ():
        pass


def check_same(folder: Folder, recipe: Recipe, file: InputFile) -> None:
    """Look whether an input file is the one that a run read.

    Raises:
        UnreadableFile: it is not there any more, or is another.
    """
    try:
        found = folder.described(file.name, lambda schema, name: check_input(recipe, schema, name))
    except (InputError, OSError):
        found = None
    same = found is not None and (found.bytes, found.tail) == (file.bytes, file.tail)
    if not same:
        state = "is not there any more" if found is None else "is another than that of the run"
        raise UnreadableFile(
            f"Documents have to be read from the input again, but {folder.root}/{file.name} {state}: say "
            "with --input where it is."
        )
