"""Reading a snapshot of opt-out files, and deciding which of its rows are in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFile, WrongColumns

ROBOTS = "robots.txt"
FILES = (ROBOTS, "tdmrep.json", "ai.txt", "rsl.xml")
_BATCH = 4096


class Row(NamedTuple):
    """One file of one domain as a crawler found it."""

    domain: str
    file: str
    content: bytes | None
    status: int | None
    """HTTP status; ``None`` where the snapshot has no such column, 0 where the host was unreachable."""
    date: str | None
    """ISO date on which it was fetched."""


def rows(path: Path, as_of: date) -> Iterator[Row]:
    """The rows of the snapshot at ``path`` that are in force on ``as_of``.

    ``path`` is a Parquet file or a folder of them with the columns ``domain`` and ``content`` (string
    or binary) and optionally ``file`` (default robots.txt), ``status`` and ``fetched_at``. For each
    (domain, file) the row fetched last, but not after ``as_of``, counts; without ``fetched_at``, or
    at the same time, the later row does. Content is read in a second pass, so memory holds the small
    columns of all rows and the content of one batch.

    Raises:
        UnreadableFile: missing, truncated or not Parquet.
        WrongColumns: a column is missing or of a type that cannot be used.
    """
    files = _parquet_files(path)
    chosen = _in_force(files, as_of)
    offset = 0
    for file in files:
        with _opened(file) as parquet:
            optional = [
                c for c in ("file", "status", "fetched_at") if c in parquet.schema_arrow.names
            ]
            columns = ["domain", "content", *optional]
            for batch in parquet.iter_batches(_BATCH, columns=columns, use_threads=False):
                mask = chosen.slice(offset, batch.num_rows)
                offset += batch.num_rows
                kept = batch.filter(mask)
                held = {c: kept[c].to_pylist() for c in columns}
                none = [None] * kept.num_rows
                yield from map(
                    _row,
                    held["domain"],
                    held.get("file", none),
                    held["content"],
                    held.get("status", none),
                    held.get("fetched_at", none),
                )


def _row(
    domain: str, file: str | None, content: bytes | str | None, status: int | None, fetched: object
) -> Row:
    return Row(
        domain,
        file or ROBOTS,
        content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content,
        status,
        None if fetched is None else _date_text(fetched),
    )


def _date_text(fetched: object) -> str:
    if isinstance(fetched, datetime | date):
        return fetched.strftime("%Y-%m-%d")
    return str(fetched)[:10]


def _parquet_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(p for p in path.rglob("*.parquet") if not p.name.startswith("."))
        if not found:
            raise UnreadableFile(
                f"{path} holds no Parquet file: give a snapshot of robots.txt files."
            )
        return found
    if not path.exists():
        raise UnreadableFile(f"There is no file {path}: give a snapshot of robots.txt files.")
    return [path]


class _opened:  # noqa: N801  (reads as a verb where it is used)
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> pq.ParquetFile:
        try:
            self._file = pq.ParquetFile(self._path)
        except (pa.ArrowInvalid, OSError):
            raise UnreadableFile(
                f"{self._path} is not a Parquet file or is cut off: write the snapshot again."
            ) from None
        _check(self._path, self._file.schema_arrow)
        return self._file

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def _check(path: Path, schema: pa.Schema) -> None:
    for name, wanted in (("domain", "text"), ("content", "text or binary")):
        if name not in schema.names:
            raise WrongColumns(
                f"{path} has no column {name!r}: a snapshot needs domain and content "
                f"(found: {', '.join(schema.names) or 'none'})."
            )
        kind = schema.field(name).type
        fits = _is_text(kind) or (name == "content" and _is_binary(kind))
        if not fits:
            raise WrongColumns(f"Column {name!r} of {path} is {kind}: it must be {wanted}.")
    if "status" in schema.names and not pa.types.is_integer(schema.field("status").type):
        raise WrongColumns(f"Column 'status' of {path} must hold HTTP status numbers.")
    if "fetched_at" in schema.names:
        kind = schema.field("fetched_at").type
        if not (pa.types.is_temporal(kind) or _is_text(kind)):
            raise WrongColumns(f"Column 'fetched_at' of {path} must hold times or ISO dates.")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _in_force(files: list[Path], as_of: date) -> pa.BooleanArray:
    """For every row of all files whether it counts."""
    keys: list[pa.Table] = []
    for file in files:
        with _opened(file) as parquet:
            names = parquet.schema_arrow.names
            table = parquet.read(
                columns=[n for n in ("domain", "file", "fetched_at") if n in names]
            )
        count = table.num_rows
        where = (
            pa.repeat(ROBOTS, count) if "file" not in names else pc.cast(table["file"], pa.string())
        )
        when = pa.nulls(count, pa.string())
        if "fetched_at" in names:
            when = _sortable(table["fetched_at"])
        keys.append(
            pa.table(
                {
                    "domain": pc.cast(table["domain"], pa.string()),
                    "file": pc.fill_null(where, ROBOTS),
                    "when": pc.fill_null(when, ""),
                }
            )
        )
    table = pa.concat_tables(keys)
    table = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    last_moment = f"{as_of.isoformat()}T99"  # after every time of that day
    usable = pc.and_(pc.less_equal(table["when"], last_moment), pc.is_valid(table["domain"]))
    ordered = table.filter(usable).sort_by([("when", "ascending"), ("row", "ascending")])
    last = ordered.group_by(["domain", "file"], use_threads=False).aggregate([("row", "last")])
    return pc.is_in(table["row"].combine_chunks(), value_set=last["row_last"].combine_chunks())


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as text that sorts by time: ISO 8601, a date alone before the times of its day."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return pc.strftime(pc.cast(column, pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%S")
    if pa.types.is_date(kind):
        return pc.cast(pc.cast(column, pa.date32()), pa.string())
    text = pc.cast(column, pa.string())
    return pc.replace_substring(pc.utf8_trim_whitespace(text), " ", "T")
