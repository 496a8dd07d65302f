"""Adapters to datatrove's documents, so that any stock block can stand between our stages.

``ChunksToDocuments`` and ``DocumentsToChunks`` share a `Bridge` on which the chunks wait while their
documents pass through the blocks in between. What a block drops is recorded in the ledger as
``filter:NAME``. What a block changes in the text or in a column is written back; keys of the metadata
that are no column of the input are not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.columns import resolve, strings
from pipeline.reconstruct.recipes import Recipe

_POSITION = "lethe_position"


class Bridge:
    """The chunks whose documents are on their way, oldest first."""

    def __init__(self, recipe: Recipe, label: str) -> None:
        self.recipe = recipe
        self.label = label
        self.waiting: deque[tuple[int, Chunk]] = deque()


class ChunksToDocuments(PipelineStep):
    """Unpacks the surviving rows of each chunk into documents."""

    name = "Chunks to documents"
    type = "Adapter"

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Document]:
        """One document a row; the columns are its metadata."""
        text = self.bridge.recipe.text
        for number, chunk in enumerate(data):
            self.bridge.waiting.append((number, chunk))
            columns = resolve(self.bridge.recipe, chunk.table.schema, chunk.file)
            ids = strings(chunk.table, columns.id, chunk.file, chunk.first_row).to_pylist()
            for position, row in enumerate(chunk.table.to_pylist()):
                content = row.pop(text)
                yield Document(
                    text=content or "",
                    id=ids[position] or f"{chunk.file}/{chunk.first_row + position}",
                    metadata={**row, _POSITION: (number, position)},
                )


class DocumentsToChunks(PipelineStep):
    """Packs documents back into the chunks they came from, in their order."""

    name = "Documents to chunks"
    type = "Adapter"

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def run(
        self,
        data: Iterator[Document],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """Every chunk comes out, also one of which no document is left."""
        waiting = self.bridge.waiting
        arrived: dict[int, dict[int, Document]] = {}
        for document in data:
            number, position = document.metadata.pop(_POSITION)
            while waiting and waiting[0][0] < number:
                oldest, chunk = waiting.popleft()
                yield self._packed(chunk, arrived.pop(oldest, {}))
            arrived.setdefault(number, {})[position] = document
        while waiting:
            oldest, chunk = waiting.popleft()
            yield self._packed(chunk, arrived.pop(oldest, {}))

    def _packed(self, chunk: Chunk, documents: dict[int, Document]) -> Chunk:
        table = chunk.table
        positions = sorted(documents)
        gone = np.setdiff1d(np.arange(table.num_rows), np.array(positions, dtype=np.int64))
        if chunk.decisions is not None:
            for position in gone.tolist():
                row = int(chunk.survivors[position])
                chunk.decisions.dropped_by[row] = f"filter:{self.bridge.label}"
        kept = table.take(pa.array(positions, pa.int64()))
        for at, field in enumerate(table.schema):
            old = kept.column(at).to_pylist()
            new = [
                self._value(field.name, documents[p], o)
                for p, o in zip(positions, old, strict=True)
            ]
            if new != old:
                kept = kept.set_column(at, field, pa.chunked_array([pa.array(new, field.type)]))
        chunk.table = kept
        chunk.survivors = chunk.survivors[positions]
        return chunk

    def _value(self, column: str, document: Document, old: Any) -> Any:
        if column == self.bridge.recipe.text:
            return document.text if (document.text or old is not None) else None
        return document.metadata.get(column, old)
