"""A corpus as token files for Megatron-LM: ``.bin`` with the tokens, ``.idx`` with where documents begin.

datatrove tokenises and writes the format; what is added here are names that follow the corpus, files that
appear whole, and going on where a run was stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from pipeline.atomic import replacing
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.reconstruct import manifest, staging
from pipeline.reconstruct.executor import FilesExecutor
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.progress import Progress, leave_word, marks_for, shown
from pipeline.reconstruct.steps.write import DATA, STATE

FORMAT = 1
TOLD = "megatron.json"
ENDINGS = ("bin", "idx")
_EOS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
"""What end tokens are called in the tokenizers that people use; the first one that there is."""
_BATCH, _STAGING = 1000, ".work"


@dataclass(frozen=True, slots=True)
class Tokenized:
    """What is in the folder in the end."""

    out: str
    files: int
    documents: int
    empty: int
    """Documents without text; they have no sequence and are not among the others."""
    tokens: int
    unpublished: bool
    """The corpus must not be published, so neither must this."""
    resumed_files: int


def tokenize(
    corpus: str,
    tokenizer: Path,
    out: Path,
    *,
    eos: str | None = None,
    bos: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Tokenized:
    """Write a pair of files for each data file of ``corpus``, the output folder of a run.

    ``tokenizer`` is a JSON file of the tokenizers library. Each document with a text is a sequence: its
    tokens, then ``eos``, with ``bos`` before them if one is named. ``progress`` is called with (documents
    read, documents in all).

    Raises:
        InputError: anything that is wrong with what was handed in; nothing written is lost.
    """
    told, states = _opened(corpus)
    eos = _special(tokenizer, eos, bos)
    unpublished = bool(told["options"].get("unpublished"))
    wanted = {
        "format": FORMAT,
        "tokenizer": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        "eos": eos,
        "bos": bos,
        "recipe": told["recipe"]["name"],
        "unpublished": unpublished,
    }
    _check(out, wanted, set(states))
    target = Folder(str(out))
    with alone_in(target), _staging(out):
        if not _check(out, wanted, set(states)):
            target.write_text(TOLD, json.dumps(wanted, indent=1, sort_keys=True))
        digests = {name: state["sha256"]["data"] for name, state in states.items()}
        todo = [name for name in sorted(states) if not _done(out, name, digests[name])]
        total = sum(state["rows_out"] for state in states.values())
        before = total - sum(states[name]["rows_out"] for name in todo)
        with (
            marks_for(target) as marks,
            shown(progress, marks, before, total),
            tempfile.TemporaryDirectory(prefix="lethe-") as logs,
        ):
            step = WritePairs(
                corpus, out, [(name, digests[name]) for name in todo], told["recipe"]["text"],
                tokenizer, eos, bos, marks,
            )  # fmt: skip
            FilesExecutor(
                [step], tasks=len(todo), workers=max(1, min(workers, len(todo))), logging_dir=logs
            ).run()
    made = [
        json.loads((out / STATE / f"{name}.json").read_text(encoding="utf-8"))
        for name in sorted(states)
    ]
    return Tokenized(
        out=str(out),
        files=len(states),
        documents=sum(m["documents"] for m in made),
        empty=sum(m["empty"] for m in made),
        tokens=sum(m["tokens"] for m in made),
        unpublished=unpublished,
        resumed_files=len(states) - len(todo),
    )


class WritePairs(PipelineStep):
    """Tokenises data files, each into its pair; task number r makes the r-th."""

    name = "Write Megatron files"
    type = "Writer"

    def __init__(
        self,
        corpus: str,
        out: Path,
        files: list[tuple[str, str]],
        text: str,
        tokenizer: Path,
        eos: str,
        bos: str | None,
        progress: Path,
    ) -> None:
        """``files`` are names of data files with the SHA-256 that their states tell."""
        super().__init__()
        self.corpus, self.out, self.files, self.text = corpus, out, files, text
        self.tokenizer, self.eos, self.bos, self.progress = tokenizer, eos, bos, progress

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Nothing comes out; everything has been written by then."""
        for name, digest in self.files[rank::world_size]:
            self._write(name, digest, rank)
        yield from ()

    def _write(self, name: str, digest: str, rank: int) -> None:
        state = self.out / STATE / f"{name}.json"
        state.unlink(missing_ok=True)  # before its files change
        read = _Read(
            Folder(self.corpus), name, self.text, lambda n: leave_word(self.progress, rank, n)
        )
        stem = self.out / name.removesuffix(".parquet")
        stem.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.out / _STAGING) as folder:
            tokens = len(self._writer(folder).write_tokens(read.documents(), "pair"))
            for ending in ENDINGS:
                with replacing(stem.with_name(f"{stem.name}.{ending}")) as temporary:
                    (Path(folder) / f"pair.{ending}").replace(temporary)
        with replacing(state) as temporary:
            told = {"data": digest, "documents": read.read - read.empty, "empty": read.empty}
            sizes = {e: stem.with_name(f"{stem.name}.{e}").stat().st_size for e in ENDINGS}
            temporary.write_text(json.dumps({**told, "tokens": tokens, "bytes": sizes}, indent=1))

    def _writer(self, folder: str) -> Any:
        """A writer of datatrove into ``folder``, with a tokenizer that neither cuts nor pads."""
        from datatrove.pipeline.tokens.megatron_tokenizer import MegatronDocumentTokenizer
        from tokenizers.processors import TemplateProcessing

        made = MegatronDocumentTokenizer(folder, None, str(self.tokenizer), self.eos, _BATCH)
        made.tokenizer.no_truncation()
        made.tokenizer.no_padding()
        if self.bos is not None:
            ids = [(token, made.tokenizer.token_to_id(token)) for token in (self.bos, self.eos)]
            made.tokenizer.post_processor = TemplateProcessing(
                single=f"{self.bos} $A {self.eos}", pair=None, special_tokens=ids
            )
        return made


