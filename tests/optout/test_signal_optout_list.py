"""The opt-out list: format, dates, scopes, targets."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.urls import split_url
from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule, matches
from pipeline.optout.signals import optout_list
from pipeline.optout.signals.optout_list import OptOut, Scope

GOOD = {
    "scope": "domain",
    "value": "example.org",
    "effective": "2026-07-01",
    "origin": "registry",
    "request_id": "r-1",
}


def line(**changes: object) -> str:
    given_fields = {**GOOD, **changes}
    return json.dumps({k: v for k, v in given_fields.items() if v is not ...})


def one(**changes: object) -> OptOut:
    (entry,) = optout_list.read([line(**changes)], name="list.jsonl")
    return entry


def test_a_line_becomes_an_entry() -> None:
    assert one(withdrawn="2026-09-01") == OptOut(
        Scope.DOMAIN,
        "example.org",
        date(2026, 7, 1),
        date(2026, 9, 1),
        "registry",
        "r-1",
        1,
        hashlib.sha256(line(withdrawn="2026-09-01").encode()).hexdigest(),
    )


def test_lines_are_counted_with_the_empty_ones() -> None:
    entries = optout_list.read(["\n", line() + "\n", "  \n", line(value="a.example")], name="x")
    assert [e.line for e in entries] == [2, 4]


def test_withdrawn_may_be_null() -> None:
    assert one(withdrawn=None).withdrawn is None


DATES = {
    "a day": ("2026-07-01", date(2026, 7, 1)),
    "utc": ("2026-07-01T23:59:59Z", date(2026, 7, 1)),
    "lower case": ("2026-07-01t00:00:00z", date(2026, 7, 1)),
    "fractions": ("2026-07-01T12:00:00.123456789Z", date(2026, 7, 1)),
    "the next day in utc": ("2026-07-01T23:30:00-05:00", date(2026, 7, 2)),
    "the day before in utc": ("2026-07-01T00:30:00+02:00", date(2026, 6, 30)),
}
NO_DATES = {
    "another order": "01.07.2026",
    "basic format": "20260701",
    "a week": "2026-W27-3",
    "no such day": "2026-02-30",
    "no such hour": "2026-07-01T25:00:00Z",
    "local time": "2026-07-01T12:00:00+0200",
    "other digits": "\u0662026-07-01",
    "before all days": "0001-01-01T00:00:00+10:00",
    "a line more": "2026-07-01\n",
}


@pytest.mark.parametrize(("text", "expected"), DATES.values(), ids=DATES)
def test_dates(text: str, expected: date) -> None:
    assert one(effective=text).effective == expected
    assert one(withdrawn=text).withdrawn == expected


@pytest.mark.parametrize("key", ["effective", "withdrawn"])
@pytest.mark.parametrize("text", NO_DATES.values(), ids=NO_DATES)
def test_no_dates(key: str, text: str) -> None:
    with pytest.raises(UnreadableSource, match=key):
        one(**{key: text})


BROKEN = {
    "not JSON": "SECRET",
    "cut off": line()[:-1],
    "a list": '["SECRET"]',
    "a text": '"SECRET"',
    "two objects": line() + line(),
    "an unknown field": line(name="SECRET"),
    "an unknown field with a telling name": line(SECRET="x"),
    "an unknown scope": line(scope="SECRET"),
    "a scope in upper case": line(scope="DOMAIN"),
    "a scope of another type": line(scope=["domain"]),
    **{f"no {key}": line(**{key: ...}) for key in GOOD},
    **{f"empty {key}": line(**{key: ""}) for key in GOOD},
    **{f"{key} is a number": line(**{key: 7}) for key in GOOD},
    **{f"{key} is null": line(**{key: None}) for key in GOOD},
    "nested": line(value={"SECRET": 1}),
    "a field twice": line()[:-1] + ', "value": "SECRET"}',
    "white space around": line(value=" secret.example"),
    "a line break inside": line(scope="document_id", value="SECRET\nSECRET"),
    "a control character": line(request_id="SECRET\x1b[0m"),
    "half a character": line(scope="document_id", value="SECRET\ud800"),
    "too long": line(scope="document_id", value="S" * 70_000),
    "nested too deep": '{"value":' * 10_000,
    "a byte order mark": "\ufeff" + line(),
}
MISFITS = {
    "domain with a path": ("domain", "secret.example/a"),
    "domain with a scheme": ("domain", "https://secret.example"),
    "domain with a port": ("domain", "secret.example:8080"),
    "domain with credentials": ("domain", "me@secret.example"),
    "domain with a wildcard": ("domain", "*.secret.example"),
    "domain with an empty label": ("domain", "secret..example"),
    "domain with a blank": ("domain", "secret example"),
    "domain, several colons": ("domain", "::1"),
    "subdomains with a wildcard": ("subdomains", "*.secret.example"),
    "subdomains of a top-level domain": ("subdomains", "secret"),
    "url without host": ("url", "/secret"),
    "url of another kind": ("url", "mailto:secret@example.org"),
    "url without anything": ("url", "https://"),
    "url with a broken host": ("url", "https://[secret/a"),
    "prefix without host": ("url_prefix", "/secret/"),
    "prefix with a wildcard": ("url_prefix", "https://example.org/secret/*"),
}


@pytest.mark.parametrize(
    "text",
    [*BROKEN.values(), *(line(scope=s, value=v) for s, v in MISFITS.values())],
    ids=[*BROKEN, *MISFITS],
)
def test_what_does_not_fit_is_an_error_that_says_where_and_never_what(text: str) -> None:
    with pytest.raises(UnreadableSource) as caught:
        list(optout_list.read([line(), text], name="list.jsonl"))
    message = str(caught.value)
    assert message.startswith("list.jsonl, line 2: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert "secret" not in message.lower()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


FORCE = [
    ("2026-07-01", None, False, True, True),
    ("2026-07-02", None, False, False, True),
    ("2026-06-30", "2026-07-02", True, True, False),
    ("2026-06-30", "2026-07-01", True, False, False),
    ("2026-07-01", "2026-07-01", False, False, False),
    ("2026-07-02", "2026-07-01", False, False, False),
]


@pytest.mark.parametrize(("effective", "withdrawn", "before", "on", "after"), FORCE)
def test_in_force(
    effective: str, withdrawn: str | None, before: bool, on: bool, after: bool
) -> None:
    """From the day it takes effect; a withdrawal counts on its own day."""
    entry = one(effective=effective, withdrawn=withdrawn)
    days = [date(2026, 6, 30), date(2026, 7, 1), date(2026, 7, 2)]
    assert [optout_list.in_force(entry, day) for day in days] == [before, on, after]


TARGETS = {
    "domain": ("domain", "Example.ORG.", "example.org", "/"),
    "domain of letters": ("domain", "b\u00fccher.example", "xn--bcher-kva.example", "/"),
    "an address of version 6": ("domain", "[::1]", "[::1]", "/"),
    "subdomains": ("subdomains", "example.org", "example.org", "/"),
    "prefix": ("url_prefix", "https://example.org/a/", "example.org", "/a/"),
    "prefix without scheme": ("url_prefix", "example.org/a", "example.org", "/a"),
    "prefix of a whole host": ("url_prefix", "http://example.org", "example.org", "/"),
    "url": ("url", "https://example.org/a?b=c", "example.org", "/a?b=c$"),
    "url, the front page": ("url", "https://example.org", "example.org", "/$"),
    "url, special characters": ("url", "https://example.org/a*b$", "example.org", "/a%2Ab%24$"),
    "url outside of ASCII": ("url", "https://example.org/\u00e9#x", "example.org", "/%C3%A9$"),
    "url with a port": ("url", "https://example.org:8443/a", "example.org", "/a$"),
}


@pytest.mark.parametrize(("scope", "value", "host", "pattern"), TARGETS.values(), ids=TARGETS)
def test_target(scope: str, value: str, host: str, pattern: str) -> None:
    found = optout_list.target(one(scope=scope, value=value))
    assert found == (host, Rule(pattern, allow=False, line=1))


@pytest.mark.parametrize(("scope", "value"), [("document_id", "<urn:uuid:0>"), ("dataset", "a/b")])
def test_documents_and_data_sets_have_no_host(scope: str, value: str) -> None:
    assert optout_list.target(one(scope=scope, value=value)) is None


COVERED = [
    ("url", "http://example.org/a", "https://EXAMPLE.org/a", True),
    ("url", "http://example.org/a", "https://example.org/a/", False),
    ("url", "http://example.org/a", "https://example.org/a?b", False),
    ("url", "http://example.org/a*", "https://example.org/a*", True),
    ("url", "http://example.org/a*", "https://example.org/ab", False),
    ("url", "http://example.org/a$", "https://example.org/a$", True),
    ("url", "http://example.org/a$", "https://example.org/a", False),
    ("url", "http://example.org/%7Ea", "https://example.org/~a", True),
    ("url_prefix", "http://example.org/a/", "https://example.org/a/b?c", True),
    ("url_prefix", "http://example.org/a", "https://example.org/ab", True),
    ("url_prefix", "http://example.org/a/", "https://example.org/a", False),
    ("url_prefix", "http://example.org/a$", "https://example.org/a$b", True),
    ("url_prefix", "http://example.org/a$", "https://example.org/a", False),
]


@pytest.mark.parametrize(("scope", "value", "url", "covered"), COVERED)
def test_what_an_address_covers(scope: str, value: str, url: str, covered: bool) -> None:
    found = optout_list.target(one(scope=scope, value=value))
    page = split_url(url)
    assert found is not None
    assert (found[0] == page.host and matches(found[1].pattern, page.path)) is covered


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_every_url_covers_itself(tail: str) -> None:
    url = f"https://example.org/{tail.strip()}x"
    if optout_list._UNFIT.search(url):
        return
    for scope in ("url", "url_prefix"):
        found = optout_list.target(one(scope=scope, value=url))
        page = split_url(url)
        assert found is not None
        assert found[0] == page.host
        assert matches(found[1].pattern, page.path)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-14, 14),
)
@settings(max_examples=100, deadline=None)
def test_the_day_of_a_time_is_its_day_in_utc(moment: datetime, hours: int) -> None:
    offset = f"{'+' if hours >= 0 else '-'}{abs(hours):02d}:00"
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + offset
    expected = (moment - timedelta(hours=hours)).replace(tzinfo=UTC).date()
    assert one(effective=text).effective == expected


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_line_is_an_entry_or_one_sentence(text: str) -> None:
    try:
        said = [str(entry.line) for entry in optout_list.read([text], name="list.jsonl")]
    except UnreadableSource as error:
        said = [str(error)]
    assert said in ([], ["1"]) or said[0].startswith("list.jsonl, line 1: ")


def test_a_long_list_is_read_line_by_line() -> None:
    lines = (line(request_id=f"r-{i}") for i in range(20_000))
    assert sum(1 for _ in optout_list.read(lines, name="x")) == 20_000
