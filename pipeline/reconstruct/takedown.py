"""Taking down: a corpus under a newer policy, without making again what stays as it is.

What differs between the two policies names sites and documents; the index names their files; their ledgers
tell which rows are decided otherwise. Rows that go are cut out of the files in which they are. Documents that
come back, and those about which the page itself said something, are read from the input once more. In the end
the folder is what a run with the newer policy would have made of the same input, octet by octet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.difference import Changed, changed
from pipeline.optout.policy import OptOutPolicy
from pipeline.parquet.parts import Parts
from pipeline.parquet.thrift import Malformed
from pipeline.reconstruct import certificate, index, policies, staging
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.ledger import LedgerLayout
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.progress import Progress
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.redone import (
    Redone,
    decided_again,
    taken_apart,
    write_data,
    write_ledger,
)
from pipeline.reconstruct.rerun import recipe_of
from pipeline.reconstruct.selection import fixed

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

_DATA, _LEDGER, _STATE = "data", "ledger", "state"


@dataclass(frozen=True, slots=True)
class TakedownResult:
    """What a takedown did."""

    corpus: str
    documents_gone: int
    documents_back: int
    files: int
    """Files that changed."""
    files_cut: int
    """Of these, files from which rows were cut; the others were made again from the input."""
    certificate: str | None
    """Where the certificate lies, below the corpus; none where nothing changed."""
    fingerprint: str


@dataclass(slots=True)
class _Work:
    """Everything that one takedown knows."""

    target: Folder
    root: Path
    recipe: Recipe
    options: Options
    policy: OptOutPolicy
    changed: Changed
    files: list[InputFile]
    held: dict[str, Any]
    wanted: dict[str, Any]
    source: str
    steps: Sequence[PipelineStep]
    cut: int = 0


def takedown(
    corpus: str | Path,
    policy: str | Path,
    *,
    source: str | Path | None = None,
    steps: Sequence[PipelineStep] = (),
    progress: Progress | None = None,
) -> TakedownResult:
    """Bring the corpus in a local folder under a newer compiled ``policy``.

    Args:
        corpus: the folder of a finished `pipeline.reconstruct.run`.
        policy: compiled for the same signals and agents, or for others (then all rows are decided again).
        source: where the input is, if it has moved; it is read only where documents come back or the
            ledger does not tell enough.
        steps: the stock blocks of the run, if there were any; needed where the input is read.
        progress: called with (files looked at, files in all).

    Raises:
        InputError: anything that is wrong with what was handed in; the corpus is whole all the same, and
            an interrupted takedown goes on when it is given again.
    """
    target = Folder(str(corpus))
    work = _prepared(target, Path(policy), source, steps)
    if work.held["fingerprint"] == work.wanted["fingerprint"]:
        if target.exists(staging.JOURNAL):
            with alone_in(target):
                _say_what_it_is(work)
        return TakedownResult(target.root, 0, 0, 0, 0, None, work.wanted["fingerprint"])
    with alone_in(target):
        staging.begin(target, {"from": work.held["fingerprint"], "to": work.wanted["fingerprint"]})
        names = index.files(target, work.changed, [file.name for file in work.files])
        staging.settle(work.root, names)
        for number, name in enumerate(names):
            _redo(work, name)
            if progress is not None:
                progress(number + 1, len(names))
        return _finish(work)


def _prepared(
    target: Folder, policy: Path, source: str | Path | None, steps: Sequence[PipelineStep]
) -> _Work:
    if target.local is None:
        raise WrongRun(
            f"{target.root} is no local folder: a takedown works where it can rename files. Fetch it first."
        )
    held = _manifest(target)
    recipe, options = recipe_of(held), Options(**held["options"])
    opened = OptOutPolicy.open(policy)
    wanted = fixed({**held, "policy": manifests.policy_fields(opened.header)})
    wanted["fingerprint"] = manifests.fingerprint(wanted)
    return _Work(
        target=target,
        root=target.local,
        recipe=recipe,
        options=options,
        policy=opened,
        changed=_difference(target.local, held, opened),
        files=[InputFile(**one) for one in held["input"]["files"]],
        held=held,
        wanted=wanted,
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


def _difference(root: Path, held: dict[str, Any], new: OptOutPolicy) -> Changed:
    """What the newer policy treats in another way; anything, where the older one is not there to compare."""
    kept = root / policies.NAME
    try:
        old = OptOutPolicy.open(kept).version if kept.exists() else None
    except UnreadableFile:
        old = None  # its tags are not kept
    if old is None or old != held["policy"]["version"]:
        return Changed(everything="the policy of the corpus is not kept with it")
    return changed(kept, new.path)


# -- one file ----------------------------------------------------------------------------------


def _redo(work: _Work, name: str) -> None:
    """Make one file again, if anything in it is otherwise."""
    with taken_apart(work.root / _LEDGER / name) as ledger:
        redone = _again(work, name, ledger)
        if not redone.is_changed:
            return
        before = work.target.read_json(f"{_STATE}/{name}.json")
        if before is None:
            raise UnreadableFile(f"{work.target.root} is not complete: run it again first.")
        if redone.needs_input or (redone.gone and work.options.removed != "none"):
            _from_input(work, name)
        else:
            _cut(work, name, ledger, redone, before)
            work.cut += 1
        after = staging.stage(work.root).read_json(f"{_STATE}/{name}.json")
        assert after is not None
        certificate.note(work.root, name, ledger, before, after)
    staging.settle(work.root, [name])


def _again(work: _Work, name: str, ledger: Parts) -> Redone:
    try:
        return decided_again(ledger, work.policy, work.changed, work.recipe.dataset)
    except Malformed as error:
        raise UnreadableFile(
            f"The ledger of {name} is damaged ({error}): run the file again."
        ) from error


def _cut(work: _Work, name: str, ledger: Parts, redone: Redone, before: dict[str, Any]) -> None:
    """Write ledger, data and state of a file from which rows go, beside it."""
    stage = staging.stage(work.root)
    state = {**before, "sha256": dict(before["sha256"])}
    with stage.writing(f"{_LEDGER}/{name}") as temporary:
        state["sha256"]["ledger"] = write_ledger(ledger, redone, temporary)
    if redone.gone:
        kept = np.concatenate([np.zeros(0, np.int64), *_kept(ledger)])
        with (
            work.target.parquet(f"{_DATA}/{name}") as parquet,
            taken_apart(work.root / _DATA / name) as data,
            stage.writing(f"{_DATA}/{name}") as temporary,
        ):
            cut = write_data(
                data, parquet.schema_arrow, work.recipe.text, kept, redone.gone, temporary
            )
        state["sha256"]["data"] = cut.sha256
        state["rows_out"] -= len(redone.gone)
        if work.options.pii != "none":
            left = {kind: n - cut.markers[kind] for kind, n in before["pii"].items()}
            state["pii"] = {kind: n for kind, n in left.items() if n}
            state["documents_scrubbed"] -= cut.documents
    stage.write_text(f"{_STATE}/{name}.json", json.dumps(state, indent=1, sort_keys=True))


def _kept(ledger: Parts) -> Iterator[Any]:
    """Rows of the input that stand in the data file."""
    layout = LedgerLayout()
    first = 0
    for group in ledger.groups:
        verdicts = layout.reasons(group)["verdict"].combine_chunks()
        if isinstance(verdicts, pa.ChunkedArray):
            verdicts = verdicts.chunk(0)
        keep = verdicts.dictionary.index("keep").as_py()
        yield first + np.flatnonzero(verdicts.indices.to_numpy() == keep)
        first += group.rows


def _from_input(work: _Work, name: str) -> None:
    """Make a file again from the input, beside it."""
    from pipeline.reconstruct.remake import remake

    file = next(file for file in work.files if file.name == name)
    remake(
        work.recipe,
        work.policy,
        work.options,
        work.held,
        work.source,
        file,
        staging.stage(work.root),
        work.steps,
    )


# -- the end -----------------------------------------------------------------------------------


def _finish(work: _Work) -> TakedownResult:
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
        files_cut=work.cut,
        certificate=made,
        fingerprint=work.wanted["fingerprint"],
    )


def _say_what_it_is(work: _Work) -> None:
    """Let the folder with the newer manifest say what it is; then nothing is under way any more."""
    from pipeline.reconstruct import provenance
    from pipeline.reconstruct.card import card

    target = work.target
    target.write_text("README.md", card(target.root))
    policies.keep(target, work.policy)
    provenance.write(target, work.policy)
    staging.end(work.root)
