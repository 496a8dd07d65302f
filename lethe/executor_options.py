"""The options of `lethe reconstruct run` that say where its tasks are carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from filter.errors import InputError
from lethe.console import corpus_extra, grouped

if TYPE_CHECKING:
    from pipeline.reconstruct.engine import RunResult
    from pipeline.reconstruct.executors import Chosen

_PANEL = "More than one machine"

Executor = Annotated[
    str,
    typer.Option("--executor", help="local, ray or slurm.", rich_help_panel=_PANEL),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="A Ray cluster to join (default: RAY_ADDRESS, else one is started for the run).",
        rich_help_panel=_PANEL,
    ),
]
SlurmPartition = Annotated[
    str | None,
    typer.Option("--slurm-partition", help="Default: the cluster's own.", rich_help_panel=_PANEL),
]
SlurmTime = Annotated[
    str | None,
    typer.Option(
        "--slurm-time", help="Limit for each job (default: 24:00:00).", rich_help_panel=_PANEL
    ),
]
SlurmCpus = Annotated[
    int | None,
    typer.Option(
        "--slurm-cpus", min=1, help="Processors for each job (default: 1).", rich_help_panel=_PANEL
    ),
]
SlurmMemory = Annotated[
    int | None,
    typer.Option(
        "--slurm-mem-per-cpu-gb",
        min=1,
        help="Memory for each processor (default: 4).",
        rich_help_panel=_PANEL,
    ),
]
SlurmEnvironment = Annotated[
    str | None,
    typer.Option(
        "--slurm-env-command",
        help="Shell line that makes lethe available in a job (default: this environment).",
        rich_help_panel=_PANEL,
    ),
]
SlurmMore = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="Further option of sbatch, such as account=nlp; may be repeated.",
        rich_help_panel=_PANEL,
    ),
]


def chosen(
    executor: str,
    ray_address: str | None,
    partition: str | None,
    time: str | None,
    cpus: int | None,
    memory: int | None,
    environment: str | None,
    more: list[str] | None,
) -> Chosen:
    """The executor that the options describe.

    Raises:
        InputError: there is none of this name, or options of another one are given.
    """
    with corpus_extra():
        from pipeline.reconstruct import executors
        from pipeline.reconstruct.executor_slurm import Slurm
    found = executors.chosen(executor)
    if ray_address is not None and not isinstance(found, executors.Ray):
        raise InputError("--ray-address goes with --executor ray: give both or neither.")
    given = (partition, time, cpus, memory, environment, more)
    if not isinstance(found, Slurm):
        if any(value is not None for value in given):
            raise InputError("The --slurm options go with --executor slurm: give both or neither.")
        return executors.Ray(ray_address) if isinstance(found, executors.Ray) else found
    return Slurm(
        partition=partition,
        time=found.time if time is None else time,
        cpus=found.cpus if cpus is None else cpus,
        mem_per_cpu_gb=found.mem_per_cpu_gb if memory is None else memory,
        env_command=environment,
        extra=dict(map(_pair, more or ())),
    )


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key.strip("-") or not key.isprintable() or " " in key:
        raise InputError(f"--slurm {text!r} is not KEY=VALUE: write, for instance, account=nlp.")
    return key.strip("-"), value


def told(result: RunResult) -> str:
    """What to say while jobs of Slurm do the rest."""
    jobs = ",".join(result.jobs)
    left = result.files - result.resumed_files
    return (
        f"{grouped(left)} of {grouped(result.files)} files are left to Slurm: job {jobs}.\n"
        f"How far it is: squeue -j {jobs}\n"
        "When it is through, give the same command again: it checks that all is there and writes the "
        "data set card."
    )
