"""A run as a whole: what comes out for what went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.ledger import SCHEMA as LEDGER
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.scrub import Scrubber

FILES = {"a.parquet": 5000, "b/c.parquet": 300, "b/empty.parquet": 0, "one.parquet": 1}


@pytest.fixture(scope="module")
def done(shared_world: Any) -> Any:
    """A run over several files: one long, one in a folder, one empty, one of which nothing stays."""
    source = shared_world.corpus(FILES, row_group=700)
    gone = [d | {"url": "https://closed.example/x"} for d in shared_world.documents(40, first=9000)]
    shared_world.write(source / "gone.parquet", gone)
    shared_world.result = shared_world.run(source, removed="scrubbed")
    shared_world.source = source
    shared_world.out = shared_world.folder / "out"
    return shared_world


def test_one_output_and_one_ledger_file_for_every_input_file(done: Any) -> None:
    names = set(done.tables(done.source))
    assert names == {*FILES, "gone.parquet"}
    assert set(done.tables(done.out / "data")) == names
    assert set(done.tables(done.out / "ledger")) == names
    assert {
        str(p.relative_to(done.out / "state")) for p in (done.out / "state").rglob("*.json")
    } == {f"{n}.json" for n in names}
    assert not any(p.name.startswith(".") and p.name != ".lock" for p in done.out.rglob("*"))


def test_columns_types_and_metadata_are_kept(done: Any) -> None:
    for name, table in done.tables(done.source).items():
        written = pq.ParquetFile(done.out / "data" / name)
        assert written.schema_arrow.equals(table.schema, check_metadata=True), name


def test_every_verdict_is_what_the_policy_says_of_that_document_alone(done: Any) -> None:
    policy = OptOutPolicy.open(done.policy)
    ledgers = done.tables(done.out / "ledger")
    signals = set()
    for name, table in done.tables(done.source).items():
        ledger = ledgers[name]
        assert ledger.schema.equals(LEDGER)
        assert ledger["id"].to_pylist() == table["id"].to_pylist()
        assert ledger["url"].to_pylist() == table["url"].to_pylist()
        assert ledger["language"].to_pylist() == table["language"].to_pylist()
        assert ledger["tokens"].to_pylist() == table["token_count"].to_pylist()
        assert ledger["row"].to_pylist() == list(range(table.num_rows))
        assert ledger["row_group"].to_pylist() == row_groups(done.source / name)
        assert set(ledger["file"].to_pylist()) <= {name}
        for row in ledger.to_pylist():
            verdict = policy.verdict(row["url"], row["id"])
            assert row["verdict"] == ("keep" if verdict.keep else "drop")
            assert row["host"] == verdict.host
            why = verdict.refusal
            said = ("signal", "agents", "rule", "line", "source_hash", "source_date", "signals")
            if why is None:
                assert [row[k] for k in said] == [None] * len(said)
                continue
            assert row["signal"] == why.signal
            assert row["signals"] == list(why.signals)
            assert row["agents"] == list(why.agents)
            assert (row["rule"], row["line"], row["source"]) == (why.rule, why.line, why.file)
            assert (row["source_hash"], row["source_date"]) == (why.source_hash, why.source_date)
            signals.add(row["signal"])
    assert signals == {"robots", "content-signal", "optout"}


def row_groups(path: Path) -> list[int]:
    metadata = pq.ParquetFile(path).metadata
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return [group for group, count in enumerate(counts) for _ in range(count)]


def test_the_data_is_the_kept_rows_in_their_order_with_the_text_scrubbed(done: Any) -> None:
    scrubber = Scrubber(MODES["strict"])
    for name, table in done.tables(done.source).items():
        ledger = pq.read_table(done.out / "ledger" / name)
        kept = table.filter(
            pa.array([v == "keep" for v in ledger["verdict"].to_pylist()], pa.bool_())
        )
        written = pq.ParquetFile(done.out / "data" / name).read()
        untouched = [c for c in table.schema.names if c != "text"]
        assert written.select(untouched).equals(kept.select(untouched))
        column = pa.array(kept["text"].to_pylist(), pa.string())
        assert written["text"].to_pylist() == scrubber.scrub(column).column.to_pylist()
    assert "<email-pii>" in " ".join(pq.read_table(done.out / "data/a.parquet")["text"].to_pylist())


def test_row_groups_follow_the_input_rows_not_its_row_groups(done: Any) -> None:
    metadata = pq.ParquetFile(done.out / "data/a.parquet").metadata
    ledger = pq.read_table(done.out / "ledger/a.parquet")
    keeps = [v == "keep" for v in ledger["verdict"].to_pylist()]
    expected = [sum(keeps[i : i + CHUNK_ROWS]) for i in range(0, 5000, CHUNK_ROWS)]
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == expected


def test_dropped_documents_stand_beside_scrubbed(done: Any) -> None:
    removed = done.tables(done.out / "removed")
    assert "b/empty.parquet" not in removed
    for name, table in removed.items():
        ledger = pq.read_table(done.out / "ledger" / name)
        ids = [r["id"] for r in ledger.to_pylist() if r["verdict"] == "drop"]
        assert table["id"].to_pylist() == ids
        text = " ".join(table["text"].to_pylist())
        assert not [p for p in done.planted if p in text]


def test_the_state_counts_what_is_there(done: Any) -> None:
    total = 0
    for name, table in done.tables(done.source).items():
        state = json.loads((done.out / f"state/{name}.json").read_text())
        written = pq.read_table(done.out / "data" / name)
        text = " ".join(written["text"].to_pylist())
        assert (state["file"], state["rows_in"]) == (name, table.num_rows)
        assert state["rows_out"] == written.num_rows
        assert state["pii"] == {
            k: n for k in ("email", "iban", "ip") if (n := text.count(f"<{k}-pii>"))
        }
        total += sum(state["pii"].values())
    assert done.result.documents_in == 5341
    assert done.result.documents_out == sum(
        t.num_rows for t in done.tables(done.out / "data").values()
    )
    assert sum(done.result.replaced.values()) == total > 100
    assert (done.result.files, done.result.resumed_files) == (5, 0)


@pytest.mark.filterwarnings("ignore")  # what the library warns of is its own affair
def test_datasets_loads_the_files_and_the_folder(done: Any, tmp_path: Path) -> None:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    rows = done.result.documents_out
    files = str(done.out / "data/**/*.parquet")
    by_files = load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "a")
    )
    assert by_files.num_rows == rows
    by_card = load_dataset(str(done.out), split="train", cache_dir=str(tmp_path / "b"))
    assert by_card.num_rows == rows
    assert by_card.column_names == done.schema.names
    assert sorted(by_card["id"]) == sorted(by_files["id"])


def test_removed_documents_verbatim(world: Any) -> None:
    source = world.corpus({"a.parquet": 300})
    world.run(source, removed="verbatim")
    ids = pq.read_table(world.folder / "out/removed/a.parquet")["id"].to_pylist()
    originals = {r["id"]: r["text"] for r in pq.read_table(source / "a.parquet").to_pylist()}
    texts = pq.read_table(world.folder / "out/removed/a.parquet")["text"].to_pylist()
    assert texts == [originals[i] for i in ids]
    assert any(p in " ".join(texts) for p in world.planted)


def test_without_scrubbing_the_texts_are_untouched(world: Any) -> None:
    source = world.corpus({"a.parquet": 300})
    result = world.run(source, pii="none")
    originals = {r["id"]: r["text"] for r in pq.read_table(source / "a.parquet").to_pylist()}
    written = pq.read_table(world.folder / "out/data/a.parquet").to_pylist()
    assert all(row["text"] == originals[row["id"]] for row in written)
    assert result.replaced == {}


def test_nothing_but_asked_for_is_written(world: Any) -> None:
    world.run(world.corpus({"a.parquet": 30}))
    found = {p.name for p in (world.folder / "out").iterdir()}
    folders = {"data", "index", "ledger", "logs", "state"}
    files = {".lock", "README.md", "manifest.json", "policy.parquet", "provenance.json"}
    assert found == folders | files


@pytest.mark.parametrize("limit", [1, 299, 300, 301, 2500, 10_000])
def test_a_limit_counts_documents_from_the_first_file_on(world: Any, limit: int) -> None:
    source = world.corpus({"a.parquet": 300, "b.parquet": 0, "c.parquet": 2300, "d.parquet": 5})
    result = world.run(source, limit=limit)
    assert result.documents_in == min(limit, 2605)
    ledgers = world.tables(world.folder / "out/ledger")
    ids = [i for name in sorted(ledgers) for i in ledgers[name]["id"].to_pylist()]
    assert ids == [f"doc-{n}" for n in range(min(limit, 2605))]
    assert set(ledgers) == set(world.tables(world.folder / "out/data"))


def test_progress_only_grows_and_ends_at_the_total(world: Any) -> None:
    seen: list[tuple[int, int]] = []
    world.run(world.corpus(), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {5300}
    assert seen[-1] == (5300, 5300)


def test_a_single_file_is_an_input_too(world: Any) -> None:
    source = world.corpus({"a.parquet": 30, "b.parquet": 5})
    world.run(source / "a.parquet", world.folder / "corpus/rebuilt")
    assert set(world.tables(world.folder / "corpus/rebuilt/data")) == {"a.parquet"}


def test_a_corpus_of_which_nothing_stays_still_has_its_files(world: Any) -> None:
    rows = [d | {"url": "https://closed.example/x"} for d in world.documents(5)]
    world.write(world.folder / "corpus/gone.parquet", rows)
    world.write(world.folder / "corpus/empty.parquet", [])
    result = world.run(world.folder / "corpus")
    assert (result.documents_in, result.documents_out) == (5, 0)
    for table in world.tables(world.folder / "out/data").values():
        assert (table.num_rows, table.schema) == (0, world.schema)
