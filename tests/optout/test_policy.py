"""A compiled policy answers as its sources say: alone or in batches, however URLs are written."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protego import Protego

from filter.errors import InputError
from filter.urls import split_url
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.robots import DIALECTS
from pipeline.optout.rules import RuleSet
from pipeline.optout.signals import Signal
from pipeline.optout.spec import named
from pipeline.optout.verdicts import KEEP, Refusal

DAY = date(2026, 1, 31)
ALL = "User-agent: *\nDisallow: /\n"
NONE = "User-agent: *\nAllow: /\n"
PRIVATE = "User-agent: *\nDisallow: /private\n"


def build(
    folder: Path,
    robots: Mapping[str, str | bytes] | None = None,
    optouts: Iterable[dict[str, str]] = (),
    files: Mapping[tuple[str, str], str | bytes] | None = None,
    *,
    policy: str = "rfc9309",
    agents: str = "apertus",
    **options: Any,
) -> OptOutPolicy:
    """A policy compiled from robots.txt files by domain, other files, and opt-outs."""
    rows = [(d, "robots.txt", b) for d, b in (robots or {}).items()]
    rows += [(d, f, b) for (d, f), b in (files or {}).items()]
    columns = [
        pa.array([r[0] for r in rows], pa.string()),
        pa.array([r[1] for r in rows], pa.string()),
        pa.array([r[2].encode() if isinstance(r[2], str) else r[2] for r in rows], pa.binary()),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, ["domain", "file", "content"]), folder / "s.parquet")
    compiler = PolicyCompiler(named(policy, **options), resolve(agents), DAY)
    compiler.add_snapshot(folder / "s.parquet")
    listed = [
        json.dumps({"effective": "2026-01-01", "origin": "test", "request_id": f"r-{i}", **o})
        for i, o in enumerate(optouts, 1)
    ]
    (folder / "o.jsonl").write_text("\n".join(listed))
    compiler.add_optouts(folder / "o.jsonl")
    compiler.finish(folder / "policy.parquet")
    return OptOutPolicy.open(folder / "policy.parquet")


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., OptOutPolicy]:
    numbers = iter(range(99))
    return lambda *a, **k: build(tmp_path / str(next(numbers)), *a, **k)


def dropped(policy: OptOutPolicy, *urls: str | None) -> list[bool]:
    return [not policy.verdict(url).keep for url in urls]


def refusal_of(policy: OptOutPolicy, url: str | None, id_: str | None = None) -> Refusal:
    refusal = policy.verdict(url, id_).refusal
    assert refusal is not None
    return refusal


# -- holes of earlier work, each with a near miss --------------------------------------------------

BOM = b"\xef\xbb\xbf"
HOLES: dict[str, tuple[str, str | bytes, list[str], list[str]]] = {
    "port of the scheme in the URL": (
        "ex.test",
        ALL,
        ["https://ex.test:443/a", "http://ex.test:80/a", "https://ex.test:/a"],
        ["https://ex.test.invalid:443/a"],
    ),
    "another port in the URL": (
        "ex.test",
        ALL,
        ["https://ex.test:8443/a"],
        ["https://ex.test:99999/a", "https://ex.test:x/a"],
    ),
    "port of the scheme in the snapshot": (
        "ex.test:443",
        ALL,
        ["https://ex.test/a", "https://ex.test:443/a", "http://ex.test:8080/a"],
        ["https://ex.tes/a"],
    ),
    "another port in the snapshot": (
        "ex.test:8080",
        ALL,
        ["http://ex.test:8080/a", "http://EX.test.:8080/a"],
        ["http://ex.test/a", "http://ex.test:8081/a", "http://ex.test:80800/a"],
    ),
    "credentials": (
        "ex.test",
        ALL,
        ["https://u:p@ex.test/a", "https://u@ex.test/a", "https://a@b@ex.test/a"],
        ["https://ex.test@other.test/a", "https://ex.test:443@other.test/"],
    ),
    "upper case": ("EX.test", ALL, ["https://ex.test/", "HTTPS://eX.TEST/"], ["https://e.test/"]),
    "trailing dot": (
        "ex.test.",
        ALL,
        ["https://ex.test/", "https://ex.test./", "https://ex.test.:443/"],
        ["https://ex..test/", "https://.ex.test/"],
    ),
    "U-label in the snapshot": (
        "müller.test",
        ALL,
        ["https://xn--mller-kva.test/", "https://MÜLLER.test/", "https://mu\u0308ller.test/"],
        ["https://muller.test/", "https://mueller.test/"],
    ),
    "A-label in the snapshot": (
        "xn--mller-kva.test",
        ALL,
        ["https://müller.test/", "https://XN--MLLER-KVA.test/", "https://m%C3%BCller.test/"],
        ["https://xn--mller-kvb.test/"],
    ),
    "full width": ("ex.test", ALL, ["https://ｅｘ。test/"], ["https://ｅｙ。test/"]),
    "no scheme": (
        "ex.test",
        ALL,
        ["ex.test/a", "//ex.test/a", "ex.test", "ex.test:443/a", "u@ex.test/a"],
        ["/ex.test/a", "mailto:a@ex.test", "x/ex.test"],
    ),
    "white space and controls around": (
        "ex.test",
        ALL,
        [" https://ex.test/", "\thttps://ex.test/\n", "\x00https://ex.test/", "ht\ntps://ex.test/"],
        ["https://e x.test/", "https://x/ https://ex.test/"],
    ),
    "slashes": (
        "ex.test",
        ALL,
        ["https:/ex.test/a", "https:ex.test/a", "https:\\\\ex.test\\a", "https:///ex.test/a"],
        ["file:/ex.test/a"],
    ),
    "UTF-8 mark": ("ex.test", BOM + PRIVATE.encode(), ["ex.test/private"], ["ex.test/p"]),
    "UTF-16, little endian": (
        "ex.test",
        b"\xff\xfe" + PRIVATE.encode("utf-16-le"),
        ["ex.test/private"],
        ["ex.test/p"],
    ),
    "UTF-16, big endian": (
        "ex.test",
        b"\xfe\xff" + PRIVATE.encode("utf-16-be"),
        ["ex.test/private"],
        ["ex.test/p"],
    ),
    "UTF-16 without a mark": (
        "ex.test",
        PRIVATE.encode("utf-16-le"),
        ["ex.test/private"],
        ["ex.test/p"],
    ),
    "IPv6": (
        "[2001:db8::1]",
        ALL,
        ["http://[2001:DB8:0::1]/", "http://[2001:db8::1]:80/", "http://u@[2001:db8::1]:8080/"],
        ["http://[2001:db8::2]/", "http://2001:db8::1/"],
    ),
    "IPv6 with a port in the snapshot": (
        "[2001:db8::1]:8080",
        ALL,
        ["http://[2001:db8::1]:8080/"],
        ["http://[2001:db8::1]/", "http://[2001:db8::1:8080]/"],
    ),
    "IPv4": ("192.0.2.1", ALL, ["http://192.0.2.1/", "http://192.0.2.1:81/"], ["http://192.0.2.11/"]),
    "escapes in the path": (
        "ex.test",
        "User-agent: *\nDisallow: /pr%69vate\nDisallow: /ä\n",
        ["ex.test/private", "https://ex.test/%70rivate", "https://ex.test/%c3%a4", "ex.test/ä"],
        ["ex.test/PRIVATE", "https://ex.test/a%CC%88", "https://ex.test/%e4"],
    ),
    "tabs and line ends in the path": (
        "ex.test",
        PRIVATE,
        ["https://ex.test/pri\tvate", "https://ex.test/private\n", "https://ex.test/\nprivate"],
        ["https://ex.test/pri vate", "https://ex.test/pri%09vate"],
    ),
    "query": (
        "ex.test",
        "User-agent: *\nDisallow: /?q\nDisallow: /*&z$\n",
        ["https://ex.test?q", "https://ex.test/?q=1#f", "https://ex.test/a?b&z#", "ex.test?q"],
        ["https://ex.test#?q", "https://ex.test/#/?q", "https://ex.test/a?q", "ex.test/?b&z&"],
    ),
    "fragment": (
        "ex.test",
        "User-agent: *\nDisallow: /a$\n",
        ["https://ex.test/a#b", "https://ex.test/a#/b?c"],
        ["https://ex.test#/a", "https://ex.test/b#/a", "https://ex.test?#/a", "https://ex.test/a?"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("hole", HOLES)
def test_holes_are_closed(hole: str, policy: Callable[..., OptOutPolicy]) -> None:
    domain, body, refused, kept = HOLES[hole]
    compiled = policy({domain: body})
    assert dropped(compiled, *refused) == [True] * len(refused)
    assert dropped(compiled, *kept) == [False] * len(kept)


WWW = [
    # www.x and x in the snapshot, the URL, refused without and with --www
    ({"ex.test": ALL}, "https://ex.test/", (True, True)),
    ({"ex.test": ALL}, "https://www.ex.test/", (False, True)),
    ({"www.ex.test": ALL}, "https://ex.test/", (False, True)),
    ({"www.ex.test": ALL}, "https://EX.test:443/", (False, True)),
    ({"www.ex.test": ALL}, "https://www.ex.test/", (True, True)),
    ({"ex.test": ALL}, "https://www2.ex.test/", (False, False)),
    ({"ex.test": ALL}, "https://wwwex.test/", (False, False)),
    ({"ex.test": ALL}, "https://www.www.ex.test/", (False, False)),
    ({"ex.test": ALL, "www.ex.test": PRIVATE}, "https://www.ex.test/", (False, False)),
    ({"ex.test": PRIVATE, "www.ex.test": ALL}, "https://www.ex.test/", (True, True)),
    # Both answer for themselves: what allows everything is an answer.
    ({"ex.test": ALL, "www.ex.test": NONE}, "https://www.ex.test/", (False, False)),
    ({"ex.test": NONE, "www.ex.test": ALL}, "https://ex.test/", (False, False)),
    ({"ex.test": ALL, "www.ex.test": ""}, "https://www.ex.test/", (False, False)),
]


@pytest.mark.parametrize(("robots", "url", "expected"), WWW)
def test_www_answers_only_where_it_is_asked_for(
    robots: dict[str, str],
    url: str,
    expected: tuple[bool, bool],
    policy: Callable[..., OptOutPolicy],
) -> None:
    found = tuple(dropped(policy(robots, www=www), url)[0] for www in (False, True))
    assert found == expected


def test_files_of_the_twin_answer_one_by_one(policy: Callable[..., OptOutPolicy]) -> None:
    """An ai.txt of its own is no robots.txt of its own."""
    twins = policy(
        {"ex.test": ALL},
        files={("www.ex.test", "ai.txt"): "User-Agent: *\nDisallow: /a\n"},
        www=True,
    )
    assert dropped(twins, "https://www.ex.test/b") == [True]


def test_a_file_that_reserves_nothing_is_an_answer_too(policy: Callable[..., OptOutPolicy]) -> None:
    reserved = '[{"location": "/", "tdm-reservation": %d}]'
    files = {
        ("ex.test", "tdmrep.json"): reserved % 1,
        ("www.ex.test", "tdmrep.json"): reserved % 0,
        ("ex.test:8080", "tdmrep.json"): reserved % 0,
    }
    urls = [
        "https://ex.test/",
        "https://www.ex.test/",
        "https://ex.test:8080/",
        "http://ex.test:81/",
    ]
    assert dropped(policy(files=files, www=True), *urls) == [True, False, False, True]


PORTS = [
    ({"ex.test": ALL, "ex.test:8080": NONE}, "http://ex.test:8080/", False),
    ({"ex.test": ALL, "ex.test:8080": NONE}, "http://ex.test:8081/", True),
    ({"ex.test": ALL, "ex.test:8080": NONE}, "http://ex.test/", True),
    ({"ex.test": NONE, "ex.test:8080": ALL}, "http://ex.test:8080/", True),
    ({"ex.test": NONE, "ex.test:8080": ALL}, "http://ex.test/", False),
    ({"ex.test": PRIVATE, "ex.test:8080": ALL}, "http://ex.test/a", False),
    ({"ex.test": ALL, "ex.test:8080": PRIVATE}, "http://ex.test:8080/a", False),
]


@pytest.mark.parametrize(("robots", "url", "refused"), PORTS)
def test_an_authority_of_its_own_answers_for_itself(
    robots: dict[str, str], url: str, refused: bool, policy: Callable[..., OptOutPolicy]
) -> None:
    """RFC 9309, 2.3: rules hold for one authority; without a file of its own, the host's do."""
    assert dropped(policy(robots), url) == [refused]


