"""Takedowns on real pages under real robots.txt files leave what a run would have made.

The data are third-party files beside the project, described in their own manifest; without them these tests
are skipped. No text of theirs is shown when a test fails.
"""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from taken_down import everything

from filter.bundle import Bundle
from filter.identifiers import IdentifierKind
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named
from pipeline.reconstruct import Options, run, takedown

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "webdocs.parquet").exists(), reason="the real test data are not there"
)
SITES = 20


@pytest.fixture(
    scope="module",
    params=[pytest.param(1, id="some"), pytest.param(3, id="all", marks=pytest.mark.soak)],
)
def files(request: pytest.FixtureRequest) -> int:
    """How many thirds of the pages."""
    return int(request.param)


@pytest.fixture(scope="module")
def corpus(files: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages in files, and sentences in many languages as one more."""
    folder = tmp_path_factory.mktemp("real") / "corpus"
    folder.mkdir()
    pages = pq.read_table(DATA / "webdocs.parquet")
    for number in range(files):
        part = pages.slice(number * 1300, 1300)
        pq.write_table(part, folder / f"pages-{number}.parquet", row_group_size=701)
    said = pq.read_table(DATA / "multilingual.parquet", columns=["text", "bcp47"]).slice(
        0, 1000 * files
    )
    rows = range(said.num_rows)
    sentences = pa.table(
        {
            "text": said["text"],
            "id": [f"sentence-{n}" for n in rows],
            "url": [f"https://corpus-{n % 40}.example/{n}" for n in rows],
            "language": said["bcp47"],
        }
    )
    pq.write_table(sentences, folder / "sentences.parquet")
    return folder


def policy(path: Path, every: int, optouts: list[dict[str, str]]) -> Path:
    """Of every n-th of the real robots.txt files, and a list."""
    bodies = pq.read_table(DATA / "robots.parquet", columns=["sha256", "content"])
    domains = pq.read_table(DATA / "robots_domains.parquet", columns=["domain", "sha256"])
    joined = domains.join(bodies, "sha256").sort_by("domain").select(["domain", "content"])
    some = joined.take(pa.array(range(0, joined.num_rows, every)))
    pq.write_table(some, path.with_suffix(".robots"))
    path.with_suffix(".jsonl").write_text("".join(json.dumps(one) + "\n" for one in optouts))
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(path.with_suffix(".robots"))
    compiler.add_optouts(path.with_suffix(".jsonl"))
    compiler.finish(path)
    return path


def listed(corpus: Path, path: Path, count: int, release: str) -> Path:
    """A bundle of passages that stand in the texts."""
    dice = random.Random(11)
    texts = pq.read_table(corpus / "pages-0.parquet", columns=["text"])["text"].to_pylist()
    entries: list[tuple[IdentifierKind, str]] = []
    while len(entries) < count:
        words = dice.choice(texts).split()
        at = dice.randrange(max(1, len(words) - 9))
        passage = " ".join(words[at : at + 9])
        if passage.isascii() and 40 < len(passage) < 200 and "@" not in passage:
            entries.append((IdentifierKind.TEXT, passage))
    far = date(2999, 12, 31)
    Bundle.build(entries, release=release, kdf="testing", valid_until=far).write(path)
    return path


def differing(one: Path, other: Path) -> list[str]:
    first, second = everything(one), everything(other)
    assert first.keys() == second.keys()
    return [name for name in first if first[name] != second[name]]


def test_what_is_left_is_what_a_run_makes(corpus: Path, files: int, tmp_path: Path) -> None:
    """Robots.txt files that come and go, sites and passages that are listed, one after the other."""
    common = {"effective": "2025-12-01", "origin": "test", "scope": "domain"}
    hosts = [f"corpus-{n}.example" for n in range(SITES)]
    gone = [{**common, "value": host, "request_id": f"r-{n}"} for n, host in enumerate(hosts)]
    few, more = (
        listed(corpus, tmp_path / f"b{count}", count, f"2026.2.{count}") for count in (30, 50)
    )
    each = 4 - files  # of the robots.txt files, too, all or a third
    half = policy(tmp_path / "half.parquet", 2 * each, [])
    steps = [
        (policy(tmp_path / "sites.parquet", 2 * each, gone), None),
        (policy(tmp_path / "all.parquet", each, gone), few),
        (policy(tmp_path / "less.parquet", 3 * each, gone[5:]), more),
    ]
    out, options = tmp_path / "out", Options(pii="strict")
    run("fineweb", corpus, half, out, options=options)
    held = None
    results = []
    for number, (newer, bundle) in enumerate(steps):
        held = bundle or held
        results.append(takedown(out, newer, bundle=bundle))
        again = tmp_path / f"again-{number}"
        run("fineweb", corpus, newer, again, bundle=held, options=options)
        assert differing(out, again) == []
    assert results[0].documents_gone == 25 * files * SITES
    assert results[0].files == results[0].files_cut == 1
    assert results[1].documents_gone > 0
    assert results[2].documents_back > 25 * files * 5
