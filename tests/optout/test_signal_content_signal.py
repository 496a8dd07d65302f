"""Content-Signal lines: the Content Signals Policy (contentsignals.org)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.optout.robots import DIALECTS
from pipeline.optout.rules import Rule
from pipeline.optout.signals import content_signal

REFUSED, ALLOWED = (Rule("/", False, 1),), (Rule("/", True, 1),)

LINES = {
    # "(b) If a content-signal = no, you may not collect content for the corresponding use"
    "the managed file of a large network": ("search=yes,ai-train=no", REFUSED),
    "the example of the policy": ("ai-train=no, search=yes, ai-input=no", REFUSED),
    # "(a) If a content-signal = yes, you may collect content for the corresponding use"
    "yes": ("ai-train=yes, search=yes", ALLOWED),
    # "(c) ... neither grants nor restricts permission"
    "not included": ("search=no, ai-input=no", ()),
    "empty": ("", ()),
    "upper case": ("Search=Yes, AI-Train=NO", REFUSED),
    "blanks": ("ai-train = no", REFUSED),
    "semicolons": ("search=yes; ai-train=no", REFUSED),
    "only blanks between": ("search=yes ai-train=no", REFUSED),
    "a later field": ("search=yes,ai-train=no,use=reference", REFUSED),
    "both": ("ai-train=yes, ai-train=no", REFUSED),
    "the words of another vocabulary": ("train-ai=n, ai-train=n", ()),
    "neither yes nor no": ("ai-train=maybe, ai-train=none", ()),
    "another name that ends so": ("no-ai-train=no, xai-train=no", ()),
    "another name that begins so": ("ai-train-image=no", ()),
    "a path": ("/blog/ ai-train=no", (Rule("/blog/", False, 1),)),
    "a path with a wildcard": ("/*/terms ai-train=yes", (Rule("/*/terms", True, 1),)),
    "a type": ("*.pdf ai-train=no", (Rule("*.pdf", False, 1),)),
}


@pytest.mark.parametrize(("value", "expected"), LINES.values(), ids=LINES)
def test_a_line(value: str, expected: tuple[Rule, ...]) -> None:
    assert content_signal.line_rules([(1, value)]) == expected


def test_the_most_specific_line_decides_and_of_equal_ones_the_refusal() -> None:
    lines = [(1, "ai-train=yes"), (2, "ai-train=no"), (3, "/open/ ai-train=yes")]
    assert content_signal.line_rules(lines) == (Rule("/open/", True, 3), Rule("/", False, 2))


def test_hostile_lines_cost_linear_time() -> None:
    for value in ("ai-train" + " " * 500_000, "ai-train  " * 80_000, "ai-train=" * 80_000):
        assert content_signal.line_rules([(1, value)]) == ()


SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "optouts.jsonl"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared real files are not here")
def test_the_real_file() -> None:
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    real = [r["content"] for r in rows if "\nContent-Signal:" in r["content"]]
    assert len(real) == 1
    file = DIALECTS["rfc9309"].parse(real[0].encode())
    rules = [
        content_signal.line_rules(g.signals) for g in (file.groups[i] for i in file.tokens["*"])
    ]
    assert [[(r.pattern, r.allow) for r in one] for one in rules] == [[("/", False)]]
    assert real[0].splitlines()[rules[0][0].line - 1].endswith("ai-train=no")
