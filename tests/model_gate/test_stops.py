"""Stop sequences in filtered text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.stops import StopMatcher


@pytest.mark.parametrize(
    ("stop", "text", "said", "met"),
    [
        ((), "one. two", "one. two", False),
        (("\n\n",), "one\n\ntwo", "one", True),
        (("\n\n",), "one\ntwo", "one\ntwo", False),
        (("END", "."), "a.END", "a", True),
        (("abc", "bc"), "xabc", "x", True),
        (("aab",), "aaab", "a", True),
        (("end",), "the e", "the e", False),
        (("", "x"), "axb", "a", True),
    ],
)
def test_table(stop: tuple[str, ...], text: str, said: str, met: bool) -> None:
    matcher = StopMatcher(stop)
    assert "".join(map(matcher.push, text)) + matcher.finish() == said
    assert matcher.met is met


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.text("abc", max_size=5), max_size=8),
)
def test_the_same_however_it_is_cut(stop: list[str], pieces: list[str]) -> None:
    whole, cut = StopMatcher(stop), StopMatcher(stop)
    text = "".join(pieces)
    said = whole.push(text) + whole.finish()
    assert "".join(map(cut.push, pieces)) + cut.finish() == said
    first = min((at for s in stop if (at := text.find(s)) >= 0), default=None)
    assert said == text[:first]
