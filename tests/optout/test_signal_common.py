"""What the signals agree on: names, what is no file, how a pattern is written, what is stronger."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.urls import comparable_path
from pipeline.optout.rules import Rule, RuleSet, matches
from pipeline.optout.signals import (
    Signal,
    is_absent,
    most_specific_first,
    path_pattern,
    scoped_value,
)


def test_signals_stand_in_the_order_of_reporting() -> None:
    assert list(Signal) == [
        "robots",
        "optout",
        "tag",
        "content-usage",
        "content-signal",
        "tdmrep",
        "ai-txt",
        "rsl",
        "noai",
    ]


def test_every_signal_has_a_title_of_one_line() -> None:
    titles = {signal.title for signal in Signal}
    assert len(titles) == len(Signal)
    assert all(title and "\n" not in title and len(title) < 80 for title in titles)


ABSENT = {
    "nothing": b"",
    "white space": b" \r\n\t ",
    "a byte order mark": b"\xef\xbb\xbf",
    "utf-16 white space": "\n\n".encode("utf-16"),
    "doctype": b"<!DOCTYPE html><html><body>404</body></html>",
    "doctype, any case, after a mark": b"\xef\xbb\xbf\n<!doctype HTML PUBLIC '-//W3C//DTD'>",
    "html tag": b"<html lang=en><head>",
    "xhtml after its declaration": b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD">',
    "a comment first": b"<!-- cached --><!-- twice -->\n<html>",
    "a heading": b"<h1>Not found</h1>",
    "utf-16": "<html>".encode("utf-16"),
    "utf-16, big endian": b"\xfe\xff" + "<html>".encode("utf-16-be"),
}
PRESENT = {
    "json": b'[{"location": "/"}]',
    "rsl": b'<rsl xmlns="https://rslstandard.org/rsl"/>',
    "rsl after declaration and comment": b'<?xml version="1.0"?><!-- terms --><rsl/>',
    "a tag that begins like one of html": b"<bodyguard/>",
    "html further down": b"User-Agent: *\nDisallow: /\n<html>",
    "a comment that does not end": b"<!-- <html>",
    "an instruction that does not end": b"<?xml <html>",
    "a comment and nothing else": b"<!-- no training -->",
    "text": b"No AI training.",
    "octets": b"\x00\x01\x02",
}


@pytest.mark.parametrize("body", ABSENT.values(), ids=ABSENT)
def test_what_is_no_file(body: bytes) -> None:
    assert is_absent(body)


@pytest.mark.parametrize("body", PRESENT.values(), ids=PRESENT)
def test_what_is_a_file(body: bytes) -> None:
    assert not is_absent(body)


@pytest.mark.parametrize("body", [b"<!---->" * 200_000, b"<?a?>" * 200_000, b" " * 2_000_000])
def test_looking_for_html_is_linear(body: bytes) -> None:
    is_absent(body + b"<x")


PATTERNS = [
    ("/", "/"),
    ("", "/"),
    ("  /a  ", "/a"),
    ("a/b", "/a/b"),
    ("*.pdf", "*.pdf"),
    ("/a*b$", "/a*b$"),
    ("/a$b", "/a%24b"),
    ("/a$b$", "/a%24b$"),
    ("/é", "/%C3%A9"),
    ("/%c3%a9", "/%C3%A9"),
    ("/%7Euser", "/~user"),
    ("/%2a", "/%2A"),
    ("/a b", "/a%20b"),
    ("?q=1", "/?q=1"),
    ("https://example.org", "/"),
    ("https://example.org/a/*", "/a/*"),
    ("https://*.example.org/a", "/a"),
    ("https://example.org?q", "/?q"),
    ("//example.org/a", "//example.org/a"),
    ("\ud800", "/%ED%A0%80"),
]


@pytest.mark.parametrize(("text", "pattern"), PATTERNS)
def test_a_pattern_is_comparable_ascii(text: str, pattern: str) -> None:
    assert path_pattern(text) == pattern


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_every_pattern_is_ascii_and_begins_as_it_must(text: str) -> None:
    pattern = path_pattern(text)
    assert pattern.isascii()
    assert pattern.isprintable()
    assert " " not in pattern
    assert pattern.startswith(("/", "*"))


@given(
    st.text(st.characters(exclude_characters="*$#\\", exclude_categories=["Cs", "Cc"]), max_size=30)
)
@settings(max_examples=200, deadline=None)
def test_a_pattern_without_wildcards_matches_the_path_it_was_written_from(text: str) -> None:
    path = "/" + text.strip()
    assert matches(path_pattern(path), comparable_path(path))


SCOPED = [
    ("train-ai=n", ("/", "train-ai=n")),
    ("/blog/ train-ai=n", ("/blog/", "train-ai=n")),
    ("/blog/\ttrain-ai=n, search=y", ("/blog/", "train-ai=n, search=y")),
    ("/blog/", ("/blog/", "")),
    ("*.pdf train-ai=n", ("*.pdf", "train-ai=n")),
    ("*x, train-ai=n", ("/", "*x, train-ai=n")),  # RFC 9651, 3.2: "*" may begin a key
    ("*x=y", ("/", "*x=y")),
    ("*", ("/", "*")),
    ("", ("/", "")),
]


@pytest.mark.parametrize(("value", "expected"), SCOPED)
def test_a_path_may_stand_before_a_statement(value: str, expected: tuple[str, str]) -> None:
    assert scoped_value(value) == expected


def test_the_longest_pattern_is_first_and_of_equal_ones_the_refusal() -> None:
    allowed, refused, longer = Rule("/a", True, 1), Rule("/a", False, 2), Rule("/ab", True, 3)
    other = Rule("/b", False, 4)
    assert most_specific_first([allowed, refused, longer, other]) == (longer, refused, other)


RULES = st.lists(
    st.builds(Rule, st.text("/ab*", max_size=4).map("/".__add__), st.booleans(), st.integers(1, 9)),
    max_size=8,
)


@given(RULES, st.text("/ab", max_size=6).map("/".__add__))
@settings(max_examples=200, deadline=None)
def test_order_decides_as_the_longest_match_does(rules: list[Rule], path: str) -> None:
    matching = [r for r in rules if matches(r.pattern, path)]
    longest = max((len(r.pattern) for r in matching), default=0)
    strongest = [r.allow for r in matching if len(r.pattern) == longest]
    decided = RuleSet(most_specific_first(rules)).decide(path)
    assert (None if decided is None else decided.allow) == (all(strongest) if strongest else None)
