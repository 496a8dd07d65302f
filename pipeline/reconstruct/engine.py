"""Running a recipe: from an input folder and a policy to a corpus with its ledger."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from pipeline.atomic import remove_leftovers
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.card import card
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.folder import Folder, InputFile, inputs
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.pii import MODES
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.recipes import recipe as named_recipe
from pipeline.reconstruct.steps.decide import ApplyPolicy
from pipeline.reconstruct.steps.documents import Bridge, ChunksToDocuments, DocumentsToChunks
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.scrub import ScrubText
from pipeline.reconstruct.steps.write import DATA, LEDGER, STATE, WriteChunks

Progress = Callable[[int, int], None]
_REMOVED = ("none", "scrubbed", "verbatim")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did."""

    out: str
    files: int
    documents_in: int
    documents_out: int
    replaced: dict[str, int]
    """Markers put into texts, by kind."""
    fingerprint: str
    resumed_files: int
    """Files that an earlier attempt had already finished."""


def run(
    recipe: str | Recipe,
    source: str | Path,
    policy: str | Path,
    out: str | Path,
    *,
    options: Options | None = None,
    workers: int = 1,
    steps: Sequence[PipelineStep] = (),
    progress: Progress | None = None,
) -> RunResult:
    """Rebuild the corpus at ``source`` into ``out`` under a compiled ``policy``.

    ``steps`` are stock datatrove blocks over documents; they stand between the policy and the
    scrubbing. ``progress`` is called with (rows read, rows in all). A run that was interrupted goes on
    where it was when it is started again with the same arguments.

    Raises:
        InputError: anything that is wrong with what was handed in; nothing written is lost.
    """
    recipe = named_recipe(recipe) if isinstance(recipe, str) else recipe
    options = options or Options(pii="strict" if "pii" in recipe.stages else "none")
    _check(options)
    opened = OptOutPolicy.open(policy)
    folder, files = inputs(str(source))
    _check_columns(recipe, folder, files)
    files = _limited(files, options.limit)
    target = Folder(str(out))
    with _alone_in(target):
        wanted = manifests.manifest(recipe, opened, options, folder.root, files, tuple(steps))
        manifests.claim(target, wanted)
        if target.local is not None:
            remove_leftovers(target.local)
        resumed = _sync_completions(target, files)
        marks = None if target.local is None else _fresh(target.local / "logs" / "progress")
        pipeline = _pipeline(recipe, folder, files, opened, target, options, steps, marks)
        executor = _QuietExecutor(
            pipeline,
            tasks=len(files),
            workers=max(1, min(workers, len(files))),
            logging_dir=f"{target.root}/logs",
        )
        with _shown(progress, marks, files, resumed):
            executor.run()
        states = [target.read_json(f"{STATE}/{f.name}.json") for f in files]
        result = _result(target, files, [s for s in states if s], wanted, len(resumed))
        target.write_text("README.md", card(target.root))
    return result


def _pipeline(
    recipe: Recipe,
    folder: Folder,
    files: list[InputFile],
    policy: OptOutPolicy,
    out: Folder,
    options: Options,
    steps: Sequence[PipelineStep],
    marks: Path | None,
) -> list[PipelineStep]:
    pipeline: list[PipelineStep] = [
        ReadChunks(folder, files, marks),
        ApplyPolicy(policy.path.resolve(), recipe, keep_removed=options.removed != "none"),
    ]
    if steps:
        label = "+".join(type(step).__name__ for step in steps)
        bridge = Bridge(recipe, label)
        pipeline += [ChunksToDocuments(bridge), *steps, DocumentsToChunks(bridge)]
    if options.pii != "none":
        verbatim = options.removed == "verbatim"
        pipeline.append(ScrubText(recipe.text, options.pii, also_removed=not verbatim))
    pipeline.append(WriteChunks(out, recipe.text, policy.version))
    return pipeline


