"""A policy made ready once: mapped, shared between processes, and with the verdicts of any other."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableFile, WrongVersion
from pipeline.optout import policy as policies
from pipeline.optout import ready as made
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.ready import from_folder, made_ready
from pipeline.optout.spec import named
from pipeline.optout.verdicts import KEEP

BODIES = [
    "User-agent: *\nDisallow: /private/\n",
    "User-agent: GPTBot\nDisallow: /\n\nUser-agent: *\nAllow: /\n",
    "User-agent: *\nContent-Signal: ai-train=no\nAllow: /\n",
    "User-agent: *\nDisallow: /*.pdf$\nDisallow: /a\n",
    "User-agent: *\nAllow: /\n",
]
NAMES = [f"{w}{n}.example" for n in range(40) for w in ("", "www.", "shop.")]
OPTOUTS = [
    {"scope": "subdomains", "value": "site7.example", "request_id": "r-1"},
    {"scope": "domain", "value": "www.3.example", "request_id": "r-2"},
    {"scope": "document_id", "value": "doc-3", "request_id": "r-3"},
]
KINDS = {
    "hosts alone": ("rfc9309", {}, False),
    "with a list": ("rfc9309", {}, True),
    "with www": ("rfc9309", {"www": True}, True),
    "as published": ("apertus-2025-01", {}, False),
}


def compiled(folder: Path, kind: str, bodies: list[str] = BODIES) -> Path:
    spec, options, listed = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    hosts = [*NAMES, "ports.example:8080", "site7.example", "deep.site7.example"]
    snapshot = {"domain": hosts, "content": [rng.choice(bodies) for _ in hosts]}
    pq.write_table(pa.table(snapshot), folder / "robots.parquet")
    compiler = PolicyCompiler(named(spec, **options), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(folder / "robots.parquet")
    if listed:
        common = {"effective": "2025-01-01", "origin": "test"}
        lines = [json.dumps(entry | common) + "\n" for entry in OPTOUTS]
        (folder / "optouts.jsonl").write_text("".join(lines))
        compiler.add_optouts(folder / "optouts.jsonl")
    compiler.finish(folder / "policy.parquet")
    return folder / "policy.parquet"


def urls(count: int, seed: int) -> pa.Array:
    rng = random.Random(seed)
    hosts = [*NAMES, "ports.example:8080", "ports.example", "a.site7.example", "nobody.example"]
    odd = [None, "", "no url", "https://WWW.3.EXAMPLE/a", "https://2.example.:443/a?b#c"]
    paths = ["", "/", "/a", "/private/x", "/x.pdf", "/ü", "/robots.txt"]
    found = [f"http://{rng.choice(hosts)}{rng.choice(paths)}" for _ in range(count)]
    return pa.array([*found, *odd], pa.string())


def told(policy: OptOutPolicy, asked: pa.Array) -> list[Any]:
    ids = pa.array([f"doc-{n}" for n in range(len(asked))])
    found = policy.decide(ids, asked)
    reasons = [None if c == KEEP else found.refusals[c] for c in found.codes.tolist()]
    return list(zip(found.hosts.to_pylist(), reasons, strict=True))


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A policy in the memory of this process, and the same mapped."""
    folder = tmp_path_factory.mktemp("pair")
    path = compiled(folder, request.param)
    return OptOutPolicy.open(path), OptOutPolicy.open(path, made_ready(path, folder / "ready"))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 300))
def test_the_same_verdicts_and_reasons(pair: Any, seed: int, count: int) -> None:
    alone, shared = pair
    asked = urls(count, seed)
    assert told(shared, asked) == told(alone, asked)
    assert shared.version == alone.version
    assert shared.header == alone.header


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), held=st.integers(0, 40))
def test_what_is_forgotten_is_decided_alike(
    pair: Any, monkeypatch: pytest.MonkeyPatch, seed: int, held: int
) -> None:
    """A process that meets all hosts there are lets go of what it has unpacked."""
    alone, shared = pair
    rows = urls(200, seed)
    expected = told(alone, rows)
    with monkeypatch.context() as patched:
        patched.setattr(policies, "_HELD", held)
        kept = []
        for first in range(0, len(rows), 20):
            verdicts = shared.decide(
                pa.array([f"doc-{first + n}" for n in range(len(rows[first : first + 20]))]),
                rows[first : first + 20],
            )
            kept.append(verdicts)
        found = [
            None if c == KEEP else v.refusals[c] for v in kept for c in v.codes.tolist()
        ]  # read after everything was forgotten
    assert found == [reason for _, reason in expected]
    assert held or len({id(v.refusals) for v in kept}) > 1
    assert len(shared.refusals) <= held + 2 * 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return compiled(tmp_path / "p", "with a list")


