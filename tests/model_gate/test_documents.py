"""Tool calls and structured output through the filter."""

from __future__ import annotations

import json

import pytest

from filter import Bundle, OutputFilter
from model_gate.documents import redacted, redacted_text, removed_from, removed_from_text, unescaped

ADDRESS = "jane.doe-meier@example.org"


@pytest.fixture(scope="module")
def listing() -> OutputFilter:
    entries = [
        ("email", ADDRESS),
        ("phone", "+41 44 668 18 00"),
        ("name", "Jane Doe-Meier"),
        ("iban", "CH93 0076 2011 6238 5295 7"),
    ]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"))


@pytest.mark.parametrize(
    "document",
    [
        {"to": ADDRESS},
        {ADDRESS: True},
        {"a": [{"b": ["x", {"c": f"Write to {ADDRESS}!"}]}]},
        {"phone": 41446681800},
        {"first": "Jane", "last": "Doe-Meier"},
        ["jane.doe", "-meier@example.org"],
        {"user": "jane.doe-meier", "at": "@", "host": "example.org"},
        ADDRESS,
    ],
)
def test_what_is_listed_is_seen(listing: OutputFilter, document: object) -> None:
    assert removed_from(listing, document)
    changed = redacted(listing, document)
    assert not removed_from(listing, changed)
    assert "oe-meier" not in json.dumps(changed).lower()


@pytest.mark.parametrize(
    "document",
    [
        {"to": "john.doe-meier@example.org", "n": 41446681801, "ok": True, "none": None, "x": 1.5},
        {"first": "John", "last": "Doe-Meier"},
        [],
        "Jane Doe",
        0,
    ],
)
def test_what_is_not_listed_stays(listing: OutputFilter, document: object) -> None:
    assert not removed_from(listing, document)
    assert redacted(listing, document) == document


def test_redaction_keeps_the_shape(listing: OutputFilter) -> None:
    document = {"to": f"Ann <{ADDRESS}>", "cc": ["a@example.org"], "n": 2}
    assert redacted(listing, document) == {
        "to": "Ann <[email removed]>",
        "cc": ["a@example.org"],
        "n": 2,
    }


def test_what_was_dealt_out_goes_altogether(listing: OutputFilter) -> None:
    assert redacted(listing, {"first": "Jane", "last": "Doe-Meier"}) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"to": "jane.doe\\u002dmeier\\u0040example.org"}',
        '{"to": "' + ADDRESS.replace("a", "\\u0061") + '"',  # cut short
        '{"to": "' + ADDRESS + '", "to": "nobody"}',  # a parser keeps the last one only
        "to=" + ADDRESS,
        '["jane.doe-meier\\u0040exam", "ple.org"]',
    ],
)
def test_text_is_seen_through(listing: OutputFilter, text: str) -> None:
    assert removed_from_text(listing, text)
    changed, removed = redacted_text(listing, text)
    assert removed
    assert not removed_from_text(listing, changed)


def test_text_that_loses_nothing_stays_to_the_letter(listing: OutputFilter) -> None:
    text = '{ "a":"\\u00e9",\n "b" : 1.0 }'
    assert redacted_text(listing, text) == (text, {})


def test_depth_is_no_way_around(listing: OutputFilter) -> None:
    text = "[" * 100_000 + json.dumps(ADDRESS) + "]" * 100_000
    changed, removed = redacted_text(listing, text)
    assert removed
    assert "example" not in changed
    deep: object = ADDRESS
    for _ in range(900):
        deep = [deep]
    assert removed_from(listing, deep)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\\u0041\\n\\\\", "A\n\\"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\\ud83d", "\ufffd"),
        ("\\", "\\"),
        ("\\u00", "u00"),
    ],
)
def test_escapes(text: str, read: str) -> None:
    assert unescaped(text) == read


@pytest.mark.parametrize("number", ["41446681800E-400", "41446681800e0", "41446681800.0"])
def test_numbers_are_read_as_they_are_written(listing: OutputFilter, number: str) -> None:
    from model_gate.documents import removed_from_calls

    changed, removed = redacted_text(listing, f'{{"n": {number}}}')
    assert removed
    assert "41446681800" not in changed
    assert removed_from_calls(listing, [("dial", f'{{"n": {number}}}')])


def test_what_a_reader_has_already_counts(listing: OutputFilter) -> None:
    from model_gate.documents import removed_from_calls

    calls = [("send", '{"to": "meier@example.org"}')]
    assert not removed_from_calls(listing, calls)
    assert not removed_from_calls(listing, calls, ("Something else. ",))
    assert removed_from_calls(listing, calls, ("x", "Her mail is jane.doe-"))
    # What stands whole in a context is not said again by what follows it.
    assert not removed_from_calls(listing, [("send", '{"n": 1}')], (f"It is {ADDRESS}, ",))
