"""The dialect `protego` equals Protego, release 0.7.0, on generated files and on real ones."""

from __future__ import annotations

import random
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from protego import Protego

from pipeline.optout.agents import agent_sets
from pipeline.optout.robots import DIALECTS
from pipeline.optout.rules import RuleSet

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
PROTEGO = DIALECTS["protego"]
SPLITS = Protego.parse("User-agent: *\nDisallow: /x")
"""Has rules for everybody, so that it splits every URL."""


def test_the_oracle_is_the_release_that_the_dialect_names():
    assert version("protego") == "0.7.0"


def equal(body: bytes, agents, urls) -> None:
    """For these agents and URLs our verdicts are the oracle's, errors included."""
    oracle = Protego.parse(body.decode("utf-8", errors="replace"))
    parsed = PROTEGO.parse(body)
    paths = {}
    for url in urls:
        try:
            paths[url] = PROTEGO.url_path(url)
        except ValueError:
            with pytest.raises(ValueError):
                SPLITS.can_fetch(url, "x")
    for agent in agents:
        rules = RuleSet(PROTEGO.rules_for(parsed, agent))
        for url, path in paths.items():
            allowed = path is None or rules.refuses(path) is None
            assert allowed == oracle.can_fetch(url, agent), (agent, url)


# -- Generated files --------------------------------------------------------------------------------

