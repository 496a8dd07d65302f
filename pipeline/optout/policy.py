"""A compiled policy and its verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from filter.hosts import canonical_host, parents
from filter.urls import comparable_path, split_url
from pipeline.optout import policy_file, tags
from pipeline.optout.host_rules import HostRules
from pipeline.optout.netloc import raw_authority
from pipeline.optout.packed import PackedSources
from pipeline.optout.page import PAGE_COLUMNS, page_refusals
from pipeline.optout.policy_file import Header
from pipeline.optout.signals import Signal
from pipeline.optout.spec import Fall, PolicySpec, named
from pipeline.optout.verdicts import KEEP, Refusal, Verdict, Verdicts

_HOST = r"^https?://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)+)(?:[/?#]|$)"
"""URLs whose host the canonical form leaves alone, which is nearly all of them."""
_NETLOC = r"^https?://(?P<host>[!-\"$-.0->@-Z^-~]+)(?:[/?#]|$)"
"""URLs whose authority the standard library reads off without objection."""
_NO_URL = Refusal(
    Signal.ROBOTS, (Signal.ROBOTS,), (), "(no URL: nobody can be asked)", None, "policy", None, None
)
_ORDER = {signal: i for i, signal in enumerate(Signal)}


@dataclass(frozen=True, slots=True)
class _Where:
    """Hosts of a batch: one code a row, and the rules of every distinct host."""

    hosts: pa.Array
    codes: npt.NDArray[np.int32]
    rules: list[HostRules | None]
    urls: dict[int, str]
    """Rows whose host was read the slow way, with the path rules see (so it is read only once)."""


class OptOutPolicy:
    """Every opt-out that was in force on a date, ready to be asked.

    Rules of a host are unpacked when the host is first met. An instance is not shared between
    threads; it pickles as the path it was opened from.
    """

    def __init__(self, path: Path, header: Header, sources: pa.Table) -> None:
        self.path = path
        self.header = header
        self.spec: PolicySpec = named(
            header.spec["name"],
            signals=",".join(header.spec["signals"]),
            unreachable=Fall(header.spec["unreachable"]),
            unreadable=Fall(header.spec["unreadable"]),
            no_url=Fall(header.spec["no_url"]),
            www=header.spec["www"],
        )
        self.refusals: list[Refusal] = []
        self._codes: dict[Refusal, int] = {}
        self._hosts: dict[str, HostRules | None] = {}
        self._sources = PackedSources(sources)
        self._shared: dict[tuple[tuple[int, str | None], ...], HostRules | None] = {}
        self._exact: dict[str, list[tuple[int, str | None]]] = {}
        self._below: dict[str, list[tuple[int, str | None]]] = {}
        self._index_hosts()
        self._tags = (
            tags.TagIndex(path.with_name(header.tags["file"]), header.tags) if header.tags else None
        )
        self._documents = pa.array(list(header.documents), pa.string())

    @classmethod
    def open(cls, path: str | Path) -> OptOutPolicy:
        """Open the compiled policy at ``path``.

        Raises:
            UnreadableFile: it, or its tags, are missing or damaged.
            WrongVersion: it was compiled in another format.
        """
        header, sources = policy_file.read(Path(path))
        return cls(Path(path), header, sources)

    def __reduce__(self) -> tuple[object, ...]:
        return (OptOutPolicy.open, (self.path,))

    @property
    def version(self) -> str:
        """Digest of everything that decides."""
        return self.header.version

    def verdict(self, url: str | None, document_id: str | None = None) -> Verdict:
        """The verdict for one document."""
        found = self.decide(pa.array([document_id], pa.string()), pa.array([url], pa.string()))
        code = int(found.codes[0])
        host = found.hosts[0].as_py()
        return Verdict(code == KEEP, host, None if code == KEEP else self.refusals[code])

    def decide(
        self,
        ids: pa.Array | None,
        urls: pa.Array,
        pages: Mapping[str, pa.Array] | None = None,
        dataset: str | None = None,
    ) -> Verdicts:
        """Verdicts for a batch of documents.

        ``ids`` and ``urls`` are string arrays of one length, nulls allowed. ``pages`` holds columns
        with what the page itself said, by the names of `PAGE_COLUMNS`. ``dataset`` is the name of the
        data set, for opt-outs that name it.
        """
        urls = _one(urls)
        where = self._locate(urls)
        codes = self._by_host(urls, where)
        if self.spec.no_url is Fall.DROP:
            nowhere = ~pc.is_valid(where.hosts).to_numpy(zero_copy_only=False)
            self._add(codes, np.flatnonzero(nowhere), _NO_URL)
        if ids is not None:
            self._by_id(codes, _one(ids))
        for name, column in (pages or {}).items():
            self._by_page(codes, name, _one(column))
        if dataset is not None and dataset in self.header.datasets:
            request = self.header.datasets[dataset]
            refusal = self._listed(f"dataset opt-out, request {request}")
            self._add(codes, np.arange(len(codes)), refusal)
        return Verdicts(where.hosts, codes, self.refusals)

    # -- hosts ---------------------------------------------------------------------------------

    def _index_hosts(self) -> None:
        for owner, name, subdomains, day in self._sources.hosts():
            index = self._below if subdomains else self._exact
            index.setdefault(name, []).append((owner, day))

    def _locate(self, urls: pa.Array) -> _Where:
        """Which host every row belongs to."""
        pattern = _HOST if self.spec.canonical_hosts else _NETLOC
        found = pc.extract_regex(urls, pattern=pattern)
        hosts = found.field(0)
        if found.null_count:
            hosts = pc.if_else(pc.is_valid(found), hosts, pa.scalar(None, pa.string()))
        slow: dict[int, str] = {}
        keys: dict[int, str] = {}
        odd = np.flatnonzero(
            pc.and_(pc.is_null(hosts), pc.is_valid(urls)).to_numpy(zero_copy_only=False)
        )
        for row in odd.tolist():
            located = self._locate_one(urls[row].as_py())
            if located is not None:
                keys[row], slow[row] = located
        if keys:
            mask = np.zeros(len(urls), dtype=bool)
            mask[list(keys)] = True
            hosts = pc.replace_with_mask(
                hosts, pa.array(mask), pa.array(keys.values(), pa.string())
            )
        encoded = hosts.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)
        rules: list[HostRules | None] = [self._rules_of(name) for name in names]
        rules.append(None)
        return _Where(_without_ports(hosts, names), codes, rules, slow)

    def _locate_one(self, url: str) -> tuple[str, str] | None:
        """Key and path of a URL that is written in an unusual way."""
        if not self.spec.canonical_hosts:
            authority = raw_authority(url)
            return None if authority is None else (authority, url)
        try:
            host, port, path = split_url(url)
        except InputError:
            return None
        return (host if port is None else f"{host}:{port}"), path

    def _rules_of(self, key: str) -> HostRules | None:
        try:
            return self._hosts[key]
        except KeyError:
            rules = self._hosts[key] = self._unpack(key)
            return rules

    def _unpack(self, key: str) -> HostRules | None:
        """The rules of a host; hosts with the same files of the same day share them."""
        entries = tuple(self._entries(key))
        if not entries:
            return None
        try:
            return self._shared[entries]
        except KeyError:
            sources = [self._sources.unpack(owner, day) for owner, day in entries]
            speaking = [s for s in sources if s.rulesets]
            rules = HostRules(speaking, self.header.agents) if speaking else None
            self._shared[entries] = rules
            return rules

    def _entries(self, key: str) -> Iterable[tuple[int, str | None]]:
        """The sources that speak for a host, robots.txt of the exact authority first."""
        if not self.spec.canonical_hosts:
            yield from self._exact.get(key, ())
            key = canonical_or_empty(key)
            # Explicit opt-outs name canonical hosts, whatever the policy for robots.txt is.
            yield from (e for e in self._exact.get(key, ()) if self._is_listed(e[0]))
        else:
            yield from self._exact_entries(key)
        if not self._below:
            return
        host = key.rpartition(":")[0] if _has_port(key) else key
        for parent in parents(canonical_host(host)) if host else ():
            yield from self._below.get(parent, ())

    def _exact_entries(self, key: str) -> Iterable[tuple[int, str | None]]:
        """By exact authority, else by host without the port, else (if asked for) its www twin.

        Explicit opt-outs name hosts, so they hold whatever the port is.
        """
        own = self._exact.get(key, [])
        if _has_port(key):
            plain = self._exact.get(key.rpartition(":")[0], [])
            own = [*own, *(e for e in plain if not own or self._is_listed(e[0]))]
        if self.spec.www and not any(not self._is_listed(e[0]) for e in own):
            twin = key[4:] if key.startswith("www.") else f"www.{key}"
            own = [*own, *(e for e in self._exact.get(twin, []) if not self._is_listed(e[0]))]
        return own

    def _is_listed(self, owner: int) -> bool:
        return self._sources.signal(owner) is Signal.OPTOUT

    # -- verdicts ------------------------------------------------------------------------------

    def _by_host(self, urls: pa.Array, where: _Where) -> npt.NDArray[np.int32]:
        """Codes by what the hosts' sources say about the paths."""
        codes = np.full(len(urls), KEEP, dtype=np.int32)
        speaking = np.array([r is not None for r in where.rules])
        rows = np.flatnonzero(speaking[where.codes])
        if not len(rows):
            return codes
        path_of = comparable_path if self.spec.canonical_hosts else self.spec.dialect.url_path
        canonical = self.spec.canonical_hosts
        texts = urls.take(pa.array(rows)).to_pylist()
        for row, host, url in zip(rows.tolist(), where.codes[rows].tolist(), texts, strict=True):
            rules = where.rules[host]
            assert rules is not None
            if row in where.urls:
                path = where.urls[row] if canonical else _path_or_none(path_of, where.urls[row])
            elif canonical:
                path = path_of(_tail(url))
            else:
                path = _path_or_none(path_of, url)
            if path is None:
                continue
            refusal = rules.refusal(path)
            if refusal is not None:
                codes[row] = self._code(refusal)
        return codes

    def _by_id(self, codes: npt.NDArray[np.int32], ids: pa.Array) -> None:
        if len(self._documents) and Signal.OPTOUT in self.spec.signals:
            listed = pc.is_in(ids, value_set=self._documents).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(listed).tolist():
                request = self.header.documents[ids[row].as_py()]
                self._add(codes, [row], self._listed(f"document_id opt-out, request {request}"))
        if self._tags is not None and Signal.TAG in self.spec.signals:
            masks = self._tags.masks(pc.fill_null(ids, ""))
            for row in np.flatnonzero(masks).tolist():
                agents = self._named(int(masks[row]))
                refusal = Refusal(
                    Signal.TAG, (Signal.TAG,), agents, "compliance tag of the document", None,
                    "tags", self.header.tags["sha256"] if self.header.tags else None, None,
                )  # fmt: skip
                self._add(codes, [row], refusal)

    def _by_page(self, codes: npt.NDArray[np.int32], name: str, column: pa.Array) -> None:
        """What the page said of itself, in its head or in the headers it was served with."""
        for row, signal, text in page_refusals(name, column, self.header.agents):
            if signal in self.spec.signals:
                refusal = Refusal(signal, (signal,), (), text, None, PAGE_COLUMNS[name], None, None)
                self._add(codes, [row], refusal)

    def _listed(self, rule: str) -> Refusal:
        return Refusal(Signal.OPTOUT, (Signal.OPTOUT,), (), rule, None, "opt-out list", None, None)

    def _named(self, mask: int) -> tuple[str, ...]:
        return tuple(a for i, a in enumerate(self.header.agents) if mask >> i & 1)

    def _add(self, codes: npt.NDArray[np.int32], rows: Iterable[int], refusal: Refusal) -> None:
        """Let ``refusal`` refuse ``rows`` too, beside what already does."""
        for row in rows:
            held = int(codes[row])
            codes[row] = self._code(
                refusal if held == KEEP else joined(self.refusals[held], refusal)
            )

    def _code(self, refusal: Refusal) -> int:
        code = self._codes.get(refusal)
        if code is None:
            code = self._codes[refusal] = len(self.refusals)
            self.refusals.append(refusal)
        return code


