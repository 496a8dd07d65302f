"""Reading a snapshot of opt-out files, and deciding which of its rows are in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFile, WrongColumns

ROBOTS = "robots.txt"
RSL = "rsl.xml"
FILES = (ROBOTS, "tdmrep.json", "ai.txt", RSL)
NEVER = -(1 << 63)
"""`Row.moment` of a file of which nobody knows when it was fetched: before all others."""
_RSL_OCTETS = RSL.encode()
_BATCH = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_FIRST = (date.min - _EPOCH.date()).days * _DAY_US
_OPTIONAL = ("file", "status", "fetched_at", "url")


class Row(NamedTuple):
    """One file of one domain as a crawler found it."""

    domain: str
    file: str
    content: bytes | None
    status: int | None
    """HTTP status; ``None`` where the snapshot has no such column, 0 where the host was unreachable."""
    date: str | None
    """ISO date (UTC) on which it was fetched."""
    moment: int = NEVER
    """The same in microseconds since 1970 (UTC)."""
    url: str = ""
    """Address of an RSL file, of which a domain may have several; empty for the other files."""


def rows(path: Path, as_of: date, counts: Counter[str] | None = None) -> Iterator[Row]:
    """The rows of the snapshot at ``path`` that are in force on ``as_of``.

    ``path`` is a Parquet file or a folder of them with the columns ``domain`` and ``content`` (string
    or binary) and optionally ``file`` (default robots.txt), ``status``, ``fetched_at`` (timestamp,
    date or ISO 8601 text; UTC where it names no zone) and ``url``. For each (domain, file), of RSL
    files for each address, the row fetched last, but not after ``as_of``, counts; without
    ``fetched_at``, or at the same time, the later row does. Rows that do not count are counted by
    reason in ``counts``. Content is read in a second pass, so memory holds the small columns of all
    rows and the content of one batch.

    Raises:
        UnreadableFile: missing, truncated or not Parquet.
        WrongColumns: a column is missing, stands twice, or is of a type that cannot be used.
    """
    files = _parquet_files(path)
    chosen, moments = _in_force(files, as_of, Counter() if counts is None else counts)
    offset = 0
    for file in files:
        with _opened(file) as parquet:
            columns = _held(parquet)
            for batch in parquet.iter_batches(_BATCH, columns=columns, use_threads=False):
                mask = chosen.slice(offset, batch.num_rows)
                when = moments.slice(offset, batch.num_rows).filter(mask)
                offset += batch.num_rows
                kept = batch.filter(mask)
                none = [None] * kept.num_rows
                yield from map(
                    _row,
                    _octets(kept["domain"]),
                    _octets(kept["file"]) if "file" in columns else none,
                    _octets(kept["content"]),
                    kept["status"].to_pylist() if "status" in columns else none,
                    when.to_pylist(),
                    _octets(kept["url"]) if "url" in columns else none,
                )


def _row(
    domain: bytes | None,
    file: bytes | None,
    content: bytes | None,
    status: int | None,
    moment: int,
    url: bytes | None,
) -> Row:
    return Row(
        # Text that is not UTF-8 becomes a domain that is no host, which is counted.
        (domain or b"").decode("utf-8", "replace"),
        ROBOTS if file is None else file.decode("utf-8", "replace"),
        content,
        status,
        None if moment == NEVER else str(_EPOCH.date() + timedelta(moment // _DAY_US)),
        moment,
        "" if url is None or file != _RSL_OCTETS else url.decode("utf-8", "replace"),
    )


def _octets(column: pa.Array) -> list[bytes | None]:
    """Text as it lies in the file: Parquet does not promise that it is UTF-8."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = pc.cast(column, kind)
    if _is_text(kind):
        wide = pa.types.is_large_string(kind)
        column = pc.cast(column, pa.large_binary() if wide else pa.binary())
    octets: list[bytes | None] = column.to_pylist()
    return octets


def _parquet_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(
            p
            for p in path.rglob("*.parquet")
            if p.is_file() and not any(s.startswith(".") for s in p.relative_to(path).parts)
        )
        if not found:
            raise UnreadableFile(
                f"{path} holds no Parquet file: give a snapshot of robots.txt files."
            )
        return found
    if not path.exists():
        raise UnreadableFile(f"There is no file {path}: give a snapshot of robots.txt files.")
    return [path]


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """An open file with usable columns; what turns out to be damaged while it is read is, too."""
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow)
            yield file
    except (pa.ArrowException, OSError):
        raise UnreadableFile(
            f"{path} is not a Parquet file or is damaged or cut off: write the snapshot again."
        ) from None


def _held(parquet: pq.ParquetFile) -> list[str]:
    names = parquet.schema_arrow.names
    return ["domain", "content", *(c for c in _OPTIONAL if c in names)]


