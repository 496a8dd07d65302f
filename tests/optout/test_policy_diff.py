"""Who opted out since: what a newer policy refuses and the older one does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from pipeline.errors import UnreadableFile
from pipeline.optout.agents import resolve
from pipeline.optout.changes import Changes, Named, changes
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.spec import named

SAMPLE = Path(__file__).resolve().parents[2] / "examples/sample"
ALL = "User-agent: *\nDisallow: /\n"
NONE = "User-agent: *\nAllow: /\n"
GPT = "User-agent: GPTBot\nDisallow: /\n"
BOTH = "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n"
PART = "User-agent: *\nDisallow: /private\n"
BUT = "User-agent: *\nDisallow: /\nAllow: /public\n"
USAGE = "User-agent: *\nContent-Usage: train-ai=n\nAllow: /\n"
GONE: Any = None
"""A site that answers with an error of its server."""


def build(
    path: Path,
    robots: Mapping[str, str | None] | None = None,
    optouts: Iterable[Mapping[str, str]] = (),
    tags: Mapping[str, str] | None = None,
    *,
    fetched: str | None = None,
    agents: str = "apertus",
) -> Path:
    """A compiled policy at ``path``; sites without a robots.txt failed to answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sites = dict(robots or {})
    rows = {
        "domain": pa.array(list(sites), pa.string()),
        "content": pa.array(list(sites.values()), pa.string()),
        "status": pa.array([503 if body is None else 200 for body in sites.values()], pa.int64()),
        "fetched_at": pa.array([fetched] * len(sites), pa.string()),
    }
    pq.write_table(pa.table(rows), path.with_suffix(".snapshot"))
    compiler = PolicyCompiler(named("rfc9309"), resolve(agents), date(2026, 1, 31))
    compiler.add_snapshot(path.with_suffix(".snapshot"))
    if optouts:
        common = {"effective": "2026-01-01", "origin": "test", "request_id": "r-1"}
        lines = [json.dumps({**common, **entry}) for entry in optouts]
        path.with_suffix(".jsonl").write_text("\n".join(lines))
        compiler.add_optouts(path.with_suffix(".jsonl"))
    if tags:
        table = {"id": list(tags), "agents": [[agent] for agent in tags.values()]}
        pq.write_table(pa.table(table), path.with_suffix(".tags.parquet"))
        compiler.add_tags(path.with_suffix(".tags.parquet"), path)
    compiler.finish(path)
    return path


def told(found: Changes) -> dict[str, tuple[list[str], list[str]]]:
    """Rules that came to refuse and that no longer do, by host; what went begins with a minus."""
    return {
        host.host: tuple(  # type: ignore[misc]
            [f"{'-' if line.gone else ''}{line.rule}" for line in lines]
            for lines in (host.refuses, host.allows)
        )
        for host in found.hosts
    }


