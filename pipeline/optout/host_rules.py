"""All that the sources of one host say, ready to be asked about paths."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pipeline.optout.rules import Rule, RuleSet, may_refuse
from pipeline.optout.signals import Signal
from pipeline.optout.verdicts import Refusal

_ORDER = {signal: i for i, signal in enumerate(Signal)}
_AGENTS_NAMED = frozenset({Signal.ROBOTS, Signal.CONTENT_USAGE, Signal.CONTENT_SIGNAL})


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

    __slots__ = ("_agents", "_known", "_pieces", "_prefixes", "_rulesets", "_sources")

    def __init__(self, sources: list[Source], agents: tuple[str, ...]) -> None:
        self._agents = agents
        if len(sources) > 1:
            sources = sorted(sources, key=lambda s: _ORDER[s.signal])
        self._sources = sources
        self._rulesets = [
            (number, mask, ruleset)
            for number, source in enumerate(self._sources)
            for mask, ruleset, _ in source.rulesets
        ]
        self._prefixes = tuple({p for _, _, r in self._rulesets for p in r.prefixes})
        self._pieces = tuple({p for _, _, r in self._rulesets for p in r.pieces})
        self._known: dict[tuple[tuple[int, int, Rule], ...], Refusal] = {}

    def refusal(self, path: str) -> Refusal | None:
        """Why ``path`` (comparable path and query) is refused, or ``None``."""
        if not may_refuse(path, self._prefixes, self._pieces):
            return None
        found = [
            (number, mask, rule)
            for number, mask, ruleset in self._rulesets
            if (rule := ruleset.refuses(path)) is not None
        ]
        if not found:
            return None
        key = tuple(found)
        refusal = self._known.get(key)
        if refusal is None:
            refusal = self._known[key] = self._explained(found)
        return refusal

    def _explained(self, found: list[tuple[int, int, Rule]]) -> Refusal:
        """One refusal out of all: the first signal explains, by the rule of its first agent."""
        number = found[0][0]
        of_first = [(mask, rule) for n, mask, rule in found if n == number]
        bits = 0
        for mask, _ in of_first:
            bits |= mask
        _, rule = min(of_first, key=lambda f: f[0] & -f[0])
        source = self._sources[number]
        texts = next(t for _, r, t in source.rulesets if rule in r.rules)
        files, hashes, row = source.described
        named = source.signal in _AGENTS_NAMED
        return Refusal(
            signal=source.signal,
            signals=tuple(dict.fromkeys(self._sources[n].signal for n, _, _ in found)),
            agents=tuple(a for i, a in enumerate(self._agents) if bits >> i & 1) if named else (),
            rule=texts.get(rule) or f"Disallow: {rule.pattern}",
            line=rule.line or None,
            file=files[row].as_py(),
            source_hash=hashes[row].as_py() or None,
            source_date=source.date,
        )