class _Read:
    """The documents of a data file, counted as they are read."""

    def __init__(self, folder: Folder, name: str, column: str, told: Callable[[int], None]) -> None:
        self._folder, self._name, self._column, self._told = folder, name, column, told
        self.read = self.empty = 0

    def documents(self) -> Iterator[Document]:
        """Those that have a text.

        Raises:
            UnreadableFile: the file is damaged.
        """
        name = f"{DATA}/{self._name}"
        with self._folder.parquet(name) as parquet:
            try:
                for batch in parquet.iter_batches(_BATCH, columns=[self._column]):
                    for text in batch.column(0).to_pylist():
                        self.read += 1
                        if text:
                            yield Document(text=text, id=str(self.read))
                        else:
                            self.empty += 1
                    self._told(self.read)
            except (pa.ArrowException, OSError, UnicodeDecodeError):
                raise UnreadableFile(
                    f"{self._folder.root}/{name} is damaged behind row {self.read}: make it again."
                ) from None


def _opened(corpus: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The manifest of a corpus, and the states of its files by name."""
    folder = Folder(corpus)
    told = folder.read_json(manifest.NAME)
    if told is None or not {"recipe", "input", "options"} <= told.keys():
        raise UnreadableFile(
            f"{corpus} is not the output folder of lethe reconstruct run: it has no manifest of a run."
        )
    staging.check_none(folder)
    states = {}
    for file in told["input"]["files"]:
        state = folder.read_json(f"{STATE}/{file['name']}.json")
        if state is None:
            raise UnreadableFile(
                f"{corpus} is not complete ({file['name']} is not done): run the same command again."
            )
        states[file["name"]] = state
    return told, states


def _special(tokenizer: Path, eos: str | None, bos: str | None) -> str:
    """The end token; looks whether the tokenizer has the tokens that are added."""
    from tokenizers import Tokenizer

    try:
        opened = Tokenizer.from_file(str(tokenizer))
    except Exception:  # noqa: BLE001  (the library raises nothing more precise)
        raise UnreadableFile(
            f"{tokenizer} is not a JSON file of the tokenizers library: give the tokenizer.json of a model."
        ) from None
    for token in (eos, bos):
        if token is not None and opened.token_to_id(token) is None:
            raise UnknownName(
                f"{tokenizer} has no token {token!r}: give another for --eos or --bos."
            )
    found = eos or next((t for t in _EOS if opened.token_to_id(t) is not None), None)
    if found is None:
        raise UnknownName(
            f"{tokenizer} has none of the usual end tokens ({', '.join(_EOS)}): name its own with --eos."
        )
    return found


def _check(out: Path, wanted: dict[str, Any], names: set[str]) -> bool:
    """Whether ``out`` is the folder of these files already; if not, it is empty.

    Raises:
        WrongRun: it holds something else.
    """
    try:
        held = json.loads((out / TOLD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if out.is_dir() and not Folder(str(out)).empty():
            raise WrongRun(
                f"{out} holds files that are no token files of Lethe: choose an empty folder for --out."
            ) from None
        return False
    except (OSError, ValueError):
        raise WrongRun(f"{out} cannot be used: choose another folder for --out.") from None
    states = (path.relative_to(out / STATE).as_posix() for path in (out / STATE).rglob("*.json"))
    if held != wanted or {state.removesuffix(".json") for state in states} - names:
        raise WrongRun(
            f"{out} was made of another corpus or with another tokenizer: choose another folder for --out."
        )
    return True


@contextmanager
def _staging(out: Path) -> Iterator[None]:
    """A place for files that are not finished; what a killed process left there goes."""
    shutil.rmtree(out / _STAGING, ignore_errors=True)
    (out / _STAGING).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(out / _STAGING, ignore_errors=True)


def _done(out: Path, name: str, digest: str) -> bool:
    """Whether the pair of a data file is there, whole, and of what the file holds now."""
    try:
        told = json.loads((out / STATE / f"{name}.json").read_text(encoding="utf-8"))
        stem = out / name.removesuffix(".parquet")
        sizes = {e: stem.with_name(f"{stem.name}.{e}").stat().st_size for e in ENDINGS}
        return bool(told["data"] == digest and told["bytes"] == sizes)
    except (OSError, ValueError, KeyError, TypeError):
        return False
