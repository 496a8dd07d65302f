"""Which texts of a corpus a newer bundle of the output filter makes otherwise.

A text is as scrubbing left it, so what stood in it before is read from the input. Most texts were not
changed by the older bundle and hold nothing that the newer one lists; these are not scrubbed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.parquet.layout import Layout
from pipeline.parquet.parts import Parts
from pipeline.parquet.thrift import Malformed
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.scrub import Scrubber
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.scrub import plain_texts, scrubbed
from pipeline.reconstruct.steps.template import MakeText

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases

MANY = 20_000
"""Texts of a file that are held in memory; where more change, the file is made again as a whole."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Relisting:
    """A newer bundle, and how the corpus is scrubbed."""

    recipe: Recipe
    mode: str
    """As in `pipeline.reconstruct.manifest.Options`."""
    listed: ListedPhrases


def changed_texts(
    relisting: Relisting,
    source: Folder,
    file: InputFile,
    data: Parts,
    schema: pa.Schema,
    kept: Rows,
    gone: list[int],
) -> dict[int, str] | None:
    """New texts by row of the input, ascending; ``None`` where they are more than `MANY`.

    ``data`` holds the rows ``kept`` of the input, ascending; those that are ``gone`` need no text.

    Raises:
        Malformed: the data are not those of the ledger.
        UnreadableFile: the input cannot be read.
    """
    scrubber = Scrubber(MODES[relisting.mode]) if relisting.mode in MODES else None
    stays = ~np.isin(kept, np.array(gone, np.int64))
    layout = Layout(schema, relisting.recipe.text)
    groups = iter(data.groups)
    found: dict[int, str] = {}
    for chunk in _originals(relisting.recipe, source, file):
        begin, end = np.searchsorted(kept, [chunk.first_row, chunk.first_row + chunk.rows]).tolist()
        if begin == end:
            continue
        group = next(groups, None)
        if group is None or group.rows != end - begin:
            raise Malformed("its row groups are not those of its ledger")
        rows, staying = kept[begin:end], stays[begin:end]
        texts = plain_texts(chunk.table, relisting.recipe.text)
        before = texts.take(pa.array(rows - chunk.first_row))
        after = layout.texts(group)
        if pa.types.is_dictionary(after.type):
            after = after.dictionary_decode()
        for row, text in _changed(relisting.listed, scrubber, before, after, staying):
            found[int(rows[row])] = text
        if len(found) > MANY:
            return None
    return found


def _changed(
    listed: ListedPhrases,
    scrubber: Scrubber | None,
    before: pa.Array,
    after: pa.Array,
    staying: npt.NDArray[np.bool_],
) -> Iterator[tuple[int, str]]:
    """Rows that get another text than ``after`` now: ``before`` is what they were scrubbed from."""
    after = after.cast(before.type)
    replaced = pc.fill_null(pc.not_equal(before, after), False)
    due = replaced.to_numpy(zero_copy_only=False) & staying
    due[listed.suspects(before)] = True
    rows = np.flatnonzero(due & staying)
    if not len(rows):
        return
    chosen = pa.array(rows)
    now = scrubbed(before.take(chosen), listed, scrubber).column
    differs = pc.fill_null(pc.not_equal(now, after.take(chosen)), False)
    at = np.flatnonzero(differs.to_numpy(zero_copy_only=False))
    yield from zip(rows[at].tolist(), now.take(pa.array(at)).to_pylist(), strict=True)


def _originals(recipe: Recipe, source: Folder, file: InputFile) -> Iterator[Chunk]:
    """The input in chunks, with its texts as they are scrubbed."""
    if "template" in recipe.stages:
        return MakeText(recipe).run(ReadChunks(source, [file]).run())
    return ReadChunks(source, [file], columns=[recipe.text]).run()