def test_it_is_made_once(path: Path, tmp_path: Path) -> None:
    folder = made_ready(path, tmp_path / "ready")
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert made_ready(path, folder) == folder
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p", "ready"]


def other(folder: Path) -> None:
    made_ready(compiled(folder.with_name("other"), "with www"), folder)


def truncated(folder: Path) -> None:
    file = folder / "exact.arrow"
    os.truncate(file, file.stat().st_size // 2)


HARM = {
    "another policy": other,
    "cut off": truncated,
    "a file is gone": lambda folder: (folder / "below.arrow").unlink(),
    "no Arrow": lambda folder: (folder / "sources.arrow").write_bytes(b"x" * 100),
    "empty": lambda folder: (folder / "sources.arrow").write_bytes(b""),
}


@pytest.mark.parametrize("case", HARM)
def test_what_is_not_of_this_policy_is_made_again(path: Path, tmp_path: Path, case: str) -> None:
    folder = made_ready(path, tmp_path / "ready")
    HARM[case](folder)
    if case != "another policy":
        with pytest.raises((UnreadableFile, WrongVersion), match="delete it"):
            from_folder(folder)
    made_ready(path, folder)
    assert told(OptOutPolicy.open(path, folder), urls(50, 1)) == told(
        OptOutPolicy.open(path), urls(50, 1)
    )


def test_of_another_version(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(made, "_FORMAT", (made._FORMAT[0], b"0"))
        folder = made_ready(path, tmp_path / "ready")
    with pytest.raises(WrongVersion, match="another version of Lethe: delete it"):
        from_folder(folder)


def test_one_instance_for_all_tasks_of_a_process(path: Path, tmp_path: Path) -> None:
    folder = made_ready(path, tmp_path / "ready")
    first = OptOutPolicy.opened_once(path, folder)
    assert OptOutPolicy.opened_once(path, folder) is first
    assert first.folder == folder
    elsewhere = OptOutPolicy.opened_once(path, tmp_path / "not there")
    assert elsewhere is not first
    assert elsewhere.folder is None
    assert OptOutPolicy.opened_once(path) is elsewhere


def test_a_policy_that_has_changed_is_opened_again(path: Path) -> None:
    first = OptOutPolicy.opened_once(path)
    shutil.copyfile(compiled(path.parent / "new", "hosts alone"), path)
    second = OptOutPolicy.opened_once(path)
    assert second.version != first.version


def test_each_thread_has_its_own(path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(OptOutPolicy.opened_once, path).result()
    assert there is not OptOutPolicy.opened_once(path)


def test_it_pickles_as_where_it_lies(path: Path, tmp_path: Path) -> None:
    folder = made_ready(path, tmp_path / "ready")
    policy = OptOutPolicy.open(path, folder)
    frozen = pickle.dumps(policy)
    assert len(frozen) < 1000
    assert pickle.loads(frozen).folder == folder


def opened_there(path: Path, folder: Path, answers: Any) -> None:
    """In another process: the files that are mapped, and some verdicts."""
    policy = OptOutPolicy.open(path, folder)
    found = told(policy, urls(100, 5))
    maps = Path("/proc/self/maps").read_text()
    answers.put((found, sorted(p.name for p in folder.iterdir() if str(p) in maps)))


@pytest.fixture
def answers() -> Iterator[Any]:
    queue = multiprocessing.get_context("spawn").Queue()
    yield queue
    queue.close()
    queue.join_thread()


def test_processes_map_the_same_files(path: Path, tmp_path: Path, answers: Any) -> None:
    folder = made_ready(path, tmp_path / "ready")
    process = multiprocessing.get_context("spawn").Process(
        target=opened_there, args=(path, folder, answers)
    )
    process.start()
    found, mapped = answers.get(timeout=60)
    process.join()
    assert mapped == ["below.arrow", "exact.arrow", "sources.arrow"]
    assert found == told(OptOutPolicy.open(path), urls(100, 5))


def test_a_run_whose_policy_changes_is_ended(
    policy: Path, other_policy: Path, world: Any, tmp_path: Path
) -> None:
    """The manifest says which policy decides; another one under its name must not."""
    from pipeline.errors import WrongRun
    from pipeline.reconstruct.chunk import Chunk
    from pipeline.reconstruct.recipes import recipe
    from pipeline.reconstruct.steps.decide import ApplyPolicy

    mine = tmp_path / "policy.parquet"
    shutil.copyfile(policy, mine)
    step = ApplyPolicy(OptOutPolicy.open(mine), recipe("fineweb"))
    nothing: Iterator[Chunk] = iter(())
    assert list(step.run(nothing)) == []
    shutil.copyfile(other_policy, mine)
    with pytest.raises(WrongRun, match="has changed since the run began"):
        list(step.run(nothing))
