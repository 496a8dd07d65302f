"""How numbers are written: thin spaces between thousands, one decimal of a percentage."""

from __future__ import annotations

NARROW = "\N{NARROW NO-BREAK SPACE}"
NOTHING = "–"
"""Stands where there is no number."""


def whole(number: int | None) -> str:
    """``3 753``; `NOTHING` for ``None``."""
    return NOTHING if number is None else f"{number:,}".replace(",", NARROW)


def percent(part: int, total: int) -> str:
    """``1.7 %``. Rounding never makes something of nothing, nor everything of less than that."""
    if total == 0:
        return NOTHING
    tenths = (2000 * part + total) // (2 * total)
    if tenths == 0 and part > 0:
        return f"<{NARROW}0.1{NARROW}%"
    if tenths == 1000 and part < total:
        return f">{NARROW}99.9{NARROW}%"
    return f"{tenths // 10}.{tenths % 10}{NARROW}%"


def counted(number: int, noun: str) -> str:
    """``1 document``, ``3 753 documents``."""
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"
