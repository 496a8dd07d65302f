"""From an output folder to the figures of a report."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from pipeline.errors import UnreadableFile
from pipeline.optout.signals import Signal
from pipeline.reconstruct.counts import Sum
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.report.counts import LedgerCounts
from pipeline.reconstruct.report.model import (
    AgentLoss,
    Count,
    Flow,
    HostLoss,
    Hosts,
    LanguageFlow,
    MonthLoss,
    PersonalData,
    RuleLoss,
    Rules,
    Run,
    SignalCount,
    SignalLoss,
    Summary,
    Unchecked,
)
from pipeline.reconstruct.report.records import (
    Input,
    State,
    read_manifest,
    read_state,
)

TOP_HOSTS = 50
TOP_RULES = 20
_NAMED_MISSING = 10
_ORDER = {str(signal): i for i, signal in enumerate(Signal)}
_UNCHECKED = re.compile(r"unreachable|unreadable|unknown|not a host")
"""Reasons of a policy's counts that mean: this source could not be asked."""


def summarise(root: str | Path, *, lists: bool = True) -> Summary:
    """All figures of the run in the output folder ``root``: a path, or a URL that fsspec knows.

    Memory grows with the number of languages, signals and agents, not of documents, hosts or rules.
    A run that is not finished is summarised as far as it is, and says so in ``run.missing``. Without
    ``lists`` the hosts and rules are left out, and no ledger is opened: the states have all the rest.

    Raises:
        UnreadableFile: a file is missing, damaged, or at odds with another one.
        WrongColumns: a ledger without the columns of this version.
        WrongVersion: another version of Lethe wrote the run.
    """
    folder = Folder(str(root))
    manifest = read_manifest(folder)
    scrubbed = 0
    markers: Counter[str] = Counter()
    missing = []
    with LedgerCounts.open() as counts:
        for file in manifest.inputs:
            state = read_state(folder, file.name)
            if state is None:
                missing.append(file.name)
                continue
            if lists or state.counts is None:
                found = counts.add_file(folder, f"ledger/{file.name}")
            else:
                counts.plus(state.counts)
                found = state.rows_in, state.rows_out
            _check(folder, file, state, found)
            scrubbed += state.documents_scrubbed
            markers.update(state.markers)
        flow = _flow([(kept, held) for (_, kept), held in counts.languages.items()])
        return Summary(
            run=Run(
                fingerprint=manifest.fingerprint,
                engine_version=manifest.engine_version,
                input=public_root(manifest.root),
                pii=manifest.pii,
                steps=manifest.steps,
                limit=manifest.limit,
                removed=manifest.removed,
                bundle=manifest.bundle,
                unpublished=manifest.unpublished,
                files=len(manifest.inputs),
                missing=len(missing),
                first_missing=tuple(missing[:_NAMED_MISSING]),
            ),
            dataset=manifest.dataset,
            policy=manifest.policy,
            flow=flow,
            without_tokens=flow.total.documents
            - sum(held.counted for held in counts.languages.values()),
            languages=_languages(counts),
            signals=_signals(counts),
            agents=_agents(counts, manifest.policy.agents),
            everybody=counts.everybody,
            hosts=_hosts(counts),
            rules=_rules(counts),
            months=tuple(
                MonthLoss(month, n)
                for month, n in sorted(
                    counts.months.items(), key=lambda m: (m[0] is None, m[0] or "")
                )
            ),
            unchecked=Unchecked(
                no_host=_flow(list(counts.no_host.items())),
                unasked=counts.unasked,
                unreachable=counts.unreachable,
                sources={k: n for k, n in manifest.policy.counts.items() if _UNCHECKED.search(k)},
            ),
            personal_data=PersonalData(
                mode=manifest.pii,
                documents=scrubbed,
                markers=dict(sorted(markers.items())),
            ),
        )


def public_root(root: str) -> str:
    """Where the input lies, as it may be published.

    Of a URL what leads to the files, without user, password, query and fragment, which carry keys;
    of a local path the last part, because the rest names a machine and often a person.
    """
    scheme, separator, rest = root.partition("://")
    if not separator or scheme == "file":
        return Path(rest or root).name or "input"
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = place.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _check(folder: Folder, file: Input, state: State, found: tuple[int, int]) -> None:
    """Every document must be accounted for, once: a report never papers over a gap."""
    rows, kept = found
    if (rows, kept) != (state.rows_in, state.rows_out):
        raise UnreadableFile(
            f"{folder.root}/ledger/{file.name} has {rows} documents of which {kept} stayed, its "
            f"state says {state.rows_in} and {state.rows_out}: delete both and run again."
        )
    if file.rows != rows:
        raise UnreadableFile(
            f"{folder.root}/ledger/{file.name} has {rows} documents instead of {file.rows}: "
            "delete its state and run again."
        )


def _flow(parts: list[tuple[bool, Sum]]) -> Flow:
    """What stayed and what did not, out of sums with whether they stayed."""
    total, kept, dropped = Sum(), Sum(), Sum()
    for stays, part in parts:
        for into in (total, kept if stays else dropped):
            into.plus(part)
    return Flow(_count(total), _count(kept), _count(dropped))


def _count(held: Sum) -> Count:
    return Count(held.documents, held.tokens if held.counted else None)


def _languages(counts: LedgerCounts) -> tuple[LanguageFlow, ...]:
    flows = [
        LanguageFlow(
            language,
            _flow(
                [
                    (kept, held)
                    for (name, kept), held in counts.languages.items()
                    if name == language
                ]
            ),
            _signals_of(counts, language),
        )
        for language in dict.fromkeys(name for name, _ in counts.languages)
    ]
    return tuple(sorted(flows, key=lambda f: (-f.flow.total.documents, f.language or "")))


def _signals_of(counts: LedgerCounts, language: str | None) -> tuple[SignalCount, ...]:
    found = {s: held for (name, s), held in counts.losses.items() if name == language}
    return tuple(SignalCount(s, _count(found[s])) for s in sorted(found, key=by_precedence))


def by_precedence(signal: str | None) -> tuple[bool, int, str]:
    """Signals in their order of precedence, then stages and filters, then what has no reason."""
    return signal is None, _ORDER.get(signal or "", len(_ORDER)), signal or ""


def _signals(counts: LedgerCounts) -> tuple[SignalLoss, ...]:
    signals = counts.signals
    names = {*signals, *counts.also}
    return tuple(
        SignalLoss(s, _count(signals.get(s, Sum())), counts.also.get(s or "", 0))
        for s in sorted(names, key=by_precedence)
    )


def _agents(counts: LedgerCounts, asked: tuple[str, ...]) -> tuple[AgentLoss, ...]:
    """Every agent of the policy, also those that nobody disallows, by documents."""
    losses = [AgentLoss(a, counts.agents[a]) for a in dict.fromkeys([*asked, *counts.agents])]
    return tuple(sorted(losses, key=lambda loss: -loss.documents))


def _hosts(counts: LedgerCounts) -> Hosts:
    top = counts.hosts.top(TOP_HOSTS, by="dropped")
    return Hosts(top.distinct, top.positive, tuple(HostLoss(**row) for row in top.rows))


def _rules(counts: LedgerCounts) -> Rules:
    top = counts.rules.top(TOP_RULES, by="documents")
    return Rules(top.distinct, tuple(RuleLoss(**row) for row in top.rows))
