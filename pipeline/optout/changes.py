"""Who opted out since: what hosts refuse in a newer policy and did not in an older one, and the reverse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from filter.errors import InputError
from pipeline.optout import policy_file
from pipeline.optout.difference import Changed, changed, host_of
from pipeline.optout.packed import PackedSources
from pipeline.optout.policy_file import Header
from pipeline.optout.signals import Signal
from pipeline.optout.tags import Keys, TagIndex

_IN_ROBOTS = frozenset({Signal.ROBOTS, Signal.CONTENT_USAGE, Signal.CONTENT_SIGNAL})


@dataclass(frozen=True, slots=True)
class Line:
    """A rule that came or went, for some agents."""

    signal: str
    agents: tuple[str, ...]
    """Whom it concerns; empty for signals that speak to everybody who trains."""
    rule: str
    """The line as it stands in the source."""
    line: int | None
    gone: bool
    """Whether it is no longer there: a refusal that went allows, an exception that went refuses."""
    file: str
    sha256: str | None
    date: str | None
    answered: bool
    """Whether somebody said so; not so where a site could not be reached or its file not be read."""


@dataclass(frozen=True, slots=True)
class HostChange:
    """What one host refuses now and did not before, and what it allows again."""

    host: str
    subdomains: bool
    """Whether all below it is meant."""
    refuses: tuple[Line, ...]
    allows: tuple[Line, ...]

    @property
    def opted_out(self) -> bool:
        """Whether somebody refuses something that was not refused before."""
        return any(line.answered for line in self.refuses)

    @property
    def allows_again(self) -> bool:
        """Whether somebody no longer refuses something."""
        return any(line.answered for line in self.allows)


class Named(NamedTuple):
    """What is named by itself: how many opted out, are allowed again, or have another entry."""

    refused: int
    allowed: int
    otherwise: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs between two policies, as it concerns people."""

    old: str
    new: str
    """Versions of the policies."""
    hosts: tuple[HostChange, ...]
    """By name."""
    unchanged: int
    """Hosts whose files changed and that refuse the same as before: other lines, dates or orders."""
    documents: Named
    datasets: Named
    tags: Named

    def by_signal(self) -> dict[str, tuple[int, int]]:
        """Hosts with a refusal that came, and with one that went, for each signal."""
        came: Counter[str] = Counter()
        went: Counter[str] = Counter()
        for host in self.hosts:
            came.update({line.signal for line in host.refuses if line.answered})
            went.update({line.signal for line in host.allows if line.answered})
        order = [str(s) for s in Signal if came[s] or went[s]]
        return {signal: (came[signal], went[signal]) for signal in order}

    def described(self, limit: int | None = None) -> dict[str, Any]:
        """All of it, JSON-able; with at most ``limit`` hosts, though all are counted."""
        return {
            "old": self.old,
            "new": self.new,
            "counts": {
                "opted_out": sum(host.opted_out for host in self.hosts),
                "allow_again": sum(host.allows_again for host in self.hosts),
                "no_answer": sum(_unanswered(host.refuses) for host in self.hosts),
                "answer_again": sum(_unanswered(host.allows) for host in self.hosts),
                "unchanged": self.unchanged,
            },
            "signals": {
                signal: {"refuse": came, "allow": went}
                for signal, (came, went) in self.by_signal().items()
            },
            "documents": self.documents._asdict(),
            "datasets": self.datasets._asdict(),
            "tags": self.tags._asdict(),
            "hosts": [{**asdict(h), "opted_out": h.opted_out} for h in self.hosts[:limit]],
        }


def _unanswered(lines: tuple[Line, ...]) -> bool:
    return any(not line.answered for line in lines)


def changes(old: str | Path, new: str | Path) -> Changes:
    """What the compiled policy at ``new`` refuses and the one at ``old`` does not, and the reverse.

    A host is named as the policies name it, so with its port where it has one. Sites that are new and
    refuse nothing are not among them.

    Raises:
        UnreadableFile: one of them, or its tags, is missing or damaged.
        WrongVersion: one was compiled in another format.
        InputError: they have other signals, rules or agents, so that everything may differ.
    """
    found = changed(old, new)
    if found.everything is not None:
        raise InputError(
            f"These cannot be compared host by host ({found.everything}): compile both with the same "
            "--policy, --agents and --signals."
        )
    (one, sources), (other, others) = policy_file.read(Path(old)), policy_file.read(Path(new))
    wanted = found.hosts | found.domains
    before, after = (_rules_of(PackedSources(table), wanted) for table in (sources, others))
    hosts = []
    unchanged = 0
    for key in sorted(before.keys() | after.keys()):
        change = _host_change(key, before.get(key, {}), after.get(key, {}), one.agents)
        if change.refuses or change.allows:
            hosts.append(change)
        elif before.get(key, {}) != after.get(key, {}):
            unchanged += 1
    return Changes(
        old=one.version,
        new=other.version,
        hosts=tuple(hosts),
        unchanged=unchanged,
        documents=_named(found.documents, one.documents, other.documents),
        datasets=_named(found.datasets, one.datasets, other.datasets),
        tags=_tags(found, (one, Path(old)), (other, Path(new))),
    )


