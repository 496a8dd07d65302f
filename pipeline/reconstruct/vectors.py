"""The vectors of documents: a column of lists of numbers, one list for each piece of a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import WrongColumns
from pipeline.reconstruct.columns import one_array

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of some documents."""

    values: npt.NDArray[np.float32]
    """[vectors, dimension], one document after the other; all finite."""
    counts: npt.NDArray[np.int64]
    """How many each document has; 0 where it has none that can be used."""


def check_vectors(schema: pa.Schema, column: str, name: str, recipe: str) -> None:
    """Look whether the file ``name`` has vectors in ``column``.

    Raises:
        WrongColumns: there is no such column, or it holds something else.
    """
    if column not in schema.names:
        raise WrongColumns(
            f"{name} has no column {column!r}, which recipe {recipe} judges by: add it with `lethe "
            "reconstruct embed`."
        )
    kind = schema.field(column).type
    outer = _item(kind)
    inner = outer if _item(outer) is None else _item(outer)
    if inner is None or not pa.types.is_floating(inner):
        raise WrongColumns(
            f"Column {column!r} of {name} is {kind}: it must hold vectors, as lists of lists of floats or, "
            "with one for each document, lists of floats."
        )


def read_vectors(
    column: pa.ChunkedArray, dimension: int, name: str, rows: Rows, *, first: bool
) -> Vectors:
    """The vectors in a column that passed `check_vectors`.

    A document of which nothing, an empty list, a null or what is no finite float32 was stored has none.

    Args:
        column: One value for each document: a list of vectors, or one vector.
        dimension: Numbers of a vector.
        name: The file, for errors.
        rows: Where each document stands in it.
        first: Only the first vector of each document is of interest.

    Raises:
        WrongColumns: a vector has another number of numbers; it says in which row.
    """
    lists = _lists(one_array(column.combine_chunks()))
    if pa.types.is_floating(_item(lists.type)):
        owners = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False))
        vectors = lists.filter(lists.is_valid())
    else:
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        owners = np.repeat(np.arange(len(lists)), lengths)
        vectors = _lists(lists.flatten())
        if first:
            starts = (np.cumsum(lengths) - lengths)[lengths > 0]
            vectors, owners = vectors.take(pa.array(starts, pa.int64())), owners[starts]
    return _read(vectors, owners, dimension, name, rows)


def _read(vectors: pa.Array, owners: Rows, dimension: int, name: str, rows: Rows) -> Vectors:
    lengths = pc.fill_null(pc.list_value_length(vectors), 0).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((lengths != dimension) & (lengths != 0))
    if len(wrong):
        raise WrongColumns(
            f"{name} has a vector of {lengths[wrong[0]]} numbers in row {rows[owners[wrong[0]]]}, and the head "
            f"takes {dimension}: give vectors and a head that belong together."
        )
    there = lengths == dimension
    flat = vectors.filter(pa.array(there)).flatten()
    with np.errstate(over="ignore"):
        held = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, dimension)
    finite = np.zeros(len(vectors), bool)
    finite[there] = np.isfinite(held).all(axis=1)
    usable = np.ones(len(rows), bool)
    usable[owners[~finite]] = False
    counts = np.bincount(owners[usable[owners]], minlength=len(rows)).astype(np.int64)
    return Vectors(held[usable[owners[there]]], counts)


def _lists(array: pa.Array) -> pa.Array:
    """As lists of any length; an extension type by what it is stored as."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_fixed_size_list(array.type):
        return array.cast(pa.large_list(array.type.value_type))
    return array


def _item(kind: pa.DataType | None) -> pa.DataType | None:
    """The type of the items of a list type, ``None`` where it is no list."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if kind is None or not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        return None
    return kind.value_type
