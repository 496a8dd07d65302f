"""Which sources speak for a host, and the hosts of a policy by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from filter.errors import InputError
from filter.hosts import canonical_host, parents
from pipeline.optout.host_rules import HostRules
from pipeline.optout.packed import PackedSources
from pipeline.optout.sieve import Meshes
from pipeline.optout.signals import Signal
from pipeline.optout.spec import PolicySpec
from pipeline.optout.verdicts import Refusal

Entry = tuple[int, str | None]
"""A source, and the day on which it held for the host."""

NO_AUTHORITY = " "
"""Begins the key of a URL for which the published corpora looked up no robots.txt."""

SILENT = 0
"""The number of all hosts for which nobody speaks."""


class HostIndex:
    """Numbers hosts as they are met; rules are unpacked for those that have something to say."""

    def __init__(
        self,
        sources: PackedSources,
        spec: PolicySpec,
        agents: tuple[str, ...],
        code_of: Callable[[Refusal], int],
    ) -> None:
        """``code_of`` numbers refusals."""
        self._code_of = code_of
        self._sources = sources
        self._spec = spec
        self._agents = agents
        self._exact: dict[str, list[Entry]] = {}
        self._below: dict[str, list[Entry]] = {}
        for owner, name, subdomains, day in sources.hosts():
            index = self._below if subdomains else self._exact
            index.setdefault(name, []).append((owner, day))
        self._keys: list[str] = [""]
        self._rules: dict[int, HostRules] = {}
        self._shared: dict[tuple[Entry, ...], HostRules] = {}
        self._numbers: dict[str, int] = {}
        self._meshes = Meshes(np.zeros(1, np.uint64), np.zeros(1, np.uint64), np.zeros(1, np.uint8))
        self._root_codes: dict[int, int] = {}
        self._used = 1
        if self._is_simple():
            self._number_all()

    def numbers(self, keys: list[str]) -> npt.NDArray[np.int64]:
        """The number of every key (a host, or host:port, or a raw authority)."""
        found = list(map(self._numbers.get, keys))
        if None in found:
            found = [
                self._numbered(k) if n is None else n for k, n in zip(keys, found, strict=True)
            ]
        return np.array(found, dtype=np.int64)

    def meshes(self, numbers: npt.NDArray[np.int64]) -> Meshes:
        """The sieves of the hosts with these numbers."""
        second, third, needs = self._meshes
        return Meshes(second[numbers], third[numbers], needs[numbers])

    def rules(self, number: int) -> HostRules:
        """The rules of a host that is not silent; hosts with the same files of one day share them."""
        rules = self._rules.get(number)
        if rules is None:
            entries = tuple(self._entries(self._keys[number]))
            rules = self._shared.get(entries)
            if rules is None:
                sources = [self._sources.unpack(owner, day) for owner, day in entries]
                rules = HostRules([s for s in sources if s.rulesets], self._agents, self._code_of)
                self._shared[entries] = rules
            self._rules[number] = rules
        return rules

    def root_codes(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """What refuses every page of hosts that refuse some agents everything."""
        distinct, where = np.unique(numbers, return_inverse=True)
        codes = []
        for number in distinct.tolist():
            code = self._root_codes.get(number)
            if code is None:
                code = self._root_codes[number] = self.rules(number).root_code()
            codes.append(code)
        return np.array(codes, dtype=np.int32)[where]

    # -- numbering -----------------------------------------------------------------------------

    def _is_simple(self) -> bool:
        """Whether what speaks for a host is what is listed under its own name."""
        listed = Signal.OPTOUT in self._sources.all_signals
        exact = self._spec.canonical_hosts or not listed
        return exact and not self._below and not self._spec.www

    def _number_all(self) -> None:
        """Number every host of the policy at once; ports are looked at when they are met."""
        names = [k for k in self._exact if not (self._spec.canonical_hosts and has_port(k))]
        self._numbers = dict(zip(names, range(1, len(names) + 1), strict=True))
        self._keys += names
        self._used = len(names) + 1
        pairs = [
            (number, owner)
            for number, name in enumerate(names, 1)
            for owner, _ in self._exact[name]
        ]
        hosts, owners = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        sieves = self._sources.sieves
        joined = Meshes(
            np.zeros(self._used, np.uint64),
            np.zeros(self._used, np.uint64),
            np.zeros(self._used, np.uint8),
        )
        np.bitwise_or.at(joined.second, hosts, sieves.second[owners])
        np.bitwise_or.at(joined.third, hosts, sieves.third[owners])
        np.bitwise_or.at(joined.needs, hosts, sieves.needs[owners])
        self._meshes = joined

    def _numbered(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is not None:
            return number
        owners = [owner for owner, _ in self._entries(key)]
        second, third, needs = (
            np.bitwise_or.reduce(column[owners]) if owners else 0 for column in self._sources.sieves
        )
        if not (second or needs):
            self._numbers[key] = SILENT
            return SILENT
        if self._used == len(self._meshes.second):
            self._meshes = Meshes(*(np.concatenate([c, np.zeros_like(c)]) for c in self._meshes))
        number = self._numbers[key] = self._used
        self._meshes.second[number] = second
        self._meshes.third[number] = third
        self._meshes.needs[number] = needs
        self._keys.append(key)
        self._used += 1
        return number

    # -- who speaks ----------------------------------------------------------------------------

    def _entries(self, key: str) -> Iterator[Entry]:
        """The sources that speak for a host."""
        if self._spec.canonical_hosts:
            yield from self._exact_entries(key)
        else:
            own = self._exact.get(key, ())
            yield from own
            canonical = canonical_or_empty(key)
            if canonical != key:
                # Explicit opt-outs name canonical hosts, however robots.txt is looked up.
                listed = self._exact.get(canonical, ())
                yield from (e for e in listed if self._is_listed(e[0]))
            key = canonical
        if self._below and key:
            host = key.rpartition(":")[0] if has_port(key) else key
            for parent in parents(canonical_host(host)):
                yield from self._below.get(parent, ())

    def _exact_entries(self, key: str) -> Iterable[Entry]:
        """By exact authority, else by host without the port, else (if asked for) its www twin.

        Explicit opt-outs name hosts, so they hold whatever the port is.
        """
        own = self._exact.get(key, [])
        if has_port(key):
            own = self._with(own, key.rpartition(":")[0], listed=True)
        if self._spec.www:
            own = self._with(own, key[4:] if key.startswith("www.") else f"www.{key}", listed=False)
        return own

    def _with(self, own: list[Entry], other: str, *, listed: bool) -> list[Entry]:
        """``own`` and what ``other`` says in files of a kind that ``own`` has none of."""
        held = {self._sources.file(owner) for owner, _ in own}
        more = [
            entry
            for entry in self._exact.get(other, ())
            if (listed if self._is_listed(entry[0]) else self._sources.file(entry[0]) not in held)
        ]
        return [*own, *more] if more else own

    def _is_listed(self, owner: int) -> bool:
        return self._sources.signal(owner) is Signal.OPTOUT


def has_port(key: str) -> bool:
    """Whether a key names a port behind its host."""
    head, colon, port = key.rpartition(":")
    return bool(colon) and port.isdecimal() and not (head.startswith("[") and "]" not in head)


def canonical_or_empty(authority: str) -> str:
    """The canonical host of a raw authority, or nothing."""
    try:
        return canonical_host(authority)
    except InputError:
        return ""