# -- the same answer, however it is asked ----------------------------------------------------------

BODIES = [
    ALL,
    NONE,
    PRIVATE,
    "",
    "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n\nUser-agent: *\nDisallow: /private\n",
    "User-agent: CCBot/2.0\nDisallow: /a/\nAllow: /a/b$\n",
    "User-agent: *\nDisallow: /*.pdf$\nDisallow: /a*b\nAllow: /a\nDisallow: /?q\n",
    "User-agent: *\nDisallow: /ä\nDisallow: /%C3%B6\nAllow: /ä/ö\nDisallow: /a%2Fb\nDisallow: /~\n",
    "User-agent: Google\nDisallow: /\n\nUser-agent: AI2Bot\nDisallow: /a\\b\n",
    "User-agent: bot\nAllow: /\nDisallow: /private\nUser-agent: *\nDisallow: /*?\n",
    "Disallow: /\n",
    BOM.decode() + "User-agent: *\nDisallow: /private\n\nUser-agent: GPTBot\nDisallow:\n",
    "<!DOCTYPE html><html>\nUser-agent: *\nDisallow: /\n",
]
DOMAINS = [
    "ex.test", "EX.test", "ex.test:443", "ex.test:8080", "www.ex.test", "müller.test",
    "xn--mller-kva.test", "sub.ex.test", "[2001:db8::1]", "192.0.2.1", "ex.test.", "a..b", "", " ",
    "localhost", "u:p@ex.test", "_dmarc.ex.test",
]  # fmt: skip
SCHEMES = [
    "https://", "http://", "HTTPS://", "hTtp://", "//", "", "https:", "https:/", "http:\\\\",
    "ftp://", "mailto:", "data:", " https://", "\thttp://", "http:///", "x://", "http",
]  # fmt: skip
USERS = ["", "", "", "u@", "u:p@", "@", "a@b@", "u:8080@"]
HOSTS = [
    "ex.test", "ex.test", "EX.test", "ex.test.", "Ex.Test..", "ｅｘ.test", "ex。test", "ex%2Etest",
    "müller.test", "MÜLLER.test", "xn--mller-kva.test", "mu\u0308ller.test", "www.ex.test",
    "sub.ex.test", "notex.test", "[2001:db8::1]", "[2001:DB8:0::1]", "[bad", "192.0.2.1", "a..b",
    "", "ex test", "-", f"{'a' * 63}.test", f"{'a' * 64}.test", "localhost", "ex.test\\", "😀.test",
    "x." * 130 + "test", "_dmarc.ex.test",
]  # fmt: skip
PORTED = ["", "", "", ":", ":80", ":443", ":8080", ":08080", ":0", ":65536", ":http", ":٣"]
TAILS = [
    "", "/", "/private", "/private/x?y#z", "/PRIVATE", "/pri\tvate", "/pri%76ate", "/a\\b", "/a/b",
    "/a/b ", "/a%2Fb", "/a%2fb", "/ä", "/ä/ö", "/%C3%A4", "/%c3%a4", "/%e4", "?q=1", "/?q=1", "?/private",
    "#f", "#/private", "/private#f", "/x#/private?q", "/x.pdf", "/x.pdf?", "/x.pdf#", "/axb", "/*", "/$",
    "//private", "/;p", "/~", "/%7E", "/robots.txt", "/robots.txt?x", "/a\nb", "/\x00", "/a b", "\\a\\b",
    "/a,b", "/a=b&c", "/%", "/%zz", "/a|b", "/%2A", "/a?b?c", "/private;x", "/a//b", "/./private",
]  # fmt: skip

