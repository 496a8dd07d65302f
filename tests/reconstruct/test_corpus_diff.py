"""Two corpora out of one input: who is gone, who is back, and why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UnreadableFile, WrongColumns, WrongRun
from pipeline.reconstruct.difference import CorpusDifference, Volume, difference


@pytest.fixture(scope="module")
def two(shared_world: Any, other_policy: Path) -> tuple[Path, Path]:
    """The same input under a policy in which everybody is open, and under one with opt-outs."""
    source = shared_world.corpus({"a.parquet": 2500, "b/c.parquet": 300})
    one, other = shared_world.folder / "one", shared_world.folder / "other"
    shared_world.run(source, one, policy=other_policy)
    shared_world.run(source, other)
    return one, other


JOINED = """FROM read_parquet('{0}/ledger/**/*.parquet') a JOIN read_parquet('{1}/ledger/**/*.parquet') b
    ON a.file = b.file AND a.row = b.row"""


def asked(one: Path, other: Path, what: str) -> list[tuple[Any, ...]]:
    """Figures of ``b`` over what ``a`` keeps and ``b`` drops, or (for what is back) the other way."""
    with duckdb.connect() as connection:
        return connection.sql(
            f"SELECT {what}, count(*), coalesce(sum(b.tokens), 0) {JOINED.format(one, other)} "
            f"WHERE a.verdict = 'keep' AND b.verdict = 'drop' GROUP BY ALL"
        ).fetchall()


def test_figures_are_those_of_the_ledgers(two: tuple[Path, Path]) -> None:
    found, reverse = difference(*two, hosts=3), difference(*reversed(two), hosts=3)
    assert found.joined == 2800
    assert found.gone.total.documents > 100
    assert (found.gone, found.back) == (reverse.back, reverse.gone)
    for part, name in ((found.gone.signals, "b.signal"), (found.gone.languages, "b.language")):
        assert {k: (v.documents, v.tokens) for k, v in part.items()} == {
            k: counts for k, *rest in asked(*two, name) if (counts := tuple(rest))
        }
        counts = [held.documents for held in part.values()]
        assert counts == sorted(counts, reverse=True)
    hosts = sorted(asked(*two, "b.host"), key=lambda row: (-row[1], row[0]))
    assert [(h.host, h.documents, h.tokens) for h in found.gone.hosts] == hosts[:3]
    assert found.gone.distinct_hosts == len(hosts)
    assert found.gone.total == Volume(sum(r[1] for r in hosts), sum(r[2] for r in hosts))
    with duckdb.connect() as connection:
        [(otherwise,)] = connection.sql(
            f"SELECT count(*) {JOINED.format(*two)} WHERE a.verdict = 'drop' AND b.verdict = 'drop' "
            "AND a.signal <> b.signal"
        ).fetchall()
    assert found.otherwise == otherwise


def test_equal_corpora_differ_in_nothing(two: tuple[Path, Path]) -> None:
    found = difference(two[0], two[0] / "ledger")
    assert (found.gone.total, found.back.total, found.otherwise) == (Volume(), Volume(), 0)
    assert (found.joined, found.only_old, found.only_new) == (2800, 0, 0)


def test_a_limited_run_has_fewer_rows(
    two: tuple[Path, Path], shared_world: Any, tmp_path: Path
) -> None:
    shared_world.run(shared_world.folder / "corpus", tmp_path / "few", limit=2000)
    found = difference(two[1], tmp_path / "few")
    assert (found.joined, found.only_old, found.only_new) == (2000, 800, 0)
    assert difference(tmp_path / "few", two[1]).only_new == 800


def test_what_is_no_pair_is_refused(two: tuple[Path, Path], world: Any, tmp_path: Path) -> None:
    for name, match in (("a.parquet", "different documents"), ("z.parquet", "no file in common")):
        source = world.folder / "in" / name
        world.write(source, world.documents(2500, seed=7, first=9))
        world.run(source, tmp_path / name)
        with pytest.raises(WrongRun, match=match):
            difference(two[0], tmp_path / name)
    with pytest.raises(UnreadableFile, match="holds no ledger"):
        difference(two[0], world.folder / "nothing")
    with pytest.raises(WrongColumns, match="is no ledger of this version"):
        difference(two[0] / "data", two[0])
    broken = Path(shutil.copytree(two[0] / "ledger", tmp_path / "broken"))
    pq.write_table(pq.read_table(broken / "a.parquet").slice(0, 0), broken / "a.parquet")
    (broken / "b/c.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnreadableFile):
        difference(two[0], broken)


def lethe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lethe", "reconstruct", "diff", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command(two: tuple[Path, Path], tmp_path: Path) -> None:
    found: CorpusDifference = difference(*two)
    done = lethe(*two, "--limit", 1)
    assert (done.returncode, done.stderr) == (0, "")
    gone = f"{found.gone.total.documents:,}".replace(",", "\u202f")
    assert f"Gone: {gone} documents" in done.stdout
    assert "Back: 0 documents" in done.stdout
    assert f"... and {found.gone.distinct_hosts - 1} more hosts" in done.stdout
    assert json.loads(lethe(*two, "--json").stdout) == json.loads(json.dumps(found.described()))
    done = lethe(two[0], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