KEYS = (
    "User-agent", "user-agent", "USERAGENT", "User Agent", "user  agent", "Allow", "ALLOW", "Disallow",
    "disallow", "Dissallow", "dissalow", "disalow", "diasllow", "disallaw", "desallow", "Sitemap",
    "site-map", "Host", "Crawl-delay", "crawl delay", "Request-rate", "request rate", "Visit-time",
    "Noindex", "Content-Signal", "", "\u0130allow", "\ufeffUser-agent",
)  # fmt: skip
SEPARATORS = (":", ": ", " : ", ":\t", " ", "\t", "\u00a0", "::", "=", "", ":\u3000", " : : ")
NAMES = (
    "*", "foobot", "FooBot", "foobot/1.0", "foo", "bot", "b", "foo*", "*bot", "foo*bot", "**", "foo bot",
    "foo  bot", "foo-bot", "_bot", "GPTBot", "jävla-bot", "ΣΊΣ", "Mozilla/5.0 (compatible; foobot)", " ",
    "CCBot/2.0", "İbot", "bot foobot", "1.0",
)  # fmt: skip
PATTERNS = (
    "/", "", "*", "$", "/$", "/*", "/a", "/a$", "/a$b", "/a$$", "/*a", "/a*b$", "/a**b", "/index.html",
    "/a/index.html", "/a/index.html$", "index.html", "/a/index.htm", "https://example.org/a",
    "http://example.org/a$", "ftp://example.org/a", "HTTP://example.org/a", "/a b", "/é", "/%C3%A9",
    "/%c3%a9", "/%2Fa", "/%2fa", "/%2A", "/%2a", "/%25", "/%24", "/%7Ea", "/~a", "/%zz", "/%", "/%4",
    "/%%41", "/%%32f", "/%E9", "/a?b=c", "/a?b%3Dc", "/a=b", "/a%3Db", "/a;b", "/a%3Bb", "//a", "/\\a",
    "/a\u2028b", "/[a", "/ü*ü$", "/robots.txt", "a", "*a*", "/a%20b", "/a+b", "/\ufffd", "/'(),!",
    "/%EA", "/%e9", "/%f0%9f%92%A9", "/💩",
)  # fmt: skip
BREAKS = ("\n", "\r\n", "\r", "\n\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e")
SPACES = ("", " ", "\t", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x1f")
HOSTS = (
    "https://example.org", "http://example.org:8080", "", "//example.org", "example.org", "x:y", "http:",
    "https://u:p@example.org", "HTTPS://EXAMPLE.org", "http://[bad", "http://[::1]", "mailto:a@b",
    "https://exa\u2100mple.org", "\x00https://example.org",
)  # fmt: skip
TAILS = (
    "",
    "/",
    "?",
    "#",
    "?a",
    "#a",
    "/a#?b",
    "/a?#b",
    "?b=c",
    ";b",
    "/z",
    "$",
    "%24",
    "/index.html",
)

free = st.text(st.sampled_from("/a*$%2Ff4éÉ.=?;~ \\[]\t#:b"), max_size=10)
patterns = st.one_of(st.sampled_from(PATTERNS), free.map("/".__add__), free)
names = st.one_of(st.sampled_from(NAMES), st.text(st.sampled_from("fobt*/-_ é"), max_size=6))
values = st.one_of(names, patterns)
comments = st.sampled_from(["", "", "", " # x", "#", "#: /"])
lines = st.one_of(
    st.builds("User-agent: {}{}".format, names, comments),
    st.builds("{}: {}{}".format, st.sampled_from(["Allow", "Disallow"]), patterns, comments),
    st.tuples(
        st.sampled_from(SPACES), st.sampled_from(KEYS), st.sampled_from(SEPARATORS), values, comments,
        st.sampled_from(SPACES),
    ).map("".join),
    st.text(max_size=20),
)  # fmt: skip
texts = st.lists(st.tuples(lines, st.sampled_from(BREAKS)).map("".join), max_size=14).map("".join)
bodies = st.one_of(
    texts.map(lambda text: text.encode("utf-8", "replace")),
    texts.map(lambda text: b"\xef\xbb\xbf" + text.encode("utf-8", "replace")),
    texts.map(lambda text: text.encode("latin-1", "replace")),
    texts.map(lambda text: text.encode("utf-16", "replace")),
    st.binary(max_size=80),
)
agents = st.one_of(
    names,
    st.sampled_from([" foobot ", "Mozilla/5.0 (compatible; foobot/2.1; +https://example.org/)", "",
                     "myfoobot", "xbot-foobot", "foobot-news", "ς", "σίς", "GPTBot", "gptbot\u00a0"]),
)  # fmt: skip
urls = st.one_of(
    st.tuples(st.sampled_from(HOSTS), patterns, st.sampled_from(TAILS)).map("".join),
    st.tuples(st.sampled_from(HOSTS), st.sampled_from(["/robots.txt", "/a/robots.txt"])).map(
        "".join
    ),
    st.text(max_size=30),
    st.sampled_from(["https://example.org/\ud800", "/%ED%A0%80", "http://[bad/robots.txt"]),
)


@given(bodies, st.lists(agents, min_size=1, max_size=4), st.lists(urls, min_size=1, max_size=4))
@example(b"User-agent: foo*bot\nDisallow: /", ["foobot", "foo*bot"], ["/"])
@example(b"User-agent: *\nAllow: /a/index.html\nDisallow: /", ["x"], ["https://e.example/a/"])
@example(b"User-agent: *\nDisallow: /a$", ["x"], ["/a", "/a$", "/a%24", "/ab"])
@example(b"User-agent: a\nUser-agent: b\nSitemap: x\nUser-agent: c\nDisallow: /", ["a", "c"], ["/"])
@settings(max_examples=200, deadline=None)
def test_equal_on_generated_files(body, asking, asked):
    equal(body, asking, asked)


@given(patterns, st.one_of(patterns, free), st.sampled_from(TAILS), st.booleans())
@settings(max_examples=200, deadline=None)
def test_equal_on_one_pattern_and_one_path(pattern, path, tail, allow):
    """Closer together than above, so that most examples match or nearly do."""
    body = f"User-agent: *\n{'Disallow: /' if allow else ''}\n{'Allow' if allow else 'Disallow'}: {pattern}"
    for url in (f"https://example.org{path}{tail}", f"https://example.org{pattern}{tail}"):
        equal(body.encode("utf-8", "replace"), ["x"], [url])


@given(names, agents)
@settings(max_examples=200, deadline=None)
def test_equal_on_one_name_and_one_agent(name, agent):
    for body in (
        f"User-agent: {name}\nDisallow: /",
        f"User-agent: *\nDisallow: /\nUser-agent: {name}",
    ):
        equal(body.encode(), [agent, name], ["/a"])


@given(urls)
@settings(max_examples=200, deadline=None)
def test_what_cannot_be_split_raises(url):
    try:
        SPLITS.can_fetch(url, "x")
    except ValueError:
        with pytest.raises(ValueError):
            PROTEGO.url_path(url)
    else:
        PROTEGO.url_path(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://[bad/a?b",
        "http://[bad?",
        "//[::1",
        "https://exa\u2100mple.org/é",
        "http://[bad/robots.txt",
    ],
)
def test_urls_that_the_standard_library_refuses(url):
    with pytest.raises(ValueError):
        PROTEGO.url_path(url)