PREFIXES = [
    "https://ex.test", "https://www.ex.test", "http://sub.ex.test", "http://ex.test:8080",
    "https://müller.test:443",
    *(scheme + "ex.test" for scheme in SCHEMES),
    *(f"http://{user}ex.test:8080" for user in USERS),
    *(f"https://{host}" for host in HOSTS),
    *(f"https://ex.test{port}" for port in PORTED),
]  # fmt: skip
ODD_URLS = [prefix + tail for n, prefix in enumerate(PREFIXES) for tail in TAILS[n % 5 :: 5]]
URLS = st.one_of(
    st.sampled_from(PREFIXES).flatmap(lambda p: st.sampled_from(TAILS).map(p.__add__)),
    st.tuples(*map(st.sampled_from, (SCHEMES, USERS, HOSTS, PORTED, TAILS))).map("".join),
    st.tuples(
        st.sampled_from(PREFIXES), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    ).map("".join),
    st.none(),
)
ROBOTS = st.dictionaries(st.sampled_from(DOMAINS), st.sampled_from(BODIES), min_size=2, max_size=8)


def held_by_host(robots: Mapping[str, str]) -> dict[str, str]:
    """Body by canonical authority: who spells no port speaks first, then who comes later."""
    held: dict[str, tuple[bool, str]] = {}
    for domain, body in robots.items():
        try:
            host, port, _ = split_url(f"//{domain}")
        except InputError:
            continue
        key = host if port is None else f"{host}:{port}"
        plain = port is not None or domain.rpartition(":")[2] not in {"80", "443"}
        if plain >= held.get(key, (False, ""))[0]:
            held[key] = plain, body
    return {key: body for key, (_, body) in held.items()}


@cache
def rules_by_agent(body: str, agents: tuple[str, ...]) -> dict[str, RuleSet]:
    dialect = DIALECTS["rfc9309"]
    file = dialect.parse(body.encode())
    return {a: RuleSet(dialect.rules_for(file, a)) for a in agents}


@cache
def parsed_upstream(body: str) -> Protego:
    return Protego.parse(body.encode().decode("utf-8", "replace"))


