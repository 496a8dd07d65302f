"""ai.txt by Spawning: the grammar of robots.txt, with file extensions that stand for media.

Convention: https://site.spawning.ai/spawning-ai-txt (2023), a generator and its output, no
specification. Served at ``/ai.txt`` (or below ``/.well-known/``). Its lines name file types,
``Disallow: *.txt``; they are switched by medium (text, images, audio, video, code), and a corpus of
page texts is of the medium text, whatever the pages' addresses end in. So a text type refuses the
whole site, a type of another medium has no bearing, and a path is a path.

Other files go by the same name (plain prose, Markdown, ``Allow-Training: no``); where one of them
is met, it is reported instead of guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule
from pipeline.optout.signals import MAX_OCTETS, is_absent, most_specific_first, path_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA = {
    "text": True,
    "images": False,
    "image": False,
    "audio": False,
    "video": False,
    "code": False,
}
"""Media that are sometimes named by word, and whether it is ours."""

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9 _.-]{0,63})[ \t]*+:(.*)", re.DOTALL)
_TYPE = re.compile(r"(?:/?\*)?\.([A-Za-z0-9]{1,12})\$?")
_TEXT_TYPE = re.compile(
    r"txt|pdf|docx?|odt|rtf|tex|wks|wpd|wps|html"  # the generator's
    r"|htm|shtml?|xhtml?|text|md|markdown|rst|adoc|epub|mobi|ps",
    re.IGNORECASE,
)
_NEW_LINE = re.compile(r"\r\n|\r|\n")


def file_rules(body: bytes) -> tuple[Rule, ...]:
    """Rules of the groups for ``User-Agent: *``: longest pattern first, at equal length refusals.

    Raises `UnreadableSource` where the file is larger than `MAX_OCTETS`, has no rule, has prose, or
    has a line of another format that speaks of training.
    """
    if is_absent(body):
        return ()
    if len(body) > MAX_OCTETS:
        raise _unreadable(f"has more than {MAX_OCTETS} octets")
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = body.decode("utf-16" if utf16 else "utf-8-sig", "replace")
    rules: list[Rule] = []
    agents: set[str] = set()
    ruled = True  # whether the next User-Agent line opens a group
    seen = 0
    for number, key, value in _fields(text):
        if key == "user-agent":
            agents = set() if ruled else agents
            ruled = False
            agents.add(value)
            continue
        ruled = True
        seen += 1
        # Rules before any User-Agent are addressed to nobody else.
        if value and (not agents or "*" in agents):
            pattern = _pattern(value, number)
            if pattern:
                rules.append(Rule(pattern, key == "allow", number))
    if not seen:
        raise _unreadable("has no Allow or Disallow line")
    return most_specific_first(rules)


def _fields(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, key in lower case and value of the lines that belong to the grammar."""
    for number, raw in enumerate(_NEW_LINE.split(text), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        found = _FIELD.fullmatch(line)
        if found is None:
            raise _unreadable(f"has prose in line {number}")
        key, value = found[1].strip().lower(), found[2].strip()
        if key in {"user-agent", "allow", "disallow"}:
            yield number, key, value
        elif "train" in key or ("train" in value.lower() and not {"/", "@"} & set(value)):
            raise _unreadable(f"speaks of training in another format in line {number}")


def _pattern(value: str, number: int) -> str | None:
    """The pattern of a rule's value, or ``None`` where it names a medium that is not text."""
    if value == "*":
        return "/"
    if found := _TYPE.fullmatch(value):
        return "/" if _TEXT_TYPE.fullmatch(found[1]) else None
    if value.startswith(("/", "*")):
        return path_pattern(value)
    is_text = MEDIA.get(value.lower())
    if is_text is None:
        raise _unreadable(f"names neither a path nor a file type in line {number}")
    return "/" if is_text else None


def _unreadable(why: str) -> UnreadableSource:
    return UnreadableSource(
        f"ai.txt {why}: read it by hand and put what it refuses into the opt-out list."
    )
