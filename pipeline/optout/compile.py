"""Opt-out files, lists and tags become one compiled policy."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from filter.errors import MalformedHost
from filter.hosts import split_authority
from pipeline.errors import UnreadableFile, UnreadableSource
from pipeline.optout import snapshot, tags
from pipeline.optout.agents import AgentSet
from pipeline.optout.bodies import is_robots_txt, shown_lines
from pipeline.optout.policy_file import Header, write
from pipeline.optout.robots import RobotsFile
from pipeline.optout.rules import Rule
from pipeline.optout.signals import (
    Signal,
    ai_txt,
    content_signal,
    content_usage,
    optout_list,
    rsl,
    tdmrep,
)
from pipeline.optout.source_rows import SourceRow, Stored, table_of
from pipeline.optout.spec import Fall, PolicySpec

OPTOUT_LIST = "opt-out list"
"""What a source from such a list calls its file; two names of one list decide alike."""


@dataclass(frozen=True, slots=True)
class _File:
    """What a file of a snapshot comes to."""

    sources: tuple[SourceRow, ...] = ()
    state: str = ""
    """What is wrong with it, as it is counted."""


class PolicyCompiler:
    """Collects sources; `finish` writes them. One instance makes one policy."""

    def __init__(self, spec: PolicySpec, agents: AgentSet, as_of: date) -> None:
        self._spec = spec
        self._agents = agents
        self._as_of = as_of
        self._everybody = (1 << len(agents.agents)) - 1
        self._by_body: dict[tuple[str, str], _File] = {}
        self._list_sources: dict[tuple[str, int], SourceRow] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._datasets: dict[str, dict[str, Any]] = {}
        self._tags: tags.Shards | None = None
        self._counts: Counter[str] = Counter()

    def add_snapshot(self, path: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Add every file of the snapshot at ``path`` that is in force on the policy's date."""
        owners: dict[tuple[str, str], tuple[tuple[int, bool], snapshot.Row, _File]] = {}
        for number, row in enumerate(snapshot.rows(path, self._as_of, self._counts), 1):
            host, explicit_port = self._host_key(row.domain)
            if host is None:
                self._counts["snapshot: domain is not a host"] += 1
                continue
            if row.file not in snapshot.FILES:
                self._counts["snapshot: files of an unknown kind"] += 1
                continue
            # Several spellings of one host: the one fetched last, then the one without a port, then
            # the later row speaks for it.
            weight = (row.moment, not explicit_port)
            kind = row.file if row.file != snapshot.RSL else f"{row.file} {row.url}"
            older = owners.get((host, kind))
            if older is not None:
                self._counts["snapshot: rows replaced by other spellings of their host"] += 1
                if older[0] > weight:
                    continue
            owners[host, kind] = weight, row._replace(content=None), self._file(row)
            if progress and number % 1000 == 0:
                progress(number, 0)
        for (host, _), (_, row, file) in owners.items():
            self._counts[f"{row.file}: files"] += 1
            if file.state:
                self._counts[f"{row.file}: {file.state}"] += 1
            for source in file.sources:
                source.hosts[host, False] = row.date

    def add_optouts(self, path: Path) -> None:
        """Add the entries of the opt-out list (JSONL) at ``path`` that are in force."""
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise UnreadableFile(f"There is no opt-out list at {path}.") from None
        except (OSError, UnicodeDecodeError):
            raise UnreadableFile(
                f"{path} cannot be read as UTF-8 text: an opt-out list is JSONL."
            ) from None
        for entry in optout_list.read(text.splitlines(), name=path.name):
            if not optout_list.in_force(entry, self._as_of):
                self._counts["opt-outs: not in force"] += 1
                continue
            self._counts["opt-outs: in force"] += 1
            if entry.scope == optout_list.Scope.DOCUMENT_ID:
                self._documents[entry.value] = _listed(entry)
            elif entry.scope == optout_list.Scope.DATASET:
                self._datasets[entry.value] = _listed(entry)
            else:
                self._add_entry(entry)

    def add_tags(self, path: Path, out: Path) -> None:
        """Add compliance tags (id, agents) from the Parquet files at ``path``.

        They are sorted into a side file next to the policy at ``out`` as they are read, so that
        memory does not grow with their number.
        """
        self._tags = tags.compile_tags(path, tags.side_file(out), self._agents.agents)
        self._counts["tags: documents refused"] = self._tags.rows
        if self._tags.left_out:
            self._counts["tags: rows without an agent of the policy"] = self._tags.left_out

    def finish(self, out: Path) -> Header:
        """Write the policy to ``out``."""
        header = Header(
            spec={
                "name": self._spec.name,
                "signals": sorted(self._spec.signals),
                "unreachable": self._spec.unreachable,
                "unreadable": self._spec.unreadable,
                "no_url": self._spec.no_url,
                "www": self._spec.www,
            },
            agents=self._agents.agents,
            agent_set=self._agents.name,
            as_of=self._as_of.isoformat(),
            counts=dict(sorted(self._counts.items())),
            documents=dict(sorted(self._documents.items())),
            datasets=dict(sorted(self._datasets.items())),
            tags=None if self._tags is None else self._tags.described(),
        )
        return write(out, header, table_of(self._all_sources()))

    # -- files of a snapshot -------------------------------------------------------------------

    def _host_key(self, domain: str) -> tuple[str | None, bool]:
        """The key under which URLs look a domain up, and whether a default port was spelt out."""
        if not self._spec.canonical_hosts:
            return domain, False
        try:
            host, port = split_authority(domain)
        except MalformedHost:
            return None, False
        return (host, port is not None) if port in {None, 80, 443} else (f"{host}:{port}", False)

    def _file(self, row: snapshot.Row) -> _File:
        """What a file comes to, parsed once for each distinct body."""
        refused = row.status is not None and not 200 <= row.status < 300
        if refused or row.content is None:
            return self._absent(row)
        sha256 = hashlib.sha256(row.content).hexdigest()
        known = self._by_body.get((row.file, sha256))
        if known is None:
            sources = tuple(self._parse(row, row.content, sha256))
            state = next((s.status for s in sources if s.status != "ok"), "")
            known = self._by_body[row.file, sha256] = _File(sources, state)
        return known

    def _absent(self, row: snapshot.Row) -> _File:
        """No file: nobody is refused (RFC 9309, 2.3.1.3), unless the server failed (2.3.1.4)."""
        status = row.status
        unreachable = status is not None and (status <= 0 or status == 429 or status >= 500)
        state = "unreachable" if unreachable else "absent"
        if row.file != snapshot.ROBOTS or not unreachable or self._spec.unreachable is Fall.KEEP:
            return _File((), state)
        key = (row.file, "unreachable")
        if key not in self._by_body:
            why = "(unreachable: complete disallow, RFC 9309, 2.3.1.4)"
            source = self._everywhere(Signal.ROBOTS, row.file, "", state, why)
            self._by_body[key] = _File((source,), state)
        return self._by_body[key]

    def _parse(self, row: snapshot.Row, body: bytes, sha256: str) -> Iterator[SourceRow]:
        if row.file == snapshot.ROBOTS:
            yield from self._parse_robots(body, sha256)
            return
        readers = {
            "tdmrep.json": (Signal.TDMREP, tdmrep.file_rules),
            "ai.txt": (Signal.AI_TXT, ai_txt.file_rules),
            "rsl.xml": (Signal.RSL, rsl.file_rules),
        }
        signal, read = readers[row.file]
        if signal not in self._spec.signals:
            return
        try:
            rules = read(body)
        except UnreadableSource:
            yield self._unreadable(signal, row.file, sha256)
            return
        rulesets = []
        if any(not rule.allow for rule in rules):
            rulesets = [(self._everybody, self._stored(rules, shown_lines(body), str.strip))]
        yield self._readable(signal, row.file, sha256, rulesets)

    def _parse_robots(self, body: bytes, sha256: str) -> Iterator[SourceRow]:
        dialect = self._spec.dialect
        parsed = dialect.parse(body)
        if not parsed.groups and not is_robots_txt(body, parsed):
            yield self._unreadable(Signal.ROBOTS, snapshot.ROBOTS, sha256)
            return
        chosen = dialect.obeyed(parsed, self._agents.agents)
        yield self._robots_source(parsed, chosen, sha256)
        if not parsed.speaks_of_usage:
            return
        readers = (
            (Signal.CONTENT_USAGE, content_usage.line_rules, "usage"),
            (Signal.CONTENT_SIGNAL, content_signal.line_rules, "signals"),
        )
        for signal, line_rules, attribute in readers:
            if signal not in self._spec.signals:
                continue
            rulesets = []
            for groups, mask in chosen.items():
                lines = [line for i in groups for line in getattr(parsed.groups[i], attribute)]
                rules = line_rules(lines) if lines else ()
                if any(not r.allow for r in rules):
                    rulesets.append((mask, self._stored(rules, parsed.lines, dialect.shown)))
            if rulesets:
                yield SourceRow(signal, snapshot.ROBOTS, sha256, "ok", rulesets)

    def _robots_source(
        self, parsed: RobotsFile, chosen: dict[tuple[int, ...], int], sha256: str
    ) -> SourceRow:
        rulesets = []
        shown = self._spec.dialect.shown
        if Signal.ROBOTS in self._spec.signals:
            merged: dict[tuple[Rule, ...], int] = {}
            for groups, mask in chosen.items():
                if any(not r.rule.allow for i in groups for r in parsed.groups[i].rules):
                    rules = self._spec.dialect.merged(parsed, groups)
                    merged[rules] = merged.get(rules, 0) | mask
            rulesets = [
                (mask, self._stored(rules, parsed.lines, shown)) for rules, mask in merged.items()
            ]
        return self._readable(Signal.ROBOTS, snapshot.ROBOTS, sha256, rulesets)

    @staticmethod
    def _readable(
        signal: Signal, file: str, sha256: str, rulesets: list[tuple[int, list[Stored]]]
    ) -> SourceRow:
        """A file that refuses nothing is kept all the same: it answers, so nobody else does for it."""
        return SourceRow(signal, file, sha256 if rulesets else "", "ok", rulesets)

    @staticmethod
    def _stored(
        rules: Iterable[Rule], lines: Sequence[str], shown: Callable[[str], str]
    ) -> list[Stored]:
        """Rules with the text of their line, where it is not what the rule says by itself."""
        stored: list[Stored] = []
        for pattern, allow, line in rules:
            text: str | None = None
            raw = lines[line - 1] if 0 < line <= len(lines) else ""
            if raw != ("Allow: " if allow else "Disallow: ") + pattern:
                text = shown(raw)[:500] or None
            stored.append((pattern, allow, line, text))
        return stored

    def _everywhere(
        self, signal: Signal, file: str, sha256: str, status: str, why: str
    ) -> SourceRow:
        """A source that refuses everybody everything, though no line of it says so."""
        return SourceRow(signal, file, sha256, status, [(self._everybody, [("/", False, 0, why)])])

    def _unreadable(self, signal: Signal, file: str, sha256: str) -> SourceRow:
        """A file that cannot be understood; the policy says which way it falls."""
        if self._spec.unreadable is Fall.DROP and signal in self._spec.signals:
            why = "(unreadable: the policy drops it)"
            return self._everywhere(signal, file, sha256, "unreadable", why)
        return SourceRow(signal, file, sha256, "unreadable", [])

    # -- opt-out list --------------------------------------------------------------------------

    def _add_entry(self, entry: optout_list.OptOut) -> None:
        if Signal.OPTOUT not in self._spec.signals:
            return
        target = optout_list.target(entry)
        assert target is not None
        host, rule = target
        text = f"{entry.scope} opt-out, request {entry.request_id}"
        source = SourceRow(
            Signal.OPTOUT,
            OPTOUT_LIST,
            entry.sha256,
            "ok",
            [(self._everybody, [(rule.pattern, False, entry.line, text)])],
        )
        subdomains = entry.scope == optout_list.Scope.SUBDOMAINS
        source.hosts[host, subdomains] = entry.effective.isoformat()
        self._list_sources[entry.sha256, entry.line] = source

    def _all_sources(self) -> list[SourceRow]:
        files = [s for file in self._by_body.values() for s in file.sources if s.hosts]
        speaking = [s for s in files if s.rulesets or s.status != "ok"]
        silent = [s for s in files if not s.rulesets and s.status == "ok"]
        hosts = {host for s in speaking for host, _ in s.hosts}
        for kind in sorted({(s.signal, s.file) for s in silent}):
            same = [s for s in silent if (s.signal, s.file) == kind]
            if answers := self._answers(same, hosts):
                speaking.append(answers)
        speaking.sort(key=lambda s: (s.signal, s.file, s.sha256))
        return speaking + list(self._list_sources.values())

    def _answers(self, silent: list[SourceRow], speaking: set[str]) -> SourceRow | None:
        """Files of a kind that refuse nothing, of hosts for which another would speak without them."""
        hosts: dict[tuple[str, bool], str | None] = {}
        for source in silent:
            for (host, below), day in source.hosts.items():
                others = {host.rpartition(":")[0]} if ":" in host else set()
                if self._spec.www:
                    others.add(
                        host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
                    )
                if not speaking.isdisjoint(others):
                    hosts[host, below] = day
        if not hosts:
            return None
        return SourceRow(silent[0].signal, silent[0].file, "", "ok", [], hosts)


def _listed(entry: optout_list.OptOut) -> dict[str, Any]:
    """What a refusal says of an entry of the opt-out list."""
    return {
        "rule": f"{entry.scope} opt-out, request {entry.request_id}",
        "line": entry.line,
        "date": entry.effective.isoformat(),
        "file": OPTOUT_LIST,
        "sha256": entry.sha256,
    }
