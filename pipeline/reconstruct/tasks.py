"""The tasks of a run, one for each input file, and having them carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from pipeline.errors import WrongRun
from pipeline.reconstruct import jobs
from pipeline.reconstruct.executor_slurm import Slurm, SlurmExecutor, check_here, noted
from pipeline.reconstruct.executors import Local, Ray, waiting_executor
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.progress import Progress, marks_for, shown
from pipeline.reconstruct.stages import Plan, steps_of
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.write import WriteChunks


@dataclass(frozen=True, slots=True)
class Tasks:
    """What is to be done to the files of ``folder``: number r makes what belongs to the r-th."""

    folder: Folder
    files: list[InputFile]
    out: Folder
    plan: Plan
    stock: tuple[PipelineStep, ...]
    done: set[str]
    """Names of files that need nothing more."""

    def pipeline(self, marks: Path | None) -> list[PipelineStep]:
        """The steps of each task, which leave word of how far they are in ``marks``."""
        return [
            ReadChunks(self.folder, self.files, marks),
            *steps_of(self.plan, self.stock),
            WriteChunks(self.out, self.plan.recipe.text),
        ]

    @property
    def logs(self) -> str:
        """The folder of datatrove's logs, the same from wherever one looks."""
        local = self.out.local
        return f"{self.out.root}/logs" if local is None else str(local / "logs")


def carry_out(tasks: Tasks, wanted: Local | Ray, workers: int, progress: Progress | None) -> None:
    """Have all tasks done that are not.

    Raises:
        InputError: what one of them raised, or that it was killed.
    """
    rows = [file.rows for file in tasks.files]
    before = sum(file.rows for file in tasks.files if file.name in tasks.done)
    with marks_for(tasks.out) as marks, shown(progress, marks, before, sum(rows)):
        waiting_executor(wanted, tasks.pipeline(marks), rows, workers, tasks.logs, marks).run()


def submit(tasks: Tasks, wanted: Slurm, workers: int, fingerprint: str) -> tuple[str, ...]:
    """Hand all tasks over to Slurm that are not done; returns the ids of the jobs.

    Raises:
        WrongRun: what jobs submitted before ended with, once.
        InputError: there is no Slurm here, or it does not take them.
    """
    check_here()
    if (error := noted(tasks.logs)) is not None:
        raise WrongRun(error)
    name = jobs.name_for(tasks.out, fingerprint)
    executor = SlurmExecutor(
        tasks.pipeline(None), len(tasks.files), workers, tasks.logs, name, wanted
    )
    jobs.announce(tasks.out, name)
    try:
        executor.submit()
    except BaseException:
        jobs.check_none(tasks.out)
        raise
    return jobs.queued(tasks.out, name)
