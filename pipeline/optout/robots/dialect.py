"""The two ways of reading robots.txt, side by side, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipeline.optout.robots import protego, rfc9309
from pipeline.optout.robots.model import RobotsFile, in_precedence
from pipeline.optout.rules import Rule


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a robots.txt is read, which groups an agent obeys, and what its rules are compared with."""

    name: str
    parse: Callable[[bytes], RobotsFile]
    score: Callable[[str, str], int]
    """How well the token of a line fits an agent; the best one addresses it, 0 does not."""
    url_path: Callable[[str], str | None]
    """Path and query of a URL as the rules see it; ``None`` where nothing is ever refused."""
    shown: Callable[[str], str]
    """One of a file's lines as text for people."""

    def obeyed(self, file: RobotsFile, agents: tuple[str, ...]) -> dict[tuple[int, ...], int]:
        """Which groups which agents obey: indexes of groups -> bits of agents.

        Of the tokens that fit an agent, the best one addresses it, the first one in the file if
        several fit equally well. Agents that no group concerns are left out.
        """
        fits = [
            (-score, order, bits, token)
            for order, token in enumerate(_spoken(file, agents))
            for score, bits in _fits(self.score, token, agents)
        ]
        fits.sort()
        obeyed: dict[tuple[int, ...], int] = {}
        addressed = 0
        for _, _, bits, token in fits:
            if left := bits & ~addressed:
                groups = tuple(file.tokens[token])
                obeyed[groups] = obeyed.get(groups, 0) | left
                addressed |= left
        return obeyed

    def merged(self, file: RobotsFile, groups: tuple[int, ...]) -> tuple[Rule, ...]:
        """The rules of the groups with these indexes, in order of precedence."""
        return in_precedence([file.groups[i] for i in groups])

    def rules_for(self, file: RobotsFile, agent: str) -> tuple[Rule, ...]:
        """The rules that ``agent`` obeys, in order of precedence."""
        return next((self.merged(file, groups) for groups in self.obeyed(file, (agent,))), ())


def _spoken(file: RobotsFile, agents: tuple[str, ...]) -> Iterator[str]:
    """The tokens that are part of an agent's name, or ``*``: no other one fits in any dialect.

    A file may name a million robots, so this is what keeps `_fits` quick and its cache small.
    """
    names = _names(agents)
    return (token for token in file.tokens if token in names or token == "*")


@lru_cache(maxsize=64)
def _names(agents: tuple[str, ...]) -> str:
    """The agents' names as the dialects spell them, one a line (no token holds a line break)."""
    spellings = ((agent, " ".join(agent.split())) for agent in agents)
    return "\n".join(spelling.lower() for both in spellings for spelling in both)


@lru_cache(maxsize=1 << 14)
def _fits(
    score: Callable[[str, str], int], token: str, agents: tuple[str, ...]
) -> tuple[tuple[int, int], ...]:
    """How well ``token`` fits which agents: scores, each with the bits of its agents."""
    bits: dict[int, int] = {}
    for i, agent in enumerate(agents):
        if fit := score(token, agent):
            bits[fit] = bits.get(fit, 0) | 1 << i
    return tuple(bits.items())


RFC9309 = Dialect("rfc9309", rfc9309.parse, rfc9309.score, rfc9309.url_path, rfc9309.shown)
PROTEGO = Dialect("protego", protego.parse, protego.score, protego.url_path, protego.shown)
DIALECTS = {d.name: d for d in (RFC9309, PROTEGO)}
