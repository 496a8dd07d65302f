"""Policies for takedowns, and corpora that must be equal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named

ALL = "User-agent: *\nDisallow: /\n"
NONE = "User-agent: *\nAllow: /\n"
PRIVATE = "User-agent: GPTBot\nDisallow: /private/\n"


MANY = max(40, round(400 * float(os.environ.get("LETHE_SOAK", "1"))))
"""Examples of a property in `make soak`."""


def compiled(
    path: Path,
    robots: Mapping[str, str],
    optouts: Sequence[Mapping[str, str]] = (),
    tags: Mapping[str, str] | None = None,
    agents: str = "apertus",
    spec: str = "rfc9309",
    **options: Any,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    common = {"effective": "2025-01-01", "origin": "test", "request_id": "r-1"}
    path.with_suffix(".jsonl").write_text(
        "".join(json.dumps(common | {**one}) + "\n" for one in optouts)
    )
    pq.write_table(
        pa.table(
            {
                "domain": pa.array(list(robots), pa.string()),
                "content": pa.array(list(robots.values()), pa.string()),
            }
        ),
        path.with_suffix(".robots"),
    )
    compiler = PolicyCompiler(named(spec, **options), resolve(agents), date(2026, 1, 1))
    compiler.add_snapshot(path.with_suffix(".robots"))
    compiler.add_optouts(path.with_suffix(".jsonl"))
    if tags:
        rows = {"id": list(tags), "agents": [[one] for one in tags.values()]}
        pq.write_table(pa.table(rows), path.with_suffix(".given"))
        compiler.add_tags(path.with_suffix(".given"), path)
    compiler.finish(path)
    return path


def everything(out: Path) -> dict[str, bytes]:
    """All that a run leaves, but the certificates of takedowns and what is no part of it."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] not in {"takedowns", "logs", ".lock"}
    }


def same(world: Any, source: Path, new: Path, out: Path, **options: Any) -> None:
    """The corpus at ``out`` is what a run under ``new`` makes."""
    again = out.with_name(f"{out.name}-again")
    shutil.rmtree(again, ignore_errors=True)
    world.run(source, again, policy=new, **options)
    found, expected = everything(out), everything(again)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name