def by_rfc9309(
    robots: Mapping[str, str], url: str | None, agents: tuple[str, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """Host and disallowed agents, the long way."""
    try:
        host, port, path = split_url(url or "")
    except InputError:
        return None, ()
    held = held_by_host(robots)
    body = held.get(host if port is None else f"{host}:{port}", held.get(host))
    if body is None:
        return host, ()
    return host, tuple(a for a, rs in rules_by_agent(body, agents).items() if rs.refuses(path))


def by_upstream(
    robots: Mapping[str, str], url: str | None, agents: tuple[str, ...]
) -> tuple[str, ...]:
    """Disallowed agents as the published corpora determined them: what raises is allowed."""
    try:
        body = robots.get(urlparse(url or "").netloc or "no host at all")
    except ValueError:
        return ()
    if body is None:
        return ()
    parser = parsed_upstream(body)
    refused = []
    for agent in agents:
        try:
            if not parser.can_fetch(url, agent):
                refused.append(agent)
        except ValueError:
            pass
    return tuple(refused)


def refused_agents(policy: OptOutPolicy, code: int) -> tuple[str, ...]:
    if code == KEEP:
        return ()
    refusal = policy.refusals[code]
    assert refusal.signal is Signal.ROBOTS
    assert refusal.agents
    return refusal.agents


@given(ROBOTS, st.lists(URLS, min_size=20, max_size=60))
@settings(max_examples=100, deadline=None)
def test_rfc9309_decides_as_its_parts_do(
    tmp_path_factory: pytest.TempPathFactory, robots: dict[str, str], urls: list[str | None]
) -> None:
    compiled = build(tmp_path_factory.mktemp("p"), robots, signals="robots,optout")
    found = compiled.decide(None, pa.array(urls, pa.string()))
    assert len(found.codes) == len(found.hosts) == len(urls)
    for url, host, code in zip(urls, found.hosts.to_pylist(), found.codes.tolist(), strict=True):
        expected = by_rfc9309(robots, url, compiled.header.agents)
        assert (host, refused_agents(compiled, code)) == expected, url


@given(ROBOTS, st.lists(URLS, min_size=20, max_size=60))
@settings(max_examples=100, deadline=None)
def test_apertus_decides_as_upstream_does(
    tmp_path_factory: pytest.TempPathFactory, robots: dict[str, str], urls: list[str | None]
) -> None:
    compiled = build(tmp_path_factory.mktemp("p"), robots, policy="apertus-2025-01")
    found = compiled.decide(None, pa.array(urls, pa.string()))
    for url, code in zip(urls, found.codes.tolist(), strict=True):
        expected = by_upstream(robots, url, compiled.header.agents)
        assert refused_agents(compiled, code) == expected, url


PIECE = st.sampled_from([*"/ab.?=&%~*$é-", "a", "b", "/", "ab", "%2E", "%2f", "%7e", ".a", "//"])
PATTERN = st.lists(PIECE, max_size=6).map("".join)
RULE = st.tuples(st.sampled_from(["Disallow", "Disallow", "Allow"]), PATTERN.map("/".__add__))
WILD = st.tuples(st.just("Disallow"), PATTERN.map("*".__add__))
GROUP = st.lists(RULE | WILD, min_size=1, max_size=4).map(
    lambda rules: "".join(f"{key}: {pattern}\n" for key, pattern in rules)
)
PATHS = st.lists(
    st.tuples(st.sampled_from(["/", "/", "/", "", "?"]), PATTERN).map("".join), max_size=40
)


@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
@given(st.data(), GROUP, GROUP, PATHS)
@settings(max_examples=100, deadline=None)
def test_no_refusal_is_lost_on_short_cuts(
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    one: str,
    other: str,
    paths: list[str],
) -> None:
    """Whatever spares a batch the work of matching, it must not spare a page that is refused."""
    robots = {
        "a.test": f"User-agent: a-bot\n{one}User-agent: b-bot\n{other}",
        "b.test": f"User-agent: *\n{one}",
        "c.test": f"User-agent: a-bot\nDisallow: /\n\nUser-agent: b-bot\n{other}",
    }
    compiled = build(
        tmp_path_factory.mktemp("p"),
        robots,
        policy=name,
        agents="a-bot,b-bot",
        signals="robots,optout",
    )
    near = data.draw(
        st.lists(st.sampled_from([x.strip("*$") for x in one.split()[1::2]]), max_size=5)
    )
    urls = [f"https://{h}{path}" for path in paths + near for h in ("a.test", "b.test", "c.test")]
    found = compiled.decide(None, pa.array(urls, pa.string()))
    agents = compiled.header.agents
    for url, code in zip(urls, found.codes.tolist(), strict=True):
        expected = (
            by_rfc9309(robots, url, agents)[1]
            if name == "rfc9309"
            else by_upstream(robots, url, agents)
        )
        assert refused_agents(compiled, code) == expected, url
        alone = compiled.verdict(url).refusal
        assert alone == (None if code == KEEP else compiled.refusals[code])


LAYOUTS: dict[str, Callable[[list[str | None]], Any]] = {
    "string": lambda v: pa.array(v, pa.string()),
    "large_string": lambda v: pa.array(v, pa.large_string()),
    "string_view": lambda v: pa.array(v, pa.string_view()),
    "dictionary": lambda v: pa.array(v, pa.string()).dictionary_encode(),
    "sliced": lambda v: pa.array(["https://ex.test/", None, *v, "x"], pa.string()).slice(2, len(v)),
    "sliced large": lambda v: pa.array([None, *v], pa.large_string()).slice(1),
    "sliced dictionary": lambda v: pa.array([None, *v], pa.string()).dictionary_encode().slice(1),
    "chunked": lambda v: pa.chunked_array([v[:7], [], v[7:]], pa.string()),
    "chunked and sliced": lambda v: pa.chunked_array([["y", *v[:7]], v[7:]], pa.string()).slice(1),
}


@pytest.fixture(scope="module", params=["rfc9309", "apertus-2025-01"])
def busy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OptOutPolicy:
    """A policy in which nearly every host has something to say."""
    robots = dict(zip(DOMAINS, BODIES * 2, strict=False))
    optouts = [
        {"scope": "document_id", "value": "d-7"},
        {"scope": "subdomains", "value": "sub.ex.test"},
        {"scope": "url_prefix", "value": "https://192.0.2.1/a"},
    ]
    return build(tmp_path_factory.mktemp("busy"), robots, optouts, policy=request.param)


def answers(
    policy: OptOutPolicy, ids: Any, urls: Any, pages: Any = None
) -> list[tuple[str | None, Refusal | None]]:
    found = policy.decide(ids, urls, pages)
    assert found.keep.tolist() == [c == KEEP for c in found.codes.tolist()]
    refusals = [None if c == KEEP else found.refusals[c] for c in found.codes.tolist()]
    return list(zip(found.hosts.to_pylist(), refusals, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_columns_does_not_matter(layout: str, busy: OptOutPolicy) -> None:
    urls: list[str | None] = [*ODD_URLS, None, ""]
    ids: list[str | None] = [f"d-{i}" for i in range(len(urls) - 1)]
    ids.append(None)
    meta: list[str | None] = ["noai" if i % 50 == 3 else None for i in range(len(urls))]
    one_by_one = []
    for url, id_ in zip(urls, ids, strict=True):
        verdict = busy.verdict(url, id_)
        assert verdict.keep is (verdict.refusal is None)
        one_by_one.append((verdict.host, verdict.refusal))
    make = LAYOUTS[layout]
    assert answers(busy, make(ids), make(urls)) == one_by_one
    assert sum(r is not None for _, r in one_by_one) > 50
    assert answers(busy, make([]), make([])) == []
    signals = {Signal.NOAI} & busy.spec.signals
    with_pages = answers(busy, make(ids), make(urls), {"meta_robots": make(meta)})
    for i, (_, refusal) in enumerate(with_pages):
        named_too = set(refusal.signals) if refusal else set()
        alone = one_by_one[i][1]
        expected = {*(alone.signals if alone else ()), *(signals if meta[i] else ())}
        assert named_too == expected


@given(st.lists(st.sampled_from([*ODD_URLS, None]), max_size=40), st.data())
@settings(max_examples=40, deadline=None)
def test_any_splitting_into_batches_gives_the_same(
    busy: OptOutPolicy, urls: list[str | None], data: st.DataObject
) -> None:
    array = pa.array(urls, pa.string())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(urls)), max_size=4)))
    parts = [
        answer
        for start, stop in zip([0, *cuts], [*cuts, len(urls)], strict=True)
        for answer in answers(busy, None, array.slice(start, stop - start))
    ]
    assert parts == answers(busy, None, array)


