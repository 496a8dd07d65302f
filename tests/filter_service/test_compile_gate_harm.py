"""End to end: what the gate lets in does no harm to ordinary text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import people
import pytest

from filter import Bundle, FilterPolicy, Identifier, OutputFilter
from filter.identifiers import IdentifierKind
from filter_service.clean_sample import builtin
from filter_service.compile_gate import judge
from filter_service.judgement import Verdict

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ENTRIES = 300
MOST = 0.5
"""Hits per million characters of real pages, of all entries together, where the gate allows twice as
many of a single one: room for two namesakes of the made-up people."""


@pytest.fixture(scope="module")
def entries() -> list[Identifier]:
    per_group = -(-ENTRIES // len(people.GROUPS)) + 4
    made = [one for make in people.GROUPS.values() for one in make(per_group, seed=7)]
    found = [one for one in made if judge(*one, regions=people.HOME).verdict is Verdict.ALLOWED]
    assert len(found) >= ENTRIES
    return found[:: max(1, len(found) // ENTRIES)][:ENTRIES]


@pytest.fixture(scope="module")
def listed(entries: list[Identifier]) -> OutputFilter:
    bundle = Bundle.build(entries, release="2026.2.0", kdf="testing", regions=people.HOME)
    return OutputFilter(bundle, FilterPolicy(slow_hashes=1 << 40))


def test_there_are_enough_of_all_kinds(entries: list[Identifier]) -> None:
    assert len(entries) == ENTRIES
    assert Counter(one.kind for one in entries).keys() == set(IdentifierKind)


def test_they_are_found(entries: list[Identifier], listed: OutputFilter) -> None:
    """What does no harm must still do its work."""
    sentences = [f"They wrote: {text} - and so on." for _, text in entries]
    found = [bool(r.matches) for r in listed.redact_batch(sentences)]
    assert sum(found) >= 0.99 * len(found)


def test_the_built_in_sample_stays(listed: OutputFilter) -> None:
    assert builtin().hits(listed).count == 0


def test_the_built_in_sample_is_clean() -> None:
    """Nothing in it looks like an address or a number."""
    assert "@" not in "".join(builtin().texts)
    assert not any(c.isdigit() for text in builtin().texts for c in text)


def test_real_pages_stay(listed: OutputFilter) -> None:
    path = DATA / "multilingual.parquet"
    if not path.is_file():
        pytest.skip("shared/data/multilingual.parquet is not there")
    import pyarrow.parquet as pq

    texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
    characters = sum(map(len, texts))
    assert characters > 4_000_000
    hits = sum(len(redaction.matches) for redaction in listed.redact_batch(texts))
    assert 1e6 * hits / characters < MOST


def test_what_the_gate_refuses_would_do_harm() -> None:
    """The measure above means something: a few refused entries exceed it by far."""
    refused = [
        (kind, text)
        for kind, text in (("name", "Schweiz"), ("name", "the same"), ("name", "United States"))
        if judge(kind, text).verdict is Verdict.REFUSED
    ]
    assert len(refused) == 3
    bundle = Bundle.build(refused, release="2026.2.0", kdf="testing")
    hits = builtin().hits(OutputFilter(bundle, FilterPolicy(slow_hashes=1 << 40)))
    assert hits.per_million > 10 * MOST
