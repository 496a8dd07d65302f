"""The vectors of nv1 and of phrases: one set, read by this package and by the reader in JavaScript."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter
from filter.fuse import Fuse, FuseParameters, mix
from filter.identifiers import PHRASES
from filter.kdf import KdfProfile
from filter.nv1 import SEPARATORS, letters, nv1
from filter.phrases import checkpoint, gram_length, phrase_key, sums
from filter.reading import IGNORED_RUN, decode, read
from filter.release import freshness
from filter.variants import variants

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "examples" / "vectors"
READER = ROOT / "examples" / "javascript" / "run-vectors.mjs"
NV1 = json.loads((VECTORS / "nv1.json").read_text("ascii"))
ABOUT = json.loads((VECTORS / "phrases.json").read_text("ascii"))
NOW = datetime.fromisoformat(ABOUT["now"])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(VECTORS / ABOUT["bundle"], verify=True, now=NOW)


@pytest.fixture(scope="module")
def output_filter(bundle: Bundle) -> OutputFilter:
    return OutputFilter(bundle, FilterPolicy(kinds=frozenset(PHRASES)))


def found(output_filter: OutputFilter, text: str) -> dict[str, Any]:
    """What the filter makes of a text, as the vectors write it."""
    redaction = output_filter.redact(text)
    return {
        "text": redaction.text,
        "matches": [
            {"start": m.start, "end": m.end, "kind": m.kind, "reason": m.reason}
            for m in redaction.matches
        ],
    }


def test_there_are_enough() -> None:
    assert len(NV1["vectors"]) >= 150
    assert len({row["text"] for row in NV1["vectors"]}) == len(NV1["vectors"])
    assert len(ABOUT["phrases"]) + 5 >= 30
    assert {row["kind"] for row in ABOUT["phrases"]} == set(PHRASES)
    assert NV1["normaliser"] == {"name": "nv1", "sha256": nv1().digest}


@pytest.mark.parametrize("row", NV1["vectors"], ids=lambda row: f"{row['rule']}-{row['text']!a}")
def test_readings(row: dict[str, Any]) -> None:
    reading = read(row["text"])
    assert decode(row["text"]).text == row["decoded"]
    assert reading.text() == row["reading"]
    assert letters(reading.text()) == row["letters"]
    assert [reading.span(at, at)[0] for at in range(len(row["reading"]))] == row["starts"]


def test_arithmetic(bundle: Bundle) -> None:
    key = phrase_key(bundle.salt)
    assert key._asdict() == ABOUT["phrase_key"]
    assert all(mix(row["x"]) == row["mixed"] for row in ABOUT["mix"])
    assert all(list(sums(key, row["letters"])) == row["sums"] for row in ABOUT["sums"])
    assert all(gram_length(ord(row["letter"])) == row["gram"] for row in ABOUT["gram_length"])
    for row in ABOUT["checkpoint"]:
        assert checkpoint(row["length"], row["gram"]) == row["checkpoint"]
    for row in ABOUT["slow_hash"]:
        kdf = KdfProfile(
            row["profile"], row["algorithm"], row["memory"], row["passes"], row["parallelism"]
        )
        assert kdf.hash(bundle.salt, row["secret"]) == row["hash"]
    for row in ABOUT["freshness"]:
        last = datetime.fromisoformat(row["valid_until"]).date()
        assert freshness(last, datetime.fromisoformat(row["now"])) == row["state"]


def test_fuse_maps(bundle: Bundle) -> None:
    index = bundle.phrase_index
    assert index is not None
    maps: dict[str, Fuse] = {name: getattr(index, name) for name in ("grams", "halves", "wholes")}
    for row in ABOUT["fuse"]:
        one = maps[row["map"]]
        assert one.parameters == FuseParameters(**bundle.manifest["phrases"]["maps"][row["map"]])
        assert one.get(row["x"], row["y"]) == row["value"]


def test_listed_phrases() -> None:
    for row in ABOUT["phrases"]:
        assert list(variants(IdentifierKind(row["kind"]), row["text"])) == row["letters"]


@pytest.mark.parametrize("row", ABOUT["redactions"], ids=lambda row: ascii(row["text"]))
def test_redactions(output_filter: OutputFilter, row: dict[str, Any]) -> None:
    assert found(output_filter, row["text"]) == {"text": row["redacted"], "matches": row["matches"]}
    stream = output_filter.stream()
    assert "".join([*map(stream.push, row["text"]), stream.finish()]) == row["redacted"]


def test_every_listed_phrase_is_removed(output_filter: OutputFilter) -> None:
    for row in ABOUT["phrases"]:
        for text in row["letters"]:
            before = "@" if row["kind"] == "handle" else ""
            said = output_filter.redact(f"So {before}{text}!").text
            assert said.startswith(f"So {before}["), row["text"]
            assert said.endswith(" removed]!")


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    script = ROOT / "tools" / "build_vectors.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in VECTORS.iterdir()}


def node(*arguments: str, lines: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """The reader in JavaScript, as a process; ``lines`` go to its standard input as JSON."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not on PATH: the reader in JavaScript was not tried")
    return subprocess.run(
        [program, READER, *arguments],
        input="".join(f"{json.dumps(line)}\n" for line in lines or []),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_the_reader_in_javascript_passes() -> None:
    done = node()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" checks, 0 wrong.\n")


