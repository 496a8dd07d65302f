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


def test_a_column_of_nothing_says_nothing() -> None:
    schema = pa.schema([*BASE, ("meta_robots", pa.null())])
    assert resolve(recipe("fineweb"), schema, "a.parquet").pages == ()


@pytest.mark.parametrize("kind", [pa.float64(), pa.list_(pa.string()), pa.binary()], ids=str)
def test_what_cannot_be_read_is_an_error(kind: pa.DataType) -> None:
    schema = pa.schema([*BASE, ("meta_robots", kind)])
    with pytest.raises(WrongColumns, match=r"'meta_robots' of a\.parquet"):
        resolve(recipe("fineweb"), schema, "a.parquet")