def _check(options: Options) -> None:
    if options.pii != "none" and options.pii not in MODES:
        raise UnknownName(
            f"There is no way of scrubbing {options.pii!r}: use {', '.join(MODES)}, none."
        )
    if options.removed not in _REMOVED:
        raise UnknownName(
            f"Removed documents can be {', '.join(_REMOVED)}, not {options.removed!r}."
        )
    if options.removed == "scrubbed" and options.pii == "none":
        raise UnknownName("Removed documents cannot be scrubbed with --pii none: choose a mode.")
    if options.limit is not None and options.limit < 1:
        raise UnknownName("--limit is a number of documents: give at least 1.")


def _check_columns(recipe: Recipe, folder: Folder, files: list[InputFile]) -> None:
    """Look at the columns of every file before the first byte is written."""
    for file in files:
        with folder.parquet(file.name) as parquet:
            resolve(recipe, parquet.schema_arrow, file.name)


def _limited(files: list[InputFile], limit: int | None) -> list[InputFile]:
    if limit is None:
        return files
    chosen = []
    for file in files:
        if limit <= 0:
            break
        chosen.append(replace(file, rows=min(file.rows, limit)))
        limit -= file.rows
    return chosen


@contextlib.contextmanager
def _alone_in(out: Folder) -> Iterator[None]:
    """Keep a second process out of a local folder; the lock goes with the process that holds it."""
    if out.local is None:
        yield
        return
    if out.local.is_file():
        raise WrongRun(f"{out.root} is a file: choose a folder for --out.")
    out.local.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out.local / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise WrongRun(f"Another process is working in {out.root}: wait for it.") from None
    finally:
        os.close(descriptor)


def _sync_completions(out: Folder, files: list[InputFile]) -> set[str]:
    """Make datatrove's markers say what our own states say; returns the files that are done.

    A marker alone proves nothing: it survives the deletion of a file and knows no fingerprint.
    """
    from datatrove.io import get_datafolder

    logs = get_datafolder(f"{out.root}/logs")
    done = set()
    for rank, file in enumerate(files):
        marker = f"completions/{rank:05d}"
        finished = all(
            out.exists(n)
            for n in (f"{STATE}/{file.name}.json", f"{DATA}/{file.name}", f"{LEDGER}/{file.name}")
        )
        if finished:
            done.add(file.name)
            logs.open(marker, "w").close()
        elif logs.isfile(marker):
            logs.rm(marker)
    return done


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for mark in folder.iterdir():
        mark.unlink()
    return folder


@contextlib.contextmanager
def _shown(
    progress: Progress | None, marks: Path | None, files: list[InputFile], done: set[str]
) -> Iterator[None]:
    """Call ``progress`` from time to time while the block runs, and once at its end."""
    if progress is None or marks is None:
        yield
        return
    total = sum(f.rows for f in files)
    before = sum(f.rows for f in files if f.name in done)
    stop = Event()

    def look() -> None:
        while True:
            read = sum(int.from_bytes(m.read_bytes()[:8], "little") for m in marks.iterdir())
            progress(min(total, before + read), total)
            if stop.wait(0.2):
                return

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
        progress(total, total)
    finally:
        stop.set()
        watcher.join()


class _QuietExecutor(LocalPipelineExecutor):
    """datatrove's local executor, its log in files only."""

    def _launch_run_for_rank(self, *args: Any, **kwargs: Any) -> PipelineStats:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            return super()._launch_run_for_rank(*args, **kwargs)

    def run(self) -> PipelineStats:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            from datatrove.utils.logging import setup_default_logger

            setup_default_logger()
            return super().run()


def _result(
    out: Folder,
    files: list[InputFile],
    states: list[dict[str, Any]],
    wanted: dict[str, Any],
    resumed: int,
) -> RunResult:
    if len(states) != len(files):
        raise UnreadableFile(f"{out.root} is not complete: run the same command again.")
    replaced: dict[str, int] = {}
    for state in states:
        for kind, count in state["pii"].items():
            replaced[kind] = replaced.get(kind, 0) + count
    return RunResult(
        out=out.root,
        files=len(files),
        documents_in=sum(s["rows_in"] for s in states),
        documents_out=sum(s["rows_out"] for s in states),
        replaced=dict(sorted(replaced.items())),
        fingerprint=wanted["fingerprint"],
        resumed_files=resumed,
    )
