"""Taking down: a corpus under a newer policy or bundle, without making again what stays as it is.

What differs between the two policies names sites and documents; the index names their files; their ledgers
tell which rows are decided otherwise. Rows that go are cut out of the files in which they are. Documents that
come back, and those about which the page itself said something, are read from the input once more. What a
newer bundle lists may stand in any text, so all are looked through; those that change are put in the place
of the others. In the end the folder is what a run with the newer policy and bundle would have made of the
same input, octet by octet.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout import policy_file
from pipeline.optout.difference import Changed, changed
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import certificate, index, policies, staging
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.manifest import Options, recipe_of
from pipeline.reconstruct.newer import Newer
from pipeline.reconstruct.progress import Progress, marks_for, shown
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.redo import RedoFiles, Work, redo
from pipeline.reconstruct.selection import fixed

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

    from pipeline.reconstruct.pii.listed import ListedPhrases


@dataclass(frozen=True, slots=True)
class TakedownResult:
    """What a takedown did."""

    corpus: str
    documents_gone: int
    documents_back: int
    files: int
    """Files that changed."""
    files_cut: int
    """Of these, files of which only parts were made anew; the others were made again from the input."""
    certificate: str | None
    """Where the certificate lies, below the corpus; none where no file changed."""
    fingerprint: str


def takedown(
    corpus: str | Path,
    policy: str | Path | None = None,
    *,
    bundle: str | Path | None = None,
    source: str | Path | None = None,
    steps: Sequence[PipelineStep] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> TakedownResult:
    """Bring the corpus in a local folder under a newer compiled ``policy``, a newer ``bundle``, or both.

    Args:
        corpus: the folder of a finished `pipeline.reconstruct.run`.
        policy: compiled for the same signals and agents, or for others (then all rows are decided again);
            without one that of the corpus stays.
        bundle: an operators' bundle of the output filter; without one that of the corpus stays. For another
            one all texts are looked through.
        source: where the input is, if it has moved; it is read only for another bundle, where documents
            come back, or where the ledger does not tell enough.
        steps: the stock blocks of the run, if there were any; needed where the input is read.
        workers: processes that work at the same time, each on one file.
        progress: called with (files looked at, files in all).

    Raises:
        InputError: anything that is wrong with what was handed in; the corpus is whole all the same, and
            an interrupted takedown goes on when it is given again.
    """
    target = Folder(str(corpus))
    work = _prepared(target, policy, bundle, source, steps)
    if work.held == work.wanted:
        if target.exists(staging.JOURNAL):
            with alone_in(target):
                _say_what_it_is(work)
        return TakedownResult(target.root, 0, 0, 0, 0, None, work.wanted["fingerprint"])
    with alone_in(target):
        staging.begin(target, {"from": work.held["fingerprint"], "to": work.wanted["fingerprint"]})
        names = [file.name for file in work.files]
        found = index.found(target, work.newer.changed, names)
        work = replace(work, newer=replace(work.newer, hosts=found.hosts))
        touched = names if work.relists else found.files
        staging.settle(work.root, touched)
        _redo_all(work, touched, workers, progress)
        return _finish(work)


def _redo_all(work: Work, names: Sequence[str], workers: int, progress: Progress | None) -> None:
    """Redo the files, in this process or in several."""
    if min(workers, len(names)) > 1:
        from pipeline.reconstruct.executor import FilesExecutor

        logs = str(work.root / staging.FOLDER / "logs")
        with marks_for(work.target) as marks, shown(progress, marks, 0, len(names)):
            steps: list[PipelineStep] = [RedoFiles(work, names, marks)]
            workers = min(workers, len(names))
            FilesExecutor(steps, tasks=len(names), workers=workers, logging_dir=logs).run()
        return
    for number, name in enumerate(names, 1):
        redo(work, name)
        if progress is not None:
            progress(number, len(names))


# -- what is there, and what is wanted ---------------------------------------------------------


def _prepared(
    target: Folder,
    policy: str | Path | None,
    bundle: str | Path | None,
    source: str | Path | None,
    steps: Sequence[PipelineStep],
) -> Work:
    if policy is None and bundle is None:
        raise WrongRun("There is nothing to take down by: give --policy, --bundle, or both.")
    if target.local is None:
        raise WrongRun(
            f"{target.root} is no local folder: a takedown works where it can rename files. Fetch it first."
        )
    held = _manifest(target)
    recipe, options = recipe_of(held), Options(**held["options"])
    opened = _policy(target.local, held, policy)
    listed = _bundle(recipe, options, bundle)
    return Work(
        target=target,
        root=target.local,
        recipe=recipe,
        options=options,
        newer=Newer(
            policy=opened,
            changed=Changed() if policy is None else _difference(target.local, held, opened),
            hosts=frozenset(),
            dataset=recipe.dataset,
        ),
        listed=listed,
        files=[InputFile(**one) for one in held["input"]["files"]],
        held=held,
        wanted=_wanted(held, opened, listed),
        source=str(source or held["input"]["root"]),
        steps=steps,
    )


def _manifest(target: Folder) -> dict[str, Any]:
    held = target.read_json(manifests.NAME)
    if held is None:
        raise WrongRun(f"{target.root} holds no {manifests.NAME}: give the folder of a run.")
    if held.get("engine_version") != manifests.ENGINE_VERSION or "recipe" not in held:
        raise WrongRun(
            f"{target.root} was made by another version of Lethe, whose files are laid out otherwise: run "
            "it again from the input once; from then on opt-outs can be taken down."
        )
    return held


def _wanted(
    held: dict[str, Any], policy: OptOutPolicy, listed: ListedPhrases | None
) -> dict[str, Any]:
    """The manifest of the run that a takedown stands for."""
    wanted = {**held, "policy": manifests.policy_fields(policy.header)}
    if policy.version != held["policy"]["version"]:
        wanted = fixed(wanted)
    if listed is not None:
        wanted["bundle"] = listed.described()
    wanted["fingerprint"] = manifests.fingerprint(wanted)
    return dict(json.loads(json.dumps(wanted)))


def _policy(root: Path, held: dict[str, Any], given: str | Path | None) -> OptOutPolicy:
    """The policy that is to hold: what was given, or what the corpus has."""
    if given is not None:
        return OptOutPolicy.open(Path(given).resolve())
    header = _kept(root, held)
    if header is None or header.tags:
        raise WrongRun(
            f"The policy of {root} is not kept with it, or not its compliance tags: give it, or a newer "
            "one, with --policy."
        )
    return OptOutPolicy.open(root / policies.NAME)


def _kept(root: Path, held: dict[str, Any]) -> policy_file.Header | None:
    """The header of the policy that is kept with the corpus, if it is the one that decided."""
    try:
        header = policy_file.read_header(root / policies.NAME)
    except UnreadableFile:
        return None
    return header if header.version == held["policy"]["version"] else None


def _difference(root: Path, held: dict[str, Any], new: OptOutPolicy) -> Changed:
    """What the newer policy treats in another way; anything, where the older one is not there to compare."""
    if new.version == held["policy"]["version"]:
        return Changed()
    if _kept(root, held) is None:
        return Changed(everything="the policy of the corpus is not kept with it")
    try:
        return changed(root / policies.NAME, new)
    except UnreadableFile:
        return Changed(everything="the tags of the older policy are not kept with the corpus")


def _bundle(recipe: Recipe, options: Options, bundle: str | Path | None) -> ListedPhrases | None:
    if bundle is None:
        return None
    from pipeline.reconstruct.pii.listed import ListedPhrases
    from pipeline.reconstruct.stages import check_recipe

    check_recipe(recipe, options, bundle=True)
    return ListedPhrases.open(bundle, names=options.unpublished)


# -- the end -----------------------------------------------------------------------------------


def _finish(work: Work) -> TakedownResult:
    """All files are in their places: the certificate, which knows the older manifest; then the newer."""
    target = work.target
    notes = certificate.notes(work.root)
    made = certificate.write(target, work.root, work.held, work.wanted, notes) if notes else None
    target.write_text(manifests.NAME, json.dumps(work.wanted, indent=1, sort_keys=True))
    _say_what_it_is(work)
    return TakedownResult(
        corpus=target.root,
        documents_gone=sum(note["gone"] for note in notes),
        documents_back=sum(note["back"] for note in notes),
        files=len(notes),
        files_cut=sum(not note["remade"] for note in notes),
        certificate=made,
        fingerprint=work.wanted["fingerprint"],
    )


def _say_what_it_is(work: Work) -> None:
    """Let the folder with the newer manifest say what it is; then nothing is under way any more."""
    from pipeline.reconstruct import provenance
    from pipeline.reconstruct.card import card

    target = work.target
    target.write_text("README.md", card(target.root))
    policies.keep(target, work.newer.policy)
    provenance.write(target, work.newer.policy)
    staging.end(work.root)
