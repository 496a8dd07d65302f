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
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import WrongRun, of_the_disk
from pipeline.reconstruct import certificate, index, policies, staging
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.asked import manifest_of, prepared
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.progress import Progress, marks_for, shown
from pipeline.reconstruct.redo import RedoFiles, Work, redo, state_of

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


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
    quality_head: str | Path | None = None,
    toxicity_head: str | Path | None = None,
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
        quality_head: the head of the run, if it judged by one; needed where documents come back.
        toxicity_head: the same.
        workers: processes that work at the same time, each on one file.
        progress: called with (files looked at, files in all).

    Raises:
        InputError: anything that is wrong with what was handed in; the corpus is whole all the same, and
            an interrupted takedown goes on when it is given again.
    """
    if policy is None and bundle is None:
        raise WrongRun("There is nothing to take down by: give --policy, --bundle, or both.")
    target = Folder(str(corpus))
    if target.local is None:
        raise WrongRun(
            f"{target.root} is no local folder: a takedown works where it can rename files. Fetch it first."
        )
    manifest_of(target)  # there is a corpus, or nothing is locked
    heads = {"quality_head": quality_head, "toxicity_head": toxicity_head}
    try:
        with alone_in(target):
            work = prepared(target, target.local, policy, bundle, source, steps, heads)
            return _taken_down(work, workers, progress)
    except OSError as error:
        raise of_the_disk(error) from error


def _taken_down(work: Work, workers: int, progress: Progress | None) -> TakedownResult:
    target, going = work.target, staging.under_way(work.target)
    journal = {"from": work.held["fingerprint"], "to": work.wanted["fingerprint"]}
    if going is not None and work.held == work.wanted and going["to"] == journal["to"]:
        _say_what_it_is(work)  # it was interrupted behind the newer manifest
        result = _result(work)
        staging.end(work.root)
        return result
    if going is not None and going != journal:
        raise WrongRun(
            f"Another takedown of {target.root} was interrupted: give that one again first."
        )
    if work.held == work.wanted:
        return TakedownResult(target.root, 0, 0, 0, 0, None, journal["to"])
    names = [file.name for file in work.files]
    for name in names:
        state_of(target, name)
    if going is None:
        staging.begin(target, work.root, journal)
    try:
        _check_index(target, names)
        found = index.found(target, work.newer.changed, names)
        work = replace(work, newer=replace(work.newer, hosts=found.hosts))
        touched = names if work.relists else found.files
        staging.settle(work.root, touched)
        _redo_all(work, touched, workers, progress)
        return _finish(work)
    except BaseException:
        if staging.is_untouched(work.root):
            staging.end(work.root)
        raise


def _check_index(target: Folder, names: Sequence[str]) -> None:
    """Make the index again where it is not the one of which the corpus says where it comes from."""
    from pipeline.reconstruct import provenance

    said = provenance.digests(target)
    for path in (index.HOSTS, index.IDS):
        if not target.exists(path) or target.sha256(path) != said.get(path):
            index.write(target, names)
            return


def _redo_all(work: Work, names: Sequence[str], workers: int, progress: Progress | None) -> None:
    """Redo the files, in this process or in several."""
    if min(workers, len(names)) > 1:
        from pipeline.reconstruct.executor import FilesExecutor

        logs = str(work.root / staging.FOLDER / "logs")
        shutil.rmtree(logs, ignore_errors=True)  # nothing that an earlier attempt says is believed
        with marks_for(work.target) as marks, shown(progress, marks, 0, len(names)):
            steps: list[PipelineStep] = [RedoFiles(work, names, marks)]
            workers = min(workers, len(names))
            FilesExecutor(steps, tasks=len(names), workers=workers, logging_dir=logs).run()
        return
    for number, name in enumerate(names, 1):
        redo(work, name)
        if progress is not None:
            progress(number, len(names))


# -- the end -----------------------------------------------------------------------------------


def _finish(work: Work) -> TakedownResult:
    """All files are in their places: the certificate, which knows the older manifest; then the newer."""
    target = work.target
    notes = certificate.notes(work.root)
    made = certificate.write(target, work.root, work.held, work.wanted, notes) if notes else None
    told = {
        "documents_gone": sum(note["gone"] for note in notes),
        "documents_back": sum(note["back"] for note in notes),
        "files": len(notes),
        "files_cut": sum(not note["remade"] for note in notes),
        "certificate": made,
    }
    staging.stage(work.root).write_text(staging.RESULT, json.dumps(told))
    target.write_text(manifests.NAME, json.dumps(work.wanted, indent=1, sort_keys=True))
    _say_what_it_is(work)
    result = _result(work)
    staging.end(work.root)
    return result


def _result(work: Work) -> TakedownResult:
    """What was done, as it was noted before the newer manifest was written."""
    told = staging.stage(work.root).read_json(staging.RESULT) or {}
    return TakedownResult(corpus=work.target.root, fingerprint=work.wanted["fingerprint"], **told)


def _say_what_it_is(work: Work) -> None:
    """Let the folder with the newer manifest say what it is."""
    from pipeline.reconstruct import provenance
    from pipeline.reconstruct.card import card

    target = work.target
    target.write_text("README.md", card(target.root))
    policies.keep(target, work.newer.file.path)
    digests = provenance.policy_digests(work.newer.file.path, work.newer.file.header)
    provenance.write(target, digests)
