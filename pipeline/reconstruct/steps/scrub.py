"""Scrubbing personal data from the texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from datatrove.pipeline.base import PipelineStep

from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.columns import one_array
from pipeline.reconstruct.pii.markers import markers_in
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.scrub import Scrubbed, Scrubber
from pipeline.reconstruct.pii.turns import scrub_in_turns

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases


class ScrubText(PipelineStep):
    """Replaces personal data in the text column by markers."""

    name = "Scrub personal data"
    type = "Formatter"

    def __init__(
        self,
        column: str,
        mode: str,
        listed: ListedPhrases | None = None,
        *,
        also_removed: bool = True,
    ) -> None:
        """``mode`` is one of `MODES` or ``none``; ``listed`` are phrases that go in any mode."""
        super().__init__()
        self.column = column
        self.mode = mode
        self.listed = listed
        self.also_removed = also_removed

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks with their texts scrubbed, the removed ones too unless asked otherwise.

        Counted are the markers that stand in the texts then, those included that stood there before.
        Without a mode nothing is: every count would be one of listed phrases.
        """
        scrubber = Scrubber(MODES[self.mode]) if self.mode in MODES else None
        for chunk in data:
            chunk.table = self._scrubbed(scrubber, chunk.table)
            if scrubber is not None:
                chunk.replaced, chunk.documents_scrubbed = markers_in(
                    plain_texts(chunk.table, self.column)
                )
            if chunk.removed is not None and self.also_removed:
                chunk.removed = self._scrubbed(scrubber, chunk.removed)
            yield chunk

    def _scrubbed(self, scrubber: Scrubber | None, table: pa.Table) -> pa.Table:
        kind = table.schema.field(self.column).type
        result = scrubbed(plain_texts(table, self.column), self.listed, scrubber)
        if not result.documents:
            return table
        new = result.column
        if pa.types.is_dictionary(kind):
            # Scrubbing never makes more distinct texts, so the width of the indices still does.
            new = pc.cast(new.dictionary_encode(), kind)
        at = table.schema.get_field_index(self.column)
        return table.set_column(at, table.schema.field(at), pa.chunked_array([new]))


def scrubbed(column: pa.Array, listed: ListedPhrases | None, scrubber: Scrubber | None) -> Scrubbed:
    """What scrubbing makes of texts, by listed phrases, by a mode, or by both."""
    if listed is not None and scrubber is not None:
        return scrub_in_turns(column, listed, scrubber)
    way = listed or scrubber
    assert way is not None
    return way.scrub(column)


def plain_texts(table: pa.Table, column: str) -> pa.Array:
    """The texts as a string or large_string array."""
    found = one_array(table[column])
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found
