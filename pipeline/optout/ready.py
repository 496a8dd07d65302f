"""A policy ready to be asked: flat columns that processes map and share instead of building them anew.

What is looked up lies in Arrow files without compression. Opening them reads nothing; asking for a host
touches the pages on which that host stands, and they are the same memory in every process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile, WrongVersion
from pipeline.optout import policy_file
from pipeline.optout.policy_file import Header
from pipeline.optout.sieve import Meshes

Entry = tuple[int, str | None]
"""A source, and the day on which it held for the host."""

_SOURCES, _EXACT, _BELOW = "sources.arrow", "exact.arrow", "below.arrow"
_FORMAT = (b"lethe.optout.ready", b"1")
_ENCODED = ("signal", "file", "status")
"""Columns of few values, kept as dictionaries."""
_ENTRY = pa.struct([pa.field("source", pa.int32(), nullable=False), pa.field("day", pa.string())])
_HOSTS = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("entries", pa.list_(_ENTRY), nullable=False),
        # What all its sources together need of a path, see `pipeline.optout.sieve`.
        pa.field("second", pa.uint64(), nullable=False),
        pa.field("third", pa.uint64(), nullable=False),
        pa.field("needs", pa.uint8(), nullable=False),
    ]
)


class HostTable:
    """Names of hosts with the sources that speak for them, in the order of the names' hashes."""

    def __init__(self, table: pa.Table) -> None:
        """``table`` has the columns of `_HOSTS`, ascending by ``hash``."""
        columns = {name: one_array(table[name]) for name in _HOSTS.names}
        self._hashes = memoryview(numbers(columns["hash"]).data)
        self._names = columns["name"]
        self._first = numbers(columns["entries"].offsets)
        flat = columns["entries"].values
        self._sources: npt.NDArray[np.int32] = numbers(flat.field("source"))
        self._days = flat.field("day")
        self.meshes = Meshes(*(numbers(columns[c]) for c in Meshes._fields))
        """The sieve of every name: those of its sources joined."""

    def __len__(self) -> int:
        return len(self._names)

    def position(self, name: str) -> int | None:
        """Where a name stands, ``None`` where nobody speaks for it."""
        wanted = hash_of(name)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self.name(at) == name:
                return at
            at += 1
        return None

    def name(self, position: int) -> str:
        """The name at a position."""
        found: str = self._names[position].as_py()
        return found

    def entries(self, name: str) -> list[Entry]:
        """The sources that speak for a name, none where nobody does."""
        position = self.position(name)
        if position is None:
            return []
        begin, end = self._first[position : position + 2].tolist()
        return [
            (source, self._days[i].as_py())
            for i, source in enumerate(self._sources[begin:end].tolist(), begin)
        ]


@dataclass(frozen=True, slots=True)
class Ready:
    """All of a policy but its tags."""

    header: Header
    sources: pa.Table
    """As in `pipeline.optout.policy_file.SCHEMA`; some columns may be dictionaries."""
    exact: HostTable
    """Names that are meant themselves."""
    below: HostTable
    """Names of which all subdomains are meant."""


def hash_of(name: str) -> int:
    """64 bits of a name; two names may have the same."""
    octets = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(octets, digest_size=8).digest(), "little")


def from_policy(path: Path) -> Ready:
    """The compiled policy at ``path``, made ready in the memory of this process.

    Raises:
        UnreadableFile: missing, truncated, or not a policy.
        WrongVersion: written in another format.
    """
    return from_sources(*policy_file.read(path))


def from_sources(header: Header, sources: pa.Table) -> Ready:
    """A policy of these sources, made ready in the memory of this process."""
    exact, below = (_host_table(sources, below=below) for below in (False, True))
    return Ready(header, sources, HostTable(exact), HostTable(below))


