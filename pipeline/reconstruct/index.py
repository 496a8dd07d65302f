"""Which files of a corpus have documents of a site, or a document: so that a request touches only those.

Two Parquet tables, sorted, so that a look reads a row group or two:

``index/hosts.parquet``
    ``key`` (the canonical host backwards, so that subdomains stand beside each other), ``host``, ``file``.
``index/ids.parquet``
    ``key`` (64 bits of the id, `pipeline.optout.tags.keys_of`), ``file``.

They say what came in, kept or dropped, and so stay as they are whatever is taken down later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFile
from pipeline.optout.difference import Changed
from pipeline.optout.tags import keys_of
from pipeline.parquet.codec import one_array
from pipeline.reconstruct.folder import Folder

HOSTS, IDS = "index/hosts.parquet", "index/ids.parquet"
_LEDGER = "ledger"
ROWS = 1 << 16
_FILE = pa.dictionary(pa.int32(), pa.string())
_AFTER_DOT = chr(ord(".") + 1)


def write(folder: Folder, names: Sequence[str]) -> None:
    """Make the index of the corpus in ``folder`` from the ledgers of the files ``names``.

    Takes some 60 octets of memory for each site of each file, and 12 for each document.

    Raises:
        UnreadableFile: a ledger cannot be read.
    """
    hosts: list[pa.Array] = []
    keys: list[npt.NDArray[np.uint64]] = []
    for name in names:
        with folder.parquet(f"{_LEDGER}/{name}") as parquet:
            table = parquet.read(["host", "id"], use_threads=False)
        hosts.append(pc.unique(table["host"].combine_chunks()).drop_null().cast(pa.string()))
        keys.append(keys_of(table["id"].drop_null()))
    _write(folder, HOSTS, _hosts_table(names, hosts))
    _write(folder, IDS, _ids_table(names, keys))


@dataclass(frozen=True, slots=True)
class Found:
    """What a difference of policies means to a corpus."""

    files: list[str]
    """Those of its files with a document that the difference names."""
    hosts: frozenset[str]
    """Those of its sites that the difference names, themselves or by what is above them."""


def found(folder: Folder, changed: Changed, names: Sequence[str]) -> Found:
    """What of the corpus in ``folder``, which has the files ``names``, is named by ``changed``.

    An index that is missing is made first.

    Raises:
        UnreadableFile: it is damaged.
    """
    if changed.everything or changed.datasets:
        return Found(list(names), frozenset())
    if not (folder.exists(HOSTS) and folder.exists(IDS)):
        write(folder, names)
    exact = sorted(host[::-1] for host in changed.hosts | changed.domains)
    parents = {host[::-1] + "." for host in changed.domains}
    below = sorted(parents)
    files: set[str] = set()
    hosts: set[str] = set()
    for group, low, high in _groups(folder, HOSTS):
        themselves, under = _between(exact, low, high), _between(below, low, high)
        under = sorted({*under, *_prefixes(low).intersection(parents)})
        if not (themselves or under):
            continue
        bounds = [(key, key + "\0") for key in themselves]
        bounds += [(key, key[:-1] + _AFTER_DOT) for key in under]
        rows = _rows_between(group["key"], bounds)
        hosts.update(key[::-1] for key in pc.unique(group["key"].take(rows)).to_pylist())
        files.update(pc.unique(group["file"].take(rows)).to_pylist())
    wanted = changed.document_keys()
    for group, low, high in _groups(folder, IDS) if len(wanted) else ():
        part = wanted[np.searchsorted(wanted, low) : np.searchsorted(wanted, high, "right")]
        if len(part):
            mask = pc.is_in(group["key"], value_set=pa.array(part))
            files.update(pc.unique(group["file"].filter(mask)).to_pylist())
    chosen = [name for name in names if changed.nowhere or name in files]
    return Found(chosen, frozenset(hosts))


def _hosts_table(names: Sequence[str], hosts: Sequence[pa.Array]) -> pa.Table:
    joined = pa.chunked_array([*hosts, pa.array([], pa.string())])
    table = pa.table(
        {
            "key": pc.binary_reverse(joined.cast(pa.binary())).cast(pa.string()),
            "host": joined,
            "file": _owners(names, hosts),
        }
    )
    return table.take(pc.sort_indices(table["key"]))  # stable, so files stay in their order


def _ids_table(names: Sequence[str], keys: Sequence[npt.NDArray[np.uint64]]) -> pa.Table:
    joined = np.concatenate([*keys, np.zeros(0, np.uint64)])
    order = np.argsort(joined, kind="stable")
    owners = _owners(names, keys).combine_chunks()
    return pa.table({"key": joined[order], "file": owners.take(pa.array(order))})


def _owners(names: Sequence[str], parts: Sequence[Any]) -> pa.ChunkedArray:
    counts = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(pa.array(counts), pa.array(names, pa.string()))]
    )


def _write(folder: Folder, name: str, table: pa.Table) -> None:
    with folder.writing(name) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", row_group_size=ROWS, write_statistics=["key"]
        )


def _between(wanted: Sequence[str], low: str, high: str) -> Sequence[str]:
    """Those of the sorted ``wanted`` that may be in a row group."""
    return wanted[bisect_left(wanted, low) : bisect_right(wanted, high)]


def _prefixes(key: str) -> set[str]:
    """What a key begins with, up to each of its dots: the domains that it may be below."""
    return {key[: at + 1] for at, letter in enumerate(key) if letter == "."}


def _rows_between(keys: pa.ChunkedArray, bounds: Sequence[tuple[str, str]]) -> pa.Array:
    """The rows, ascending, whose sorted keys are at least the first of some bounds and less than the second."""
    ordered = one_array(keys)
    begins, ends = (_positions(ordered, column) for column in zip(*bounds, strict=True))
    steps = np.zeros(len(ordered) + 1, np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, ends, -1)
    return pa.array(np.flatnonzero(np.cumsum(steps[:-1])))


def _positions(ordered: pa.Array, wanted: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where each of the strings would be put into the sorted ones, before those that are equal to it."""
    values = pa.array(wanted, pa.string())
    low, high = np.zeros(len(values), np.int64), np.full(len(values), len(ordered))
    while (open_ := low < high).any():
        middle = (low + high) // 2
        found = ordered.take(pa.array(np.minimum(middle, len(ordered) - 1)))
        less = pc.less(found, values).to_numpy(zero_copy_only=False)
        low, high = np.where(open_ & less, middle + 1, low), np.where(open_ & ~less, middle, high)
    return low


class _Group:
    """A row group that is read when it is looked into."""

    def __init__(self, parquet: pq.ParquetFile, number: int) -> None:
        self._parquet, self._number = parquet, number
        self._table: pa.Table | None = None

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        if self._table is None:
            self._table = self._parquet.read_row_group(
                self._number, ["key", "file"], use_threads=False
            )
        return self._table[column]


def _groups(folder: Folder, name: str) -> Iterator[tuple[_Group, Any, Any]]:
    """The row groups of an index with their smallest and largest key."""
    with folder.parquet(name) as parquet:
        metadata = parquet.metadata
        for number in range(metadata.num_row_groups):
            column = metadata.row_group(number).column(0)
            if not column.num_values:
                continue  # of a corpus without hosts: Arrow writes an empty row group
            if column.statistics is None or not column.statistics.has_min_max:
                raise UnreadableFile(f"{folder.root}/{name} is damaged: delete the folder index.")
            yield _Group(parquet, number), column.statistics.min, column.statistics.max
