"""Section 3 of the summary: reserved rights, unlawful content, and the rest."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.reconstruct.report import prose
from pipeline.reconstruct.report.ai_act.declared import Declared
from pipeline.reconstruct.report.ai_act.document import (
    Block,
    Heading,
    Part,
    Section,
    asked,
    counted,
)
from pipeline.reconstruct.report.ai_act.evidence import Corpus, Evidence
from pipeline.reconstruct.report.model import Summary
from pipeline.reconstruct.report.numbers import counted as number_of
from pipeline.reconstruct.report.numbers import percent, whole
from pipeline.reconstruct.report.tables import Column, Table, personal_data


def processing(evidence: Evidence, declared: Declared) -> Part:
    """Sections 3.1 to 3.3."""
    return Part(
        "3",
        "Processing of the data",
        (
            Section("3.1", "Reserved rights and opt-outs", tuple(_rights(evidence, declared))),
            Section("3.2", "Unlawful content", tuple(_removal(evidence, declared))),
            Section("3.3", "Further information", tuple(_further(evidence, declared))),
        ),
    )


def _rights(evidence: Evidence, declared: Declared) -> list[Block]:
    blocks = asked("3.1", declared)
    for corpus in evidence.corpora:
        blocks += [Heading(corpus.name), *_opt_outs(corpus, evidence)]
    return blocks


def _opt_outs(corpus: Corpus, evidence: Evidence) -> list[Block]:
    summary, policy = corpus.summary, corpus.summary.policy
    gone, total = summary.flow.dropped.documents, summary.flow.total.documents
    nobody = summary.unchecked
    notes = []
    if nobody.unreachable:
        number = number_of(nobody.unreachable, "document")
        notes.append(f"{number} went because their site did not answer (RFC 9309, 2.3.1.4).")
    if nobody.unasked:
        number = number_of(nobody.unasked, "document")
        notes.append(f"{number} went because no site could be asked.")
    return [
        counted(
            "Opted out",
            f"{number_of(summary.opted_out, 'document')} of {whole(total)} "
            f"({percent(summary.opted_out, total)}) were left out because somebody had opted out.",
            *notes,
        ),
        counted(
            "Policy",
            f"{policy.name}, version {policy.version}: every opt-out in force on {policy.as_of}, also "
            "those that were made after the crawl.",
        ),
        counted("User agents", ", ".join(policy.agents) or "None."),
        *([evidence.captioned(corpus, signals(summary))] if gone or policy.signals else []),
        counted("What could not be asked", prose.no_url(summary), prose.sources(summary)),
    ]


def signals(summary: Summary) -> Table:
    """Every protocol that is honoured, also those that nobody used, with what it left out."""
    losses = {loss.signal: loss for loss in summary.signals}
    rows = []
    for name, title in prose.signals_asked(summary):
        loss = losses.get(name)
        dropped = loss.dropped if loss else None
        rows.append(
            (
                name,
                title,
                whole(dropped.documents if dropped else 0),
                whole(dropped.tokens if dropped and dropped.documents else 0),
                whole(loss.also if loss else 0),
            )
        )
    number = Column.NUMBER
    return Table(
        "Opt-out protocols that were honoured, with what each of them left out",
        (
            ("Signal", Column.CODE),
            ("What it says", Column.TEXT),
            ("Documents", number),
            ("Tokens", number),
            ("Also refused", number),
        ),
        tuple(rows),
        "A document counts once, under the first signal that refuses it. “Also refused” counts the "
        "documents that another signal explains and this one refuses, too.",
    )


def _removal(evidence: Evidence, declared: Declared) -> list[Block]:
    blocks = asked("3.2", declared)
    blocks.append(Heading("Personal data in the texts"))
    for corpus in evidence.corpora:
        blocks.append(counted(corpus.name, prose.personal_data(corpus.summary)))
        if corpus.summary.personal_data.markers:
            blocks.append(evidence.captioned(corpus, personal_data(corpus.summary)))
    return blocks


def _further(evidence: Evidence, declared: Declared) -> list[Block]:
    return [
        *asked("3.3", declared),
        counted(
            "How the figures were made",
            "What is marked as counted was counted by Lethe in the corpora themselves: from their "
            "ledgers, which have one row for every document of the sources, kept or left out, with "
            "the reason. Annex C says which runs these are; everybody who has them can repeat every "
            "figure.",
        ),
        counted("What the figures do not say", *_limits([c.summary for c in evidence.corpora])),
    ]


def _limits(summaries: Sequence[Summary]) -> list[str]:
    """What is not caught, each sentence once, however many corpora there are."""
    found = (
        f"{heading}: {text}"
        for summary in summaries
        for heading, text in prose.not_caught(summary).items()
        if heading not in {"The law", "Models already trained"}
    )
    return list(dict.fromkeys(found))
