"""The tables of a report: one set of rows for HTML and Markdown alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.reconstruct.report.numbers import NOTHING, percent, whole
from pipeline.reconstruct.report.prose import kind_title, signal_name

if TYPE_CHECKING:
    from pipeline.reconstruct.report.model import Flow, LanguageFlow, Summary

LANGUAGES = 40
MONTHS = 12
RULES = 10


class Column(StrEnum):
    """What a column holds."""

    TEXT = "text"
    CODE = "code"
    """Verbatim from outside: a host, a line of a file, a name."""
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first column names the row."""

    caption: str
    head: tuple[tuple[str, Column], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """A sentence about what the table leaves out or counts twice."""


_T, _C, _N = Column


def totals(summary: Summary) -> Table:
    """Documents and tokens in, kept and dropped."""
    flow = summary.flow
    return Table(
        "Documents and tokens",
        (("", _T), ("Came in", _N), ("Stayed", _N), ("Went", _N), ("Share that went", _N)),
        tuple(
            (name, *map(whole, parts), _share(parts[2], parts[0]))
            for name, parts in (
                ("Documents", [c.documents for c in (flow.total, flow.kept, flow.dropped)]),
                ("Tokens", _tokens(flow)),
            )
        ),
        _token_note(summary),
    )


def signals(summary: Summary) -> Table:
    """Losses by signal and stock filter."""
    total = summary.flow.total.documents
    filters = " Stages of the recipe and stock filters (“filter:”) are no opt-outs."
    return Table(
        "Documents that went, by the signal that explains it",
        (("Signal", _C), ("Documents", _N), ("Share", _N), ("Tokens", _N), ("Also refused", _N)),
        tuple(
            (
                signal_name(s.signal),
                whole(s.dropped.documents),
                percent(s.dropped.documents, total),
                whole(s.dropped.tokens if s.dropped.documents else 0),
                whole(s.also),
            )
            for s in summary.signals
        ),
        "A document counts once, under the first signal that refuses it. “Also refused” counts the "
        "documents that another signal explains and this one refuses, too."
        + (filters if summary.filtered else ""),
    )


def rules(summary: Summary) -> Table:
    """The lines that decided most."""
    return Table(
        "The lines that decided most documents",
        (("Line", _C), ("Signal", _C), ("Documents", _N)),
        tuple(
            (r.rule or NOTHING, signal_name(r.signal), whole(r.documents))
            for r in summary.rules.top[:RULES]
        ),
        "Lines as they stand in the files of the sites; for requests and tags, what stands for them. "
        f"Different pairs of line and signal in all: {whole(summary.rules.distinct)}.",
    )


def months(summary: Summary) -> Table:
    """How old the deciding files are."""
    dated = [m for m in summary.months if m.month is not None]
    rows = [(m.month or "", m.documents) for m in dated[-MONTHS:]]
    if earlier := dated[:-MONTHS]:
        rows.insert(0, (f"until {earlier[-1].month}", sum(m.documents for m in earlier)))
    rows += [("no date", m.documents) for m in summary.months if m.month is None]
    return Table(
        "Documents that went, by the date of the deciding file",
        (("Month", _T), ("Documents", _N)),
        tuple((name, whole(number)) for name, number in rows),
        "The date on which the file was fetched, or from which the request is effective.",
    )


def agents(summary: Summary) -> Table:
    """Documents by disallowed agent."""
    total = summary.flow.total.documents
    rows = [(a.agent, whole(a.documents), percent(a.documents, total)) for a in summary.agents]
    rows.append((
        "(no agent named)", whole(summary.everybody), percent(summary.everybody, total),
    ))  # fmt: skip
    return Table(
        "Documents that went, by the agent that may not use them",
        (("Agent", _C), ("Documents", _N), ("Share of all", _N)),
        tuple(rows),
        "A document counts for every agent that its site disallows, so the rows do not add up. "
        "“No agent named” are signals that speak to everybody who trains."
        + (
            " Of sites that did not answer it counts for all."
            if summary.unchecked.unreachable
            else ""
        ),
    )


def hosts(summary: Summary) -> Table:
    """The hosts that lost most."""
    found = summary.hosts
    return Table(
        "The hosts that lost most documents",
        (("Host", _C), ("Came in", _N), ("Stayed", _N), ("Went", _N), ("Share that went", _N)),
        tuple(
            (h.host, *map(whole, (h.documents, h.kept, h.dropped)), percent(h.dropped, h.documents))
            for h in found.top
        ),
        f"{whole(found.losing)} of {whole(found.distinct)} hosts lost documents.",
    )


def personal_data(summary: Summary) -> Table:
    """Markers by kind."""
    return Table(
        "Markers in the texts that stayed",
        (("Kind", _T), ("Marker", _C), ("Times", _N)),
        tuple(
            (kind_title(kind), f"<{kind}-pii>", whole(number))
            for kind, number in summary.personal_data.markers.items()
        ),
    )


def unchecked_sources(summary: Summary) -> Table:
    """Files that could not be asked."""
    return _reasons("Files that could not be asked", summary.unchecked.sources)


def policy_counts(summary: Summary) -> Table:
    """Everything the policy was made of."""
    return _reasons("What the policy was made of", summary.policy.counts)


def language_name(row: LanguageFlow) -> str:
    """The language as it is shown."""
    return row.language or "(not stated)"


def _reasons(caption: str, counts: dict[str, int]) -> Table:
    return Table(
        caption,
        (("Reason", _T), ("Number", _N)),
        tuple((reason, whole(number)) for reason, number in sorted(counts.items())),
    )


def _tokens(flow: Flow) -> list[int | None]:
    """Tokens in, kept and dropped; where no document went, none of its tokens did."""
    return [
        0 if c.documents == 0 and flow.total.tokens is not None else c.tokens
        for c in (flow.total, flow.kept, flow.dropped)
    ]


def _share(part: int | None, total: int | None) -> str:
    return NOTHING if part is None or total is None else percent(part, total)


def _token_note(summary: Summary) -> str:
    if not summary.without_tokens:
        return "Tokens are counted as the corpus states them, before personal data was replaced."
    return (
        f"{whole(summary.without_tokens)} documents state no number of tokens and are missing from "
        "every count of tokens."
    )