def test_hosts_are_canonical_in_both_policies(busy: OptOutPolicy) -> None:
    """What a ledger shows: no credentials, one spelling."""
    urls = pa.array(
        ["https://u:p@EX.test.:8080/", "http://ex.test/", "https://MÜLLER.test:80", "x:"]
    )
    hosts = busy.decide(None, urls).hosts.to_pylist()
    assert hosts == ["ex.test", "ex.test", "xn--mller-kva.test", None]


def test_columns_of_different_length_are_an_error(busy: OptOutPolicy) -> None:
    urls = pa.array(["https://a.test/"] * 3)
    with pytest.raises(ValueError, match="length"):
        busy.decide(pa.array(["x"] * 2), urls)
    with pytest.raises(ValueError, match="length"):
        busy.decide(None, urls, {"meta_robots": pa.array(["noai"] * 4)})


def test_documents_without_a_host_fall_as_the_policy_says(
    policy: Callable[..., OptOutPolicy],
) -> None:
    urls = [None, "", "mailto:a@b.test", "http://", "https://a..b/", f"https://{'a' * 64}.test/"]
    kept = policy({"ex.test": ALL})
    assert dropped(kept, *urls, "https://a.test/") == [False] * 7
    strict = policy({"ex.test": ALL}, no_url=named("rfc9309").unreachable)
    assert dropped(strict, *urls, "https://a.test/") == [True] * 6 + [False]
    assert "no URL" in refusal_of(strict, None).rule


# -- explanations ----------------------------------------------------------------------------------

EXPLAINED = b"""# Rules of ex.test\r
\r
User-agent: GPTBot\r
User-Agent: CCBot/2.0 # both\r
Disallow:   /private/  # keep out\r
 DISALLOW : /*.pdf$\r
dissallow /typo\r
\r
User-agent: *\r
Content-Usage: /art/ train-ai=n\r
Content-Signal: search=yes,ai-train=no\r
Disallow: /caf\xc3\xa9\r
Allow: /\r
"""
LINES = [
    ("/private/x", Signal.ROBOTS, 5, "Disallow:   /private/  # keep out", ("CCBot", "GPTBot")),
    ("/a.pdf", Signal.ROBOTS, 6, "DISALLOW : /*.pdf$", ("CCBot", "GPTBot")),
    ("/typo", Signal.ROBOTS, 7, "dissallow /typo", ("CCBot", "GPTBot")),
    ("/café", Signal.ROBOTS, 12, "Disallow: /café", ("*",)),
    ("/art/1", Signal.CONTENT_USAGE, 10, "Content-Usage: /art/ train-ai=n", ("*",)),
    ("/other", Signal.CONTENT_SIGNAL, 11, "Content-Signal: search=yes,ai-train=no", ("*",)),
]


@pytest.mark.parametrize(("path", "signal", "line", "rule", "agents"), LINES)
@pytest.mark.parametrize("ends", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
def test_a_refusal_names_the_very_line(
    path: str,
    signal: Signal,
    line: int,
    rule: str,
    agents: tuple[str, ...],
    ends: bytes,
    tmp_path: Path,
) -> None:
    body = EXPLAINED.replace(b"\r\n", ends)
    table = {"domain": ["ex.test"], "content": [body], "fetched_at": [date(2026, 1, 2)]}
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("CCBot,GPTBot,*"), DAY)
    compiler.add_snapshot(tmp_path / "s.parquet")
    compiler.finish(tmp_path / "p.parquet")
    refusal = refusal_of(OptOutPolicy.open(tmp_path / "p.parquet"), f"https://ex.test{path}")
    assert refusal.signal is signal
    assert (refusal.line, refusal.rule) == (line, rule)
    assert refusal.agents == agents
    assert refusal.file == "robots.txt"
    assert refusal.source_hash == hashlib.sha256(body).hexdigest()
    assert refusal.source_date == "2026-01-02"


