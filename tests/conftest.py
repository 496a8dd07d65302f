"""A small world for the tests of the engine: a policy, corpora, and what a run leaves behind."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
os.environ["HF_DATASETS_OFFLINE"] = "1"

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROBOTS = {
    "open.example": "User-agent: *\nAllow: /\n",
    "closed.example": "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n",
    "partly.example": "User-agent: *\nDisallow: /private/\n",
    "signal.example": "User-agent: *\nContent-Signal: ai-train=no\nAllow: /\n",
}
OPTOUTS = [
    {"scope": "document_id", "value": "doc-17", "request_id": "r-1"},
    {"scope": "subdomains", "value": "gone.example", "request_id": "r-2"},
]
HOSTS = [*ROBOTS, "www.gone.example", "unheard.example"]
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("token_count", pa.int64()),
        pa.field("date", pa.timestamp("us", tz="UTC")),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("scores", pa.struct([("edu", pa.float64()), ("kind", pa.string())])),
    ],
    metadata={b"made by": b"the tests"},
)
WORDS = ("mountain", "lake", "über", "grüezi", "猫", "train", "postal", "écoute", "Straße", "paper")
PLANTED = ("eva.muster@example.org", "8.8.213.77", "CH93 0076 2011 6238 5295 7")


def documents(count: int, seed: int = 1, first: int = 0) -> list[dict[str, Any]]:
    """Rows of `SCHEMA`; about one in five holds an identifier."""
    rng = random.Random(f"{seed} {first}")
    rows = []
    for number in range(first, first + count):
        words = rng.choices(WORDS, k=rng.randint(3, 40))
        if rng.random() < 0.2:
            words[rng.randrange(len(words))] = rng.choice(PLANTED)
        path = rng.choice(["", "private/", "blog/"])
        rows.append(
            {
                "text": " ".join(words),
                "id": f"doc-{number}",
                "url": f"https://{rng.choice(HOSTS)}/{path}{number}",
                "language": rng.choice(["en", "de", None]),
                "token_count": len(words),
                "date": 1_700_000_000_000_000 + number,
                "tags": rng.choice([None, [], ["a", None]]),
                "scores": {"edu": rng.random(), "kind": rng.choice(["x", None])},
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, Any]] | pa.Table, row_group: int = 500) -> Path:
    """A Parquet file of rows or of a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(table, path, row_group_size=row_group)
    return path


def contents(out: Path) -> dict[str, bytes]:
    """What a run must leave the same each time: the bytes of data, ledger, state and the rest."""
    parts = ("data", "ledger", "removed", "state")
    found = {p for part in parts for p in (out / part).rglob("*") if p.is_file()}
    found |= {out / "manifest.json", out / "README.md"}
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(found)}


def tables(folder: Path) -> dict[str, pa.Table]:
    """Every Parquet file below ``folder`` by its relative name."""
    found = sorted(folder.rglob("*.parquet"))
    return {str(p.relative_to(folder)): pq.ParquetFile(p).read() for p in found}


def leftovers(out: Path) -> list[str]:
    """Whatever has no business in an output folder at the end."""
    return [str(p) for p in out.rglob("*") if p.name.endswith(".tmp")]


