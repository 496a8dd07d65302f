"""Thresholds that are quantiles of the scores: estimated over the whole input before the run.

The scores of all documents that nobody opted out go to the disk, four octets each; then the quantile is
counted out in two passes over them. It depends on neither the order nor the number of the files, nor on
how many processes wrote them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import WrongRun
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.executor import FilesExecutor
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.manifest import ESTIMATED, NAME
from pipeline.reconstruct.progress import Progress, shown
from pipeline.reconstruct.selection import Judge
from pipeline.reconstruct.stage_heads import OpenHeads
from pipeline.reconstruct.stages import Plan, steps_of
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.select import judged, told_apart

_BLOCK = 1 << 20
_HALF = 16


def settled(
    plan: Plan,
    folder: Folder,
    files: list[InputFile],
    out: Folder,
    workers: int,
    progress: Progress | None = None,
) -> Plan:
    """The plan with every threshold known: from the manifest in ``out``, or else estimated and put there.

    Estimating is done by processes of this machine, whatever carries out the run itself; so there are no
    more of them than it has processors.

    Raises:
        InputError: what is wrong with the input, as in a run.
    """
    selection = plan.selection
    if selection is None or not selection.to_estimate():
        return plan
    held = out.read_json(NAME)
    if held is None:
        raise WrongRun(f"{out.root} has lost its manifest: start the run again.")
    if ESTIMATED not in held:
        held[ESTIMATED] = _estimate(
            plan, selection.to_estimate(), folder, files, out, workers, progress
        )
        out.write_text(NAME, json.dumps(held, indent=1, sort_keys=True))
    return replace(plan, selection=selection.with_estimates(held[ESTIMATED]))


def _estimate(
    plan: Plan,
    judges: tuple[Judge, ...],
    folder: Folder,
    files: list[InputFile],
    out: Folder,
    workers: int,
    progress: Progress | None,
) -> dict[str, dict[str, Any]]:
    with _scratch(out) as scratch:
        marks, scores = scratch / "marks", scratch / "scores"
        marks.mkdir()
        total = sum(file.rows for file in files)
        with shown(progress, marks, 0, total):
            FilesExecutor(
                [
                    ReadChunks(folder, files, marks),
                    *steps_of(plan, judging=False),
                    CollectScores(judges, plan.options.device, scores),
                ],
                tasks=len(files),
                workers=max(1, min(workers, len(files), os.cpu_count() or 1)),
                logging_dir=str(scratch / "logs"),
            ).run()
        return {judge.stage: _thresholds(judge, scores / judge.stage) for judge in judges}


def _thresholds(judge: Judge, scores: Path) -> dict[str, Any]:
    assert judge.share is not None
    found = {}
    for folder in sorted(scores.iterdir()) if scores.is_dir() else ():
        threshold, count = quantile(sorted(folder.iterdir()), judge.share)
        if count:
            found[folder.name] = {"threshold": threshold, "n": count, "p": judge.share}
    return found


def quantile(files: Sequence[Path], share: float) -> tuple[float, int]:
    """The score that a share of all scores reaches, and how many scores there are.

    It is ``numpy.quantile(scores, 1 - share, method="higher")``, with ``1 - share`` taken as the decimal
    fraction that it is written as: a score that occurs. (0.0, 0) where there are none.

    Args:
        files: Each holds scores, that is float32 numbers from 0 to 1, one after the other.
        share: From 0 to 1.
    """
    # The bits of floats that are not negative, read as whole numbers, are in the order of the floats.
    high = np.zeros(1 << _HALF, np.int64)
    for bits in _bits(files):
        high += np.bincount(bits >> _HALF, minlength=len(high))
    count = int(high.sum())
    if not count:
        return 0.0, 0
    rank = math.ceil((1 - Fraction(str(share))) * (count - 1))
    upper, rank = _bin(high, rank)
    low = np.zeros(1 << _HALF, np.int64)
    for bits in _bits(files):
        low += np.bincount(bits[bits >> _HALF == upper] & ((1 << _HALF) - 1), minlength=len(low))
    lower, _ = _bin(low, rank)
    return float(np.array([upper << _HALF | lower], np.uint32).view(np.float32)[0]), count


def _bin(counts: np.ndarray[Any, Any], rank: int) -> tuple[int, int]:
    """In which bin number ``rank`` in order is, from 0, and which number it has in there."""
    ends = np.cumsum(counts)
    found = int(np.searchsorted(ends, rank, side="right"))
    return found, rank - int(ends[found] - counts[found])


def _bits(files: Sequence[Path]) -> Iterator[np.ndarray[Any, Any]]:
    for path in files:
        with path.open("rb") as file:
            while len(bits := np.fromfile(file, np.uint32, _BLOCK)):
                yield bits


@contextmanager
def _scratch(out: Folder) -> Iterator[Path]:
    """An empty local folder that is gone afterwards: beside the logs where they are local."""
    if out.local is None:
        with tempfile.TemporaryDirectory(prefix="lethe-") as temporary:
            yield Path(temporary)
        return
    scratch = out.local / "logs" / "estimate"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class CollectScores(PipelineStep):
    """Writes the scores of the documents: ``STAGE/LANGUAGE/TASK``, float32."""

    name = "Collect scores"
    type = "Writer"

    def __init__(self, judges: tuple[Judge, ...], device: str, folder: Path) -> None:
        super().__init__()
        self.judges = judges
        self.device = device
        self.folder = folder

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """Nothing comes out."""
        from pipeline.reconstruct.heads import one_thread

        heads = [OpenHeads(judge.heads, self.device) for judge in self.judges]
        files: dict[Path, IO[bytes]] = {}
        try:
            for chunk in data:
                with one_thread():
                    for judge, held in zip(self.judges, heads, strict=True):
                        self._collect(judge, held, chunk, rank, files)
        finally:
            for file in files.values():
                file.close()
        yield from ()

    def _collect(
        self, judge: Judge, heads: OpenHeads, chunk: Chunk, rank: int, files: dict[Path, IO[bytes]]
    ) -> None:
        for found in judged(judge, heads, chunk, told_apart(chunk, judge.languages)):
            path = self.folder / judge.stage / found.language / f"{rank:05d}"
            if path not in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                files[path] = path.open("wb")
            files[path].write(found.scores[~np.isnan(found.scores)].tobytes())
