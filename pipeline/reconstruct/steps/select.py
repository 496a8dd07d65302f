"""Choosing among the documents that nobody opted out: by heads, and by lot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.languages import OTHER, Languages
from pipeline.reconstruct.selection import EMBEDDINGS, Judge, Shares
from pipeline.reconstruct.stage_heads import OpenHeads
from pipeline.reconstruct.vectors import read_vectors

NO_EMBEDDING, NO_LANGUAGE = "no-embedding", "no-language"
"""What the ledger says of documents that cannot be judged: they go."""
_LIMIT = 1 << 64


_STALE = b"huggingface"
"""What `datasets` notes of the columns there are: it refuses a file that has others."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a head says of the documents of a chunk that are in a language which it judges."""

    language: str
    at: npt.NDArray[np.int64]
    """Their places in the table."""
    scores: npt.NDArray[np.float32]
    """NaN where a document has no vector."""


def keep(chunk: Chunk, stays: npt.NDArray[np.bool_], reason: str) -> None:
    """`Chunk.keep`, with no value of the rows that go left in a dictionary."""
    if not stays.all():
        chunk.keep(stays, reason)
        chunk.table = compacted(chunk.table)


def told_apart(chunk: Chunk, languages: Languages) -> npt.NDArray[np.int64]:
    """The numbers of the languages of a chunk's documents; those without a language go."""
    spoken = languages.read(chunk.table, chunk.file, chunk.first_row + chunk.survivors)
    keep(chunk, spoken.said, NO_LANGUAGE)
    return spoken.numbers[spoken.said]


def judged(
    judge: Judge, heads: OpenHeads, chunk: Chunk, numbers: npt.NDArray[np.int64]
) -> Iterator[Scores]:
    """What the heads of ``judge`` say, language by language; ``numbers`` are those of `told_apart`."""
    for number in sorted(set(numbers.tolist()) - {OTHER}):
        language = judge.languages.known[number]
        head = heads.of(language)
        at = np.flatnonzero(numbers == number)
        vectors = read_vectors(
            chunk.table[EMBEDDINGS].take(pa.array(at)),
            head.dimension,
            chunk.file,
            chunk.first_row + chunk.survivors[at],
            first=head.spec.vectors == "first",
        )
        yield Scores(language, at, head.of_documents(vectors.values, vectors.counts))


class JudgeDocuments(PipelineStep):
    """Keeps the documents that a head finds good enough."""

    name = "Judge documents"
    type = "Filter"

    def __init__(self, judge: Judge, device: str) -> None:
        super().__init__()
        self.judge = judge
        self.device = device

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks without what is not good enough or cannot be judged."""
        from pipeline.reconstruct.heads import one_thread

        heads = OpenHeads(self.judge.heads, self.device)
        for chunk in data:
            with one_thread():
                self._judge(heads, chunk)
            yield chunk

    def _judge(self, heads: OpenHeads, chunk: Chunk) -> None:
        numbers = told_apart(chunk, self.judge.languages)
        enough = np.ones(len(numbers), bool)
        readable = np.ones(len(numbers), bool)
        for found in judged(self.judge, heads, chunk, numbers):
            there = ~np.isnan(found.scores)
            readable[found.at[~there]] = False
            at = found.at[there]
            if len(at):
                enough[at] = self.judge.stays(found.scores[there], found.language)
        keep(chunk, readable, NO_EMBEDDING)
        keep(chunk, enough[readable], self.judge.stage)
        self.stat_update("documents", value=len(numbers))
        self.stat_update("kept", value=len(chunk.survivors))


def lot(seed: int, document: str) -> int:
    """The lot of a document, from 0 to 2**64 - 1; it is drawn for a share s if the lot is below s * 2**64.

    BLAKE2b with 8 octets of digest, of the seed as 8 octets and the id in UTF-8, read as a number, all
    big-endian. A document keeps its lot, so a smaller share is a part of a larger one.
    """
    digest = hashlib.blake2b(seed.to_bytes(8, "big"), digest_size=8)
    digest.update(document.encode())
    return int.from_bytes(digest.digest(), "big")


class DrawSample(PipelineStep):
    """Keeps a random share of the documents, by the hash of a seed and their ids."""

    name = "Draw sample"
    type = "Filter"

    def __init__(self, shares: Shares, languages: Languages) -> None:
        super().__init__()
        self.shares = shares
        self.languages = languages

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks with the documents that were drawn."""
        shares = (*self.shares.by_language, self.shares.others)  # the last one for `OTHER`
        limits = [int(share * _LIMIT) for share in shares]
        for chunk in data:
            numbers = told_apart(chunk, self.languages).tolist()
            keep(chunk, self._drawn(chunk, [limits[n] for n in numbers]), "sample")
            yield chunk

    def _drawn(self, chunk: Chunk, limits: list[int]) -> npt.NDArray[np.bool_]:
        assert chunk.decisions is not None
        ids = chunk.decisions.ids.take(pa.array(chunk.survivors)).to_pylist()
        rows = (chunk.first_row + chunk.survivors).tolist()
        seed = self.shares.seed
        return np.array(
            [
                limit == _LIMIT
                or lot(seed, f"{chunk.file}/{row}" if document is None else document) < limit
                for document, row, limit in zip(ids, rows, limits, strict=True)
            ],
            bool,
        )


class DropEmbeddings(PipelineStep):
    """Leaves the vectors out, of what was removed as well."""

    name = "Drop embeddings"
    type = "Formatter"

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks without the column."""
        for chunk in data:
            chunk.table = _without_vectors(chunk.table)
            if chunk.removed is not None:
                chunk.removed = _without_vectors(chunk.removed)
            yield chunk


def _without_vectors(table: pa.Table) -> pa.Table:
    left = table.drop_columns([EMBEDDINGS])
    held = {k: v for k, v in (left.schema.metadata or {}).items() if k != _STALE}
    return left.replace_schema_metadata(held or None)
