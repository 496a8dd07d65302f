"""Preparing ParaDocs: lines of sentence pairs become documents, which the recipe ``paradocs`` reads.

The dataset is a folder for each pair of languages with gzipped lines of tab-separated fields
(``en-de/strict/000.gz``). Sentences that follow each other in one paragraph of one page are joined to a
block; a block gives two documents, one in each direction. What breaks a block, and of which files a
share is taken, follows the scripts of the Apertus project.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from filter.errors import InputError
from pipeline.atomic import replacing
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.progress import Progress

STRICT, PARACRAWL = "strict", "all/paracrawl"
FIELDS = (
    "src tgt similarity_one similarity_two collection src_paragraph_id tgt_paragraph_id src_sentence_id "
    "tgt_sentence_id src_start_index src_end_index tgt_start_index tgt_end_index src_language_id "
    "tgt_language_id frequency src_docid tgt_docid"
).split()
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("id", pa.string()),  # file, number of the block, languages in their order
        pa.field("languages", pa.string()),  # in their order in the text: en-de, de-en
        pa.field("collection", pa.string()),  # of its first line
        pa.field("src_docid", pa.string()),
        pa.field("tgt_docid", pa.string()),
        pa.field("sentences", pa.int32()),  # pairs in the block
    ]
)
_GAP = 2
"""Characters between the end of a sentence and the start of the one that follows it."""
_ROWS = 5000
_SETTINGS = b"lethe.paradocs"
_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What is kept; as the scripts of Apertus have it."""

    frequency: int = 3
    """A line that occurs more often in the whole dataset breaks a block."""
    confidence: float = 0.5
    """A line of which either language was recognised with less breaks a block."""
    longest: int = 4096
    """Characters of both sides of a block, together."""
    strict: float = 1.0
    """Share of the documents that stay, of files filtered strictly."""
    paracrawl: float = 0.25
    """The same of ``all/paracrawl``, which is read for pairs of languages without strict files."""
    seed: int = 42
    """Whether a document stays follows from this and its id."""

    def __post_init__(self) -> None:
        """Raise `UnknownName` for a share that is none, and where nothing could stay."""
        if not all(0 <= share <= 1 for share in (self.strict, self.paracrawl, self.confidence)):
            raise UnknownName("Shares and confidence go from 0 to 1: give such a number.")
        if self.frequency < 1 or self.longest < 1:
            raise UnknownName("Frequency and length are counts: give at least 1.")


@dataclass(frozen=True, slots=True)
class Source:
    """One gzipped file of the dataset."""

    name: str
    """``en-de/strict/000``."""
    path: Path
    languages: tuple[str, str]
    level: str


@dataclass(frozen=True, slots=True)
class Line:
    """A pair of sentences that may stand in a block."""

    src: str
    tgt: str
    place: tuple[str, str, int]
    """The pages on both sides and the paragraph in the first."""
    start: tuple[int, int]
    end: tuple[int, int]
    collection: str

    def follows(self, last: Line) -> bool:
        """Whether it stands right behind ``last`` on both sides."""
        return self.place == last.place and all(
            begin - end <= _GAP for begin, end in zip(self.start, last.end, strict=True)
        )


def sources(root: Path) -> list[Source]:
    """The files that are read: of each pair of languages the strict ones, or else all of ParaCrawl.

    Raises:
        UnreadableFile: there is no such file.
    """
    found = []
    for folder in sorted(root.iterdir() if root.is_dir() else []):
        languages = folder.name.split("-")
        if len(languages) != 2:
            continue
        for level in (STRICT, PARACRAWL):
            files = sorted((folder / level).glob("*.gz"))
            found += [
                Source(f"{folder.name}/{level}/{f.stem}", f, (languages[0], languages[1]), level)
                for f in files
            ]
            if files:
                break
    if not found:
        raise UnreadableFile(
            f"{root} holds no file like en-de/strict/000.gz: give the folder 'data' of the dataset."
        )
    return found


