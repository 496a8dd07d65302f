"""The summary of training content as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.reconstruct.report.ai_act.document import (
    TO_COMPLETE,
    Document,
    Heading,
    Item,
    Origin,
    Section,
)
from pipeline.reconstruct.report.markdown import table
from pipeline.reconstruct.report.tables import Table
from pipeline.reconstruct.report.text import markdown

LONGEST = 20_000
"""Characters of a paragraph; what a provider declares is not shortened unless it is absurd."""
LEGAL = (
    "Regulation (EU) 2024/1689, Article 53(1)(d), in the order of the template of the AI Office, "
    "C(2025) 8311."
)
LEGEND = (
    "“Counted” is what Lethe counted in the corpora. “Declared” is what the provider says. What is "
    "neither is marked, and listed at the end."
)


def render(document: Document) -> str:
    """The whole document."""
    return "\n\n".join(_parts(document)) + "\n"


def _parts(document: Document) -> Iterator[str]:
    missing = document.missing()
    yield f"# {markdown(document.title)}"
    if document.subject:
        yield f"**{markdown(document.subject, LONGEST)}**"
    yield markdown(LEGAL)
    yield from (f"> **Attention.** {markdown(alarm, LONGEST)}" for alarm in document.alarms)
    if missing:
        yield f"> **{_incomplete(len(missing))}**"
    yield markdown(LEGEND)
    yield from _blocks(document.head)
    for part in document.parts:
        yield f"## {part.number}. {markdown(part.title)}"
        for section in part.sections:
            yield f"### {section.number} {markdown(section.title)}"
            yield from _blocks(section)
    for annex in document.annexes:
        yield f"## {annex.number}: {markdown(annex.title)}"
        yield from _blocks(annex)
    yield "## What is still missing"
    if missing:
        yield "\n".join(f"- {number or 'Head'}: {markdown(label)}" for number, label in missing)
    else:
        yield "Nothing: every entry is counted or declared."


def _incomplete(count: int) -> str:
    entries = "1 entry is" if count == 1 else f"{count} entries are"
    return f"{entries} still to be completed by the provider. This is a draft."


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if isinstance(block, Table):
            yield table(block)
        elif isinstance(block, Heading):
            yield f"#### {markdown(block.text)}"
        else:
            yield _item(block)


def _item(item: Item) -> str:
    label = f"**{markdown(item.label)}**"
    paragraphs = [markdown(paragraph, LONGEST) for paragraph in item.paragraphs]
    if item.link is not None:
        paragraphs.append(markdown(item.link))
    if item.origin is Origin.MISSING:
        paragraphs.append(f"**[ {TO_COMPLETE} ]**")
        return f"{label}: " + "\n\n".join(paragraphs)
    first, *rest = paragraphs
    return "\n\n".join([f"{label} ({item.origin}): {first}", *rest])
