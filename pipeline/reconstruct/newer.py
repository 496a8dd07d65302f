"""One file of a corpus under a newer policy: which of its rows are decided otherwise.

The ledger has all that a policy decides by, so no text is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.difference import Changed, speaking_for
from pipeline.optout.page import PAGE_COLUMNS, PAGE_SIGNALS
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.policy_file import PolicyFile
from pipeline.optout.ready import from_sources
from pipeline.optout.tags import keys_of
from pipeline.parquet.codec import one_array
from pipeline.parquet.parts import Group, Parts
from pipeline.reconstruct.counts import COLUMNS, Counts
from pipeline.reconstruct.ledger import REASONS, LedgerLayout, explained

TOLD = ("id", "url", "host", "row", "signal", "rule", "source", "source_hash", "source_date")
"""Columns of the ledger that a certificate has of the documents it lists."""
_READ = tuple(dict.fromkeys((*TOLD, *REASONS, *COLUMNS)))
_FROM_PAGES = frozenset(map(str, PAGE_SIGNALS))

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Newer:
    """A newer policy, and whom it may treat otherwise than the older one.

    It travels to other processes as a path.
    """

    file: PolicyFile
    changed: Changed
    hosts: frozenset[str]
    """Sites of the corpus that ``changed`` names."""
    dataset: str

    @cached_property
    def policy(self) -> OptOutPolicy:
        """It decides about the documents that ``changed`` names, but about no others."""
        changed = self.changed
        if (
            changed.everything
            or changed.nowhere
            or changed.datasets
            or len(changed.document_keys())
        ):
            sources = self.file.sources()
        else:
            sources = speaking_for(self.file, self.hosts)
        return OptOutPolicy(self.file.path, from_sources(self.file.header, sources))

    def __reduce__(self) -> tuple[object, ...]:
        return Newer, (self.file, self.changed, self.hosts, self.dataset)


@dataclass(slots=True)
class Redone:
    """What a newer policy makes of one file."""

    groups: dict[int, Group] = field(default_factory=dict)
    """Row groups of the ledger that are otherwise, by number."""
    gone: list[int] = field(default_factory=list)
    """Rows of the input that stood in the corpus and go."""
    told: list[pa.Table] = field(default_factory=list)
    """Their `TOLD`, as the ledger will have them."""
    counts: Counts = field(default_factory=Counts)
    """By how much its sums change."""
    back: int = 0
    """Rows that were dropped by the old policy and are not by the new one: the input must be read."""
    unclear: int = 0
    """Rows about which the page itself said something: likewise."""

    @property
    def is_changed(self) -> bool:
        """Whether anything is otherwise."""
        return bool(self.groups or self.back or self.unclear)

    @property
    def needs_input(self) -> bool:
        """Whether the ledger and the corpus are not enough."""
        return bool(self.back or self.unclear)


def decided_again(ledger: Parts, newer: Newer) -> Redone:
    """Which rows of a file the newer policy decides otherwise.

    Raises:
        Malformed: the ledger is damaged.
    """
    layout = LedgerLayout()
    found = Redone()
    first = 0
    for number, group in enumerate(ledger.groups):
        rows = np.flatnonzero(_named(layout, group, newer))
        if len(rows):
            _decide(layout, group, rows, newer, found, number, first)
        first += group.rows
    return found


def _decide(
    layout: LedgerLayout,
    group: Group,
    rows: npt.NDArray[np.int64],
    newer: Newer,
    found: Redone,
    number: int,
    first: int,
) -> None:
    """Decide ``rows`` of a row group of the ledger, the first of which is ``first`` in the input."""
    table = layout.read(group, _READ)
    some = table.take(pa.array(rows))
    verdicts = newer.policy.decide(
        one_array(some["id"]), one_array(some["url"]), None, newer.dataset
    )
    columns = explained(verdicts.codes, verdicts.refusals)
    refused = verdicts.codes >= 0
    old_signal = _plain(some["signal"])
    by_policy = pc.is_valid(some["source"]).to_numpy(zero_copy_only=False)
    dropped = pc.equal(_plain(some["verdict"]), "drop").to_numpy(zero_copy_only=False)
    by_stage = dropped & ~by_policy
    # Where a stage dropped a row that no policy refuses, that stays the reason.
    columns["signal"] = pc.if_else(
        pa.array(by_stage & ~refused), old_signal, columns["signal"].dictionary_decode()
    ).dictionary_encode()
    columns["verdict"] = pa.DictionaryArray.from_arrays(
        pa.array((refused | by_stage).astype(np.int32)), pa.array(["keep", "drop"])
    )
    new = pa.table({name: columns[name] for name in REASONS})
    differs = _differing(some, new)
    unclear = differs & _said_by_page(some)
    back = differs & by_policy & ~refused & ~unclear
    found.unclear += int(unclear.sum())
    found.back += int(back.sum())
    clear = np.flatnonzero(differs & ~unclear & ~back)
    if not len(clear):
        return
    before, after = some.take(pa.array(clear)), new.take(pa.array(clear))
    found.groups[number] = layout.with_reasons(group, _with_rows(table, rows[clear], after))
    found.counts.plus(_counted(before), -1)
    found.counts.plus(_counted(_put(before, after)))
    gone = np.flatnonzero(differs & refused & ~dropped & ~unclear)
    if len(gone):
        found.gone += (first + rows[gone]).tolist()
        found.told.append(told(some, new).take(pa.array(gone)))


def _counted(table: pa.Table) -> Counts:
    found = Counts()
    found.add(table)
    return found


def _put(table: pa.Table, reasons: pa.Table) -> pa.Table:
    """The rows with other reasons."""
    columns = {name: (reasons if name in REASONS else table)[name] for name in table.schema.names}
    return pa.table(columns)


def told(about: pa.Table, reasons: pa.Table) -> pa.Table:
    """The columns `TOLD`: what rows are about, and the reasons that are given for them."""
    return pa.table({name: _plain((reasons if name in REASONS else about)[name]) for name in TOLD})


def _named(layout: LedgerLayout, group: Group, newer: Newer) -> Mask:
    """Rows that the difference names."""
    changed = newer.changed
    if changed.everything or changed.datasets:
        return np.ones(group.rows, dtype=bool)
    mask = np.zeros(group.rows, dtype=bool)
    if newer.hosts or changed.nowhere:
        named = pa.array(sorted(newer.hosts), pa.string())
        hosts = layout.read(group, ["host"])["host"]
        mask |= pc.is_in(hosts, value_set=named).to_numpy()
        if changed.nowhere:
            mask |= pc.is_null(hosts).to_numpy()
    keys = changed.document_keys()
    if len(keys):
        ids = layout.read(group, ["id"])["id"]
        mask |= np.isin(keys_of(pc.fill_null(ids, "")), keys)
    return mask


def _said_by_page(table: pa.Table) -> Mask:
    """Rows whose old refusal has a signal that the page itself may have given."""
    said = pc.is_in(_plain(table["source"]), value_set=pa.array(list(PAGE_COLUMNS.values())))
    listed = [bool(_FROM_PAGES & set(one or ())) for one in table["signals"].to_pylist()]
    mask: Mask = pc.fill_null(said, False).to_numpy(zero_copy_only=False) | np.array(listed, bool)
    return mask


def _differing(old: pa.Table, new: pa.Table) -> Mask:
    """Rows in which two tables of reasons differ."""
    differs = np.zeros(old.num_rows, dtype=bool)
    for name in REASONS:
        one, other = (_plain(table[name]) for table in (old, new))
        if not one.equals(other):
            pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
            differs |= np.array([a != b for a, b in pairs], dtype=bool)
    return differs


def _plain(column: pa.ChunkedArray) -> pa.Array:
    one = one_array(column)
    return one.dictionary_decode() if pa.types.is_dictionary(one.type) else one


def _with_rows(table: pa.Table, rows: npt.NDArray[np.int64], new: pa.Table) -> pa.Table:
    """The reasons of ``table``, with others in some rows."""
    at = np.arange(table.num_rows)
    at[rows] = table.num_rows + np.arange(len(rows))
    columns = {}
    for name in REASONS:
        taken = pa.concat_arrays([_plain(one[name]) for one in (table, new)]).take(pa.array(at))
        kind = table.schema.field(name).type
        columns[name] = taken.dictionary_encode() if pa.types.is_dictionary(kind) else taken
    return pa.table(columns)
