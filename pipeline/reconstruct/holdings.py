"""What is there of a mixture: the corpora in output folders, and the rows of a stage that they fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from pipeline.errors import UnreadableFile
from pipeline.reconstruct import manifest
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.mixture import Dataset, Mixture, Stage
from pipeline.reconstruct.steps.write import LEDGER, STATE


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a run has left in its folder so far."""

    root: str
    recipe: str
    documents: int
    """Documents that stayed."""
    tokens: int
    """Tokens of those of which the dataset says it."""
    uncounted: int
    """Documents that stayed, of which it does not."""
    missing_files: int
    """Files of the input that are not done."""
    fingerprint: str
    settings: dict[str, Any]
    """Of the stages of its recipe."""


@dataclass(frozen=True, slots=True)
class Row:
    """How far a dataset of a stage is there."""

    dataset: Dataset
    corpora: tuple[Corpus, ...]
    others: tuple[Corpus, ...] = ()
    """Of the same recipes, but with other settings than the stage wants: they do not count."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The recipes of which there is no corpus."""
        made = {corpus.recipe for corpus in self.corpora}
        return tuple(name for name in self.dataset.recipes if name not in made)

    @property
    def documents(self) -> int:
        """Documents that are there, each once."""
        return sum(corpus.documents for corpus in self.corpora)

    @property
    def uncounted(self) -> int:
        """Those of them with an unknown number of tokens."""
        return sum(corpus.uncounted for corpus in self.corpora)

    @property
    def tokens(self) -> int:
        """Tokens in the stage, as far as they are known: those that are there, times the weight."""
        return round(sum(corpus.tokens for corpus in self.corpora) * self.dataset.weight)

    def described(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "name": self.dataset.name,
            "recipes": list(self.dataset.recipes),
            "variant": self.dataset.variant,
            "weight": self.dataset.weight,
            "corpora": [corpus.root for corpus in self.corpora],
            "other_settings": [corpus.root for corpus in self.others],
            "missing": list(self.missing),
            "missing_files": sum(corpus.missing_files for corpus in self.corpora),
            "documents": self.documents,
            "documents_without_tokens": self.uncounted,
            "tokens": self.tokens,
            "planned_tokens": self.dataset.planned,
        }


def corpus(root: str, progress: Callable[[int, int], None] | None = None) -> Corpus:
    """What is in the folder of a run; ``progress`` is called with (files read, files in all).

    Raises:
        UnreadableFile: it is no such folder, or damaged.
    """
    folder = Folder(root)
    told = folder.read_json(manifest.NAME)
    try:
        assert told is not None
        names = [file["name"] for file in told["input"]["files"]]
        recipe, fingerprint = str(told["recipe"]["name"]), str(told["fingerprint"])
        settings = dict(told["recipe"].get("settings", {}))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableFile(
            f"{root} is not the output folder of lethe reconstruct run: it has no manifest of a run."
        ) from None
    documents = tokens = uncounted = missing = 0
    for number, name in enumerate(names, 1):
        if folder.exists(f"{STATE}/{name}.json"):
            kept, known, unknown = _counted(folder, f"{LEDGER}/{name}")
            documents, tokens, uncounted = documents + kept, tokens + known, uncounted + unknown
        else:
            missing += 1
        if progress is not None:
            progress(number, len(names))
    return Corpus(root, recipe, documents, tokens, uncounted, missing, fingerprint, settings)


def rows(stage: Stage, corpora: Sequence[Corpus]) -> list[Row]:
    """What is there of each dataset of a stage."""
    found = []
    for dataset in stage.datasets:
        same = [c for c in corpora if c.recipe in dataset.recipes]
        fitting = [c for c in same if not dataset.differences(c.settings)]
        others = [c for c in same if dataset.differences(c.settings)]
        found.append(Row(dataset, tuple(fitting), tuple(others)))
    return found


def unused(mixture: Mixture, corpora: Sequence[Corpus]) -> list[Corpus]:
    """The corpora whose recipe no stage names."""
    named = {name for s in mixture.stages for dataset in s.datasets for name in dataset.recipes}
    return [c for c in corpora if c.recipe not in named]


def check_apart(corpora: Iterable[Corpus]) -> None:
    """Look whether each corpus is there once.

    Raises:
        InputError: one is there twice; its tokens would count twice.
    """
    met: dict[str, str] = {}
    for c in corpora:
        if c.fingerprint in met:
            raise InputError(
                f"{c.root} holds the same run as {met[c.fingerprint]}: give each corpus once."
            )
        met[c.fingerprint] = c.root


def _counted(folder: Folder, name: str) -> tuple[int, int, int]:
    """Documents that stayed, tokens of those with a number, documents without one."""
    documents = tokens = unknown = 0
    with folder.parquet(name) as parquet:
        try:
            for batch in parquet.iter_batches(1 << 16, columns=["verdict", "tokens"]):
                kept = batch.filter(pc.equal(pc.cast(batch["verdict"], pa.string()), "keep"))
                documents += kept.num_rows
                unknown += kept["tokens"].null_count
                tokens += pc.sum(kept["tokens"], min_count=0).as_py()
        except (pa.ArrowException, OSError, KeyError, ValueError):
            raise UnreadableFile(
                f"{folder.root}/{name} is damaged, or no ledger: run the same command again."
            ) from None
    return documents, tokens, unknown
