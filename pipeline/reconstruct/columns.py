"""Finding a recipe's columns in a file, also inside JSON metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import WrongColumns
from pipeline.optout.page import PAGE_COLUMNS
from pipeline.reconstruct.form import Form, is_form
from pipeline.reconstruct.recipes import Recipe

ROW = "@row"
_DIGITS = 18
_MOST = 2**63 - 1


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
    check_names(schema, name)
    if recipe.text not in schema.names:
        raise WrongColumns(
            f"{name} has no column {recipe.text!r}, which recipe {recipe.name} needs: choose another "
            f"recipe or rename a column (found: {listed(schema)})."
        )
    if not is_text(schema.field(recipe.text).type):
        raise WrongColumns(
            f"Column {recipe.text!r} of {name} is {schema.field(recipe.text).type}: it must be text."
        )
    url = first(recipe.url, schema)
    if url is None and "optout" in recipe.stages:
        raise WrongColumns(
            f"{name} has no URLs, so no opt-out can be looked up: recipe {recipe.name} reads them from "
            f"{' or '.join(recipe.url)} (found: {listed(schema)})."
        )
    found_id = first(recipe.id, schema)
    if found_id is None:
        raise WrongColumns(
            f"{name} has no document ids: recipe {recipe.name} reads them from "
            f"{' or '.join(recipe.id)} (found: {listed(schema)})."
        )
    tokens = first(recipe.tokens, schema)
    for column, role in ((url, "URLs"), (found_id, "ids")):
        if column in schema.names and not is_text(schema.field(column).type):
            raise WrongColumns(
                f"Column {column!r} of {name} is {schema.field(column).type}: {role} must be text."
            )
    return Columns(
        text=recipe.text,
        id=found_id,
        url=url,
        language=first(recipe.language, schema, of_text=True),
        tokens=tokens,
        pages=tuple(c for c in PAGE_COLUMNS if c in schema.names and _says(schema, c, name)),
    )


def check_names(schema: pa.Schema, name: str) -> None:
    """Look whether every column of the file ``name`` is called something else.

    Raises:
        WrongColumns: two are called the same.
    """
    twice = [column for column, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise WrongColumns(f"{name} has two columns called {twice[0]!r}: rename one of them.")


def _says(schema: pa.Schema, column: str, name: str) -> bool:
    """Whether a page column can say something: text, or a number or truth value for TDMRep.

    Raises:
        WrongColumns: it is of another type; a refusal in it must not be lost.
    """
    kind = schema.field(column).type
    if pa.types.is_null(kind):
        return False
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if is_text(kind) or (whole and column == "tdm_reservation"):
        return True
    if column != "tdm_reservation" and (whole or pa.types.is_floating(kind)):
        return False  # no number says noai
    raise WrongColumns(
        f"Column {column!r} of {name} is {kind}: what a page says of itself must be text; convert "
        "the column or leave it out."
    )


def strings(table: pa.Table, column: str | None, name: str, first_row: int) -> pa.Array:
    """The values of ``column`` as one string array, nulls where there are none.

    Raises:
        WrongColumns: a value is not valid UTF-8.
    """
    if column is None:
        return pa.nulls(table.num_rows, pa.string())
    if column == ROW:
        return pa.array([f"{name}/{first_row + i}" for i in range(table.num_rows)], pa.string())
    if is_form(column):
        form = Form.parse(column)
        held = [first(gap, table.schema, of_text=True) for gap in form.gaps]
        return pc.cast(form.filled([strings(table, h, name, first_row) for h in held]), pa.string())
    if column in table.schema.names:
        check_utf8(table, column, name, first_row)
        return _flat(table[column])
    check_utf8(table, column.partition(":")[0], name, first_row)
    return pa.array(_from_metadata(table, column), pa.string())


def holders(column: str, schema: pa.Schema) -> set[str]:
    """The columns of a file that `strings` looks into for ``column``, one that `resolve` has found."""
    if is_form(column):
        gaps = (first(gap, schema, of_text=True) for gap in Form.parse(column).gaps)
        return {held for gap in gaps if gap is not None for held in holders(gap, schema)}
    if column == ROW:
        return set()
    return {column if column in schema.names else column.partition(":")[0]}


def integers(table: pa.Table, column: str | None) -> pa.Array:
    """The values of ``column`` as one int64 array, nulls where they are no whole numbers."""
    if column is None:
        return pa.nulls(table.num_rows, pa.int64())
    if column not in table.schema.names:
        return pa.array([_whole(v) for v in _from_metadata(table, column)], pa.int64())
    values = table[column]
    if pa.types.is_floating(values.type):
        numbers = pc.cast(values, pa.float64())
        values = pc.if_else(pc.less(pc.abs(numbers), float(_MOST)), pc.trunc(numbers), None)
    elif values.type == pa.uint64():
        values = pc.if_else(pc.less_equal(values, pa.scalar(_MOST, pa.uint64())), values, None)
    elif not pa.types.is_integer(values.type):
        return pa.nulls(table.num_rows, pa.int64())
    cast = pc.cast(values, pa.int64(), safe=False)
    return cast.combine_chunks() if isinstance(cast, pa.ChunkedArray) else cast


def check_utf8(table: pa.Table, column: str, name: str, first_row: int) -> None:
    """Look whether the texts of ``column`` are valid; ``table`` begins at ``first_row`` of ``name``.

    Raises:
        WrongColumns: one is not; it says which.
    """
    row = first_row
    for part in table[column].chunks:
        try:
            part.validate(full=True)
        except pa.ArrowInvalid:
            values = part.dictionary_decode() if pa.types.is_dictionary(part.type) else part
            row += next((i for i in range(len(values)) if not _valid(values.slice(i, 1))), 0)
            raise WrongColumns(
                f"Column {column!r} of {name} is not valid UTF-8 in row {row}: write the file again with "
                "valid strings."
            ) from None
        row += len(part)


def _valid(one: pa.Array) -> bool:
    try:
        pa.concat_arrays([one]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _from_metadata(table: pa.Table, column: str) -> list[str | None]:
    """One key of a column of JSON objects, structs or maps; of several the first that a row has."""
    holder, _, key = column.partition(":")
    keys = key.split("|")
    held = table[holder]
    if pa.types.is_struct(held.type):
        keys = [one for one in keys if held.type.get_field_index(one) >= 0]
        columns = [pc.struct_field(held, one).to_pylist() for one in keys]
        return [_text(_there(values)) for values in zip(*columns, strict=True)]
    return [_text(_there(map(_parsed(value).get, keys))) for value in held.to_pylist()]


def _there(values: Iterable[object]) -> object:
    return next((value for value in values if value is not None), None)


def _parsed(held: object) -> dict[object, object]:
    """What one row of a metadata column holds; what is not an object holds nothing.

    A row without a URL is counted with the others that have none.
    """
    if isinstance(held, list):
        return dict(held)  # a map: pairs
    if not isinstance(held, (str, bytes)):
        return {}
    try:
        content = json.loads(held)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # JSON can spell half of a surrogate pair, which no UTF-8 can.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(value: str | None) -> int | None:
    if value is None or not value.isdecimal() or len(value) > _DIGITS:
        return None
    return int(value)


def first(candidates: tuple[str, ...], schema: pa.Schema, *, of_text: bool = False) -> str | None:
    """The first of several candidates for a column that ``schema`` has, ``None`` where it has none.

    A form is there where columns for all of its gaps are.
    """
    for candidate in candidates:
        holder, colon, key = candidate.partition(":")
        if candidate == ROW:
            return candidate
        if is_form(candidate):
            if all(first(gap, schema, of_text=True) for gap in Form.parse(candidate).gaps):
                return candidate
        elif candidate in schema.names:
            if not of_text or is_text(schema.field(candidate).type):
                return candidate
        elif colon and holder in schema.names and _holds(schema.field(holder).type, key):
            return candidate
    return None


def _holds(kind: pa.DataType, key: str) -> bool:
    """Whether a metadata column of this type can hold a value called ``key``."""
    if pa.types.is_struct(kind):
        return any(kind.get_field_index(one) >= 0 for one in key.split("|"))
    return bool(pa.types.is_map(kind) or pa.types.is_binary(kind) or is_text(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def listed(schema: pa.Schema) -> str:
    """The names of the columns, for a message: not too many of them."""
    names = ", ".join(schema.names[:20])
    return names + (", ..." if len(schema.names) > 20 else "") if names else "none"


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array; only what lies in several pieces is copied."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return one_array(pc.cast(column, pa.string()))
