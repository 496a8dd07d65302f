"""A golden file holds ENGINE_VERSION to its word: what comes out may only change together with it.

``LETHE_GOLDEN=write pytest tests/reconstruct/test_golden.py`` writes the files again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.pipeline.filters import RegexFilter

from pipeline.reconstruct.manifest import ENGINE_VERSION

SMALL = Path(__file__).parent / "golden/small.jsonl"
DIGESTS = SMALL.with_name("digests.json")
TEXTS = [
    "Write to eva.muster@example.org, or to Eva.Muster@Example.ORG.",
    "Call +41 44 668 18 00 or 044 668 18 00; the server is 8.8.213.77, not 10.4.1.12.",
    "IBAN CH93 0076 2011 6238 5295 7, and DE89370400440532013000 without blanks.",
    "Versicherungsnummer 756.9217.0769.85 (AHV).",
    "jörg@müller.example und 2001:4860:4860::8888",
    "Nothing here but 1.2.3.4.5, 1192.168.1.2567, a@b and @handle.",
    "a@b.example ... a@b.example.org",
    None,
    "",
    "猫 mountain über\u00ad\u200b\ttabs\nand lines\r\n",
]
URLS = [
    "https://open.example/a",
    "https://closed.example/",
    "https://partly.example/private/x",
    "https://partly.example/public",
    "https://signal.example/",
    "http://WWW.gone.example:8080/x?y#z",
    "https://unheard.example/",
    None,
    "not a url",
]
MEANT = (
    "What the engine writes has changed. If that is meant, raise ENGINE_VERSION in "
    "pipeline/reconstruct/manifest.py, so that runs of before are not continued, and write the golden "
    "files again with LETHE_GOLDEN=write. If it is not meant, it is a bug."
)
PARTS = ("data", "ledger", "removed")
RUNS: dict[str, dict[str, Any]] = {
    "strict": {"removed": "scrubbed"},
    "apertus": {"pii": "apertus", "removed": "verbatim"},
    "none": {"pii": "none", "limit": 50},
    "steps": {"steps": [RegexFilter("mountain")]},
}


def source(world: Any) -> Path:
    """Every text at an open address, and two of them at every address."""
    pairs = [(t, URLS[0]) for t in TEXTS] + [(t, u) for u in URLS for t in (TEXTS[0], TEXTS[-1])]
    rows = [
        {"text": text, "id": f"doc-{n}", "url": url, "language": "en", "token_count": n}
        for n, (text, url) in enumerate(pairs)
    ]
    table = pa.Table.from_pylist(rows).select(["id", "url", "text", "language", "token_count"])
    return world.write(world.folder / "corpus/a.parquet", table, row_group=12).parent


def logical(out: Path, part: str, name: str) -> list[Any]:
    """What a Parquet file holds, apart from how its writer packs it."""
    parquet = pq.ParquetFile(out / part / f"{name}.parquet")
    groups = parquet.metadata
    table = parquet.read()
    return [
        {f.name: str(f.type) for f in table.schema},
        [groups.row_group(i).num_rows for i in range(groups.num_row_groups)],
        *(list(row.values()) for row in table.to_pylist()),
    ]


def found(world: Any) -> list[Any]:
    """What the engine makes of the input in each of the runs: columns, row groups, rows, state."""
    folder = source(world)
    lines: list[Any] = []
    for name, given in RUNS.items():
        out = world.folder / name
        world.run(folder, out, **given)
        for part in PARTS:
            if (out / part).exists():
                lines += [[name, part, line] for line in logical(out, part, "a")]
        state = json.loads((out / "state/a.parquet.json").read_text())
        lines.append([name, "state", {k: v for k, v in state.items() if k != "sha256"}])
    return lines


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def test_what_comes_out_is_what_came_out_before(world: Any) -> None:
    content = found(world)
    many = world.corpus({"many.parquet": 5000}, row_group=333, name="many")
    world.run(many, world.folder / "out")
    digests = {part: digest(logical(world.folder / "out", part, "many")) for part in PARTS[:2]}
    lines = [json.dumps(line, ensure_ascii=False, default=str) for line in content]
    summary = {"engine_version": ENGINE_VERSION, "small": digest(content), "many": digests}
    if os.environ.get("LETHE_GOLDEN") == "write":
        SMALL.write_text("\n".join(lines) + "\n", encoding="utf-8")
        DIGESTS.write_text(json.dumps(summary, indent=1) + "\n")
        pytest.skip("the golden files were written again")
    golden = json.loads(DIGESTS.read_text())
    assert golden["engine_version"] == ENGINE_VERSION, (
        "ENGINE_VERSION was raised: write the golden files again with LETHE_GOLDEN=write."
    )
    for now, before in zip(lines, golden_lines(), strict=False):
        assert json.loads(now) == before, MEANT
    assert summary == golden, MEANT


def golden_lines(*of: str) -> list[Any]:
    lines = [json.loads(line) for line in SMALL.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line[: len(of)] == list(of)]


def test_the_golden_files_show_what_they_are_for() -> None:
    """Each kind of identifier, each signal, each way of going: or the file would hold nothing."""
    strict = json.dumps(golden_lines("strict", "data"))
    for kind in ("email", "ip", "iban", "ahv", "phone"):
        assert f"<{kind}-pii>" in strict
    said = json.dumps(golden_lines("steps", "ledger"))
    for signal in ("robots", "optout", "content-signal", "filter:RegexFilter"):
        assert f'"{signal}"' in said
    assert "eva.muster" not in strict
    assert "eva.muster" not in json.dumps(golden_lines("strict", "removed"))
    assert "eva.muster" in json.dumps(golden_lines("apertus", "removed"))
    assert "eva.muster" in json.dumps(golden_lines("none", "data"))
