"""How the rows of a chunk lie in a row group, so that some can be taken out without touching most of it.

Texts are nearly all of a corpus. Their column has a page for every `WINDOW` rows of the chunk, before
any of them is dropped: which page a row is in does not depend on which others are there. So where rows
go, only the pages in which they were are made anew; the result is what encoding the rest would have
given, octet by octet. All other columns are small and made anew as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.parquet.codec import Codec, one_array
from pipeline.parquet.parts import Assembler, Column, Group, Page, Sink, joined_pages, leaves
from pipeline.parquet.thrift import Malformed

WINDOW = 25
"""Rows of a chunk of which the texts share a page."""
_ONE_PAGE = 1 << 30
"""Octets of a page at most; below that a window has one."""
_WITHOUT_DICTIONARY = {"id", "url"}

Rows = npt.NDArray[np.int64]
Tidied = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be otherwise in a row group."""

    group: Group
    positions: Rows
    """In the chunk, of each of its rows."""
    stays: npt.NDArray[np.bool_]
    """For each of its rows."""
    texts: Mapping[int, str] = field(default_factory=dict)
    """New texts of some of its rows that stay, by row."""

    @property
    def is_nothing(self) -> bool:
        """Whether the row group stays as it is."""
        return not self.texts and bool(self.stays.all())


@dataclass(frozen=True, slots=True)
class Edited:
    """A row group after an edit."""

    group: Group | None
    """None where no row is left."""
    before: pa.Array
    """Texts of the rows that went or have another one now."""


class _Open:
    """A row group on its way."""

    def __init__(self, edit: Edit, column: Column) -> None:
        self.edit = edit
        self.bounds = _bounds(edit.positions)
        self.windows = _by_window(column.pages(), self.bounds)
        self.changes = ~edit.stays
        self.changes[list(edit.texts)] = True
        self.touched = [
            at
            for at, (begin, end) in enumerate(pairwise(self.bounds))
            if self.changes[begin:end].any()
        ]
        self.before: list[pa.Array] = []

    def made_anew(self, at: int, texts: pa.Table) -> pa.Table:
        """The texts of a window as they are to be."""
        part = slice(self.bounds[at], self.bounds[at + 1])
        column = one_array(texts.column(0))
        self.before.append(column.filter(pa.array(self.changes[part])))
        new = [row for row in range(part.start, part.stop) if row in self.edit.texts]
        if new:
            kind = column.type
            plain = column.dictionary_decode() if pa.types.is_dictionary(kind) else column
            mask = np.zeros(len(column), bool)
            mask[np.array(new) - part.start] = True
            values = pa.array([self.edit.texts[row] for row in new], plain.type)
            plain = pc.replace_with_mask(plain, pa.array(mask), values)
            column = plain.cast(kind) if kind != plain.type else plain
            texts = pa.table([column], schema=texts.schema)
        return texts.filter(pa.array(self.edit.stays[part]))


