"""Stock blocks of datatrove between our stages."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import LambdaFilter, RegexFilter, SamplerFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.formatters.base import BaseFormatter
from datatrove.pipeline.writers import JsonlWriter

from filter.errors import InputError
from pipeline.errors import WrongColumns, WrongRun
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.settings import described


class Batches(BaseFilter):
    """Keeps ids that end in 3 or 7; looks at many documents at a time."""

    def filter(self, doc: Document) -> bool:
        raise AssertionError

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        return [True if d.id[-1] in "37" else (False, "other digit") for d in batch]


class Shout(BaseFormatter):
    def format(self, text: str) -> str:
        return text.upper()


class Set(PipelineStep):
    """Sets columns by name."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            document.metadata.update(self.values)
            yield document


class Reorder(PipelineStep):
    """Holds the first document back until the end."""

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        held = next(data)
        yield from data
        yield held


class Twice(PipelineStep):
    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            other = Document(document.text, document.id, metadata=dict(document.metadata))
            yield document
            yield other


class Invent(PipelineStep):
    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data
        yield Document("new", "doc-new")


def ids(world: Any, part: str = "data", name: str = "a.parquet", out: str = "out") -> list[str]:
    return pq.read_table(world.folder / out / part / name)["id"].to_pylist()


def ledger(world: Any, name: str = "a.parquet", out: str = "out") -> list[dict[str, Any]]:
    return pq.read_table(world.folder / out / "ledger" / name).to_pylist()


def without_steps(world: Any, source: Any) -> list[str]:
    world.run(source, world.folder / "plain")
    return ids(world, out="plain")


def test_adapters_alone_change_nothing(world: Any) -> None:
    """Types that Python knows no equal of included."""
    rows = world.documents(3000)
    table = pa.Table.from_pylist(rows, world.schema)
    extra = {
        "nan": pa.array([float("nan")] * 3000),
        "ns": pa.array(range(3000), pa.timestamp("ns")),
        "word": table["language"].combine_chunks().dictionary_encode(),
        "map": pa.array([[("k", 1)]] * 3000, pa.map_(pa.string(), pa.int8())),
        "small": pa.array([1] * 3000, pa.uint8()),
        "octets": pa.array([b"\xff"] * 3000),
    }
    for name, values in extra.items():
        table = table.append_column(name, values)
    table = table.set_column(0, "text", pa.array([None, ""] * 1500, pa.large_string()))
    source = world.write(world.folder / "corpus/a.parquet", table).parent
    world.run(source, world.folder / "plain")
    world.run(source, steps=[LambdaFilter(lambda _: True)])
    for part in ("data", "ledger"):
        one, other = (
            pq.ParquetFile(world.folder / o / part / "a.parquet") for o in ("out", "plain")
        )
        assert one.schema_arrow == other.schema_arrow
        assert one.metadata.num_row_groups == other.metadata.num_row_groups
        one, other = one.read(), other.read()
        assert one.drop_columns("nan" if part == "data" else []).equals(
            other.drop_columns("nan" if part == "data" else [])
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_what_stock_filters_drop_is_in_the_ledger_under_their_name(
    world: Any, workers: int
) -> None:
    source = world.corpus({"a.parquet": 5000, "b.parquet": 700})
    steps = [
        LambdaFilter(lambda document: document.id[-1] != "5"),
        RegexFilter("mountain"),
        Shout(),
    ]
    kept = without_steps(world, source)
    result = world.run(source, steps=steps, workers=workers)
    texts = dict(zip(ids(world, out="plain"), texts_of(world, "plain"), strict=True))
    expected = [i for i in kept if i[-1] != "5" and "mountain" not in texts[i]]
    assert ids(world) == expected
    # Scrubbing comes after the steps, so its markers are not shouted.
    plain = [texts[i].upper() for i in expected]
    for kind in ("email", "ip", "iban"):
        plain = [t.replace(f"<{kind.upper()}-PII>", f"<{kind}-pii>") for t in plain]
    assert texts_of(world, "out") == plain
    for row, before in zip(ledger(world), ledger(world, out="plain"), strict=True):
        if before["verdict"] == "drop":
            assert row == before
        elif row["id"][-1] == "5":
            assert (row["verdict"], row["signal"]) == ("drop", "filter:LambdaFilter")
            assert row["rule"] is row["agents"] is row["signals"] is None
        elif "mountain" in texts[row["id"]]:
            assert (row["verdict"], row["signal"]) == ("drop", "filter:RegexFilter")
        else:
            assert row == before
    assert result.documents_out == sum(r["verdict"] == "keep" for r in ledger(world)) + sum(
        r["verdict"] == "keep" for r in ledger(world, "b.parquet")
    )


def texts_of(world: Any, out: str) -> list[str]:
    return pq.read_table(world.folder / out / "data/a.parquet")["text"].to_pylist()


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (7, 2), (CHUNK_ROWS, 1), (10_000, 1)])
def test_filters_that_look_at_many_at_a_time(world: Any, batch: int, workers: int) -> None:
    source = world.corpus({"a.parquet": 5000, "b.parquet": 100})
    kept = without_steps(world, source)
    world.run(source, steps=[Batches(batch_size=batch)], workers=workers)
    assert ids(world) == [i for i in kept if i[-1] in "37"]
    groups = pq.ParquetFile(world.folder / "out/data/a.parquet").metadata
    rows = [int(i.removeprefix("doc-")) for i in ids(world)]
    expected = [sum(n <= r < n + CHUNK_ROWS for r in rows) for n in range(0, 5000, CHUNK_ROWS)]
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == expected


