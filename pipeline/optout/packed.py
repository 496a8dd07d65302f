"""The sources of a policy as they lie in its file, unpacked one by one when a host is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.host_rules import Source
from pipeline.optout.ready import numbers, one_array
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.sieve import Meshes
from pipeline.optout.signals import Signal

_BLOCK = 8
"""Rule sets that are turned into Python objects at a time."""
_BLOCKS = 1024
"""So many blocks are kept; hosts are met in any order."""

Entry = tuple[int, str, bool, str | None]
"""Source, host, whether its subdomains are meant, ISO date."""

_Block = tuple[list[int], list[int], list[list[Any]]]
"""Agents' bits and bounds of some rule sets; pattern, allow, line and text of their rules."""


class PackedSources:
    """Columns of the policy table, flat; nothing is turned into Python objects before it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        columns = {name: one_array(table[name]) for name in table.schema.names}
        encoded = columns["signal"]
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        self._signals: list[Signal] = [Signal(s) for s in encoded.dictionary.to_pylist()]
        self._signal_of = numbers(encoded.indices)
        self._files, self._hashes, self._hosts = (columns[c] for c in ("file", "sha256", "hosts"))
        self._status = columns["status"]
        self.all_signals = frozenset(self._signals)
        """The signals that occur."""
        self.sieves = Meshes(*(numbers(columns[c]) for c in Meshes._fields))
        """The sieve of every source."""
        rulesets = columns["rulesets"]
        self._ruleset_at = numbers(rulesets.offsets)
        flat = rulesets.values
        self._agents = numbers(flat.field("agents"))
        rules = flat.field("rules")
        self._rule_at = numbers(rules.offsets)
        self._pattern, self._allow, self._line, self._text = (
            rules.values.field(c) for c in ("pattern", "allow", "line", "text")
        )
        self._blocks: dict[int, _Block] = {}

    def hosts(self) -> Iterator[Entry]:
        """Every host of every source."""
        flat = self._hosts.flatten()
        owners = pc.list_parent_indices(self._hosts).to_pylist()
        names, below, days = (flat.field(i).to_pylist() for i in range(3))
        return zip(owners, names, below, days, strict=True)

    def signal(self, owner: int) -> Signal:
        """The signal of a source."""
        return self._signals[int(self._signal_of[owner])]

    def file(self, owner: int) -> str:
        """The kind of file a source is, or the name of its list."""
        found: str = self._files[owner].as_py()
        return found

    def sha256(self, owner: int) -> str:
        """SHA-256 of a source's octets; empty where there is none, or it refuses nothing."""
        found: str = self._hashes[owner].as_py()
        return found

    def answered(self, owner: int) -> bool:
        """Whether somebody said it: a site that was not reached, or not understood, said nothing."""
        return bool(self._status[owner].as_py() == "ok")

    def unpack(self, owner: int, day: str | None) -> Source:
        """A source with its rules."""
        first, behind = self._ruleset_at[owner : owner + 2].tolist()
        return Source(
            signal=self.signal(owner),
            described=(self._files, self._hashes, owner),
            date=day,
            rulesets=[self._ruleset(i) for i in range(first, behind)],
        )

    def _ruleset(self, i: int) -> tuple[int, RuleSet, dict[Rule, str]]:
        number, at = divmod(i, _BLOCK)
        block = self._blocks.get(number)
        if block is None:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            block = self._blocks[number] = self._block(number * _BLOCK)
        agents, bounds, columns = block
        begin, end = bounds[at], bounds[at + 1]
        pattern, allow, line, text = (c[begin:end] for c in columns)
        rules = list(map(Rule, pattern, allow, line))
        said = {}
        if text.count(None) < len(text):
            said = {r: t for r, t in zip(rules, text, strict=True) if t is not None}
        return agents[at], RuleSet(rules), said

    def _block(self, first: int) -> _Block:
        """Neighbouring rule sets as Python lists: one by one that would cost ten times as much."""
        bounds = self._rule_at[first : first + _BLOCK + 1]
        start, stop = int(bounds[0]), int(bounds[-1])
        columns = [
            c.slice(start, stop - start).to_pylist()
            for c in (self._pattern, self._allow, self._line, self._text)
        ]
        return self._agents[first : first + _BLOCK].tolist(), (bounds - start).tolist(), columns
