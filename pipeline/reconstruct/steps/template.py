"""Making the texts that the other stages read."""

from __future__ import annotations

from collections.abc import Iterator

from datatrove.pipeline.base import PipelineStep

from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.templates import with_texts


class MakeText(PipelineStep):
    """Puts the text of every row in the place of the columns that it is made of."""

    name = "Make texts"
    type = "Formatter"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks with their texts, row for row."""
        for chunk in data:
            chunk.table = with_texts(self.recipe, chunk.table, chunk.file, chunk.first_row)
            yield chunk