@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_the_rule_of_the_first_agent_explains(
    name: str, policy: Callable[..., OptOutPolicy]
) -> None:
    body = "User-agent: b-bot\nDisallow: /\n\nUser-agent: a-bot\nDisallow: /x\nUser-agent: c-bot\n"
    compiled = policy({"ex.test": body}, policy=name, agents="a-bot,b-bot,c-bot")
    first = refusal_of(compiled, "https://ex.test/x")
    assert (first.line, first.rule, first.agents) == (5, "Disallow: /x", ("a-bot", "b-bot"))
    second = refusal_of(compiled, "https://ex.test/y")
    assert (second.line, second.rule, second.agents) == (2, "Disallow: /", ("b-bot",))


def test_a_long_line_is_explained_by_its_beginning(policy: Callable[..., OptOutPolicy]) -> None:
    line = "Disallow: /" + "a" * 2000
    compiled = policy({"ex.test": f"User-agent: *\n{line}\n"})
    refusal = refusal_of(compiled, "https://ex.test/" + "a" * 2001)
    assert line.startswith(refusal.rule)
    assert len(refusal.rule) >= 500


TDMREP = b'[\n  {"location": "/", "tdm-reservation": 1}\n]'
AI_TXT = b"# x\nUser-Agent: *\nDisallow: *.txt\n"
RSL = (
    b'<rsl xmlns="https://rslstandard.org/rsl">\n<content url="/"><license>'
    b'<prohibits type="usage">ai-train</prohibits></license></content></rsl>'
)
FILES = {
    "tdmrep.json": (TDMREP, Signal.TDMREP, 2, '"location": "/"'),
    "ai.txt": (AI_TXT, Signal.AI_TXT, 3, "Disallow: *.txt"),
    "rsl.xml": (RSL, Signal.RSL, 2, 'content url="/"'),
}


@pytest.mark.parametrize("file", FILES)
def test_other_files_are_explained_by_their_own_line_too(
    file: str, policy: Callable[..., OptOutPolicy]
) -> None:
    body, signal, line, words = FILES[file]
    refusal = refusal_of(policy(files={("ex.test", file): body}), "https://ex.test/a")
    assert (refusal.signal, refusal.file, refusal.line) == (signal, file, line)
    assert refusal.source_hash == hashlib.sha256(body).hexdigest()
    assert refusal.agents == ()
    assert words in refusal.rule


def test_explaining_many_rules_of_one_file_is_linear(policy: Callable[..., OptOutPolicy]) -> None:
    """Many rules are met once each; to look through all of them each time would take a minute."""
    count = 40_000
    body = "User-agent: *\n" + "".join(f"Disallow: /{i}$\nDisallow: /p{i}/\n" for i in range(count))
    compiled = policy({"ex.test": body}, agents="GPTBot,")
    urls = pa.array([f"https://ex.test/p{i}/" for i in range(0, count, 3)])
    started = time.process_time()
    found = compiled.decide(None, urls)
    assert (found.codes != KEEP).all()
    assert len({compiled.refusals[c].line for c in found.codes}) == len(urls)
    assert time.process_time() - started < 5


# -- several signals at once -----------------------------------------------------------------------


def test_the_first_signal_explains_and_all_are_named(
    policy: Callable[..., OptOutPolicy],
) -> None:
    robots = "User-agent: *\nContent-Signal: ai-train=no\nContent-Usage: train-ai=n\n"
    files: dict[tuple[str, str], str | bytes] = {("ex.test", f): b[0] for f, b in FILES.items()}
    optouts = [{"scope": "domain", "value": "ex.test"}]
    url = pa.array(["https://ex.test/a"])
    pages = {"meta_robots": pa.array(["noai"])}

    def told(compiled: OptOutPolicy) -> tuple[Signal, tuple[Signal, ...]]:
        code = int(compiled.decide(pa.array(["x"]), url, pages).codes[0])
        return compiled.refusals[code].signal, compiled.refusals[code].signals

    everything = [s for s in Signal if s is not Signal.TAG]
    compiled = policy({"ex.test": robots + "Disallow: /"}, optouts, files)
    assert told(compiled) == (Signal.ROBOTS, tuple(everything))
    compiled = policy({"ex.test": robots}, optouts, files)
    assert told(compiled) == (Signal.OPTOUT, tuple(everything[1:]))
    for number in range(len(everything)):
        some = everything[number:]
        compiled = policy(
            {"ex.test": robots + "Disallow: /"}, optouts, files, signals=",".join(some)
        )
        assert told(compiled) == (some[0], tuple(some))


PAGES = [
    ("meta_robots", "noai", [Signal.NOAI]),
    ("meta_robots", "index, NoAI, noimageai", [Signal.NOAI]),
    ("meta_robots", "noimageai, noindex", []),
    ("meta_robots", '{"robots": "noai", "tdm-reservation": "1"}', [Signal.TDMREP, Signal.NOAI]),
    (
        "meta_robots",
        '{"content-usage": "train-ai=n", "robots": "noai"}',
        [Signal.CONTENT_USAGE, Signal.NOAI],
    ),
    ("meta_robots", '{"tdm-reservation": "0"}', []),
    ("x_robots_tag", "noai", [Signal.NOAI]),
    ("x_robots_tag", "GPTBot: noai", [Signal.NOAI]),
    ("x_robots_tag", "somebot: noai", []),
    ("x_robots_tag", "noindex", []),
    ("content_usage", "train-ai=n", [Signal.CONTENT_USAGE]),
    ("content_usage", "genai=n", [Signal.CONTENT_USAGE]),
    ("content_usage", "ai=n", [Signal.CONTENT_USAGE]),
    ("content_usage", "bots=n, search=y", [Signal.CONTENT_USAGE]),
    ("content_usage", "search=n", []),
    ("content_usage", "train-ai=y", []),
    ("tdm_reservation", "1", [Signal.TDMREP]),
    ("tdm_reservation", " 1 ", [Signal.TDMREP]),
    ("tdm_reservation", "0", []),
    ("tdm_reservation", "10", []),
    ("tdm_reservation", None, []),
]


