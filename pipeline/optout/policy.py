"""A compiled policy and its verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from filter.urls import comparable_path, split_url
from pipeline.optout import policy_file, tags
from pipeline.optout.hosts import NO_AUTHORITY, SILENT, HostIndex, canonical_or_empty, has_port
from pipeline.optout.netloc import raw_authority
from pipeline.optout.packed import PackedSources
from pipeline.optout.page import PAGE_COLUMNS, page_refusals
from pipeline.optout.policy_file import Header
from pipeline.optout.sieve import ROOT, candidates
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
_MAX_LABEL = 63
_ORDER = {signal: i for i, signal in enumerate(Signal)}


@dataclass(frozen=True, slots=True)
class _Where:
    """Where the URLs of a batch lead."""

    hosts: pa.Array
    """Host of every row, null where there is none."""
    numbers: npt.NDArray[np.int64]
    """Its number in the `HostIndex`."""
    plain: npt.NDArray[np.bool_]
    """Rows that are written in the usual way."""
    lengths: npt.NDArray[np.int64]
    """Octets of the authority in plain rows."""
    paths: dict[int, str | None]
    """Comparable paths of the other rows, so that they are split only once."""


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
        self._canonical: dict[str, str | None] = {}
        self._hosts = HostIndex(PackedSources(sources), self.spec, header.agents, self._code)
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
        for column in (ids, *(pages or {}).values()):
            if column is not None and len(column) != len(urls):
                raise ValueError("the columns of a batch must have one length")
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
        listed = self.header.datasets.get(dataset) if dataset is not None else None
        if listed is not None and Signal.OPTOUT in self.spec.signals:
            self._add(codes, range(len(codes)), _listed(listed))
        return Verdicts(where.hosts, codes, self.refusals)

    # -- hosts ---------------------------------------------------------------------------------

    def _locate(self, urls: pa.Array) -> _Where:
        """Which host every row belongs to."""
        pattern = _HOST if self.spec.canonical_hosts else _NETLOC
        found = pc.extract_regex(urls, pattern=pattern).field(0)
        lengths = pc.fill_null(pc.binary_length(found), 0).to_numpy(zero_copy_only=False)
        # A name of up to 63 octets has no label that is too long; longer ones are looked at.
        plain = (lengths > 0) & (lengths <= _MAX_LABEL)
        keys = found
        paths: dict[int, str | None] = {}
        if not plain.all():
            odd: dict[int, str] = {}
            there = pc.is_valid(urls).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(~plain & there).tolist():
                located = self._locate_one(urls[row].as_py())
                if located is not None:
                    odd[row], paths[row] = located
            keys = pc.if_else(pa.array(plain), found, pa.scalar(None, pa.string()))
            if odd:
                mask = np.zeros(len(urls), dtype=bool)
                mask[list(odd)] = True
                values = pa.array(list(odd.values()), pa.string())
                keys = pc.replace_with_mask(keys, pa.array(mask), values)
        encoded = keys.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)
        numbers = np.append(self._hosts.numbers(names), SILENT)[codes]
        shown = self._shown(names) if paths or self._is_raw else names
        hosts = keys if shown == names else pa.array(shown, pa.string()).take(encoded.indices)
        return _Where(hosts, numbers, plain, lengths.astype(np.int64), paths)

    @property
    def _is_raw(self) -> bool:
        return not self.spec.canonical_hosts

    def _shown(self, keys: list[str]) -> list[str | None]:
        """The canonical host behind each key, ``None`` where there is none."""
        if not self._is_raw:
            return [key.rpartition(":")[0] if has_port(key) else key for key in keys]
        known = self._canonical
        for key in keys:
            if key not in known:
                known[key] = canonical_or_empty(key) or None
        return [known[key] for key in keys]

    def _locate_one(self, url: str) -> tuple[str, str | None] | None:
        """Key of a URL that is written in an unusual way, and its comparable path."""
        try:
            host, port, path = split_url(url)
        except InputError:
            host, port, path = None, None, None
        if self._is_raw:
            authority = raw_authority(url)
            if authority is None and host is not None:
                authority = NO_AUTHORITY + host  # no robots.txt is looked up, opt-outs are
            return None if authority is None else (authority, path)
        if host is None:
            return None
        return (host if port is None else f"{host}:{port}"), path

    # -- verdicts ------------------------------------------------------------------------------

    def _by_host(self, urls: pa.Array, where: _Where) -> npt.NDArray[np.int32]:
        """Codes by what the hosts' sources say about the paths."""
        codes = np.full(len(urls), KEEP, dtype=np.int32)
        asked = where.numbers != SILENT
        sifted = np.flatnonzero(asked & where.plain)
        if len(sifted):
            some = urls if len(sifted) == len(urls) else urls.take(pa.array(sifted))
            numbers = where.numbers[sifted]
            meshes = self._hosts.meshes(numbers)
            asked[sifted] = passing = candidates(some, where.lengths[sifted], meshes)
            refused = ~passing & (meshes.needs & ROOT).astype(bool)
            if refused.any():
                codes[sifted[refused]] = self._hosts.root_codes(numbers[refused])
                if self._is_raw:  # that dialect never refuses a robots.txt itself
                    named = pc.match_substring(some, "/robots.txt").to_numpy(zero_copy_only=False)
                    asked[sifted[refused & named]] = True
                    codes[sifted[refused & named]] = KEEP
        rows = np.flatnonzero(asked)
        texts = urls.take(pa.array(rows)).to_pylist()
        raw = self._is_raw
        rules_of, asked_hosts = self._hosts.rules, where.numbers[rows].tolist()
        for row, number, url in zip(rows.tolist(), asked_hosts, texts, strict=True):
            rules = rules_of(number)
            path = None
            if not (raw and rules.only_robots):
                path = where.paths[row] if row in where.paths else comparable_path(_tail(url))
            codes[row] = rules.code(self._raw_path(url) if raw else path, path)
        return codes

    def _raw_path(self, url: str) -> str | None:
        """What that dialect's rules see of a URL; ``None`` where they refuse nothing."""
        try:
            return self.spec.dialect.url_path(url)
        except ValueError:
            return None  # the published corpora keep what their parser cannot split

    def _by_id(self, codes: npt.NDArray[np.int32], ids: pa.Array) -> None:
        if len(self._documents) and Signal.OPTOUT in self.spec.signals:
            listed = pc.is_in(ids, value_set=self._documents).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(listed).tolist():
                self._add(codes, [row], _listed(self.header.documents[ids[row].as_py()]))
        if self._tags is not None and Signal.TAG in self.spec.signals:
            masks = self._tags.masks(pc.fill_null(ids, ""))
            for row in np.flatnonzero(masks).tolist():
                agents = self._named(int(masks[row]))
                refusal = Refusal(
                    Signal.TAG, (Signal.TAG,), agents, "compliance tag of the document", None,
                    "tags", None, None,
                )  # fmt: skip
                self._add(codes, [row], refusal)

    def _by_page(self, codes: npt.NDArray[np.int32], name: str, column: pa.Array) -> None:
        """What the page said of itself, in its head or in the headers it was served with."""
        for row, signal, text in page_refusals(name, column, self.header.agents):
            if signal in self.spec.signals:
                refusal = Refusal(signal, (signal,), (), text, None, PAGE_COLUMNS[name], None, None)
                self._add(codes, [row], refusal)

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


def _listed(entry: dict[str, Any]) -> Refusal:
    """The refusal that an entry of the opt-out list is."""
    return Refusal(
        Signal.OPTOUT, (Signal.OPTOUT,), (), entry["rule"], entry["line"],
        entry["file"], entry["sha256"], entry["date"],
    )  # fmt: skip


def joined(one: Refusal, other: Refusal) -> Refusal:
    """Two refusals of one document: the signal that comes first explains, both are named."""
    first = one if _ORDER[one.signal] <= _ORDER[other.signal] else other
    signals = sorted({*one.signals, *other.signals}, key=_ORDER.__getitem__)
    return replace(first, signals=tuple(signals))


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


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
    return column if column.type == pa.string() else pc.cast(column, pa.string())
