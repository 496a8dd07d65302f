"""Reading input files as chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnreadableFile, WrongColumns
from pipeline.reconstruct.chunk import CHUNK_ROWS, Chunk
from pipeline.reconstruct.folder import Folder, InputFile


class ReadChunks(PipelineStep):
    """Reads its share of the input files, row by row in their order, in chunks of `CHUNK_ROWS`."""

    name = "Read chunks"
    type = "Reader"

    def __init__(
        self, folder: Folder, files: list[InputFile], progress: Path | None = None
    ) -> None:
        """``files`` with the number of rows to read of each; task number r reads every n-th from r."""
        super().__init__()
        self.folder = folder
        self.files = files
        self.progress = progress

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Chunk]:
        """Chunks of the files of this task."""
        done = 0
        for file in self.files[rank::world_size]:
            for chunk in self._chunks(file):
                yield chunk
                done += chunk.rows
                self._report(rank, done)

    def _chunks(self, file: InputFile) -> Iterator[Chunk]:
        with self.folder.parquet(file.name) as parquet:
            metadata = parquet.metadata
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            group_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
            schema = parquet.schema_arrow
            first = 0
            index = 0
            try:
                for table in self._sized(parquet, schema, file.rows):
                    rows = table.num_rows
                    yield Chunk(
                        file=file.name,
                        index=index,
                        first_row=first,
                        rows=rows,
                        row_groups=group_of[first : first + rows],
                        last=first + rows == file.rows,
                        table=table,
                        survivors=np.arange(rows, dtype=np.int64),
                    )
                    first += rows
                    index += 1
            except (pa.ArrowInvalid, OSError) as error:
                raise UnreadableFile(
                    f"{file.name} is damaged behind row {first}: fetch it again."
                ) from error

    @staticmethod
    def _sized(parquet: object, schema: pa.Schema, limit: int) -> Iterator[pa.Table]:
        """Tables of `CHUNK_ROWS` rows, the last one shorter; one empty table for an empty file."""
        held: list[pa.RecordBatch] = []
        count = taken = 0
        for batch in parquet.iter_batches(CHUNK_ROWS, use_threads=False):  # type: ignore[attr-defined]
            if taken + batch.num_rows > limit:
                batch = batch.slice(0, limit - taken)  # noqa: PLW2901
            taken += batch.num_rows
            while count + batch.num_rows >= CHUNK_ROWS:
                cut = CHUNK_ROWS - count
                yield _joined([*held, batch.slice(0, cut)], schema)
                held, count, batch = [], 0, batch.slice(cut)  # noqa: PLW2901
            if batch.num_rows:
                held.append(batch)
                count += batch.num_rows
            if taken == limit:
                break
        if count or not taken:
            yield _joined(held, schema)

    def _report(self, rank: int, rows: int) -> None:
        """Leave word of how far this task is, for whoever shows a progress bar."""
        if self.progress is None:
            return
        path = self.progress / f"{rank:05d}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, rows.to_bytes(8, "little"), 0)
        finally:
            os.close(descriptor)


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    try:
        table = pa.Table.from_batches(batches, schema)
    except pa.ArrowInvalid:
        raise WrongColumns("The row groups of a file have different columns.") from None
    return table if len(batches) == 1 else table.combine_chunks()
