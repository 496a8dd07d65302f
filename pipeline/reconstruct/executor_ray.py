"""Running the stages over the input files on a Ray cluster, or on one that lives as long as the run."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dill  # type: ignore[import-untyped]
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError, MissingExtra
from pipeline.reconstruct.executor import Guarded, attempted, silenced
from pipeline.reconstruct.progress import leave_word

ADDRESS = "RAY_ADDRESS"
"""Environment variable with the address of a cluster, which Ray's own tools read, too."""
_TRIES = 3
_STORE = 100_000_000
"""Octets of shared memory for Ray's objects, of which a run has only one, a small one."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of a change to come
    # How long Ray's agents look for the rest of a cluster whose processes were killed.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}
_SECONDS = 10
_LONGEST = 40
"""Characters of a temporary folder that leave room for Ray's sockets in it: 107 is the limit."""


class RayExecutor(Guarded, RayPipelineExecutor):
    """datatrove's executor for Ray, with tasks of Ray instead of pools inside of actors.

    datatrove's own ``run`` swallows what tasks raise, and its pools wait for ever for a process that
    was killed. A task of Ray that dies with its process is begun again, elsewhere if need be.
    """

    def __init__(
        self,
        pipeline: list[PipelineStep],
        rows: Sequence[int],
        workers: int,
        logging_dir: str,
        marks: Path,
        address: str | None = None,
    ) -> None:
        """``rows`` are those of each task; that it is done is noted in the local folder ``marks``.

        ``address`` is that of a cluster, which is joined; else the environment may name one
        (`ADDRESS`); else one is started for the run, with a processor for each worker.

        Raises:
            MissingExtra: Ray is not installed.
        """
        if find_spec("ray") is None:
            raise MissingExtra(
                "The executor 'ray' needs the package 'ray': pip install 'lethe-llm[ray]'."
            )
        with silenced():
            super().__init__(pipeline, tasks=len(rows), workers=workers, logging_dir=logging_dir)
        self.rows = list(rows)
        self.marks = marks
        self.address = address or os.environ.get(ADDRESS) or None

    def run(self) -> None:
        """Run every task that is not marked as complete.

        Raises:
            InputError: what a task raised, that no cluster answers, or that tasks die again and again.
        """
        ranks = self.get_incomplete_ranks(range(self.tasks))
        if not ranks:
            return
        self.save_executor_as_json()
        with _cluster(self.address, self.workers) as ray:
            self._on(ray, deque(ranks))

    def _on(self, ray: Any, waiting: deque[int]) -> None:
        """Keep as many tasks on the cluster as there are workers; the first error ends them all."""
        task = ray.remote(num_cpus=self.cpus_per_task, max_retries=_TRIES)(run_task)
        frozen = ray.put(dill.dumps(self))  # as for local processes: with the functions of a filter
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    rank = waiting.popleft()
                    running[task.remote(frozen, rank)] = rank
                for done in ray.wait(list(running), num_returns=1)[0]:
                    rank = running.pop(done)
                    if (error := _answer(ray, done)) is not None:
                        raise error
                    leave_word(self.marks, rank, self.rows[rank])
        finally:
            for left in running:
                ray.cancel(left, force=True)


def run_task(frozen: bytes, rank: int) -> Exception | None:
    """One task, in a process of Ray; what it ended with, if not well."""
    executor: RayExecutor = dill.loads(frozen)  # noqa: S301  (our own, through our own cluster)
    return attempted(executor, rank)


def _answer(ray: Any, task: Any) -> Exception | None:
    """What a task returned, or that there is no answer."""
    try:
        found: Exception | None = ray.get(task)
    except ray.exceptions.RayError as error:
        return InputError(
            f"Ray gave up a task after {_TRIES + 1} attempts ({type(error).__name__}), perhaps for want "
            "of memory: give fewer --workers; the same command goes on where it was."
        )
    return found


@contextlib.contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[Any]:
    """Ray's module, connected. What was started for the block ends with it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():  # the caller's own
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _folder_of_its_own() as folder:
        if address is None:
            # Only this run may use its cluster, and no key is left behind in the user's home.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            options |= {
                "address": "local",
                "_node_ip_address": "127.0.0.1",
                "num_cpus": workers,
                "include_dashboard": False,
                "object_store_memory": _STORE,
                "_temp_dir": str(folder),
            }
        else:
            options["address"] = address
        try:
            if address is not None:
                _knock(address)
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError, OSError):
            where = f"at {address}" if address else "when it was to be started here"
            raise InputError(
                f"No Ray cluster answers {where}: look at `ray status`, and give its address with "
                "--ray-address."
            ) from None
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Look whether anybody listens at ``HOST:PORT``: where nobody does, Ray ends the whole process.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), min(int(port), 65535)), _SECONDS).close()


@contextlib.contextmanager
def _folder_of_its_own() -> Iterator[Path]:
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= _LONGEST else "/tmp"  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="lethe-", dir=short))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
