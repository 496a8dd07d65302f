"""Counting a finished file again: its ledger against its data, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from pipeline.reconstruct.columns import ROW, Columns, holders, one_array, resolve, strings
from pipeline.reconstruct.counts import COLUMNS, Counts
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.steps.write import DATA, LEDGER

_BATCH = 1 << 14
_PLACE = ("file", "row", "verdict")
_NAMES = ("id", "url")


class _Sequence:
    """A digest of the values of string columns in their order, however they are cut into batches."""

    def __init__(self) -> None:
        self.rows = 0
        self._digests = {name: (hashlib.sha256(), hashlib.sha256()) for name in _NAMES}

    def add(self, name: str, values: pa.Array) -> None:
        lengths, content = self._digests[name]
        sizes = pc.fill_null(pc.binary_length(values), -1)
        lengths.update(sizes.to_numpy(zero_copy_only=False).astype(np.int64).tobytes())
        if not len(values):
            return
        _, offsets, octets = values.buffers()
        if octets is not None:  # else all of them are null
            at = np.frombuffer(offsets, np.int32)
            content.update(octets[int(at[values.offset]) : int(at[values.offset + len(values)])])

    def said(self, name: str) -> tuple[bytes, bytes]:
        lengths, content = self._digests[name]
        return lengths.digest(), content.digest()


def recounted(
    folder: Folder,
    name: str,
    state: dict[str, Any],
    recipe: Recipe,
    wanted: tuple[str, ...] = (),
    each: Callable[[pa.Table], None] | None = None,
) -> list[str]:
    """What is wrong with the ledger and the data of the finished file ``name``; sentences.

    Checked are rows, their places, verdicts, and that the data hold the documents that the ledger keeps,
    in its order. ``each`` is shown the ledger's columns ``wanted``, batch by batch.
    """
    try:
        return _recounted(folder, name, state, recipe, wanted, each)
    except (
        InputError
    ) as error:  # of a file, or of columns that the recipe of a damaged manifest wants
        return [str(error)]
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return [f"{LEDGER}/{name} or {DATA}/{name} is damaged: fetch it again, or run again."]


def _recounted(
    folder: Folder,
    name: str,
    state: dict[str, Any],
    recipe: Recipe,
    wanted: tuple[str, ...],
    each: Callable[[pa.Table], None] | None,
) -> list[str]:
    kept = _Sequence()
    counts = Counts()
    rows = 0
    faults: list[str] = []
    with folder.parquet(f"{LEDGER}/{name}") as parquet:
        columns = list(dict.fromkeys((*_PLACE, *_NAMES, *COLUMNS, *wanted)))
        for batch in parquet.iter_batches(_BATCH, columns=columns, use_threads=False):
            table = _plain(pa.table(batch))
            if misplaced := _misplaced(table, name, rows):
                faults += misplaced
            else:
                counts.add(table)
            stays = table.filter(pc.equal(table["verdict"], "keep"))
            kept.rows += stays.num_rows
            for column in _NAMES:
                kept.add(column, one_array(stays[column]))
            if each is not None:
                each(table)
            rows += table.num_rows
    told = (state.get("rows_in"), state.get("rows_out"))
    if (rows, kept.rows) != told:
        faults.append(
            f"{LEDGER}/{name} has {rows} rows of which {kept.rows} stay, its state says "
            f"{told[0]} and {told[1]}: delete its state and run again."
        )
    elif not faults and counts.described() != state.get("counts"):
        faults.append(
            f"{LEDGER}/{name} sums up to other counts than its state has: delete its state and run again."
        )
    return [*faults[:1], *_other_documents(folder, name, kept, recipe)]


def _plain(table: pa.Table) -> pa.Table:
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, pc.cast(table.column(at), pa.string()))
    return table


def _misplaced(table: pa.Table, name: str, first: int) -> list[str]:
    """Rows that are not where they say, or say neither keep nor drop."""
    places = np.arange(first, first + table.num_rows)
    known = pc.is_in(table["verdict"], value_set=pa.array(["keep", "drop"]))
    if not np.array_equal(table["row"].to_numpy(), places) or not _all(
        pc.equal(table["file"], name)
    ):
        return [
            (
                f"{LEDGER}/{name} has rows of another file, or not all of them in order, from row {first} "
                "on: fetch it again, or run again."
            )
        ]
    if not _all(known):
        return [f"{LEDGER}/{name} has rows that are neither kept nor dropped: run again."]
    return []


def _all(condition: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.fill_null(condition, False), min_count=0).as_py())


def _other_documents(folder: Folder, name: str, kept: _Sequence, recipe: Recipe) -> list[str]:
    """Whether the data hold other documents than the ledger keeps."""
    held = _Sequence()
    with folder.parquet(f"{DATA}/{name}") as parquet:
        if parquet.metadata.num_rows != kept.rows:
            return [
                (
                    f"{DATA}/{name} has {parquet.metadata.num_rows} documents, its ledger keeps {kept.rows}: "
                    "fetch both again, or run again."
                )
            ]
        columns = resolve(recipe, parquet.schema_arrow, name)
        compared = _compared(columns)
        read = {held for c in compared.values() for held in holders(c, parquet.schema_arrow)}
        for batch in parquet.iter_batches(_BATCH, columns=sorted(read), use_threads=False):
            table = pa.table(batch)
            for role, column in compared.items():
                held.add(role, strings(table, column, name, 0))
    if any(held.said(role) != kept.said(role) for role in compared):
        return [
            (
                f"{DATA}/{name} holds other documents than its ledger keeps, or in another order: fetch "
                "both again, or run again."
            )
        ]
    return []


def _compared(columns: Columns) -> dict[str, str]:
    """Columns of the data that a ledger repeats; ids that are made of row numbers are not theirs."""
    found = {"url": columns.url, "id": None if columns.id == ROW else columns.id}
    return {role: column for role, column in found.items() if column is not None}
