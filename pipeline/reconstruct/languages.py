"""The language of each document, as the recipes name it: ``deu_Latn``, ISO 639-3 and ISO 15924."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import WrongColumns
from pipeline.reconstruct.columns import strings

LANGUAGE, SCRIPT = "language", "language_script"
_CODE = re.compile(r"([a-z]{3})(?:[-_]([a-z]{4}))?")


@dataclass(frozen=True, slots=True)
class Languages:
    """How a stage tells languages apart."""

    known: tuple[str, ...]
    """Those that it treats by themselves."""
    always: str | None = None
    """The language of every document, where the data set has only one."""

    def check(self, schema: pa.Schema, name: str, recipe: str) -> None:
        """Look whether the file ``name`` says which language a document is in.

        Raises:
            WrongColumns: it does not.
        """
        if self.always is None and LANGUAGE not in schema.names:
            raise WrongColumns(
                f"{name} has no column {LANGUAGE!r}, by which recipe {recipe} tells documents apart: add one "
                "with codes like deu_Latn, or deu beside a column 'language_script'."
            )

    def read(self, table: pa.Table, name: str, rows: npt.NDArray[np.int64]) -> Spoken:
        """The languages of the documents in ``table``, which stand at ``rows`` of the file ``name``.

        Raises:
            WrongColumns: a value is no such code. A language that is not understood must not pass for
                one of those that nobody judges.
        """
        if self.always is not None:
            zeros = np.full(table.num_rows, self.known.index(self.always), np.int64)
            return Spoken(zeros, np.ones(table.num_rows, bool))
        first = int(rows[0]) if len(rows) else 0
        said = strings(table, LANGUAGE, name, first)
        if SCRIPT in table.schema.names:
            script = pc.fill_null(strings(table, SCRIPT, name, first), "")
            said = pc.if_else(
                pc.match_substring_regex(said, "[-_]"),
                said,
                pc.binary_join_element_wise(said, script, "_"),
            )
        encoded = said.dictionary_encode()
        values = [self._number(value) for value in encoded.dictionary.to_pylist()]
        index = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        if _UNREADABLE in values:
            row = rows[np.flatnonzero(index == values.index(_UNREADABLE))[0]]
            raise WrongColumns(
                f"Column {LANGUAGE!r} of {name} holds no language code in row {row}: use codes like deu_Latn, "
                "or deu beside a column 'language_script'."
            )
        numbers = np.array([*values, OTHER], np.int64)
        return Spoken(numbers[index], index >= 0)

    def _number(self, value: str) -> int:
        match = _CODE.fullmatch(value.strip().lower().rstrip("_-"))
        if match is None:
            return _UNREADABLE
        language, script = match.groups()
        for number, known in enumerate(self.known):
            if known.lower() == f"{language}_{script}" or (
                script is None and known.startswith(f"{language}_")
            ):
                return number
        return OTHER


OTHER = -1
_UNREADABLE = -2


@dataclass(frozen=True, slots=True)
class Spoken:
    """The languages of some documents."""

    numbers: npt.NDArray[np.int64]
    """Which of the known ones, `OTHER` for any other."""
    said: npt.NDArray[np.bool_]
    """Whether there is a language at all."""


def languages(known: Iterable[str], settings: dict[str, object]) -> Languages:
    """How a stage with these settings tells ``known`` languages apart."""
    always = settings.get("language")
    return Languages(tuple(known), always if isinstance(always, str) else None)