def test_the_reader_in_javascript_refuses_other_modes() -> None:
    assert node("--other").returncode == 2


_BLOCKS = (
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x250, 0x58F),
    (0x590, 0xDFF),
    (0xE00, 0x11FF),
    (0x1200, 0x1FFF),
    (0x2000, 0x2BFF),
    (0x2C00, 0x312F),
    (0x4E00, 0x4FFF),
    (0xA000, 0xABFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFFFF),
    (0x10000, 0x1F9FF),
    (0x20000, 0x10FFFF),
)
_ENCODED = (
    "&uuml; &amp; &nosuch; &#252; &#x4a; &#xD800; &#1114112; % %C3%BC %c3 %E7%8E%8B %zz %F5%80%80%80 "
    "(at) [dot] { punkt } (CHIOCCIOLA] (Point) (atl) (at ( ; & &#"
).split(" ")


def random_text(chance: random.Random) -> str:
    """Characters of a few blocks, encodings whole and cut, ignored characters in runs."""
    parts = []
    for _ in range(chance.randrange(1, 12)):
        kind = chance.randrange(8)
        if kind == 0:
            parts.append(chance.choice(_ENCODED))
        elif kind == 1:
            ignored = chance.choice("\u200b\u0301\u00ad\ufe0f\u0640")
            parts.append(ignored * chance.randrange(1, 3 * IGNORED_RUN))
        elif kind == 2:
            parts.append("".join(f"%{octet:02X}" for octet in chr(_code(chance)).encode()))
        elif kind == 3:
            parts.append(f"&#{_code(chance)};")
        else:
            block = chance.choice(_BLOCKS)
            codes = [chance.randint(*block) for _ in range(chance.randrange(1, 9))]
            parts.append("".join(map(chr, codes)))
    return "".join(parts)


def _code(chance: random.Random) -> int:
    return chance.randint(*chance.choice(_BLOCKS))


def test_readings_agree_on_random_texts() -> None:
    chance = random.Random(20260701)
    texts = [random_text(chance) for _ in range(600)]
    texts += ["".join(map(chr, range(*block))) for block in _BLOCKS[:-1]]
    done = node("--read", lines=texts)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [read(text).text() for text in texts]


def test_redactions_agree_on_random_texts(output_filter: OutputFilter) -> None:
    chance = random.Random(20260702)
    separators = [*sorted(SEPARATORS), "", "", "", " ", " ", "@", "\u200b", "的", "x", "7"]
    texts = []
    for _ in range(400):
        parts = []
        for row in chance.choices(ABOUT["phrases"], k=3):
            written = chance.choice([row["text"], *row["letters"]])
            if chance.random() < 0.4:
                at = chance.randrange(len(written))
                written = written[:at] + chance.choice(separators) * 3 + written[at:]
            if chance.random() < 0.2:
                written = written[: chance.randrange(len(written))]
            parts += (written, chance.choice(separators))
        texts.append("".join(parts))
    texts.append("\n".join(texts))  # many candidates at once take another path through the index
    done = node("--redact", lines=texts)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = [found(output_filter, text) for text in texts]
    assert said == wanted
    assert sum(len(one["matches"]) for one in wanted) > 400


def test_the_vectors_hold_no_real_person() -> None:
    """Hosts of the vectors are reserved (RFC 2606, RFC 6761)."""
    for row in ABOUT["phrases"]:
        identifier = Identifier(IdentifierKind(row["kind"]), row["text"])
        if identifier.kind is IdentifierKind.URL:
            assert identifier.text.split("/")[2].endswith(".example")
