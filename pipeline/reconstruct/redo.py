"""Redoing the files of a corpus under a newer policy or bundle: each in parts, or as a whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnreadableFile
from pipeline.optout.page import PAGE_SIGNALS
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal
from pipeline.parquet.parts import Parts
from pipeline.reconstruct import certificate, staging
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.counts import Counts
from pipeline.reconstruct.editing import kept_rows, taken_apart, write_data, write_ledger
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.newer import Newer, Redone, decided_again
from pipeline.reconstruct.progress import leave_word
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.steps.write import DATA, LEDGER, STATE

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that one takedown knows. Travels to other processes, which open what they need again."""

    target: Folder
    root: Path
    """Where it lies on this machine."""
    recipe: Recipe
    options: Options
    newer: Newer
    listed: ListedPhrases | None
    files: list[InputFile]
    held: dict[str, Any]
    """The manifest as it is, and as it is to be."""
    wanted: dict[str, Any]
    source: str
    steps: Sequence[PipelineStep]

    @property
    def relists(self) -> bool:
        """Whether another bundle decides now what is removed from texts."""
        before, after = (
            one.get("bundle", {}).get("content_sha256") for one in (self.held, self.wanted)
        )
        return bool(before != after)


class RedoFiles(PipelineStep):
    """Redoes some files of a corpus, task number r the r-th."""

    name = "Redo files"
    type = "Writer"

    def __init__(self, work: Work, names: Sequence[str], marks: Path) -> None:
        """``marks`` is the folder in which a task leaves word that it is through."""
        super().__init__()
        self.work = work
        self.names = names
        self.marks = marks

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Nothing comes out."""
        redo(self.work, self.names[rank])
        leave_word(self.marks, rank, 1)
        yield from ()


def redo(work: Work, name: str) -> None:
    """Make one file again, if anything in it is otherwise.

    Raises:
        UnreadableFile: a file of the corpus is missing, damaged, or not the one that was written.
    """
    before = state_of(work.target, name)
    with taken_apart(work.root / LEDGER / name) as ledger:
        redone = decided_again(ledger, work.newer)
        texts = _texts(work, name, ledger, redone, before)
        if texts is None:
            _from_input(work, name)
        elif not redone.is_changed and not texts:
            return
        else:
            _edit(work, name, ledger, redone, texts, before)
        after = state_of(staging.stage(work.root), name)
        if before == after:
            return  # what is staged takes nobody's place
        with taken_apart(work.root / LEDGER / name, before["sha256"]["ledger"]):
            gone, back = _moved(work, name, ledger, None if texts is None else redone)
        certificate.note(work.root, name, before, after, gone, back, remade=texts is None)
    staging.settle(work.root, [name])


def state_of(folder: Folder, name: str) -> dict[str, Any]:
    """The state of a finished file.

    Raises:
        UnreadableFile: it is not there, or damaged.
    """
    path = f"{STATE}/{name}.json"
    state = folder.read_json(path)
    if state is None:
        raise UnreadableFile(f"{folder.root} is not complete: run it again first.")
    try:
        Counts.of(state["counts"])
        whole = {DATA, LEDGER} <= state["sha256"].keys()
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UnreadableFile(f"{folder.root}/{path} is damaged: delete it and run again.")
    return state


def _texts(
    work: Work, name: str, ledger: Parts, redone: Redone, before: dict[str, Any]
) -> Mapping[int, str] | None:
    """New texts by row, or ``None`` where the file has to be made again from the input."""
    whole = (
        redone.needs_input
        or (redone.is_changed and (work.options.removed != "none" or bool(work.held["steps"])))
        or _reads_pages(work, name)
    )
    if whole or (work.relists and (work.options.removed != "none" or work.held["steps"])):
        return None
    if not work.relists:
        return {}
    assert work.listed is not None
    from pipeline.reconstruct.relisting import Relisting, changed_texts
    from pipeline.reconstruct.remake import check_same

    source, file = Folder(work.source), _file(work, name)
    check_same(source, work.recipe, file)
    with (
        work.target.parquet(f"{DATA}/{name}") as parquet,
        taken_apart(work.root / DATA / name, before["sha256"]["data"]) as data,
    ):
        relisting = Relisting(work.recipe, work.options.pii, work.listed)
        return changed_texts(
            relisting, source, file, data, parquet.schema_arrow, kept_rows(ledger), redone.gone
        )


def _reads_pages(work: Work, name: str) -> bool:
    """Whether pages say something that the newer policy listens to and the older one may not have heard."""
    newer = work.newer
    listens = PAGE_SIGNALS & {Signal(name) for name in newer.file.header.spec["signals"]}
    if not (newer.changed.everything and listens):
        return False
    with work.target.parquet(f"{DATA}/{name}") as parquet:
        return bool(resolve(work.recipe, parquet.schema_arrow, name).pages)


def _edit(
    work: Work,
    name: str,
    ledger: Parts,
    redone: Redone,
    texts: Mapping[int, str],
    before: dict[str, Any],
) -> None:
    """Write ledger, data and state of a file of which only parts are otherwise, beside it."""
    stage = staging.stage(work.root)
    state = {**before, "sha256": dict(before["sha256"])}
    if redone.groups:
        with stage.writing(f"{LEDGER}/{name}") as temporary:
            state["sha256"]["ledger"] = write_ledger(ledger, redone.groups, temporary)
        counts = Counts.of(before["counts"])
        counts.plus(redone.counts)
        state["counts"] = counts.described()
    if redone.gone or texts:
        with (
            work.target.parquet(f"{DATA}/{name}") as parquet,
            taken_apart(work.root / DATA / name, before["sha256"]["data"]) as data,
            stage.writing(f"{DATA}/{name}") as temporary,
        ):
            edited = write_data(
                data,
                parquet.schema_arrow,
                work.recipe.text,
                kept_rows(ledger),
                redone.gone,
                texts,
                temporary,
            )
        state["sha256"]["data"] = edited.sha256
        state["rows_out"] -= len(redone.gone)
        if work.options.pii != "none":
            markers = Counter(before["pii"])
            markers.update(edited.markers.counts)
            state["pii"] = {kind: n for kind, n in markers.items() if n}
            state["documents_scrubbed"] += edited.markers.documents
    stage.write_text(f"{STATE}/{name}.json", json.dumps(state, indent=1, sort_keys=True))


def _from_input(work: Work, name: str) -> None:
    """Make a file again from the input, beside it."""
    from pipeline.reconstruct.remake import remake

    remake(
        work.recipe,
        OptOutPolicy.opened_once(work.newer.file.path),
        work.options,
        work.wanted,
        work.source,
        _file(work, name),
        staging.stage(work.root),
        work.steps,
        work.listed,
    )


def _moved(
    work: Work, name: str, ledger: Parts, edited: Redone | None
) -> tuple[pa.Table, pa.Table]:
    """The documents that went and came back: as they were edited out, or by the ledger that was made again."""
    if edited is not None:
        return pa.concat_tables([certificate.NOBODY, *edited.told]), certificate.NOBODY
    with taken_apart(work.root / staging.FOLDER / LEDGER / name) as new:
        return certificate.moved(ledger, new)


def _file(work: Work, name: str) -> InputFile:
    return next(file for file in work.files if file.name == name)
