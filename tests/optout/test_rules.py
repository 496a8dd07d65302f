"""Ordered path rules: patterns (RFC 9309, 2.2.3), precedence, and the index of large rule sets."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.optout.rules import Rule, RuleSet, matches

PATTERNS = {
    # RFC 9309, 2.2.2: "the rule MUST match the start of the path"
    "prefix": ("/a", "/abc", True),
    "the whole path": ("/a", "/a", True),
    "not the middle": ("/b", "/a/b", False),
    "longer than the path": ("/abc", "/ab", False),
    "case matters": ("/A", "/a", False),
    "root": ("/", "/anything", True),
    # 2.2.3: "*" designates 0 or more instances of any character
    "star, no character": ("/a*b", "/ab", True),
    "star, some": ("/a*b", "/a/x/b", True),
    "star, then a rest": ("/a*b", "/a/x/b/c", True),
    "star without what follows it": ("/a*b", "/axc", False),
    "star at the start": ("*.pdf", "/a.pdf?x", True),
    "star at the end": ("/a*", "/a", True),
    "star alone": ("*", "/", True),
    "stars in a row": ("/a***b", "/ab", True),
    "pieces do not overlap": ("/ab*bc", "/abc", False),
    "pieces in another order": ("/*b*a", "/ab", False),
    "the first place need not be the last one": ("/*ab*b", "/abab", True),
    # 2.2.3: "$" designates the end of the match pattern
    "anchor": ("/a$", "/a", True),
    "anchor and more": ("/a$", "/ab", False),
    "anchor and a query": ("/a$", "/a?b", False),
    "star and anchor": ("/*.php$", "/a.php", True),
    "star and anchor, the end comes twice": ("/*.php$", "/a.php/b.php", True),
    "star and anchor, the end comes too early": ("/*.php$", "/a.php?b", False),
    "star before the anchor": ("/a*$", "/abc", True),
    "end piece must not overlap": ("/ab*b$", "/ab", False),
    "end piece next to the head": ("/ab*b$", "/abb", True),
    "middle and end must not overlap": ("/*bb*b$", "/bb", False),
    "anchor alone": ("$", "/", False),
    # "$" elsewhere is literal
    "dollar in the middle": ("/a$b", "/a$bc", True),
    "dollar in the middle is no anchor": ("/a$b", "/a", False),
    "two dollars": ("/a$$", "/a$", True),
}


@pytest.mark.parametrize(("pattern", "path", "hit"), PATTERNS.values(), ids=PATTERNS.keys())
def test_matches(pattern, path, hit):
    assert matches(pattern, path) is hit


def by_the_book(pattern: str, path: str) -> bool:
    """Dynamic programming over prefixes of the path, character by character of the pattern."""
    anchored = pattern.endswith("$")
    ends = {0}
    for character in pattern.removesuffix("$"):
        if character == "*":
            ends = set(range(min(ends), len(path) + 1)) if ends else set()
        else:
            ends = {e + 1 for e in ends if path[e : e + 1] == character}
    return len(path) in ends if anchored else bool(ends)


small = st.text("ab*$/", max_size=9)
paths = st.text("ab$/", max_size=12).map("/".__add__)


@given(small, paths)
@example("*a*b$", "/abab")
@settings(max_examples=200, deadline=None)
def test_matches_like_the_book(pattern, path):
    assert matches(pattern, path) == by_the_book(pattern, path)


@given(st.text("ab*$", max_size=9).map("/".__add__), paths)
@settings(max_examples=200, deadline=None)
def test_matches_like_a_regular_expression(pattern, path):
    body = ".*".join(map(re.escape, pattern.removesuffix("$").split("*")))
    assert matches(pattern, path) == bool(
        re.match(body + (r"\Z" if pattern.endswith("$") else ""), path)
    )


def plain_walk(rules, path):
    return next((rule for rule in rules if matches(rule.pattern, path)), None)


def refusal(rules, path):
    rule = plain_walk(rules, path)
    return None if rule is None or rule.allow else rule


def numbered(patterns):
    return [Rule(pattern, allow, line) for line, (pattern, allow) in enumerate(patterns, 1)]


@given(st.lists(st.tuples(small, st.booleans()), max_size=12).map(numbered), paths)
@settings(max_examples=200, deadline=None)
def test_first_match_decides(rules, path):
    found = RuleSet(rules)
    assert found.decide(path) == plain_walk(rules, path)
    assert found.refuses(path) == refusal(rules, path)


many = st.lists(st.tuples(small, st.booleans()), min_size=64, max_size=90).map(numbered)


@given(many, st.lists(paths, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_indexed_like_plain(rules, asked):
    found = RuleSet(rules)
    for path in asked:
        assert found.decide(path) == plain_walk(rules, path)
        assert found.refuses(path) == refusal(rules, path)


@pytest.mark.parametrize("count", [63, 64, 65, 300])
def test_either_side_of_the_index(count):
    rules = [Rule(f"/{n}{'*z' if n % 3 == 0 else ''}$", n % 2 == 0, n) for n in range(count)]
    rules.append(Rule("/", allow=False, line=count))
    found = RuleSet(rules)
    for n in range(count + 2):
        for path in (f"/{n}", f"/{n}z", f"/{n}y"):
            assert found.decide(path) == plain_walk(rules, path)
            assert found.refuses(path) == refusal(rules, path)


@pytest.mark.parametrize("pattern", ["/{}", "/*/{}*"])
def test_the_last_of_many_refusals_is_found(pattern):
    for count in (62, 63, 64, 65):
        found = RuleSet(Rule(pattern.format(f"{n}x"), allow=False, line=n) for n in range(count))
        assert found.refuses(f"/{count - 1}x/{count - 1}x").line == count - 1
        assert found.refuses("/y/y") is None


def test_no_rule_no_verdict():
    assert RuleSet([]).decide("/") is None
    assert RuleSet([]).refuses("/") is None
    assert RuleSet([Rule("/a", allow=True, line=1)]).refuses("/a") is None


def test_order_is_precedence_not_length():
    short, long = Rule("/", allow=False, line=1), Rule("/a", allow=True, line=2)
    assert RuleSet([short, long]).decide("/a") is short
    assert RuleSet([long, short]).decide("/a") is long


HOSTILE = {
    "deep": ("/" + "*a" * 50_000 + "*b", "/" + "a" * 50_000),
    "deep and anchored": ("/" + "*a" * 50_000 + "b$", "/" + "a" * 50_000),
    "long pieces that nearly match": ("/" + ("*" + "a" * 500 + "b") * 100, "/" + "a" * 50_000),
    "stars": ("*" * 100_000 + "b", "/" + "a" * 50_000),
}


@pytest.mark.parametrize(("pattern", "path"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_patterns_take_linear_time(pattern, path):
    assert not matches(pattern, path)  # backtracking would not end


MANY = {
    "one head": lambda n: f"/{'*a' * 20}*{n}",
    "no head": lambda n: f"*/x{n}*y*z$",
    "heads of many lengths": lambda n: f"/{'a' * (n % 2000)}*{n}",
    "plain, of many lengths": lambda n: f"/{'a' * (n % 2000)}{n}",
}


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(100_000, marks=pytest.mark.soak)], ids=["a fifth", "whole"]
)
@pytest.mark.parametrize("pattern", MANY.values(), ids=MANY.keys())
def test_a_hundred_thousand_rules_are_asked_ten_times(pattern, count):
    rules = RuleSet(Rule(pattern(n), allow=False, line=n) for n in range(count))
    for path in ("/" + "a" * 2000, "/x/y" * 500):
        for _ in range(5):
            assert rules.refuses(path) is None
