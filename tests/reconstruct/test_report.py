from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.optout.signals import Signal
from pipeline.reconstruct.ledger import SCHEMA

AGENTS = ["CCBot", "GPTBot", "Google-Extended", "ClaudeBot", "*"]
STYLES = Path(__file__).resolve().parents[2] / "pipeline/reconstruct/report/templates/style.css"


# -- a corpus as `lethe reconstruct run` leaves it ------------------------------------------------


def kept(host: str | None = "kept.example", **fields: Any) -> dict[str, Any]:
    return document("keep", host, **fields)


def dropped(
    host: str | None = "gone.example", signal: str | None = "robots", **fields: Any
) -> dict[str, Any]:
    is_filter = signal is None or signal.startswith("filter:")
    explained = {} if is_filter else {
        "signals": [signal],
        "agents": ["GPTBot"] if signal == "robots" else [],
        "rule": "Disallow: /",
        "line": 3,
        "source": "robots.txt",
        "source_hash": "0" * 64,
        "source_date": "2025-01-31",
    }  # fmt: skip
    return document("drop", host, signal=signal, **explained | fields)


def document(verdict: str, host: str | None, **fields: Any) -> dict[str, Any]:
    url = None if host is None else f"https://{host}/a"
    return {"verdict": verdict, "host": host, "url": url, "language": "en", "tokens": 100} | fields


def write_run(
    out: Path,
    files: dict[str, list[dict[str, Any]] | None],
    *,
    pii: dict[str, int] | None = None,
    **changes: Any,
) -> Path:
    """The folder of a run; a file whose documents are ``None`` is not finished."""
    manifest: dict[str, Any] = {
        "format": 1,
        "engine_version": 1,
        "recipe": {
            "name": "fineweb",
            "title": "FineWeb 1.3.0",
            "dataset": "HuggingFaceFW/fineweb",
            "revision": "v1.3.0",
            "homepage": "https://huggingface.co/datasets/HuggingFaceFW/fineweb",
            "license": "odc-by",
        },
        "policy": {
            "name": "rfc9309",
            "version": "0123456789abcdef",
            "as_of": "2026-07-01",
            "agent_set": "apertus",
            "agents": AGENTS,
            "signals": sorted(Signal),
            "unreachable": "drop",
            "unreadable": "keep",
            "no_url": "keep",
            "counts": {
                "robots.txt: files": 41230,
                "robots.txt: absent": 9120,
                "robots.txt: unreachable": 318,
                "robots.txt: unreadable": 77,
                "snapshot: domain is not a host": 4,
                "opt-outs: in force": 12,
            },
        },
        "options": {"pii": "strict", "limit": None, "removed": "none"},
        "fingerprint": "f" * 64,
        "input": {
            "root": "/home/somebody/fineweb-sample",
            "files": [
                {"name": name, "rows": len(rows or []), "bytes": 1} for name, rows in files.items()
            ],
        },
    }
    for path, value in changes.items():
        *above, last = path.split("__")
        holder = manifest
        for key in above:
            holder = holder[key]
        holder[last] = value
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name, rows in files.items():
        if rows is not None:
            write_file(out, name, rows, pii or {"email": 3, "ip": 1})
    return out


def write_file(out: Path, name: str, rows: list[dict[str, Any]], pii: dict[str, int]) -> None:
    complete = [
        {f.name: None for f in SCHEMA}
        | {"id": f"{name}/{i}", "file": name, "row_group": 0, "row": i, "policy_version": "0123"}
        | row
        for i, row in enumerate(rows)
    ]
    stay = [row for row in complete if row["verdict"] == "keep"]
    for folder in ("ledger", "data", "state"):
        (out / folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(complete, SCHEMA), out / "ledger" / name)
    pq.write_table(
        pa.table({"text": pa.array(["text"] * len(stay), pa.string())}), out / "data" / name
    )
    state = {
        "file": name,
        "rows_in": len(rows),
        "rows_out": len(stay),
        "pii": pii,
        "documents_scrubbed": sum(pii.values()),
        "sha256": {"data": "0" * 64, "ledger": "0" * 64},
    }
    (out / "state" / f"{name}.json").write_text(json.dumps(state), encoding="utf-8")


LANGUAGES = [
    "en",
    "de",
    "fr",
    "it",
    "rm",
    "ru",
    "zh",
    "ja",
    "pl",
    "pt",
    "nl",
    "es",
    "cs",
    "tr",
    None,
]


def some_documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Every kind of row that the engine writes, in odd proportions."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        host = f"site{int(draw.paretovariate(0.6)) % 300}.example" if draw.random() > 0.03 else None
        common = {
            "language": LANGUAGES[min(int(draw.expovariate(0.35)), len(LANGUAGES) - 1)],
            "tokens": draw.choice([None, *range(20, 2000, 37)]),
        }
        chance = draw.random()
        if chance > 0.08 or host is None:
            rows.append(kept(host, **common))
        elif chance < 0.012:
            rows.append(dropped(host, "filter:GopherQualityFilter", **common))
        else:
            signals = draw.sample(sorted(Signal), draw.choice([1, 1, 1, 2, 3]))
            signals.sort(key=list(Signal).index)
            if draw.random() < 0.7:
                signals = ["robots", *(s for s in signals if s != "robots")]
            agents = draw.sample(AGENTS, draw.randint(1, 4)) if signals[0] == "robots" else []
            month = draw.choice(["2025-01-31", "2025-06-11", "2026-03-01", "2026-06-30", None])
            rule = draw.choice(
                ["Disallow: /", "Disallow: /", "Disallow: /archive/", "disallow:/*.pdf$"]
            )
            rows.append(
                dropped(
                    host,
                    signals[0],
                    signals=signals,
                    agents=agents,
                    rule=rule,
                    source_date=month,
                    **common,
                )  # fmt: skip
            )
    return rows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"part/{i:03d}.parquet": some_documents(1500, i) for i in range(3)}
    nobody_asked = {"signal": "robots", "signals": ["robots"], "agents": [], "source": "policy"}
    files["part/003.parquet"] = [
        dropped(None, **nobody_asked),
        dropped(None, **nobody_asked | {"signals": ["robots", "noai"]}),
        dropped("x.example", None),
        dropped("x.example", "filter:A", tokens=None),
    ]
    files["part/004.parquet"] = []
    return write_run(tmp_path_factory.mktemp("corpus"), files)
