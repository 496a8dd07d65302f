"""Row groups of some columns, encoded in memory and decoded again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.parquet.parts import Assembler, Column, Group, Parts
from pipeline.parquet.thrift import Malformed

LEVEL = 1
"""zstd level: 3 saves 4% of the size and costs half as much time again."""


class Codec:
    """For one schema and one way of writing it."""

    def __init__(self, schema: pa.Schema, **options: Any) -> None:
        """``options`` are those of `pyarrow.parquet.ParquetWriter`; they may name other columns, too."""
        self.schema = schema
        there = set(schema.names)
        self._options = {
            name: [one for one in value if one in there] if isinstance(value, list) else value
            for name, value in options.items()
        }
        sink = pa.BufferOutputStream()
        self._writer(sink, store_schema=True).close()
        self.template = Parts.of(sink.getvalue()).footer
        """FileMetaData of a file without rows."""

    def encoded(self, tables: Iterable[pa.Table]) -> tuple[Group, ...]:
        """A row group of each table; a table without rows has none."""
        sink = pa.BufferOutputStream()
        with self._writer(sink) as writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(self._cast(table), row_group_size=table.num_rows)
        return Parts.of(sink.getvalue()).groups

    def decoded(self, groups: Sequence[tuple[Sequence[Column], int]]) -> list[pa.Table]:
        """The rows of row groups of these columns, each with how many rows it has.

        Raises:
            Malformed: one cannot be decoded.
        """
        if not groups:
            return []
        sink = io.BytesIO()
        file = Assembler(sink, self.template)
        for columns, rows in groups:
            file.add(Group(rows, tuple(columns)))
        file.close()
        try:
            with pq.ParquetFile(pa.BufferReader(sink.getbuffer())) as parquet:
                return [parquet.read_row_group(n, use_threads=False) for n in range(len(groups))]
        except (pa.ArrowException, OSError) as error:
            raise Malformed("a page cannot be decoded") from error

    def _cast(self, table: pa.Table) -> pa.Table:
        table = table.replace_schema_metadata(None)
        return table if table.schema.equals(self.schema) else table.cast(self.schema)

    def _writer(self, sink: pa.NativeFile, *, store_schema: bool = False) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            sink,
            self.schema,
            compression="zstd",
            compression_level=LEVEL,
            store_schema=store_schema,
            **self._options,
        )


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0) if found.num_chunks else pa.array([], found.type)
    return found
