"""The heads of a stage: one file for all languages, or one for each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from filter.errors import InputError, MissingExtra
from pipeline.errors import UnreadableFile, WrongRun

if TYPE_CHECKING:
    from pipeline.reconstruct.heads import Head

ANY = ""
"""The name under which a head for all languages is kept."""


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """The head files of a stage by language."""

    stage: str
    paths: dict[str, Path]
    digests: dict[str, str]
    """SHA-256 of each."""

    @classmethod
    def open(cls, given: str | Path, stage: str, known: tuple[str, ...]) -> Self:
        """A head file for all languages, or a folder with one for each: ``deu_Latn.safetensors``.

        Raises:
            InputError: what is wrong with them.
        """
        root = Path(given).resolve()  # a worker may stand elsewhere
        paths = {ANY: root}
        if root.is_dir():
            paths = {name: root / f"{name}.safetensors" for name in sorted(known)}
            paths = {name: path for name, path in paths.items() if path.is_file()}
            if not paths:
                raise UnreadableFile(
                    f"{root} holds no head for a language of the recipe: name them like "
                    f"{known[0]}.safetensors."
                )
        files = cls(stage, paths, {name: _sha256(path) for name, path in paths.items()})
        for name in paths:
            files.load(name)
        return files

    def load(self, name: str) -> Head:
        """The head kept under ``name``.

        Raises:
            InputError: it has changed since the run began, or is of another kind or language.
        """
        path = self.paths[name]
        head = _read(path)
        if _sha256(path) != self.digests[name]:
            raise WrongRun(f"{path} has changed since the run began: start it again.")
        if head.spec.kind != self.stage:
            raise InputError(
                f"{path} is a head for {head.spec.kind}: give one for {self.stage} with "
                f"--{self.stage}-head."
            )
        if name != ANY and head.spec.languages and name not in head.spec.languages:
            raise InputError(f"{path} is a head for {', '.join(head.spec.languages)}: rename it.")
        return head


class OpenHeads:
    """The heads of a stage in one process, opened when they are needed."""

    def __init__(self, files: HeadFiles, device: str) -> None:
        self._files = files
        self._device = device
        self._open: dict[str, Head] = {}

    def of(self, language: str) -> Head:
        """The head for ``language``.

        Raises:
            InputError: there is none.
        """
        name = language if language in self._files.paths else ANY
        if name in self._files.paths and name not in self._open:
            self._open[name] = self._files.load(name).to(self._device)
        head = self._open.get(name)
        if head is None or (head.spec.languages and language not in head.spec.languages):
            stage = self._files.stage
            raise InputError(
                f"There are documents in {language}, and --{stage}-head has no head for it: give a folder "
                f"in which {language}.safetensors is."
            )
        return head


def _read(path: Path) -> Head:
    try:
        from pipeline.reconstruct.head_file import read_head
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"Heads need the package {missing.name!r}: pip install 'lethe-llm[heads]'."
        ) from None
    return read_head(path)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be opened: {error.strerror}.") from None
