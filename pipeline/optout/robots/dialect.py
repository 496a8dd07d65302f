"""The two ways of reading robots.txt, side by side, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from filter.urls import comparable_path
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
            for order, token in enumerate(file.tokens)
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


def path_and_query(url: str) -> str:
    """Path, parameters and query of a URL, by the rules of Google's open-source matcher.

    Tolerates what is not a URL: a bare path is its own path, no path is ``/``.
    """
    start = 2 if url.startswith("//") else 0
    early = _first_of(url, "/?;", start)
    scheme_end = url.find("://", start)
    at = start if scheme_end < 0 or early < scheme_end else scheme_end + 3
    begin = _first_of(url, "/?;", at)
    fragment = url.find("#", start)
    if begin == len(url) or 0 <= fragment < begin:
        return "/"
    path = url[begin:] if fragment < 0 else url[begin:fragment]
    return comparable_path(path)


def _first_of(text: str, characters: str, start: int) -> int:
    found = [i for c in characters if (i := text.find(c, start)) >= 0]
    return min(found, default=len(text))


RFC9309 = Dialect("rfc9309", rfc9309.parse, rfc9309.score, path_and_query, rfc9309.shown)
PROTEGO = Dialect("protego", protego.parse, protego.score, protego.url_path, protego.shown)
DIALECTS = {d.name: d for d in (RFC9309, PROTEGO)}
