"""noai in headers and meta elements, and the column of corpora that keeps meta elements."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout.signals import Signal, noai

AGENTS = frozenset({"GPTBot", "CCBot/2.0"})

HEADERS = {
    "noai": ("noai", True),
    "among others": ("noindex, noai, noimageai", True),
    "upper case": ("NOAI", True),
    "images alone": ("noimageai", None),
    "no such directive": ("noindex, nofollow, max-snippet:-1", None),
    "a longer word": ("noaim, xnoai, noai-image, no-noai", None),
    "empty": ("", None),
    "for everybody": ("*: noai", True),
    "for one of ours": ("gptbot: noai", True),
    "for one of ours, by its token": ("CCBot: noai", True),
    "for another": ("otherbot: noai", None),
    "for another, then for all": ("otherbot: noindex, noai", True),
    "for another, then for ours": ("otherbot: noai, GPTBot: noindex, gptbot:noai", True),
    "a date with colons": ("unavailable_after: 25 Jun 2026 15:00:00 GMT, noai", True),
}


@pytest.mark.parametrize(("value", "expected"), HEADERS.values(), ids=HEADERS)
def test_header(value: str, expected: bool | None) -> None:
    assert noai.header(value, AGENTS) is expected


METAS = {
    "noai": ("noai, noimageai", True),
    "real": ("noarchive,noai,noimageai,max-image-preview:large,index,follow", True),
    "blanks between": ("index noai", True),
    "references left": ("noai&#x2C; noimageai", True),
    "images alone": ("noimageai", None),
    "others": ("index, follow, max-image-preview:large", None),
    "a longer word": ("noaim", None),
    "empty": ("", None),
}


@pytest.mark.parametrize(("content", "expected"), METAS.values(), ids=METAS)
def test_meta(content: str, expected: bool | None) -> None:
    assert noai.meta(content) is expected


NOAI = (Signal.NOAI, "robots: noai")
TDMREP = (Signal.TDMREP, "tdm-reservation: 1")
USAGE = (Signal.CONTENT_USAGE, "content-usage: train-ai=n")

PAGES = {
    "plain": ("noai, noimageai", NOAI),
    "plain, nothing": ("index, follow", None),
    "plain, images": ("noimageai", None),
    "object": ('{"robots": "noai, noimageai", "rating": "general"}', NOAI),
    "object, reserved": ('{"tdm-reservation": "1"}', TDMREP),
    "object, a number": ('{"tdm-reservation": 1}', TDMREP),
    "object, true": ('{"tdm-reservation": true}', TDMREP),
    "object, not reserved": ('{"tdm-reservation": "0"}', None),
    "object, a policy only": ('{"tdm-policy": "https://example.org/tdm-reservation/1"}', None),
    "object, usage": ('{"Content-Usage": "train-ai=n"}', USAGE),
    "object, usage allowed": ('{"content-usage": "train-ai=y"}', None),
    "object, nothing": ('{"robots": null}', None),
    "another element": ('{"rating": "noai", "description": "noai"}', None),
    "an agent of ours": ('{"robots": "all", "gptbot": "noai"}', NOAI),
    "another agent": ('{"robots": "all", "googlebot": "noai"}', None),
    "upper case": ('{"ROBOTS": "NOAI"}', NOAI),
    "a name twice": ('{"robots": "noai", "robots": "all"}', NOAI),
    "several contents": ('{"robots": ["all", "noai"]}', NOAI),
    "several reservations": ('{"tdm-reservation": ["0", "1"]}', TDMREP),
    "contents in objects": ('{"robots": {"content": "noai"}}', NOAI),
    "several signals": ('{"robots": "noai", "tdm-reservation": "1"}', TDMREP),
    "all signals": ('{"robots":"noai","tdm-reservation":"1","content-usage":"train-ai=n"}', USAGE),
    # What is not JSON is text.
    "cut off": ('{"robots": "noai, noim', NOAI),
    "cut off, reserved": ('{"tdm-reservation": "1"', TDMREP),
    "cut off, not reserved": ('{"tdm-reservation": "0"', None),
    "cut off, another value": ('{"tdm-reservation": "10"', None),
    "cut off, usage": ('{"content-usage": "search=y, train-ai=n"', USAGE),
    "quotes of another language": ("{'robots': 'noai'}", NOAI),
    "a list": ('["noai"]', NOAI),
    "nested too deep": ('{"a":' * 100_000 + '"noai"', NOAI),
}


@pytest.mark.parametrize(("value", "expected"), PAGES.values(), ids=PAGES)
def test_page_meta(value: str, expected: tuple[Signal, str] | None) -> None:
    assert noai.page_meta(value, AGENTS) == expected


def test_what_decided_never_shows_the_page() -> None:
    value = '{"robots": "noai, author Example Person"}'
    assert noai.page_meta(value) == NOAI


@given(st.text(max_size=60), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_text_has_an_answer(text: str, hinted: bool) -> None:
    value = text + ("noai" if hinted else "")
    found = noai.page_meta(value)
    assert found is None or found[0] in {Signal.CONTENT_USAGE, Signal.TDMREP, Signal.NOAI}


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_refusal_without_its_word(text: str) -> None:
    if not re.search("noai|tdm-reservation|content-usage", text.lower()):
        assert noai.page_meta(text) is None


@pytest.mark.parametrize(
    "value",
    [
        "noai" * 300_000,
        "content-usage" * 50_000,
        "tdm-reservation" + "=" * 500_000,
        "noaix, " * 100_000,
        "a" * 500_000 + ": noaix",
        " " * 500_000 + "noaix",
    ],
    ids=len,
)
def test_hostile_values_cost_linear_time(value: str) -> None:
    assert noai.page_meta(value) is None
    assert noai.header(value) is None


DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@pytest.mark.skipif(not (DATA / "optouts.jsonl").exists(), reason="the real files are not here")
def test_real_pages() -> None:
    rows = [json.loads(line) for line in (DATA / "optouts.jsonl").read_text().splitlines()]
    pages = [r["content"] for r in rows if r["kind"] == "html-meta"]
    found = []
    for page in pages:
        metas = dict(re.findall(r'<meta name="([^"]*)" content="([^"]*)">', page))
        found.append(noai.page_meta(json.dumps(metas)))
    assert len(found) == 34
    assert found.count(TDMREP) == 9
    assert found.count(NOAI) == 25


@pytest.mark.skipif(not (DATA / "webdocs.parquet").exists(), reason="the real pages are not here")
def test_the_real_column() -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    column = pq.read_table(DATA / "webdocs.parquet", columns=["meta_robots"])[0].to_pylist()
    found = [noai.page_meta(value) for value in column if value is not None]
    # Counted with a text search beside: '"tdm-reservation": "1"' and the word noai.
    reserved = sum('"tdm-reservation": "1"' in value for value in column if value)
    worded = sum(bool(re.search(r"\bnoai\b", value)) for value in column if value)
    assert found.count(TDMREP) == reserved > 5
    assert found.count(NOAI) == worded > 20
