"""What a page says of itself counts whatever type a corpus keeps it in."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.errors import WrongColumns
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.recipes import recipe

BASE = [("text", pa.string()), ("id", pa.string()), ("url", pa.string())]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.int8(),
        pa.int64(),
        pa.bool_(),
        pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)
def test_it_is_read(kind: pa.DataType) -> None:
    schema = pa.schema([*BASE, ("tdm_reservation", kind)])
    assert resolve(recipe("fineweb"), schema, "a.parquet").pages == ("tdm_reservation",)


@pytest.mark.parametrize("kind", [pa.null(), pa.int8(), pa.float32(), pa.bool_()], ids=str)
def test_a_column_that_can_hold_no_directive_says_nothing(kind: pa.DataType) -> None:
    schema = pa.schema([*BASE, ("meta_robots", kind)])
    assert resolve(recipe("fineweb"), schema, "a.parquet").pages == ()


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("tdm_reservation", pa.float64()),
        ("meta_robots", pa.list_(pa.string())),
        ("meta_robots", pa.binary()),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_an_error(column: str, kind: pa.DataType) -> None:
    schema = pa.schema([*BASE, (column, kind)])
    with pytest.raises(WrongColumns, match=rf"'{column}' of a\.parquet"):
        resolve(recipe("fineweb"), schema, "a.parquet")
