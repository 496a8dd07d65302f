"""Folding plain text: paragraphs and lists to a width, everything indented left as it is."""

from __future__ import annotations

import re
import textwrap

WIDTH = 72
"""Columns, so that a quotation still fits into 78 (RFC 5322, section 2.1.1)."""
INDENT = "    "
_gap = re.compile(r"\n(?:[ \t]*\n)+").split


def folded(text: str) -> str:
    """Lines of at most `WIDTH` columns, unless a word is longer; one empty line between paragraphs.

    A line that begins with ``- `` begins an item. A line that begins with four spaces stays as it is: links,
    codes and addresses.
    """
    return "\n\n".join(_paragraph(block) for block in _gap(text.strip("\n")) if block.strip())


def verbatim(text: str) -> str:
    """Lines that `folded` leaves as they are."""
    return "\n".join(f"{INDENT}{line.strip()}" for line in text.strip().split("\n"))


def paragraphs(text: str) -> str:
    """Somebody's free text, in which no indentation means anything."""
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def _paragraph(block: str) -> str:
    done: list[str] = []
    open_lines: list[str] = []

    def close() -> None:
        if open_lines:
            done.append(_filled(" ".join(open_lines)))
            open_lines.clear()

    for line in block.split("\n"):
        if line.startswith(INDENT):
            close()
            done.append(line.rstrip())
        elif line.strip():
            if line.startswith("- "):
                close()
            open_lines.append(line.strip())
    close()
    return "\n".join(done)


def _filled(text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        subsequent_indent="  " if text.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
