"""Small samples of the datasets of Apertus' corpus: their columns and types, invented texts.

Rows follow from a seed; the first ones are written out, so that tests can name what comes of them.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TEXT = pa.string()
TRANSLATION = pa.struct([("de", TEXT), ("en", TEXT)])
TURNS = pa.list_(pa.struct([("from", TEXT), ("value", TEXT)]))
STACK = pa.struct([("repo_name", TEXT), ("path", TEXT), ("language", TEXT), ("license", TEXT)])
COMMON_CRAWL = [
    ("url", TEXT), ("fetch_time", pa.int64()), ("warc_filename", TEXT), ("text", TEXT),
    ("token_count", pa.int32()), ("metadata", TEXT), ("score", pa.float64()),
    ("int_score", pa.int64()), ("language", TEXT),
]  # fmt: skip
WEB_MATH = [
    ("url", TEXT), ("metadata", TEXT), ("score", pa.float64()), ("int_score", pa.int64()),
    ("token_count", pa.int64()), ("char_count", pa.int64()), ("text", TEXT),
]  # fmt: skip
MEGAMATH = [
    ("text", TEXT),
    ("id", TEXT),
    ("lang", TEXT),
    ("math_score", pa.float64()),
    ("url", TEXT),
]
STARCODER = [
    ("max_stars_repo_path", TEXT), ("max_stars_repo_name", TEXT), ("max_stars_count", pa.int64()),
    ("id", TEXT), ("content", TEXT),
]  # fmt: skip
SCHEMAS = {
    "europarl": [("translation", TRANSLATION)],
    "euroblocks": [("conversations", TURNS), ("language", TEXT)],
    "flan": [("inputs", TEXT), ("labels", TEXT), ("task_source", TEXT), ("task_name", TEXT)],
    "finemath": COMMON_CRAWL,
    "infiwebmath": WEB_MATH,
    "megamath": MEGAMATH,
    "starcoder": STARCODER,
    "starcoder-classes": [*STARCODER, ("quality", pa.int8())],
    "stack-v2-edu": [
        ("id", TEXT), ("text", TEXT), ("source", TEXT), ("added", TEXT), ("created", TEXT),
        ("metadata", STACK), ("score", pa.float64()), ("int_score", pa.int64()),
    ],
    "gutenberg-probes": [("text", TEXT), ("id", TEXT), ("num_tokens", pa.int64())],
    "clean-wikipedia": [
        ("text", TEXT), ("title", TEXT), ("url", TEXT), ("wikicode", TEXT), ("iso639-3", TEXT),
        ("script", TEXT),
    ],
    "paradocs": [
        ("text", TEXT), ("id", TEXT), ("languages", TEXT), ("collection", TEXT), ("src_docid", TEXT),
        ("tgt_docid", TEXT), ("sentences", pa.int32()),
    ],
}  # fmt: skip
SAMPLE_OF = {
    "europarl-forward": "europarl", "europarl-backward": "europarl", "euroblocks": "euroblocks",
    "flan": "flan", "finemath": "finemath", "finemath-3plus": "finemath", "finemath-4plus": "finemath",
    "infiwebmath-3plus": "infiwebmath", "infiwebmath-4plus": "infiwebmath", "megamath": "megamath",
    "megamath-web": "megamath", "megamath-web-pro": "megamath", "starcoder": "starcoder",
    "starcoder-above-2": "starcoder-classes", "starcoder-above-3": "starcoder-classes",
    "stack-v2-edu": "stack-v2-edu", "gutenberg-probes": "gutenberg-probes",
    "clean-wikipedia": "clean-wikipedia", "paradocs": "paradocs",
}  # fmt: skip
"""Which sample a recipe is run on."""

WORDS = "river stone letter window garden bridge winter paper light harbour".split()
MAIL = "eva.muster@example.org"
HOSTS = ("open.example", "closed.example", "partly.example", "unheard.example")
REPOSITORIES = ("acme-test/tool", "acme-test/site", "muster-test/gone", "muster-test/kept")
FIRST: dict[str, list[dict[str, object]]] = {
    "europarl": [
        {"translation": {"de": "Die Sitzung ist eröffnet.", "en": "The session is open."}},
        {"translation": {"de": f"Schreiben Sie an {MAIL}.", "en": f"Write to {MAIL}."}},
        {"translation": {"de": "Kein Gegenstück", "en": None}},
        {"translation": None},
    ],
    "euroblocks": [
        {"conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Wie heisst der Fluss?"},
            {"from": "gpt", "value": "Die Aare.\nSie fliesst durch Bern."},
        ], "language": "de"},
        {"conversations": [{"from": "human", "value": f"Mail {MAIL}"}], "language": "en"},
        {"conversations": [], "language": "en"},
        {"conversations": [{"from": "human", "value": None}], "language": "fr"},
        {"conversations": None, "language": None},
    ],
    "flan": [
        {"inputs": "2 + 2?", "labels": "4"},
        {"inputs": f"Who has {MAIL}?", "labels": "Nobody."},
        {"inputs": "Nothing follows.", "labels": None},
    ],
    "gutenberg-probes": [
        {"text": f"Call me {MAIL}, or 8.8.213.77.", "id": "probe-1", "num_tokens": 9},
        {"text": " spaces \r\n stay\t", "id": "probe-2", "num_tokens": None},
    ],
}  # fmt: skip


def _number(name: str, number: int, rng: random.Random) -> dict[str, object]:
    """Values for every column that some sample has."""
    text = " ".join(rng.choices(WORDS, k=rng.randint(3, 12)))
    if rng.random() < 0.2:
        text += f" {MAIL}"
    url = f"https://{rng.choice(HOSTS)}/{rng.choice(['', 'private/'])}{number}"
    repository = rng.choice(REPOSITORIES)
    return {
        "text": text, "content": text, "inputs": text, "labels": rng.choice(WORDS),
        "translation": {"de": text, "en": text.upper()},
        "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "Yes."}],
        "id": f"{name}-{number}", "url": url, "metadata": json.dumps({"url": url, "lang": "en"}),
        "max_stars_repo_name": repository, "max_stars_repo_path": f"src/{number}.py",
        "quality": rng.choice([0, 1, 2, 3, 4, None]), "int_score": rng.choice([2, 3, 4, None]),
        "score": rng.random(), "lang": "en", "language": "en", "iso639-3": "eng", "wikicode": "en",
        "languages": "en-de", "sentences": 1, "token_count": len(text.split()),
        "num_tokens": len(text.split()),
        "stack": {"repo_name": repository, "path": "a.py", "language": "Python", "license": "MIT"},
    }  # fmt: skip


def sample(name: str, count: int = 60, seed: int = 1) -> pa.Table:
    """Rows of the dataset ``name``, of which the first are those in `FIRST`."""
    rng = random.Random(f"{name} {seed}")
    schema = pa.schema(SCHEMAS[name])
    rows = list(FIRST.get(name, []))
    for number in range(len(rows), count):
        values = _number(name, number, rng)
        if name == "stack-v2-edu":
            values["metadata"] = values["stack"]
        rows.append({column: values.get(column) for column in schema.names})
    return pa.Table.from_pylist(rows, schema)


def written(
    name: str, folder: Path, count: int = 60, change: Callable[[pa.Table], pa.Table] | None = None
) -> Path:
    """A folder with a sample in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    table = sample(name, count)
    pq.write_table(change(table) if change else table, folder / "a.parquet", row_group_size=25)
    return folder


def paradocs_line(src: str = "One.", tgt: str = "Eins.", at: int = 0, **other: object) -> str:
    """A line of ParaDocs whose sentences stand at character ``at`` of their pages."""
    fields = {
        "src": src, "tgt": tgt, "similarity_one": 1.0, "similarity_two": 0.9,
        "collection": "test", "src_paragraph_id": 0, "tgt_paragraph_id": 0, "src_sentence_id": 0,
        "tgt_sentence_id": 0, "src_start_index": at, "src_end_index": at + len(src),
        "tgt_start_index": at, "tgt_end_index": at + len(tgt), "src_language_id": 0.99,
        "tgt_language_id": 0.98, "frequency": 1, "src_docid": "page-1", "tgt_docid": "seite-1",
    }  # fmt: skip
    return "\t".join(str(value) for value in (fields | other).values())


def paradocs_file(root: Path, name: str, lines: Iterable[str]) -> Path:
    """A gzipped file of lines, such as ``en-de/strict/000.gz``."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    return path
