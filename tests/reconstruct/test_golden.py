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

GOLDEN = Path(__file__).parent / "golden"
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
    """Ninety documents: every text with every address."""
    rows = [
        {"text": text, "id": f"doc-{n}", "url": url, "language": "en", "token_count": n}
        for n, (text, url) in enumerate((t, u) for u in URLS for t in TEXTS)
    ]
    table = pa.Table.from_pylist(rows, world.schema)
    return world.write(world.folder / "corpus/a.parquet", table, row_group=40).parent


def logical(out: Path, part: str, name: str) -> dict[str, Any]:
    """What a Parquet file holds, apart from how its writer packs it."""
    parquet = pq.ParquetFile(out / part / f"{name}.parquet")
    groups = parquet.metadata
    table = parquet.read()
    if part == "ledger":
        table = table.drop_columns("policy_version")  # the policy's affair
    return {
        "columns": {f.name: str(f.type) for f in table.schema},
        "row_groups": [groups.row_group(i).num_rows for i in range(groups.num_row_groups)],
        "rows": [list(row.values()) for row in table.to_pylist()],
    }


def found(world: Any) -> dict[str, Any]:
    """What the engine makes of the input in each of the runs."""
    folder = source(world)
    content: dict[str, Any] = {}
    for name, given in RUNS.items():
        out = world.folder / name
        world.run(folder, out, **given)
        content[name] = {p: logical(out, p, "a") for p in PARTS if (out / p).exists()}
        state = json.loads((out / "state/a.parquet.json").read_text())
        content[name]["state"] = {k: v for k, v in state.items() if k != "sha256"}
    return content


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def test_what_comes_out_is_what_came_out_before(world: Any) -> None:
    content = found(world)
    many = world.corpus({"many.parquet": 5000}, row_group=333, name="many")
    world.run(many, world.folder / "out")
    digests = {part: digest(logical(world.folder / "out", part, "many")) for part in PARTS[:2]}
    text = json.dumps(content, ensure_ascii=False, indent=1, default=str)
    summary = {"engine_version": ENGINE_VERSION, "small": digest(content), "many": digests}
    if os.environ.get("LETHE_GOLDEN") == "write":
        (GOLDEN / "small.json").write_text(text + "\n", encoding="utf-8")
        (GOLDEN / "digests.json").write_text(json.dumps(summary, indent=1) + "\n")
        pytest.skip("the golden files were written again")
    golden = json.loads((GOLDEN / "digests.json").read_text())
    assert golden["engine_version"] == ENGINE_VERSION, (
        "ENGINE_VERSION was raised: write the golden files again with LETHE_GOLDEN=write."
    )
    before = json.loads((GOLDEN / "small.json").read_text(encoding="utf-8"))
    now = json.loads(text)
    for run, parts_before in before.items():
        for part, held in parts_before.items():
            assert now[run][part] == held, f"{run}, {part}. {MEANT}"
    assert summary == golden, MEANT


def test_the_golden_files_show_what_they_are_for() -> None:
    """Each kind of identifier, each signal, each way of going: or the file would hold nothing."""
    small = json.loads((GOLDEN / "small.json").read_text(encoding="utf-8"))
    strict = json.dumps(small["strict"]["data"])
    for kind in ("email", "ip", "iban", "ahv", "phone"):
        assert f"<{kind}-pii>" in strict
    said = json.dumps(small["steps"]["ledger"])
    for signal in ("robots", "optout", "content-signal", "filter:RegexFilter"):
        assert f'"{signal}"' in said
    assert "eva.muster" not in strict
    assert "eva.muster" not in json.dumps(small["strict"]["removed"])
    assert "eva.muster" in json.dumps(small["apertus"]["removed"])
    assert "eva.muster" in json.dumps(small["none"]["data"])
