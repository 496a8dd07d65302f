"""What it costs to judge and to draw documents, one thread, in microseconds a document.

python benchmarks/selecting.py [--documents 20000] [--dimension 768] [--hidden 256]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline.reconstruct.heads import Head, HeadSpec, one_thread
from pipeline.reconstruct.steps.select import lot
from pipeline.reconstruct.thresholds import quantile
from pipeline.reconstruct.vectors import read_vectors

REPEATS = 3


def seconds(work: Callable[[], object]) -> float:
    """The least of some tries."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def plain(layers: list[tuple[torch.Tensor, torch.Tensor]], values: np.ndarray) -> torch.Tensor:
    """The same head in float32, whose sums depend on what stands beside."""
    found = torch.from_numpy(values)
    with torch.inference_mode():
        for number, (weight, bias) in enumerate(layers):
            found = torch.nn.functional.linear(found.relu() if number else found, weight, bias)
        return torch.sigmoid(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--hidden", type=int, default=256)
    given = parser.parse_args()
    count, dimension = given.documents, given.dimension
    torch.manual_seed(1)
    layers = [
        (torch.randn(given.hidden, dimension) / dimension**0.5, torch.randn(given.hidden)),
        (torch.randn(1, given.hidden) / given.hidden**0.5, torch.randn(1)),
    ]
    head = Head(HeadSpec("quality", "sigmoid", "first"), layers)
    values = np.random.default_rng(1).normal(size=(count, dimension)).astype(np.float32)
    offsets = pa.array(np.arange(count + 1), pa.int32())
    inner = pa.ListArray.from_arrays(
        pa.array(np.arange(count + 1) * dimension, pa.int32()), pa.array(values.ravel())
    )
    column = pa.chunked_array([pa.ListArray.from_arrays(offsets, inner)])
    ids = [f"<urn:uuid:{n:032x}>" for n in range(count)]
    rows = np.arange(count)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        scores = Path(folder) / "scores"
        np.random.default_rng(2).random(count * 100).astype(np.float32).tofile(scores)
        costs = {
            "reading its vectors": seconds(
                lambda: read_vectors(column, dimension, "a", rows, first=False)
            ),
            f"a score, {dimension} x {given.hidden} x 1": seconds(lambda: head.scores(values)),
            "the same in float32": seconds(lambda: plain(layers, values)),
            "drawing its lot": seconds(lambda: [lot(42, i) for i in ids]),
            "its part of a quantile": seconds(lambda: quantile([scores], 0.1)) / 100,
        }
    for name, cost in costs.items():
        print(f"{name:<28}{cost / count * 1e6:8.3f} us a document")


if __name__ == "__main__":
    main()
