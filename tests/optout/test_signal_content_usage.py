"""AIPREF Content-Usage: draft-ietf-aipref-vocab-07, draft-ietf-aipref-attach-05, RFC 9651."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.signals import content_usage

REFUSED, ALLOWED, SILENT = True, False, None

STATEMENTS = {
    # vocab-07, 6: "the following states a preference to allow model training, disallow search"
    "example of the draft": ("train-ai=y, search=n", ALLOWED),
    "refused": ("train-ai=n", REFUSED),
    "another category only": ("search=n", SILENT),
    "search allowed lifts nothing": ("train-ai=n, search=y", REFUSED),
    "empty": ("", SILENT),
    # 6.1: "These tokens are case sensitive"; RFC 9651, 3.2: keys are in lower case
    "upper-case key does not parse": ("Train-AI=n", SILENT),
    "upper-case value is another token": ("train-ai=N", SILENT),
    # 6.5: "values that are not Tokens, and Token values that are other than y or n"
    "a string": ('train-ai="n"', SILENT),
    "a longer token": ("train-ai=no", SILENT),
    "a boolean": ("train-ai", SILENT),
    "another boolean": ("train-ai=?0", SILENT),
    "a number": ("train-ai=0", SILENT),
    "an inner list": ("train-ai=(n)", SILENT),
    # 6.5.1: "only the last value applies"
    "the last one counts": ("train-ai=y, train-ai=n", REFUSED),
    "the last one counts, too": ("train-ai=n, train-ai=y", ALLOWED),
    "example of the draft for keys": ('train-ai=y, train-ai, search=n, search="n"', SILENT),
    # 6.5.2: parameters are ignored
    "example of the draft for parameters": ("train-ai;allow=n, train-ai=y", ALLOWED),
    "parameters after the value": ('train-ai=n;a;b="?";c=1.5;d=(', SILENT),
    "parameters, well-formed": ('train-ai=n; a;b="?";c=1.5;d=:aGk=:', REFUSED),
    "example with parameters alone": ('train-ai;has;parameters="?";', SILENT),
    # 6.4: "any unknown labels MUST be ignored"
    "unknown labels": ("*x=1, a.b_c-d=?1, train-ai=n", REFUSED),
    "numbers, dates, booleans": ("a=-1, b=1.25, c=@1659578233, d=?1, train-ai=n", REFUSED),
    "strings and tokens": ('a="x\\"y", b=tok/en:1, c=%"f%c3%bc", train-ai=n', REFUSED),
    "octets and lists": ('a=:aGk=:, b=("a" b;c 1), c=(), train-ai=n', REFUSED),
    # RFC 9651, 4.2: what does not parse fails as a whole
    "a comma at the end": ("train-ai=n,", SILENT),
    "a comma in front": (",train-ai=n", SILENT),
    "two commas": ("train-ai=n,,search=y", SILENT),
    "no comma": ("train-ai=n search=y", SILENT),
    "blank before the sign": ("train-ai =n", SILENT),
    "blank after the sign": ("train-ai= n", SILENT),
    "a string that does not end": ('search="y, train-ai=n', SILENT),
    "a list that does not end": ("search=(y, train-ai=n", SILENT),
    "list items not set apart": ('a=("x""y"), train-ai=n', SILENT),
    "a number too long": ("a=1234567890123456, train-ai=n", SILENT),
    "a decimal too fine": ("a=1.2345, train-ai=n", SILENT),
    "a decimal without fraction": ("a=1., train-ai=n", SILENT),
    "outside of ASCII": ("é=1, train-ai=n", SILENT),
    "tabs around the comma": ("search=y\t,\ttrain-ai=n", REFUSED),
    "blanks around": ("   train-ai=n   ", REFUSED),
}

# Labels of earlier drafts refuse and never allow (see the module).
RETIRED = {
    "vocab-01: genai": ("genai=n", REFUSED),
    "vocab-01: tdm": ("tdm=n", REFUSED),
    "vocab-01: ai": ("ai=n", REFUSED),
    "vocab-02: all": ("all=n", REFUSED),
    "vocab-03: bots": ("bots=n", REFUSED),
    "vocab-03: train-genai": ("train-genai=n", REFUSED),
    "a narrower label beside a permission": ("train-ai=y, train-genai=n", REFUSED),
    "a wider label beside a permission": ("bots=n, train-ai=y", ALLOWED),
    "a permission by a retired label": ("genai=y, all=y", SILENT),
    "another value": ("genai=no", SILENT),
    "no training": ("inference=n, ai-output=n, ai-use=n, ai-input=n", SILENT),
}


@pytest.mark.parametrize(
    ("value", "expected"), (STATEMENTS | RETIRED).values(), ids=STATEMENTS | RETIRED
)
def test_header(value: str, expected: bool | None) -> None:
    assert content_usage.header(value) is expected


LINES = {
    "no path is the whole site": ([(3, "train-ai=n")], (Rule("/", False, 3),)),
    "a path": ([(3, "/a train-ai=n")], (Rule("/a", False, 3),)),
    "a permission": ([(3, "/a train-ai=y")], (Rule("/a", True, 3),)),
    "no opinion": ([(3, "/a search=n"), (4, "nonsense !"), (5, "/b"), (6, "")], ()),
    "the longest path first": (
        [(1, "train-ai=n"), (2, "/open/ train-ai=y")],
        (Rule("/open/", True, 2), Rule("/", False, 1)),
    ),
    # attach-05, 3.1, with vocab-07, 5.1: "the most restrictive preference applies"
    "identical paths": (
        [(1, "/a train-ai=y"), (2, "/a train-ai=n")],
        (Rule("/a", False, 2),),
    ),
    "octets, not letters, are counted": (
        [(1, "/aaaa train-ai=n"), (2, "/é train-ai=y")],
        (Rule("/%C3%A9", True, 2), Rule("/aaaa", False, 1)),
    ),
    "a wildcard": ([(1, "*.pdf$ train-ai=n")], (Rule("*.pdf$", False, 1),)),
}


@pytest.mark.parametrize(("lines", "expected"), LINES.values(), ids=LINES)
def test_lines(lines: list[tuple[int, str]], expected: tuple[Rule, ...]) -> None:
    assert content_usage.line_rules(lines) == expected


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/test", True), ("/ai-ok/test", False)],
)
def test_example_of_the_attachment_draft(path: str, refused: bool) -> None:
    """attach-05, 3.4: the table below the example."""
    rules = RuleSet(content_usage.line_rules([(4, "train-ai=n"), (5, "/ai-ok/ train-ai=y")]))
    assert (rules.refuses(path) is not None) is refused


def test_a_line_without_an_opinion_does_not_lift_a_refusal() -> None:
    rules = RuleSet(content_usage.line_rules([(1, "train-ai=n"), (2, "/blog/ search=y")]))
    assert rules.refuses("/blog/1") == Rule("/", False, 1)


ITEMS = st.sampled_from(
    ["train-ai=n", "train-ai=y", "train-ai", "search=n", 'x="a, train-ai=n"', "y=(1 2);p", "*=1"]
)


@given(st.lists(ITEMS, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_last_of_a_key_decides_wherever_it_stands(items: list[str]) -> None:
    own = [item for item in items if item.startswith("train-ai")]
    expected = {"train-ai=n": True, "train-ai=y": False}.get(own[-1]) if own else None
    assert content_usage.header(", ".join(items)) is expected


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    assert content_usage.header(text) in {True, False, None}
    content_usage.line_rules([(1, text)])


@pytest.mark.parametrize(
    "value",
    [
        "a;" * 300_000,
        "a=" + "(" * 300_000,
        "a=(" + "b " * 300_000,
        'a="' + "\\" * 300_000,
        "a" * 600_000,
        "a=%" + '"%c3' * 200_000,
        ",".join(["a=1"] * 200_000) + "!",
        "a" + ";b=c" * 200_000 + "=",
        "a" + " " * 600_000 + "b",
    ],
    ids=str.__len__,
)
def test_hostile_values_cost_linear_time(value: str) -> None:
    assert content_usage.header(value) is None
