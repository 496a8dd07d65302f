"""Keeping quality classes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apertus_samples as samples
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnknownName, WrongColumns
from pipeline.reconstruct.recipes import recipe
from pipeline.reconstruct.steps.classes import check_class, class_column

ABOVE_2, ABOVE_3 = recipe("starcoder-above-2"), recipe("starcoder-above-3")
EDU = recipe("stack-v2-edu")


def source(folder: Path, classes: pa.Array, column: str = "quality") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    count = len(classes)
    table = pa.table(
        {
            "content": pa.array([f"text {n % 3}" for n in range(count)]).dictionary_encode(),
            "path": pa.array([f"path {n % 3}" for n in range(count)]).dictionary_encode(),
            "id": [str(n) for n in range(count)],
            "max_stars_repo_name": ["acme-test/tool"] * count,
            column: classes,
        }
    )
    pq.write_table(table, folder / "a.parquet")
    return folder


def run(world: Any, chosen: Any, where: Path, out: Path) -> tuple[list[str], list[str | None]]:
    """The ids that stayed, and the signal of every row in the ledger."""
    world.run(where, out, recipe=chosen, pii="none")
    told = pq.ParquetFile(out / "ledger/a.parquet").read()
    return pq.read_table(out / "data")["id"].to_pylist(), told["signal"].to_pylist()


CLASSES = [0, 1, 2, 3, 4, None, 3]


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()], ids=str
)
def test_what_stays(world: Any, kind: pa.DataType) -> None:
    where = source(world.folder / "in", pa.array(CLASSES, kind))
    kept, signals = run(world, ABOVE_2, where, world.folder / "2")
    assert kept == ["3", "4", "6"]
    assert signals == ["class", "class", "class", None, None, "class", None]
    kept, signals = run(world, ABOVE_3, where, world.folder / "3")
    assert kept == ["4"]
    assert signals == ["class", "class", "class", "class", None, "class", "class"]


def test_between_two_classes_the_lower_one_counts(world: Any) -> None:
    values = [2.999, 3.0, 3.5, float("nan"), float("inf"), -1.0]
    where = source(world.folder / "in", pa.array(values))
    kept, _ = run(world, ABOVE_2, where, world.folder / "out")
    assert kept == ["1", "2"]


def test_a_class_in_metadata(world: Any) -> None:
    metadata = [json.dumps({"quality": q}) for q in (4, 2, "3", "high", None)]
    where = source(world.folder / "in", pa.array([*metadata, None, "x"]), "metadata")
    kept, _ = run(world, ABOVE_2, where, world.folder / "out")
    assert kept == ["0", "2"]


def test_an_opt_out_explains_itself_before_a_class(world: Any) -> None:
    table = samples.sample("starcoder-classes", 30)
    ids = pa.array(["doc-17", *table["id"].to_pylist()[1:]])  # one that the policy names
    table = table.set_column(table.column_names.index("id"), "id", ids)
    (world.folder / "in").mkdir()
    pq.write_table(table, world.folder / "in/a.parquet")
    quality = table["quality"].to_pylist()
    kept, signals = run(world, ABOVE_2, world.folder / "in", world.folder / "out")
    assert signals[0] not in {None, "class"}
    assert [s == "class" for s in signals[1:]] == [q is None or q < 3 for q in quality[1:]]
    assert len(kept) == signals.count(None)


def test_values_of_what_went_are_nowhere_in_the_file(world: Any) -> None:
    """A dictionary column would keep them."""
    where = source(world.folder / "in", pa.array([0, 4, 4, 0, 4, 4]))  # all of "text 0" goes
    run(world, ABOVE_2, where, world.folder / "out")
    held = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    for column in ("content", "path"):
        assert pa.types.is_dictionary(held[column].type)
        values = {v[-1] for part in held[column].chunks for v in part.dictionary.to_pylist()}
        assert values == {"1", "2"}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 4))
def test_any_classes_any_least(policy: Path, classes: list[int | None], least: int) -> None:
    import tempfile

    from pipeline.reconstruct import Options
    from pipeline.reconstruct import run as run_recipe

    chosen = ABOVE_2.changed("class", min_class=least)
    with tempfile.TemporaryDirectory() as folder:
        where = source(Path(folder) / "in", pa.array(classes, pa.int8()))
        out = Path(folder) / "out"
        run_recipe(chosen, where, policy, out, options=Options(pii="none"))
        kept = pq.read_table(out / "data")["id"].to_pylist()
    assert kept == [str(n) for n, c in enumerate(classes) if c is not None and c >= least]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"int_score": pa.int64(), "quality": pa.int8()}, "int_score"),
        ({"quality": pa.float64()}, "quality"),
        ({"metadata": pa.struct([("int_score", pa.int64())])}, "metadata:int_score"),
    ],
    ids=["first", "second", "third"],
)
def test_the_first_candidate_counts(columns: dict[str, pa.DataType], expected: str) -> None:
    assert class_column(EDU, pa.schema(columns), "a.parquet") == expected


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (
            {"clarity": pa.int8()},
            "no quality class: recipe stack-v2-edu reads it from int_score or",
        ),
        ({"int_score": pa.string()}, "'int_score' of a.parquet is string: a quality class must be"),
        ({"int_score": pa.bool_()}, "is bool"),
        ({"int_score": pa.null(), "quality": pa.int8()}, "is null"),
    ],
    ids=["none", "text", "truth", "nothing"],
)
def test_what_is_no_class(columns: dict[str, pa.DataType], match: str) -> None:
    with pytest.raises(WrongColumns, match=match):
        class_column(EDU, pa.schema(columns), "a.parquet")


@pytest.mark.parametrize("least", [-1, 5])
def test_a_least_class_that_is_none(world: Any, least: int) -> None:
    chosen = ABOVE_2.changed("class", min_class=least)
    with pytest.raises(UnknownName, match=f"from 0 to 4: {least} is none"):
        world.run(source(world.folder / "in", pa.array([1])), recipe=chosen, pii="none")
    check_class(ABOVE_2)


def test_only_a_stage_that_is_there_can_be_changed() -> None:
    with pytest.raises(UnknownName, match="Recipe starcoder has no stage 'class': it has optout"):
        recipe("starcoder").changed("class", min_class=3)
    assert EDU.changed("class", min_class=2).settings["class"]["columns"][0] == "int_score"
    assert EDU.settings["class"]["min_class"] == 0


def test_the_command_chooses_a_class(world: Any) -> None:
    where = source(world.folder / "in", pa.array(CLASSES, pa.int8()))
    command = [sys.executable, "-m", "lethe", "reconstruct", "run", "--input", str(where)]
    command += ["--policy", str(world.policy), "--out", str(world.folder / "out"), "--min-class"]

    def lethe(name: str, least: str) -> subprocess.CompletedProcess[str]:
        more = [least, "--json", name]
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    assert json.loads(lethe("starcoder-above-2", "2").stdout)["documents_out"] == 4
    other = lethe("starcoder-above-2", "3")
    assert (other.returncode, other.stdout) == (2, "")
    assert "holds another run (different recipe)" in other.stderr
    without = lethe("fineweb", "3")
    assert (
        without.stderr == "lethe: Recipe fineweb has no quality classes: leave out --min-class.\n"
    )
    wrong = lethe("starcoder-above-2", "7")
    assert wrong.stderr.startswith("lethe: Quality classes go from 0 to 4: 7 is none")
