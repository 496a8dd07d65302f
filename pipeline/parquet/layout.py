"""How the rows of a chunk lie in a row group, so that some can be taken out without touching most of it.

Texts are nearly all of a corpus. Their column has a page for every `WINDOW` rows of the chunk, before
any of them is dropped: which page a row is in does not depend on which others are there. So where rows
go, only the pages in which they were are made anew; the result is what encoding the rest would have
given, octet by octet. All other columns are small and made anew as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.parquet.codec import Codec, one_array
from pipeline.parquet.parts import Assembler, Column, Group, Page, Sink, joined_pages, leaves
from pipeline.parquet.thrift import Malformed

WINDOW = 50
"""Rows of a chunk of which the texts share a page."""
_ONE_PAGE = 1 << 30
"""Octets of a page at most; below that a window has one."""
_WITHOUT_DICTIONARY = {"id", "url"}

Rows = npt.NDArray[np.int64]
Tidied = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class Cut:
    """A row group from which rows were taken."""

    group: Group | None
    """None where nothing is left."""
    gone: pa.Array
    """Texts of the rows that went."""


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

    def cut(
        self, group: Group, positions: Rows, stays: npt.NDArray[np.bool_], tidied: Tidied
    ) -> Cut:
        """A row group without the rows that do not stay.

        ``positions`` in the chunk and ``stays`` have one value for each of its rows. ``tidied`` is what
        whoever made the row group did with a table from which rows had been dropped.

        Raises:
            Malformed: the row group is damaged, or not of this layout.
        """
        bounds = _bounds(positions)
        windows = _by_window(group.columns[self._leaf].pages(), bounds)
        touched = [
            at for at, (begin, end) in enumerate(pairwise(bounds)) if not stays[begin:end].all()
        ]
        gone: list[pa.Array] = []
        left: list[pa.Table] = []
        for at in touched:
            mask = stays[bounds[at] : bounds[at + 1]]
            column = joined_pages(group.columns[self._leaf], windows[at])
            table = self._text.decoded([column], len(mask))
            gone.append(one_array(table.column(0).filter(pa.array(~mask))))
            left.append(table.filter(pa.array(mask)))
        for at, pages in zip(touched, self._pages(left), strict=True):
            windows[at] = pages
        texts = pa.concat_arrays(gone) if gone else pa.array([], self._text.schema.field(0).type)
        if not stays.any():
            return Cut(None, texts)
        others = tuple(c for at, c in enumerate(group.columns) if at != self._leaf)
        if others:
            rest = self._rest.decoded(others, group.rows)
            others = self._others(tidied(rest.filter(pa.array(stays))))
        pages = [page for window in windows for page in window]
        text = joined_pages(group.columns[self._leaf], pages)
        return Cut(self._together(int(stays.sum()), others, text), texts)

    def texts(self, group: Group) -> pa.Array:
        """The text column of a row group."""
        return one_array(self._text.decoded([group.columns[self._leaf]], group.rows).column(0))

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