def _check(path: Path, schema: pa.Schema) -> None:
    for name in ("domain", "content", *_OPTIONAL):
        if schema.names.count(name) > 1:
            raise WrongColumns(f"Column {name!r} stands twice in {path}: keep one of them.")
    needed = {"domain": "text", "content": "text or binary", "file": "text", "url": "text"}
    for name, wanted in needed.items():
        if name not in schema.names:
            if name in _OPTIONAL:
                continue
            raise WrongColumns(
                f"{path} has no column {name!r}: a snapshot needs domain and content "
                f"(found: {', '.join(map(repr, schema.names)) or 'none'})."
            )
        kind = schema.field(name).type
        fits = _is_text(kind) or (name == "content" and _is_binary(kind))
        if not fits:
            raise WrongColumns(f"Column {name!r} of {path} is {kind}: it must be {wanted}.")
    if "status" in schema.names and not pa.types.is_integer(schema.field("status").type):
        raise WrongColumns(f"Column 'status' of {path} must hold HTTP status numbers.")
    if "fetched_at" in schema.names:
        kind = schema.field("fetched_at").type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or _is_text(kind)):
            raise WrongColumns(f"Column 'fetched_at' of {path} must hold times or ISO dates.")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _in_force(
    files: list[Path], as_of: date, counts: Counter[str]
) -> tuple[pa.BooleanArray, pa.Int64Array]:
    """For every row of all files whether it counts, and its moment."""
    keys: list[pa.Table] = []
    for file in files:
        with _opened(file) as parquet:
            names = parquet.schema_arrow.names
            table = parquet.read(
                columns=[n for n in ("domain", "file", "fetched_at", "url") if n in names]
            )
            count = table.num_rows
            where = pc.cast(table["file"], pa.string()) if "file" in names else pa.nulls(count)
            when = (
                _moments(table["fetched_at"], file)
                if "fetched_at" in names
                else pa.nulls(count, pa.int64())
            )
            which = pc.fill_null(pc.cast(where, pa.string()), ROBOTS)
            if "url" in names:  # a domain has one file of each kind, but several RSL files
                url = pc.fill_null(pc.cast(table["url"], pa.string()), "")
                which = pc.if_else(
                    pc.equal(which, RSL), pc.binary_join_element_wise(which, url, " "), which
                )
            domain = pc.cast(table["domain"], pa.string())
            key = pc.binary_join_element_wise(which, domain, "\n")
            keys.append(pa.table({"key": key, "when": pc.fill_null(when, NEVER)}))
    table = pa.concat_tables(keys).combine_chunks()
    code = table["key"].combine_chunks().dictionary_encode().indices
    moment = table["when"].to_numpy()
    after = ((as_of - _EPOCH.date()).days + 1) * _DAY_US
    named = pc.is_valid(code).to_numpy(zero_copy_only=False)
    in_time = np.flatnonzero(named & (moment < after))
    ordered = in_time[np.argsort(moment[in_time], kind="stable")]
    last = np.full(len(table) + 1, -1)
    codes = pc.fill_null(code, 0).to_numpy(zero_copy_only=False)
    last[codes[ordered]] = ordered  # of several the last one stays
    chosen = np.zeros(len(table), dtype=bool)
    chosen[last[last >= 0]] = True
    for reason, number in (
        ("rows without a domain", len(table) - int(named.sum())),
        ("rows fetched after the policy's day", int(named.sum()) - len(in_time)),
        ("rows replaced by later ones", len(in_time) - int(chosen.sum())),
    ):
        if number:
            counts[f"snapshot: {reason}"] += number
    return pa.array(chosen), pa.array(moment)


def _moments(column: pa.ChunkedArray, file: Path) -> pa.ChunkedArray:
    """Microseconds since 1970, UTC, null where nothing is said.

    Raises:
        WrongColumns: a value is no time. It could not be compared with the policy's day, and a row
            that is left out because of that would be a refusal lost.
    """
    kind = column.type
    try:
        if pa.types.is_date(kind):
            column = pc.cast(column, pa.timestamp("us"))
        elif pa.types.is_timestamp(kind):
            # Nanoseconds are cut, which cannot overflow; seconds are multiplied, which can.
            column = pc.cast(column, pa.timestamp("us", kind.tz), safe=kind.unit != "ns")
        else:
            encoded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
            values = pa.array([_moment(t) for t in encoded.dictionary.to_pylist()], pa.int64())
            column = pa.chunked_array([values.take(encoded.indices)])
        column = pc.cast(column, pa.int64())
        if (pc.min(column).as_py() or 0) < _FIRST:
            raise ValueError  # noqa: TRY301
    except ValueError:  # of Arrow, of datetime, or of text that is not UTF-8
        raise WrongColumns(
            f"Column 'fetched_at' of {file} holds something that is no time: write it as 2026-01-31 "
            "or 2026-01-31T12:00:00Z, or leave it null."
        ) from None
    return column


def _moment(text: str) -> int | None:
    text = text.strip().upper()
    if not text:
        return None
    moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
