"""Make the files of examples/sample from their human-readable sources in examples/sample/src.

::

    python examples/make_sample.py            write the files
    python examples/make_sample.py --check    say whether the committed files equal a regeneration

Nothing here is random and no clock is read: on one machine the same sources give the same bytes.
Between versions of pyarrow the bytes of a Parquet file may differ and the tables do not, so tables
are what ``--check`` compares.

A file of documents, ``src/documents/LANGUAGE[-PART].md``, is a sequence of::

    # https://host.example/path
    dump: CC-MAIN-2024-10               optional
    meta_robots: {"robots": "noai"}     optional, JSON
    drop: robots                        optional: the signal that should refuse the document

    The text; blank lines are left out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filter.errors import InputError
from filter.urls import split_url

SAMPLE = Path(__file__).resolve().parent / "sample"

CORPUS_FILES = ("000_00000.parquet", "000_00001.parquet", "001_00000.parquet")
ROW_GROUP = 32
"""Rows; small, so that each file has several row groups and a takedown can leave some alone."""

CORPUS_SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("id", pa.string()),
        ("dump", pa.string()),
        ("url", pa.string()),
        ("date", pa.string()),
        ("file_path", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("token_count", pa.int64()),
        ("meta_robots", pa.string()),
    ]
)
"""FineWeb's columns in FineWeb's order, and what the page said of itself."""

SNAPSHOT_SCHEMA = pa.schema(
    [
        ("domain", pa.string()),
        ("file", pa.string()),
        ("content", pa.binary()),
        ("status", pa.int32()),
        ("fetched_at", pa.timestamp("us", tz="UTC")),
        ("url", pa.string()),
    ]
)

TAGS_SCHEMA = pa.schema([("id", pa.string()), ("user_agents", pa.list_(pa.string()))])

DUMPS = {
    "CC-MAIN-2023-50": datetime(2023, 11, 28, tzinfo=UTC),
    "CC-MAIN-2024-10": datetime(2024, 2, 20, tzinfo=UTC),
    "CC-MAIN-2024-33": datetime(2024, 8, 2, tzinfo=UTC),
    "CC-MAIN-2024-51": datetime(2024, 12, 1, tzinfo=UTC),
}
"""Crawls and the days they began on; each is taken to last twelve days."""
CRAWL_SECONDS = 12 * 24 * 3600

FIELDS = frozenset({"dump", "meta_robots", "drop"})
WITHOUT_SPACES = frozenset({"ja", "zh"})
TOKENS_PER_WORD = 1.3

_HEADING = re.compile(r"^# (?=https?://)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document as its author wrote it."""

    url: str
    language: str
    """ISO 639-1."""
    text: str
    dump: str
    meta_robots: str | None
    drop: str | None
    """The signal that should refuse it, by its name in `pipeline.optout.signals.Signal`."""

    @property
    def uuid(self) -> uuid.UUID:
        """The same for the same URL, for ever."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self.url)

    @property
    def id(self) -> str:
        """As FineWeb writes it: the WARC-Record-ID."""
        return f"<{self.uuid.urn}>"


def count_words(text: str, language: str) -> int:
    """Words between white space; characters where the script writes none."""
    if language in WITHOUT_SPACES:
        return len("".join(text.split()))
    return len(text.split())


def read_documents(folder: Path) -> list[Document]:
    """All documents below ``folder``, ordered by id. Raises `InputError` naming file and URL."""
    found = [d for path in sorted(folder.glob("*.md")) for d in _read_file(path)]
    for url, times in Counter(d.url for d in found).items():
        if times > 1:
            raise InputError(f"{url} stands in {folder} twice: give one of them another address.")
    return sorted(found, key=lambda d: d.uuid)


def _read_file(path: Path) -> list[Document]:
    before, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
    if before.strip():
        raise InputError(f"{path.name} begins with text: put '# https://...' above it.")
    language = path.stem.partition("-")[0]
    return [_document(part, language, path.name) for part in parts]


def _document(part: str, language: str, name: str) -> Document:
    head, _, body = part.partition("\n\n")
    url, *lines = head.split("\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    text = "\n".join(line.strip() for line in body.splitlines() if line.strip())
    if len(fields) != len(lines) or not fields.keys() <= FIELDS or not text:
        raise InputError(
            f"{name}, {url}: write fields ({', '.join(sorted(FIELDS))}), a blank line, the text."
        )
    if "meta_robots" in fields:
        json.loads(fields["meta_robots"])
    digest = hashlib.sha256(url.encode()).digest()
    dump = fields.get("dump", sorted(DUMPS)[digest[0] % len(DUMPS)])
    return Document(url, language, text, dump, fields.get("meta_robots"), fields.get("drop"))


def corpus_row(document: Document) -> dict[str, Any]:
    """The document in FineWeb's columns; what nobody wrote is derived from its address."""
    digest = hashlib.sha256(document.url.encode()).digest()
    start = DUMPS[document.dump]
    offset = int.from_bytes(digest[1:5], "big") % CRAWL_SECONDS
    fetched = start + timedelta(seconds=offset)
    segment = start + timedelta(days=offset // 86_400)
    span = f"{segment:%Y%m%d%H%M%S}-{segment + timedelta(hours=3):%Y%m%d%H%M%S}"
    words = count_words(document.text, document.language)
    return {
        "text": document.text,
        "id": document.id,
        "dump": document.dump,
        "url": document.url,
        "date": f"{fetched:%Y-%m-%dT%H:%M:%SZ}",
        "file_path": (
            f"s3://commoncrawl/crawl-data/{document.dump}/segments/"
            f"{int(segment.timestamp())}.{digest[5] % 100}/warc/"
            f"CC-MAIN-{span}-{int.from_bytes(digest[6:8], 'big') % 900:05d}.warc.gz"
        ),
        "language": document.language,
        "language_score": round(0.87 + digest[8] / 2000, 4),
        "token_count": round(words * TOKENS_PER_WORD),
        "meta_robots": document.meta_robots,
    }


def corpus_tables(documents: list[Document]) -> dict[str, pa.Table]:
    """The corpus files. A document's file follows from its id, so a new one moves no other."""
    count = len(CORPUS_FILES)
    return {
        f"corpus/{name}": pa.Table.from_pylist(
            [corpus_row(d) for d in documents if d.uuid.int % count == number],
            schema=CORPUS_SCHEMA,
        )
        for number, name in enumerate(CORPUS_FILES)
    }


def snapshot_table(source: Path) -> pa.Table:
    """The opt-out files of ``source``: snapshot.tsv names them, files/ holds their bodies."""
    with (source / "snapshot.tsv").open(encoding="utf-8", newline="") as lines:
        rows: list[dict[str, Any]] = list(csv.DictReader(lines, delimiter="\t"))
    for row in rows:
        body = row.pop("source")
        row["content"] = None if body == "-" else (source / "files" / body).read_bytes()
        row["status"] = int(row["status"])
        row["fetched_at"] = datetime.fromisoformat(row["fetched_at"])
    return pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA)


