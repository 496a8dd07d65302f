"""What a parsed robots.txt is, whatever the dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.optout.rules import Rule


class RankedRule(NamedTuple):
    """A rule with the weight its dialect gives to its pattern (octets)."""

    priority: int
    rule: Rule


@dataclass(slots=True)
class Group:
    """Consecutive ``User-agent`` lines and the lines that follow them (RFC 9309, 2.2.1)."""

    rules: list[RankedRule] = field(default_factory=list)
    usage: list[tuple[int, str]] = field(default_factory=list)
    """Line number and value of each ``Content-Usage`` line."""
    signals: list[tuple[int, str]] = field(default_factory=list)
    """Line number and value of each ``Content-Signal`` line."""


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """The groups of a file in their order, and what stands outside of groups."""

    groups: tuple[Group, ...]
    tokens: dict[str, list[int]]
    """Every token with the indexes of the groups that name it, in the order of the file."""
    licenses: tuple[str, ...] = ()
    """Values of ``License`` lines (RSL)."""
    lines: tuple[str, ...] = ()
    """The lines as the dialect split them; its ``shown`` makes one readable."""
    speaks_of_usage: bool = False
    """Whether there is any ``Content-Usage`` or ``Content-Signal`` line."""


def in_precedence(groups: list[Group]) -> tuple[Rule, ...]:
    """The rules of ``groups``, merged: longest pattern first, at equal length ``allow`` first.

    RFC 9309, 2.2.1 (groups of one token are merged) and 2.2.2 (the most octets win; ``allow`` should
    win a tie).
    """
    ranked = groups[0].rules if len(groups) == 1 else [r for g in groups for r in g.rules]
    if len(ranked) == 1:
        return (ranked[0].rule,)
    return tuple(r.rule for r in sorted(ranked, key=lambda r: (-r.priority, not r.rule.allow)))
