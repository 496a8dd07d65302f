"""Replacing personal data in a column of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.identifiers import IdentifierKind, Span
from pipeline.errors import UnreadableFile
from pipeline.reconstruct.pii.markers import MARKERS
from pipeline.reconstruct.pii.modes import PiiMode
from pipeline.reconstruct.pii.prefilter import Prefilter


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A column of texts with markers in it, and how many of each kind were put there."""

    column: pa.Array
    replaced: Counter[str]
    rows: npt.NDArray[np.int64]
    """Rows in which at least one marker was put, ascending."""

    @property
    def documents(self) -> int:
        """How many they are."""
        return len(self.rows)


_PASSES = 10
"""A text is looked through again until nothing is found; a hostile one not for ever."""


class Scrubber:
    """Replaces personal data by markers. Pure; scrubbing a scrubbed text changes nothing."""

    def __init__(self, mode: PiiMode, *, use_hyperscan: bool = True) -> None:
        self._mode = mode
        self._prefilter = Prefilter(dict(mode.triggers), use_hyperscan=use_hyperscan)

    def scrub(self, column: pa.Array) -> Scrubbed:
        """Scrub a string or large_string array; untouched texts are not copied one by one."""
        suspects: dict[int, set[IdentifierKind]] = {}
        for kind, found in self._prefilter.rows(column).items():
            for row in found.tolist():
                suspects.setdefault(row, set()).add(kind)
        changed: dict[int, str] = {}
        replaced: Counter[str] = Counter()
        rows = sorted(suspects)
        for row, text in zip(rows, texts_of(column, rows), strict=True):
            if text is None:
                continue
            kinds = frozenset(suspects[row])
            for _ in range(_PASSES if self._mode.settles else 1):
                spans = self._mode.find(text, kinds)
                if not spans:
                    break
                changed[row] = text = with_markers(text, spans)  # noqa: PLW2901
                replaced.update(str(span.kind) for span in spans)
        return with_texts(column, changed, replaced)


def texts_of(column: pa.Array, rows: Sequence[int]) -> list[str | None]:
    """The texts of some rows.

    Raises:
        UnreadableFile: one is not valid UTF-8.
    """
    try:
        found: list[str | None] = column.take(pa.array(rows, pa.int64())).to_pylist()
    except UnicodeDecodeError:
        raise UnreadableFile(
            "A text is not valid UTF-8: write the input again with valid strings."
        ) from None
    return found


def with_texts(column: pa.Array, changed: Mapping[int, str], replaced: Counter[str]) -> Scrubbed:
    """``column`` with other texts in some rows, which ``changed`` has in ascending order."""
    rows = np.array(list(changed), dtype=np.int64)
    if not changed:
        return Scrubbed(column, replaced, rows)
    return Scrubbed(
        put(column, rows, pa.array(list(changed.values()), column.type)), replaced, rows
    )


def put(column: pa.Array, rows: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    """``column`` with ``values`` in the ascending ``rows``."""
    mask = np.zeros(len(column), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), values)


def with_markers(text: str, spans: list[Span]) -> str:
    """``text`` with each span (ascending, not overlapping) replaced by the marker of its kind."""
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces += (text[done : span.start], MARKERS[span.kind])
        done = span.end
    pieces.append(text[done:])
    return "".join(pieces)