def tags_table(source: Path, documents: list[Document]) -> pa.Table:
    """The compliance tags: tags.jsonl names documents by address, the table by id."""
    ids = {d.url: d.id for d in documents}
    lines = (source / "tags.jsonl").read_text(encoding="utf-8").splitlines()
    tags = [json.loads(line) for line in lines]
    unknown = [tag["url"] for tag in tags if tag["url"] not in ids]
    if unknown:
        raise InputError(f"tags.jsonl names {unknown[0]}, which is no document: correct it.")
    rows = [{"id": ids[tag["url"]], "user_agents": tag["user_agents"]} for tag in tags]
    return pa.Table.from_pylist(rows, schema=TAGS_SCHEMA)


def domains_text(documents: list[Document]) -> str:
    """The canonical hosts of the corpus, one a line."""
    hosts = sorted({split_url(d.url).host for d in documents})
    return "".join(f"{host}\n" for host in hosts)


def expected_text(documents: list[Document]) -> str:
    """The documents that should go, one JSON object a line; all others should stay."""
    rows = [{"id": d.id, "url": d.url, "signal": d.drop} for d in documents if d.drop]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def generate(source: Path) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Everything that is made: Parquet tables and texts, by their paths in the sample.

    Raises:
        InputError: a source does not follow its format.

    """
    documents = read_documents(source / "documents")
    tables = corpus_tables(documents)
    tables["robots.parquet"] = snapshot_table(source)
    tables["tags.parquet"] = tags_table(source, documents)
    texts = {"domains.txt": domains_text(documents), "expected.jsonl": expected_text(documents)}
    return tables, texts


def write(sample: Path) -> None:
    """Make all files below ``sample`` from ``sample/src``."""
    tables, texts = generate(sample / "src")
    (sample / "corpus").mkdir(exist_ok=True)
    for name, table in tables.items():
        pq.write_table(
            table, sample / name, compression="zstd", compression_level=9, row_group_size=ROW_GROUP
        )
    for name, text in texts.items():
        (sample / name).write_text(text, encoding="utf-8", newline="\n")


def differences(sample: Path) -> list[str]:
    """Names of files below ``sample`` that are missing or not what ``sample/src`` gives."""
    tables, texts = generate(sample / "src")
    differing = []
    for name, table in tables.items():
        path = sample / name
        if not path.exists() or not pq.read_table(path).equals(table):
            differing.append(name)
    for name, text in texts.items():
        path = sample / name
        if not path.exists() or path.read_bytes() != text.encode():
            differing.append(name)
    return differing


def main() -> int:
    """Exit code 0; with ``--check`` 1 where files differ; 2 where a source cannot be used."""
    parser = argparse.ArgumentParser(description="Make the files of examples/sample.")
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    try:
        if not parser.parse_args().check:
            write(SAMPLE)
            return 0
        differing = differences(SAMPLE)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for name in differing:
        print(f"{name} differs from its sources: run python examples/make_sample.py")
    if not differing:
        print("The sample equals its sources.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
