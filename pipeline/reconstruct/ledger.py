"""The decision ledger: one row for every input document, kept or dropped, with the reason.

It names documents and sites, never people: what scrubbing found in a text leaves no trace here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.optout.verdicts import KEEP, Refusal
from pipeline.parquet.codec import Codec, one_array
from pipeline.parquet.parts import Assembler, Group, Sink

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),  # canonical, null where the URL names none
        pa.field("file", _DICTIONARY, nullable=False),  # input file, relative to the input folder
        pa.field("row_group", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # 0-based, in the input file
        pa.field("language", _DICTIONARY),
        pa.field("tokens", pa.int64()),
        pa.field("verdict", _DICTIONARY, nullable=False),  # keep | drop
        pa.field("signal", _DICTIONARY),  # the signal that explains a drop, or filter:NAME
        pa.field("signals", pa.list_(pa.string())),  # every signal that refuses
        pa.field("agents", pa.list_(pa.string())),  # disallowed agents; empty: everybody who trains
        pa.field("rule", pa.string()),  # the deciding line as it stands in the source
        pa.field("line", pa.int32()),
        pa.field("source", _DICTIONARY),  # kind of file or list: robots.txt, tdmrep.json, tags ...
        pa.field("source_hash", pa.string()),  # SHA-256 of its octets
        pa.field(
            "source_date", pa.string()
        ),  # ISO date on which it was fetched or became effective
    ]
)
"""One ledger file per input file; rows in input order. Which policy decided stands in the manifest: a
newer one must not change what is said of documents that it treats as the old one did."""
ROWS = 1 << 16
"""A row group has at least so many rows, but the last."""

_EXPLAINED = ("signal", "signals", "agents", "rule", "line", "source", "source_hash", "source_date")


REASONS = ("verdict", *_EXPLAINED)
"""Columns that a takedown changes; they stand side by side."""
_OPTIONS = {
    "use_dictionary": [n for n in SCHEMA.names if n not in {"id", "url", "row"}],
    "write_statistics": ["host", "row"],
}
_FIRST = SCHEMA.get_field_index(REASONS[0])
_LEAF = {name: at for at, name in enumerate(SCHEMA.names)}
"""Each column is one of Parquet's, lists included."""


class LedgerLayout:
    """Row groups of ledgers: made, read by columns, given other reasons without touching the rest."""

    def __init__(self) -> None:
        self._all = _codec(tuple(SCHEMA.names))
        self._reasons = _codec(REASONS)

    def encoded(self, table: pa.Table) -> Group:
        """A row group of at least one row."""
        return self._all.encoded([_tidied(table)])[0]

    def assembler(self, sink: Sink) -> Assembler:
        """A file of such row groups."""
        return Assembler(sink, self._all.template)

    def read(self, group: Group, names: Sequence[str] = SCHEMA.names) -> pa.Table:
        """The columns ``names`` of a row group, in the order of the ledger.

        Raises:
            Malformed: it is damaged.
        """
        chosen = tuple(name for name in SCHEMA.names if name in names)
        columns = [group.columns[_LEAF[name]] for name in chosen]
        return _codec(chosen).decoded([(columns, group.rows)])[0]

    def with_reasons(self, group: Group, table: pa.Table) -> Group:
        """The row group with other columns `REASONS`."""
        (made,) = self._reasons.encoded([_tidied(table)])
        first, last = _FIRST, _FIRST + len(REASONS)
        return Group(group.rows, (*group.columns[:first], *made.columns, *group.columns[last:]))


@cache
def _codec(names: tuple[str, ...]) -> Codec:
    return Codec(pa.schema([SCHEMA.field(name) for name in names]), **_OPTIONS)


def _tidied(table: pa.Table) -> pa.Table:
    """Dictionaries in the order in which their values occur, however the table came about."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = one_array(table.column(at)).dictionary_decode()
            column = plain.dictionary_encode().cast(field.type)
            table = table.set_column(at, field, column)
    return table


def explained(codes: npt.NDArray[np.int32], refusals: list[Refusal]) -> dict[str, pa.Array]:
    """The columns that explain each code, null where the document stays."""
    used, inverse = np.unique(codes, return_inverse=True)
    reasons = [refusals[c] for c in used.tolist() if c != KEEP]
    kept_first = int(len(used) > 0 and used[0] == KEEP)
    index = pa.array(inverse - kept_first, pa.int64(), mask=codes == KEEP)
    values: dict[str, list[Any]] = {
        "signal": [str(r.signal) for r in reasons],
        "signals": [[str(s) for s in r.signals] for r in reasons],
        "agents": [list(r.agents) for r in reasons],
        "rule": [r.rule for r in reasons],
        "line": [r.line for r in reasons],
        "source": [r.file for r in reasons],
        "source_hash": [r.source_hash for r in reasons],
        "source_date": [r.source_date for r in reasons],
    }
    return {name: _taken(values[name], SCHEMA.field(name).type, index) for name in _EXPLAINED}


def _taken(values: list[Any], kind: pa.DataType, index: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(kind):
        # Of a dictionary with a value twice, Arrow writes a page that ends in whatever was in memory.
        return pa.array(values, pa.string()).dictionary_encode().take(index)
    return pa.array(values, kind).take(index)
