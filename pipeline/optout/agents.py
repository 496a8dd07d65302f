"""Named sets of user agents, as data with dates and sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pipeline.errors import UnknownName

MAX_AGENTS = 63
"""A policy keeps the agents of a rule as the bits of one signed 64-bit integer."""


@dataclass(frozen=True, slots=True)
class AgentSet:
    """User agents whose disallowance removes a document, in the order in which they are reported."""

    name: str
    title: str
    date: str
    source: str
    agents: tuple[str, ...]


@cache
def agent_sets() -> dict[str, AgentSet]:
    """All sets that ship with Lethe, by name."""
    text = files("pipeline.optout").joinpath("data/agents.json").read_text(encoding="utf-8")
    return {
        name: AgentSet(name, s["title"], s["date"], s["source"], tuple(s["agents"]))
        for name, s in json.loads(text).items()
    }


def resolve(names: str) -> AgentSet:
    """The set called ``names``, or one made of the comma-separated user agents and sets in it.

    Raises:
        UnknownName: a single word that is no set and looks like a misspelt one, or too many agents.
    """
    sets = agent_sets()
    if names in sets:
        return sets[names]
    listed = [a.strip() for a in names.split(",") if a.strip()]
    # A set that is taken for a user agent of that name would lose all refusals of its members.
    agents = tuple(
        dict.fromkeys(
            a for name in listed for a in (sets[name].agents if name in sets else (name,))
        )
    )
    if not agents or (len(agents) == 1 and "," not in names and agents[0] != "*"):
        known = ", ".join(sets)
        raise UnknownName(
            f"There is no agent set of that name: use one of {known}, or list user agents "
            "separated by commas (a single one with a comma behind it)."
        )
    if len(agents) > MAX_AGENTS:
        raise UnknownName(f"A policy holds at most {MAX_AGENTS} user agents: leave some out.")
    return AgentSet("custom", "Given on the command line", "", "", agents)
