"""From opt-out files to a policy: what is in force, what is counted, and what the file holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnknownName, UnreadableFile, UnreadableSource, WrongVersion
from pipeline.optout import policy_file
from pipeline.optout.agents import MAX_AGENTS, agent_sets, resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal
from pipeline.optout.spec import Fall, PolicySpec, fall, named

DAY = date(2026, 1, 31)
ALL = b"User-agent: *\nDisallow: /\n"
NONE = b"User-agent: *\nAllow: /\n"
HTML = b"<!DOCTYPE html>\n<html><body>Not found</body></html>"
BOTH = ["rfc9309", "apertus-2025-01"]


class Entry(NamedTuple):
    """A row of a snapshot."""

    domain: str
    content: bytes | None = ALL
    status: int | None = None
    file: str | None = None
    fetched_at: datetime | None = None


Compile = Callable[..., OptOutPolicy]


def compile_rows(
    folder: Path,
    rows: Iterable[Entry] = (),
    optouts: Iterable[dict[str, str]] | bytes = (),
    *,
    policy: str = "rfc9309",
    agents: str = "apertus",
    as_of: date = DAY,
    **options: Any,
) -> OptOutPolicy:
    folder.mkdir(parents=True, exist_ok=True)
    types = (pa.string(), pa.binary(), pa.int64(), pa.string(), pa.timestamp("us"))
    columns = list(zip(*rows, strict=True)) or [()] * 5
    table = {n: pa.array(c, t) for n, c, t in zip(Entry._fields, columns, types, strict=True)}
    pq.write_table(pa.table(table), folder / "robots.parquet")
    compiler = PolicyCompiler(named(policy, **options), resolve(agents), as_of)
    compiler.add_snapshot(folder / "robots.parquet")
    if not isinstance(optouts, bytes):
        optouts = b"".join(json.dumps(o).encode() + b"\n" for o in optouts)
    (folder / "optouts.jsonl").write_bytes(optouts)
    compiler.add_optouts(folder / "optouts.jsonl")
    compiler.finish(folder / "policy.parquet")
    return OptOutPolicy.open(folder / "policy.parquet")


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    numbers = iter(range(99))
    return lambda *a, **k: compile_rows(tmp_path / str(next(numbers)), *a, **k)


def opt_out(scope: str, value: str, **more: str) -> dict[str, str]:
    given = {"effective": "2026-01-01", "origin": "test", "request_id": "r-1", **more}
    return {"scope": scope, "value": value, **given}


def is_dropped(policy: OptOutPolicy, url: str) -> bool:
    return not policy.verdict(url).keep


# -- status ----------------------------------------------------------------------------------------

STATUS = [
    # status, content, refused under rfc9309 and apertus-2025-01, counted as
    (None, ALL, (True, True), None),
    (200, ALL, (True, True), None),
    (204, ALL, (True, True), None),
    (200, NONE, (False, False), None),
    (None, None, (False, False), "absent"),
    (200, None, (False, False), "absent"),
    (301, ALL, (False, False), "absent"),  # too many redirects: RFC 9309, 2.3.1.2
    (400, ALL, (False, False), "absent"),  # RFC 9309, 2.3.1.3: unavailable
    (401, ALL, (False, False), "absent"),
    (403, ALL, (False, False), "absent"),
    (404, ALL, (False, False), "absent"),
    (404, None, (False, False), "absent"),
    (410, ALL, (False, False), "absent"),
    (429, ALL, (True, False), "unreachable"),  # Google reads "too many requests" as a server error
    (429, None, (True, False), "unreachable"),
    (500, NONE, (True, False), "unreachable"),  # RFC 9309, 2.3.1.4: unreachable
    (503, None, (True, False), "unreachable"),
    (599, ALL, (True, False), "unreachable"),
    (999, None, (True, False), "unreachable"),
    (0, None, (True, False), "unreachable"),
    (-1, None, (True, False), "unreachable"),  # crawlers that have no zero for it
]


@pytest.mark.parametrize(("status", "content", "refused", "counted"), STATUS)
def test_the_status_says_what_there_is(
    status: int | None,
    content: bytes | None,
    refused: tuple[bool, bool],
    counted: str | None,
    compiled: Compile,
) -> None:
    for name, expected in zip(BOTH, refused, strict=True):
        policy = compiled([Entry("ex.test", content, status)], policy=name)
        assert is_dropped(policy, "https://ex.test/a") is expected
        counts = {"robots.txt: files": 1}
        if counted:
            counts[f"robots.txt: {counted}"] = 1
        assert policy.header.counts == counts


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("falls", list(Fall))
def test_which_way_the_unreachable_falls_is_an_option(
    name: str, falls: Fall, compiled: Compile
) -> None:
    policy = compiled([Entry("ex.test", None, 503)], policy=name, unreachable=falls)
    assert is_dropped(policy, "https://ex.test/") is (falls is Fall.DROP)
    assert policy.header.counts["robots.txt: unreachable"] == 1


def test_an_unreachable_site_is_explained_as_one(compiled: Compile) -> None:
    policy = compiled([Entry("ex.test", None, 503, fetched_at=datetime(2026, 1, 2))])  # noqa: DTZ001
    refusal = policy.verdict("https://ex.test/").refusal
    assert refusal is not None
    assert (refusal.signal, refusal.file) == (Signal.ROBOTS, "robots.txt")
    assert (refusal.line, refusal.source_hash) == (None, None)
    assert refusal.source_date == "2026-01-02"
    assert refusal.agents == policy.header.agents
    assert "Disallow" not in refusal.rule  # there is no such line
    assert "unreachable" in refusal.rule


def test_other_files_that_are_unreachable_refuse_nothing(compiled: Compile) -> None:
    rows = [Entry("ex.test", None, 503, f) for f in ("tdmrep.json", "ai.txt", "rsl.xml")]
    policy = compiled(rows)
    assert not is_dropped(policy, "https://ex.test/")
    assert policy.header.counts["tdmrep.json: unreachable"] == 1


# -- what cannot be understood ---------------------------------------------------------------------

NO_ROBOTS = {
    "html": HTML,
    "html in capitals": b"<HTML><HEAD>",
    "html with a mark": b"\xef\xbb\xbf  <!doctype html>",
    "html after a comment": b"<!-- x --><html lang=en>",
    "html in utf-16": "<html><body>".encode("utf-16"),
    "a piece of html": b"<h1>Not Found</h1>",
    "json": b'{"message":"Page Not Found"}',
    "xml": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "prose": b"404 page not found\n",
    "yaml": b"---\nstatus: 404\nerror: Not Found\npath: /robots.txt\n",
    "a style sheet": b".box {\n  max-width: 600px;\n}\n",
    "a message with a colon": b"Status Code: 404; Not Found",
    "xml with a mark": b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>x</Code></Error>',
    "octets with a number sign": b"\x1f\x8b\x08\xcb\x00\n#\xab\n\xff",
    "compressed octets": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb",
    "octets": b"Q\xef\xbf\xbdC\x00 \xef\xbf\xbd\n\xba\xad",
}
ROBOTS = {
    "nothing": b"",
    "white space": b" \r\n\t\n",
    "a mark": b"\xef\xbb\xbf",
    "comments": b"# See http://www.robotstxt.org\n#\n",
    "a sitemap": b"Sitemap: https://ex.test/sitemap.xml\n",
    "a sitemap after a mark": b"\xef\xbb\xbfSitemap: https://ex.test/sitemap.xml\n",
    "rules of nobody": b"Disallow: /x\n",
    "a delay": b"Crawl-delay: 5\n",
    "a group": NONE,
    "a group in utf-16": NONE.decode().encode("utf-16"),
    "a group inside html": b"<pre>\nUser-agent: *\nDisallow:\n</pre>",
    "an unknown field": b"Host: ex.test\nClean-param: ref /a\n",
}


@pytest.mark.parametrize("case", NO_ROBOTS)
@pytest.mark.parametrize("falls", list(Fall))
def test_what_is_no_robots_txt_is_counted_and_falls_as_told(
    case: str, falls: Fall, compiled: Compile
) -> None:
    policy = compiled([Entry("ex.test", NO_ROBOTS[case])], unreadable=falls)
    assert policy.header.counts == {"robots.txt: files": 1, "robots.txt: unreadable": 1}
    refusal = policy.verdict("https://ex.test/").refusal
    assert (refusal is not None) is (falls is Fall.DROP)
    if refusal is not None:
        assert refusal.source_hash == hashlib.sha256(NO_ROBOTS[case]).hexdigest()
        assert refusal.line is None
        assert "unreadable" in refusal.rule


@pytest.mark.parametrize("case", ROBOTS)
@pytest.mark.parametrize("name", BOTH)
def test_what_says_little_is_a_robots_txt_all_the_same(
    case: str, name: str, compiled: Compile
) -> None:
    policy = compiled([Entry("ex.test", ROBOTS[case])], policy=name, unreadable=Fall.DROP)
    # That policy decodes no UTF-16, as the published corpora did not: there it is unreadable.
    foreign = name == "apertus-2025-01" and "utf-16" in case
    unreadable = {"robots.txt: unreadable": 1} if foreign else {}
    assert policy.header.counts == {"robots.txt: files": 1, **unreadable}
    assert is_dropped(policy, "https://ex.test/") is foreign


def test_html_is_counted_in_both_policies_and_for_every_host(compiled: Compile) -> None:
    rows = [Entry("a.test", HTML), Entry("b.test", HTML), Entry("c.test", ALL)]
    for name in BOTH:
        counts = compiled(rows, policy=name).header.counts
        assert counts == {"robots.txt: files": 3, "robots.txt: unreadable": 2}


BROKEN = {
    "tdmrep.json": b'{"tdm": true}',
    "ai.txt": b"We do not want to be trained on.",
    "rsl.xml": b"<rsl><content>",
}


@pytest.mark.parametrize("file", BROKEN)
@pytest.mark.parametrize("falls", list(Fall))
def test_other_files_that_cannot_be_read_are_counted_and_fall_as_told(
    file: str, falls: Fall, compiled: Compile
) -> None:
    rows = [Entry("a.test", BROKEN[file], file=file), Entry("b.test", BROKEN[file], file=file)]
    policy = compiled(rows, unreadable=falls)
    assert policy.header.counts == {f"{file}: files": 2, f"{file}: unreadable": 2}
    refusal = policy.verdict("https://b.test/x").refusal
    assert (refusal is not None) is (falls is Fall.DROP)
    if refusal is not None:
        assert (refusal.file, refusal.line) == (file, None)
        assert "unreadable" in refusal.rule
    (status,) = {s for s, _ in sources_of(policy, "status", "signal")}
    assert status == "unreadable"


@pytest.mark.parametrize("file", BROKEN)
def test_an_error_page_for_a_file_is_no_file(file: str, compiled: Compile) -> None:
    policy = compiled([Entry("a.test", HTML, file=file)], unreadable=Fall.DROP)
    assert policy.header.counts == {f"{file}: files": 1}
    assert not is_dropped(policy, "https://a.test/")


def test_unknown_kinds_of_files_are_counted(compiled: Compile) -> None:
    rows = [
        Entry("a.test", b"x", file="security.txt"),
        Entry("b.test", b"x", file="security.txt"),
        Entry("c.test", b"y", file="security.txt"),
        Entry("a.test", ALL),
    ]
    counts = compiled(rows).header.counts
    assert counts["robots.txt: files"] == 1
    assert counts["snapshot: files of an unknown kind"] == 3


def test_names_of_unknown_files_do_not_flood_the_counts(compiled: Compile) -> None:
    rows = [Entry("a.test", b"x", file=f"{i}\x1b[31m" * 100) for i in range(2000)]
    counts = compiled(rows).header.counts
    assert len(counts) < 20
    assert len(json.dumps(counts)) < 2000
    assert all(reason.isprintable() for reason in counts)
    assert counts["snapshot: files of an unknown kind"] == 2000


def test_domains_that_are_no_hosts_are_counted(compiled: Compile) -> None:
    bad = [
        "",
        " ",
        "a..b",
        "https://ex.test/robots.txt",
        "ex.test/robots.txt",
        "[::1",
        "a b",
        "é" * 64,
    ]
    rows = [Entry(domain) for domain in [*bad, "ex.test"]]
    counts = compiled(rows).header.counts
    assert counts == {"snapshot: domain is not a host": len(bad), "robots.txt: files": 1}


def test_rows_that_are_not_in_force_are_counted(compiled: Compile) -> None:
    rows = [
        Entry("a.test", NONE, fetched_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        Entry("a.test", ALL, fetched_at=datetime(2026, 1, 2)),  # noqa: DTZ001
        Entry("a.test", NONE, fetched_at=datetime(2026, 2, 2)),  # noqa: DTZ001
    ]
    policy = compiled(rows)
    assert is_dropped(policy, "https://a.test/")
    assert policy.header.counts == {
        "robots.txt: files": 1,
        "snapshot: rows fetched after the policy's day": 1,
        "snapshot: rows replaced by later ones": 1,
    }


def test_tags_without_effect_are_counted(tmp_path: Path) -> None:
    """Agents that are spelt otherwise than anybody thought would be lost in silence."""
    tagged = {"id": ["x", "y", None], "agents": [["GPT-Bot"], ["GPTBot"], ["GPTBot"]]}
    pq.write_table(pa.table(tagged), tmp_path / "tags.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), DAY)
    compiler.add_tags(tmp_path / "tags.parquet", tmp_path / "p.parquet")
    assert compiler.finish(tmp_path / "p.parquet").counts == {
        "tags: documents refused": 1,
        "tags: rows without an agent of the policy": 2,
    }


# -- several spellings of one host -----------------------------------------------------------------

EARLY, LATE = datetime(2026, 1, 2, 8), datetime(2026, 1, 2, 9)  # noqa: DTZ001
SPELLINGS: dict[str, tuple[list[Entry], bool]] = {
    "the later of two": ([Entry("EX.test", ALL), Entry("ex.test", NONE)], False),
    "the later of two, turned round": ([Entry("ex.test", NONE), Entry("EX.test.", ALL)], True),
    "no port before a port": ([Entry("ex.test", ALL), Entry("ex.test:443", NONE)], True),
    "no port after a port": ([Entry("ex.test:443", NONE), Entry("ex.test", ALL)], True),
    "two ports": ([Entry("ex.test:80", ALL), Entry("ex.test:443", NONE)], False),
    "three spellings": (
        [Entry("ex.test", NONE), Entry("ex.test:443", ALL), Entry("EX.test", ALL)],
        True,
    ),
    "U-label and A-label": (
        [Entry("müller.test", NONE), Entry("xn--mller-kva.test", ALL), Entry("ex.test", NONE)],
        False,
    ),
    "the one fetched later, by the hour": (
        [Entry("EX.test", ALL, fetched_at=LATE), Entry("ex.test", NONE, fetched_at=EARLY)],
        True,
    ),
    "the one fetched later, whatever its port": (
        [Entry("ex.test", NONE, fetched_at=EARLY), Entry("ex.test:443", ALL, fetched_at=LATE)],
        True,
    ),
    "one that is absent by now": (
        [Entry("EX.test", ALL), Entry("ex.test", None, 404)],
        False,
    ),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_one_of_several_spellings_speaks_for_a_host(case: str, compiled: Compile) -> None:
    rows, refused = SPELLINGS[case]
    policy = compiled(rows)
    assert is_dropped(policy, "https://ex.test/") is refused
    replaced = "snapshot: rows replaced by other spellings of their host"
    spelt = len({r.domain for r in rows if "ex.test" in r.domain.lower()}) - 1
    spelt += case == "U-label and A-label"
    assert policy.header.counts[replaced] == spelt
    assert policy.header.counts["robots.txt: files"] == len(rows) - spelt


def test_what_is_wrong_with_a_replaced_file_is_not_counted(compiled: Compile) -> None:
    for wrong in (Entry("EX.test", HTML), Entry("EX.test", None, 503), Entry("EX.test", None)):
        counts = compiled([wrong, Entry("ex.test", ALL)]).header.counts
        assert counts == {
            "robots.txt: files": 1,
            "snapshot: rows replaced by other spellings of their host": 1,
        }


def test_apertus_tells_spellings_apart(compiled: Compile) -> None:
    rows = [Entry("EX.test", ALL), Entry("ex.test", NONE), Entry("ex.test:443", ALL)]
    policy = compiled(rows, policy="apertus-2025-01")
    urls = ["https://EX.test/", "https://ex.test/", "https://ex.test:443/", "https://ex.test.:443/"]
    assert [is_dropped(policy, u) for u in urls] == [True, False, True, False]


# -- versions --------------------------------------------------------------------------------------

SITES = [
    Entry("a.test", ALL, fetched_at=EARLY),
    Entry("b.test", ALL, fetched_at=EARLY),
    Entry("c.test", b"User-agent: GPTBot\nDisallow: /x\nContent-Signal: ai-train=no\n"),
    Entry("d.test", None, 503),
    Entry("a.test", b'[{"location": "/", "tdm-reservation": 1}]', file="tdmrep.json"),
    Entry("e.test", HTML),
]
LISTED = [opt_out("domain", "l.test"), opt_out("document_id", "d-1"), opt_out("dataset", "s/t")]


def test_the_same_inputs_give_the_same_octets(tmp_path: Path) -> None:
    one, two = (compile_rows(tmp_path / n, SITES, LISTED) for n in ("1", "2"))
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.version == two.version
    assert len(one.version) == 16


@given(st.permutations(SITES))
@settings(max_examples=20, deadline=None)
def test_the_order_of_distinct_files_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    one = compile_rows(folder / "1", rows, LISTED)
    assert one.path.read_bytes() == compile_rows(folder / "2", SITES, LISTED).path.read_bytes()


SAME: dict[str, dict[str, Any]] = {
    "another day": {"as_of": date(2026, 2, 1)},
    "rows that were replaced": {"rows": [Entry("a.test", NONE), *SITES]},
    "rows that say nothing": {"rows": [*SITES, Entry("z.test", NONE), Entry("y.test", None, 404)]},
    "rows of no host": {"rows": [*SITES, Entry("")]},
    "the agents of a set, listed": {"agents": ",".join(agent_sets()["apertus"].agents)},
    "the default, given": {"unreachable": Fall.DROP},
}
OTHER: dict[str, dict[str, Any]] = {
    "a host more": {"rows": [*SITES, Entry("z.test", ALL)]},
    "a host less": {"rows": SITES[:1] + SITES[2:]},
    "a host renamed": {"rows": [SITES[0]._replace(domain="z.test"), *SITES[1:]]},
    "another rule": {"rows": [*SITES[:2], Entry("c.test", SITES[2].content + b"Disallow: /y\n")]},
    "another date of a file": {"rows": [SITES[0]._replace(fetched_at=None), *SITES[1:]]},
    "a file less": {"rows": SITES[:4] + SITES[5:]},
    "an agent less": {"agents": "GPTBot,*"},
    "another order of agents": {"agents": ",".join(agent_sets()["apertus"].agents[::-1])},
    "another policy": {"policy": "apertus-2025-01"},
    "unreachable": {"unreachable": Fall.KEEP},
    "unreadable": {"unreadable": Fall.DROP},
    "no_url": {"no_url": Fall.DROP},
    "www": {"www": True},
    "signals": {"signals": "robots,optout"},
    "an entry less": {"optouts": LISTED[:2]},
    "an id more": {"optouts": [*LISTED, opt_out("document_id", "d-2")]},
    "another request": {"optouts": [*LISTED[:2], opt_out("dataset", "s/t", request_id="r-2")]},
}


@pytest.mark.parametrize("case", [*SAME, *OTHER])
def test_the_version_changes_with_what_decides_and_with_nothing_else(
    case: str, compiled: Compile
) -> None:
    base: dict[str, Any] = {"rows": SITES, "optouts": LISTED}
    changed = {**base, **SAME.get(case, OTHER.get(case, {}))}
    assert (compiled(**base).version == compiled(**changed).version) is (case in SAME)


# -- opt-out lists ---------------------------------------------------------------------------------


def test_entries_are_counted(compiled: Compile) -> None:
    listed = [*LISTED, opt_out("domain", "z.test", effective="2027-01-01")]
    counts = compiled([], listed).header.counts
    assert counts == {"opt-outs: in force": 3, "opt-outs: not in force": 1}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_the_hash_of_an_entry_is_that_of_its_line(
    mark: bytes, end: bytes, compiled: Compile
) -> None:
    """So another entry in the list changes nothing of what is said of this one."""
    body = mark + end.join(json.dumps(o).encode() for o in LISTED) + end
    refusal = compiled([], body).verdict("https://l.test/").refusal
    assert refusal is not None
    assert refusal.source_hash == hashlib.sha256(json.dumps(LISTED[0]).encode()).hexdigest()
    assert (refusal.line, refusal.source_date) == (1, "2026-01-01")


def test_several_lists_add_up(tmp_path: Path) -> None:
    """Lists of two registries may use one request id on one line, and one file name."""
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), DAY)
    for folder, host in (("1", "a.test"), ("2", "b.test")):
        path = tmp_path / folder / "optouts.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps(opt_out("domain", host)))
        compiler.add_optouts(path)
    compiler.finish(tmp_path / "p.parquet")
    policy = OptOutPolicy.open(tmp_path / "p.parquet")
    assert [is_dropped(policy, f"https://{h}/") for h in ("a.test", "b.test", "c.test")] == [
        True,
        True,
        False,
    ]


def test_the_version_does_not_depend_on_the_name_of_a_list(tmp_path: Path) -> None:
    versions = set()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps(LISTED[0]))
        compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), DAY)
        compiler.add_optouts(tmp_path / name)
        versions.add(compiler.finish(tmp_path / "p.parquet").version)
    assert len(versions) == 1


def test_lists_that_cannot_be_read_stop(tmp_path: Path) -> None:
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), DAY)
    with pytest.raises(UnreadableFile, match="There is no opt-out list"):
        compiler.add_optouts(tmp_path / "none.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableFile, match="cannot be read as UTF-8"):
        compiler.add_optouts(bad)
    with pytest.raises(UnreadableFile):
        compiler.add_optouts(tmp_path)
    bad.write_text(json.dumps(LISTED[0]) + "\n{}\n")
    with pytest.raises(UnreadableSource, match=r"bad\.jsonl, line 2"):
        compiler.add_optouts(bad)


# -- the file --------------------------------------------------------------------------------------


def sources_of(policy: OptOutPolicy, *columns: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(policy.path, columns=list(columns))
    return [tuple(row[c] for c in columns) for row in table.to_pylist()]


def test_hosts_with_one_body_share_its_source(compiled: Compile) -> None:
    policy = compiled([Entry(f"h{i}.test", ALL) for i in range(50)])
    ((hosts, sha256),) = sources_of(policy, "hosts", "sha256")
    assert sorted(h["host"] for h in hosts) == sorted(f"h{i}.test" for i in range(50))
    assert sha256 == hashlib.sha256(ALL).hexdigest()


def test_the_header_says_how_the_policy_was_made(compiled: Compile) -> None:
    header = compiled(SITES, LISTED, www=True, agents="GPTBot,*").header
    assert header.agents == ("GPTBot", "*")
    assert header.as_of == "2026-01-31"
    assert header.spec == {
        "name": "rfc9309",
        "signals": sorted(Signal),
        "unreachable": "drop",
        "unreadable": "keep",
        "no_url": "keep",
        "www": True,
    }


def run_sql(policy: OptOutPolicy, documented: str) -> list[tuple[Any, ...]]:
    """The query of the documentation whose first line is the comment ``documented``."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    (query,) = [
        block.partition("```")[0]
        for block in text.split("```sql\n")[1:]
        if block.startswith(f"-- {documented}\n")
    ]
    with duckdb.connect() as connection:
        query = query.replace("policy.parquet", str(policy.path)).replace("example.org", "c.test")
        found = connection.execute(query).fetchall()
    assert isinstance(found, list)
    return found


