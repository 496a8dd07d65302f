"""A text by its name and language, with its values put in."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import cast

from babel.dates import format_date
from jinja2 import Environment, StrictUndefined, Template

from filter.errors import InputError
from filter_service.messages.texts.layout import folded, paragraphs, verbatim

LANGUAGES = ("de", "fr", "it", "rm", "en")
_LOCALES = {"de": "de_CH", "fr": "fr_CH", "it": "it_CH", "rm": "rm", "en": "en_GB"}
_HERE = Path(__file__).parent

_COMMON = frozenset({"registry", "contact"})
_VALUES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "confirm": frozenset({"identifier", "link", "valid_until"}),
        "code_sms": frozenset({"code", "minutes"}),
        "code_letter": frozenset({"number", "code", "page", "valid_until"}),
        "receipt": frozenset({"number", "deadline", "status_link"}),
        "extension": frozenset({"number", "reason", "deadline", "status_link"}),
        "accepted": frozenset(
            {"number", "identifiers", "files", "release", "release_day", "status_link"}
        ),
        "refused": frozenset(
            {
                "number",
                "identifiers",
                "reason",
                "letter",
                "authority",
                "appeal_link",
                "appeal_until",
            }
        ),
        "published": frozenset({"number", "release", "release_page", "status_link"}),
        "withdrawn": frozenset({"number"}),
        "removed": frozenset({"number", "release"}),
        "appeal_received": frozenset({"number", "deadline", "status_link"}),
        "objection": frozenset({"number", "letter", "deadline", "status_link"}),
        "objection_dismissed": frozenset({"number", "status_link"}),
        "operator_key": frozenset({"operator", "link", "valid_until"}),
    }
)
NAMES = tuple(_VALUES)
_CODED = {"extension": ("reason", "extension"), "refused": ("reason", "refusal")}
"""Which value of a text is a code, and which words stand for it."""
_LISTS = frozenset({"identifiers", "files"})
_LONG = frozenset({"letter", "authority"})
"""Values that may have several lines."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Directional formatting (UAX 9, section 2), which makes a line look like another one."""


class UnusableText(InputError):
    """A text that does not exist, or values that it cannot be written with."""


def values_of(name: str) -> frozenset[str]:
    """The values that a text needs beside ``registry`` and ``contact``.

    Raises:
        UnusableText: there is no such text.
    """
    if name not in _VALUES:
        raise UnusableText(f"There is no such text: use one of {', '.join(NAMES)}.")
    return _VALUES[name]


def codes(group: str) -> tuple[str, ...]:
    """The codes that have words: of ``refusal``, ``extension`` or ``files``.

    Raises:
        UnusableText: there is no such group.
    """
    words = _words("en").get(group)
    if not isinstance(words, dict):
        raise UnusableText("There is no such group of codes: use refusal, extension or files.")
    return tuple(words)


def render(name: str, language: str, **values: object) -> tuple[str, str]:
    """Subject and body of a text.

    Every text takes ``registry`` (the name that signs) and ``contact`` (where questions go), and exactly the
    values of `values_of`. Days are `date`; ``identifiers`` is a list of masked identifiers and ``files`` a
    list of codes; ``letter`` and ``authority`` may have several lines; all else is one line, or a number.

    Raises:
        UnusableText: there is no such text or language; a value is missing, too many or empty; a code is
            unknown; a value holds control characters. The message names the value, and does not show it.
    """
    needed = values_of(name) | _COMMON
    if language not in LANGUAGES:
        raise UnusableText(f"There is no such language: use one of {', '.join(LANGUAGES)}.")
    if needed != values.keys():
        wrong = ", ".join(sorted(needed ^ values.keys()))
        raise UnusableText(f"The values of the text {name} are not complete, or too many: {wrong}.")
    checked = {key: _checked(key, value) for key, value in values.items()}
    words = _words(language)
    if name in _CODED:
        key, group = _CODED[name]
        checked[key] = _worded(words, group, checked[key])
    if name == "accepted":
        chosen = cast("list[str]", checked["files"])
        checked["files"] = [_worded(words, "files", file) for file in chosen]
        checked["limits"] = [_worded(words, "limits", file) for file in chosen]
        checked["filtered"] = chosen != ["optouts"]
    subject, body = _templates(name, language)
    content = body.render(checked)
    title = subject.render(checked).strip()
    if name == "code_sms":
        return title, " ".join(content.split())
    framed = _frame(language).render(checked | {"content": content, "words": words})
    return title, folded(framed) + "\n"


def _checked(key: str, value: object) -> object:
    """A value that may be put into a text."""
    if key in _LISTS:
        if not isinstance(value, list) or not value:
            raise UnusableText(f"The value {key} must be a list, and not an empty one.")
        return [_line(key, item) for item in value]
    if isinstance(value, date) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return _line(key, value)


def _line(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise UnusableText(f"The value {key} must be a text, a day or a number.")
    text = value.replace("\r\n", "\n").strip()
    allowed = "\n" if key in _LONG else ""
    if not text or any(
        c in _TURNING or (unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} and c not in allowed)
        for c in text
    ):
        raise UnusableText(f"The value {key} must not be empty and not hold control characters.")
    return text


def _worded(words: Mapping[str, object], group: str, code: object) -> str:
    found = cast("dict[str, str]", words[group])
    if not isinstance(code, str) or code not in found:
        raise UnusableText(f"There are no words for this code: use one of {', '.join(found)}.")
    return found[code]


@cache
def _words(language: str) -> dict[str, object]:
    return cast(
        "dict[str, object]", json.loads((_HERE / language / "words.json").read_text("utf-8"))
    )


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  (plain text: an entity would be shown as it is written)
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "day": partial(_day, language),
        "verbatim": verbatim,
        "paragraphs": paragraphs,
    }
    return environment


def _day(language: str, value: object) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        # Which day a moment falls on depends on where it is read.
        raise UnusableText("A deadline, or the end of a validity, must be given as a day.")
    text = format_date(value, "long", _LOCALES[language])
    # CLDR writes the first as a plain number also where it is an ordinal.
    first = str(_words(language)["first_of_month"])
    return first + text.removeprefix("1") if first and value.day == 1 else text


@cache
def _templates(name: str, language: str) -> tuple[Template, Template]:
    """The templates of subject and body, cut apart before anything is put in."""
    source = (_HERE / language / f"{name}.txt").read_text("utf-8")
    subject, _, body = source.partition("\n\n")
    environment = _environment(language)
    return environment.from_string(subject), environment.from_string(body)


@cache
def _frame(language: str) -> Template:
    return _environment(language).from_string((_HERE / "frame.txt").read_text("utf-8"))
