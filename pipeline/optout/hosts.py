"""Which sources speak for a host, and the hosts of a policy by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from filter.errors import InputError
from filter.hosts import canonical_host, parents
from pipeline.optout.host_rules import HostRules
from pipeline.optout.packed import PackedSources
from pipeline.optout.ready import Entry, Ready
from pipeline.optout.sieve import Meshes
from pipeline.optout.signals import Signal
from pipeline.optout.spec import PolicySpec
from pipeline.optout.verdicts import Refusal

NO_AUTHORITY = " "
"""Begins the key of a URL for which the published corpora looked up no robots.txt."""

SILENT = 0
"""The number of all hosts for which nobody speaks."""

_NAMES_A_HOST = 32
"""A name with its number takes about that part of what a host with its rules does."""


class HostIndex:
    """Numbers hosts as they are met; rules are unpacked for those that have something to say."""

    def __init__(
        self,
        ready: Ready,
        spec: PolicySpec,
        agents: tuple[str, ...],
        code_of: Callable[[Refusal], int],
    ) -> None:
        """``code_of`` numbers refusals."""
        self._code_of = code_of
        self._sources = PackedSources(ready.sources)
        self._spec = spec
        self._agents = agents
        self._exact = ready.exact
        self._below = ready.below
        self._simple = self._is_simple()
        self._listed = len(self._exact) + 1 if self._simple else 1
        """Numbers below are those of names in the table, from 1 on."""
        self.forget()

    def forget(self) -> None:
        """Let go of everything that was unpacked and numbered; numbers given before hold no longer."""
        self._rules: dict[int, HostRules] = {}
        self._shared: dict[tuple[Entry, ...], HostRules] = {}
        self._numbers: dict[str, int] = {}
        self._root_codes: dict[int, int] = {}
        self._met: list[str] = []
        """Keys with numbers of their own, from `_listed` on."""
        self._met_meshes = _zeros(1)

    @property
    def size(self) -> int:
        """How much was unpacked: hosts with rules, and a fraction of the names that were numbered."""
        return len(self._rules) + len(self._numbers) // _NAMES_A_HOST

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
        late = numbers >= self._listed
        listed = _picked(self._exact.meshes, np.where(late, SILENT, numbers) - 1)
        if not late.any():
            return listed
        met = _picked(self._met_meshes, np.where(late, numbers - self._listed, -1))
        # Where one of the two is meant, the other is 0.
        return Meshes(
            listed.second | met.second, listed.third | met.third, listed.needs | met.needs
        )

    def rules(self, number: int) -> HostRules:
        """The rules of a host that is not silent; hosts with the same files of one day share them."""
        rules = self._rules.get(number)
        if rules is None:
            entries = tuple(self._entries(self._key(number)))
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
        return exact and not len(self._below) and not self._spec.www

    def _key(self, number: int) -> str:
        if number < self._listed:
            return self._exact.name(number - 1)
        return self._met[number - self._listed]

    def _numbered(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is None:
            # The canonical form of a key with a port may be answered for by its host, too.
            if self._simple and not (self._spec.canonical_hosts and has_port(key)):
                position = self._exact.position(key)
                number = SILENT if position is None else position + 1
            else:
                number = self._numbered_apart(key)
            self._numbers[key] = number
        return number

    def _numbered_apart(self, key: str) -> int:
        """A number for a key for which several names of the table may speak."""
        owners = [owner for owner, _ in self._entries(key)]
        second, third, needs = (
            np.bitwise_or.reduce(column[owners]) if owners else 0 for column in self._sources.sieves
        )
        if not (second or needs):
            return SILENT
        met = len(self._met)
        if met == len(self._met_meshes.second):
            doubled = (np.concatenate([c, np.zeros_like(c)]) for c in self._met_meshes)
            self._met_meshes = Meshes(*doubled)
        self._met_meshes.second[met] = second
        self._met_meshes.third[met] = third
        self._met_meshes.needs[met] = needs
        self._met.append(key)
        return self._listed + met

    # -- who speaks ----------------------------------------------------------------------------

    def _entries(self, key: str) -> Iterator[Entry]:
        """The sources that speak for a host."""
        if self._spec.canonical_hosts:
            yield from self._exact_entries(key)
        else:
            yield from self._exact.entries(key)
            canonical = canonical_or_empty(key)
            if canonical != key:
                # Explicit opt-outs name canonical hosts, however robots.txt is looked up.
                listed = self._exact.entries(canonical)
                yield from (e for e in listed if self._is_listed(e[0]))
            key = canonical
        if len(self._below) and key:
            host = key.rpartition(":")[0] if has_port(key) else key
            for parent in parents(canonical_host(host)):
                yield from self._below.entries(parent)

    def _exact_entries(self, key: str) -> Iterable[Entry]:
        """By exact authority, else by host without the port, else (if asked for) its www twin.

        Explicit opt-outs name hosts, so they hold whatever the port is.
        """
        own = self._exact.entries(key)
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
            for entry in self._exact.entries(other)
            if (listed if self._is_listed(entry[0]) else self._sources.file(entry[0]) not in held)
        ]
        return [*own, *more] if more else own

    def _is_listed(self, owner: int) -> bool:
        return self._sources.signal(owner) is Signal.OPTOUT


def _picked(meshes: Meshes, places: npt.NDArray[np.int64]) -> Meshes:
    """The sieves at some places, 0 for a place of -1."""
    if not len(meshes.second):
        places = np.full_like(places, -1)
        meshes = _zeros(1)
    found = Meshes(meshes.second[places], meshes.third[places], meshes.needs[places])
    nowhere = places < 0
    for column in found:
        column[nowhere] = 0
    return found


def _zeros(count: int) -> Meshes:
    return Meshes(np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.zeros(count, np.uint8))


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