def test_the_documented_queries_answer(compiled: Compile) -> None:
    rows = [
        *SITES[:2],
        Entry("c.test", b"User-agent: GPTBot\nDisallow: /x\nAllow: /x/y\n", fetched_at=EARLY),
        Entry("d.test", HTML),
    ]
    policy = compiled(rows, LISTED, agents="CCBot,GPTBot,*")
    assert run_sql(policy, "how many hosts each signal speaks for") == [
        ("optout", 1),
        ("robots", 4),
    ]
    assert run_sql(policy, "the rules of a host, strongest first") == [
        ("robots", "GPTBot", 3, True, "/x/y"),
        ("robots", "GPTBot", 2, False, "/x"),
    ]
    assert run_sql(policy, "hosts whose file could not be understood") == [("d.test", "robots.txt")]
    ((counts,),) = run_sql(policy, "what was read when the policy was compiled")
    assert json.loads(counts) == policy.header.counts


def test_what_is_no_policy_is_refused(tmp_path: Path, compiled: Compile) -> None:
    policy = compiled(SITES)
    whole = policy.path.read_bytes()
    bad = tmp_path / "bad.parquet"
    with pytest.raises(UnreadableFile, match="There is no policy"):
        OptOutPolicy.open(bad)
    for octets in (b"", b"PAR1", whole[:-1], whole[: len(whole) // 2]):
        bad.write_bytes(octets)
        with pytest.raises(UnreadableFile, match="not a Parquet file or is cut off"):
            OptOutPolicy.open(bad)
    with pytest.raises(UnreadableFile, match="not a Parquet file or is cut off"):
        OptOutPolicy.open(tmp_path)
    with pytest.raises(UnreadableFile, match="not a compiled policy"):
        OptOutPolicy.open(policy.path.with_name("robots.parquet"))


def rewritten(policy: OptOutPolicy, out: Path, header: Callable[[dict[str, Any]], object]) -> Path:
    """The policy with another header."""
    table = pq.read_table(policy.path)
    key = next(k for k in table.schema.metadata if k.startswith(b"lethe"))
    text = json.dumps(header(json.loads(table.schema.metadata[key])))
    pq.write_table(table.replace_schema_metadata({key: text.encode()}), out)
    return out


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field less": lambda h: {k: v for k, v in h.items() if k != "agents"},
    "no format": lambda h: {k: v for k, v in h.items() if k != "format"},
    "a field more": lambda h: {**h, "unheard_of": 1},
    "agents that are none": lambda h: {**h, "agents": 1},
    "a list": list,
    "a text": str,
}


@pytest.mark.parametrize("case", HEADERS)
def test_damaged_headers_are_refused(case: str, tmp_path: Path, compiled: Compile) -> None:
    policy = compiled(SITES)
    same = OptOutPolicy.open(rewritten(policy, tmp_path / "same.parquet", dict))
    assert same.version == policy.version
    with pytest.raises(UnreadableFile, match=r"header of .* is damaged"):
        OptOutPolicy.open(rewritten(policy, tmp_path / "x.parquet", HEADERS[case]))


@pytest.mark.parametrize("version", [0, policy_file.FORMAT + 1, None, "1"])
def test_other_formats_are_refused(version: object, tmp_path: Path, compiled: Compile) -> None:
    path = rewritten(compiled(SITES), tmp_path / "x.parquet", lambda h: {**h, "format": version})
    with pytest.raises(WrongVersion, match="compiled by another version"):
        OptOutPolicy.open(path)


def test_a_rewritten_table_is_refused(tmp_path: Path, compiled: Compile) -> None:
    table = pq.read_table(compiled(SITES).path)
    pq.write_table(table.drop_columns(["rulesets"]), tmp_path / "x.parquet")
    with pytest.raises(WrongVersion):
        OptOutPolicy.open(tmp_path / "x.parquet")


def test_a_failed_compilation_leaves_the_old_policy(tmp_path: Path, compiled: Compile) -> None:
    policy = compiled(SITES)
    before = policy.path.read_bytes()
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), DAY)
    compiler.add_snapshot(policy.path.with_name("robots.parquet"))
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(UnreadableSource):
        compiler.add_optouts(tmp_path / "bad.jsonl")
    assert policy.path.read_bytes() == before
    names = {p.name for p in policy.path.parent.iterdir()}
    assert names == {"policy.parquet", "robots.parquet", "optouts.jsonl"}


