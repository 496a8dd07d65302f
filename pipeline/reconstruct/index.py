"""Which files of a corpus have documents of a site, or a document: so that a request touches only those.

Two Parquet tables, sorted, so that a look reads a row group or two:

``index/hosts.parquet``
    ``key`` (the canonical host backwards, so that subdomains stand beside each other), ``host``, ``file``.
``index/ids.parquet``
    ``key`` (64 bits of the id, `pipeline.optout.tags.keys_of`), ``file``.

They say what came in, kept or dropped, and so stay as they are whatever is taken down later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFile
from pipeline.optout.difference import Changed
from pipeline.optout.tags import keys_of
from pipeline.reconstruct.folder import Folder

HOSTS, IDS = "index/hosts.parquet", "index/ids.parquet"
_LEDGER = "ledger"
_ROWS = 1 << 16
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


def files(folder: Folder, changed: Changed, names: Sequence[str]) -> list[str]:
    """Which of the files ``names`` have a document that ``changed`` names; all, where there is no index."""
    if changed.everything or changed.datasets or not folder.exists(HOSTS):
        return list(names)
    found = _looked_up(folder, HOSTS, [host[::-1] for host in changed.hosts | changed.domains])
    found |= _below(folder, [host[::-1] for host in changed.domains])
    found |= _looked_up(folder, IDS, changed.document_keys().tolist())
    return [name for name in names if name in found]


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
            table, temporary, compression="zstd", row_group_size=_ROWS, write_statistics=["key"]
        )


def _looked_up(folder: Folder, name: str, keys: Iterable[Any]) -> set[str]:
    """Files that the rows with these keys name."""
    wanted = sorted(keys)
    found: set[str] = set()
    if not wanted:
        return found
    for group, low, high in _groups(folder, name):
        if at := _between(wanted, low, high):
            kind = pa.uint64() if name == IDS else pa.string()
            mask = pc.is_in(group["key"], value_set=pa.array(at, kind))
            found.update(pc.unique(group["file"].filter(mask)).to_pylist())
    return found


def _below(folder: Folder, keys: Sequence[str]) -> set[str]:
    """Files with a host below one of these, which are written backwards."""
    found: set[str] = set()
    if not keys:
        return found
    for group, low, high in _groups(folder, HOSTS):
        for key in keys:
            if key + "." <= high and low < key + _AFTER_DOT:
                mask = pc.starts_with(group["key"], key + ".")
                found.update(pc.unique(group["file"].filter(mask)).to_pylist())
    return found


def _between(wanted: Sequence[Any], low: Any, high: Any) -> list[Any]:
    return [one for one in wanted if low <= one <= high]


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
