"""Corpora whose vectors say by themselves how good and how toxic a document is, and heads that read it.

The first number of a vector is the logit of its quality, the second that of its toxicity; the others are
noise that the heads do not look at. So what a run must keep can be told without a head.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from pipeline.reconstruct.head_file import write_head
from pipeline.reconstruct.heads import Head, HeadSpec

DIMENSION = 16
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("language_script", pa.string()),
        pa.field("token_count", pa.int64()),
        pa.field("embeddings", pa.list_(pa.list_(pa.float32()))),
    ]
)
WORDS = ("lake", "mountain", "über", "猫", "paper", "Straße", "train")
URLS = ("https://open.example/a", "https://unheard.example/b", "https://closed.example/c")


def head(kind: str, vectors: str = "first", languages: tuple[str, ...] = ()) -> Head:
    """A head with two layers whose logit is the first number of a vector, or the second for toxicity."""
    at = 0 if kind == "quality" else 1
    first = torch.zeros(2, DIMENSION)
    first[0, at], first[1, at] = 1.0, -1.0
    last = torch.tensor([[1.0, -1.0]])
    layers = [(first, torch.zeros(2)), (last, torch.zeros(1))]
    return Head(HeadSpec(kind, "sigmoid", vectors, languages=languages), layers)


def heads(folder: Path) -> dict[str, Path]:
    """Head files for both stages, as options of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("quality", "toxicity"):
        write_head(head(kind), folder / f"{kind}.safetensors")
    return {f"{kind}_head": folder / f"{kind}.safetensors" for kind in ("quality", "toxicity")}


def vector(quality: float, toxicity: float, rng: random.Random) -> list[float]:
    return [quality, toxicity, *(rng.uniform(-1, 1) for _ in range(DIMENSION - 2))]


def documents(
    count: int,
    seed: int = 1,
    first: int = 0,
    languages: tuple[tuple[str, str], ...] = (("en", ""),),
) -> list[dict[str, Any]]:
    """Rows of `SCHEMA`; logits are multiples of 1/64, hardly any twice."""
    rng = random.Random(f"{seed} {first}")
    rows = []
    for number in range(first, first + count):
        language, script = rng.choice(languages)
        quality, toxicity = rng.randint(-300, 300) / 64, rng.randint(-600, 600) / 64
        pieces = [vector(quality, toxicity, rng)]
        pieces += [vector(9.0, -9.0, rng) for _ in range(rng.randint(0, 2))]
        rows.append(
            {
                "text": " ".join(rng.choices(WORDS, k=rng.randint(3, 12))),
                "id": f"doc-{number + 1000}",
                "url": f"{rng.choice(URLS)}{number}",
                "language": language,
                "language_script": script,
                "token_count": number % 50,
                "embeddings": pieces,
            }
        )
    return rows


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def open_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that nobody opted out."""
    return [row for row in rows if "closed.example" not in row["url"]]


def best(rows: list[dict[str, Any]], keep: float) -> list[dict[str, Any]]:
    """Those whose quality reaches the quantile 1 - keep of all of them."""
    ordered = sorted(row["embeddings"][0][0] for row in rows)
    rank = math.ceil(round((1 - keep) * (len(ordered) - 1), 9))
    return [row for row in rows if row["embeddings"][0][0] >= ordered[rank]]


def harmless(rows: list[dict[str, Any]], below: float) -> list[dict[str, Any]]:
    return [row for row in rows if sigmoid(row["embeddings"][0][1]) < below]