def test_a_filter_that_drops_everything(world: Any) -> None:
    source = world.corpus({"a.parquet": 5000, "b.parquet": 0})
    result = world.run(source, steps=[LambdaFilter(lambda _: False)])
    assert result.documents_out == 0
    assert {r["verdict"] for r in ledger(world)} == {"drop"}
    assert [r["row"] for r in ledger(world)] == list(range(5000))
    assert set(world.tables(world.folder / "out/data")) == {"a.parquet", "b.parquet"}


def test_dropped_chunks_do_not_wait_with_their_texts(world: Any) -> None:
    """Chunks of which nothing is left wait for the next document that stays, maybe for ever."""
    from pipeline.reconstruct.chunk import Chunk
    from pipeline.reconstruct.steps.decide import Decisions
    from pipeline.reconstruct.steps.documents import between

    def chunks() -> Iterator[Chunk]:
        import numpy as np

        for number in range(60):
            texts = pa.array([f"{number} {row} " + "x" * 20_000 for row in range(50)])
            names = pa.array([f"{number} {row}" for row in range(50)])
            decisions = Decisions(names, names, names, names, names, np.full(50, -1, np.int32), [])
            yield Chunk(
                "a", number, number * 50, 50, np.zeros(50, np.int32), number == 59,
                pa.table({"text": texts, "id": names}), np.arange(50), decisions,
            )  # fmt: skip

    data: Any = chunks()
    for step in between([LambdaFilter(lambda document: document.id == "59 49")], "text"):
        data = step.run(data)
    gc.collect()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    first = next(data)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.table.num_rows == 0
    assert len(first.decisions.dropped_by) == 50
    # A megabyte a chunk, 60 chunks: of those, a few are in the air.
    assert pa.total_allocated_bytes() - before < 10_000_000
    assert python < 20_000_000
    rest = list(data)
    assert [c.table.num_rows for c in rest] == [0] * 58 + [1]
    assert [c.survivors.tolist() for c in rest[-2:]] == [[], [49]]


@pytest.mark.parametrize("workers", [1, 2])
def test_sampling_is_the_same_each_time(world: Any, workers: int) -> None:
    """Every file is sampled from the seed on, whoever works on it and whatever was done before."""
    source = world.corpus({"a.parquet": 900, "b.parquet": 900, "c.parquet": 900})
    steps = [SamplerFilter(rate=0.5, seed=7), PIIFormatter()]
    world.run(source, world.folder / "once", steps=steps)
    (world.folder / "once/data/b.parquet").unlink()
    again = [SamplerFilter(rate=0.5, seed=7), PIIFormatter()]
    resumed = world.run(source, world.folder / "once", steps=again)
    assert resumed.resumed_files == 2
    world.run(source, steps=again, workers=workers)
    assert world.contents(world.folder / "out") == world.contents(world.folder / "once")
    assert 120 < len(ids(world)) < 260
    assert "email@example.com" not in " ".join(
        texts_of(world, "out")
    )  # ours scrub what theirs left


def test_an_exclusion_writer(world: Any) -> None:
    source = world.corpus({"a.parquet": 300})
    writer = JsonlWriter(str(world.folder / "excluded"), compression=None)
    world.run(source, steps=[RegexFilter("lake", exclusion_writer=writer)])
    lines = [
        json.loads(line)
        for path in (world.folder / "excluded").iterdir()
        for line in path.read_text().splitlines()
    ]
    dropped = [r["id"] for r in ledger(world) if r["signal"] == "filter:RegexFilter"]
    assert [line["id"] for line in lines] == dropped
    assert len(dropped) > 20