# -- names -----------------------------------------------------------------------------------------


def test_named_policies() -> None:
    spec = named("rfc9309")
    assert spec.signals == frozenset(Signal)
    assert (spec.unreachable, spec.unreadable, spec.no_url) == (Fall.DROP, Fall.KEEP, Fall.KEEP)
    assert not spec.www
    apertus = named("apertus-2025-01")
    assert apertus.signals == {Signal.ROBOTS, Signal.OPTOUT, Signal.TAG}
    assert apertus.unreachable is Fall.KEEP
    assert not apertus.canonical_hosts
    assert named("rfc9309", signals=" robots, noai,") == PolicySpec(
        "rfc9309", "rfc9309", True, frozenset({Signal.ROBOTS, Signal.NOAI}), Fall.DROP
    )


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("rfc-9309", {}, "no policy 'rfc-9309'"),
        ("rfc9309", {"signals": "robots,nope"}, "unknown signal"),
        # A policy without any signal would keep everything, in silence.
        ("rfc9309", {"signals": ""}, "needs a signal"),
        ("rfc9309", {"signals": " , "}, "needs a signal"),
        ("apertus-2025-01", {"www": True}, "leave --www out"),
    ],
)
def test_what_is_no_policy_has_no_name(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownName, match=said):
        named(name, **changes)


