"""One file of a corpus under a newer policy: which of its rows are decided otherwise, and what then.

The ledger has all that a policy decides by, so no text is read to decide. Rows that go are cut out of
the row groups in which they are; nothing else of the file is decoded.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile
from pipeline.optout.difference import Changed
from pipeline.optout.page import PAGE_COLUMNS, PAGE_SIGNALS
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.tags import keys_of
from pipeline.parquet.codec import one_array
from pipeline.parquet.layout import Edit, Layout
from pipeline.parquet.parts import Group, Hashed, Parts
from pipeline.parquet.thrift import Malformed
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.counts import COLUMNS, Counts
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.ledger import REASONS, LedgerLayout, explained
from pipeline.reconstruct.pii.scrub import markers_in

TOLD = ("id", "url", "host", "row", "signal", "rule", "source", "source_hash", "source_date")
"""Columns of the ledger that a certificate has of the documents it lists."""
_READ = tuple(dict.fromkeys((*TOLD, *REASONS, *COLUMNS)))
_FROM_PAGES = frozenset(map(str, PAGE_SIGNALS))
_AT_ONCE = 8
"""Row groups that are edited together."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Newer:
    """A newer policy, and whom it may treat otherwise than the older one."""

    policy: OptOutPolicy
    changed: Changed
    hosts: frozenset[str]
    """Sites of the corpus that ``changed`` names."""
    dataset: str


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


@contextmanager
def taken_apart(path: Path) -> Iterator[Parts]:
    """A Parquet file in parts, memory-mapped.

    Raises:
        UnreadableFile: it is missing or damaged.
    """
    try:
        with ExitStack() as opened:
            file = opened.enter_context(path.open("rb"))
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            yield Parts.of(memoryview(mapped))
    except FileNotFoundError:
        raise UnreadableFile(f"{path.name} is missing from the corpus: run it again.") from None
    except (Malformed, KeyError, ValueError, OSError) as error:
        raise UnreadableFile(
            f"{path.name} of the corpus cannot be taken apart ({error}): make it again from the input."
        ) from error


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
    if newer.hosts:
        named = pa.array(sorted(newer.hosts), pa.string())
        hosts = layout.read(group, ["host"])["host"]
        mask |= pc.is_in(hosts, value_set=named).to_numpy()
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


# -- writing -----------------------------------------------------------------------------------


def write_ledger(ledger: Parts, groups: Mapping[int, Group], path: Path) -> str:
    """The ledger with other row groups, by number, at ``path``; returns its SHA-256."""
    with Hashed(path) as sink:
        file = LedgerLayout().assembler(sink)
        for number, group in enumerate(ledger.groups):
            file.add(groups.get(number, group))
        file.close()
        return sink.sha256


def kept_rows(ledger: Parts) -> npt.NDArray[np.int64]:
    """Rows of the input that stand in the data file, ascending.

    Raises:
        Malformed: the ledger is damaged.
    """
    layout = LedgerLayout()
    first = 0
    found = [np.zeros(0, np.int64)]
    for group in ledger.groups:
        verdicts = one_array(layout.read(group, ["verdict"])["verdict"])
        keep = verdicts.dictionary.index("keep").as_py()
        found.append(first + np.flatnonzero(verdicts.indices.to_numpy() == keep))
        first += group.rows
    return np.concatenate(found)


@dataclass(slots=True)
class Markers:
    """Of the texts of a file."""

    counts: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    """That have any."""

    def add(self, texts: pa.Array, times: int) -> None:
        """Count texts that come (1) or go (-1)."""
        plain = texts.dictionary_decode() if pa.types.is_dictionary(texts.type) else texts
        counts, documents = markers_in(plain)
        for kind, count in counts.items():
            self.counts[kind] += times * count
        self.documents += times * documents


@dataclass(frozen=True, slots=True)
class EditedFile:
    """What became of a data file."""

    sha256: str
    markers: Markers
    """How many more there are than before."""


def write_data(
    data: Parts,
    schema: pa.Schema,
    text: str,
    kept: npt.NDArray[np.int64],
    gone: list[int],
    texts: Mapping[int, str],
    path: Path,
) -> EditedFile:
    """The data file without the rows ``gone``, and with other ``texts`` in some of the others.

    ``kept`` are the rows of the input that it has, ascending; all are counted as they were in the input.

    Raises:
        Malformed: it is damaged, or not laid out as it should be.
    """
    layout = Layout(schema, text)
    markers = Markers()
    markers.add(pa.array(list(texts.values()), pa.string()), 1)
    with Hashed(path) as sink:
        file = layout.assembler(sink)
        waiting = _edits(data.groups, kept, gone, texts)
        while edits := list(islice(waiting, _AT_ONCE)):
            edited = iter(layout.edited([e for e in edits if not e.is_nothing], compacted))
            for edit in edits:
                group: Group | None = edit.group
                if not edit.is_nothing:
                    made = next(edited)
                    markers.add(made.before, -1)
                    group = made.group
                if group is not None:
                    file.add(group)
        file.close()
        return EditedFile(sink.sha256, markers)


def _edits(
    groups: tuple[Group, ...],
    kept: npt.NDArray[np.int64],
    gone: list[int],
    texts: Mapping[int, str],
) -> Iterator[Edit]:
    """What is to be done to each row group."""
    stays = ~np.isin(kept, np.array(gone, dtype=np.int64))
    new = np.searchsorted(kept, np.array(sorted(texts), dtype=np.int64))
    first = 0
    for group in groups:
        last = first + group.rows
        rows = kept[first:last]
        if len(rows) != group.rows or rows[0] // CHUNK_ROWS != rows[-1] // CHUNK_ROWS:
            raise Malformed("its row groups are not those of its ledger")
        mine = new[np.searchsorted(new, first) : np.searchsorted(new, last)].tolist()
        changes = {at - first: texts[int(kept[at])] for at in mine}
        yield Edit(group, rows % CHUNK_ROWS, stays[first:last], changes)
        first = last
    if first != len(kept):
        raise Malformed("it has fewer rows than its ledger")
