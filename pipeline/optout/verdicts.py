"""What a verdict is, alone and in columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.optout.signals import Signal

KEEP = -1
"""Code of a document that no signal refuses."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why documents are dropped: one value for all that one rule of one source refuses alike."""

    signal: Signal
    """The first of `signals` in the order of `Signal`; the rest of this record is about it."""
    signals: tuple[Signal, ...]
    """Every signal that refuses."""
    agents: tuple[str, ...]
    """The disallowed agents; empty where a signal speaks to everybody who trains."""
    rule: str
    """The deciding line as it stands in the source."""
    line: int | None
    """Its 1-based number."""
    file: str
    """Which kind of file or list the source is."""
    source_hash: str | None
    """SHA-256 of the source's octets."""
    source_date: str | None
    """ISO date of the source."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep or drop one document, and why."""

    keep: bool
    host: str | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts over a batch of documents, in columns of equal length."""

    hosts: pa.Array
    """Canonical host (string), null where the URL names none."""
    codes: npt.NDArray[np.int32]
    """Index into ``refusals``, or `KEEP`."""
    refusals: list[Refusal]
    """What this policy has met so far; it may grow, and no code changes its meaning."""

    @property
    def keep(self) -> npt.NDArray[np.bool_]:
        """Which documents stay."""
        stays: npt.NDArray[np.bool_] = self.codes == KEEP
        return stays
