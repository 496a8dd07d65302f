"""Finding a recipe's columns in a file, also inside JSON metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import WrongColumns
from pipeline.optout.page import PAGE_COLUMNS
from pipeline.reconstruct.recipes import Recipe

ROW = "@row"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a file holds what; ``None`` where it has none."""

    text: str
    id: str
    url: str | None
    language: str | None
    tokens: str | None
    pages: tuple[str, ...]
    """Columns with what the page said of itself."""


def resolve(recipe: Recipe, schema: pa.Schema, name: str) -> Columns:
    """The columns of the file ``name`` that ``recipe`` needs.

    Raises:
        WrongColumns: one that is needed is missing, or of a type that cannot be used.
    """
    if recipe.text not in schema.names:
        raise WrongColumns(
            f"{name} has no column {recipe.text!r}, which recipe {recipe.name} needs: choose another "
            f"recipe or rename a column (found: {_listed(schema)})."
        )
    if not _is_text(schema.field(recipe.text).type):
        raise WrongColumns(
            f"Column {recipe.text!r} of {name} is {schema.field(recipe.text).type}: it must be text."
        )
    url = _first(recipe.url, schema)
    if url is None and "optout" in recipe.stages:
        raise WrongColumns(
            f"{name} has no URLs, so no opt-out can be looked up: recipe {recipe.name} reads them from "
            f"{' or '.join(recipe.url)} (found: {_listed(schema)})."
        )
    found_id = _first(recipe.id, schema)
    if found_id is None:
        raise WrongColumns(
            f"{name} has no document ids: recipe {recipe.name} reads them from "
            f"{' or '.join(recipe.id)} (found: {_listed(schema)})."
        )
    tokens = _first(recipe.tokens, schema)
    for column, role in ((url, "URLs"), (found_id, "ids")):
        if column in schema.names and not _is_text(schema.field(column).type):
            raise WrongColumns(
                f"Column {column!r} of {name} is {schema.field(column).type}: {role} must be text."
            )
    return Columns(
        text=recipe.text,
        id=found_id,
        url=url,
        language=_first(recipe.language, schema),
        tokens=tokens,
        pages=tuple(
            c for c in PAGE_COLUMNS if c in schema.names and _is_text(schema.field(c).type)
        ),
    )


def strings(table: pa.Table, column: str | None, name: str, first_row: int) -> pa.Array:
    """The values of ``column`` as one string array, nulls where there are none."""
    if column is None:
        return pa.nulls(table.num_rows, pa.string())
    if column == ROW:
        return pa.array([f"{name}/{first_row + i}" for i in range(table.num_rows)], pa.string())
    holder, colon, key = column.partition(":")
    if colon and column not in table.schema.names:
        return pa.array(_from_metadata(table[holder], key), pa.string())
    return _flat(table[column])


def integers(table: pa.Table, column: str | None) -> pa.Array:
    """The values of ``column`` as one int64 array, nulls where they are no numbers."""
    if column is None:
        return pa.nulls(table.num_rows, pa.int64())
    holder, colon, key = column.partition(":")
    if colon and column not in table.schema.names:
        values = [_whole(v) for v in _from_metadata(table[holder], key)]
        return pa.array(values, pa.int64())
    values = table[column]
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return pa.nulls(table.num_rows, pa.int64())
    cast = pc.cast(values, pa.int64(), safe=False)
    return cast.combine_chunks() if isinstance(cast, pa.ChunkedArray) else cast


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array; only what lies in several pieces is copied."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _from_metadata(column: pa.ChunkedArray, key: str) -> list[str | None]:
    """One key of a column of JSON objects, structs or maps."""
    values: list[str | None] = []
    for held in column.to_pylist():
        if isinstance(held, str):
            try:
                held = json.loads(held)  # noqa: PLW2901
            except ValueError:
                held = None  # noqa: PLW2901  (no URL: counted with the others that have none)
        if isinstance(held, list):
            held = dict(held)  # noqa: PLW2901
        value = held.get(key) if isinstance(held, dict) else None
        values.append(value if value is None or isinstance(value, str) else json.dumps(value))
    return values


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None


def _first(candidates: tuple[str, ...], schema: pa.Schema) -> str | None:
    for candidate in candidates:
        holder, colon, key = candidate.partition(":")
        if candidate in schema.names or candidate == ROW:
            return candidate
        if colon and holder in schema.names:
            kind = schema.field(holder).type
            if not pa.types.is_struct(kind) or kind.get_field_index(key) >= 0:
                return candidate
    return None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _listed(schema: pa.Schema) -> str:
    names = ", ".join(schema.names[:20])
    return names + (", ..." if len(schema.names) > 20 else "") if names else "none"


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return one_array(pc.cast(column, pa.string()))
