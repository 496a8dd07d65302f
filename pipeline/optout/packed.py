"""The sources of a policy as they lie in its file, unpacked one by one when a host is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.host_rules import Source
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.sieve import Meshes
from pipeline.optout.signals import Signal

_BLOCK = 64
"""Rule sets that are turned into Python objects at a time."""

Entry = tuple[int, str, bool, str | None]
"""Source, host, whether its subdomains are meant, ISO date."""

_Block = tuple[list[int], list[int], list[list[Any]]]
"""Agents' bits and bounds of some rule sets; pattern, allow, line and text of their rules."""


class PackedSources:
    """Columns of the policy table, flat; nothing is turned into Python objects before it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        columns = {name: _one(table[name]) for name in table.schema.names}
        encoded = columns["signal"].dictionary_encode()
        signals: list[Signal] = [Signal(s) for s in encoded.dictionary.to_pylist()]
        self._signals: list[Signal] = [signals[i] for i in encoded.indices.to_pylist()]
        self._files, self._hashes, self._hosts = (columns[c] for c in ("file", "sha256", "hosts"))
        self._file_names: list[str] = columns["file"].to_pylist()
        self.all_signals = frozenset(signals)
        """The signals that occur."""
        self.sieves = Meshes(*(columns[c].to_numpy() for c in Meshes._fields))
        """The sieve of every source."""
        rulesets = columns["rulesets"]
        self._ruleset_at = rulesets.offsets.to_pylist()
        flat = rulesets.values
        self._agents = flat.field("agents").to_numpy()
        rules = flat.field("rules")
        self._rule_at = rules.offsets.to_numpy()
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
        return self._signals[owner]

    def file(self, owner: int) -> str:
        """The kind of file a source is, or the name of its list."""
        return self._file_names[owner]

    def unpack(self, owner: int, day: str | None) -> Source:
        """A source with its rules."""
        return Source(
            signal=self._signals[owner],
            described=(self._files, self._hashes, owner),
            date=day,
            rulesets=[
                self._ruleset(i)
                for i in range(self._ruleset_at[owner], self._ruleset_at[owner + 1])
            ],
        )

    def _ruleset(self, i: int) -> tuple[int, RuleSet, dict[Rule, str]]:
        number, at = divmod(i, _BLOCK)
        block = self._blocks.get(number)
        if block is None:
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


def _one(column: pa.ChunkedArray) -> pa.Array:
    """One array of a column, its offsets starting at zero."""
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.chunk(0) if joined.num_chunks else pa.array([], joined.type)
    return pa.concat_arrays([joined]) if joined.offset else joined
