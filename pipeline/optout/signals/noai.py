"""``noai`` in X-Robots-Tag headers and meta elements, and a page's meta elements in a corpus.

Convention: DeviantArt, 11 November 2022 (``noai``, ``noimageai``), beside the directives of search
engines; no specification. ``noai`` refuses; ``noimageai`` alone is about images and does not refuse
text. There is no directive that allows, so nothing here ever answers ``False``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pipeline.optout.signals import Signal, content_usage, tdmrep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NOAI = re.compile(r"(?<![\w-])noai(?![\w-])", re.IGNORECASE)
_ADDRESSED = re.compile(r"\s*+(?P<bot>[^\s:,]++)\s*+:\s*+noai(?![\w-])", re.IGNORECASE)

_HINTS = ("noai", "tdm-reservation", "content-usage")
_GENERIC = frozenset({"*", "robots"})
# For text that is not the JSON it set out to be.
_RESERVED = re.compile(r"tdm-reservation[\"'\s:=]{1,8}1(?![\w.])", re.IGNORECASE)
_USAGE = re.compile(r"content-usage[^}]{1,200}?(?<![\w-])train-ai=n(?![\w-])", re.IGNORECASE)


def header(value: str, agents: Collection[str] = ()) -> bool | None:
    """Whether an ``X-Robots-Tag`` (several joined by commas) refuses: ``True`` or ``None``.

    ``bot: noai`` counts where ``bot`` is one of ``agents``. A bare ``noai`` counts wherever it
    stands: headers that were joined do not tell to which of them a prefix belonged.
    """
    for directive in value.split(","):
        addressed = _ADDRESSED.match(directive)
        if addressed:
            if _concerns(addressed["bot"], agents):
                return True
        elif _NOAI.search(directive):
            return True
    return None


def meta(content: str) -> bool | None:
    """Whether the content of a meta element ``robots`` refuses: ``True`` or ``None``."""
    return True if _NOAI.search(content) else None


def page_meta(value: str, agents: Collection[str] = ()) -> tuple[Signal, str] | None:
    """The refusal in a page's meta elements as corpora keep them, or ``None``.

    ``value`` is the content of meta ``robots``, or a JSON object of names to contents
    (``{"robots": "noai, noimageai", "tdm-reservation": "1"}``). What is not JSON is searched as
    text. The answer is the first signal that refuses, in their common order, and the directive that
    did so, not the page's own words.
    """
    return next(iter(page_metas(value, agents)), None)


def page_metas(value: str, agents: Collection[str] = ()) -> list[tuple[Signal, str]]:
    """Every refusal in a page's meta elements, one for each signal, in their common order."""
    lowered = value.lower()
    if not any(hint in lowered for hint in _HINTS):
        return []
    found = dict(_refusals(value, agents))
    return [(signal, found[signal]) for signal in Signal if signal in found]


def _refusals(value: str, agents: Collection[str]) -> Iterator[tuple[Signal, str]]:
    named = _object(value)
    if named is None:
        if _USAGE.search(value):
            yield Signal.CONTENT_USAGE, "content-usage: train-ai=n"
        if _RESERVED.search(value):
            yield Signal.TDMREP, "tdm-reservation: 1"
        if meta(value):
            yield Signal.NOAI, "robots: noai"
        return
    for name, content in named:
        if name == "content-usage":
            if content_usage.header(content):
                yield Signal.CONTENT_USAGE, "content-usage: train-ai=n"
        elif name == "tdm-reservation":
            if tdmrep.value(content):
                yield Signal.TDMREP, "tdm-reservation: 1"
        elif _concerns(name, agents) and meta(content):
            yield Signal.NOAI, "robots: noai"


def _object(value: str) -> list[tuple[str, str]] | None:
    """Names in lower case with contents, several to a name perhaps; ``None`` if not JSON."""
    if not value.lstrip().startswith("{"):
        return None
    try:
        # Pairs: a name that stands there twice must not lose its first content.
        pairs = json.loads(value, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    return [
        (name.strip().lower(), str(int(content) if isinstance(content, bool) else content))
        for name, given in pairs
        for content in (given if isinstance(given, list) else [given])
    ]


def _concerns(bot: str, agents: Collection[str]) -> bool:
    """Whether directives for ``bot`` are ours: ``CCBot/2.0`` is addressed as ``CCBot``."""
    name = bot.partition("/")[0].lower()
    return name in _GENERIC or any(name == agent.partition("/")[0].lower() for agent in agents)