class Layout:
    """Makes and changes row groups of one schema."""

    def __init__(self, schema: pa.Schema, text: str) -> None:
        """``text`` is the column that has a page for every window; it must be flat.

        Short columns have dictionaries and statistics; a text has no use for either.
        """
        self._at = schema.get_field_index(text)
        options = {
            "use_dictionary": [n for n in schema.names if n not in {text, *_WITHOUT_DICTIONARY}],
            "write_statistics": [n for n in schema.names if n != text],
        }
        self._all = Codec(schema, **options)
        self._text = Codec(pa.schema([schema.field(self._at)]), **options, data_page_size=_ONE_PAGE)
        self._rest = Codec(schema.remove(self._at).remove_metadata(), **options)
        self._no_text = pa.array([], self._text.schema.field(0).type)
        self._leaf = [name for name, _ in leaves(self._all.template)].index(text)

    # -- making --------------------------------------------------------------------------------

    def encoded(self, table: pa.Table, positions: Rows) -> Group:
        """A row group of at least one row; ``positions`` of its rows in the chunk ascend."""
        bounds = _bounds(positions)
        windows = [
            table.select([self._at]).slice(begin, end - begin) for begin, end in pairwise(bounds)
        ]
        columns = [group.columns[0] for group in self._text.encoded(windows)]
        text = joined_pages(columns[0], [page for column in columns for page in column.pages()])
        others = self._others(table.remove_column(self._at))
        return self._together(table.num_rows, others, text)

    def assembler(self, sink: Sink) -> Assembler:
        """A file of such row groups."""
        return Assembler(sink, self._all.template)

    # -- changing ------------------------------------------------------------------------------

    def edited(self, edits: Sequence[Edit], tidied: Tidied) -> list[Edited]:
        """Row groups of which rows go or get other texts.

        ``tidied`` is what whoever made the row groups did with a table from which rows had been dropped.

        Raises:
            Malformed: a row group is damaged, or not of this layout.
        """
        opened = [_Open(edit, edit.group.columns[self._leaf]) for edit in edits]
        self._edit_texts(opened)
        rest = iter(self._rests([one.edit for one in opened], tidied))
        found = []
        for one in opened:
            edit = one.edit
            before = pa.concat_arrays([self._no_text, *one.before])
            if not edit.stays.any():
                found.append(Edited(None, before))
                continue
            others = self._others_of(edit.group) if edit.stays.all() else next(rest)
            pages = [page for window in one.windows for page in window]
            text = joined_pages(edit.group.columns[self._leaf], pages)
            group = self._together(int(edit.stays.sum()), others, text)
            found.append(Edited(group, before))
        return found

    def _edit_texts(self, opened: Sequence[_Open]) -> None:
        """Make those windows anew in which a text changes, all at once."""
        touched = [(one, at) for one in opened for at in one.touched]
        columns = [
            (
                [joined_pages(one.edit.group.columns[self._leaf], one.windows[at])],
                one.bounds[at + 1] - one.bounds[at],
            )
            for one, at in touched
        ]
        left = [
            one.made_anew(at, table)
            for (one, at), table in zip(touched, self._text.decoded(columns), strict=True)
        ]
        for (one, at), pages in zip(touched, self._pages(left), strict=True):
            one.windows[at] = pages

    def _rests(self, edits: Sequence[Edit], tidied: Tidied) -> list[tuple[Column, ...]]:
        """All columns but the texts, of the row groups that lose some of their rows."""
        cut = [edit for edit in edits if edit.stays.any() and not edit.stays.all()]
        if not self._rest.schema.names:
            return [() for _ in cut]
        tables = self._rest.decoded([(self._others_of(one.group), one.group.rows) for one in cut])
        left = [
            tidied(table.filter(pa.array(one.stays)))
            for one, table in zip(cut, tables, strict=True)
        ]
        return [group.columns for group in self._rest.encoded(left)]

    def _others_of(self, group: Group) -> tuple[Column, ...]:
        return tuple(column for at, column in enumerate(group.columns) if at != self._leaf)

    def texts(self, group: Group) -> pa.Array:
        """The text column of a row group."""
        (table,) = self._text.decoded([([group.columns[self._leaf]], group.rows)])
        return one_array(table.column(0))

    # -- columns -------------------------------------------------------------------------------

    def _together(self, rows: int, others: Sequence[Column], text: Column) -> Group:
        return Group(rows, (*others[: self._leaf], text, *others[self._leaf :]))

    def _others(self, table: pa.Table) -> tuple[Column, ...]:
        """All columns but the texts."""
        return self._rest.encoded([table])[0].columns if table.num_columns else ()

    def _pages(self, windows: Sequence[pa.Table]) -> list[list[Page]]:
        """The pages of windows of texts; of an empty one none."""
        pages = iter([group.columns[0] for group in self._text.encoded(windows)])
        return [next(pages).pages() if window.num_rows else [] for window in windows]


def _bounds(positions: Rows) -> list[int]:
    """Where in a row group each window of the chunk begins, and the end of the last."""
    count = int(positions[-1]) // WINDOW + 1 if len(positions) else 0
    bounds: list[int] = np.searchsorted(positions, np.arange(count + 1) * WINDOW).tolist()
    return bounds


def _by_window(pages: Sequence[Page], bounds: Sequence[int]) -> list[list[Page]]:
    """The pages of each window."""
    waiting = iter(pages)
    found: list[list[Page]] = []
    for begin, end in pairwise(bounds):
        window: list[Page] = []
        while (missing := end - begin - sum(page.values for page in window)) > 0:
            page = next(waiting, None)
            if page is None or page.values > missing:
                raise Malformed("its pages are not those of windows")
            window.append(page)
        found.append(window)
    if next(waiting, None) is not None:
        raise Malformed("it has more pages than rows")
    return found