def test_columns_that_a_step_changes_are_written_and_new_ones_are_not(world: Any) -> None:
    source = world.corpus({"a.parquet": 50})
    world.run(source, steps=[Set(language="fr", token_count=3, tags=["t"], novel=1)])
    written = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    assert written.schema == world.schema
    assert set(written["language"].to_pylist()) == {"fr"}
    assert set(written["token_count"].to_pylist()) == {3}
    assert written["tags"].to_pylist() == [["t"]] * written.num_rows


@pytest.mark.parametrize(
    "value", [{"token_count": "many"}, {"language": 3}, {"date": object()}, {"token_count": 2**70}]
)
def test_a_value_that_does_not_fit_its_column(world: Any, value: dict[str, Any]) -> None:
    source = world.corpus({"a.parquet": 50})
    with pytest.raises(WrongColumns, match=f"into column '{next(iter(value))}' that is not"):
        world.run(source, steps=[Set(**value)])
    assert not list((world.folder / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("step", "match"),
    [(Reorder(), "in another order"), (Twice(), "twice"), (Invent(), "made itself")],
    ids=["reorder", "twice", "invent"],
)
def test_steps_that_do_more_than_drop_and_change(
    world: Any, step: PipelineStep, match: str
) -> None:
    source = world.corpus({"a.parquet": 5000})
    with pytest.raises(InputError, match=match):
        world.run(source, steps=[step])


def test_another_setting_of_a_step_is_another_run(world: Any) -> None:
    source = world.corpus({"a.parquet": 30})

    def longer_than(length: int) -> LambdaFilter:
        return LambdaFilter(lambda document: len(document.text) > length)

    world.run(source, steps=[longer_than(40)])
    assert world.run(source, steps=[longer_than(40)]).resumed_files == 1
    for other in ([longer_than(41)], [], [longer_than(40), longer_than(40)], [RegexFilter("x")]):
        with pytest.raises(WrongRun, match="different steps"):
            world.run(source, steps=other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RegexFilter("a+"), RegexFilter("a")),
        (SamplerFilter(0.5, seed=1), SamplerFilter(0.5, seed=2)),
        (SamplerFilter(0.5), SamplerFilter(0.5)),  # no seed: never the same
        (PIIFormatter(), PIIFormatter(only_remove_public_ips=False)),
        (PIIFormatter(), PIIFormatter(email_replacement="x")),
        (LambdaFilter(lambda d: "a" in d.text), LambdaFilter(lambda d: "b" in d.text)),
        (LambdaFilter(lambda _, n=1: n), LambdaFilter(lambda _, n=2: n)),
        (Set(words={"a", "b"}), Set(words={"a", "c"})),
        (Set(words=["a", "b"]), Set(words=["b", "a"])),
        (Set(a=b"1"), Set(a=b"2")),
    ],
    ids=lambda step: type(step).__name__,
)
def test_the_description_tells_settings_apart(one: PipelineStep, other: PipelineStep) -> None:
    assert described(one) != described(other)
    assert described(one) == described(one)


def test_the_description_is_the_same_for_the_same_settings() -> None:
    for make in (lambda: RegexFilter("a+"), lambda: SamplerFilter(0.5, seed=1), PIIFormatter):
        assert described(make()) == described(make())


def test_an_error_in_a_step_leaves_no_text_in_the_log(world: Any) -> None:
    """loguru writes the values of variables into tracebacks unless it is kept from it."""
    source = world.corpus({"a.parquet": 50, "b.parquet": 50})
    for workers in (1, 2):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            world.run(source, steps=[LambdaFilter(lambda d: int(d.text))], workers=workers)
        if workers == 2:  # alone, it is the caller's own exception; from a worker, ours
            assert "mountain" not in str(caught.value)
        logs = "".join(p.read_text() for p in (world.folder / "out/logs").rglob("*") if p.is_file())
        assert "ValueError" in logs
        assert "test_documents.py" in logs
        assert not [w for w in ("mountain", "grüezi", "postal", *world.planted) if w in logs]


def test_the_example_of_the_documentation(world: Any) -> None:
    """docs/reconstruct.md, as it stands there, in a script of its own."""
    page = (Path(__file__).parents[2] / "docs/reconstruct.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert script is not None
    world.corpus({"a.parquet": 300, "b.parquet": 20})
    shutil.copy(world.policy, world.folder / "policy.parquet")
    (world.folder / "script.py").write_text(script.group(1))
    said = subprocess.run(
        [sys.executable, "script.py"], cwd=world.folder, capture_output=True, text=True, check=True
    )
    rows = [row for name in ("a", "b") for row in ledger(world, f"{name}.parquet", "rebuilt")]
    kept = sum(row["verdict"] == "keep" for row in rows)
    assert said.stdout.split() == ["320", str(kept)]
    assert "filter:LambdaFilter" in {row["signal"] for row in rows}
