"""Row groups as octets with their metadata: taken out of files, put into files, never decoded on the way.

A file that is assembled of parts has the same octets whether a part was encoded just now or lay in
another file before. Source of the layout: Apache Parquet, "File Format" and ``parquet.thrift``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from pipeline.parquet.thrift import (
    Malformed,
    Struct,
    Value,
    integer,
    read_struct,
    struct,
    structs,
    written,
)

_MAGIC = b"PAR1"
_TAIL = 8
# Fields of ColumnMetaData, ColumnChunk, RowGroup, FileMetaData and PageHeader.
_ENCODINGS, _VALUES, _PLAIN_SIZE, _SIZE, _DATA_AT, _DICTIONARY_AT, _STATISTICS, _PAGES, _SIZES = (
    2, 5, 6, 7, 9, 11, 12, 13, 16,
)  # fmt: skip
_CHUNK_AT, _CHUNK_META = 2, 3
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS, _GROUP_AT, _GROUP_SIZE = 1, 2, 3, 5, 6
_FILE_ROWS, _GROUPS = 3, 4
_PAGE_SIZE, _PAGE, _PAGE_V2, _PAGE_VALUES = 3, 5, 8, 1

Octets = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row group."""

    pieces: tuple[Octets, ...]
    meta: Struct
    """ColumnMetaData; offsets count from where the column begins."""

    @property
    def size(self) -> int:
        """In the file."""
        return int(self.meta[_SIZE].value)

    @property
    def values(self) -> int:
        """How many, nulls included; of a flat column its rows."""
        return int(self.meta[_VALUES].value)

    def pages(self) -> list[Page]:
        """The data pages, in order.

        Raises:
            Malformed: the column is damaged.
        """
        data = memoryview(b"".join(self.pieces)) if len(self.pieces) > 1 else self.pieces[0]
        at = int(self.meta[_DATA_AT].value)
        found = []
        while at < self.size:
            header, body = read_struct(data, at)
            end = body + int(header[_PAGE_SIZE].value)
            if end > self.size or not {_PAGE, _PAGE_V2} & header.keys():
                raise Malformed("a page does not end where its column does")
            about = header[_PAGE if _PAGE in header else _PAGE_V2].value
            plain = int(header[2].value) + body - at
            found.append(Page(data[at:end], int(about[_PAGE_VALUES].value), plain))
            at = end
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """One data page of a column without a dictionary."""

    octets: Octets
    """Header and body."""
    values: int
    plain_size: int
    """Octets of the header, and of the body before it was compressed."""


@dataclass(frozen=True, slots=True)
class Group:
    """One row group."""

    rows: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A file taken apart."""

    footer: Struct
    """FileMetaData."""
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, data: Octets) -> Self:
        """Take apart a whole file.

        Raises:
            Malformed: it is none, or its footer is damaged.
        """
        view = memoryview(data).cast("B")
        if len(view) < _TAIL + len(_MAGIC) or view[-4:] != _MAGIC or view[:4] != _MAGIC:
            raise Malformed("it is not a Parquet file")
        size = int.from_bytes(view[-8:-4], "little")
        begin = len(view) - _TAIL - size
        if begin < len(_MAGIC):
            raise Malformed("its footer is cut off")
        footer, end = read_struct(view[begin:-_TAIL])
        if end != size:
            raise Malformed("its footer is longer than what it says")
        return cls(footer, tuple(_group(view, group) for group in footer[_GROUPS].value))


def _group(view: memoryview, group: Struct) -> Group:
    columns = []
    for chunk in group[_COLUMNS].value:
        meta: Struct = chunk[_CHUNK_META].value
        begin = int(meta.get(_DICTIONARY_AT, meta[_DATA_AT]).value)
        end = begin + int(meta[_SIZE].value)
        if not 0 < begin <= end <= len(view):
            raise Malformed("a column lies outside of the file")
        columns.append(Column((view[begin:end],), _moved(meta, -begin)))
    return Group(int(group[_GROUP_ROWS].value), tuple(columns))


def _moved(meta: Struct, by: int) -> Struct:
    """The same column elsewhere."""
    moved = dict(meta)
    for number in (_DATA_AT, _DICTIONARY_AT):
        if number in moved:
            moved[number] = integer(moved[number].value + by)
    return moved


def joined_pages(like: Column, pages: Sequence[Page]) -> Column:
    """A column of these data pages, all of columns that are encoded like ``like``."""
    size = sum(len(page.octets) for page in pages)
    meta = {number: value for number, value in like.meta.items() if number != _SIZES}
    meta[_VALUES] = integer(sum(page.values for page in pages))
    meta[_PLAIN_SIZE] = integer(sum(page.plain_size for page in pages))
    meta[_SIZE] = integer(size)
    meta[_DATA_AT] = integer(0)
    if _PAGES in meta:
        (one,) = meta[_PAGES].value
        meta[_PAGES] = structs([{**one, 3: integer(len(pages), wide=False)}])
    return Column(tuple(page.octets for page in pages), meta)


class Sink(Protocol):
    """Takes octets."""

    def write(self, octets: Octets, /) -> object:
        """Append them."""

    def flush(self) -> None:
        """Let go of what is held."""


class Hashed:
    """A file that is written from its beginning to its end, with the digest of what was written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def write(self, octets: Octets, /) -> int:
        """Append octets."""
        self._digest.update(octets)
        return self._file.write(octets)

    def flush(self) -> None:
        """Let go of what is held."""
        self._file.flush()


class Assembler:
    """Writes a file of parts."""

    def __init__(self, sink: Sink, template: Struct) -> None:
        """``template`` is the FileMetaData of an empty file of the same schema."""
        self._sink = sink
        self._template = template
        self._groups: list[Struct] = []
        self._rows = 0
        self._at = len(_MAGIC)
        sink.write(_MAGIC)

    def add(self, group: Group) -> None:
        """Append a row group."""
        begin = self._at
        chunks: list[Struct] = []
        plain = 0
        for column in group.columns:
            meta = _moved(column.meta, self._at)
            chunks.append({_CHUNK_AT: integer(0), _CHUNK_META: struct(meta)})
            for piece in column.pieces:
                self._sink.write(piece)
            self._at += column.size
            plain += int(meta[_PLAIN_SIZE].value)
        self._groups.append(
            {
                _COLUMNS: structs(chunks),
                _GROUP_BYTES: integer(plain),
                _GROUP_ROWS: integer(group.rows),
                _GROUP_AT: integer(begin),
                _GROUP_SIZE: integer(self._at - begin),
            }
        )
        self._rows += group.rows

    def close(self) -> None:
        """Write the footer."""
        footer = dict(self._template)
        footer[_FILE_ROWS] = integer(self._rows)
        footer[_GROUPS] = structs(self._groups)
        octets = written(footer)
        self._sink.write(octets + len(octets).to_bytes(4, "little") + _MAGIC)
        self._sink.flush()


def leaves(footer: Struct) -> Iterator[tuple[str, Value]]:
    """Name of the top-level field of each leaf column, in order, with its schema element."""
    elements = footer[2].value
    at = 1

    def walk(top: str | None) -> Iterator[tuple[str, Value]]:
        nonlocal at
        element = elements[at]
        at += 1
        name = top or element[4].value.decode()
        children = int(element[5].value) if 5 in element else 0
        if not children:
            yield name, element
        for _ in range(children):
            yield from walk(name)

    while at < len(elements):
        yield from walk(None)
