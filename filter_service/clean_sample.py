"""Text that holds nobody's data, and how often an identifier would be removed from it.

The built-in sample is prose of our own in German, French, Italian, Romansh and English. An installation
may give a larger one: a text file, or JSON Lines with a field ``text``. Whoever gives it says that no
personal data are in it; places of hits are shown to reviewers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

from filter.bundle import Bundle
from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.output_filter import OutputFilter
from filter.policy import FilterPolicy

LARGEST = 64 << 20
"""Octets of a sample at most; ten million characters are scanned in about a second."""
CONTEXTS = 5
"""Places of hits that are shown at most."""
AROUND = 40
"""Characters shown on each side of a hit."""
_CHUNK = 1 << 17
"""Characters of a text file that are scanned as one text, up to the end of a line."""
_UNLIMITED = 1 << 62
_RELEASE = "2000.1.0"
"""Of bundles that never leave this process."""


class UnusableSample(InputError):
    """A sample of clean text that cannot be read."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What an identifier would remove from a sample."""

    count: int
    characters: int
    """Of the whole sample."""
    contexts: tuple[str, ...] = field(repr=False)
    """Some of the places, each with what stands around it."""

    @property
    def per_million(self) -> float:
        """Hits per million characters."""
        return 1e6 * self.count / self.characters


def filter_of(kind: IdentifierKind, text: str, regions: Collection[str]) -> OutputFilter:
    """A filter that lists one identifier, with its variants, and hides nothing.

    Raises:
        InputError: it cannot be listed; the message does not hold it.
    """
    bundle = Bundle.build([(kind, text)], release=_RELEASE, kdf="testing", regions=regions)
    return OutputFilter(bundle, FilterPolicy(kinds=frozenset({kind}), slow_hashes=_UNLIMITED))


@dataclass(frozen=True)
class CleanSample:
    """A sample in memory."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a sample in which nothing could be found.

        Raises:
            UnusableSample: there is no text in it.
        """
        if not any(map(str.strip, self.texts)):
            raise UnusableSample("This sample of clean text is empty: give one with text in it.")

    @property
    def characters(self) -> int:
        """Code points of all texts."""
        return sum(map(len, self.texts))

    @classmethod
    def read(cls, path: Path) -> Self:
        """A sample from a file: JSON Lines where its name ends in ``.jsonl``, plain text otherwise.

        Raises:
            UnusableSample: it cannot be read, is too large, no UTF-8, or a line has no ``text``.
        """
        try:
            if path.stat().st_size > LARGEST:
                raise UnusableSample(
                    f"{path} has more than {LARGEST >> 20} MiB: give a smaller sample of text."
                )
            text = path.read_text("utf-8")
        except OSError:
            raise UnusableSample(f"{path} cannot be read: give a file of clean text.") from None
        except UnicodeDecodeError:
            raise UnusableSample(f"{path} is not UTF-8: convert it.") from None
        pieces = _records(path, text) if path.suffix == ".jsonl" else _chunks(text)
        return cls(tuple(pieces))

    def hits(self, output_filter: OutputFilter) -> Hits:
        """What a filter removes from the sample."""
        count = 0
        contexts: dict[str, None] = {}
        redactions = output_filter.redact_batch(self.texts)
        for text, redaction in zip(self.texts, redactions, strict=True):
            count += len(redaction.matches)
            for match in redaction.matches:
                if len(contexts) < CONTEXTS:
                    around = text[max(0, match.start - AROUND) : match.end + AROUND]
                    contexts[" ".join(around.split())] = None
        return Hits(count, self.characters, tuple(contexts))


def _records(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise UnusableSample(f'{path}, line {number}: write {{"text": "..."}} on each line.')
        yield found


def _chunks(text: str) -> Iterator[str]:
    first = 0
    while first < len(text):
        end = text.find("\n", first + _CHUNK) + 1 or len(text)
        yield text[first:end]
        first = end


@cache
def builtin() -> CleanSample:
    """The sample that comes with the package."""
    text = (files("filter_service") / "data" / "clean_sample.txt").read_text("utf-8")
    return CleanSample(tuple(_chunks(text)))
