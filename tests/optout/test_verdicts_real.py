"""Verdicts on real pages under real robots.txt files, beside those of two parsers nobody here wrote.

The data are third-party files beside the project, described in their own manifest; without them
these tests are skipped.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from protego import Protego

from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal
from pipeline.optout.verdicts import KEEP, Refusal, Verdicts

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "webdocs_verdicts.parquet").exists(), reason="the real test data are not there"
)


class Document(NamedTuple):
    """A page, what an independent parser says of it, and its row."""

    row: int
    url: str | None
    meta_robots: str | None
    host: str | None
    sha256: str | None
    known_by: str | None
    """``exact``, ``www`` or nothing: how its host is found in the snapshot."""
    disallowed: frozenset[str]


@pytest.fixture(scope="module")
def bodies() -> pa.Table:
    """Domains with the content of their robots.txt."""
    bodies = pq.read_table(DATA / "robots.parquet", columns=["sha256", "content"])
    domains = pq.read_table(DATA / "robots_domains.parquet", columns=["domain", "sha256"])
    return domains.join(bodies, "sha256").sort_by("domain").select(["domain", "content"])


@pytest.fixture(scope="module")
def pages() -> pa.Table:
    return pq.read_table(DATA / "webdocs.parquet", columns=["id", "url", "meta_robots"])


@pytest.fixture(scope="module")
def documents(pages: pa.Table) -> list[Document]:
    known = {r["id"]: r for r in pq.read_table(DATA / "webdocs_verdicts.parquet").to_pylist()}
    return [
        Document(
            row,
            page["url"],
            page["meta_robots"],
            known[page["id"]]["host"],
            known[page["id"]]["robots_sha256"],
            known[page["id"]]["robots_host"],
            frozenset(known[page["id"]]["disallowed_agents"] or ()),
        )
        for row, page in enumerate(pages.to_pylist())
    ]


Compile = Callable[..., OptOutPolicy]


@pytest.fixture(scope="module")
def compiled(bodies: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    folder = tmp_path_factory.mktemp("real")
    numbers = iter(range(9))

    def compile_all(*options: str, hosts: set[str] | None = None) -> OptOutPolicy:
        number = next(numbers)
        robots, out = folder / f"robots{number}.parquet", folder / f"policy{number}.parquet"
        some = bodies
        if hosts is not None:
            some = bodies.filter(pc.is_in(bodies["domain"], value_set=pa.array(sorted(hosts))))
        pq.write_table(some, robots)
        command = [sys.executable, "-m", "lethe", "optout", "compile", "--robots", str(robots)]
        subprocess.run([*command, "--out", str(out), *options], check=True, timeout=300)
        return OptOutPolicy.open(out)

    return compile_all


@pytest.fixture(scope="module")
def policy(compiled: Compile) -> OptOutPolicy:
    """The default policy, of the whole snapshot."""
    return compiled()


@pytest.fixture(scope="module")
def found(policy: OptOutPolicy, pages: pa.Table) -> Verdicts:
    return policy.decide(pages["id"], pages["url"], {"meta_robots": pages["meta_robots"]})


def refusals(found: Verdicts) -> Iterator[tuple[int, Refusal]]:
    for row, code in enumerate(found.codes.tolist()):
        if code != KEEP:
            yield row, found.refusals[code]


def tokens(refusal: Refusal | None) -> frozenset[str]:
    """The agents that robots.txt refuses, as product tokens: ``CCBot/2.0`` is ``CCBot``."""
    if refusal is None or Signal.ROBOTS not in refusal.signals:
        return frozenset()
    assert refusal.signal is Signal.ROBOTS  # the first of all signals explains
    return frozenset(agent.partition("/")[0] for agent in refusal.agents)


def test_robots_refuses_what_an_independent_parser_refuses_and_nothing_else(
    found: Verdicts, documents: list[Document]
) -> None:
    by_row = dict(refusals(found))
    wrong = {
        document.row: (sorted(got), sorted(wanted))
        for document in documents
        if (got := tokens(by_row.get(document.row)))
        != (wanted := document.disallowed if document.known_by == "exact" else frozenset())
    }
    assert wrong == {}
    assert any(document.disallowed for document in documents if document.known_by == "exact")


def test_hosts_are_those_of_the_independent_parser(
    found: Verdicts, documents: list[Document]
) -> None:
    assert found.hosts.to_pylist() == [document.host for document in documents]


def test_other_refusals_are_listed_apart(found: Verdicts, documents: list[Document]) -> None:
    """Pages that say so themselves, found here by the crudest of means."""
    by_row = dict(refusals(found))
    said: dict[Signal, set[int]] = {
        Signal.NOAI: {
            d.row
            for d in documents
            if re.search(r"(?i)(?<![-\w])noai(?![-\w])", d.meta_robots or "")
        },
        Signal.TDMREP: {
            d.row
            for d in documents
            if re.search(r'(?i)"tdm-reservation": *(?:"1"|\["1"|1)', d.meta_robots or "")
        },
    }
    for signal, rows in said.items():
        assert {row for row, r in by_row.items() if signal in r.signals} == rows, signal
    others = {s for r in by_row.values() for s in r.signals} - {Signal.ROBOTS, *said}
    assert not others & {Signal.OPTOUT, Signal.TAG}
    for row, refusal in by_row.items():
        if refusal.signals == (Signal.NOAI,):
            assert (refusal.agents, refusal.source_hash) == ((), None)
            assert documents[row].meta_robots


def test_every_refusal_names_the_very_line(
    found: Verdicts, documents: list[Document], bodies: pa.Table
) -> None:
    held = {hashlib.sha256(b).hexdigest(): b for b in bodies["content"].to_pylist()}
    seen = 0
    for row, refusal in refusals(found):
        if refusal.signal is not Signal.ROBOTS:
            continue
        assert refusal.source_hash == documents[row].sha256
        assert refusal.file == "robots.txt"
        assert refusal.line is not None
        body = held[refusal.source_hash or ""].decode("utf-8", "replace")
        line = re.split(r"\r\n|\r|\n", body)[refusal.line - 1].strip()
        assert line.startswith(refusal.rule)
        assert line[:500] == refusal.rule
        assert re.match(r"(?i)dis+al+ow", line)
        seen += 1
    assert seen > 30


def test_one_by_one_is_as_all_together(
    policy: OptOutPolicy, found: Verdicts, pages: pa.Table, documents: list[Document]
) -> None:
    interesting = {row for row, r in refusals(found) if r.signal is Signal.ROBOTS}
    interesting |= {d.row for d in documents if d.known_by} | set(range(0, len(documents), 50))
    ids = pages["id"].to_pylist()
    without_pages = policy.decide(pages["id"], pages["url"])
    for row in sorted(interesting):
        verdict = policy.verdict(documents[row].url, ids[row])
        code = int(without_pages.codes[row])
        assert verdict.refusal == (None if code == KEEP else policy.refusals[code])
        assert verdict.host == documents[row].host


def near(documents: list[Document]) -> set[str]:
    """Domains that may have a say about the pages, in every spelling that is compared here."""
    hosts = {d.host for d in documents if d.host}
    hosts |= {urlparse(d.url or "").netloc for d in documents}
    return hosts | {f"www.{h}" for h in hosts} | {h.removeprefix("www.") for h in hosts}


def test_www_finds_the_rest(compiled: Compile, pages: pa.Table, documents: list[Document]) -> None:
    found = compiled("--www", hosts=near(documents)).decide(None, pages["url"])
    by_row = dict(refusals(found))
    for document in documents:
        assert tokens(by_row.get(document.row)) == document.disallowed, document.url
    assert any(document.known_by == "www" for document in documents)


def test_apertus_does_what_upstream_does(
    compiled: Compile, pages: pa.Table, documents: list[Document], bodies: pa.Table
) -> None:
    policy = compiled("--policy", "apertus-2025-01", hosts=near(documents))
    by_row = dict(refusals(policy.decide(None, pages["url"])))
    held = dict(zip(bodies["domain"].to_pylist(), bodies["content"].to_pylist(), strict=True))
    parsers: dict[str, Any] = {}
    seen = 0
    for document in documents:
        netloc = urlparse(document.url or "").netloc
        if netloc not in held:
            assert document.row not in by_row
            continue
        if netloc not in parsers:
            parsers[netloc] = Protego.parse(held[netloc].decode("utf-8", "replace"))
        refused = tuple(
            a for a in policy.header.agents if not parsers[netloc].can_fetch(document.url, a)
        )
        got = by_row.get(document.row)
        assert (got.agents if got else ()) == refused, document.url
        seen += bool(refused)
    assert seen > 30
