"""What is cut out of a row group leaves what encoding the rest would have given."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.parquet.layout import WINDOW, Edit, Layout
from pipeline.parquet.parts import Group, Parts
from pipeline.parquet.thrift import Malformed, read_struct, written
from pipeline.reconstruct.dictionaries import compacted

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("url", pa.large_string()),
        pa.field("language", pa.dictionary(pa.int32(), pa.string())),
        pa.field("score", pa.float64()),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("date", pa.timestamp("us", tz="UTC")),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("more", pa.struct([("a", pa.int32()), ("b", pa.list_(pa.float32()))])),
        pa.field("flag", pa.bool_()),
    ],
    metadata={"kept": "as it is"},
)


TEXTS = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


def table_of(rows: int, seed: int = 0) -> pa.Table:
    dice = np.random.default_rng(seed)
    texts = [
        None if i % 17 == 3 else "word " * int(dice.integers(0, 90)) + str(i) for i in range(rows)
    ]
    columns = [
        pa.array([f"d-{i}" for i in range(rows)]),
        pa.array(texts, pa.string()),
        pa.array([f"https://h{i % 7}.example.org/{i}" for i in range(rows)], pa.large_string()),
        pa.array(
            [["de", "fr", None, "rm"][int(dice.integers(4))] for _ in range(rows)], pa.string()
        ).dictionary_encode(),
        pa.array(dice.random(rows)),
        pa.array(dice.integers(0, 5, rows)),
        pa.array(
            [datetime(2026, 1, 1 + i % 28, tzinfo=UTC) for i in range(rows)],
            pa.timestamp("us", tz="UTC"),
        ),
        pa.array([["x"] * (i % 3) if i % 5 else None for i in range(rows)], pa.list_(pa.string())),
        pa.array(
            [{"a": i % 4, "b": [1.5] * (i % 2)} if i % 6 else None for i in range(rows)],
            SCHEMA.field("more").type,
        ),
        pa.array([None if i % 4 == 0 else i % 3 == 0 for i in range(rows)]),
    ]
    return pa.table(columns, schema=SCHEMA)


def file_of(layout: Layout, *groups: Group) -> bytes:
    sink = io.BytesIO()
    assembler = layout.assembler(sink)
    for group in groups:
        assembler.add(group)
    assembler.close()
    return sink.getvalue()


def read(octets: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(octets), page_checksum_verification=True)


def filtered(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    return compacted(table.filter(pa.array(mask)))


@pytest.mark.parametrize("rows", [1, WINDOW - 1, WINDOW, WINDOW + 1, 2000])
def test_what_is_written_is_read(rows: int) -> None:
    layout = Layout(SCHEMA, "text")
    table = table_of(rows)
    octets = file_of(
        layout, layout.encoded(table, np.arange(rows)), layout.encoded(table, np.arange(rows))
    )
    found, plain = read(octets), io.BytesIO()
    with pq.ParquetWriter(plain, SCHEMA) as writer:
        writer.write_table(table)
        writer.write_table(table)
    expected = read(plain.getvalue())
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.to_pylist() == expected.to_pylist() == [*table.to_pylist(), *table.to_pylist()]
    assert pq.ParquetFile(pa.BufferReader(octets)).num_row_groups == 2
    assert file_of(layout, *Parts.of(octets).groups) == octets


def test_a_page_for_every_window() -> None:
    layout = Layout(SCHEMA, "text")
    positions = np.array([0, 1, WINDOW - 1, WINDOW, 5 * WINDOW + 3])
    group = layout.encoded(table_of(len(positions)), positions)
    assert [page.values for page in group.columns[1].pages()] == [3, 1, 1]


stays = st.lists(st.booleans(), min_size=1, max_size=160)


@settings(max_examples=40, deadline=None)
@given(stays, st.data())
def test_cutting_is_encoding_what_is_left(first: list[bool], data: st.DataObject) -> None:
    """Rows that go in two steps, or in one: the same octets."""
    table = table_of(len(first))
    layout = Layout(SCHEMA, "text")
    before = np.array(first)
    positions = np.flatnonzero(before)
    if not len(positions):
        return
    group = layout.encoded(filtered(table, before), positions)
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(positions), max_size=len(positions)))
    )
    (cut,) = layout.edited([Edit(group, positions, mask)], compacted)
    texts = filtered(table, before)["text"].filter(pa.array(~mask)).to_pylist()
    assert cut.before.to_pylist() == texts
    left = before.copy()
    left[positions[~mask]] = False
    if not left.any():
        assert cut.group is None
        return
    assert cut.group is not None
    expected = layout.encoded(filtered(table, left), np.flatnonzero(left))
    assert file_of(layout, cut.group) == file_of(layout, expected)
    assert layout.texts(cut.group).to_pylist() == filtered(table, left)["text"].to_pylist()


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_editing_is_encoding_what_is_there_then(kind: pa.DataType, data: st.DataObject) -> None:
    """Several row groups, of which rows go and others get new texts, at once."""
    at = SCHEMA.get_field_index("text")
    schema = SCHEMA.set(at, pa.field("text", kind))
    layout = Layout(schema, "text")
    edits, expected, texts = [], [], []
    random = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    for rows in data.draw(st.lists(st.integers(1, 3 * WINDOW), min_size=1, max_size=3)):
        table = table_of(rows).cast(schema)
        positions = np.sort(random.choice(random.choice([200, 2000]), rows, replace=False))
        stays = random.random(rows) < random.choice([0, 0.5, 0.99, 1])
        new = {
            row: f"new {row}"
            for row in random.choice(rows, min(rows, 4)).tolist()
            if stays[row] and random.random() < 0.5
        }
        edits.append(Edit(layout.encoded(table, positions), positions, stays, new))
        assert edits[-1].is_nothing == (stays.all() and not new)
        before = table["text"].cast(pa.string()).to_pylist()
        texts.append([text for i, text in enumerate(before) if not stays[i] or i in new])
        after = pa.array([new.get(i, text) for i, text in enumerate(before)], pa.string())
        left = filtered(table.set_column(at, schema.field(at), after.cast(kind)), stays)
        expected.append(layout.encoded(left, positions[stays]) if stays.any() else None)
    found = layout.edited(edits, compacted)
    assert [one.before.to_pylist() for one in found] == texts
    for one, other in zip(found, expected, strict=True):
        assert (one.group is None) == (other is None)
        if one.group is not None and other is not None:
            assert file_of(layout, one.group) == file_of(layout, other)


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_texts_of_every_type(kind: pa.DataType) -> None:
    values = pa.array(["a", None, "b" * 100, "a", ""] * 40).cast(kind)
    table = pa.table({"text": values})
    layout = Layout(table.schema, "text")
    group = layout.encoded(table, np.arange(200))
    assert read(file_of(layout, group)).equals(table)
    mask = np.arange(200) % 3 > 0
    (cut,) = layout.edited([Edit(group, np.arange(200), mask)], compacted)
    assert cut.group is not None
    expected = layout.encoded(filtered(table, mask), np.flatnonzero(mask))
    assert file_of(layout, cut.group) == file_of(layout, expected)


def test_a_stranger_reads_it(tmp_path: Path) -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    layout = Layout(SCHEMA, "text")
    table = table_of(300)
    group = layout.encoded(table, np.arange(300))
    mask = np.arange(300) % 4 != 1
    (cut,) = layout.edited([Edit(group, np.arange(300), mask)], compacted)
    assert cut.group is not None
    (tmp_path / "cut.parquet").write_bytes(file_of(layout, cut.group))
    query = f"SELECT count(*), sum(length(text)), count(language) FROM '{tmp_path}/cut.parquet'"
    found = duckdb.sql(query).fetchall()
    left = table.filter(pa.array(np.arange(300) % 4 != 1))
    lengths = sum(len(text) for text in left["text"].to_pylist() if text)
    assert found == [(225, lengths, 225 - left["language"].null_count)]


@pytest.mark.parametrize("at", [0, 2, -1, -5, -20, -60])
def test_a_damaged_file_is_refused_or_read_otherwise(at: int) -> None:
    """Never an endless loop, never another kind of error."""
    layout = Layout(SCHEMA, "text")
    octets = bytearray(file_of(layout, layout.encoded(table_of(60), np.arange(60))))
    octets[at] ^= 0xFF
    try:
        for group in Parts.of(bytes(octets)).groups:
            group.columns[1].pages()
    except (Malformed, KeyError, ValueError):
        return
    assert bytes(octets[-4:]) == b"PAR1"


def test_pages_that_are_not_of_windows_are_refused() -> None:
    layout = Layout(SCHEMA, "text")
    table = table_of(200)
    group = layout.encoded(table, np.arange(200))
    with pytest.raises(Malformed, match="windows"):
        layout.edited([Edit(group, np.arange(200) * 7, np.arange(200) > 3)], compacted)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_octets_are_a_struct_or_none(octets: bytes) -> None:
    try:
        found, end = read_struct(octets)
    except Malformed:
        return
    assert end <= len(octets)
    again, _ = read_struct(written(found))
    assert again == found
