"""Text from outside, made fit to be shown: hosts, lines of files and names may hold anything."""

from __future__ import annotations

import re

from pipeline.reconstruct.report.numbers import NARROW

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&])")
_BACKTICKS = re.compile(r"`+")


def shown(text: str, longest: int = 120) -> str:
    """``text`` on one line of at most ``longest`` characters, with nothing invisible in it.

    Control characters, line breaks and marks that reverse the direction of writing are spelt out,
    so that a line of a hostile file cannot pretend to be another one.
    """
    visible = "".join(c if c.isprintable() or c == NARROW else _spelt(c) for c in text[:longest])
    cut = len(text) > longest or len(visible) > longest
    return visible[: longest - 1] + "…" if cut else visible


def markdown(text: str, longest: int = 1000) -> str:
    """``text`` as Markdown that says just that."""
    return _SPECIAL.sub(r"\\\1", shown(text, longest))


def markdown_code(text: str) -> str:
    """``text`` verbatim as a code span, also inside a table (GitHub Flavored Markdown, 4.10)."""
    visible = shown(text).replace("|", "\\|")
    if not visible.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(visible)), default=0))
    pad = " " if visible.startswith("`") or visible.endswith("`") else ""
    return f"{fence}{pad}{visible}{pad}{fence}"


def _spelt(character: str) -> str:
    return f"\\u{ord(character):04x}"
