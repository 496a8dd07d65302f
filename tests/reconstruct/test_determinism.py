"""The same input gives the same bytes: for any number of workers, each time, in each process."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import WrongRun
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.recipes import recipe

FILES = {f"{n:02d}.parquet": 90 + 500 * n for n in range(6)} | {"deep/er.parquet": 0}


@pytest.fixture(scope="module")
def first(shared_world: Any) -> Any:
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    shared_world.run(shared_world.source, removed="scrubbed")
    shared_world.expected = shared_world.contents(shared_world.folder / "out")
    return shared_world


@pytest.mark.parametrize("workers", [1, 2, 3, 20])
def test_any_number_of_workers(first: Any, tmp_path: Path, workers: int) -> None:
    first.run(first.source, tmp_path, removed="scrubbed", workers=workers)
    assert first.contents(tmp_path) == first.expected
    assert first.leftovers(tmp_path) == []


@pytest.mark.parametrize("seed", ["0", "1"])
def test_any_seed_of_the_hash_function(first: Any, tmp_path: Path, seed: str) -> None:
    """Sets and dictionaries of strings come in another order in another process."""
    command = first.command(first.source, tmp_path, "--removed", "scrubbed")
    # glibc fills what is handed out with this octet: nothing unwritten may reach a file.
    environment = os.environ | {"PYTHONHASHSEED": seed, "MALLOC_PERTURB_": f"{100 + int(seed)}"}
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert first.contents(tmp_path) == first.expected


def test_the_input_may_lie_elsewhere(first: Any, tmp_path: Path) -> None:
    """Where the files lie is no part of what they are."""
    (tmp_path / "elsewhere").symlink_to(first.source)
    result = first.run(tmp_path / "elsewhere", first.folder / "out", removed="scrubbed")
    assert result.resumed_files == len(FILES)


def test_dictionaries_of_the_ledger_hold_every_value_once(first: Any) -> None:
    """Otherwise Arrow pads their page with whatever was in memory before."""
    for name, table in first.tables(first.folder / "out/ledger").items():
        for column, values in zip(table.schema.names, table.columns, strict=True):
            for part in values.chunks:
                if pa.types.is_dictionary(part.type):
                    found = part.dictionary.to_pylist()
                    assert len(found) == len(set(found)), (name, column)


@pytest.mark.parametrize(
    "kind",
    [
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
        pa.dictionary(pa.int16(), pa.string(), ordered=True),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.struct([("deep", pa.dictionary(pa.int32(), pa.string()))]),
    ],
    ids=str,
)
def test_values_of_rows_that_are_gone_are_gone(kind: pa.DataType, tmp_path: Path) -> None:
    """Arrow keeps a dictionary whole when rows are taken out, and Parquet would write it whole."""
    wrapped: Any = {"list": lambda v: [v], "struct": lambda v: {"deep": v}}
    wrap = next((f for k, f in wrapped.items() if str(kind).startswith(k)), lambda v: v)
    words = ["stay", "secret", None, "stay", "also secret", "too"]
    values = pa.array([None if w is None else wrap(w) for w in words], kind)
    table = pa.table({"kept": values, "other": range(6)})
    kept = table.filter(pa.array([True, False, True, True, False, True]))
    clean = compacted(kept)
    assert clean.schema == table.schema
    assert clean.to_pylist() == kept.to_pylist()
    pq.write_table(clean, tmp_path / "clean.parquet", compression="none")
    pq.write_table(kept, tmp_path / "whole.parquet", compression="none")
    assert b"secret" in (tmp_path / "whole.parquet").read_bytes()
    assert b"secret" not in (tmp_path / "clean.parquet").read_bytes()


def test_texts_of_dropped_documents_are_nowhere_in_the_data(world: Any) -> None:
    rows = world.documents(400)
    for number, row in enumerate(rows):
        row["text"] = f"secret {number}" if number % 2 else f"public {number}"
        row["url"] = f"https://{'closed' if number % 2 else 'open'}.example/{number}"
    table = pa.Table.from_pylist(rows, world.schema)
    table = table.append_column("author", table["text"])
    for column in ("text", "url", "author"):
        at = table.schema.get_field_index(column)
        table = table.set_column(at, column, table[column].dictionary_encode())
    world.write(world.folder / "corpus/a.parquet", table)
    world.run(world.folder / "corpus")
    written = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    assert written.num_rows == 200
    for column in ("text", "url", "author"):
        values = written[column].chunk(0).dictionary.to_pylist()
        assert not [v for v in values if "secret" in v or "closed" in v]


def test_what_is_told_to_people_about_a_recipe_is_no_part_of_the_fingerprint(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    usual = recipe("fineweb")
    world.run(source, recipe=usual)
    prose = replace(usual, title="x", upstream="x", license="x", homepage="x", revision="x")
    assert world.run(source, recipe=prose).resumed_files == 1
    for other in (
        replace(usual, id=("url",)),
        replace(usual, dataset="x"),
        replace(usual, name="x"),
    ):
        with pytest.raises(WrongRun, match="different recipe"):
            world.run(source, recipe=other)


def test_the_fingerprint_is_of_what_decides(first: Any, tmp_path: Path) -> None:
    """Not of where it lies, nor of when the policy was compiled."""
    manifest = json.loads((first.folder / "out/manifest.json").read_text())
    assert set(manifest) == {
        "format", "engine_version", "chunk_rows", "libraries", "recipe", "policy", "options", "steps", "input",
        "fingerprint",
    }  # fmt: skip
    other = first.run(first.source, tmp_path / "other", removed="scrubbed")
    assert other.fingerprint == manifest["fingerprint"]
