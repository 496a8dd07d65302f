"""Killed over and over at random moments, a run ends with the bytes of one that was not."""

from __future__ import annotations

import random
import subprocess
import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak

ROUNDS = 60
"""At full length, for each number of workers."""
FILES = {f"{n:02d}.parquet": 150 + 300 * n for n in range(12)}


@pytest.fixture(scope="module")
def whole(shared_world: Any) -> Any:
    """An uninterrupted run, and how long the command takes for it."""
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    out = shared_world.folder / "whole"
    begin = time.monotonic()
    command = shared_world.command(shared_world.source, out, "--removed", "scrubbed")
    subprocess.run(command, check=True, capture_output=True)
    shared_world.seconds = time.monotonic() - begin
    shared_world.expected = shared_world.contents(out)
    return shared_world


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_killed_over_and_over(whole: Any, tmp_path: Any, scale: float, workers: int) -> None:
    hits = 0
    for seed in range(max(2, round(ROUNDS * scale))):
        rng = random.Random(1000 * workers + seed)
        out = tmp_path / f"out-{seed}"
        command = whole.command(
            whole.source, out, "--workers", str(workers), "--removed", "scrubbed"
        )
        hits += whole.killed_and_resumed(command, out, rng, rng.randint(1, 5), whole.seconds)
        assert whole.contents(out) == whole.expected, seed
        assert whole.leftovers(out) == [], seed
    print(f"{workers} workers: {hits} kills hit a running process")
    assert hits > 0
