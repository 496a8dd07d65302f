"""Writing the kept documents and the ledger, one file of each for every input file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.collection import rare_collection
from pipeline.parquet.layout import Layout
from pipeline.parquet.parts import Assembler, Hashed, Sink
from pipeline.reconstruct import ledger
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.counts import Counts
from pipeline.reconstruct.folder import Folder

DATA, LEDGER, REMOVED, STATE = "data", "ledger", "removed", "state"


class WriteChunks(PipelineStep):
    """Writes chunks in the order in which they come; a file appears whole, its state last."""

    name = "Write chunks"
    type = "Writer"

    def __init__(self, out: Folder, text: str) -> None:
        super().__init__()
        self.out = out
        self.text = text

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """Nothing comes out; everything has been written by then."""
        with rare_collection():
            for chunk in data:
                assert chunk.index == 0
                self._write_file(chunk, data)
        yield from ()

    def _write_file(self, chunk: Chunk, rest: Iterator[Chunk]) -> None:
        name = chunk.file
        rows_in = rows_out = rows_removed = scrubbed = 0
        replaced: Counter[str] = Counter()
        with ExitStack() as files:
            ledger_path = files.enter_context(self.out.writing(f"{LEDGER}/{name}"))
            data_path = files.enter_context(self.out.writing(f"{DATA}/{name}"))
            layout = Layout(chunk.table.schema, self.text)
            data_file = files.enter_context(Hashed(data_path))
            ledger_file = files.enter_context(Hashed(ledger_path))
            data, reasons = layout.assembler(data_file), _LedgerWriter(ledger_file)
            removed: Assembler | None = None
            removed_file: Hashed | None = None
            while True:
                rows_in += chunk.rows
                rows_out += chunk.table.num_rows
                scrubbed += chunk.documents_scrubbed
                replaced.update(chunk.replaced)
                reasons.add(chunk)
                if chunk.table.num_rows:
                    data.add(layout.encoded(chunk.table, chunk.survivors))
                if chunk.removed is not None and chunk.removed.num_rows:
                    if removed is None:
                        removed_path = files.enter_context(self.out.writing(f"{REMOVED}/{name}"))
                        removed_file = files.enter_context(Hashed(removed_path))
                        removed = layout.assembler(removed_file)
                    rows = np.arange(chunk.removed.num_rows)
                    removed.add(layout.encoded(chunk.removed, rows))
                    rows_removed += chunk.removed.num_rows
                if chunk.last:
                    break
                chunk = next(rest)
            data.close()
            reasons.close()
            digests = {"data": data_file.sha256, "ledger": ledger_file.sha256}
            if removed is not None and removed_file is not None:
                removed.close()
                digests["removed"] = removed_file.sha256
        state: dict[str, Any] = {
            "file": name,
            "rows_in": rows_in,
            "rows_out": rows_out,
            "rows_removed": rows_removed,
            "pii": dict(sorted(replaced.items())),
            "documents_scrubbed": scrubbed,
            "sha256": digests,
            "counts": reasons.counts.described(),
        }
        self.out.write_text(f"{STATE}/{name}.json", json.dumps(state, indent=1, sort_keys=True))
        self.stat_update("documents_written", value=rows_out)


class _LedgerWriter:
    """Gathers ledger rows into row groups that compress well."""

    def __init__(self, sink: Sink) -> None:
        self._layout = ledger.LedgerLayout()
        self._file = self._layout.assembler(sink)
        self._held: list[pa.Table] = []
        self._rows = 0
        self.counts = Counts()

    def add(self, chunk: Chunk) -> None:
        self._held.append(_ledger_rows(chunk))
        self._rows += chunk.rows
        if self._rows >= ledger.ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._file.close()

    def _flush(self) -> None:
        table = pa.concat_tables(self._held).unify_dictionaries().combine_chunks()
        self._file.add(self._layout.encoded(table))
        self.counts.add(table)
        self._held, self._rows = [], 0


def _ledger_rows(chunk: Chunk) -> pa.Table:
    d = chunk.decisions
    assert d is not None
    columns = ledger.explained(d.codes, d.refusals)
    dropped = d.codes >= 0
    if d.dropped_by:
        signals = columns["signal"].to_pylist()
        for row, label in d.dropped_by.items():
            signals[row] = label
            dropped[row] = True
        columns["signal"] = pa.array(signals, pa.string()).dictionary_encode()
    rows = np.arange(chunk.first_row, chunk.first_row + chunk.rows, dtype=np.int64)
    columns |= {
        "id": d.ids,
        "url": d.urls,
        "host": d.hosts,
        "file": _constant(chunk.file, chunk.rows),
        "row_group": pa.array(chunk.row_groups),
        "row": pa.array(rows),
        "language": d.languages.dictionary_encode(),
        "tokens": d.tokens,
        "verdict": pa.DictionaryArray.from_arrays(
            pa.array(dropped.astype(np.int32)), pa.array(["keep", "drop"])
        ),
    }
    return pa.table({name: columns[name] for name in ledger.SCHEMA.names}, schema=ledger.SCHEMA)


def _constant(value: str | None, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(count, dtype=np.int32)), pa.array([value], pa.string())
    )
