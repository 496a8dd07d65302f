"""Counting ledgers, batch by batch and column by column."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile, WrongColumns
from pipeline.reconstruct.counts import COLUMNS, Counts, plain_columns
from pipeline.reconstruct.report.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.reconstruct.folder import Folder

_BATCH = 1 << 16


class LedgerCounts(Counts):
    """Everything a report wants to know of the ledgers. To be used in a ``with`` block."""

    def __init__(self) -> None:
        super().__init__()
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
                    kept += self._add_all(pa.table(batch), f"{folder.root}/{name}")
            except (pa.ArrowInvalid, OSError):
                raise UnreadableFile(
                    f"{folder.root}/{name} is damaged: run again, or fetch it again."
                ) from None
        return rows, kept

    def _add_all(self, table: pa.Table, name: str) -> int:
        try:
            stayed = self.add(table)
        except ValueError:
            raise UnreadableFile(
                f"{name} holds a verdict that is neither keep nor drop: nothing can be said about "
                "such a document, so run again."
            ) from None
        plain = plain_columns(table)
        self._add_hosts(plain.filter(pc.is_valid(plain["host"])))
        gone = pc.and_(pc.invert(plain["stays"]), pc.is_valid(plain["source"]))
        self._add_rules(plain.filter(gone))
        return stayed

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

    def _add_rules(self, refused: pa.Table) -> None:
        """Count documents by the rule of a source that refuses them."""
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