def test_which_way_something_falls() -> None:
    assert (fall(None, "-"), fall("keep", "-"), fall("drop", "-")) == (None, Fall.KEEP, Fall.DROP)
    for text in ("", "Keep", "yes"):
        with pytest.raises(UnknownName, match="--on-x is keep or drop"):
            fall(text, "--on-x")


AGENT_NAMES = [
    ("commoncrawl", ("CCBot", "*")),
    ("GPTBot,", ("GPTBot",)),
    ("*", ("*",)),
    (" GPTBot , CCBot,, GPTBot", ("GPTBot", "CCBot")),
    ("commoncrawl,GPTBot", ("CCBot", "*", "GPTBot")),
    ("GPTBot,commoncrawl", ("GPTBot", "CCBot", "*")),
]


@pytest.mark.parametrize(("names", "agents"), AGENT_NAMES)
def test_agents_are_named_or_listed(names: str, agents: tuple[str, ...]) -> None:
    assert resolve(names).agents == agents


@pytest.mark.parametrize("names", ["", ",", "apertis", "GPTBot", " "])
def test_a_misspelt_set_of_agents_is_no_agent(names: str) -> None:
    with pytest.raises(UnknownName, match="no agent set of that name"):
        resolve(names)


def test_a_policy_holds_as_many_agents_as_bits(compiled: Compile) -> None:
    names = [f"bot{i}" for i in range(MAX_AGENTS + 1)]
    with pytest.raises(UnknownName, match="at most 63"):
        resolve(",".join(names))
    agents = ",".join(names[:MAX_AGENTS])
    policy = compiled(
        [
            Entry("a.test", ALL),
            Entry("b.test", f"User-agent: {names[62]}\nDisallow: /\n".encode()),
        ],
        agents=agents,
    )
    refusals = [policy.verdict(f"https://{h}.test/").refusal for h in "ab"]
    assert [r.agents for r in refusals if r] == [tuple(names[:63]), (names[62],)]


def test_every_set_has_a_date_a_source_and_room() -> None:
    for name, one in agent_sets().items():
        assert (one.name, bool(one.source and one.title)) == (name, True)
        date.fromisoformat(one.date)
        assert len(set(one.agents)) == len(one.agents) <= MAX_AGENTS
    assert len(agent_sets()["apertus"].agents) == 15
    assert set(agent_sets()["apertus"].agents) <= {*agent_sets()["training-2026"].agents} | {
        "CCBot/1.0",
        "CCBot/2.0",
        "Meta-ExternalAgent",
    }
