"""Running a recipe: from an input folder and a policy to a corpus with its ledger."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError
from pipeline.atomic import remove_leftovers
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.card import card
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.executor import FilesExecutor
from pipeline.reconstruct.folder import Folder, InputFile, inputs
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.pii import MODES
from pipeline.reconstruct.progress import Progress, marks_for, shown
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.recipes import recipe as named_recipe
from pipeline.reconstruct.stages import Plan, steps_of
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.write import DATA, LEDGER, REMOVED, STATE, WriteChunks

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases

_REMOVED = ("none", "scrubbed", "verbatim")
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What network file systems answer that know no locks."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did."""

    out: str
    files: int
    documents_in: int
    documents_out: int
    replaced: dict[str, int]
    """Markers put into texts, by kind; listed phrases are counted as e-mail addresses, see docs."""
    fingerprint: str
    resumed_files: int
    """Files that an earlier attempt had already finished."""


def run(
    recipe: str | Recipe,
    source: str | Path,
    policy: str | Path,
    out: str | Path,
    *,
    bundle: str | Path | None = None,
    options: Options | None = None,
    workers: int = 1,
    steps: Sequence[PipelineStep] = (),
    progress: Progress | None = None,
) -> RunResult:
    """Rebuild the corpus at ``source`` into ``out`` under a compiled ``policy``.

    ``bundle`` is an operators' bundle of the output filter; its phrases are removed from the texts
    that stay. ``steps`` are stock datatrove blocks over documents; they stand between the policy and
    the scrubbing. ``progress`` is called with (rows read, rows in all). A run that was interrupted
    goes on where it was when it is started again with the same arguments.

    Raises:
        InputError: anything that is wrong with what was handed in; nothing written is lost.
    """
    recipe = named_recipe(recipe) if isinstance(recipe, str) else recipe
    options = options or Options(pii="strict" if "pii" in recipe.stages else "none")
    _check(options)
    listed = _listed(bundle, options)
    opened = OptOutPolicy.open(policy)
    folder, files = inputs(str(source), lambda schema, name: resolve(recipe, schema, name))
    files = _limited(files, options.limit)
    target = Folder(str(out))
    _check_apart(folder, Path(source) if folder.local else None, target)
    if target.is_file():
        raise WrongRun(f"{target.root} is a file: choose a folder for --out.")
    wanted = manifests.manifest(recipe, opened, options, folder.root, files, tuple(steps), listed)
    manifests.check(target, wanted)
    with _alone_in(target):
        manifests.claim(target, wanted)
        resumed = _sync_completions(target, files)
        before = sum(f.rows for f in files if f.name in resumed)
        total = sum(f.rows for f in files)
        with marks_for(target) as marks, shown(progress, marks, before, total):
            FilesExecutor(
                _pipeline(
                    Plan(recipe, opened, options, listed), folder, files, target, steps, marks
                ),
                tasks=len(files),
                workers=max(1, min(workers, len(files))),
                logging_dir=f"{target.root}/logs",
            ).run()
        target.refresh()
        states = [target.read_json(f"{STATE}/{f.name}.json") for f in files]
        result = _result(target, files, [s for s in states if s], wanted, len(resumed))
        target.write_text("README.md", card(target.root))
    return result


def _pipeline(
    plan: Plan,
    folder: Folder,
    files: list[InputFile],
    out: Folder,
    stock: Sequence[PipelineStep],
    marks: Path,
) -> list[PipelineStep]:
    return [
        ReadChunks(folder, files, marks),
        *steps_of(plan, stock),
        WriteChunks(out, plan.recipe.text),
    ]


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


def _listed(bundle: str | Path | None, options: Options) -> ListedPhrases | None:
    if bundle is None:
        if options.unpublished:
            raise InputError("--unpublished applies the names of a bundle: give --bundle, too.")
        return None
    from pipeline.reconstruct.pii.listed import ListedPhrases

    return ListedPhrases.open(bundle, names=options.unpublished)


def _check_apart(folder: Folder, given: Path | None, out: Folder) -> None:
    """What is written must not turn up in the input the next time."""
    if given is None or folder.local is None or out.local is None or given.is_file():
        return
    source, target = folder.local.resolve(), out.local.resolve()
    if target == source or source in target.parents:
        raise WrongRun(
            f"{out.root} is the input folder or lies in it: choose a folder for --out beside it."
        )


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
    """Keep a second process out of a local folder; the lock goes with the process that holds it.

    What an earlier process left half-written is removed before the block, what a failure leaves behind
    it.
    """
    if out.local is None:
        yield
        return
    descriptor = _locked(out, out.local)
    try:
        remove_leftovers(out.local)
        yield
    finally:
        remove_leftovers(out.local)
        os.close(descriptor)


def _locked(out: Folder, path: Path) -> int:
    """A descriptor that holds the lock of the folder, which is made if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise WrongRun(
            f"{out.root} cannot be written to ({error.strerror}): choose another folder for --out."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WrongRun(f"Another process is working in {out.root}: wait for it.") from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            os.close(descriptor)
            raise
    return descriptor


def _sync_completions(out: Folder, files: list[InputFile]) -> set[str]:
    """Make datatrove's markers say what our own states say; returns the files that are done.

    A marker alone proves nothing: it survives the deletion of a file and knows no fingerprint.
    """
    from datatrove.io import get_datafolder

    logs = get_datafolder(f"{out.root}/logs")
    done = set()
    for rank, file in enumerate(files):
        marker = f"completions/{rank:05d}"
        if _finished(out, file):
            done.add(file.name)
            logs.open(marker, "w").close()
        elif logs.isfile(marker):
            logs.rm(marker)
    return done


def _finished(out: Folder, file: InputFile) -> bool:
    """Whether the state of a file says so, and what was written is there, whole, to the last row."""
    try:
        state = out.read_json(f"{STATE}/{file.name}.json")
        if state is None or state.get("rows_in") != file.rows:
            return False
        rows = {DATA: state.get("rows_out"), LEDGER: file.rows}
        if state.get("rows_removed"):
            rows[REMOVED] = state["rows_removed"]
        return all(_rows(out, f"{part}/{file.name}") == count for part, count in rows.items())
    except (UnreadableFile, AttributeError):
        return False


def _rows(out: Folder, name: str) -> int:
    with out.parquet(name) as parquet:
        return int(parquet.metadata.num_rows)


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