def test_the_documented_peculiarities():
    """The rows of docs/robots.md, so that nobody has to believe them."""
    rows = [
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /", "x", "/a", True),
        (b"User-agent: Bot\nDisallow: /", "foo-bot", "/a", True),
        (b"User-agent: Bot\nDisallow: /", "foo bot", "/a", False),
        (b"User-agent: Google\nDisallow: /", "Google-Extended", "/a", False),
        (b"User-agent: CCBot/2.0\nDisallow: /", "CCBot", "/a", True),
        (b"User-agent: CCBot\nDisallow: /", "CCBot/2.0", "/a", False),
        (b"User-agent: foo*bot\nDisallow: /", "foobot", "/a", False),
        (b"User-agent: a\nCrawl-delay: 1\nUser-agent: b\nDisallow: /", "a", "/a", True),
        (b"User-agent: a\nSitemap: /s\nUser-agent: b\nDisallow: /", "a", "/a", False),
        (b"User-agent: *\nDisallow: /a$", "x", "/a$", False),
        (b"User-agent: *\nDisallow: https://example.org/a", "x", "/https://example.org/a", False),
        (b"User-agent: *\nDisallow: https://example.org/a", "x", "/a", True),
        (b"User-agent: *\nDisallow: /\nAllow: /a/index.html", "x", "/a/", True),
        (b"User-agent: *\nDisallow: /\nAllow: /a/index.htm", "x", "/a/", False),
        (b"User-agent: *\nDisallow: /", "x", "https://example.org/robots.txt?a", True),
    ]
    for body, agent, url, allowed in rows:
        assert Protego.parse(body.decode("utf-8", "replace")).can_fetch(url, agent) is allowed
        equal(body, [agent], [url])


# -- Tables, each row with each other ----------------------------------------------------------------


