"""Sums over ledger rows, as the state of each file has them: what went, by language, signal and agent.

So what a whole corpus has lost can be told without opening its ledgers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.reconstruct.columns import one_array

COLUMNS = (
    *("host", "language", "tokens", "verdict", "signal", "signals"),
    *("agents", "rule", "source", "source_hash", "source_date"),
)
"""Of the ledger, that are counted."""
_MONTH = r"^\d{4}-\d{2}"
NO_URL = "policy"
"""The ledger's ``source`` where the policy itself drops what names no host: nobody opted out."""
ROBOTS = "robots.txt"
"""The ledger's ``source`` of robots.txt; without a hash there was no file: the site was unreachable,
which forbids everything (RFC 9309, 2.3.1.4), but is no statement of anybody's will."""


@dataclass(slots=True)
class Sum:
    """A sum that grows."""

    documents: int = 0
    tokens: int = 0
    counted: int = 0
    """Documents whose number of tokens is known."""

    def add(self, documents: int, tokens: int | None, counted: int) -> None:
        """Add what a group of documents holds."""
        self.documents += documents
        self.tokens += tokens or 0
        self.counted += counted

    def plus(self, other: Sum, times: int = 1) -> None:
        """Add another sum, or take it off (-1)."""
        self.documents += times * other.documents
        self.tokens += times * other.tokens
        self.counted += times * other.counted


