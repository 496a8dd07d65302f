"""Whoever two policies treat in another way is named by their difference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.hosts import canonical_host, parents
from pipeline.errors import UnreadableFile
from pipeline.optout import policy_file
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.difference import Changed, changed, host_of, speaking_for
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.policy_file import PolicyFile
from pipeline.optout.spec import named
from pipeline.optout.tags import keys_of
from pipeline.optout.verdicts import KEEP

ALL = "User-agent: *\nDisallow: /\n"
NONE = "User-agent: *\nAllow: /\n"
PRIVATE = "User-agent: GPTBot\nDisallow: /private\n"
HOSTS = ["a.example.org", "b.test", "www.a.example.org", "b.test:8080", "example.org", "münze.test"]
IDS = ["d-1", "d-2", "<urn:uuid:0c1d2e3f-0000-4000-8000-123456789abc>"]
AGENTS = ("GPTBot", "CCBot")


@pytest.fixture(autouse=True, scope="module")
def small_groups() -> Iterator[None]:
    """Row groups of two sources: policies of a few sites have several."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(policy_file, "GROUP", 2)
        yield


def build(
    path: Path,
    robots: Mapping[str, str] | None = None,
    optouts: Iterable[Mapping[str, str]] = (),
    tags: Mapping[str, str] | None = None,
    *,
    policy: str = "rfc9309",
    agents: str = "apertus",
    day: str = "2026-01-31",
    fetched: Mapping[str, str] | None = None,
    **options: Any,
) -> Path:
    """A compiled policy at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(robots or {})
    rows = {
        "domain": pa.array(names, pa.string()),
        "content": pa.array(list((robots or {}).values()), pa.string()),
        "fetched_at": pa.array([(fetched or {}).get(n) for n in names], pa.string()),
    }
    pq.write_table(pa.table(rows), path.with_suffix(".snapshot"))
    compiler = PolicyCompiler(named(policy, **options), resolve(agents), date.fromisoformat(day))
    compiler.add_snapshot(path.with_suffix(".snapshot"))
    if optouts:
        lines = [
            json.dumps({"effective": "2026-01-01", "origin": "test", "request_id": "r-1", **o})
            for o in optouts
        ]
        path.with_suffix(".jsonl").write_text("\n".join(lines))
        compiler.add_optouts(path.with_suffix(".jsonl"))
    if tags:
        table = {"id": list(tags), "agents": [[agent] for agent in tags.values()]}
        pq.write_table(pa.table(table), path.with_suffix(".tags.parquet"))
        compiler.add_tags(path.with_suffix(".tags.parquet"), path)
    compiler.finish(path)
    return path


def test_equal_policies_differ_in_nothing(tmp_path: Path) -> None:
    one = build(tmp_path / "1.parquet", {"b.test": ALL}, tags={"d-1": "GPTBot"})
    other = build(tmp_path / "2.parquet", {"b.test": ALL}, tags={"d-1": "GPTBot"}, day="2026-02-01")
    assert changed(one, other).is_nothing


ROBOTS = {"b.test": ALL, "c.test": PRIVATE, "d.test": NONE}
DATA = [{"scope": "dataset", "value": "HuggingFaceFW/fineweb"}]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(
            {"robots": {**ROBOTS, "e.test": ALL}}, Changed(frozenset({"e.test"})), id="new"
        ),
        pytest.param(
            {"robots": {"b.test": ALL, "d.test": NONE}}, Changed(frozenset({"c.test"})), id="gone"
        ),
        pytest.param(
            {"robots": {**ROBOTS, "c.test": ALL}}, Changed(frozenset({"c.test"})), id="another"
        ),
        pytest.param(
            {"robots": ROBOTS, "fetched": {"b.test": "2026-01-02"}},
            Changed(frozenset({"b.test"})),
            id="fetched again",
        ),
        pytest.param(
            {"robots": {**ROBOTS, "x.example.org:8443": ALL}},
            Changed(frozenset({"x.example.org"})),
            id="a port",
        ),
        pytest.param(
            {"robots": ROBOTS, "optouts": [{"scope": "domain", "value": "x.test"}]},
            Changed(frozenset({"x.test"})),
            id="domain",
        ),
        pytest.param(
            {"robots": ROBOTS, "optouts": [{"scope": "subdomains", "value": "x.test"}]},
            Changed(domains=frozenset({"x.test"})),
            id="subdomains",
        ),
        pytest.param(
            {"robots": ROBOTS, "optouts": [{"scope": "document_id", "value": "d-1"}]},
            Changed(documents=frozenset({"d-1"})),
            id="document",
        ),
        pytest.param(
            {"robots": ROBOTS, "optouts": DATA},
            Changed(datasets=frozenset({"HuggingFaceFW/fineweb"})),
            id="data set",
        ),
    ],
)
def test_what_changed_is_named(tmp_path: Path, new: dict[str, Any], expected: Changed) -> None:
    one, other = build(tmp_path / "1.parquet", ROBOTS), build(tmp_path / "2.parquet", **new)
    for found in (changed(one, other), changed(other, one)):
        assert not len(found.tags)
        assert {*found.hosts} == {*expected.hosts}
        # Whoever names all below a host may name the host itself, too.
        assert {*found.domains} == {*expected.domains}
        assert found.documents == expected.documents
        assert found.datasets == expected.datasets
        assert found.everything is None


def test_tags(tmp_path: Path) -> None:
    one = build(tmp_path / "1.parquet", tags={"d-1": "GPTBot", "d-2": "GPTBot"})
    other = build(tmp_path / "2.parquet", tags={"d-2": "CCBot", IDS[2]: "CCBot"})
    both = build(tmp_path / "3.parquet", tags={"d-1": "GPTBot", "d-2": "GPTBot", IDS[2]: "CCBot"})
    none = build(tmp_path / "4.parquet", ROBOTS)

    def keys(*ids: str) -> list[int]:
        return sorted(keys_of(pa.array(ids)).tolist())

    assert changed(one, other).tags.tolist() == keys("d-1", "d-2", IDS[2])
    assert changed(one, both).document_keys().tolist() == keys(IDS[2])
    assert changed(one, none).tags.tolist() == keys("d-1", "d-2")
    assert changed(none, one).tags.tolist() == keys("d-1", "d-2")


@pytest.mark.parametrize(
    "options", [{"policy": "apertus-2025-01"}, {"agents": "commoncrawl"}, {"www": True}], ids=str
)
def test_other_rules_may_concern_everybody(tmp_path: Path, options: dict[str, Any]) -> None:
    one, other = build(tmp_path / "1.parquet"), build(tmp_path / "2.parquet", **options)
    assert changed(one, other).everything


def test_what_is_no_policy(tmp_path: Path) -> None:
    one = build(tmp_path / "1.parquet", tags={"d-1": "GPTBot"})
    with pytest.raises(UnreadableFile, match="no policy at"):
        changed(one, tmp_path / "none.parquet")
    other = build(tmp_path / "2.parquet", tags={"d-2": "GPTBot"})
    one.with_suffix(".tags.arrow").unlink()
    with pytest.raises(UnreadableFile, match="keep the two files in one folder"):
        changed(one, other)


robots = st.dictionaries(st.sampled_from(HOSTS), st.sampled_from([ALL, NONE, PRIVATE]), max_size=4)
entries = st.one_of(
    st.builds(
        lambda scope, value: {"scope": scope, "value": value},
        st.sampled_from(["domain", "subdomains"]),
        st.sampled_from(["a.example.org", "example.org", "b.test"]),
    ),
    st.builds(lambda value: {"scope": "document_id", "value": value}, st.sampled_from(IDS)),
    st.just({"scope": "url_prefix", "value": "https://b.test/private/"}),
    st.just({"scope": "url", "value": "https://a.example.org/private/x"}),
)
tagged = st.dictionaries(st.sampled_from(IDS), st.sampled_from(AGENTS), max_size=2)
policies = st.tuples(robots, st.lists(entries, max_size=3), tagged)
URLS = [
    f"{scheme}://{host}{path}"
    for scheme in ("https", "http")
    for host in (*HOSTS, "B.test.", "user@b.test", "c.b.test", "x.a.example.org", "unknown.test")
    for path in ("/", "/private/x", "/open")
] + ["b.test/private/x", "no url", ""]


@settings(max_examples=60, deadline=None)
@given(policies, policies, st.sampled_from(["rfc9309", "www", "apertus-2025-01"]))
def test_nobody_else_is_treated_otherwise(one: Any, other: Any, kind: str) -> None:
    options: dict[str, Any] = {"www": True} if kind == "www" else {"policy": kind}
    if kind == "www":
        options["policy"] = "rfc9309"
    with TemporaryDirectory() as folder:
        paths = [
            build(Path(folder) / f"{n}.parquet", *content, **options)
            for n, content in enumerate((one, other))
        ]
        found = changed(*paths)
        old, new = map(OptOutPolicy.open, paths)
        keys = set(found.document_keys().tolist())
        urls = pa.array([url for url in URLS for _ in (*IDS, None)], pa.string())
        ids = pa.array([one for _ in URLS for one in (*IDS, None)], pa.string())
        before, after = old.decide(ids, urls), new.decide(ids, urls)
        for row in range(len(urls)):
            a, b = int(before.codes[row]), int(after.codes[row])
            reasons = [
                None if code == KEEP else verdicts.refusals[code]
                for code, verdicts in ((a, before), (b, after))
            ]
            if reasons[0] == reasons[1]:
                continue
            host, document = before.hosts[row].as_py(), ids[row].as_py()
            by_id = document is not None and keys_of(pa.array([document]))[0] in keys
            by_host = host is not None and (
                host in found.hosts or any(p in found.domains for p in [host, *parents(host)])
            )
            assert by_id or by_host, (urls[row].as_py(), document, reasons)


def test_row_groups_that_are_the_same_are_not_decoded(tmp_path: Path) -> None:
    """What is in them may be anything, as long as it is the same."""
    sites = {f"{n}.test": f"User-agent: *\nDisallow: /{n}\n" for n in range(6)}
    listed = [{"scope": "domain", "value": "x.test"}]
    one = build(tmp_path / "1.parquet", sites, listed[:0])
    other = build(tmp_path / "2.parquet", sites, listed)
    assert changed(one, other).hosts == {"x.test"}
    metadata = pq.ParquetFile(one).metadata
    assert metadata.num_row_groups == 3
    for path in (one, other):
        content = bytearray(path.read_bytes())
        for n in range(metadata.num_row_groups):
            column = metadata.row_group(n).column(2)
            first = column.dictionary_page_offset or column.data_page_offset
            content[first : first + column.total_compressed_size] = (
                b"x" * column.total_compressed_size
            )
        path.write_bytes(content)
    assert changed(one, other).hosts == {"x.test"}
    with pytest.raises(UnreadableFile):
        PolicyFile(one).sources()
    content[first] = ord("y")
    other.write_bytes(content)
    with pytest.raises(UnreadableFile):
        changed(one, other)


@settings(max_examples=60, deadline=None)
@given(policies, st.sets(st.sampled_from([*HOSTS, "c.b.test", "x.a.example.org"])))
def test_all_who_speak_for_a_host_are_found(one: Any, wanted: set[str]) -> None:
    with TemporaryDirectory() as folder:
        policy = PolicyFile(build(Path(folder) / "p.parquet", *one))
        hosts = frozenset(canonical_host(name.rpartition(":")[0] or name) for name in wanted)
        found = speaking_for(policy, hosts).to_pylist()
        rest = iter(policy.sources().to_pylist())
        assert all(any(source == other for other in rest) for source in found), "in their order"
        for source in policy.sources().to_pylist():
            names = {host_of(held["host"]) for held in source["hosts"]}
            if any(names & {host, *parents(host)} for host in hosts):
                assert source in found
