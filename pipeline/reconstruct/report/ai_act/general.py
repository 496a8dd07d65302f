"""Section 1 of the summary: provider, model, and the training data as a whole."""

from __future__ import annotations

from pipeline.reconstruct.report.ai_act.declared import Declared
from pipeline.reconstruct.report.ai_act.document import (
    Block,
    Item,
    Origin,
    Part,
    Section,
    asked,
    counted,
)
from pipeline.reconstruct.report.ai_act.evidence import Evidence, added
from pipeline.reconstruct.report.model import Count
from pipeline.reconstruct.report.numbers import NOTHING, percent, whole
from pipeline.reconstruct.report.numbers import counted as number_of
from pipeline.reconstruct.report.tables import LANGUAGES, Column, Table

_BILLION = 10**9
_LATEST = "content.latest"


def general(evidence: Evidence, declared: Declared) -> Part:
    """Sections 1.1 to 1.3."""
    return Part(
        "1",
        "General information",
        (
            Section("1.1", "Provider", tuple(asked("1.1", declared))),
            Section("1.2", "Model", tuple(asked("1.2", declared))),
            Section("1.3", "Training data as a whole", tuple(_data(evidence, declared))),
        ),
    )


def _data(evidence: Evidence, declared: Declared) -> list[Block]:
    return [
        counted("Modality", "Text."),
        counted("Size", *_size(evidence)),
        _latest(evidence, declared),
        *asked("1.3", declared, skip=(_LATEST,)),
        counted("Languages", _languages(evidence)),
        *([languages(evidence)] if evidence.kept.documents else []),
    ]


def band(tokens: int) -> str:
    """The range of the template for text that a number of tokens falls into."""
    if tokens < _BILLION:
        return "less than 1 billion tokens"
    if tokens <= 10_000 * _BILLION:
        return "1 billion to 10 trillion tokens"
    return "more than 10 trillion tokens"


def _size(evidence: Evidence) -> list[str]:
    kept = evidence.kept
    documents = number_of(kept.documents, "document")
    if kept.tokens is None:
        return [f"{documents}. The corpora do not state numbers of tokens."]
    said = [
        f"{band(kept.tokens).capitalize()}: {number_of(kept.tokens, 'token')} in {documents}.",
        (
            "Counted is what stayed, each document once, with the tokens that the corpora state. How "
            "often a model has seen it is not counted."
        ),
    ]
    if evidence.without_tokens:
        missing = number_of(evidence.without_tokens, "document")
        said.append(f"{missing} of the sources bear no number of tokens and add none to this size.")
    return said


def _latest(evidence: Evidence, declared: Declared) -> Item:
    """From the dates of the documents; a provider may know a later one."""
    found = evidence.acquired
    label = "Latest date of acquisition"
    said = declared.get(_LATEST)
    if found.last is None:
        unknown = "The documents bear no dates."
        if said is None:
            return Item(label, (unknown,), Origin.MISSING)
        return Item(label, (str(said), unknown), Origin.DECLARED)
    dated = f"{whole(found.dated)} of {number_of(found.documents, 'document')}"
    counts = f"{found.last}: the latest of the dates that {dated} bear."
    if said is not None and str(said) > found.last:
        return Item(label, (str(said), f"Of the data counted here: {counts}"), Origin.DECLARED)
    return counted(label, counts)


def _languages(evidence: Evidence) -> str:
    found = evidence.languages
    known = sum(1 for language, _ in found if language is not None)
    text = f"{number_of(known, 'language')}, as the corpora state them."
    unstated = added(count for language, count in found if language is None)
    if unstated.documents:
        text += f" {number_of(unstated.documents, 'document')} state none."
    return text


def languages(evidence: Evidence) -> Table:
    """What stayed by language, with shares."""
    total, found = evidence.kept, evidence.languages
    rows = [_row(name or "(not stated)", count, total) for name, count in found[:LANGUAGES]]
    if rest := found[LANGUAGES:]:
        rows.append(_row(f"({len(rest)} more)", added(count for _, count in rest), total))
    number = Column.NUMBER
    return Table(
        "Languages of the training data",
        (
            ("Language", Column.CODE),
            ("Documents", number),
            ("Share", number),
            ("Tokens", number),
            ("Share of tokens", number),
        ),
        tuple(rows),
    )


def _row(name: str, count: Count, total: Count) -> tuple[str, ...]:
    tokens = NOTHING
    if count.tokens is not None and total.tokens is not None:
        tokens = percent(count.tokens, total.tokens)
    return (
        name,
        whole(count.documents),
        percent(count.documents, total.documents),
        whole(count.tokens),
        tokens,
    )