WHOLE = (["Disallow: /"], [])
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "new and refuses": ({}, {"x.test": ALL}, {"x.test": WHOLE}),
    "new and refuses nothing": ({}, {"x.test": NONE}, {}),
    "gone and refused": ({"x.test": ALL}, {}, {"x.test": ([], ["-Disallow: /"])}),
    "gone and refused nothing": ({"x.test": NONE}, {}, {}),
    "changed its mind": ({"x.test": NONE}, {"x.test": ALL}, {"x.test": WHOLE}),
    "allows again": ({"x.test": ALL}, {"x.test": NONE}, {"x.test": ([], ["-Disallow: /"])}),
    "less than before": ({"x.test": ALL}, {"x.test": PART}, {"x.test": ([], ["-Disallow: /"])}),
    "more than before": ({"x.test": PART}, {"x.test": ALL}, {"x.test": WHOLE}),
    "an exception more": ({"x.test": ALL}, {"x.test": BUT}, {"x.test": ([], ["Allow: /public"])}),
    "an exception less": ({"x.test": BUT}, {"x.test": ALL}, {"x.test": (["-Allow: /public"], [])}),
    "another signal": (
        {"x.test": ALL},
        {"x.test": ALL + "Content-Usage: train-ai=n\n"},
        {"x.test": (["Content-Usage: train-ai=n"], [])},
    ),
    "only a comment": ({"x.test": ALL}, {"x.test": "# hello\n" + ALL}, {}),
    "the same": ({"x.test": ALL}, {"x.test": ALL}, {}),
    "a port": ({}, {"x.test:8443": ALL}, {"x.test:8443": WHOLE}),
    "no answer": (
        {"x.test": NONE},
        {"x.test": GONE},
        {"x.test": (["(unreachable: complete disallow, RFC 9309, 2.3.1.4)"], [])},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_hosts(tmp_path: Path, case: str) -> None:
    old, new, expected = CASES[case]
    both = {"y.test": PART}
    one = build(tmp_path / "1.parquet", {**old, **both})
    other = build(tmp_path / "2.parquet", {**new, **both})
    found = changes(one, other)
    assert told(found) == expected
    assert (found.old, found.new) == tuple(OptOutPolicy.open(p).version for p in (one, other))


def test_an_agent_more(tmp_path: Path) -> None:
    one, other = (
        build(tmp_path / f"{i}.parquet", {"x.test": body}) for i, body in enumerate((GPT, BOTH))
    )
    (host,) = changes(one, other).hosts
    (line,) = host.refuses
    assert line.agents == ("CCBot", "CCBot/2.0", "CCBot/1.0")
    assert (line.signal, line.rule, line.line, line.file) == (
        "robots",
        "Disallow: /",
        3,
        "robots.txt",
    )
    assert not host.allows
    (host,) = changes(other, one).hosts
    assert host.allows[0].agents == ("CCBot", "CCBot/2.0", "CCBot/1.0")
    assert not host.opted_out


def test_only_dates_changed(tmp_path: Path) -> None:
    one, other = (
        build(tmp_path / f"{day}.parquet", {"x.test": ALL, "y.test": NONE}, fetched=day)
        for day in ("2026-01-01", "2026-01-02")
    )
    found = changes(one, other)
    assert (found.hosts, found.unchanged) == ((), 1)


def test_who_does_not_answer_has_not_opted_out(tmp_path: Path) -> None:
    sites = {"x.test": GONE, "y.test": NONE, "z.test": GONE}
    later = {"x.test": NONE, "y.test": GONE, "z.test": ALL}
    one, other = build(tmp_path / "1.parquet", sites), build(tmp_path / "2.parquet", later)
    counts = changes(one, other).described()["counts"]
    assert counts == {
        "opted_out": 1, "allow_again": 0, "no_answer": 1, "answer_again": 2, "unchanged": 0,
    }  # fmt: skip
    assert changes(one, other).by_signal() == {"robots": (1, 0)}


def test_lists_and_tags(tmp_path: Path) -> None:
    one = build(
        tmp_path / "1.parquet",
        optouts=[
            {"scope": "document_id", "value": "d-1"},
            {"scope": "document_id", "value": "d-2"},
            {"scope": "domain", "value": "x.test"},
        ],
        tags={"t-1": "GPTBot", "t-2": "GPTBot"},
    )
    other = build(
        tmp_path / "2.parquet",
        optouts=[
            {"scope": "document_id", "value": "d-2", "request_id": "r-2"},
            {"scope": "document_id", "value": "d-3"},
            {"scope": "document_id", "value": "d-4"},
            {"scope": "subdomains", "value": "y.test"},
            {"scope": "dataset", "value": "a/b"},
        ],
        tags={"t-2": "CCBot", "t-3": "CCBot", "t-4": "CCBot"},
    )
    found = changes(one, other)
    assert found.documents == Named(refused=2, allowed=1, otherwise=1)
    assert found.tags == Named(refused=2, allowed=1, otherwise=1)
    assert found.datasets == Named(refused=1, allowed=0, otherwise=0)
    hosts = {(h.host, h.subdomains): (len(h.refuses), len(h.allows)) for h in found.hosts}
    assert hosts == {("x.test", False): (0, 1), ("y.test", True): (1, 0)}
    assert changes(one, one) == Changes(found.old, found.old, (), 0, *[Named(0, 0, 0)] * 3)


def test_policies_of_different_kinds_cannot_be_compared(tmp_path: Path) -> None:
    one = build(tmp_path / "1.parquet", {"x.test": ALL})
    other = build(tmp_path / "2.parquet", {"x.test": ALL}, agents="commoncrawl")
    with pytest.raises(InputError, match="different agents"):
        changes(one, other)
    with pytest.raises(UnreadableFile):
        changes(one, tmp_path / "nothing.parquet")


BODIES = [ALL, NONE, GPT, BOTH, PART, BUT, USAGE, GONE]
PATHS = ["/", "/private/1", "/public/2", "/other"]


@given(*[st.dictionaries(st.sampled_from(["x.test", "y.test"]), st.sampled_from(BODIES))] * 2)
@settings(max_examples=40, deadline=None)
def test_every_changed_verdict_has_its_line(
    old: dict[str, str | None], new: dict[str, str | None]
) -> None:
    """A page that goes from keep to drop is on a host that refuses something more; and back."""
    with TemporaryDirectory() as folder:
        one, other = build(Path(folder) / "1.parquet", old), build(Path(folder) / "2.parquet", new)
        found = {host.host: host for host in changes(one, other).hosts}
        before, after = OptOutPolicy.open(one), OptOutPolicy.open(other)
        for site in ("x.test", "y.test"):
            pages = [f"https://{site}{path}" for path in PATHS]
            verdicts = [(before.verdict(p).keep, after.verdict(p).keep) for p in pages]
            if (True, False) in verdicts:
                assert found[site].refuses
            if (False, True) in verdicts:
                assert found[site].allows
            if (site in old, old.get(site)) == (site in new, new.get(site)):
                assert site not in found


# -- the command ----------------------------------------------------------------------------------


def lethe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lethe", "optout", "diff", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample's policy as of two days."""
    found = []
    for day in ("2025-03-01", "2026-07-01"):
        path = tmp_path_factory.mktemp("sample") / f"{day}.parquet"
        compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date.fromisoformat(day))
        compiler.add_snapshot(SAMPLE / "robots.parquet")
        compiler.add_optouts(SAMPLE / "optouts.jsonl")
        compiler.finish(path)
        found.append(path)
    return found[0], found[1]