class Counts:
    """Sums that do not grow with the number of documents."""

    def __init__(self) -> None:
        self.languages: defaultdict[tuple[str | None, bool], Sum] = defaultdict(Sum)
        """By language and whether the documents stayed."""
        self.no_host: defaultdict[bool, Sum] = defaultdict(Sum)
        """Documents without a host, by whether they stayed."""
        self.losses: defaultdict[tuple[str | None, str | None], Sum] = defaultdict(Sum)
        """What went, by language and what explains it."""
        self.also: Counter[str] = Counter()
        """Documents that a signal refuses which another one explains."""
        self.agents: Counter[str] = Counter()
        self.months: Counter[str | None] = Counter()
        """Documents that a source refuses, by the month of its date."""
        self.everybody = 0
        """Documents that are refused to whoever trains."""
        self.unasked = 0
        self.unreachable = 0

    @property
    def signals(self) -> dict[str | None, Sum]:
        """What went, by what explains it."""
        found: defaultdict[str | None, Sum] = defaultdict(Sum)
        for (_, signal), held in self.losses.items():
            found[signal].plus(held)
        return found

    def add(self, table: pa.Table) -> int:
        """Count ledger rows, the columns `COLUMNS` and maybe more; returns how many of them stay.

        Raises:
            ValueError: a verdict is neither keep nor drop.
        """
        plain = plain_columns(table)
        stays = plain["stays"]
        for language, kept, documents, tokens, counted in _sums(plain, "language", "stays"):
            self.languages[language, kept].add(documents, tokens, counted)
        nowhere = plain.filter(pc.is_null(plain["host"]))
        for _, kept, documents, tokens, counted in _sums(nowhere, "host", "stays"):
            self.no_host[kept].add(documents, tokens, counted)
        dropped = plain.filter(pc.invert(stays))
        for language, signal, documents, tokens, counted in _sums(dropped, "language", "signal"):
            self.losses[language, signal].add(documents, tokens, counted)
        self._add_sources(dropped.filter(pc.is_valid(dropped["source"])))
        lists = one_array(dropped["signals"])
        explaining = one_array(dropped["signal"]).take(pc.list_parent_indices(lists))
        refusing = lists.flatten()
        other = pc.fill_null(pc.not_equal(refusing, explaining), fill_value=True)
        _count(self.also, refusing.filter(other))
        _count(self.agents, one_array(dropped["agents"]).flatten())
        return _how_many(stays)

    def _add_sources(self, refused: pa.Table) -> None:
        """Count documents that a source of the policy refuses; stock filters have none."""
        months = pc.if_else(
            _true(pc.match_substring_regex(refused["source_date"], _MONTH)),
            pc.utf8_slice_codeunits(refused["source_date"], 0, 7),
            pa.scalar(None, pa.string()),
        )
        _count(self.months, months)
        alone = _true(pc.equal(pc.list_value_length(refused["signals"]), 1))
        unasked = pc.equal(refused["source"], NO_URL)
        no_file = pc.and_(pc.equal(refused["source"], ROBOTS), pc.is_null(refused["source_hash"]))
        self.unasked += _how_many(pc.and_(unasked, alone))
        self.unreachable += _how_many(pc.and_(no_file, alone))
        no_agent = _true(pc.equal(pc.list_value_length(refused["agents"]), 0))
        self.everybody += _how_many(pc.and_(no_agent, pc.invert(unasked)))

    def plus(self, other: Counts, times: int = 1) -> None:
        """Add what others counted, or take it off (-1)."""
        for mine, theirs in zip(self._sums(), other._sums(), strict=True):
            for key, held in theirs.items():
                mine[key].plus(held, times)
        for counter, counted in zip(self._counters(), other._counters(), strict=True):
            for key, count in counted.items():
                counter[key] += times * count
        self.everybody += times * other.everybody
        self.unasked += times * other.unasked
        self.unreachable += times * other.unreachable

    def _sums(self) -> tuple[defaultdict[Any, Sum], ...]:
        return self.languages, self.no_host, self.losses

    def _counters(self) -> tuple[Counter[Any], ...]:
        return self.also, self.agents, self.months

    def described(self) -> dict[str, Any]:
        """JSON-able, and the same however the rows came together."""
        sums = zip(_SUMS, self._sums(), strict=True)
        counters = zip(_COUNTERS, self._counters(), strict=True)
        return {
            **{name: _rows(held) for name, held in sums},
            **{name: sorted(([k, n] for k, n in c.items() if n), key=repr) for name, c in counters},
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """What `described` said.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        found = cls()
        for name, sums in zip(_SUMS, found._sums(), strict=True):
            for *key, documents, tokens, counted in said[name]:
                whole = key[0] if len(key) == 1 else tuple(key)
                sums[whole].add(int(documents), int(tokens), int(counted))
        for name, counter in zip(_COUNTERS, found._counters(), strict=True):
            for key, count in said[name]:
                counter[key] += int(count)
        for name in _NUMBERS:
            setattr(found, name, int(said[name]))
        return found


_SUMS = ("languages", "no_host", "losses")
_COUNTERS = ("also", "agents", "months")
_NUMBERS = ("everybody", "unasked", "unreachable")


def _rows(sums: Mapping[Any, Sum]) -> list[list[Any]]:
    rows = []
    for key, held in sums.items():
        if held.documents:
            parts = key if isinstance(key, tuple) else (key,)
            rows.append([*parts, held.documents, held.tokens, held.counted])
    return sorted(rows, key=repr)


def plain_columns(table: pa.Table) -> pa.Table:
    """The columns `COLUMNS` without dictionaries, and whether each row ``stays``.

    Raises:
        ValueError: a verdict is neither keep nor drop.
    """
    plain = pa.table({name: _plain(one_array(table[name])) for name in COLUMNS})
    stays = pc.equal(plain["verdict"], "keep")
    known = pc.or_(stays, pc.equal(plain["verdict"], "drop"))
    if not pc.all(known, min_count=0, skip_nulls=False).as_py():
        raise ValueError("a verdict is neither keep nor drop")
    return plain.append_column("stays", stays)


def _sums(
    table: pa.Table, key: str, other: str
) -> Iterator[tuple[str | None, Any, int, int | None, int]]:
    """Documents, tokens, and documents with a number of tokens, for each pair of values."""
    grouped = table.group_by([key, other], use_threads=False).aggregate(
        [
            ([], "count_all"),
            ("tokens", "sum"),
            ("tokens", "count"),
        ]
    )
    columns = (grouped[n] for n in (key, other, "count_all", "tokens_sum", "tokens_count"))
    yield from zip(*(c.to_pylist() for c in columns), strict=True)


def _count(counter: Counter[str] | Counter[str | None], values: pa.Array) -> None:
    found = one_array(values).value_counts()
    names, numbers = found.field("values").to_pylist(), found.field("counts").to_pylist()
    for name, number in zip(names, numbers, strict=True):
        counter[name] += number


def _true(condition: pa.ChunkedArray) -> pa.ChunkedArray:
    """The condition, false where it is unknown."""
    return pc.fill_null(condition, fill_value=False)


def _how_many(condition: pa.ChunkedArray) -> int:
    return int(pc.sum(condition, min_count=0).as_py())


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