@pytest.mark.parametrize(("column", "value", "signals"), PAGES)
def test_a_page_speaks_for_itself(
    column: str, value: str | None, signals: list[Signal], policy: Callable[..., OptOutPolicy]
) -> None:
    urls = pa.array(["https://ex.test/a", "https://ex.test/b"])
    pages = {column: pa.array([value, None], pa.string())}
    compiled = policy()
    (_, refusal), (_, other) = answers(compiled, None, urls, pages)
    assert other is None
    assert (list(refusal.signals) if refusal else []) == signals
    # Each of the signals refuses alone, too, where the policy asks for no other.
    for signal in Signal:
        ((_, alone), _) = answers(policy(signals=signal.value), None, urls, pages)
        assert (alone is not None) is (signal in signals)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.bool_(), pa.large_string()])
def test_a_reservation_may_be_a_number_or_a_truth_value(
    kind: pa.DataType, policy: Callable[..., OptOutPolicy]
) -> None:
    column = pa.array([1, 0, None], pa.int8()).cast(kind)
    urls = pa.array(["https://a.test/"] * 3)
    found = policy().decide(None, urls, {"tdm_reservation": column})
    assert found.keep.tolist() == [False, True, True]


def test_apertus_hears_no_page(policy: Callable[..., OptOutPolicy]) -> None:
    pages = {"meta_robots": pa.array(["noai"])}
    compiled = policy(policy="apertus-2025-01")
    assert compiled.decide(None, pa.array(["https://a.test/"]), pages).keep.all()


# -- explicit opt-outs -----------------------------------------------------------------------------

SCOPES: dict[str, tuple[str, str, list[str], list[str]]] = {
    "domain": (
        "domain",
        "ex.test",
        ["https://ex.test/a", "http://EX.test.:8080/", "https://u:p@ex.test/", "ex.test/a?b"],
        ["https://www.ex.test/", "https://notex.test/", "https://ex.test.invalid/", "mailto:x"],
    ),
    "subdomains": (
        "subdomains",
        "Ex.test",
        ["https://ex.test/", "https://www.ex.test/", "https://a.b.ex.test:81/", "A.EX.test"],
        ["https://notex.test/", "https://ex.test.invalid/", "https://test/", "https://ex.tes/"],
    ),
    "subdomains of a subdomain": (
        "subdomains",
        "a.ex.test",
        ["https://a.ex.test/", "https://b.a.ex.test/"],
        ["https://ex.test/", "https://b.ex.test/", "https://ba.ex.test/"],
    ),
    "IDN": (
        "subdomains",
        "müller.test",
        ["https://xn--mller-kva.test/", "https://www.MÜLLER.test/"],
        ["https://muller.test/"],
    ),
    "IPv6": ("domain", "[2001:db8::1]", ["http://[2001:DB8::1]:80/"], ["http://[2001:db8::2]/"]),
    "url_prefix": (
        "url_prefix",
        "https://ex.test/blog/",
        ["https://ex.test/blog/", "http://ex.test:8080/blog/a?b#c", "ex.test/blog/%61"],
        ["https://ex.test/blog", "https://ex.test/", "https://www.ex.test/blog/", "x.test/blog/"],
    ),
    "url_prefix with characters that parsers rewrite": (
        "url_prefix",
        "https://ex.test/a,b;c='(ä)'!@:&~%7E%2c$*|x",
        [
            "https://ex.test/a,b;c='(ä)'!@:&~%7E%2c$*|x",
            "https://ex.test/a,b;c='(%C3%A4)'!@:&%7e~%2C$*%7Cx/y",
        ],
        ["https://ex.test/a%2Cb", "https://ex.test/a,b;c='(a)'!@:&~%7E%2c$*|x"],
    ),
    "url": (
        "url",
        "https://ex.test/a?b=c",
        ["https://ex.test/a?b=c", "http://ex.test:81/a?b=c#d", "ex.test/%61?b=c"],
        ["https://ex.test/a", "https://ex.test/a?b=cd", "https://ex.test/a?b", "ex.test/A?b=c"],
    ),
    "url of a robots.txt": (
        "url",
        "https://ex.test/robots.txt",
        ["https://ex.test/robots.txt"],
        ["https://ex.test/robots.txt2"],
    ),
    "domain, odd URLs": (
        "domain",
        "ex.test",
        ["//ex.test/a", "https:///ex.test/a", "http:\\\\ex.test\\a", " https://ex.test", "ex.test"],
        ["https://[bad/ex.test", "/ex.test"],
    ),
    "domain, paths that no parser of robots.txt refuses": (
        "domain",
        "ex.test",
        ["https://ex.test/robots.txt", "https://ex.test", "https://ex.test?", "https://ex.test#x"],
        ["https://ex.tes/t"],
    ),
}


@pytest.mark.parametrize("case", SCOPES)
@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_opt_outs_hold_in_both_policies(
    case: str, name: str, policy: Callable[..., OptOutPolicy]
) -> None:
    scope, value, refused, kept = SCOPES[case]
    compiled = policy(optouts=[{"scope": scope, "value": value}], policy=name)
    assert dropped(compiled, *refused) == [True] * len(refused)
    assert dropped(compiled, *kept) == [False] * len(kept)
    refusal = refusal_of(compiled, refused[0])
    assert (refusal.signal, refusal.agents, refusal.line) == (Signal.OPTOUT, (), 1)
    assert "r-1" in refusal.rule
    assert refusal.source_date == "2026-01-01"


@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_a_permission_of_robots_txt_lifts_no_opt_out(
    name: str, policy: Callable[..., OptOutPolicy]
) -> None:
    compiled = policy({"ex.test": NONE}, [{"scope": "domain", "value": "ex.test"}], policy=name)
    assert refusal_of(compiled, "https://ex.test/").signals == (Signal.OPTOUT,)
    both = policy({"ex.test": ALL}, [{"scope": "domain", "value": "ex.test"}], policy=name)
    assert refusal_of(both, "https://ex.test/").signals == (Signal.ROBOTS, Signal.OPTOUT)


