"""The public summary of training content that the EU AI Act asks for, out of rebuilt corpora.

Regulation (EU) 2024/1689, Article 53(1)(d), in the order of the template of the AI Office, C(2025)
8311. What the corpora know is counted; what only the provider knows is declared or marked as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UnknownName
from pipeline.reconstruct.report import prose
from pipeline.reconstruct.report.ai_act import html, markdown
from pipeline.reconstruct.report.ai_act.annexes import annexes, where
from pipeline.reconstruct.report.ai_act.declared import NOTHING_DECLARED, Declared
from pipeline.reconstruct.report.ai_act.document import Document, Section, asked
from pipeline.reconstruct.report.ai_act.domains import TOP, Domains, Share
from pipeline.reconstruct.report.ai_act.evidence import Evidence, gathered
from pipeline.reconstruct.report.ai_act.general import general
from pipeline.reconstruct.report.ai_act.processing import processing
from pipeline.reconstruct.report.ai_act.sources import sources

FORMATS = ("ai-act", "ai-act-html")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The summary as text, and what goes with it."""

    text: str
    domains: Domains
    missing: tuple[tuple[str, str], ...]
    """Section and label of what the provider still has to complete."""


def training_summary(
    roots: Sequence[str | Path],
    format: str = "ai-act",  # noqa: A002  (the option's own name)
    *,
    declared: Declared = NOTHING_DECLARED,
    share: Share = TOP,
    domains_file: str | None = None,
) -> Rendered:
    """The summary over the corpora in the output folders ``roots``, in one of `FORMATS`.

    ``domains_file`` is the name of the file with all listed domain names; without one, all of them
    stand in the document.

    Raises:
        UnknownName: no such format.
        InputError: what `pipeline.reconstruct.report.ai_act.evidence.gathered` raises.
        MissingExtra: the format needs a package that is not installed.
    """
    if format not in FORMATS:
        raise UnknownName(f"There is no format {format!r}: use one of {', '.join(FORMATS)}.")
    evidence = gathered(roots, share)
    made = document(evidence, declared, domains_file)
    render = html.render if format == "ai-act-html" else markdown.render
    return Rendered(render(made), evidence.domains, tuple(made.missing()))


def document(evidence: Evidence, declared: Declared, domains_file: str | None) -> Document:
    """The summary as values."""
    names = declared.get("model.names")
    return Document(
        title="Public summary of training content",
        subject=", ".join(names) if isinstance(names, list) else "",
        alarms=tuple(_alarms(evidence)),
        head=Section("", "This document", tuple(asked("", declared))),
        parts=(
            general(evidence, declared),
            sources(evidence, declared, where(evidence, domains_file)),
            processing(evidence, declared),
        ),
        annexes=annexes(evidence, domains_file),
    )


def _alarms(evidence: Evidence) -> list[str]:
    return [
        f"{corpus.name}: {alarm}"
        for corpus in evidence.corpora
        for alarm in prose.alarms(corpus.summary)
    ]
