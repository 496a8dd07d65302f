"""RSL 1.0 (RSL-SPEC-1.0); sections are cited as §."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.signals import MAX_OCTETS, rsl

NAMESPACE = "https://rslstandard.org/rsl"


def document(*contents: str) -> bytes:
    return f'<rsl xmlns="{NAMESPACE}">{"".join(contents)}</rsl>'.encode()


def content(*licenses: str, url: str = "/", more: str = "") -> str:
    inside = "".join(f"<license>{terms}</license>" for terms in licenses)
    return f'<content url="{url}"{more}>{inside}</content>'


def permits(usages: str, kind: str = "usage") -> str:
    return f'<permits type="{kind}">{usages}</permits>'


def prohibits(usages: str, kind: str = "usage") -> str:
    return f'<prohibits type="{kind}">{usages}</prohibits>'


REFUSED, ALLOWED, SILENT = False, True, None
FREE = '<payment type="free"/>'
PRICED = '<payment type="training"><amount currency="USD">1.00</amount></payment>'

LICENSES = {
    # §3.6, §3.4.1.1: ai-all "explicitly includes" ai-train; all is "any automated processing"
    "prohibits training": ([prohibits("ai-train")], REFUSED),
    "prohibits all of AI": ([prohibits("ai-all")], REFUSED),
    "prohibits everything": ([prohibits("all")], REFUSED),
    "a list": ([prohibits("ai-input  ai-train\n ai-index")], REFUSED),
    "a list with commas (draft 0.9)": ([prohibits("ai-input,ai-train")], REFUSED),
    "the name of the draft": ([prohibits("train-ai")], REFUSED),
    "upper case": ([prohibits("AI-Train")], REFUSED),
    "prohibits another use": ([prohibits("search")], ALLOWED),
    "prohibits other uses of AI": ([prohibits("ai-input ai-index")], ALLOWED),
    "prohibits what we do not know": ([prohibits("machine-learning")], REFUSED),
    "prohibits beside permits": ([permits("ai-all") + prohibits("ai-train")], REFUSED),
    "prohibits everything but permits": ([permits("ai-train") + prohibits("all")], REFUSED),
    # §3.5: "the listed values ... are allowed"
    "permits training": ([permits("ai-train")], ALLOWED),
    "permits all of AI": ([permits("ai-all")], ALLOWED),
    "permits everything": ([permits("all")], ALLOWED),
    "permits in a list": ([permits("search ai-train")], ALLOWED),
    "permits in a list with commas (draft 0.9)": ([permits("search,ai-train")], ALLOWED),
    "permits by the name of the draft": ([permits("train-ai")], ALLOWED),
    "permits in upper case": ([permits("AI-Train")], ALLOWED),
    "omits training": ([permits("search ai-input ai-index")], REFUSED),
    "permits nothing": ([permits("")], REFUSED),
    "names no usage": ([FREE], ALLOWED),
    "says nothing": ([""], ALLOWED),
    "legal terms only": (['<legal type="disclaimer">as-is</legal>'], ALLOWED),
    # §3.7: "If omitted, the license is assumed to be free"
    "free": ([permits("ai-train") + FREE], ALLOWED),
    "for attribution": ([permits("ai-train") + '<payment type="attribution"/>'], ALLOWED),
    **{
        f"payment {kind}": ([permits("ai-train") + f'<payment type="{kind}"/>'], REFUSED)
        for kind in ("purchase", "subscription", "training", "crawl", "use", "contribution", "x")
    },
    "payment on request": (
        [permits("ai-all") + "<payment><custom>https://example.org/</custom></payment>"],
        REFUSED,
    ),
    "details of a payment are no terms": (
        [
            permits("ai-train")
            + '<payment type="attribution"><standard>https://example.org/ai-all</standard></payment>'
        ],
        ALLOWED,
    ),
    # §3.4.1.2, §3.5: users and countries
    "for some users": ([permits("ai-train") + permits("non-commercial", "user")], REFUSED),
    "not for some users": ([permits("ai-train") + prohibits("commercial", "user")], REFUSED),
    "in some countries": ([permits("ai-train") + permits("US", "geo")], REFUSED),
    # §3.12: a client that cannot comply "MUST treat the activity as not licensed"
    "with reports": (
        [permits("ai-train") + '<reporting type="telemetry" profile="https://example.org/"/>'],
        REFUSED,
    ),
    "with a term of another version": ([permits("ai-train") + "<condition/>"], REFUSED),
    "with an extension": (
        [permits("ai-train") + '<x:y xmlns:x="https://example.org/"><prohibits/></x:y>'],
        ALLOWED,
    ),
    # §3.4: several licenses are alternatives
    "one of two is free": ([permits("search"), permits("ai-train")], ALLOWED),
    "training is priced": ([permits("search") + FREE, permits("ai-train") + PRICED], REFUSED),
    "priced or free": ([permits("ai-train") + PRICED, permits("ai-train") + FREE], ALLOWED),
    # §3.1.1: "the prohibition MUST take precedence"
    "one prohibits, one permits": ([prohibits("ai-train"), permits("ai-train")], REFUSED),
    # §3.3: at least one license
    "no license": ([], SILENT),
}


@pytest.mark.parametrize(("licenses", "expected"), LICENSES.values(), ids=LICENSES)
def test_a_content(licenses: list[str], expected: bool | None) -> None:
    rules = rsl.file_rules(document(content(*licenses)))
    assert rules == (() if expected is None else (Rule("/", expected, 1),))


@pytest.mark.parametrize(
    "more",
    [' server="https://example.org/olp"', ' encrypted="true"'],
    ids=["server", "encrypted"],
)
@pytest.mark.parametrize("licenses", [[permits("all")], []], ids=["free", "no license"])
def test_a_license_from_a_server_has_not_been_acquired(more: str, licenses: list[str]) -> None:
    """§3.3: clients "MUST obtain a license from this server", even a free one."""
    rules = rsl.file_rules(document(content(*licenses, more=more)))
    assert rules == (Rule("/", False, 1),)


URLS = [
    ("/", "/"),
    ("", "/"),
    ("/a/*.html$", "/a/*.html$"),
    ("https://example.org/a/", "/a/"),
    ("https://example.org/*", "/*"),
    ("https://example.org", "/"),
    ("/caf\u00e9", "/caf%C3%A9"),
    ("/a?b=1&amp;c", "/a?b=1&c"),
]


@pytest.mark.parametrize(("url", "pattern"), URLS)
def test_the_scope_of_a_content(url: str, pattern: str) -> None:
    rules = rsl.file_rules(document(content(prohibits("ai-train"), url=url)))
    assert [r.pattern for r in rules] == [pattern]


def test_the_more_specific_content_decides() -> None:
    body = document(
        content(permits("all")), content(prohibits("ai-train"), url="/articles/")
    )  # §3.1.2
    rules = RuleSet(rsl.file_rules(body))
    assert rules.refuses("/articles/1") is not None
    assert rules.refuses("/other") is None


def test_the_order_of_the_document_does_not_matter() -> None:
    """§3.1.1; of equal scopes the more restrictive one holds."""
    free, refused = content(permits("all")), content(prohibits("all"))
    assert rsl.file_rules(document(free, refused)) == (Rule("/", False, 1),)
    assert rsl.file_rules(document(refused, free)) == (Rule("/", False, 1),)


def test_lines_are_those_of_the_file() -> None:
    body = (
        b'\r\n\n<?xml version="1.0"?>\n<!-- x\n-->\n'
        + f'<rsl xmlns="{NAMESPACE}">\n\n{content(prohibits("all"))}\n</rsl>'.encode()
    )
    assert rsl.file_rules(body) == (Rule("/", False, 8),)


READABLE = {
    "a prefix": (
        f'<r:rsl xmlns:r="{NAMESPACE}"><r:content url="/"><r:license>'
        '<r:prohibits type="usage">ai-train</r:prohibits></r:license></r:content></r:rsl>'
    ).encode(),
    "no namespace": b'<rsl><content url="/"><license><prohibits type="usage">all</prohibits>'
    b"</license></content></rsl>",
    "no type": b'<rsl><content url="/"><license><prohibits>ai-train</prohibits></license>'
    b"</content></rsl>",
    "a slash more": document(content(prohibits("all"))).replace(b"org/rsl", b"org/rsl/"),
    "metadata": document(
        '<content url="/"><schema>/x.json</schema><license><prohibits type="usage">all'
        '</prohibits></license><copyright type="person">Example</copyright><alternate>/a.md'
        "</alternate><terms>https://example.org/</terms></content>"
    ),
    "an extension outside of contents": document(
        '<x:a xmlns:x="https://example.org/"><content url="/open/"/></x:a>',
        content(prohibits("all")),
    ),
    "a byte order mark": b"\xef\xbb\xbf" + document(content(prohibits("all"))),
    "utf-16": document(content(prohibits("all"))).decode().encode("utf-16"),
    "latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?><!-- \xe9 -->'
    + document(content(prohibits("all"))),
    "character data and a comment": document(
        '<content url="/"><license><prohibits type="usage"><![CDATA[ai-]]><!-- x -->train'
        "</prohibits></license></content>"
    ),
}


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
def test_ways_of_writing_a_refusal(body: bytes) -> None:
    assert [(r.pattern, r.allow) for r in rsl.file_rules(body)] == [("/", False)]


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"<!doctype html><html/>", b"<html>", document()], ids=range(5)
)
def test_no_file_and_no_content_give_no_rule(body: bytes) -> None:
    assert rsl.file_rules(body) == ()


LAUGHS = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))
BROKEN = {
    "a document type": b"<!DOCTYPE rsl>" + document(content(permits("all"))),
    "entities in entities": f'<!DOCTYPE rsl [<!ENTITY a0 "x">{LAUGHS}]><rsl>&a9;</rsl>'.encode(),
    "an external entity": b'<!DOCTYPE rsl [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    b'<rsl><content url="/">&x;</content></rsl>',
    "an external document type": b'<!DOCTYPE rsl SYSTEM "http://127.0.0.1:9/x.dtd"><rsl/>',
    "an unknown entity": b"<rsl>&nbsp;</rsl>",
    "not closed": b'<rsl><content url="/">',
    "typographic quotes": "<rsl><content url=\u201d/\u201d/></rsl>".encode(),
    "another root": b"<urlset/>",
    "a feed": b'<rss version="2.0"><channel/></rss>',
    "a later version": document().replace(b"org/rsl", b"org/rsl/2.0"),
    "no url": document("<content><license/></content>"),
    "a misspelt license": document('<content url="/"><licence/></content>'),
    "a refusal in the wrong place": document(f'<content url="/">{prohibits("all")}</content>'),
    "a license in the wrong place": document(f"<license>{prohibits('all')}</license>"),
    "an element in a list": document(
        content('<prohibits type="usage"><usage>ai-train</usage></prohibits>')
    ),
    "prose": b"All rights reserved.",
    "JSON": b'{"license": "none"}',
    "an unknown encoding": b'<?xml version="1.0" encoding="x-none"?>' + document(),
    "an encoding of several octets": b'<?xml version="1.0" encoding="shift_jis"?>' + document(),
    "not UTF-8": b"<rsl>\xff</rsl>",
    "a comment and nothing else": b"<!-- no training -->",
    "too large": document() + b" " * MAX_OCTETS,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_understood_is_no_permission(body: bytes) -> None:
    with pytest.raises(UnreadableSource, match=r"^The RSL file .*opt-out list\.$"):
        rsl.file_rules(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<rsl>" + b"<x:a xmlns:x='y'>" * 40_000 + b"</x:a>" * 40_000 + b"</rsl>",
        document(content() * 20_000),
        document(content(prohibits("ai-train " * 100_000))),
        document(content(prohibits("x&#32;" * 150_000))),
    ],
    ids=["deep", "contents", "usages", "references"],
)
def test_large_files_cost_linear_time(body: bytes) -> None:
    assert len(body) < MAX_OCTETS
    rsl.file_rules(body)


TERMS = st.lists(
    st.sampled_from(
        [
            permits("search"),
            permits("ai-train"),
            prohibits("ai-train"),
            prohibits("search"),
            FREE,
            PRICED,
            permits("US", "geo"),
        ]
    ),
    max_size=3,
).map("".join)


@given(st.lists(TERMS, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_no_license_that_prohibits_training_is_ever_outweighed(licenses: list[str]) -> None:
    (rule,) = rsl.file_rules(document(content(*licenses)))
    if any(prohibits("ai-train") in terms for terms in licenses):
        assert not rule.allow
    if rule.allow:
        assert any(PRICED not in x and '"geo"' not in x for x in licenses)


@given(st.binary(max_size=40), st.integers(0, 120))
@settings(max_examples=200, deadline=None)
def test_any_octets_give_rules_or_one_sentence(noise: bytes, at: int) -> None:
    good = document(content(prohibits("ai-train")))
    try:
        said = repr(rsl.file_rules(good[:at] + noise + good[at:]))
    except UnreadableSource as error:
        said = str(error)
    assert said.endswith((")", "opt-out list."))


URL_VALUES = [
    (["https://example.org/rsl.xml"], ("https://example.org/rsl.xml",)),
    (["  https://example.org/rsl.xml  x"], ("https://example.org/rsl.xml",)),
    (["<https://example.org/rsl.xml>"], ("https://example.org/rsl.xml",)),
    (["/license.xml", "//cdn.example/l.xml"], ("/license.xml", "//cdn.example/l.xml")),
    (["HTTP://example.org/a", "https://example.org/b"], ("HTTP://example.org/a", "https://example.org/b")),
    (["https://example.org/a", "https://example.org/a"], ("https://example.org/a",)),
    (["none (public domain)", "", "CC BY 4.0", "https://", "ftp://example.org/a", "file:///a"], ()),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), URL_VALUES)
def test_license_lines(values: list[str], expected: tuple[str, ...]) -> None:
    """§4.4: ``License: <absolute URI>``, several may appear."""
    assert rsl.license_urls(values) == expected


SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "optouts.jsonl"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared real files are not here")
def test_the_real_files() -> None:
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    real = {r["domain"]: r["content"].encode() for r in rows if r["kind"] == "rsl.xml"}
    # Search is free, training has a price.
    assert rsl.file_rules(real["crawlpriceindex.com"]) == (Rule("/", False, 3),)
    # Search and citation are free, training is left out.
    assert rsl.file_rules(real["bedsoil.ymirtool.com"]) == (
        Rule("/geo-citations.json", False, 12),
        Rule("/", False, 3),
    )