# -- hosts -------------------------------------------------------------------------------------

_HostKey = tuple[str, bool]
"""Name, and whether all below it is meant."""
_RuleKey = tuple[Signal, str, bool, bool]
"""Signal, pattern, whether it allows, whether somebody answered."""


@dataclass(slots=True)
class _Held:
    """A rule with the agents that it binds, and where it stands."""

    agents: int
    text: str
    line: int
    file: str
    sha256: str
    date: str | None


_Rules = dict[_RuleKey, _Held]


def _rules_of(sources: PackedSources, wanted: frozenset[str]) -> dict[_HostKey, _Rules]:
    """All rules of the wanted hosts; sources that refuse nobody anything have none."""
    found: dict[_HostKey, _Rules] = {}
    unpacked: dict[int, list[tuple[_RuleKey, int, str, int]]] = {}
    for owner, name, subdomains, day in sources.hosts():
        if name not in wanted and host_of(name) not in wanted:
            continue
        rules = unpacked.get(owner)
        if rules is None:
            rules = unpacked[owner] = list(_rules(sources, owner, day))
        file, sha256 = sources.file(owner), sources.sha256(owner)
        held = found.setdefault((name, subdomains), {})
        for key, mask, text, line in rules:
            known = held.get(key)
            if known is None:
                held[key] = _Held(mask, text, line, file, sha256, day)
            else:
                known.agents |= mask
    return found


def _rules(
    sources: PackedSources, owner: int, day: str | None
) -> Iterator[tuple[_RuleKey, int, str, int]]:
    answered = sources.answered(owner)
    for mask, ruleset, texts in sources.unpack(owner, day).rulesets:
        for rule in ruleset.rules:
            key = (sources.signal(owner), rule.pattern, rule.allow, answered)
            verb = "Allow" if rule.allow else "Disallow"
            yield key, mask, texts.get(rule) or f"{verb}: {rule.pattern}", rule.line


def _host_change(key: _HostKey, old: _Rules, new: _Rules, agents: tuple[str, ...]) -> HostChange:
    refuses: list[Line] = []
    allows: list[Line] = []
    for one, other, gone in ((new, old, False), (old, new, True)):
        for rule, held in one.items():
            signal, _, allow, answered = rule
            mask = held.agents & ~(other[rule].agents if rule in other else 0)
            # An exception matters where something is refused, a refusal where that is not refused anyway.
            mask &= _bound(other, signal) if allow else ~_covered(other, rule)
            if not mask:
                continue
            line = Line(
                signal=str(signal),
                agents=_names(mask, agents) if signal in _IN_ROBOTS else (),
                rule=held.text,
                line=held.line or None,
                gone=gone,
                file=held.file,
                sha256=held.sha256 or None,
                date=held.date,
                answered=answered,
            )
            (allows if allow != gone else refuses).append(line)
    return HostChange(*key, tuple(refuses), tuple(allows))


def _bound(rules: _Rules, signal: Signal) -> int:
    """Agents that some rule of the signal refuses something."""
    mask = 0
    for (of, _, allow, _), held in rules.items():
        if of is signal and not allow:
            mask |= held.agents
    return mask


def _covered(rules: _Rules, rule: _RuleKey) -> int:
    """Agents that are refused all that ``rule`` refuses, by a plain prefix and without exceptions."""
    signal, pattern, _, answered = rule
    literal = pattern.partition("*")[0]
    starts = {"/", *(literal[:end] for end in range(1, len(literal) + 1))}
    mask = 0
    for start in starts:
        if "$" not in start and (held := rules.get((signal, start, False, answered))) is not None:
            mask |= held.agents
    if not mask:
        return 0
    for (of, _, allow, _), held in rules.items():
        if of is signal and allow:
            mask &= ~held.agents
    return mask


def _names(mask: int, agents: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(agent for i, agent in enumerate(agents) if mask >> i & 1)


# -- what is named by itself -------------------------------------------------------------------


def _named(names: frozenset[str], old: dict[str, Any], new: dict[str, Any]) -> Named:
    refused = sum(name not in old for name in names)
    allowed = sum(name not in new for name in names)
    return Named(refused, allowed, len(names) - refused - allowed)


def _tags(found: Changed, old: tuple[Header, Path], new: tuple[Header, Path]) -> Named:
    if not len(found.tags):
        return Named(0, 0, 0)
    before, after = (np.isin(found.tags, _keys(header, path)) for header, path in (old, new))
    both = int(np.count_nonzero(before & after))
    return Named(int(np.count_nonzero(~before)), int(np.count_nonzero(~after)), both)


def _keys(header: Header, path: Path) -> Keys:
    if header.tags is None:
        return np.zeros(0, np.uint64)
    index = TagIndex(path.with_name(header.tags["file"]), header.tags)
    return np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in index.pairs())])