def prepare(
    root: Path,
    out: Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> int:
    """Make a Parquet file for each file of the dataset; returns the number of documents in all.

    What was finished before with the same settings is left as it is. ``progress`` is called with
    (octets read, octets in all).

    Raises:
        InputError: something is wrong with the files, or ``out`` holds something else.
    """
    files = sources(root)
    wanted = {out / f"{source.name}.parquet" for source in files}
    strangers = {p for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")} - wanted
    if strangers:
        raise WrongRun(
            f"{out} holds other files ({min(strangers).relative_to(out)}): choose an empty folder for "
            "--out."
        )
    try:
        with alone_in(Folder(str(out))):
            return _all_prepared(files, out, settings or Settings(), progress)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise InputError(
            f"A file could not be read or written ({why}): set that right; the same command goes on "
            "where it was."
        ) from error


def _all_prepared(
    files: list[Source], out: Path, settings: Settings, progress: Progress | None
) -> int:
    sizes = [source.path.stat().st_size for source in files]
    count = 0
    for number, source in enumerate(files):

        def told(position: int, before: int = sum(sizes[:number])) -> None:
            if progress is not None:
                progress(before + position, sum(sizes))

        count += _prepared(source, out / f"{source.name}.parquet", settings, told)
        told(sizes[number])
    return count


def documents(
    source: Source, settings: Settings, told: Callable[[int], None]
) -> Iterator[dict[str, object]]:
    """The documents of one file that stay, as rows of `SCHEMA`.

    Raises:
        UnreadableFile: it is damaged, or its lines are of another dataset.
    """
    share = settings.strict if source.level == STRICT else settings.paracrawl
    lines = _lines(source.path, settings, told)
    for number, block in enumerate(_blocks(lines, settings)):
        sides = (" ".join(line.src for line in block), " ".join(line.tgt for line in block))
        texts = [
            f"{language}: {side.strip()}"
            for language, side in zip(source.languages, sides, strict=True)
        ]
        for order in ((0, 1), (1, 0)):
            languages = "-".join(source.languages[i] for i in order)
            document_id = f"{source.name}/{number}/{languages}"
            if _draw(settings.seed, document_id) < share:
                yield {
                    "text": "\n".join(texts[i] for i in order),
                    "id": document_id,
                    "languages": languages,
                    "collection": block[0].collection,
                    "src_docid": block[0].place[0],
                    "tgt_docid": block[0].place[1],
                    "sentences": len(block),
                }


def _prepared(source: Source, path: Path, settings: Settings, told: Callable[[int], None]) -> int:
    made_of = {**asdict(settings), "input": source.name, "bytes": source.path.stat().st_size}
    schema = SCHEMA.with_metadata({_SETTINGS: json.dumps(made_of, sort_keys=True).encode()})
    with suppress(pa.ArrowException, OSError):
        finished = pq.ParquetFile(path)
        if finished.schema_arrow.metadata == schema.metadata:
            return int(finished.metadata.num_rows)
    count = 0
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        rows = documents(source, settings, told)
        while held := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(held, schema))
            count += len(held)
    return count


def _blocks(lines: Iterator[Line | None], settings: Settings) -> Iterator[list[Line]]:
    """Runs of lines that follow each other, none longer than allowed (one line alone may be)."""
    block: list[Line] = []
    length = 0
    for line in lines:
        added = 0 if line is None else len(line.src) + len(line.tgt) + 2
        if block and (
            line is None or not line.follows(block[-1]) or length + added > settings.longest
        ):
            yield block
            block, length = [], 0
        if line is not None:
            length += added if block else added - 2
            block.append(line)
    if block:
        yield block


def _lines(path: Path, settings: Settings, told: Callable[[int], None]) -> Iterator[Line | None]:
    """The lines of a file, ``None`` for each that breaks a block."""
    number = 0
    try:
        with path.open("rb") as packed, gzip.open(packed, "rb") as unpacked:
            for number, raw in enumerate(unpacked, 1):
                fields = raw.decode("utf-8").rstrip("\r\n").split("\t")
                if len(fields) != len(FIELDS):
                    raise UnreadableFile(
                        f"{path} has {len(fields)} fields in line {number} where ParaDocs has "
                        f"{len(FIELDS)}: give the files of that dataset."
                    )
                yield _line(dict(zip(FIELDS, fields, strict=True)), settings)
                if number % _EVERY == 0:
                    told(packed.tell())
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path} is not UTF-8 in line {number}: fetch it again.") from None
    except (OSError, EOFError, zlib.error):
        raise UnreadableFile(f"{path} is damaged behind line {number}: fetch it again.") from None


def _line(fields: dict[str, str], settings: Settings) -> Line | None:
    """A line that may stand in a block; ``None`` for one that nothing is known of, too."""
    try:
        confidence = (float(fields["src_language_id"]), float(fields["tgt_language_id"]))
        frequency = int(fields["frequency"])
        start = (int(fields["src_start_index"]), int(fields["tgt_start_index"]))
        end = (int(fields["src_end_index"]), int(fields["tgt_end_index"]))
        paragraph = int(fields["src_paragraph_id"])
    except ValueError:
        return None  # "None" where a sentence was not found in its page
    src, tgt = fields["src"], fields["tgt"]
    if frequency > settings.frequency or not all(c >= settings.confidence for c in confidence):
        return None
    if not (src.strip() and tgt.strip()):
        return None
    place = (fields["src_docid"], fields["tgt_docid"], paragraph)
    return Line(src, tgt, place, start, end, fields["collection"])


def _draw(seed: int, document_id: str) -> float:
    """A number from 0 to below 1 that follows from the id alone."""
    digest = hashlib.blake2b(f"{seed}\x00{document_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
