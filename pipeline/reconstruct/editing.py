"""Editing the files of a corpus: other reasons in a ledger, rows cut out of the data, other texts in them.

What does not change is copied as it lies; the result is what a run would have written.
"""

from __future__ import annotations

import hashlib
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

from pipeline.errors import UnreadableFile
from pipeline.parquet.codec import one_array
from pipeline.parquet.layout import Edit, Layout
from pipeline.parquet.parts import Group, Hashed, Parts
from pipeline.parquet.thrift import Malformed
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.ledger import LedgerLayout
from pipeline.reconstruct.pii.markers import markers_in

_AT_ONCE = 8
"""Row groups that are edited together."""


@contextmanager
def taken_apart(path: Path, sha256: str | None = None) -> Iterator[Parts]:
    """A Parquet file in parts, memory-mapped. With ``sha256`` it must be the file that has it.

    Raises:
        UnreadableFile: it is missing, damaged, or another one.
    """
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            parts = Parts.of(view)
        except FileNotFoundError:
            raise UnreadableFile(f"{path.name} is missing from the corpus: run it again.") from None
        except (Malformed, KeyError, ValueError) as error:
            raise _not_taken_apart(path, error) from error
        if sha256 is not None and hashlib.sha256(view).hexdigest() != sha256:
            raise UnreadableFile(
                f"{path} is not the file that was written (its SHA-256 is not that of its state): fetch it "
                "again, or delete its state and run again."
            )
        try:
            yield parts
        except Malformed as error:
            raise _not_taken_apart(path, error) from error


def _not_taken_apart(path: Path, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{path.name} of the corpus cannot be taken apart ({error}): make it again from the input."
    )


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
