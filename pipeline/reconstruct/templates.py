"""Making the text of a document out of other columns.

The text takes the place of the columns it is made of: they would keep what is scrubbed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import WrongColumns
from pipeline.reconstruct.columns import check_names, check_utf8, first, is_text, listed, one_array
from pipeline.reconstruct.form import Form
from pipeline.reconstruct.recipes import Recipe

STAGE = "template"
_TURN_KEYS = (("from", "value"), ("role", "content"))
"""What a turn of a conversation calls its speaker and its words."""
_OF_COLUMNS = {b"huggingface", b"pandas"}
"""Metadata that list the columns; with other columns `datasets` and pandas would refuse the file."""


class Template(Protocol):
    """A way of making texts. The text is null where something that belongs in it is."""

    def sources(self, schema: pa.Schema, name: str) -> tuple[str, ...]:
        """The columns of the file ``name`` that a text is made of.

        Raises:
            WrongColumns: one is missing or of another type.
        """

    def texts(self, table: pa.Table) -> pa.Array:
        """One text (large_string) for each row."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The same words in two languages, each behind the name of its language, on a line of its own."""

    column: str
    """A struct of two texts, called by their languages."""
    backward: bool = False
    """The second language comes first."""

    def sources(self, schema: pa.Schema, name: str) -> tuple[str, ...]:
        """See `Template.sources`."""
        kind = _kind(schema, self.column, name)
        if not (
            pa.types.is_struct(kind)
            and kind.num_fields == 2
            and all(is_text(kind.field(i).type) for i in range(2))
        ):
            raise WrongColumns(
                f"Column {self.column!r} of {name} is {kind}: it must be a struct of two texts, each "
                "called by its language."
            )
        return (self.column,)

    def texts(self, table: pa.Table) -> pa.Array:
        """See `Template.texts`."""
        pair = one_array(table[self.column])
        first_language, second_language = (pair.type.field(i).name for i in range(2))
        order = (1, 0) if self.backward else (0, 1)
        names = (first_language, second_language)
        form = Form((f"{names[order[0]]}: ", f"\n{names[order[1]]}: ", ""), ((), ()))
        return form.filled([plain(pc.struct_field(pair, [i])) for i in order])


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of a conversation, each on a line of its own behind who speaks."""

    column: str
    """A list of structs of two texts: ``from`` and ``value``, or ``role`` and ``content``."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """What a speaker is called in the text; others as they are."""

    def sources(self, schema: pa.Schema, name: str) -> tuple[str, ...]:
        """See `Template.sources`."""
        kind = _kind(schema, self.column, name)
        if not _is_list(kind) or _turn_keys(kind.value_type) is None:
            raise WrongColumns(
                f"Column {self.column!r} of {name} is {kind}: it must be a list of turns, structs with "
                "the texts 'from' and 'value' or 'role' and 'content'."
            )
        return (self.column,)

    def texts(self, table: pa.Table) -> pa.Array:
        """See `Template.texts`."""
        turns = one_array(table[self.column])
        keys = _turn_keys(turns.type.value_type)
        assert keys is not None
        speakers, words = (plain(pc.struct_field(turns.flatten(), key)) for key in keys)
        known = pc.index_in(speakers, value_set=pa.array(list(self.roles), pa.large_string()))
        named = pa.array(list(self.roles.values()), pa.large_string()).take(known)
        lines = Form(("", ": ", ""), ((), ())).filled([pc.coalesce(named, speakers), words])
        lengths = pc.fill_null(pc.list_value_length(turns), 0)
        ends = pc.cumulative_sum(pc.cast(lengths, pa.int32()))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        newline = pa.scalar("\n", pa.large_string())
        joined = pc.binary_join(pa.ListArray.from_arrays(offsets, lines), newline)
        return pc.if_else(turns.is_valid(), joined, pa.scalar(None, pa.large_string()))


@dataclass(frozen=True, slots=True)
class Fields:
    """Columns in a form."""

    form: Form

    def sources(self, schema: pa.Schema, name: str) -> tuple[str, ...]:
        """See `Template.sources`."""
        found = []
        for candidates in self.form.gaps:
            column = first(candidates, schema)
            if column is None:
                raise WrongColumns(
                    f"{name} has no column {' or '.join(map(repr, candidates))}, which the text is made "
                    f"of (found: {listed(schema)})."
                )
            if not is_text(schema.field(column).type):
                raise WrongColumns(
                    f"Column {column!r} of {name} is {schema.field(column).type}: it must be text."
                )
            found.append(column)
        return tuple(dict.fromkeys(found))

    def texts(self, table: pa.Table) -> pa.Array:
        """See `Template.texts`."""
        held = [first(candidates, table.schema) for candidates in self.form.gaps]
        return self.form.filled([plain(one_array(table[column])) for column in held])


def template_of(recipe: Recipe) -> Template | None:
    """How the recipe makes its text, ``None`` where the dataset has one."""
    if STAGE not in recipe.stages:
        return None
    settings: dict[str, Any] = recipe.settings[STAGE]
    if settings["kind"] == "translation":
        return Translation(settings["column"], settings["direction"] == "backward")
    if settings["kind"] == "conversation":
        return Conversation(settings["column"], settings["roles"])
    return Fields(Form.parse(settings["form"]))


def made_schema(recipe: Recipe, schema: pa.Schema, name: str) -> pa.Schema:
    """The columns of the input file ``name`` once its texts are made.

    Raises:
        WrongColumns: they cannot be.
    """
    template = template_of(recipe)
    if template is None:
        return schema
    check_names(schema, name)
    sources = template.sources(schema, name)
    if recipe.text in schema.names:
        raise WrongColumns(
            f"{name} has a column {recipe.text!r} already, which recipe {recipe.name} makes out of "
            f"{' and '.join(map(repr, sources))}: rename it or leave it out."
        )
    place = schema.get_field_index(sources[0])
    made = schema.set(place, pa.field(recipe.text, pa.large_string()))
    for source in sources[1:]:
        made = made.remove(made.get_field_index(source))
    told = {k: v for k, v in (made.metadata or {}).items() if k not in _OF_COLUMNS}
    return made.with_metadata(told or None)


def with_texts(recipe: Recipe, table: pa.Table, name: str, first_row: int) -> pa.Table:
    """Rows of the input file ``name`` with their texts made; ``table`` begins at ``first_row``.

    Raises:
        WrongColumns: a text is not valid UTF-8.
    """
    template = template_of(recipe)
    if template is None:
        return table
    made = made_schema(recipe, table.schema, name)
    texts = template.texts(table)
    columns = [texts if column == recipe.text else table[column] for column in made.names]
    found = pa.Table.from_arrays(columns, schema=made)
    check_utf8(found, recipe.text, name, first_row)
    return found


def plain(column: pa.Array) -> pa.Array:
    """A column of texts as large strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.cast(column, pa.large_string())


def _kind(schema: pa.Schema, column: str, name: str) -> pa.DataType:
    if column not in schema.names:
        raise WrongColumns(
            f"{name} has no column {column!r}, which the text is made of (found: {listed(schema)})."
        )
    return schema.field(column).type


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _turn_keys(kind: pa.DataType) -> tuple[str, str] | None:
    if not pa.types.is_struct(kind):
        return None
    texts = {f.name for f in kind if is_text(f.type)}
    return next((keys for keys in _TURN_KEYS if set(keys) <= texts), None)