class Watcher(Thread):
    """Opens every Parquet file that bears its final name, over and over, while a run writes."""

    def __init__(self, out: Path) -> None:
        super().__init__(daemon=True)
        self.out = out
        self.seen: set[Path] = set()
        self.opened = 0
        self.broken: list[str] = []
        self.stop = Event()

    def run(self) -> None:
        while not self.stop.wait(0.01):
            # Folders come and go at the start; a file, once seen, must stay what it is.
            found = {p for p in self.out.rglob("*.parquet") if not p.name.startswith(".")}
            self.broken += [f"{path} is gone" for path in self.seen - found]
            self.seen |= found
            for path in found:
                try:
                    pq.ParquetFile(path).read()
                    self.opened += 1
                except Exception as error:  # noqa: BLE001  (whatever it is, nobody must meet it)
                    self.broken.append(f"{path}: {error!r}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        assert self.broken == []


def killed_and_resumed(
    command: list[str], out: Path, rng: random.Random, kills: int, longest: float
) -> int:
    """Start ``command``, kill it at random moments, start it again; at last let it end.

    Returns how often it was still alive to be killed.
    """
    hit = 0
    with Watcher(out) as watcher:
        for _ in range(kills):
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                if rng.random() < 0.7:  # while files are written, not while Python starts
                    while not (out / "manifest.json").exists() and process.poll() is None:
                        time.sleep(0.01)
                    moment = rng.uniform(0, longest / 4)
                else:
                    moment = rng.uniform(0.1, longest)
                said, _ = process.communicate(timeout=moment)
                assert process.returncode == 0, said.decode()
            except subprocess.TimeoutExpired:
                hit += 1
                if rng.random() < 0.5:
                    process.kill()  # the parent alone: its workers must not go on
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        last = subprocess.run(command, capture_output=True, text=True, check=False)
        assert last.returncode == 0, last.stderr
    assert watcher.opened > 0
    return hit


class World:
    """Helpers, handed to the tests as the fixture ``world``."""

    documents = staticmethod(documents)
    write = staticmethod(write)
    contents = staticmethod(contents)
    tables = staticmethod(tables)
    leftovers = staticmethod(leftovers)
    killed_and_resumed = staticmethod(killed_and_resumed)
    watcher = Watcher
    schema = SCHEMA
    planted = PLANTED
    hosts = HOSTS

    def __init__(self, policy: Path, folder: Path) -> None:
        self.policy = policy
        self.folder = folder

    def corpus(
        self, files: Mapping[str, int] | None = None, row_group: int = 500, name: str = "corpus"
    ) -> Path:
        """A folder of files with so many documents each, their numbers running on."""
        first = 0
        for file, count in (files or {"a.parquet": 5000, "b/c.parquet": 300}).items():
            self.write(self.folder / name / file, documents(count, first=first), row_group)
            first += count
        return self.folder / name

    def command(self, source: Path, out: Path, *more: str) -> list[str]:
        """The same as a command line."""
        command = [sys.executable, "-m", "lethe", "reconstruct", "run", "fineweb"]
        command += ["--input", str(source), "--policy", str(self.policy), "--out", str(out)]
        return [*command, *more]

    def run(self, source: Path | str, out: Path | str | None = None, **arguments: Any) -> Any:
        """Run the recipe ``fineweb``."""
        from pipeline.reconstruct.engine import run
        from pipeline.reconstruct.manifest import Options

        names = ("pii", "limit", "removed")
        options = Options(**{k: arguments.pop(k) for k in names if k in arguments})
        recipe = arguments.pop("recipe", "fineweb")
        policy = arguments.pop("policy", self.policy)
        out = self.folder / "out" if out is None else out
        return run(recipe, source, policy, out, options=options, **arguments)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: nobody need look through it for garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled policy over `ROBOTS` and `OPTOUTS`."""
    return compile_policy(tmp_path_factory.mktemp("policy"), ROBOTS)


@pytest.fixture(scope="session")
def other_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy under which everybody is open."""
    return compile_policy(
        tmp_path_factory.mktemp("other"), dict.fromkeys(ROBOTS, "User-agent: *\n")
    )


def compile_policy(folder: Path, robots: Mapping[str, str]) -> Path:
    from pipeline.optout.agents import resolve
    from pipeline.optout.compile import PolicyCompiler
    from pipeline.optout.spec import named

    common = {"effective": "2025-01-01", "origin": "test"}
    lines = [json.dumps(entry | common) + "\n" for entry in OPTOUTS]
    (folder / "optouts.jsonl").write_text("".join(lines))
    snapshot = pa.table({"domain": list(robots), "content": list(robots.values())})
    pq.write_table(snapshot, folder / "robots.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(folder / "robots.parquet")
    compiler.add_optouts(folder / "optouts.jsonl")
    compiler.finish(folder / "policy.parquet")
    return folder / "policy.parquet"


@pytest.fixture
def world(policy: Path, tmp_path: Path) -> World:
    """Helpers around a policy and an empty folder."""
    return World(policy, tmp_path)


@pytest.fixture(scope="module")
def shared_world(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same for a whole module, whose tests only look."""
    return World(policy, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def scale() -> float:
    """How much of the full length the soak runs: ``LETHE_SOAK`` from 0 to 1."""
    return float(os.environ.get("LETHE_SOAK", "0.1"))
