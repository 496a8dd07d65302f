"""What differs between two compiled policies: whom a newer one treats in another way.

A superset, cheaply: whoever is not named here has the same verdict, with the same reason, under both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from filter.hosts import Host, canonical_host, parents
from pipeline.optout.hosts import canonical_or_empty, has_port
from pipeline.optout.policy_file import SCHEMA, Header, PolicyFile
from pipeline.optout.ready import one_array
from pipeline.optout.signals import Signal
from pipeline.optout.tags import TagIndex, keys_of

_BETWEEN = "\0"
_PLAIN = r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"
"""A name that stands for the host that is written so: neither with a port nor as it stood in a URL."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Whose verdict, or its reason, may differ between two policies."""

    hosts: frozenset[str] = frozenset()
    """Canonical hosts of which some source came, went or changed."""
    domains: frozenset[str] = frozenset()
    """Canonical hosts of which the same is true for all that lies below them."""
    nowhere: bool = False
    """Whether documents without a canonical host are concerned: some source is of a name that has none."""
    documents: frozenset[str] = frozenset()
    """Ids of documents that opted out, or no longer do, or of which the entry changed."""
    tags: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Keys (`pipeline.optout.tags.keys_of`) of documents whose compliance tag changed, sorted."""
    datasets: frozenset[str] = frozenset()
    """Whole data sets, likewise."""
    everything: str | None = None
    """Why any document at all may be concerned; none where that is not so."""

    @property
    def is_nothing(self) -> bool:
        """Whether both policies decide alike."""
        parts = (self.hosts, self.domains, self.documents, self.datasets, self.everything)
        return not any(parts) and not self.nowhere and not len(self.tags)

    def document_keys(self) -> npt.NDArray[np.uint64]:
        """Keys of all documents that are named by id, sorted."""
        named = keys_of(pa.array(sorted(self.documents), pa.string()))
        return np.union1d(named, self.tags)


def changed(old: str | Path | PolicyFile, new: str | Path | PolicyFile) -> Changed:
    """What differs between two compiled policies, which are open already or lie at these paths.

    Row groups that are the same in both, octet by octet, are not even decoded.

    Raises:
        UnreadableFile: one of them, or its tags, is missing or damaged.
        WrongVersion: one was compiled in another format.
    """
    policies = [one if isinstance(one, PolicyFile) else PolicyFile(Path(one)) for one in (old, new)]
    one, other = (policy.header for policy in policies)
    if one.version == other.version:
        return Changed()
    if one.spec != other.spec or one.agents != other.agents:
        part = "signals and rules" if one.spec != other.spec else "agents"
        return Changed(everything=f"the two policies have different {part}")
    hosts, domains = _hosts(*_apart(*policies), www=bool(one.spec["www"]))
    found = Changed(
        hosts=hosts - {""},
        domains=domains - {""},
        nowhere="" in hosts | domains,
        documents=_entries(one.documents, other.documents),
        datasets=_entries(one.datasets, other.datasets),
    )
    return replace(found, tags=_tags(one, other, *(policy.path for policy in policies)))


def _apart(*policies: PolicyFile) -> list[pa.Table]:
    """The sources of each of two policies, but for those row groups that are the same in both."""
    octets = [policy.group_octets() for policy in policies]
    same = {
        number
        for number, (one, other) in enumerate(zip(*octets, strict=False))
        if one[0] == other[0] and one[1].equals(other[1])
    }
    return [
        policy.sources([number for number in range(len(groups)) if number not in same])
        for policy, groups in zip(policies, octets, strict=True)
    ]


def _entries(
    one: dict[str, dict[str, object]], other: dict[str, dict[str, object]]
) -> frozenset[str]:
    return frozenset(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


# -- hosts -------------------------------------------------------------------------------------


def _hosts(old: pa.Table, new: pa.Table, *, www: bool) -> tuple[frozenset[str], frozenset[str]]:
    """Canonical hosts with a source that only one of the two has, and those it holds below."""
    numbers = _numbered(old, new)
    rows = [_rows(table, number) for table, number in zip((old, new), numbers, strict=True)]
    names: set[str] = set()
    below: set[str] = set()
    for one, other in (rows, rows[::-1]):
        only = one.filter(pc.invert(pc.is_in(one["key"], value_set=other["key"])))
        for name, subdomains in zip(
            only["host"].to_pylist(), only["subdomains"].to_pylist(), strict=True
        ):
            (below if subdomains else names).add(name)
    hosts = {host_of(name) for name in names}
    if www:
        hosts |= {host[4:] for host in hosts if host.startswith("www.")} | {
            f"www.{host}" for host in hosts if host
        }
    return frozenset(hosts), frozenset(host_of(name) for name in below)


def speaking_for(policy: PolicyFile, hosts: frozenset[str]) -> pa.Table:
    """Those of a policy's sources that may speak for one of these canonical hosts; perhaps some others.

    Raises:
        UnreadableFile: it is damaged.
    """
    names: set[str] = {name for host in hosts for name in parents(Host(host))}
    names |= {f"www.{name}" for name in names} | {name.removeprefix("www.") for name in names}
    held = one_array(policy.sources(columns=["hosts"])["hosts"])
    flat = held.flatten().field(0)
    meant = pc.or_(
        pc.is_in(flat, value_set=pa.array(sorted(names), pa.string())),
        pc.invert(pc.match_substring_regex(flat, _PLAIN)),
    )
    rows = np.unique(pc.list_parent_indices(held).filter(meant).to_numpy(zero_copy_only=False))
    ends = np.cumsum(policy.group_rows(), dtype=np.int64)
    begins = ends - policy.group_rows()
    of_row = np.searchsorted(ends, rows, "right")
    found = [SCHEMA.empty_table()]
    for group in np.unique(of_row).tolist():  # one after the other, in the same memory
        inside = rows[of_row == group] - begins[group]
        found.append(policy.sources([group]).take(pa.array(inside)))
    return pa.concat_tables(found)


def host_of(name: str) -> str:
    """The canonical host of a name as policies have them: with a port, or as it stood in a URL."""
    canonical = canonical_or_empty(name)
    if canonical and not has_port(canonical):
        return canonical
    try:
        return canonical_host(name.rpartition(":")[0])
    except InputError:
        return canonical


def _numbered(old: pa.Table, new: pa.Table) -> tuple[npt.NDArray[np.int64], ...]:
    """A number for every source of each table; equal sources have equal ones."""
    tables = (old, new)
    rulesets = [one_array(table["rulesets"]) for table in tables]
    numbers = _keys(tables)
    found = numbers[: old.num_rows].copy(), numbers[old.num_rows :].copy()
    count = int(numbers.max(initial=-1)) + 1
    times = [np.bincount(part, minlength=count) for part in found]
    several = (times[0] > 1) | (times[1] > 1)
    alone = [np.flatnonzero(several[part]).tolist() for part in found]
    # Nearly all: a key that each table has once. Their rules are compared at once.
    places = [np.zeros(count, np.int64) for _ in found]
    for place, part in zip(places, found, strict=True):
        place[part] = np.arange(len(part))
    pairs = np.flatnonzero((times[0] == 1) & (times[1] == 1))
    here, there = (place[pairs] for place in places)
    breaks = np.flatnonzero((np.diff(here) != 1) | (np.diff(there) != 1)) + 1
    for begin, end in pairwise([0, *breaks.tolist(), len(pairs)]):  # slices, which copy nothing
        if begin < end:
            one = rulesets[0].slice(here[begin], end - begin)
            other = rulesets[1].slice(there[begin], end - begin)
            for at in _unequal(one, other):
                found[1][there[begin + at]] = count
                count += 1
    # The others one by one.
    known: dict[int, list[tuple[int, pa.Array]]] = {}
    for part, held, rows in zip(found, rulesets, alone, strict=True):
        for row in rows:
            one = held.slice(row, 1)
            alike = known.setdefault(int(part[row]), [])
            number = next((n for n, other in alike if one.equals(other)), None)
            if number is None:
                number, count = count, count + 1
                alike.append((number, one))
            part[row] = number
    return found


def _keys(tables: Sequence[pa.Table]) -> npt.NDArray[np.int64]:
    """A number for each source of the tables: the same for those that are alike in all but the rules."""
    found = np.zeros(sum(table.num_rows for table in tables), np.int64)
    for name in ("signal", "file", "status", "sha256"):
        column = pa.concat_arrays([one_array(table[name]) for table in tables])
        codes = column.dictionary_encode()
        indices = codes.indices.to_numpy(zero_copy_only=False)
        _, found = np.unique(found * len(codes.dictionary) + indices, return_inverse=True)
    return found.astype(np.int64)


def _unequal(one: pa.Array, other: pa.Array, first: int = 0) -> Iterator[int]:
    """Where two arrays of one length differ: whole halves that are equal are looked at once."""
    if one.equals(other):
        return
    if len(one) == 1:
        yield first
        return
    half = len(one) // 2
    yield from _unequal(one.slice(0, half), other.slice(0, half), first)
    yield from _unequal(one.slice(half), other.slice(half), first + half)


def _rows(table: pa.Table, numbers: npt.NDArray[np.int64]) -> pa.Table:
    """One row for each host of each source: host, whether all below it, and a key of everything."""
    hosts = one_array(table["hosts"])
    flat = hosts.flatten()
    owners = pa.array(numbers).take(pc.list_parent_indices(hosts))
    name, subdomains, day = (flat.field(i) for i in range(3))
    parts: Sequence[pa.Array] = (
        name,
        pc.cast(subdomains, pa.string()),
        pc.fill_null(day, ""),
        pc.cast(owners, pa.string()),
    )
    key = pc.binary_join_element_wise(*parts, _BETWEEN)
    return pa.table({"host": name, "subdomains": subdomains, "key": key})


# -- tags --------------------------------------------------------------------------------------


def _tags(one: Header, other: Header, old: Path, new: Path) -> npt.NDArray[np.uint64]:
    """Keys whose tag only one of the two has, or has otherwise."""
    nothing = np.zeros(0, np.uint64)
    if Signal.TAG not in one.spec["signals"]:
        return nothing
    contents = [header.tags["content"] if header.tags else None for header in (one, other)]
    if contents[0] == contents[1]:
        return nothing
    pairs = [
        TagIndex(path.with_name(header.tags["file"]), header.tags).pairs() if header.tags else []
        for header, path in ((one, old), (other, new))
    ]
    count = max(map(len, pairs))
    empty = (nothing, np.zeros(0, np.int64))
    found = [
        _differing(first, second)
        for first, second in zip(
            pairs[0] or [empty] * count, pairs[1] or [empty] * count, strict=True
        )
    ]
    return np.concatenate([nothing, *found])


def _differing(
    one: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]],
    other: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]],
) -> npt.NDArray[np.uint64]:
    """Keys that are in one alone, or in both with other agents; sorted."""
    both, at, where = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    alone = np.setxor1d(one[0], other[0], assume_unique=True)
    return np.union1d(alone, both[one[1][at] != other[1][where]])
