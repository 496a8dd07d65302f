"""Running a recipe: from an input folder and a policy to a corpus with its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import executors, index, jobs, policies, provenance, staging
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.card import card
from pipeline.reconstruct.executor_slurm import Slurm
from pipeline.reconstruct.folder import Folder, InputFile, inputs
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.progress import Progress
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.recipes import recipe as named_recipe
from pipeline.reconstruct.selection import Selection
from pipeline.reconstruct.shared_policy import shared
from pipeline.reconstruct.stages import Plan, check_input, check_recipe
from pipeline.reconstruct.steps.write import DATA, LEDGER, REMOVED, STATE
from pipeline.reconstruct.tasks import Tasks, carry_out, submit
from pipeline.reconstruct.thresholds import settled

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases

_REMOVED = ("none", "scrubbed", "verbatim")


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
    jobs: tuple[str, ...] = ()
    """Slurm jobs that are still to make the other files; the counts are those of the finished ones."""


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
    executor: str | executors.Chosen = "local",
) -> RunResult:
    """Rebuild the corpus at ``source`` into ``out`` under a compiled ``policy``.

    ``bundle`` is an operators' bundle of the output filter; its phrases are removed from the texts
    that stay. ``steps`` are stock datatrove blocks over documents; they stand between the policy and
    the scrubbing. ``progress`` is called with (rows read, rows in all). A run that was interrupted
    goes on where it was when it is started again with the same arguments. ``executor`` says where the
    tasks are carried out (`pipeline.reconstruct.executors`); it changes nothing of what comes out. With
    Slurm the call returns when the jobs are submitted; the same call finishes the run when they are
    through.

    Raises:
        InputError: anything that is wrong with what was handed in; nothing written is lost.
    """
    chosen = executors.chosen(executor)
    recipe = named_recipe(recipe) if isinstance(recipe, str) else recipe
    options = options or Options(pii="strict" if "pii" in recipe.stages else "none")
    _check(options)
    check_recipe(recipe, options, bundle=bundle is not None)
    listed = _listed(bundle, options)
    selection = Selection.of(recipe, options)
    opened = OptOutPolicy.open(policy)
    folder, files = inputs(str(source), lambda schema, name: check_input(recipe, schema, name))
    files = _limited(files, options.limit)
    target = Folder(str(out))
    _check_apart(folder, Path(source) if folder.local else None, target)
    if target.local is None:
        target.check()
    if target.is_file():
        raise WrongRun(f"{target.root} is a file: choose a folder for --out.")
    wanted = manifests.manifest(
        recipe, opened, options, folder.root, files, tuple(steps), listed, selection
    )
    staging.check_none(target)
    manifests.check(target, wanted)
    if isinstance(chosen, Slurm) and (going := jobs.active(target)):
        done = [file.name for file in files if _finished(target, file)]
        return _result(target, done, len(files), wanted, len(done), going)
    with alone_in(target):
        staging.check_none(target)  # one may have been interrupted meanwhile
        manifests.claim(target, wanted)
        with shared(opened, target) as ready:
            plan = Plan(recipe, ready, options, listed, selection)
            plan = settled(plan, folder, files, target, workers, progress)
            resumed = _sync_completions(target, files)
            tasks = Tasks(folder, files, target, plan, tuple(steps), resumed)
            if not isinstance(chosen, Slurm):
                carry_out(tasks, chosen, workers, progress)
            elif len(resumed) < len(files):
                going = submit(tasks, chosen, workers, wanted["fingerprint"])
                return _result(target, sorted(resumed), len(files), wanted, len(resumed), going)
        target.refresh()
        names = [file.name for file in files]
        result = _result(target, names, len(files), wanted, len(resumed))
        target.write_text("README.md", card(target.root))
        if len(resumed) < len(files) or not target.exists(provenance.NAME):
            policies.keep(target, opened.path)
            index.write(target, names)
            provenance.write(target, provenance.policy_digests(opened.path, opened.header))
    return result


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
    names: Sequence[str],
    files: int,
    wanted: dict[str, Any],
    resumed: int,
    going: tuple[str, ...] = (),
) -> RunResult:
    """What was done, by the states of the files with these names."""
    states = [s for name in names if (s := out.read_json(f"{STATE}/{name}.json"))]
    if len(states) != len(names):
        raise UnreadableFile(f"{out.root} is not complete: run the same command again.")
    replaced: dict[str, int] = {}
    for state in states:
        for kind, count in state["pii"].items():
            replaced[kind] = replaced.get(kind, 0) + count
    return RunResult(
        out=out.root,
        files=files,
        documents_in=sum(s["rows_in"] for s in states),
        documents_out=sum(s["rows_out"] for s in states),
        replaced=dict(sorted(replaced.items())),
        fingerprint=wanted["fingerprint"],
        resumed_files=resumed,
        jobs=going,
    )
