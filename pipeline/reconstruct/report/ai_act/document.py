"""A summary of training content as values, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pipeline.reconstruct.report.ai_act.declared import FIELDS, Declared, Field, Value
from pipeline.reconstruct.report.tables import Table

TO_COMPLETE = "To be completed by the provider"
NOT_APPLICABLE = "Not applicable."


class Origin(StrEnum):
    """Where a statement comes from."""

    COUNTED = "counted"
    """From ledger, manifest, states and columns of the corpora."""
    DECLARED = "declared"
    """The provider says so."""
    MISSING = "missing"
    """Nobody has said anything."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry: what is asked, and the answer in paragraphs."""

    label: str
    paragraphs: tuple[str, ...]
    origin: Origin
    link: str | None = None
    """An address that belongs to it."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The name of a part of a section, from outside."""

    text: str


Block = Item | Table | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the template, or an annex."""

    number: str
    title: str
    blocks: tuple[Block, ...]
    wide: bool = False
    """With tables that want a page on its side."""

    def missing(self) -> Iterator[Item]:
        """Entries that nobody has completed."""
        for block in self.blocks:
            if isinstance(block, Item) and block.origin is Origin.MISSING:
                yield block


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the template: its sections."""

    number: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The whole summary."""

    title: str
    subject: str
    """The models, as far as they are declared."""
    alarms: tuple[str, ...]
    """What must be known before it is used; mostly empty."""
    head: Section
    parts: tuple[Part, ...]
    annexes: tuple[Section, ...]

    def missing(self) -> list[tuple[str, str]]:
        """Number of the section and label of whatever is still missing."""
        sections = [self.head, *(s for part in self.parts for s in part.sections)]
        return [(s.number, item.label) for s in sections for item in s.missing()]


def counted(label: str, *paragraphs: str, link: str | None = None) -> Item:
    """An entry that was counted."""
    return Item(label, paragraphs, Origin.COUNTED, link)


def asked(section: str, declared: Declared, skip: Sequence[str] = ()) -> list[Block]:
    """The entries of a section that the provider declares, or still has to."""
    fields = (f for f in FIELDS if f.section == section and f.name not in skip)
    return [item for field in fields if (item := _answer(field, declared)) is not None]


def _answer(field: Field, declared: Declared) -> Item | None:
    value = declared.get(field.name)
    if value is not None:
        return Item(field.label, _paragraphs(value), Origin.DECLARED)
    if declared.asked(field):
        return Item(field.label, (), Origin.MISSING)
    if field.needs and all(declared.get(f"{field.table}.{key}") is False for key in field.needs):
        return Item(field.label, (NOT_APPLICABLE,), Origin.DECLARED)
    return None


def _paragraphs(value: Value) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("Yes." if value else "No.",)
    if isinstance(value, date):
        return (value.isoformat(),)
    texts = value if isinstance(value, list) else value.splitlines()
    return tuple(text.strip() for text in texts if text.strip())