def made_ready(path: Path, folder: Path) -> Path:
    """Write the compiled policy at ``path`` to ``folder``, made ready; returns the folder.

    It appears whole or not at all. What is there already is another one's work on the same policy if
    its version is the same, and is left; else it is replaced.

    Raises:
        UnreadableFile: missing, truncated, or not a policy.
        WrongVersion: written in another format.
        OSError: the folder cannot be written.
    """
    header, sources = policy_file.read(path)
    if _holds(folder, header):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_name(f".{uuid.uuid4().hex}.making")
    temporary.mkdir(parents=True)
    try:
        for name, table in (
            (_SOURCES, _encoded(sources)),
            (_EXACT, _host_table(sources, below=False)),
            (_BELOW, _host_table(sources, below=True)),
        ):
            metadata = (table.schema.metadata or {}) | dict([_FORMAT])
            _write(temporary / name, table.replace_schema_metadata(metadata))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def from_folder(folder: Path) -> Ready:
    """What `made_ready` wrote, mapped into memory.

    Raises:
        UnreadableFile: it is not there, or damaged.
        WrongVersion: it was written by another version.
    """
    try:
        sources, exact, below = (_mapped(folder / name) for name in (_SOURCES, _EXACT, _BELOW))
    except (pa.ArrowException, OSError):
        raise UnreadableFile(f"{folder} is no policy that was made ready: delete it.") from None
    metadata = sources.schema.metadata or {}
    if metadata.get(_FORMAT[0]) != _FORMAT[1]:
        raise WrongVersion(f"{folder} was written by another version of Lethe: delete it.")
    return Ready(
        policy_file.header_of(metadata, folder), sources, HostTable(exact), HostTable(below)
    )


def _holds(folder: Path, header: Header) -> bool:
    try:
        return from_folder(folder).header == header
    except (UnreadableFile, WrongVersion):
        return False


def _mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _write(path: Path, table: pa.Table) -> None:
    """Write a table as one batch, and have it on the disk: a file with holes would decide wrongly."""
    with path.open("wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        sink.flush()
        os.fsync(sink.fileno())


def _encoded(sources: pa.Table) -> pa.Table:
    for name in _ENCODED:
        at = sources.schema.get_field_index(name)
        sources = sources.set_column(at, name, one_array(sources[name]).dictionary_encode())
    return sources


def _host_table(sources: pa.Table, *, below: bool) -> pa.Table:
    """The names that sources speak for, either themselves or all that is below them."""
    hosts = one_array(sources["hosts"])
    flat = hosts.flatten()
    meant = pc.equal(flat.field("subdomains"), below)
    owners = pc.list_parent_indices(hosts).filter(meant).to_numpy(zero_copy_only=False)
    days = flat.field("date").filter(meant)
    names = flat.field("host").filter(meant).dictionary_encode()
    hashes = np.array([hash_of(n) for n in names.dictionary.to_pylist()], np.uint64)
    order = np.argsort(hashes, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    of_entry = places[names.indices.to_numpy(zero_copy_only=False)]
    by_place = np.argsort(of_entry, kind="stable")
    first = np.zeros(len(order) + 1, np.int64)
    np.cumsum(np.bincount(of_entry, minlength=len(order)), out=first[1:])
    owners = owners[by_place].astype(np.int32)
    entries = pa.StructArray.from_arrays(
        [pa.array(owners), days.take(pa.array(by_place))], fields=list(_ENTRY)
    )
    meshes = []
    for name in Meshes._fields:
        column = numbers(one_array(sources[name]))[owners]
        meshes.append(np.bitwise_or.reduceat(column, first[:-1]) if len(order) else column)
    lists = pa.ListArray.from_arrays(pa.array(first.astype(np.int32)), entries)
    columns = [pa.array(hashes[order]), names.dictionary.take(pa.array(order)), lists]
    return pa.table([*columns, *map(pa.array, meshes)], schema=_HOSTS)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """One array of a column, its offsets starting at zero; a copy only where there is no other way."""
    joined = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.chunk(0) if joined.num_chunks else pa.array([], joined.type)
    return pa.concat_arrays([joined]) if joined.offset else joined


def numbers(column: pa.Array) -> npt.NDArray[Any]:
    """The values of a column of numbers without nulls, in place.

    Unlike ``to_numpy`` it does not load pandas, which is larger than most policies.
    """
    kind = column.type.to_pandas_dtype()
    octets = column.buffers()[1]
    if octets is None or not len(column):
        return np.zeros(0, kind)
    found: npt.NDArray[Any] = np.frombuffer(octets, kind)[column.offset :][: len(column)]
    return found
