"""Counting a ledger, batch by batch and column by column."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile, WrongColumns
from pipeline.reconstruct.report.model import Count
from pipeline.reconstruct.report.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.reconstruct.folder import Folder

COLUMNS = (
    *("host", "language", "tokens", "verdict", "signal", "signals"),
    *("agents", "rule", "source", "source_hash", "source_date"),
)
_BATCH = 1 << 16
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

    def count(self) -> Count:
        """The sum as a value."""
        return Count(self.documents, self.tokens if self.counted else None)


class LedgerCounts:
    """Everything a report wants to know of the ledgers. To be used in a ``with`` block."""

    def __init__(self) -> None:
        self.languages: defaultdict[tuple[str | None, bool], Sum] = defaultdict(Sum)
        """By language and whether the documents stayed."""
        self.no_host: defaultdict[bool, Sum] = defaultdict(Sum)
        """Documents without a host, by whether they stayed."""
        self.signals: defaultdict[str | None, Sum] = defaultdict(Sum)
        self.losses: defaultdict[tuple[str | None, str | None], Sum] = defaultdict(Sum)
        """What went, by language and what explains it."""
        self.also: Counter[str] = Counter()
        self.agents: Counter[str] = Counter()
        self.everybody = 0
        self.unasked = 0
        self.unreachable = 0
        self.months: Counter[str | None] = Counter()
        self.hosts = Tally(("host",), ("documents", "kept", "dropped"))
        self.rules = Tally(("signal", "rule"), ("documents",))

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Empty counts, whose temporary files are gone after the block."""
        counts = cls()
        with counts.hosts, counts.rules:
            yield counts

    def add_file(self, folder: Folder, name: str) -> tuple[int, int]:
        """Count the ledger file ``name``; returns its rows and how many of them stayed.

        Raises:
            UnreadableFile: missing, cut off, or with a verdict that is neither keep nor drop.
            WrongColumns: not a ledger.
        """
        if not folder.exists(name):
            raise UnreadableFile(
                f"{folder.root}/{name} is missing, although its input file is marked as finished: "
                "run again, or fetch the ledger too."
            )
        rows = kept = 0
        with folder.parquet(name) as parquet:
            absent = [c for c in COLUMNS if c not in parquet.schema_arrow.names]
            if absent:
                raise WrongColumns(
                    f"{folder.root}/{name} is no ledger of this version (it has no column "
                    f"{absent[0]!r}): run again, or report with the version that wrote it."
                )
            try:
                for batch in parquet.iter_batches(_BATCH, columns=list(COLUMNS)):
                    rows += batch.num_rows
                    kept += self._add(batch, f"{folder.root}/{name}")
            except (pa.ArrowInvalid, OSError):
                raise UnreadableFile(
                    f"{folder.root}/{name} is damaged: run again, or fetch it again."
                ) from None
        return rows, kept

    def _add(self, batch: pa.RecordBatch, name: str) -> int:
        table = pa.table({c: _plain(batch.column(c)) for c in COLUMNS})
        stays = pc.equal(table["verdict"], "keep")
        known = pc.or_(stays, pc.equal(table["verdict"], "drop"))
        if not pc.all(known, min_count=0, skip_nulls=False).as_py():
            raise UnreadableFile(
                f"{name} holds a verdict that is neither keep nor drop: nothing can be said about "
                "such a document, so run again."
            )
        table = table.append_column("stays", stays)
        for language, kept, documents, tokens, counted in _sums(table, "language", "stays"):
            self.languages[language, kept].add(documents, tokens, counted)
        nowhere = table.filter(pc.is_null(table["host"]))
        for _, kept, documents, tokens, counted in _sums(nowhere, "host", "stays"):
            self.no_host[kept].add(documents, tokens, counted)
        self._add_hosts(table.filter(pc.is_valid(table["host"])))
        self._add_dropped(table.filter(pc.invert(stays)))
        return _how_many(stays)

    def _add_hosts(self, table: pa.Table) -> None:
        kept = pc.cast(table["stays"], pa.int64())
        self.hosts.add(
            pa.table(
                {
                    "host": table["host"],
                    "documents": pa.repeat(pa.scalar(1, pa.int64()), table.num_rows),
                    "kept": kept,
                    "dropped": pc.subtract(1, kept),
                }
            )
        )

    def _add_dropped(self, dropped: pa.Table) -> None:
        for language, signal, documents, tokens, counted in _sums(dropped, "language", "signal"):
            self.signals[signal].add(documents, tokens, counted)
            self.losses[language, signal].add(documents, tokens, counted)
        self._add_sources(dropped.filter(pc.is_valid(dropped["source"])))
        lists = _one(dropped["signals"])
        explaining = _one(dropped["signal"]).take(pc.list_parent_indices(lists))
        refusing = lists.flatten()
        other = pc.fill_null(pc.not_equal(refusing, explaining), fill_value=True)
        _count(self.also, refusing.filter(other))
        _count(self.agents, _one(dropped["agents"]).flatten())

    def _add_sources(self, refused: pa.Table) -> None:
        """Count documents that a source of the policy refuses; stock filters have none."""
        grouped = refused.group_by(["signal", "rule"], use_threads=False)
        by_rule = grouped.aggregate([([], "count_all")])
        self.rules.add(
            pa.table(
                {
                    "signal": by_rule["signal"],
                    "rule": by_rule["rule"],
                    "documents": by_rule["count_all"],
                }
            )
        )
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
    found = _one(values).value_counts()
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


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
