"""Sums per key over any number of rows, in memory that does not grow with them.

A corpus has tens of millions of hosts. What exceeds a limit is written to temporary files,
partitioned by key, so that each partition can be summed alone in the end.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Top:
    """The rows with the largest sums."""

    distinct: int
    """Distinct keys."""
    positive: int
    """Those whose sum is above zero."""
    rows: list[dict[str, Any]]
    """Keys and sums, largest first, then by key; only sums above zero."""


class Tally:
    """Sums of integer columns by string columns. To be used in a ``with`` block."""

    def __init__(self, keys: tuple[str, ...], sums: tuple[str, ...], limit: int = 1 << 18) -> None:
        """Sum the columns ``sums`` by ``keys``, with about ``limit`` rows in memory."""
        self._keys = keys
        self._sums = sums
        self._limit = limit
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._spills = 0
        self._folder = tempfile.TemporaryDirectory(prefix="lethe-")

    def __enter__(self) -> Self:
        """Ready to be added to."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the temporary files."""
        self._folder.cleanup()

    def add(self, table: pa.Table) -> None:
        """Add rows that have the keys (strings) and the sums (int64) as columns."""
        self._pending.append(self._summed(table))
        self._rows += self._pending[-1].num_rows
        if self._rows <= self._limit:
            return
        merged = self._merged(self._pending)
        if merged.num_rows > self._limit // 2:
            self._spill(merged)
            self._pending, self._rows = [], 0
        else:
            self._pending, self._rows = [merged], merged.num_rows

    def top(self, count: int, by: str) -> Top:
        """The ``count`` keys with the largest sum of ``by``."""
        distinct = positive = 0
        best: list[pa.Table] = []
        for part in self._parts():
            distinct += part.num_rows
            winning = part.filter(pc.greater(part[by], 0))
            positive += winning.num_rows
            best = [self._largest([*best, winning], count, by)]
        return Top(distinct, positive, best[0].to_pylist() if best else [])

    def leading(self, choose: Callable[[int], int], by: tuple[str, ...]) -> Top:
        """The keys with the largest sums, so many as ``choose`` says of those above zero.

        Compared are the sums ``by`` in turn. Keys whose sums equal those of the last one come too: whom
        the alphabet puts behind is not left out. Sorted by the sums, then by key.
        """
        positive = self.top(0, by[0]).positive
        wanted = min(choose(positive), positive)
        order = [
            *((name, "descending") for name in by),
            *((key, "ascending") for key in self._keys),
        ]
        best: list[pa.Table] = []
        for part in self._parts():
            found = pa.concat_tables([*best, part.filter(pc.greater(part[by[0]], 0))])
            best = [found.sort_by(order).slice(0, wanted)]
        if wanted == 0:
            return Top(positive, positive, [])
        last = [best[0][name][-1].as_py() for name in by]
        level = [part.filter(_at_least(part, by, last)) for part in self._parts()]
        return Top(positive, positive, pa.concat_tables(level).sort_by(order).to_pylist())

    def _largest(self, tables: list[pa.Table], count: int, by: str) -> pa.Table:
        order = [(by, "descending"), *((key, "ascending") for key in self._keys)]
        return pa.concat_tables(tables).sort_by(order).slice(0, count)

    def _summed(self, table: pa.Table) -> pa.Table:
        grouped = table.group_by(list(self._keys), use_threads=False)
        summed = grouped.aggregate([(name, "sum") for name in self._sums])
        names = [*self._keys, *(f"{name}_sum" for name in self._sums)]
        return summed.select(names).rename_columns([*self._keys, *self._sums])

    def _merged(self, tables: list[pa.Table]) -> pa.Table:
        return self._summed(pa.concat_tables(tables))

    def _spill(self, table: pa.Table) -> None:
        keys = zip(*(table[key].to_pylist() for key in self._keys), strict=True)
        parts = pa.array([_partition(key) for key in keys], pa.int8())
        for number in pc.unique(parts).to_pylist():
            rows = table.filter(pc.equal(parts, number))
            path = self._path / f"{number}-{self._spills}.arrow"
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
                writer.write_table(rows)
        self._spills += 1

    def _parts(self) -> Iterator[pa.Table]:
        """All rows, summed, in parts that share no key."""
        if self._spills and self._pending:
            self._spill(self._merged(self._pending))
            self._pending, self._rows = [], 0
        if self._pending:
            yield self._merged(self._pending)
        for number in range(_PARTITIONS if self._spills else 0):
            files = sorted(self._path.glob(f"{number}-*.arrow"))
            if files:
                yield self._merged([_read(path) for path in files])

    @property
    def _path(self) -> Path:
        return Path(self._folder.name)


def _at_least(table: pa.Table, by: tuple[str, ...], least: list[int]) -> pa.ChunkedArray:
    """Which rows are not below ``least``, compared column by column."""
    level = pc.equal(table[by[-1]], least[-1])
    above = pc.greater(table[by[-1]], least[-1])
    found = pc.or_(above, level)
    for name, value in reversed(list(zip(by[:-1], least[:-1], strict=True))):
        found = pc.or_(pc.greater(table[name], value), pc.and_(pc.equal(table[name], value), found))
    return found


def _partition(key: tuple[str | None, ...]) -> int:
    return zlib.crc32("\0".join(k or "" for k in key).encode()) % _PARTITIONS


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()
