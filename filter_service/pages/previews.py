"""What a filter would do with one identifier, made ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from filter.errors import InputError
from filter_service.pages.service import Service

ALLOWED = "allowed"
MOST = 6
"""Spellings of each sort that an asker is shown."""
SPELT = 10
"""Rows of one form whose spellings are tried: each takes some 30 ms of a core, and anybody may ask."""
_TECHNICAL = frozenset({"markup", "html_entities", "hidden_characters", "line_break"})
"""Ways to write something that say little to an asker."""


@dataclass(frozen=True)
class Shown:
    """A preview; personal."""

    verdict: str = ALLOWED
    reason: str = ""
    sentence: str = ""
    caught: list[str] = field(default_factory=list, repr=False)
    missed: list[str] = field(default_factory=list, repr=False)
    plain_caught: list[str] = field(default_factory=list, repr=False)
    """Some that mean something to everybody."""
    plain_missed: list[str] = field(default_factory=list, repr=False)
    hits: int = 0
    characters: int = 0
    contexts: list[str] = field(default_factory=list, repr=False)
    known: bool = False
    """Whether there is a preview at all."""


def shown(service: Service, kind: str, text: str, *, spelt: bool = True) -> Shown:
    """What the gate says and, if ``spelt``, what would be caught; of what cannot be listed nothing is known."""
    try:
        judged = service.judge(kind, text)
    except InputError:
        judged = {"verdict": ALLOWED, "reason": "", "sentence": ""}
    only_judged = Shown(judged["verdict"], judged["reason"], judged["sentence"])
    if not spelt:
        return only_judged
    try:
        found = service.preview(kind, text)
    except InputError:
        return only_judged
    spellings: list[dict[str, Any]] = found["spellings"]
    plain = [one for one in spellings if one["how"] not in _TECHNICAL]
    harm: dict[str, Any] = found["harm"]
    return replace(
        only_judged,
        caught=[visible(one["text"]) for one in spellings if one["caught"]],
        missed=[visible(one["text"]) for one in spellings if not one["caught"]],
        plain_caught=[one["text"] for one in plain if one["caught"]][:MOST],
        plain_missed=[one["text"] for one in plain if not one["caught"]][:MOST],
        hits=harm["count"],
        characters=harm["characters"],
        contexts=list(harm["contexts"]),
        known=True,
    )


def visible(text: str) -> str:
    """A spelling whose line breaks and hidden characters can be seen."""
    return text.replace("\n", " ⏎ ").replace("\u200b", "·")
