"""Sources: what the rows of a compiled policy are before they are a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.optout.policy_file import HOST, RULESET, SCHEMA
from pipeline.optout.sieve import Sieve, sieve_of
from pipeline.optout.signals import Signal

Stored = tuple[str, bool, int, str | None]
"""Pattern, whether it allows, line, and the line's text where the rule does not say it all."""


@dataclass(slots=True)
class SourceRow:
    """One signal of one file body, and whom it speaks for."""

    signal: Signal
    file: str
    sha256: str
    status: str
    rulesets: list[tuple[int, list[Stored]]]
    hosts: dict[tuple[str, bool], str | None] = field(default_factory=dict)


def table_of(sources: list[SourceRow]) -> pa.Table:
    """The sources as a table of `pipeline.optout.policy_file.SCHEMA`, in their order."""
    hosts = [sorted((*key, day) for key, day in s.hosts.items()) for s in sources]
    rulesets = [r for s in sources for r in s.rulesets]
    rules = [rule for _, stored in rulesets for rule in stored]
    sieves = [_sieve(s) for s in sources]
    columns = [
        pa.array([s.signal for s in sources], pa.string()),
        pa.array([s.file for s in sources], pa.string()),
        pa.array([s.sha256 for s in sources], pa.string()),
        pa.array([s.status for s in sources], pa.string()),
        _lists(hosts, _structs([h for of_source in hosts for h in of_source], HOST)),
        _lists(
            [s.rulesets for s in sources],
            pa.StructArray.from_arrays(
                [
                    pa.array([mask for mask, _ in rulesets], pa.int64()),
                    _lists(
                        [stored for _, stored in rulesets],
                        _structs(rules, RULESET[1].type.value_type),
                    ),
                ],
                fields=list(RULESET),
            ),
        ),
        *(pa.array([s[i] for s in sieves], SCHEMA.field(i - 3).type) for i in range(3)),
    ]
    return pa.table(dict(zip(SCHEMA.names, columns, strict=True))).cast(SCHEMA)


def _sieve(source: SourceRow) -> Sieve:
    """What the sieves of all rule sets of a source let through."""
    second = third = needs = 0
    for _, stored in source.rulesets:
        one = sieve_of(stored)
        second |= one[0]
        third |= one[1]
        needs |= one[2]
    return Sieve(second, third, needs)


def _structs(rows: Sequence[tuple[object, ...]], kind: pa.StructType) -> pa.StructArray:
    columns = zip(*rows, strict=True) if rows else ((),) * kind.num_fields
    arrays = [pa.array(c, f.type) for c, f in zip(columns, kind, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _lists(parts: Sequence[Sequence[object]], values: pa.Array) -> pa.ListArray:
    offsets = [0]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
