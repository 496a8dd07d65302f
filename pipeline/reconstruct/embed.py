"""Giving the documents of a corpus their vectors: the same files with one column more."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongColumns, WrongRun
from pipeline.reconstruct.chunk import Chunk
from pipeline.reconstruct.columns import check_utf8, is_text
from pipeline.reconstruct.encoder import Encoder
from pipeline.reconstruct.folder import Folder, InputFile, inputs
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.progress import Progress
from pipeline.reconstruct.selection import EMBEDDINGS
from pipeline.reconstruct.steps.read import ReadChunks
from pipeline.reconstruct.steps.scrub import plain_texts

_MADE = b"lethe.embeddings"
"""Where the metadata of a file say what its vectors were made of."""
_STALE = b"huggingface"
"""What `datasets` notes of the columns there are: it refuses a file that has others."""
KIND = pa.list_(pa.list_(pa.float32()))


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was done."""

    files: int
    documents: int
    vectors: int
    """Added in this attempt."""
    resumed_files: int


def embed(
    source: str,
    encoder: Path,
    out: str,
    *,
    text: str = "text",
    batch: int = 32,
    device: str = "auto",
    progress: Progress | None = None,
) -> Embedded:
    """Write the files at ``source`` into ``out`` with the vectors of their texts in `EMBEDDINGS`.

    A file that an earlier attempt has finished is left as it is.

    Raises:
        InputError: what is wrong with the input, the encoder, or ``out``.
    """
    folder, files = inputs(source, lambda schema, name: _check(schema, name, text))
    target = Folder(out)
    if folder.local is not None and target.local is not None and not Path(source).is_file():
        given, written = folder.local.resolve(), target.local.resolve()
        if written == given or given in written.parents:
            raise WrongRun(f"{out} is the input folder or lies in it: choose a folder beside it.")
    if target.is_file():
        raise WrongRun(f"{out} is a file: choose a folder for --out.")
    opened = Encoder(encoder, device)
    try:
        with alone_in(target):
            return _all(folder, files, target, _Way(opened, text, batch), progress)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise InputError(
            f"A file could not be read or written ({why}): set that right; the same command goes on "
            "where it was."
        ) from error


@dataclass(frozen=True, slots=True)
class _Way:
    """How vectors are made."""

    encoder: Encoder
    text: str
    batch: int

    def made_of(self, file: InputFile) -> bytes:
        """What the vectors of a file depend on."""
        encoder = self.encoder
        said = [file.rows, file.bytes, file.tail, encoder.digest, encoder.piece, self.text]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest().encode()


def _all(
    folder: Folder, files: list[InputFile], target: Folder, way: _Way, progress: Progress | None
) -> Embedded:
    total = sum(file.rows for file in files)
    done = vectors = resumed = 0
    for file in files:
        if _finished(target, file, way.made_of(file)):
            resumed += 1
            done += file.rows
        else:
            for rows, count in _embedded(folder, file, target, way):
                done += rows
                vectors += count
                if progress is not None:
                    progress(done, total)
    if progress is not None:
        progress(total, total)
    return Embedded(len(files), total, vectors, resumed)


def _check(schema: pa.Schema, name: str, text: str) -> None:
    if EMBEDDINGS in schema.names:
        raise WrongColumns(f"{name} has a column {EMBEDDINGS!r} already: leave it out, or use it.")
    kind = schema.field(text).type if text in schema.names else None
    if kind is None or not is_text(kind):
        raise WrongColumns(f"{name} has no column {text!r} with texts: name another with --text.")


def _finished(target: Folder, file: InputFile, made: bytes) -> bool:
    """Whether ``target`` holds this file with these vectors.

    Raises:
        WrongRun: it holds another one of that name.
    """
    if not target.exists(file.name):
        return False
    try:
        with target.parquet(file.name) as parquet:
            if (parquet.schema_arrow.metadata or {}).get(_MADE) == made:
                return True
    except UnreadableFile:
        pass
    raise WrongRun(
        f"{target.root}/{file.name} is there already, and not made of this input by this encoder: choose "
        "an empty folder for --out."
    )


def _embedded(
    folder: Folder, file: InputFile, target: Folder, way: _Way
) -> Iterator[tuple[int, int]]:
    """Write one file; yields rows and vectors of each chunk that is done."""
    made = way.made_of(file)
    with target.writing(file.name) as path:
        writer: pq.ParquetWriter | None = None
        for chunk in ReadChunks(folder, [file]).run():
            table, vectors = _with_vectors(chunk, way)
            metadata = {**(table.schema.metadata or {}), _MADE: made}
            metadata.pop(_STALE, None)
            table = table.replace_schema_metadata(metadata)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            yield chunk.rows, vectors
        assert writer is not None
        writer.close()


def _with_vectors(chunk: Chunk, way: _Way) -> tuple[pa.Table, int]:
    """The rows of a chunk with their vectors, and how many those are."""
    check_utf8(chunk.table, way.text, chunk.file, chunk.first_row)
    found = way.encoder.encode(plain_texts(chunk.table, way.text).to_pylist(), way.batch)
    dimension = way.encoder.dimension
    flat = np.concatenate([*found, np.zeros((0, dimension), np.float32)])
    starts = pa.array(np.arange(len(flat) + 1) * dimension, pa.int32())
    inner = pa.ListArray.from_arrays(starts, pa.array(flat.ravel()))
    counts = np.cumsum([0, *(len(vectors) for vectors in found)])
    column = pa.ListArray.from_arrays(pa.array(counts, pa.int32()), inner)
    return chunk.table.append_column(pa.field(EMBEDDINGS, KIND), column.cast(KIND)), len(flat)
