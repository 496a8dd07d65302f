"""Deciding the rows of a ledger again, from their ids and URLs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.page import PAGE_COLUMNS, PAGE_SIGNALS
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.ledger import explained
from pipeline.reconstruct.report.model import is_filter

_EXACT = ("signal", "agents", "rule", "line", "source", "source_hash", "source_date")
COLUMNS = ("id", "url", "host", "verdict", "signals", *_EXACT)
_PAGE_FILES = sorted(set(PAGE_COLUMNS.values()))
_PAGE_SIGNALS = set(map(str, PAGE_SIGNALS))
_SHOWN = 5
_BETWEEN = "\0"


@dataclass(slots=True)
class Redecided:
    """What came of it."""

    rows: int = 0
    by_page: int = 0
    """Rows that stand dropped by what the page said of itself, which takes the input to repeat."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Rows that the policy decides otherwise, by what differs."""
    first: list[int] = field(default_factory=list)
    """Numbers of some of these rows."""

    def add(self, policy: OptOutPolicy, rows: pa.Table, dataset: str | None) -> None:
        """Decide the next rows of a ledger file, with the columns `COLUMNS`."""
        verdicts = policy.decide(rows["id"], rows["url"], None, dataset)
        mine = explained(verdicts.codes, verdicts.refusals)
        mine["host"] = verdicts.hosts
        for number, what in _differences(rows, mine):
            self.wrong[what] += 1
            if len(self.first) < _SHOWN:
                self.first.append(self.rows + number)
        self.by_page += _count(_is_page(rows))
        self.rows += rows.num_rows


def _differences(rows: pa.Table, mine: dict[str, pa.Array]) -> Iterator[tuple[int, str]]:
    """Rows that differ, each once, with the column in which they do first."""
    dropped = pc.equal(rows["verdict"], "drop")
    refused = pc.is_valid(mine["signal"])
    page = _is_page(rows)
    stage = pc.and_(dropped, _is_stage(rows["signal"]))
    listed = pc.and_(dropped, pc.invert(pc.or_(page, stage)))
    wrong: dict[str, pa.Array] = {"host": pc.invert(_same(rows["host"], mine["host"]))}
    # What stays, and what a stage let go of later, the policy must have kept.
    wrong["verdict"] = pc.or_(
        pc.and_(pc.or_(pc.invert(dropped), stage), refused), pc.and_(listed, pc.invert(refused))
    )
    for name in _EXACT:
        wrong[name] = pc.and_(listed, pc.invert(_same(rows[name], mine[name])))
    stays = pc.invert(dropped)
    bare = pc.and_(pc.is_null(rows["signal"]), pc.is_null(rows["rule"]))
    wrong["signal"] = pc.or_(wrong["signal"], pc.and_(stays, pc.invert(bare)))
    met: set[int] = set()
    for name, found in wrong.items():
        for number in pc.indices_nonzero(found).to_pylist():
            if number not in met:
                met.add(number)
                yield number, name
    yield from _other_signals(rows, mine, met)


def _other_signals(
    rows: pa.Table, mine: dict[str, pa.Array], met: set[int]
) -> Iterator[tuple[int, str]]:
    """Dropped rows whose list of signals is not that of the policy and what a page can add."""
    unequal = pc.indices_nonzero(pc.invert(_same(rows["signals"], mine["signals"]))).to_pylist()
    for number in unequal:
        if number in met:
            continue
        held = set(rows["signals"][number].as_py() or ())
        own = set(mine["signals"][number].as_py() or ())
        if not own <= held or not held - own <= _PAGE_SIGNALS:
            yield number, "signals"


def _is_page(rows: pa.Table) -> pa.Array:
    page = pc.is_in(rows["source"], value_set=pa.array(_PAGE_FILES, pa.string()))
    named = pc.is_in(rows["signal"], value_set=pa.array(sorted(_PAGE_SIGNALS), pa.string()))
    return pc.and_(pc.and_(page, named), pc.equal(rows["verdict"], "drop"))


def _is_stage(signals: pa.ChunkedArray) -> pa.Array:
    found = [s for s in pc.unique(signals).to_pylist() if is_filter(s)]
    return pc.is_in(signals, value_set=pa.array(found, pa.string()))


def _same(one: pa.ChunkedArray | pa.Array, other: pa.Array) -> pa.Array:
    """Where two columns are equal, nulls included."""
    one, other = _comparable(one), _comparable(other)
    equal = pc.fill_null(pc.equal(one, other), False)
    return pc.or_(equal, pc.and_(pc.is_null(one), pc.is_null(other)))


def _comparable(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_list(column.type):
        return pc.binary_join(column, _BETWEEN)
    if pa.types.is_dictionary(column.type):
        return pc.cast(column, pa.string())
    return column


def _count(condition: pa.Array) -> int:
    return int(pc.sum(condition, min_count=0).as_py() or 0)
