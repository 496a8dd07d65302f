"""All that the sources of one host say, ready to be asked about paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.sieve import is_root
from pipeline.optout.signals import Signal
from pipeline.optout.verdicts import KEEP, Refusal

_ORDER = {signal: i for i, signal in enumerate(Signal)}
_IN_ROBOTS = frozenset({Signal.ROBOTS, Signal.CONTENT_USAGE, Signal.CONTENT_SIGNAL})


@dataclass(frozen=True, slots=True)
class Source:
    """One signal of one file, as it holds for one host."""

    signal: Signal
    described: tuple[pa.Array, pa.Array, int]
    """Columns with the kind of file and its SHA-256, and the row: read only to explain a refusal."""
    date: str | None
    rulesets: list[tuple[int, RuleSet, dict[Rule, str]]]
    """Agents' bits, the rules they obey, and the text of lines that say more than their rule."""


class HostRules:
    """The sources that speak for one host."""

    __slots__ = ("_agents", "_code_of", "_known", "_rulesets", "_sources", "only_robots")

    def __init__(
        self, sources: list[Source], agents: tuple[str, ...], code_of: Callable[[Refusal], int]
    ) -> None:
        """``code_of`` numbers refusals; what it gives is what `code` answers with."""
        self._agents = agents
        self._code_of = code_of
        if len(sources) > 1:
            sources = sorted(sources, key=lambda s: _ORDER[s.signal])
        self._sources = sources
        self._rulesets = [
            (number, mask, ruleset, source.signal in _IN_ROBOTS)
            for number, source in enumerate(self._sources)
            for mask, ruleset, _ in source.rulesets
        ]
        self.only_robots = all(in_robots for *_, in_robots in self._rulesets)
        """Whether all rules stand in robots.txt files, so that no other path is looked at."""
        self._known: dict[tuple[tuple[int, int, Rule], ...], int] = {}

    def code(self, robots_path: str | None, path: str | None) -> int:
        """The number of the refusal of a page, or `KEEP`.

        ``robots_path`` is what the policy's dialect of robots.txt sees of the URL, ``path`` the
        comparable path and query that all other rules are about; ``None`` where there is nothing.
        """
        found = []
        for number, mask, ruleset, in_robots in self._rulesets:
            seen = robots_path if in_robots else path
            if seen is not None and (rule := ruleset.refuses(seen)) is not None:
                found.append((number, mask, rule))
        return self._numbered(found)

    def root_code(self) -> int:
        """The number of the refusal of paths that only refusals of everything refuse."""
        found = [
            (number, mask, ruleset.rules[0])
            for number, mask, ruleset, _ in self._rulesets
            if is_root(ruleset.rules)
        ]
        return self._numbered(found)

    def _numbered(self, found: list[tuple[int, int, Rule]]) -> int:
        if not found:
            return KEEP
        key = tuple(found)
        code = self._known.get(key)
        if code is None:
            code = self._known[key] = self._code_of(self._explained(found))
        return code

    def _explained(self, found: list[tuple[int, int, Rule]]) -> Refusal:
        """One refusal out of all: the first signal explains, by the rule of its first agent."""
        number = found[0][0]
        of_first = [(mask, rule) for n, mask, rule in found if n == number]
        bits = 0
        for mask, _ in of_first:
            bits |= mask
        _, rule = min(of_first, key=lambda f: f[0] & -f[0])
        source = self._sources[number]
        text = next((said[rule] for _, _, said in source.rulesets if rule in said), None)
        files, hashes, row = source.described
        named = source.signal in _IN_ROBOTS
        return Refusal(
            signal=source.signal,
            signals=tuple(dict.fromkeys(self._sources[n].signal for n, _, _ in found)),
            agents=tuple(a for i, a in enumerate(self._agents) if bits >> i & 1) if named else (),
            rule=text or f"Disallow: {rule.pattern}",
            line=rule.line or None,
            file=files[row].as_py(),
            source_hash=hashes[row].as_py() or None,
            source_date=source.date,
        )
