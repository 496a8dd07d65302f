"""Streams over very much text: still what the whole says, in memory that does not grow."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pytest

from filter import Bundle, FilterPolicy, OutputFilter

LISTED = (
    ("name", "Jürg Müller"),
    ("name", "Ann Lee"),
    ("name", "王小明"),
    ("name", "김철수"),
    ("email", "jane.doe@example.org"),
    ("phone", "044 668 18 00"),
    ("iban", "CH93 0076 2011 6238 5295 7"),
    ("handle", "@jane_doe"),
    ("text", "kein Wort davon ist wahr"),
)
UNITS = (
    "x",
    ".",
    "7",
    "a@",
    "a@b. ",
    "\u200b",
    "e\u0301",
    "%C3",
    "&amp",
    "(at",
    "j ",
    "7\n",
    "annale",
    "ann lee",
    "王小",
    "김철",
    "ab\n",
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.build(LISTED, release="2026.2.0", kdf="testing")


@pytest.mark.soak
@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_the_same(bundle: Bundle, scale: float, unit: str) -> None:
    """In pieces of every size; the process may grow by little."""
    rng = random.Random(1)
    one = OutputFilter(bundle, FilterPolicy(slow_hashes=100))
    text = unit * (int(1_000_000 * scale) // len(unit))
    stream, out, at = one.stream(), [], 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while at < len(text):
        size = rng.choice([1, 3, 17, 400, 9000])
        out.append(stream.push(text[at : at + size]))
        at += size
    out.append(stream.finish())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "".join(out) == one.redact(text).text
    assert grown < 64_000  # kilobytes, what came out among them


@pytest.mark.soak
def test_real_pages_with_people_planted(bundle: Bundle, scale: float) -> None:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "webdocs.parquet"
    if not path.is_file():
        pytest.skip("shared/data/webdocs.parquet is not there")
    import pyarrow.parquet as pq

    rng = random.Random(2)
    one = OutputFilter(bundle)
    pages = pq.read_table(path, columns=["text"])["text"].to_pylist()
    rng.shuffle(pages)
    removed = 0
    for page in pages[: int(len(pages) * scale)]:
        text = page[:20_000]
        for _ in range(3):
            at = rng.randrange(len(text) + 1)
            text = f"{text[:at]} {rng.choice(LISTED)[1]} {text[at:]}"
        stream, out, at = one.stream(), [], 0
        while at < len(text):
            size = rng.choice([1, 4, 4, 4, 30])
            out.append(stream.push(text[at : at + size]))
            at += size
        redaction = one.redact(text)
        removed += len(redaction.matches)
        assert "".join([*out, stream.finish()]) == redaction.text
    assert removed > 100 * scale
