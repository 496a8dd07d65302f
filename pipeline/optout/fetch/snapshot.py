"""The snapshot: what was found for each domain and file, as rows and as a Parquet file."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

FORMAT = "lethe-optout-snapshot/1"
_BATCH_ROWS = 4096
_BATCH_BYTES = 16 << 20


class Row(NamedTuple):
    """One file of one domain, as the crawler found it."""

    domain: str
    file: str
    url: str
    """The address asked for."""
    final_url: str
    """The address that answered last: ``url``, or where redirects led."""
    content: bytes | None
    """The decoded body of a 2xx answer; ``None`` where there is none."""
    status: int
    """The last HTTP status; 0 where no complete answer came."""
    fetched_at: datetime
    truncated: bool
    """Whether ``content`` is only the beginning of the file."""
    content_type: str | None
    redirects: int
    """Redirects followed."""
    error: str | None
    """A code; ``None`` where the file was received (2xx) or does not exist (4xx)."""


@dataclass(slots=True)
class Counts:
    """What a snapshot holds, counted while it is written."""

    rows: int = 0
    truncated: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        self.truncated += row.truncated
        self.by_class[f"{row.status // 100}xx" if row.status else "unreachable"] += 1
        if row.error is not None:
            self.by_error[row.error] += 1


def schema(options: Mapping[str, object]) -> pa.Schema:
    """The schema of a snapshot, with its format version and the crawl's options as metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("domain", pa.string(), nullable=False),
            pa.field("file", pa.string(), nullable=False),
            pa.field("url", pa.string(), nullable=False),
            pa.field("final_url", pa.string(), nullable=False),
            pa.field("content", pa.binary()),
            pa.field("status", pa.int32(), nullable=False),
            pa.field("fetched_at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("truncated", pa.bool_(), nullable=False),
            pa.field("content_type", pa.string()),
            pa.field("redirects", pa.int32(), nullable=False),
            pa.field("error", pa.string()),
        ],
        metadata={"lethe.format": FORMAT, "lethe.fetch_options": json.dumps(options)},
    )


def write_snapshot(rows: Iterable[Row], out: Path, options: Mapping[str, object]) -> Counts:
    """Write ``rows``, in their order, to ``out``: whole or not at all, and on the disk.

    Memory holds one batch of rows. A file that was at ``out`` stays until the new one is complete.

    Raises:
        OSError: the folder cannot be written.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = Counts()
    kind = schema(options)
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            with pq.ParquetWriter(file, kind, compression="zstd") as writer:
                for batch in _batches(rows, counts):
                    columns = dict(zip(kind.names, zip(*batch, strict=True), strict=True))
                    writer.write_table(pa.table(columns, schema=kind))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(out)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise
    sync_folder(out.parent)
    return counts


def _batches(rows: Iterable[Row], counts: Counts) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        counts.add(row)
        batch.append(row)
        size += len(row.content or b"")
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def sync_folder(folder: Path) -> None:
    """Make a name that was just created, replaced or removed in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
