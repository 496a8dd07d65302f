"""Running the stages over the input files, one after the other or in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from copy import deepcopy
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import dill  # type: ignore[import-untyped]
from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger, setup_default_logger

from filter.errors import InputError, LetheError
from pipeline.errors import of_the_disk


class Guarded(PipelineExecutor):
    """Runs one task as it should be in any process: nothing seen twice, no value logged, errors told."""

    pipeline: list[PipelineStep]

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        """Run one task in this process.

        Raises:
            InputError: what a step raised, or that the disk is full and the like.
        """
        pipeline = self.pipeline
        self.pipeline = deepcopy(pipeline)  # steps keep state: a task must not see another's
        try:
            with _quiet():
                run = PipelineExecutor._run_for_rank  # noqa: SLF001  (datatrove's name for it)
                return run(self, rank, local_rank, node_rank)
        except OSError as error:
            raise of_the_disk(error) from error
        finally:
            self.pipeline = pipeline


class FilesExecutor(Guarded, LocalPipelineExecutor):
    """datatrove's local executor with processes that live and die with this one.

    datatrove's own ``run`` keeps a manager process, which outlives a killed parent together with every
    file that was open (and locked) in it, and a pool that waits for ever for a worker that was killed.
    The log goes to files only, and no value of a variable gets into it.
    """

    def run(self) -> None:
        """Run every task that is not marked as complete.

        Raises:
            InputError: what a task raised, or that a worker process died.
        """
        ranks = self.get_incomplete_ranks(range(self.tasks))
        if not ranks:
            return
        self.save_executor_as_json()
        if self.workers > 1 and len(ranks) > 1:
            _in_processes(self, ranks)
        else:
            for rank in ranks:
                self._run_for_rank(rank)


def attempted(executor: Guarded, rank: int) -> Exception | None:
    """Run one task; the error that it ended with, as it can be sent to another process."""
    try:
        executor._run_for_rank(rank)  # noqa: SLF001  (ours; datatrove gave it its name)
    except Exception as raised:  # noqa: BLE001  (raised again elsewhere)
        return portable(raised)
    return None


def _in_processes(executor: FilesExecutor, ranks: Sequence[int]) -> None:
    """Let workers take one task after the other; the first error ends them all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.reconstruct.engine"])
    frozen = dill.dumps(executor)  # unlike pickle, with the functions of a LambdaFilter
    waiting = deque(ranks)
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(executor.workers, len(ranks))):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(frozen, theirs), daemon=True)
            worker.start()
            theirs.close()
            workers[ours] = worker
            ours.send(waiting.popleft())
        while workers:
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                _raise_from(connection, workers[connection])
                if waiting:
                    connection.send(waiting.popleft())
                else:
                    connection.send(None)
                    workers.pop(connection).join()
    finally:
        for left in workers.values():
            left.kill()
        for left in workers.values():
            left.join()


def _raise_from(connection: Connection, worker: BaseProcess) -> None:
    """Raise what a worker sends, or that it is gone."""
    try:
        error: BaseException | None = connection.recv()
    except (EOFError, ConnectionError):
        worker.join()
        if worker.exitcode is not None and worker.exitcode < 0:
            raise InputError(
                "A worker process was killed, perhaps for want of memory: give fewer --workers; the "
                "same command goes on where it was."
            ) from None
        raise InputError(
            "A worker process ended before its work did: run with --workers 1 to see why."
        ) from None
    if error is not None:
        raise error


def _work(frozen: bytes, orders: Connection) -> None:
    """A worker process: run the tasks that are sent, and answer each with its error or ``None``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends its workers
    parent = multiprocessing.parent_process()
    assert parent is not None
    Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    executor: FilesExecutor = dill.loads(frozen)  # noqa: S301  (our own, through our own pipe)
    while (rank := orders.recv()) is not None:
        orders.send(attempted(executor, rank))


def _end_with(sentinel: int) -> None:
    """A worker without its parent would go on writing beside whoever resumes the run."""
    wait([sentinel])
    os._exit(1)


def portable(error: Exception) -> Exception:
    """The error as it can be sent to the parent, whatever a stock step has put into it."""
    if isinstance(error, LetheError):
        return type(error)(str(error))
    frames = "".join(traceback.format_tb(error.__traceback__))
    return RuntimeError(f"{type(error).__name__} in a worker process:\n{frames}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep datatrove's log out of the terminal, and what it logs of an error free of values.

    loguru writes the values of variables into tracebacks, so the text of a document, too.
    """
    logger.configure(patcher=_without_values)
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logger.configure(patcher=_as_it_is)
        setup_default_logger()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep what datatrove warns of while an executor is made out of the terminal."""
    logger.disable("datatrove")
    try:
        yield
    finally:
        logger.enable("datatrove")


def _as_it_is(_record: Any) -> None:
    """No change: loguru cannot be told to forget a patcher."""


def _without_values(record: Any) -> None:
    if record["exception"] is None:
        return
    kind, value, where = record["exception"]
    said = str(value) if isinstance(value, LetheError) else kind.__name__
    record["exception"] = None
    record["message"] = f"{said}\n{''.join(traceback.format_tb(where))}"