def joined(one: Refusal, other: Refusal) -> Refusal:
    """Two refusals of one document: the signal that comes first explains, both are named."""
    first = one if _ORDER[one.signal] <= _ORDER[other.signal] else other
    signals = sorted({*one.signals, *other.signals}, key=_ORDER.__getitem__)
    return replace(first, signals=tuple(signals))


def canonical_or_empty(authority: str) -> str:
    """The canonical host of a raw authority, or nothing."""
    try:
        return canonical_host(authority)
    except InputError:
        return ""


def _path_or_none(path_of: object, url: str) -> str | None:
    try:
        return path_of(url)  # type: ignore[operator, no-any-return]
    except ValueError:
        return None  # upstream keeps what its parser cannot split; the URL is counted as odd


def _tail(url: str) -> str:
    """Path and query of a URL whose authority is plain."""
    start = url.find("/", 8)
    query = url.find("?", 8)
    if query >= 0 and (start < 0 or query < start):
        tail = "/" + url[query:]
    else:
        tail = url[start:] if start >= 0 else "/"
    fragment = url.find("#", 8)
    if fragment < 0:
        return tail
    return (
        tail.partition("#")[0]
        if (start >= 0 and fragment > start) or 0 <= query < fragment
        else "/"
    )


def _has_port(key: str) -> bool:
    head, colon, port = key.rpartition(":")
    return bool(colon) and port.isdecimal() and not (head.startswith("[") and "]" not in head)


def _without_ports(hosts: pa.Array, names: list[str]) -> pa.Array:
    if not any(_has_port(n) for n in names):
        return hosts
    return pc.replace_substring_regex(hosts, pattern=r":[0-9]{1,5}$", replacement="")


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
    return column if column.type == pa.string() else pc.cast(column, pa.string())
