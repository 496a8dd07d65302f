"""Texts of the pages: one TOML file a language, all with the same keys.

A text is named by its tables, as ``request.title``. It is one string, or a list of them; ``{name}`` stands
for a value. Values are put in as they are: the templates escape the whole.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal

from filter_service.model import LANGUAGES

NAMES = {"de": "Deutsch", "fr": "Français", "it": "Italiano", "rm": "Rumantsch", "en": "English"}
"""Each in itself (WCAG 3.1.2), in the order in which they are offered."""
_LOCALES = {"de": "de_CH", "fr": "fr_CH", "it": "it_CH", "rm": "rm", "en": "en_GB"}
_FIRST = {"fr": "1er", "it": "1º"}
REVIEW = "review"
"""The file of reviewers' texts, which are in English only."""


class Texts:
    """The texts of one language."""

    def __init__(self, language: str, entries: Mapping[str, str | list[str]]) -> None:
        self.language = language
        self.entries = entries
        self._locale = _LOCALES[language]

    def __call__(self, key: str, **values: object) -> str:
        """One text.

        Raises:
            KeyError: there is none of this name, or a value is missing.
        """
        text = self.entries[key]
        assert isinstance(text, str), key
        return text.format_map(values) if values else text

    def list(self, key: str) -> list[str]:
        """A text of several parts."""
        texts = self.entries[key]
        assert isinstance(texts, list), key
        return texts

    def known(self, key: str, otherwise: str) -> str:
        """A text by a name that came from elsewhere, or another one."""
        return self(key) if key in self.entries else self(otherwise)

    def day(self, moment: date | datetime | str | None) -> str:
        """A day in words; of a moment it is the one in UTC, as in the e-mails."""
        if moment is None:
            return ""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        day = moment.date() if isinstance(moment, datetime) else moment
        shown: str = format_date(day, "long", self._locale)
        if day.day == 1 and self.language in _FIRST:
            return shown.replace("1", _FIRST[self.language], 1)
        return shown

    def number(self, value: float) -> str:
        """A number as it is written in this language."""
        shown: str = format_decimal(value, "#,##0.#", self._locale)
        return shown


@cache
def catalogue(language: str) -> Texts:
    """The texts of a language; the English ones have the reviewers' with them.

    Raises:
        KeyError: not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    entries = dict(_flat(read(language)))
    if language == "en":
        entries |= {f"{REVIEW}.{key}": text for key, text in _flat(read(REVIEW))}
    return Texts(language, entries)


def read(name: str) -> dict[str, Any]:
    """A file of texts."""
    return tomllib.loads(files(__package__).joinpath("texts", f"{name}.toml").read_text("utf-8"))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | list[str]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            yield f"{prefix}{key}", value.strip()
        else:
            yield f"{prefix}{key}", [str(one).strip() for one in value]
