"""What differs between two corpora out of one input: who is gone, who is back, and by whose word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile, WrongColumns, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.manifest import NAME
from pipeline.reconstruct.report.tally import Tally

_COLUMNS = ("id", "host", "row", "language", "tokens", "verdict", "signal")
_LEDGER = "ledger"


@dataclass(slots=True)
class Volume:
    """Documents, and the tokens of those that state a number."""

    documents: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class HostVolume:
    """What one host lost or got back."""

    host: str | None
    documents: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Documents that one of two corpora has and the other has not."""

    total: Volume
    signals: dict[str | None, Volume]
    """By the signal (or stage) of the one that dropped them; the largest first, as are all."""
    languages: dict[str | None, Volume]
    hosts: tuple[HostVolume, ...]
    """Those with the most documents."""
    distinct_hosts: int


@dataclass(frozen=True, slots=True)
class CorpusDifference:
    """Two corpora, the first one called old."""

    joined: int
    """Documents that both ledgers have: the same row of the same file."""
    gone: Moved
    """Kept in the old one and dropped in the new one."""
    back: Moved
    """Dropped in the old one and kept in the new one."""
    otherwise: int
    """Dropped in both, but by another signal."""
    only_old: int
    """Rows that the new one has never seen."""
    only_new: int

    def described(self) -> dict[str, Any]:
        """All of it, JSON-able; what has no name is called an empty string."""
        said = asdict(self)
        for side in ("gone", "back"):
            for part in ("signals", "languages"):
                said[side][part] = {name or "": held for name, held in said[side][part].items()}
        return said


@dataclass(slots=True)
class _Side:
    """What moved in one direction, as it is counted."""

    hosts: Tally
    total: Volume = field(default_factory=Volume)
    signals: defaultdict[str | None, Volume] = field(default_factory=lambda: defaultdict(Volume))
    languages: defaultdict[str | None, Volume] = field(default_factory=lambda: defaultdict(Volume))

    @classmethod
    def within(cls, stack: ExitStack) -> Self:
        return cls(stack.enter_context(Tally(("host",), ("documents", "tokens"))))

    def add(self, rows: pa.Table) -> None:
        for name, into in (("signal", self.signals), ("language", self.languages)):
            grouped = rows.group_by(name, use_threads=False)
            sums = grouped.aggregate([([], "count_all"), ("tokens", "sum")]).to_pylist()
            for held in sums:
                into[held[name]].documents += held["count_all"]
                into[held[name]].tokens += held["tokens_sum"] or 0
        self.total.documents += rows.num_rows
        self.total.tokens += pc.sum(rows["tokens"], min_count=0).as_py() or 0
        ones = pa.repeat(pa.scalar(1, pa.int64()), rows.num_rows)
        tokens = pc.fill_null(rows["tokens"], 0)
        self.hosts.add(pa.table({"host": rows["host"], "documents": ones, "tokens": tokens}))

    def moved(self, hosts: int) -> Moved:
        top = self.hosts.top(hosts, by="documents")
        return Moved(
            self.total,
            _largest_first(self.signals),
            _largest_first(self.languages),
            tuple(HostVolume(**row) for row in top.rows),
            top.distinct,
        )


def difference(old: str | Path, new: str | Path, hosts: int = 20) -> CorpusDifference:
    """What became of every document in the corpora (or folders of ledgers) ``old`` and ``new``.

    Documents are joined by file and row; at most ``hosts`` hosts are named. Memory grows with the
    largest file of a ledger, in a few columns.

    Raises:
        UnreadableFile: a ledger is missing or damaged.
        WrongColumns: a file is no ledger of this version.
        WrongRun: they are not of the same input.
    """
    one, other = _ledgers(old), _ledgers(new)
    joined = otherwise = only_old = only_new = 0
    with ExitStack() as stack:
        gone, back = _Side.within(stack), _Side.within(stack)
        for name in sorted(one.keys() | other.keys()):
            tables = [_read(*held[name]) if name in held else None for held in (one, other)]
            before, after = tables
            if before is None or after is None:
                only_old += 0 if before is None else before.num_rows
                only_new += 0 if after is None else after.num_rows
                continue
            common = min(before.num_rows, after.num_rows)
            only_old += before.num_rows - common
            only_new += after.num_rows - common
            joined += common
            otherwise += _compare(before.slice(0, common), after.slice(0, common), gone, back, name)
        if not joined and (only_old or only_new):
            raise WrongRun(
                f"{old} and {new} have no file in common: give two corpora out of the same input."
            )
        return CorpusDifference(
            joined, gone.moved(hosts), back.moved(hosts), otherwise, only_old, only_new
        )


def _compare(before: pa.Table, after: pa.Table, gone: _Side, back: _Side, name: str) -> int:
    """Count what moved; returns how many rows are dropped in both by another signal."""
    if not before["row"].equals(after["row"]) or not _alike(before["id"], after["id"]):
        raise WrongRun(
            f"The ledgers of {name} are about different documents: give two corpora out of the same "
            "input."
        )
    stayed, stays = (pc.equal(table["verdict"], "keep") for table in (before, after))
    gone.add(after.filter(pc.and_(stayed, pc.invert(stays))))
    back.add(before.filter(pc.and_(pc.invert(stayed), stays)))
    dropped = pc.invert(pc.or_(stayed, stays))
    same = pc.fill_null(pc.equal(before["signal"], after["signal"]), False)
    return int(pc.sum(pc.and_(dropped, pc.invert(same)), min_count=0).as_py() or 0)


def _alike(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    return bool(one.combine_chunks().equals(other.combine_chunks()))


def _ledgers(root: str | Path) -> dict[str, tuple[Folder, str]]:
    """The ledger files at ``root`` by the name of their input file."""
    folder = Folder(str(root))
    below = f"{_LEDGER}/" if folder.exists(NAME) or folder.exists(_LEDGER) else ""
    found = folder.names(_LEDGER if below else "", ".parquet")
    if not found:
        raise UnreadableFile(
            f"{root} holds no ledger: give the output folder of `lethe reconstruct run`, or its "
            f"folder {_LEDGER}."
        )
    return {name.removeprefix(below): (folder, name) for name in found}


def _read(folder: Folder, name: str) -> pa.Table:
    with folder.parquet(name) as parquet:
        absent = [c for c in _COLUMNS if c not in parquet.schema_arrow.names]
        if absent:
            raise WrongColumns(
                f"{folder.root}/{name} is no ledger of this version (it has no column {absent[0]!r}): "
                "give one that is."
            )
        try:
            return pa.table(dict(_plain(parquet.read(columns=list(_COLUMNS)))))
        except (pa.ArrowInvalid, OSError):
            raise UnreadableFile(
                f"{folder.root}/{name} is damaged: run again, or fetch it again."
            ) from None


def _plain(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    for name in _COLUMNS:
        column = table[name]
        is_dictionary = pa.types.is_dictionary(column.type)
        yield name, pc.cast(column, pa.string()) if is_dictionary else column


def _largest_first(held: dict[str | None, Volume]) -> dict[str | None, Volume]:
    return dict(sorted(held.items(), key=lambda item: (-item[1].documents, item[0] or "")))
