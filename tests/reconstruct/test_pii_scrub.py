"""Bulk scrubbing equals judging every text by itself, whatever thins the texts before."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.reconstruct.pii.markers import MARKERS
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.prefilter import Prefilter, hyperscan
from pipeline.reconstruct.pii.scrub import Scrubber, with_markers

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SCRUBBERS = {
    (name, engine): Scrubber(mode, use_hyperscan=engine == "hyperscan")
    for name, mode in MODES.items()
    for engine in ("hyperscan", "re2")
}
FRAGMENTS = [
    "eva.muster@example.org", "jörg@müller.example", "a@b.co", "a@b", "@", "x.", "a@[1.2.3.4]",
    "8.8.213.77", "10.4.1.12", "1.2.3", "1.2.3.4.5", "2001:4860:4860::8888", "::1", "fe80::1%eth0",
    "CH93 0076 2011 6238 5295 7", "CH9300762011623852957", "DE89 3704 0044 0532 0130 00", "GB82 WEST",
    "GB82WEST12345698765432", "CH93\u00a00076\u00a02011\u00a06238\u00a05295\u00a07",
    "756.9217.0769.85", "7569217076985", "756.9217.0769.84",
    "+41 44 668 18 00", "044 668 18 00", "0041446681800", "+1 202-555-0143", "(044) 668 18 00",
    "&#64;", "ｅｖａ＠example.org", "猫", "é", "\u200b", "\u00ad", "\x00", "😀", "ß",
    " ", "\n", "\t", ",", "<", ">", "-", ".", "0", "9", "A",
]  # fmt: skip


def expected(mode: str, texts: list[str | None]) -> tuple[list[str | None], Counter[str]]:
    """Without any thinning: the judge looks at every text, for every kind."""
    kinds = frozenset(MODES[mode].triggers)
    found: Counter[str] = Counter()
    result: list[str | None] = []
    for text in texts:
        spans = [] if text is None else MODES[mode].find(text, kinds)
        while spans:
            found.update(str(s.kind) for s in spans)
            text = with_markers(str(text), spans)  # noqa: PLW2901
            spans = MODES[mode].find(text, kinds) if MODES[mode].settles else []
        result.append(text)
    return result, found


def arrays(texts: list[str | None], kind: pa.DataType, before: int, after: int) -> pa.Array:
    """The texts as a slice of a longer array, whose other texts hold identifiers, too."""
    others = ["eva.muster@example.org +41 44 668 18 00"]
    whole = pa.array(others * before + texts + others * after, kind)
    return whole.slice(before, len(texts))


@pytest.mark.skipif(hyperscan is None, reason="no hyperscan on this platform")
@pytest.mark.parametrize("mode", list(MODES))
@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(
        st.none() | st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join), max_size=8
    ),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
@example(texts=["CH93 0076 2011 6238 5295 7+1 202-555-0143"], kind=pa.string(), before=0, after=0)
def test_thinning_changes_nothing(
    mode: str, texts: list[str | None], kind: pa.DataType, before: int, after: int
) -> None:
    column = arrays(texts, kind, before, after)
    wanted, counted = expected(mode, texts)
    for engine in ("hyperscan", "re2"):
        done = SCRUBBERS[mode, engine].scrub(column)
        done.column.validate(full=True)
        assert done.column.type == kind
        assert done.column.to_pylist() == wanted
        assert done.replaced == counted
        assert done.documents == sum(a != b for a, b in zip(texts, wanted, strict=True))


@pytest.mark.parametrize(("mode", "engine"), list(SCRUBBERS))
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
@pytest.mark.parametrize(
    "texts", [[], [None], [None, None], [""], ["", None, ""], ["plain"], ["é", "猫"]], ids=repr
)
def test_columns_with_nothing_in_them(
    mode: str, engine: str, kind: pa.DataType, texts: list[str | None]
) -> None:
    for column in (
        pa.array(texts, kind),
        arrays(texts, kind, 1, 1),
        pa.array([*texts, "x"], kind)[:-1],
    ):
        done = SCRUBBERS[mode, engine].scrub(column)
        assert (done.column.to_pylist(), done.replaced, done.documents) == (texts, Counter(), 0)


@pytest.mark.parametrize(("mode", "engine"), list(SCRUBBERS))
def test_an_identifier_across_the_border_of_two_texts_is_none(mode: str, engine: str) -> None:
    texts = [
        "eva.muster@exa",
        "mple.org",
        "8.8.21",
        "3.77",
        "write to eva@",
        "猫.example",
        "a@b.c",
        "é",
    ]
    assert (
        SCRUBBERS[mode, engine].scrub(pa.array(texts)).column.to_pylist()
        == expected(mode, texts)[0]
    )


@pytest.mark.parametrize(("mode", "engine"), list(SCRUBBERS))
def test_texts_at_every_place_of_a_column(mode: str, engine: str) -> None:
    """The first and the last, beside characters of many octets, nulls and empty texts."""
    texts: list[str | None] = [None] * 40
    for at in range(40):
        column = [*texts]
        column[at] = "猫😀é eva.muster@example.org é😀猫"
        column[(at + 1) % 40] = "é"
        column[(at + 2) % 40] = ""
        done = SCRUBBERS[mode, engine].scrub(pa.array(column))
        assert done.column[at].as_py() == "猫😀é <email-pii> é😀猫"
        assert done.documents == 1


@pytest.mark.parametrize(("mode", "engine"), list(SCRUBBERS))
def test_scrubbing_twice_is_scrubbing_once(mode: str, engine: str) -> None:
    """Of identifiers with words between them; glued ones hide each other from mode strict."""
    column = pa.array([" and then ".join(FRAGMENTS), *FRAGMENTS])
    once = SCRUBBERS[mode, engine].scrub(column)
    assert once.documents > 3
    again = SCRUBBERS[mode, engine].scrub(once.column)
    assert again.documents == 0
    assert again.column.equals(once.column)


def test_markers_are_those_of_apertus() -> None:
    """Special tokens of its tokenizer; those that it does not have are made alike."""
    assert set(MARKERS.values()) == {
        "<email-pii>", "<ip-pii>", "<iban-pii>", "<phone-pii>", "<ahv-pii>",
    }  # fmt: skip


@pytest.mark.parametrize("mode", list(MODES))
def test_every_trigger_is_read_alike_by_both(mode: str) -> None:
    """On texts that are one identifier each: rows per kind, which must hold what the judge finds."""
    column = pa.array(FRAGMENTS)
    for engine in (True, False):
        rows = Prefilter(dict(MODES[mode].triggers), use_hyperscan=engine).rows(column)
        for row, text in enumerate(FRAGMENTS):
            for span in MODES[mode].find(text, frozenset(MODES[mode].triggers)):
                assert row in rows[span.kind].tolist(), (text, engine)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real documents are not here")
@pytest.mark.parametrize("mode", list(MODES))
def test_real_documents(mode: str) -> None:
    """Web pages, and texts made to hold personal data: thinned or not, the same comes out."""
    texts = pq.read_table(DATA / "webdocs.parquet", columns=["text"])["text"].to_pylist()
    texts = [t[:20_000] for t in texts[::3]]
    made = json.loads((DATA / "pii/presidio_generated_large.json").read_text(encoding="utf-8"))
    texts += [sample["full_text"] for sample in made]
    wanted, counted = expected(mode, texts)
    for engine in ("hyperscan", "re2"):
        done = SCRUBBERS[mode, engine].scrub(pa.array(texts, pa.string()))
        assert done.column.to_pylist() == wanted
        assert done.replaced == counted
    assert counted["email"] > 100


@pytest.mark.parametrize(("mode", "engine"), list(SCRUBBERS))
def test_time_is_linear_when_everything_is_suspect(mode: str, engine: str) -> None:
    """A hit for every octet, or for every document: work grows with the text, not with its square."""
    hostile: list[Any] = [
        "a@b.c " * 20_000,
        "1.1.1.1." * 20_000,
        "044 668 18 0" * 10_000,
        "CH93 0076 2011 " * 10_000,
        *["a@b.c"] * 20_000,
    ]
    begin = time.process_time()
    SCRUBBERS[mode, engine].scrub(pa.array(hostile))
    assert time.process_time() - begin < 10
