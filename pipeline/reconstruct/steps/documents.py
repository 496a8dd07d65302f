"""Adapters to datatrove's documents, so that any stock block can stand between our stages.

`between` puts blocks between two adapters that share a `Bridge`, on which the chunks wait while their
documents pass through the blocks. What a block drops is recorded in the ledger as ``filter:NAME``. What
a block changes in the text or in a column is written back; keys of the metadata that are no column of
the input are not.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError
from pipeline.errors import WrongColumns
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.dictionaries import compacted

_POSITION = "lethe_position"


def between(steps: Sequence[PipelineStep], text: str) -> list[PipelineStep]:
    """The blocks with their adapters; ``text`` names the column with the text."""
    bridge = Bridge(text, [f"filter:{type(step).__name__}" for step in steps])
    pipeline: list[PipelineStep] = [ChunksToDocuments(bridge)]
    for number, step in enumerate(steps, 1):
        pipeline += [step, _Passed(bridge, number)] if number < len(steps) else [step]
    return [*pipeline, DocumentsToChunks(bridge)]


class _Ticket(str):
    """The number of a chunk, held by each of its documents: once it is gone, all of them are.

    A text, because writers of excluded documents must be able to write it.
    """

    __slots__ = ("__weakref__",)

    def __deepcopy__(self, memo: object) -> Self:
        return self


@dataclass(slots=True)
class _Waiting:
    """A chunk whose documents are on their way."""

    chunk: Chunk
    documents: weakref.ref[_Ticket]
    arrived: dict[int, Document] = field(default_factory=dict)
    passed: dict[int, int] = field(default_factory=dict)
    """How many of the blocks a document has come through, if any."""


class Bridge:
    """The chunks whose documents are on their way, by number, oldest first."""

    def __init__(self, text: str, labels: list[str]) -> None:
        self.text = text
        self.labels = labels
        self.waiting: dict[str, _Waiting] = {}

    def of(self, document: Document) -> tuple[_Waiting, int]:
        """The chunk of a document, and its position there.

        Raises:
            InputError: a block made the document itself, or held it back for too long.
        """
        ticket, position = document.metadata.get(_POSITION, ("", 0))
        waiting = self.waiting.get(ticket)
        if waiting is None or position >= waiting.chunk.table.num_rows:
            raise InputError(
                "A step passes on documents that it made itself or in another order: only steps that drop "
                "or change documents can stand in between."
            )
        return waiting, position


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
        full: deque[_Waiting] = deque()
        for count, chunk in enumerate(data):
            ticket = _Ticket(count)
            waiting = _Waiting(chunk, weakref.ref(ticket))
            self.bridge.waiting[str(count)] = waiting
            full.append(waiting)
            assert chunk.decisions is not None
            ids = chunk.decisions.ids.take(pa.array(chunk.survivors)).to_pylist()
            for position, row in enumerate(chunk.table.to_pylist()):
                content = row.pop(self.bridge.text)
                yield Document(
                    text=content or "",
                    id=ids[position]
                    or f"{chunk.file}/{chunk.first_row + chunk.survivors[position]}",
                    metadata={**row, _POSITION: (ticket, position)},
                )
            del ticket
            # A chunk of which nothing is left waits for a document behind it: without its texts.
            while full and full[0].documents() is None:
                gone = full.popleft()
                if not gone.arrived:
                    _pack(self.bridge, gone)


class _Passed(PipelineStep):
    """Notes which documents came through a block, so that the one that drops them can be named."""

    name = "Note what is left"
    type = "Adapter"

    def __init__(self, bridge: Bridge, number: int) -> None:
        super().__init__()
        self.bridge = bridge
        self.number = number

    def run(
        self,
        data: Iterator[Document],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Document]:
        """The documents as they are."""
        for document in data:
            waiting, position = self.bridge.of(document)
            waiting.passed[position] = self.number
            yield document


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
        """Every chunk comes out, also one of which no document is left.

        Raises:
            InputError: a block does more than drop and change documents.
            WrongColumns: a block put something into a column that does not fit there.
        """
        for document in data:
            waiting, position = self.bridge.of(document)
            if position in waiting.arrived:
                raise InputError("A step passes a document on twice: it cannot stand in between.")
            ticket = document.metadata.pop(_POSITION)[0]
            waiting.arrived[position] = document
            yield from self._before(ticket)
        yield from self._before(None)

    def _before(self, ticket: str | None) -> Iterator[Chunk]:
        """The chunks before that of ``ticket``, or all: documents keep their order, so no more will come."""
        waiting = self.bridge.waiting
        while waiting and (oldest := next(iter(waiting))) != ticket:
            yield _pack(self.bridge, waiting.pop(oldest))


def _pack(bridge: Bridge, waiting: _Waiting) -> Chunk:
    """The chunk with the documents that arrived and no others."""
    chunk = waiting.chunk
    table = chunk.table
    positions = sorted(waiting.arrived)
    gone = np.setdiff1d(np.arange(table.num_rows), np.array(positions, dtype=np.int64))
    assert chunk.decisions is not None
    for position in gone.tolist():
        row = int(chunk.survivors[position])
        chunk.decisions.dropped_by[row] = bridge.labels[waiting.passed.get(position, 0)]
    kept = table.take(pa.array(positions, pa.int64())) if positions else table.schema.empty_table()
    documents = [waiting.arrived[p] for p in positions]
    for at, column in enumerate(table.schema):
        old = kept.column(at).to_pylist()
        if column.name == bridge.text:
            new = [
                d.text if d.text or o is not None else None
                for d, o in zip(documents, old, strict=True)
            ]
        else:
            new = [d.metadata.get(column.name, o) for d, o in zip(documents, old, strict=True)]
        if new != old:
            kept = kept.set_column(at, column, _column(new, column))
    chunk.table = compacted(kept)
    chunk.survivors = chunk.survivors[positions]
    return chunk


def _column(values: list[Any], column: pa.Field) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([pa.array(values, column.type)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise WrongColumns(
            f"A step in between put something into column {column.name!r} that is not {column.type}: "
            "it cannot be written back."
        ) from error
