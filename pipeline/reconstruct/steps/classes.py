"""Keeping the documents of a quality class, which the dataset states in a column."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnknownName, WrongColumns
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.columns import first, integers, listed
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.recipes import Recipe

STAGE = "class"
LOWEST, HIGHEST = 0, 4
"""The classes of the Apertus classifiers of code, and of the educational scores of Stack v2."""


def class_column(recipe: Recipe, schema: pa.Schema, name: str) -> str:
    """The column of the file ``name`` that holds the class.

    Raises:
        WrongColumns: there is none, or it holds no numbers.
    """
    candidates = tuple(recipe.settings[STAGE]["columns"])
    column = first(candidates, schema)
    if column is None:
        raise WrongColumns(
            f"{name} has no quality class: recipe {recipe.name} reads it from "
            f"{' or '.join(candidates)} (found: {listed(schema)})."
        )
    if column in schema.names:
        kind = schema.field(column).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise WrongColumns(
                f"Column {column!r} of {name} is {kind}: a quality class must be a number."
            )
    return column


def check_class(recipe: Recipe) -> None:
    """Look whether the least class that the recipe keeps is one.

    Raises:
        UnknownName: it is not; every document would stay, or none.
    """
    least = recipe.settings[STAGE]["min_class"]
    if not LOWEST <= least <= HIGHEST:
        raise UnknownName(
            f"Quality classes go from {LOWEST} to {HIGHEST}: {least} is none; give another one for "
            "--min-class."
        )


class KeepClasses(PipelineStep):
    """Lets go of the rows below a class, and of those that have none."""

    name = "Keep quality classes"
    type = "Filter"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks without the rows that go; in the ledger their signal is `STAGE`."""
        least = self.recipe.settings[STAGE]["min_class"]
        for chunk in data:
            column = class_column(self.recipe, chunk.table.schema, chunk.file)
            classes = integers(chunk.table, column)
            stays = pc.fill_null(pc.greater_equal(classes, least), fill_value=False)
            chunk.keep(stays.to_numpy(zero_copy_only=False), STAGE)
            chunk.table = compacted(chunk.table)
            yield chunk
