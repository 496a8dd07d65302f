"""What listing an identifier would do: the spellings that it would catch, the clean text that it would harm.

Nothing is guessed: a filter that lists this one identifier is built and applied, to spellings made of it and to
a sample of text that holds nobody's data. A preview holds personal data: show it to whom the identifier
belongs and to reviewers, never log or store it. Its ``repr`` shows nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from filter.canonical import kind_of
from filter.identifiers import IdentifierKind
from filter.output_filter import OutputFilter
from filter_service import clean_sample
from filter_service.clean_sample import CleanSample, Hits
from filter_service.spellings import How, spellings

__all__ = ["Caught", "How", "Preview", "preview"]

_BEFORE, _BEHIND = "They wrote: ", " - and so on."


@dataclass(frozen=True, slots=True)
class Caught:
    """One spelling, and whether the filter removes the whole of it."""

    how: How
    text: str = field(repr=False)
    caught: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What listing one identifier would do."""

    spellings: tuple[Caught, ...]
    harm: Hits
    """What it would remove from clean text."""

    @property
    def caught(self) -> tuple[Caught, ...]:
        """The spellings that would be removed."""
        return tuple(one for one in self.spellings if one.caught)

    @property
    def missed(self) -> tuple[Caught, ...]:
        """The spellings that would stay, in part or whole."""
        return tuple(one for one in self.spellings if not one.caught)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``spellings`` (how, text, caught), ``harm`` (count, characters, ...); personal."""
        return {
            "spellings": [
                {"how": one.how.value, "text": one.text, "caught": one.caught}
                for one in self.spellings
            ],
            "harm": {
                "count": self.harm.count,
                "characters": self.harm.characters,
                "per_million": self.harm.per_million,
                "contexts": list(self.harm.contexts),
            },
        }


def preview(
    kind: IdentifierKind | str,
    text: str,
    regions: Collection[str] = ("CH",),
    *,
    sample: CleanSample | None = None,
) -> Preview:
    """What listing one identifier would do.

    Args:
        kind: its kind.
        text: as a person wrote it.
        regions: where telephone numbers without country code are at home (ISO 3166-1).
        sample: clean text; the built-in one by default.

    Raises:
        UnknownKind: there is no such kind.
        InputError: it cannot be listed at all; the message does not hold it.
    """
    kind = kind_of(kind)
    output_filter = clean_sample.filter_of(kind, text, regions)
    shown = tuple(
        Caught(how, written, _is_caught(output_filter, written, part))
        for how, written, part in spellings(kind, text, regions)
    )
    return Preview(shown, (sample or clean_sample.builtin()).hits(output_filter))


def _is_caught(output_filter: OutputFilter, written: str, part: str) -> bool:
    """Whether every letter and digit of ``part`` goes when ``written`` stands in a sentence."""
    start = len(_BEFORE) + written.index(part)
    kept = set(range(start, start + len(part)))
    sentence = f"{_BEFORE}{written}{_BEHIND}"
    for match in output_filter.redact(sentence).matches:
        kept -= set(range(match.start, match.end))
    return not any(sentence[at].isalnum() for at in kept)
