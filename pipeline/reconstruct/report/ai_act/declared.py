"""What only the provider can say: read from a TOML file, whose fields are data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from filter.errors import InputError

Value = str | bool | list[str] | date


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text in quotes"
    TEXTS = "a list of texts"
    TRUTH = "true or false"
    DAY = "a day, written 2026-01-31"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that the summary asks its provider."""

    section: str
    table: str
    key: str
    kind: Kind
    label: str
    example: str
    """A TOML value, for a provider that does not exist."""
    needs: tuple[str, ...] = ()
    """Truth values of the same table; the field is asked for where one of them is true."""
    required: bool = True

    @property
    def name(self) -> str:
        """Table and key."""
        return f"{self.table}.{self.key}"


def _asked() -> tuple[dict[str, str], tuple[Field, ...]]:
    """What each table is about, and the fields in the order of the template."""
    text = files("pipeline.reconstruct").joinpath("data/ai_act.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    fields = (
        Field(
            section=held["section"],
            table=table,
            key=key,
            kind=Kind[said["kind"].upper()],
            label=said["label"],
            example=said["example"],
            needs=tuple(said.get("needs", ())),
            required=said.get("required", True),
        )
        for table, held in content.items()
        for key, said in held["fields"].items()
    )
    return {table: held["about"] for table, held in content.items()}, tuple(fields)


_TABLES, FIELDS = _asked()
_BY_NAME = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Declared:
    """What was declared: values by `Field.name`."""

    values: Mapping[str, Value]

    def get(self, name: str) -> Value | None:
        """The value of the field called ``name``, if it was declared."""
        assert name in _BY_NAME
        return self.values.get(name)

    def asked(self, field: Field) -> bool:
        """Whether the field is due, from what else has been declared."""
        if not field.needs:
            return field.required
        return any(self.values.get(f"{field.table}.{key}") is True for key in field.needs)


NOTHING_DECLARED = Declared({})


def read(path: Path) -> Declared:
    """What the TOML file at ``path`` declares.

    Raises:
        InputError: it cannot be read, is no TOML, or holds something that is not asked for or is of
            another kind.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give the file with what you declare, or make "
            "one with --declared-example."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as such.") from None
    except tomllib.TOMLDecodeError as error:
        where = str(error).rpartition("(")[2].rstrip(")")
        raise InputError(f"{path} is not TOML ({where}): set that right.") from None
    values: dict[str, Value] = {}
    for table, fields in content.items():
        if not isinstance(fields, dict) or table not in _TABLES:
            raise InputError(f"{path}: {_unknown(table, 'table', list(_TABLES))}")
        for key, value in fields.items():
            found = _BY_NAME.get(f"{table}.{key}")
            if found is None:
                known = [f.key for f in FIELDS if f.table == table]
                raise InputError(f"{path}, [{table}]: {_unknown(key, 'field', known)}")
            if not _is(found.kind, value):
                raise InputError(f"{path}, [{table}]: {key} must be {found.kind}.")
            values[found.name] = value
    return Declared(values)


def example() -> str:
    """A file in which every field stands as a comment: what is not filled in is not declared."""
    lines = [
        "# What the provider declares in the public summary of training content.",
        "# Take the # away from what applies, and write your own words; the values are examples.",
    ]
    table = ""
    for field in FIELDS:
        if field.table != table:
            table = field.table
            lines += ["", f"# {_TABLES[table]}", f"[{table}]"]
        condition = f" (where {' or '.join(field.needs)} is true)" if field.needs else ""
        optional = "" if field.required else " (optional)"
        lines += [f"#   {field.label}{condition}{optional}:", f"# {field.key} = {field.example}"]
    return "\n".join(lines) + "\n"


def _unknown(given: str, what: str, known: list[str]) -> str:
    near = get_close_matches(given, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
    return f"there is no {what} {given!r}: {hint}"


def _is(kind: Kind, value: object) -> bool:
    if kind is Kind.TEXT:
        return isinstance(value, str) and bool(value.strip())
    if kind is Kind.TEXTS:
        texts = isinstance(value, list) and value
        return bool(texts) and all(_is(Kind.TEXT, v) for v in value)  # type: ignore[attr-defined]
    if kind is Kind.TRUTH:
        return isinstance(value, bool)
    return type(value) is date
