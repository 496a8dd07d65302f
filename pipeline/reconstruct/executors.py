"""Where the tasks of a run are carried out, chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnknownName
from pipeline.reconstruct.executor import FilesExecutor
from pipeline.reconstruct.executor_ray import RayExecutor
from pipeline.reconstruct.executor_slurm import Slurm


@dataclass(frozen=True, slots=True)
class Local:
    """Processes of this machine."""


@dataclass(frozen=True, slots=True)
class Ray:
    """Tasks on a Ray cluster."""

    address: str | None = None
    """Of a cluster to join; else ``RAY_ADDRESS``, else one is started for the run."""


Chosen = Local | Ray | Slurm


def chosen(executor: str | Chosen) -> Chosen:
    """The executor of a name, with nothing else said of it.

    Raises:
        UnknownName: there is none of this name.
    """
    if not isinstance(executor, str):
        return executor
    kinds: dict[str, Chosen] = {"local": Local(), "ray": Ray(), "slurm": Slurm()}
    if executor not in kinds:
        raise UnknownName(f"There is no executor {executor!r}: use {', '.join(kinds)}.")
    return kinds[executor]


def waiting_executor(
    wanted: Local | Ray,
    pipeline: list[PipelineStep],
    rows: Sequence[int],
    workers: int,
    logging_dir: str,
    marks: Path,
) -> FilesExecutor | RayExecutor:
    """An executor whose ``run`` returns when all tasks are done; ``rows`` are those of each task.

    Raises:
        MissingExtra: its packages are not installed.
    """
    workers = max(1, min(workers, len(rows)))
    if isinstance(wanted, Ray):
        return RayExecutor(pipeline, rows, workers, logging_dir, marks, wanted.address)
    return FilesExecutor(pipeline, tasks=len(rows), workers=workers, logging_dir=logging_dir)
