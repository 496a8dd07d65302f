"""Running the stages over the input files as jobs of a Slurm cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.io import get_datafolder
from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError
from pipeline.errors import UnknownName
from pipeline.reconstruct.executor import Guarded, portable, silenced

_ERRORS = "errors"
"""Below the logs: what tasks ended with."""


@dataclass(frozen=True, slots=True)
class Slurm:
    """What Slurm is asked for."""

    partition: str | None = None
    """``None`` for the cluster's default."""
    time: str = "24:00:00"
    """Limit for each job, as sbatch takes it."""
    cpus: int = 1
    """Processors for each task. A task works on one file with one process."""
    mem_per_cpu_gb: int = 4
    env_command: str | None = None
    """Shell line that makes `lethe` available in a job; by default the environment of this process."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further options of sbatch without their dashes; an empty value for those that take none."""

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.mem_per_cpu_gb < 1:
            raise UnknownName(
                "A Slurm job needs at least one processor and 1 GB: give whole numbers."
            )
        texts = (self.partition, self.time, *self.extra, *self.extra.values())
        if any(not (text or "x").isprintable() for text in texts):
            raise UnknownName("Options of sbatch stand on one line each: give printable text.")


class SlurmExecutor(Guarded, SlurmPipelineExecutor):
    """datatrove's executor for Slurm: an array of jobs, one for each file that is not done.

    `submit` is for the command, ``run`` for the jobs. What a job ends with is noted for the next command,
    which `noted` tells.
    """

    def __init__(
        self,
        pipeline: list[PipelineStep],
        tasks: int,
        workers: int,
        logging_dir: str,
        name: str,
        asked: Slurm,
    ) -> None:
        """``workers`` jobs at most work at the same time; they are called ``name``."""
        with silenced():
            super().__init__(
                pipeline,
                tasks=tasks,
                time=asked.time,
                partition=asked.partition,
                cpus_per_task=asked.cpus,
                mem_per_cpu_gb=asked.mem_per_cpu_gb,
                workers=workers,
                job_name=name,
                qos="",
                env_command=asked.env_command or _same_environment(),
                sbatch_args=dict(asked.extra),
                logging_dir=logging_dir,
                mail_type="NONE",
            )

    def submit(self) -> None:
        """Hand the tasks that are not marked as complete over to Slurm.

        Raises:
            InputError: Slurm does not take them.
        """
        forget(self.logging_dir)
        try:
            with silenced():
                self.launch_job()
        except subprocess.CalledProcessError:
            raise InputError(
                "Slurm does not take the jobs: see what sbatch says above, and give other --slurm "
                "options; the same command goes on where it was."
            ) from None

    def launch_merge_stats(self) -> None:
        """Nothing: what is counted stands in the states."""

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """The options of sbatch, without those that are left to the cluster."""
        found: dict[str, Any] = super().get_sbatch_args(max_array)
        return {name: value for name, value in found.items() if value is not None}

    def get_distributed_env(self, node_rank: int = -1) -> dict[str, str]:
        """Nothing but who runs it: jobs have nothing in common."""
        names = ("node_ips", "cpus_per_task", "mem_per_cpu", "gpus_on_node")
        return {f"datatrove_{name}": "" for name in names} | {"datatrove_executor": "SLURM"}

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> None:
        """One task in its job; what it ended with is left for the next command to tell."""
        try:
            super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as raised:  # noqa: BLE001  (told by the next command)
            error = str(portable(raised))
            with self.logging_dir.open(f"{_ERRORS}/{rank:05d}", "w") as note:
                json.dump({"error": error}, note)
            sys.exit(error)


def check_here() -> None:
    """Look whether jobs can be submitted.

    Raises:
        InputError: they cannot.
    """
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise InputError(
            "The executor 'slurm' needs the commands sbatch and squeue: start it where jobs are "
            "submitted."
        )


def noted(logging_dir: str) -> str | None:
    """What jobs ended with, in one sentence; ``None`` where none did. It is told once."""
    logs = get_datafolder(logging_dir)
    names = sorted(logs.list_files(_ERRORS))
    if not names:
        return None
    with logs.open(names[0], "r") as note:
        first = json.load(note)
    forget(logs)
    more = f" ({len(names) - 1} more tasks ended with errors.)" if len(names) > 1 else ""
    return f"{first['error']}{more}"


def forget(logs: Any) -> None:
    """Remove what jobs left behind."""
    for name in logs.list_files(_ERRORS):
        logs.rm(name)


def _same_environment() -> str:
    """A shell line after which the programs beside this Python are found first."""
    folder = str(Path(sys.executable).parent).replace("'", "'\\''")
    return f"export PATH='{folder}':\"$PATH\""
