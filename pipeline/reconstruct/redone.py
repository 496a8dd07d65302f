"""One file of a corpus under a newer policy: which of its rows are decided otherwise, and what then.

The ledger has all that a policy decides by, so no text is read to decide. Rows that go are cut out of
the row groups in which they are; nothing else of the file is decoded.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.hosts import parents
from pipeline.errors import UnreadableFile
from pipeline.optout.difference import Changed
from pipeline.optout.page import PAGE_COLUMNS, PAGE_SIGNALS
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.tags import keys_of
from pipeline.parquet.codec import one_array
from pipeline.parquet.layout import Layout
from pipeline.parquet.parts import Group, Hashed, Parts
from pipeline.parquet.thrift import Malformed
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.ledger import REASONS, LedgerLayout, explained
from pipeline.reconstruct.pii.scrub import markers_in

_FROM_PAGES = frozenset(map(str, PAGE_SIGNALS))

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Redone:
    """What a newer policy makes of one file."""

    groups: dict[int, tuple[npt.NDArray[np.int64], pa.Table]] = field(default_factory=dict)
    """By row group of the ledger: rows in it with other reasons, and these reasons."""
    gone: list[int] = field(default_factory=list)
    """Rows of the input that stood in the corpus and go."""
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


def decided_again(ledger: Parts, policy: OptOutPolicy, changed: Changed, dataset: str) -> Redone:
    """Which rows of a file the new ``policy`` decides otherwise, of those that ``changed`` may name.

    Raises:
        Malformed: the ledger is damaged.
    """
    layout = LedgerLayout()
    found = Redone()
    first = 0
    for number, group in enumerate(ledger.groups):
        _decide(layout.read(group), policy, changed, dataset, found, number, first)
        first += group.rows
    return found


def _decide(
    table: pa.Table,
    policy: OptOutPolicy,
    changed: Changed,
    dataset: str,
    found: Redone,
    number: int,
    first: int,
) -> None:
    rows = np.flatnonzero(_named(table, changed))
    if not len(rows):
        return
    some = table.take(pa.array(rows))
    verdicts = policy.decide(one_array(some["id"]), one_array(some["url"]), None, dataset)
    columns = explained(verdicts.codes, verdicts.refusals)
    refused = verdicts.codes >= 0
    old_signal = one_array(some["signal"]).dictionary_decode()
    by_policy = pc.is_valid(some["source"]).to_numpy(zero_copy_only=False)
    dropped = pc.equal(one_array(some["verdict"]).dictionary_decode(), "drop").to_numpy(
        zero_copy_only=False
    )
    by_stage = dropped & ~by_policy
    # Where a stage dropped a row that no policy refuses, that stays the reason.
    columns["signal"] = pc.if_else(
        pa.array(by_stage & ~refused), old_signal, columns["signal"].dictionary_decode()
    ).dictionary_encode()
    columns["verdict"] = pa.DictionaryArray.from_arrays(
        pa.array((refused | by_stage).astype(np.int32)), pa.array(["keep", "drop"])
    )
    new = pa.table({name: columns[name] for name in REASONS})
    differs = _differing(some.select(list(REASONS)), new)
    unclear = differs & _said_by_page(some)
    back = differs & by_policy & ~refused & ~unclear
    found.unclear += int(unclear.sum())
    found.back += int(back.sum())
    clear = np.flatnonzero(differs & ~unclear & ~back)
    if len(clear):
        found.groups[number] = rows[clear], new.take(pa.array(clear))
    found.gone += (first + rows[differs & refused & ~dropped & ~unclear]).tolist()


def _named(table: pa.Table, changed: Changed) -> Mask:
    """Rows that the difference names."""
    if changed.everything or changed.datasets:
        return np.ones(table.num_rows, dtype=bool)
    hosts = one_array(table["host"]).dictionary_encode()
    known = hosts.dictionary.to_pylist()
    met = pa.array(
        [
            host in changed.hosts or any(one in changed.domains for one in parents(host))
            for host in known
        ],
        pa.bool_(),
    )
    mask: Mask = pc.fill_null(met.take(hosts.indices), False).to_numpy(zero_copy_only=False).copy()
    keys = changed.document_keys()
    if len(keys):
        ids = pc.fill_null(table["id"], "")
        mask |= np.isin(keys_of(ids), keys)
    return mask


def _said_by_page(table: pa.Table) -> Mask:
    """Rows whose old refusal has a signal that the page itself may have given."""
    sources = one_array(table["source"]).dictionary_decode()
    said = pc.is_in(sources, value_set=pa.array(list(PAGE_COLUMNS.values())))
    signals = one_array(table["signals"])
    listed = [bool(_FROM_PAGES & set(one or ())) for one in signals.to_pylist()]
    mask: Mask = pc.fill_null(said, False).to_numpy(zero_copy_only=False) | np.array(listed, bool)
    return mask


def _differing(old: pa.Table, new: pa.Table) -> Mask:
    """Rows in which two tables of reasons differ."""
    differs = np.zeros(old.num_rows, dtype=bool)
    for name in REASONS:
        one, other = (_plain(one_array(table[name])) for table in (old, new))
        if not one.equals(other):
            pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
            differs |= np.array([a != b for a, b in pairs], dtype=bool)
    return differs


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


# -- writing -----------------------------------------------------------------------------------


def write_ledger(ledger: Parts, redone: Redone, path: Path) -> str:
    """The ledger with other reasons at ``path``; returns its SHA-256.

    Raises:
        Malformed: it is damaged.
    """
    layout = LedgerLayout()
    with Hashed(path) as sink:
        file = layout.assembler(sink)
        for number, group in enumerate(ledger.groups):
            if number in redone.groups:
                rows, reasons = redone.groups[number]
                table = _with_rows(layout.reasons(group), rows, reasons)
                file.add(layout.with_reasons(group, table))
            else:
                file.add(group)
        file.close()
        return sink.sha256


def _with_rows(table: pa.Table, rows: npt.NDArray[np.int64], new: pa.Table) -> pa.Table:
    """``table`` with other values in some rows."""
    at = np.arange(table.num_rows)
    at[rows] = table.num_rows + np.arange(len(rows))
    columns = {}
    for name in table.schema.names:
        both = pa.concat_arrays([_plain(one_array(one[name])) for one in (table, new)])
        taken = both.take(pa.array(at))
        kind = table.schema.field(name).type
        columns[name] = taken.dictionary_encode() if pa.types.is_dictionary(kind) else taken
    return pa.table(columns)


@dataclass(frozen=True, slots=True)
class CutFile:
    """What became of a data file."""

    sha256: str
    markers: Counter[str]
    """In the texts that went."""
    documents: int
    """That had any."""


def write_data(
    data: Parts,
    schema: pa.Schema,
    text: str,
    kept: npt.NDArray[np.int64],
    gone: list[int],
    path: Path,
) -> CutFile:
    """The data file without the rows ``gone``; ``kept`` are those of the input that it has, ascending.

    Raises:
        Malformed: it is damaged, or not laid out as it should be.
    """
    layout = Layout(schema, text)
    leaving = np.isin(kept, np.array(gone, dtype=np.int64))
    markers: Counter[str] = Counter()
    documents = 0
    with Hashed(path) as sink:
        file = layout.assembler(sink)
        for group, rows, stays in _by_group(data.groups, kept, ~leaving):
            if stays.all():
                file.add(group)
                continue
            cut = layout.cut(group, rows % CHUNK_ROWS, stays, compacted)
            if cut.group is not None:
                file.add(cut.group)
            gone_texts = cut.gone
            if pa.types.is_dictionary(gone_texts.type):
                gone_texts = gone_texts.dictionary_decode()
            counted, some = markers_in(gone_texts)
            markers += counted
            documents += some
        file.close()
        return CutFile(sink.sha256, markers, documents)


def _by_group(
    groups: tuple[Group, ...], kept: npt.NDArray[np.int64], stays: Mask
) -> Iterator[tuple[Group, npt.NDArray[np.int64], Mask]]:
    """Each row group with its rows of the input, and whether they stay."""
    first = 0
    for group in groups:
        last = first + group.rows
        rows = kept[first:last]
        if len(rows) != group.rows or rows[0] // CHUNK_ROWS != rows[-1] // CHUNK_ROWS:
            raise Malformed("its row groups are not those of its ledger")
        yield group, rows, stays[first:last]
        first = last
    if first != len(kept):
        raise Malformed("it has fewer rows than its ledger")