@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_opt_outs_of_a_host_with_an_authority_of_its_own(
    name: str, policy: Callable[..., OptOutPolicy]
) -> None:
    """The port has its own robots.txt, the opt-out means the host."""
    robots = {"ex.test:8080": NONE, "www.ex.test": NONE}
    compiled = policy(robots, [{"scope": "domain", "value": "ex.test"}], policy=name)
    assert dropped(compiled, "http://ex.test:8080/", "http://www.ex.test/") == [True, False]


def test_www_extends_no_opt_out(policy: Callable[..., OptOutPolicy]) -> None:
    compiled = policy(optouts=[{"scope": "domain", "value": "ex.test"}], www=True)
    assert dropped(compiled, "https://www.ex.test/", "https://ex.test/") == [False, True]


TIMES = [
    ({"effective": "2026-01-31"}, True),
    ({"effective": "2026-02-01"}, False),
    ({"effective": "2026-01-01", "withdrawn": "2026-02-01"}, True),
    ({"effective": "2026-01-01", "withdrawn": "2026-01-31"}, False),
    ({"effective": "2026-01-31T23:59:59-01:00"}, False),
]
VALUES = [
    ("domain", "ex.test"),
    ("subdomains", "ex.test"),
    ("url_prefix", "https://ex.test/"),
    ("url", "https://ex.test/"),
    ("document_id", "<urn:uuid:0c6fd3a1-9b1e-4bd1-a6b5-2f1de20f8b97>"),
    ("dataset", "example/corpus"),
]


@pytest.mark.parametrize(("times", "holds"), TIMES)
@pytest.mark.parametrize(("scope", "value"), VALUES)
@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_opt_outs_hold_from_their_day_until_they_are_withdrawn(
    scope: str,
    value: str,
    name: str,
    times: dict[str, str],
    holds: bool,
    policy: Callable[..., OptOutPolicy],
) -> None:
    compiled = policy(optouts=[{"scope": scope, "value": value, **times}], policy=name)
    ids = pa.array([VALUES[4][1]])
    found = compiled.decide(ids, pa.array(["https://ex.test/"]), None, "example/corpus")
    assert found.keep.tolist() == [not holds]


def test_documents_and_data_sets_are_refused_with_all_there_is_to_know(
    policy: Callable[..., OptOutPolicy], tmp_path: Path
) -> None:
    optouts = [
        {"scope": "document_id", "value": "d-1", "effective": "2025-12-24"},
        {"scope": "dataset", "value": "example/corpus", "effective": "2025-12-25"},
    ]
    compiled = policy(optouts=optouts)
    lines = (compiled.path.parent / "o.jsonl").read_bytes().splitlines()
    listed = [hashlib.sha256(line).hexdigest() for line in lines]
    ids = pa.array(["d-1", "d-11", None, "D-1"])
    urls = pa.array(["https://a.test/", "https://a.test/", None, None])
    assert compiled.decide(ids, urls).keep.tolist() == [False, True, True, True]
    refusal = refusal_of(compiled, None, "d-1")
    assert (refusal.signal, refusal.line) == (Signal.OPTOUT, 1)
    assert (refusal.source_hash, refusal.source_date) == (listed[0], "2025-12-24")
    assert "r-1" in refusal.rule
    found = compiled.decide(ids, urls, None, "example/corpus")
    assert not found.keep.any()
    refusal = found.refusals[found.codes[1]]
    assert (refusal.line, refusal.source_hash, refusal.source_date) == (2, listed[1], "2025-12-25")
    for other in ("example/corpus2", "corpus", "", None):
        assert compiled.decide(ids, urls, None, other).keep.tolist() == [False, True, True, True]


def test_signals_that_are_not_asked_for_do_not_refuse(policy: Callable[..., OptOutPolicy]) -> None:
    optouts = [{"scope": s, "value": v} for s, v in VALUES]
    compiled = policy({"ex.test": PRIVATE}, optouts, signals="robots")
    ids = pa.array([VALUES[4][1], "x"])
    urls = pa.array(["https://ex.test/", "https://ex.test/private"])
    found = compiled.decide(ids, urls, None, "example/corpus")
    assert found.keep.tolist() == [True, False]
    assert found.refusals[found.codes[1]].signals == (Signal.ROBOTS,)


# -- the policy as an object -----------------------------------------------------------------------


def test_a_policy_pickles_and_moves(busy: OptOutPolicy, tmp_path: Path) -> None:
    urls = pa.array(ODD_URLS)
    before = answers(busy, None, urls)
    again = pickle.loads(pickle.dumps(busy))
    assert again.version == busy.version
    assert answers(again, None, urls) == before
    moved = tmp_path / "elsewhere" / "renamed.bin"
    moved.parent.mkdir()
    moved.write_bytes(busy.path.read_bytes())
    assert answers(OptOutPolicy.open(moved), None, urls) == before


def test_refusals_of_equal_rows_are_one_value(policy: Callable[..., OptOutPolicy]) -> None:
    compiled = policy({"ex.test": ALL, "b.test": ALL})
    urls = [f"https://{h}/{i}" for i in range(500) for h in ("ex.test", "b.test")]
    found = compiled.decide(None, pa.array(urls))
    assert len(set(found.codes.tolist())) == len(compiled.refusals) == 1


def test_a_batch_of_hostile_urls_is_linear(busy: OptOutPolicy) -> None:
    long = 200_000
    urls = [
        "https://ex.test/" + "a/" * long,
        "https://ex.test/" + "%" * long,
        "https://ex.test?" + "&" * long,
        "https://" + "a." * long + "test/",
        "https://" + "@" * long + "ex.test/",
        "https://ex.test:" + "8" * long,
        "https://" + "ü" * long + ".test/",
        "https:" + "/" * long + "ex.test",
        "\t" * long + "https://ex.test/",
        "https://[" + ":" * long + "]/",
    ]
    started = time.process_time()
    busy.decide(None, pa.array(urls * 3))
    assert time.process_time() - started < 10
