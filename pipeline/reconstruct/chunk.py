"""A chunk: a fixed run of rows of one input file on its way through the stages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.optout.verdicts import Refusal

CHUNK_ROWS = 2000
"""Input rows of a chunk, and so of an output row group before documents are dropped. Part of the
output's identity: changing it raises `pipeline.reconstruct.manifest.ENGINE_VERSION`."""


@dataclass(slots=True)
class Decisions:
    """What is known of every row of a chunk, in columns of equal length."""

    ids: pa.Array
    urls: pa.Array
    hosts: pa.Array
    languages: pa.Array
    tokens: pa.Array
    codes: npt.NDArray[np.int32]
    """Index into ``refusals``, or `pipeline.optout.verdicts.KEEP`."""
    refusals: list[Refusal]
    dropped_by: dict[int, str] = field(default_factory=dict)
    """Rows that a stage or a stock filter dropped after the policy had kept them, with its name."""


@dataclass(slots=True)
class Chunk:
    """Rows ``[first_row, first_row + rows)`` of one input file."""

    file: str
    index: int
    first_row: int
    rows: int
    row_groups: npt.NDArray[np.int32]
    """The input row group of every row."""
    last: bool
    """Whether the file ends here; an empty file is one chunk without rows."""
    table: pa.Table
    """The surviving rows."""
    survivors: npt.NDArray[np.int64]
    """Their positions in the chunk, ascending."""
    decisions: Decisions | None = None
    removed: pa.Table | None = None
    replaced: Counter[str] = field(default_factory=Counter)
    """Markers put into the surviving texts, by kind."""
    documents_scrubbed: int = 0

    def keep(self, stays: npt.NDArray[np.bool_], reason: str) -> None:
        """Let go of the surviving rows that do not stay, after the policy has kept them.

        ``stays`` has one truth value for each row of the table. The ledger gives the reason as their
        signal: the name of the stage.
        """
        assert self.decisions is not None
        if stays.all():
            return
        gone = self.survivors[~stays].tolist()
        self.decisions.dropped_by.update(dict.fromkeys(gone, reason))
        self.table = self.table.filter(pa.array(stays))
        self.survivors = self.survivors[stays]
