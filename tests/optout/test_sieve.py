"""The sieve lets too much through, never too little."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.optout.robots import DIALECTS
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.sieve import ANY, DOT, ODD, ROOT, Meshes, candidates, sieve_of

HOST = "www.a-b.example"
WORDS = "/ a b ab abc A 1 . - _ ~ = ? & : % %2E %61 %2a * $ // ä %C3%A4 ; , + @ /a /ab /abc/ .pdf"
PIECES = st.sampled_from([*WORDS.split(" "), " "])
PATHS = st.lists(PIECES, max_size=6).map("".join)
LINES = st.lists(st.tuples(st.booleans(), PATHS), min_size=1, max_size=5)


def rules_of(dialect: str, lines: list[tuple[bool, str]]) -> tuple[Rule, ...]:
    body = "User-agent: *\n" + "".join(
        f"{'Allow' if allow else 'Disallow'}: {path}\n" for allow, path in lines
    )
    chosen = DIALECTS[dialect]
    return chosen.rules_for(chosen.parse(body.encode()), "GPTBot")


def passes(
    rules: tuple[Rule, ...], urls: list[str], padding: list[str] | None = None
) -> list[bool]:
    """What the sieve of ``rules`` does with ``urls``, which lie behind ``padding`` in one buffer."""
    before = padding or []
    column = pa.array(before + urls, pa.string()).slice(len(before))
    sieve = sieve_of(rules)
    count = len(urls)
    meshes = Meshes(
        np.full(count, sieve.second, np.uint64),
        np.full(count, sieve.third, np.uint64),
        np.full(count, sieve.needs, np.uint8),
    )
    found = candidates(column, np.full(count, len(HOST), np.int64), meshes)
    return (found | bool(sieve.needs & ROOT)).tolist()


@settings(max_examples=400, deadline=None)
@given(
    dialect=st.sampled_from(sorted(DIALECTS)),
    lines=LINES,
    paths=st.lists(PATHS, min_size=1, max_size=5),
    scheme=st.sampled_from(["http", "https"]),
)
@example("rfc9309", [(False, "/%7Ea")], ["/~a", "/%7ea"], "https")
@example("protego", [(False, "/*?a=")], ["/x?a=1", "/?a="], "http")
@example("rfc9309", [(False, "/a$")], ["/a", "/a#b"], "http")
@example("rfc9309", [(False, "/")], ["", "?a", "/"], "https")
def test_what_is_refused_passes(
    dialect: str, lines: list[tuple[bool, str]], paths: list[str], scheme: str
) -> None:
    rules = rules_of(dialect, lines)
    ruleset = RuleSet(rules)
    # The host is read by a pattern that asks for one of these behind it.
    paths = [p for p in paths if not p or p[0] in "/?#"]
    urls = [f"{scheme}://{HOST}{path}" for path in paths]
    let_through = passes(rules, urls, ["http://x.example/"])
    for url, through in zip(urls, let_through, strict=True):
        try:
            path = DIALECTS[dialect].url_path(url)
        except ValueError:
            continue
        if path is not None and ruleset.refuses(path) is not None:
            assert through, (url, rules)


@pytest.mark.parametrize(
    ("pattern", "needs"),
    [
        ("/*?sort=", ODD),
        ("*?", ODD),
        ("/*.pdf$", DOT),
        ("/*print", ANY),
        ("/*:x", ANY),
        ("*", ANY),
        ("/private/*.pdf", 0),  # its head is enough
        ("/private/", 0),
        ("/", ROOT),
    ],
)
def test_needs(pattern: str, needs: int) -> None:
    assert sieve_of([Rule(pattern, allow=False, line=1)]).needs == needs


def test_it_keeps_most_of_what_is_not_refused_out() -> None:
    """A sieve that let everything through would hold every promise above."""
    rules = rules_of(
        "rfc9309", [(False, "/admin/"), (False, "/cart"), (False, "/*?sort="), (False, "/*.pdf$")]
    )
    urls = [
        f"https://{HOST}/{word}/page"
        for word in ("news", "about", "products", "team", "2024", "faq")
    ]
    assert sum(passes(rules, urls)) <= 1
    assert not any(passes((), urls))
    assert (
        passes(rules, [f"https://{HOST}/{x}" for x in ("admin/x", "cart", "a?sort=1", "b.pdf")])
        == [True] * 4
    )


def test_a_last_url_shorter_than_what_is_looked_at() -> None:
    rules = rules_of("rfc9309", [(False, "/a"), (False, "/longer/")])
    assert passes(rules, [f"http://{HOST}", f"http://{HOST}/", f"http://{HOST}/a"])[2] is True