def test_the_command_tells_what_changed_between_two_days(sample: tuple[Path, Path]) -> None:
    done = lethe(*sample)
    assert (done.returncode, done.stderr) == (0, "")
    assert "village.example and all below it\n  + optout  subdomains opt-out" in done.stdout
    assert "8 hosts refuse what they did not before, 1 allow something again" in done.stdout
    boardgame = done.stdout.partition("boardgame-table.example\n")[2].partition("\ngaleria")[0]
    assert boardgame.startswith("  + robots  Disallow: / for CCBot")
    assert "\n" not in boardgame, "what is refused anyway does not count as allowed again"
    short = lethe(*sample, "--limit", 2).stdout
    assert "... and 7 more hosts" in short
    assert "8 hosts refuse" in short


def test_the_command_as_json(sample: tuple[Path, Path]) -> None:
    done = lethe(*sample, "--json", "--limit", 3)
    found = json.loads(done.stdout)
    assert found["counts"]["opted_out"] == 8
    assert len(found["hosts"]) == 3
    assert found["signals"]["optout"] == {"refuse": 4, "allow": 0}
    assert found["documents"] == {"refused": 1, "allowed": 0, "otherwise": 0}
    assert {"signal", "agents", "rule", "line", "sha256", "date"} <= found["hosts"][0]["refuses"][
        0
    ].keys()


def test_bad_input_is_one_sentence(sample: tuple[Path, Path], tmp_path: Path) -> None:
    done = lethe(sample[0], tmp_path / "nothing.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
