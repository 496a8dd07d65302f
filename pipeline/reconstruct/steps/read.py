"""Reading input files as chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnreadableFile, WrongColumns
from pipeline.reconstruct.chunk import CHUNK_ROWS, Chunk
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.progress import leave_word


class ReadChunks(PipelineStep):
    """Reads its share of the input files, row by row in their order, in chunks of `CHUNK_ROWS`."""

    name = "Read chunks"
    type = "Reader"

    def __init__(
        self,
        folder: Folder,
        files: list[InputFile],
        progress: Path | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        """``files`` with the number of rows to read of each; task number r reads every n-th from r.

        ``progress`` is the folder in which it leaves word of how far it is. Without ``columns`` all are read.
        """
        super().__init__()
        self.folder = folder
        self.files = files
        self.progress = progress
        self.columns = columns

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Chunk]:
        """Chunks of the files of this task.

        Raises:
            UnreadableFile: a file is damaged.
            WrongColumns: a column cannot be read in pieces.
        """
        done = 0
        for file in self.files[rank::world_size]:
            for chunk in self._chunks(file):
                yield chunk
                done += chunk.rows
                if self.progress is not None:
                    leave_word(self.progress, rank, done)

    def _chunks(self, file: InputFile) -> Iterator[Chunk]:
        if self.folder.size(file.name) != file.bytes:
            raise UnreadableFile(f"{file.name} has changed since the run began: start it again.")
        with self.folder.parquet(file.name) as parquet:
            metadata = parquet.metadata
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            group_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
            first = 0
            index = 0
            try:
                for table in self._sized(parquet, file.rows):
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
            except pa.ArrowNotImplementedError as error:
                raise WrongColumns(
                    f"{file.name} has a column of a type that cannot be read in pieces ({error}): write "
                    "the file again with a plainer type."
                ) from error
            except (pa.ArrowException, OSError) as error:
                raise _damaged(file, first) from error
            if first != file.rows:
                raise _damaged(file, first)

    def _sized(self, parquet: pq.ParquetFile, limit: int) -> Iterator[pa.Table]:
        """Tables of `CHUNK_ROWS` rows, the last one shorter; one empty table for an empty file."""
        schema = parquet.schema_arrow
        if self.columns is not None:
            schema = pa.schema([schema.field(name) for name in self.columns], schema.metadata)
        held: list[pa.RecordBatch] = []
        count = taken = 0
        for batch in self.folder.batches(parquet, CHUNK_ROWS, self.columns):
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


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    table = pa.Table.from_batches(batches, schema)
    return table if len(batches) == 1 else table.combine_chunks()


def _damaged(file: InputFile, row: int) -> UnreadableFile:
    return UnreadableFile(f"{file.name} is damaged behind row {row}: fetch it again.")