@pytest.mark.parametrize("key", ["Allow", "Disallow"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_equal_on_every_pattern_and_path(pattern, key):
    """Alone, and against a rule of another length, because lengths decide as well."""
    made = [f"https://example.org{p if p.startswith('/') else f'/{p}'}" for p in PATTERNS]
    made += [f"https://example.org{pattern}{tail}" for tail in TAILS]
    for rival in ("Disallow: /" if key == "Allow" else "", "Allow: /???", "Disallow: /*a"):
        body = f"User-agent: *\n{rival}\n{key}: {pattern}"
        equal(body.encode("utf-8", "replace"), ["x"], made)


@pytest.mark.parametrize("name", NAMES)
def test_equal_on_every_name_and_agent(name):
    asking = [*NAMES, " foobot ", "myfoobot", "xbot-foobot", "foobot-news", "ς", "a.bot", "ΑΣ bot"]
    for other in ("*", "foo", "zz"):
        body = f"User-agent: {other}\nAllow: /\nUser-agent: {name}\nDisallow: /"
        equal(body.encode(), asking, ["/a"])
        equal(f"User-agent: {name}\nDisallow: /\nUser-agent: {other}".encode(), asking, ["/a"])


@pytest.mark.parametrize("key", KEYS)
def test_equal_on_every_key_and_separator(key):
    """Between two names: whether the line is a rule, a name, or ends the group is all to see."""
    for separator in SEPARATORS:
        for value in ("", "/a", "/a /b", "/a:b", "/a: b", "a", "agent a", "*", ": /a", "bot # c"):
            for space in ("", "\u3000"):
                line = f"{space}{key}{separator}{value}"
                body = f"User-agent: bot\n{line}\nUser-agent: c\nDisallow: /b"
                equal(body.encode(), ["bot", "a", "c"], ["/a", "/a /b", "/a:b", "/b"])


# -- Real files -------------------------------------------------------------------------------------

_RULE = re.compile(
    r"^\s*(?:dis+al+ow|allow)\s*:?[^\S\n]*([^\s#][^\n#]*)", re.IGNORECASE | re.MULTILINE
)
_ODD = re.compile(r"[^A-Za-z0-9/_.-]").search


def made_from(text: str, dice: random.Random) -> list[str]:
    """URLs near some of the patterns of a file, odd ones first."""
    patterns = list(dict.fromkeys(_RULE.findall(text[:100_000])))
    odd = [p for p in patterns if _ODD(p)]
    chosen = dice.sample(odd, min(2, len(odd))) + dice.sample(patterns, min(1, len(patterns)))
    made = [
        pattern.strip().replace("*", dice.choice(("", "x", "a/b")))
        + dice.choice(("", "", "z", "/z.html", "?q=1"))
        for pattern in chosen
    ]
    return ["https://example.org/", *(f"https://example.org{m.removesuffix('$')}" for m in made)]


@pytest.mark.skipif(not DATA.exists(), reason="the real robots.txt files are not here")
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "all"])
def test_equal_on_real_files(every):
    import pyarrow.parquet as pq

    bodies = pq.read_table(DATA / "robots.parquet", columns=["content"])["content"].to_pylist()[
        ::every
    ]
    apertus = agent_sets()["apertus"].agents
    dice = random.Random(9309)
    asked = 0
    for body in bodies:
        if len(body) > 20_000 and dice.random() < 0.8:
            continue  # one in five of the 3% of larger files: half of the time would be theirs
        urls = made_from(body.decode("utf-8", "replace"), dice)
        equal(body, apertus, urls)
        asked += len(urls) * len(apertus)
    assert asked > 250_000 // every


HOSTILE = {
    "line feeds": b"\n" * 5_000_000,
    "short lines": b"a\n" * 1_000_000,
    "line separators": "\u2028".encode() * 1_600_000,
    "one line": b"User-agent: *\nDisallow: /" + b"a" * 5_000_000,
    "one name": b"User-agent: " + b"a" * 5_000_000,
    "many names": b"".join(b"User-agent: b%d\n" % n for n in range(300_000)),
    "a hundred thousand groups": b"".join(
        b"User-agent: *\nDisallow: /%d\n" % n for n in range(100_000)
    ),
    "NULs": b"\0" * 5_000_000,
    "every octet": bytes(range(256)) * 20_000,
    "escapes": b"User-agent: *\nDisallow: /" + b"%41" * 1_600_000,
    "escapes, apart": b"User-agent: *\nDisallow: /" + b"%41/" * 1_000_000,
    "percent signs": b"User-agent: *\nDisallow: /" + b"%" * 5_000_000,
    "dollars": b"User-agent: *\nDisallow: /" + b"$" * 2_000_000,
    "wildcards": b"User-agent: *\nDisallow: /" + b"*a" * 1_000_000 + b"*b",
    "words": b"Disallow" + b" \t" * 2_500_000,
    "colons": b":" * 5_000_000,
}


@pytest.mark.parametrize(
    "part", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["a fifth", "whole"]
)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_take_linear_time(body, part):
    """Seconds each; minutes if anything were quadratic in the file."""
    parsed = PROTEGO.parse(body[: len(body) // part])
    obeyed = PROTEGO.obeyed(parsed, ("CCBot", "GPTBot", "Mozilla/5.0 (compatible)", "*"))
    for found in obeyed:
        RuleSet(PROTEGO.merged(parsed, found)).refuses("/" + "a" * 2000)
