"""A compiled policy and its verdicts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.urls import comparable_path
from pipeline.optout import ready, tags
from pipeline.optout.hosts import SILENT, HostIndex
from pipeline.optout.located import Locator, Where
from pipeline.optout.page import PAGE_COLUMNS, page_refusals
from pipeline.optout.ready import Ready
from pipeline.optout.sieve import ROOT, candidates
from pipeline.optout.signals import Signal
from pipeline.optout.spec import Fall, PolicySpec, named
from pipeline.optout.verdicts import KEEP, Refusal, Verdict, Verdicts

_NO_URL = Refusal(
    Signal.ROBOTS, (Signal.ROBOTS,), (), "(no URL: nobody can be asked)", None, "policy", None, None
)
_HELD = 1 << 14
"""Hosts with unpacked rules and refusals that are kept, which is some 100 MB; a process that reads a
whole corpus meets all hosts there are."""
_OPENED = threading.local()
"""The policy of `OptOutPolicy.opened_once`."""
_ORDER = {signal: i for i, signal in enumerate(Signal)}


class OptOutPolicy:
    """Every opt-out that was in force on a date, ready to be asked.

    Rules of a host are unpacked when the host is first met, and forgotten when they are many. An
    instance is not shared between threads; it pickles as the paths it was opened from.
    """

    def __init__(self, path: Path, made: Ready, folder: Path | None = None) -> None:
        """``folder`` is the one in which ``made`` lies, if it lies in one."""
        self.path = path
        self.folder = folder
        header = self.header = made.header
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
        self._hosts = HostIndex(made, self.spec, header.agents, self._code)
        self._locator = Locator(self._hosts, self.spec)
        self._tags = (
            tags.TagIndex(path.with_name(header.tags["file"]), header.tags) if header.tags else None
        )
        self._documents = pa.array(list(header.documents), pa.string())

    @classmethod
    def open(cls, path: str | Path, folder: Path | None = None) -> OptOutPolicy:
        """Open the compiled policy at ``path``.

        ``folder`` holds it made ready (`pipeline.optout.ready.made_ready`): what is in there is mapped
        into memory, which takes no time and is shared between processes.

        Raises:
            UnreadableFile: it, or its tags, are missing or damaged.
            WrongVersion: it was compiled in another format.
        """
        found = ready.from_policy(Path(path)) if folder is None else ready.from_folder(folder)
        return cls(Path(path), found, folder)

    @classmethod
    def opened_once(cls, path: Path, folder: Path | None = None) -> OptOutPolicy:
        """The same, but one instance for all calls of this thread; for one policy at a time.

        Where ``folder`` is not there, as on another machine, the policy is opened without it.

        Raises:
            UnreadableFile: it, or its tags, are missing or damaged.
            WrongVersion: it was compiled in another format.
        """
        if folder is not None and not folder.is_dir():
            folder = None
        file = path if folder is None else folder
        identity = (path, folder, _identity(file))
        if getattr(_OPENED, "identity", None) != identity:
            _OPENED.policy = cls.open(path, folder)
            _OPENED.identity = identity
        opened: OptOutPolicy = _OPENED.policy
        return opened

    def __reduce__(self) -> tuple[object, ...]:
        return (OptOutPolicy.open, (self.path, self.folder))

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
        if self._hosts.size + len(self.refusals) > _HELD:
            self._forget()
        urls = _one(urls)
        where = self._locator.locate(urls)
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

    # -- verdicts ------------------------------------------------------------------------------

    def _by_host(self, urls: pa.Array, where: Where) -> npt.NDArray[np.int32]:
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

    @property
    def _is_raw(self) -> bool:
        return not self.spec.canonical_hosts

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

    def _forget(self) -> None:
        """Begin anew with codes and hosts; verdicts that were given keep the list they refer to."""
        self.refusals, self._codes = [], {}
        self._hosts.forget()
        self._locator.forget()

    def _code(self, refusal: Refusal) -> int:
        code = self._codes.get(refusal)
        if code is None:
            code = self._codes[refusal] = len(self.refusals)
            self.refusals.append(refusal)
        return code


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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
