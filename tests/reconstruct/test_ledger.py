"""The ledger: its schema is a promise, and it names documents and sites, never people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout.signals import Signal
from pipeline.optout.verdicts import Refusal
from pipeline.reconstruct.ledger import SCHEMA, explained

FIELDS = [
    ("id", "string", True),
    ("url", "string", True),
    ("host", "string", True),
    ("file", "category", False),
    ("row_group", "int32", False),
    ("row", "int64", False),
    ("language", "category", True),
    ("tokens", "int64", True),
    ("verdict", "category", False),
    ("signal", "category", True),
    ("signals", "list<item: string>", True),
    ("agents", "list<item: string>", True),
    ("rule", "string", True),
    ("line", "int32", True),
    ("source", "category", True),
    ("source_hash", "string", True),
    ("source_date", "string", True),
]
REFUSALS = [
    Refusal(Signal.ROBOTS, (Signal.ROBOTS,), ("GPTBot",), "Disallow: /", 2, "robots.txt", "ab", "2025-01-01"),
    Refusal(Signal.OPTOUT, (Signal.OPTOUT,), (), "url opt-out, request r-1", 1, "o.jsonl", "cd", "2025-02-01"),
    Refusal(Signal.ROBOTS, (Signal.ROBOTS, Signal.NOAI), ("CCBot", "*"), "Disallow: /a", 9, "x", None, None),
    Refusal(Signal.TAG, (Signal.TAG,), (), "tag", None, "tags", "ef", None),
]  # fmt: skip


def test_the_schema_is_what_is_documented() -> None:
    """docs/reconstruct.md says the same; whoever changes it raises ENGINE_VERSION."""
    category = str(pa.dictionary(pa.int32(), pa.string()))
    found = [
        (f.name, "category" if str(f.type) == category else str(f.type), f.nullable) for f in SCHEMA
    ]
    assert found == FIELDS


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-1, len(REFUSALS) - 1), max_size=40))
def test_every_code_is_explained_by_its_refusal(codes: list[int]) -> None:
    columns = explained(np.array(codes, dtype=np.int32), REFUSALS)
    for name, values in columns.items():
        assert values.type == SCHEMA.field(name).type
    for row, code in enumerate(codes):
        found = {name: values[row].as_py() for name, values in columns.items()}
        if code < 0:
            assert set(found.values()) == {None}
            continue
        why = REFUSALS[code]
        assert found == {
            "signal": str(why.signal),
            "signals": [str(s) for s in why.signals],
            "agents": list(why.agents),
            "rule": why.rule,
            "line": why.line,
            "source": why.file,
            "source_hash": why.source_hash,
            "source_date": why.source_date,
        }


def test_long_files_have_row_groups_that_compress(world: Any) -> None:
    """Not one for every chunk of input: those would hold little but dictionaries."""
    world.run(world.corpus({"a.parquet": 70_000}, row_group=5000))
    metadata = pq.read_metadata(world.folder / "out/ledger/a.parquet")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert len(groups) == 2
    assert groups[0] >= 65_536
    ledger = pq.read_table(world.folder / "out/ledger/a.parquet", columns=["row", "id"])
    assert ledger["row"].to_pylist() == list(range(70_000))
    assert ledger["id"].to_pylist() == [f"doc-{i}" for i in range(70_000)]


@pytest.mark.parametrize("mode", ["strict", "apertus"])
def test_personal_data_is_in_the_texts_and_nowhere_else(world: Any, mode: str, capfd: Any) -> None:
    """Not in the log, the ledger, the state, the report or what is printed; nor which it was."""
    people = [f"{name}.{n}@people.example" for n, name in enumerate(["eva", "jan", "zoë", "li"])]
    secrets = [*people, "8.8.213.77", "CH93 0076 2011 6238 5295 7", "9300762011623852957"]
    rows = world.documents(3000)
    for number, row in enumerate(rows):
        row["text"] = f"{number}: {secrets[number % len(secrets)]} wrote this."
    world.write(world.folder / "corpus/a.parquet", rows)
    world.run(world.folder / "corpus", pii=mode, removed="scrubbed", workers=1)
    out, err = capfd.readouterr()
    parts = ["eva.0", "jan.1", "people.example", "213.77", "6238 5295", "wrote this"]
    assert not [p for p in parts if p in out + err]
    looked = 0
    for path in sorted(p for p in (world.folder / "out").rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            names = [n for n in table.schema.names if n != "text"]
            content = " ".join(str(table[n].to_pylist()) for n in names)
            if "text" in table.schema.names:
                assert not [
                    p for p in ("eva.0", "213.77") if p in " ".join(table["text"].to_pylist())
                ]
        else:
            content = path.read_text()
        assert not [p for p in parts if p in content], path
        looked += 1
    assert looked >= 8
