"""W3C TDMRep, Final Community Group Report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.signals import MAX_OCTETS, tdmrep

REAL_URL = "https://example.org/policy.json"

FILES = {
    # "the rightsholder wants to opt-out for every file present on a Web server"
    "first example": (
        b'[\n  {\n    "location": "/",\n    "tdm-reservation": 1\n  }\n]',
        (Rule("/", False, 2),),
    ),
    "second example": (
        json.dumps(
            [
                {"location": "/directory-a/", "tdm-reservation": 1},
                {"location": "/b/html/", "tdm-reservation": 1, "tdm-policy": REAL_URL},
                {"location": "/b/images/*.jpg", "tdm-reservation": 0},
            ]
        ).encode(),
        (
            Rule("/directory-a/", False, 1),
            Rule("/b/html/", False, 1),
            Rule("/b/images/*.jpg", True, 1),
        ),
    ),
    # "The most specific match is the first in sequence": the order stays.
    "the order of the file": (
        b'[{"location": "/", "tdm-reservation": 1},\n{"location": "/a/b", "tdm-reservation": 0}]',
        (Rule("/", False, 1), Rule("/a/b", True, 2)),
    ),
    "a policy and no reservation": (
        b'[{"location": "/", "tdm-reservation": 0, "tdm-policy": "https://example.org/"}]',
        (Rule("/", True, 1),),
    ),
    # "Other values are considered protocol errors ... MUST consider that tdm-reservation is unset"
    "another number": (b'[{"location": "/", "tdm-reservation": 2}]', ()),
    "a word": (b'[{"location": "/", "tdm-reservation": "yes"}]', ()),
    "null": (b'[{"location": "/", "tdm-reservation": null}]', ()),
    "no entry": (b"[]", ()),
    # Tolerated.
    "text 1": (b'[{"location": "/", "tdm-reservation": " 1 "}]', (Rule("/", False, 1),)),
    "text 0": (b'[{"location": "/", "tdm-reservation": "0"}]', (Rule("/", True, 1),)),
    "true": (b'[{"location": "/", "tdm-reservation": true}]', (Rule("/", False, 1),)),
    "false": (b'[{"location": "/", "tdm-reservation": false}]', (Rule("/", True, 1),)),
    "1.0": (b'[{"location": "/", "tdm-reservation": 1.0}]', (Rule("/", False, 1),)),
    "one object": (b'\n{"location": "/a", "tdm-reservation": 1}\n', (Rule("/a", False, 2),)),
    "a comma too many": (b'[{"location": "/", "tdm-reservation": 1},]', (Rule("/", False, 1),)),
    "a byte order mark": (
        b'\xef\xbb\xbf[{"location": "/", "tdm-reservation": 1}]',
        (Rule("/", False, 1),),
    ),
    "utf-16": (
        '[{"location": "/", "tdm-reservation": 1}]'.encode("utf-16"),
        (Rule("/", False, 1),),
    ),
    "no slash": (
        b'[{"location": "a", "tdm-reservation": 1}]',
        (Rule("/a", False, 1),),
    ),
    "an absolute address": (
        b'[{"location": "https://example.org/b*", "tdm-reservation": 1}]',
        (Rule("/b*", False, 1),),
    ),
    "no location is the whole site": (
        b'[{"location": "", "tdm-reservation": 1}]',
        (Rule("/", False, 1),),
    ),
    "outside of ASCII": (
        '[{"location": "/caf\u00e9$", "tdm-reservation": 1}]'.encode(),
        (Rule("/caf%C3%A9$", False, 1),),
    ),
    # No file at all.
    "empty": (b"", ()),
    "an HTML page": (b"<!doctype html><title>Not found</title>", ()),
}

BROKEN = {
    "an object of another format": b'{"@type": "TDMPolicy", "tdm_reservation": 0}',
    "an object without location": b'{"tdm-reservation": 1}',
    "no reservation": b'[{"location": "/"}]',
    "underscores": b'[{"location": "/", "tdm_reservation": 1}]',
    "several locations": b'[{"location": ["/a", "/b"], "tdm-reservation": 1}]',
    "texts": b'["/"]',
    "an error as JSON": b'{"error": "not found"}',
    "a number": b"404",
    "null": b"null",
    "prose": b"All rights reserved.",
    "robots.txt": b"User-agent: *\nDisallow: /",
    "not closed": b'[{"location": "/", "tdm-reservation": 1}',
    "followed by something": b'[{"location": "/", "tdm-reservation": 1}] x',
    "commas only": b"[,]",
    "not UTF-8": b'[{"location": "/\xe9", "tdm-reservation": 1}]',
    "broken after a good entry": b'[{"location": "/", "tdm-reservation": 1}, 7]',
    "nested too deep": b"[" * 300_000,
    "a number of many digits": b'[{"location": "/", "tdm-reservation": ' + b"1" * 9000 + b"}]",
    "too large": b" " + b"[" + b" " * MAX_OCTETS + b"]",
}


@pytest.mark.parametrize(("body", "expected"), FILES.values(), ids=FILES)
def test_a_file(body: bytes, expected: tuple[Rule, ...]) -> None:
    assert tdmrep.file_rules(body) == expected


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_understood_is_no_permission(body: bytes) -> None:
    with pytest.raises(UnreadableSource, match=r"^tdmrep\.json .*opt-out list\.$"):
        tdmrep.file_rules(body)


def test_the_first_match_in_sequence_decides() -> None:
    entries = [
        {"location": "/a/open/", "tdm-reservation": 0},
        {"location": "/a/", "tdm-reservation": 1},
    ]
    body = json.dumps(entries).encode()
    rules = RuleSet(tdmrep.file_rules(body))
    assert rules.refuses("/a/open/1") is None
    assert rules.refuses("/a/1") is not None
    assert rules.decide("/b") is None


VALUES = [
    ("1", True),
    (" 1 ", True),
    ("0", False),
    ("", None),
    ("2", None),
    ("true", None),
    ("10", None),
    ("1, 1", True),
    ("0, 1", True),
    ("0, 0", False),
]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_header_and_meta(text: str, expected: bool | None) -> None:
    assert tdmrep.value(text) is expected


ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"location": st.text(max_size=12), "tdm-reservation": st.sampled_from([0, 1])},
        optional={"tdm-policy": st.text(max_size=5)},
    ),
    max_size=6,
)


@given(ENTRIES, st.sampled_from([None, 0, 3]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_list_in_format_gives_one_rule_an_entry(
    entries: list[dict[str, object]], indent: int | None, escaped: bool
) -> None:
    text = json.dumps(entries, indent=indent, ensure_ascii=escaped)
    body = text.encode("utf-8", "surrogatepass")
    rules = tdmrep.file_rules(body)
    assert [not r.allow for r in rules] == [e["tdm-reservation"] == 1 for e in entries]
    assert all(text.split("\n")[r.line - 1].lstrip(" [").startswith("{") for r in rules)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_octets_give_rules_or_one_sentence(body: bytes) -> None:
    try:
        said = repr(tdmrep.file_rules(body))
    except UnreadableSource as error:
        said = str(error)
    assert said.endswith((")", "opt-out list."))


def test_a_large_file_costs_linear_time() -> None:
    entry = b'{"location": "/a", "tdm-reservation": 1},\n\n\n'
    rules = tdmrep.file_rules(b"[" + entry * 20_000 + b"]")
    assert len(rules) == 20_000
    assert rules[-1].line == 19_999 * 3 + 1


SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "optouts.jsonl"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared real files are not here")
def test_the_real_files() -> None:
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    real = {r["domain"]: r["content"].encode() for r in rows if r["kind"] == "tdmrep.json"}
    assert len(real) == 6
    with pytest.raises(UnreadableSource):
        tdmrep.file_rules(real.pop("www.inngest.com"))
    for body in real.values():
        assert [(r.pattern, r.allow) for r in tdmrep.file_rules(body)] == [("/", False)]
