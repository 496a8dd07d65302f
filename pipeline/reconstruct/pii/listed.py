"""Phrases that people asked to have removed, as the bundle of the output filter lists them.

Only phrases are looked for: identifiers with a form of their own are scrubbed, listed or not. What is
found bears the marker of e-mail addresses and is counted with them, the commonest kind in any corpus.
A marker, a count or a reason of its own would turn a published corpus into a search engine for the
people who asked to be forgotten.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filter.bundle import Bundle
from filter.errors import BundleError
from filter.identifiers import PHRASES, IdentifierKind, Span
from filter.output_filter import OutputFilter
from filter.phrase_index import letters_of
from filter.phrases import Anchor
from filter.policy import FilterPolicy
from filter.questions import Asker
from filter.reading import read
from pipeline.errors import WrongRun
from pipeline.reconstruct.pii.markers import MARKER
from pipeline.reconstruct.pii.scrub import Scrubbed, texts_of, with_markers, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = IdentifierKind.EMAIL
"""Whose marker and count a listed phrase gets: of the tokenizer's markers the one that is met most."""
_GAP = "\n" * 13 + "x" + "\n" * 13
"""No phrase has so many separators between two letters, so none reaches across; and an @ before the
letter says nothing of what stands behind it."""
_AT_ONCE = 1 << 18
"""Octets of text that are looked through at once."""
_REMEMBERED = 1 << 16
"""Slow hashes that are kept for the next chunks."""


class ListedPhrases:
    """The phrases of a bundle. Travels to other processes as a path and is opened again there.

    Copies are the same object, so that each slow hash is computed once in a process.
    """

    def __init__(
        self, path: Path, bundle: Bundle, *, names: bool, slow_hashes: int | None = None
    ) -> None:
        """``names`` says whether names are looked for too; `open` is the usual way to get one.

        ``slow_hashes`` of one text are computed at most; what else may be listed goes undecided.
        """
        self.path = path
        self.names = names
        self.release = bundle.release
        self.content_sha256 = str(bundle.manifest["content_sha256"])
        self.is_testing = bundle.is_testing
        self.freshness = str(bundle.freshness())
        self.valid_until = bundle.valid_until
        self._slow_hashes = slow_hashes
        self._opened_at = datetime.now(UTC)
        self._filter: OutputFilter | None = self._ready(bundle)

    @classmethod
    def open(cls, path: str | Path, *, names: bool = False, slow_hashes: int | None = None) -> Self:
        """Open an operators' bundle; its content is verified.

        Raises:
            BundleError: a public bundle, one that is damaged, too new or expired, or no bundle.
            InputError: there is no such file.
        """
        bundle = Bundle.open(path, verify=True)
        if bundle.phrase_index is None:
            raise BundleError(
                f"{path} lists no phrases, as no public bundle does, and all else is scrubbed without a "
                "list: give the operators' file of the same release."
            )
        return cls(Path(path).absolute(), bundle, names=names, slow_hashes=slow_hashes)

    def described(self) -> dict[str, Any]:
        """What a run is bound to, JSON-able. Nothing in it says what the bundle lists."""
        return {
            "release": self.release,
            "content_sha256": self.content_sha256,
            "testing": self.is_testing,
        }

    def scrub(self, column: pa.Array) -> Scrubbed:
        """Replace the listed phrases of a string or large_string array, until none is left.

        Raises:
            WrongRun: the file is no longer the bundle that was opened.
            BundleError: it cannot be opened again.
        """
        rows = self.suspects(column)
        texts = (text or "" for text in texts_of(column, rows))
        waiting = dict(zip(rows, texts, strict=True))
        changed: dict[int, str] = {}
        found = 0
        while waiting:
            spans = dict(zip(waiting, self._spans(list(waiting.values())), strict=True))
            waiting = {r: with_markers(waiting[r], held) for r, held in spans.items() if held}
            changed |= waiting
            found += sum(map(len, spans.values()))
        replaced = Counter({str(LISTED): found}) if found else Counter()
        return with_texts(column, dict(sorted(changed.items())), replaced)

    def suspects(self, column: pa.Array) -> list[int]:
        """The rows of a string or large_string array that may hold a listed phrase, ascending.

        All texts are read as one.
        """
        index = self._output_filter().bundle.phrase_index
        assert index is not None
        anchors = set(Anchor) if self.names else set(Anchor) - {Anchor.WORDS}
        rows: set[int] = set()
        for first, texts in _runs(column):
            masked = [_masked(text) for text in texts]
            begins = list(accumulate((len(text) + len(_GAP) for text in masked), initial=0))
            reading = read(_GAP.join(masked))
            letters = letters_of(reading.codes)
            for hit in index.scan(letters, anchors):
                place = int(letters.places[hit.first])
                rows.add(first + bisect_right(begins, reading.span(place, place)[0]) - 1)
        return sorted(rows)

    def _spans(self, texts: list[str]) -> list[list[Span]]:
        """Where listed phrases stand, and what was not decided within the budget."""
        # A gap behind each as well: no text may be judged by its neighbours.
        redactions = self._output_filter().redact_batch([_masked(text) + _GAP for text in texts])
        return [
            [Span(*shift(m.start, m.end), LISTED, "") for m in redaction.matches]
            for shift, redaction in zip(map(_Unmasked, texts), redactions, strict=True)
        ]

    def _output_filter(self) -> OutputFilter:
        if self._filter is None:
            # By the moment at which the run began: it does not expire on the way.
            bundle = Bundle.open(self.path, verify=True, now=self._opened_at)
            if bundle.manifest["content_sha256"] != self.content_sha256:
                raise WrongRun(f"{self.path} has changed since the run began: start it again.")
            self._filter = self._ready(bundle)
        return self._filter

    def _ready(self, bundle: Bundle) -> OutputFilter:
        kinds = frozenset(PHRASES) - (frozenset() if self.names else {IdentifierKind.NAME})
        policy = FilterPolicy(name="listed phrases", kinds=kinds)
        if self._slow_hashes is not None:
            policy = replace(policy, slow_hashes=self._slow_hashes)
        output_filter = OutputFilter(bundle, policy)
        output_filter.asker = _Remembering(bundle, policy)
        return output_filter

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_filter": None}

    def __repr__(self) -> str:
        return f"ListedPhrases({self.content_sha256})"


class _Remembering(Asker):
    """Computes the slow hash of a phrase once for all chunks, not once for each."""

    def __init__(self, bundle: Bundle, policy: FilterPolicy) -> None:
        super().__init__(bundle, policy)
        self._known = lru_cache(_REMEMBERED)(super().slow_hash)

    def slow_hash(self, secret: str) -> int:
        return self._known(secret)


class _Unmasked:
    """From offsets in a masked text to those in the text."""

    def __init__(self, text: str) -> None:
        self._gaps: list[int] = []
        self._shifts = [0]
        for match in MARKER.finditer(text) if "-pii>" in text else ():
            self._gaps.append(match.start() - self._shifts[-1])
            self._shifts.append(self._shifts[-1] + len(match.group()) - len(_GAP))

    def __call__(self, start: int, end: int) -> tuple[int, int]:
        shift = self._shifts[bisect_right(self._gaps, start)]
        return start + shift, end + shift


def _masked(text: str) -> str:
    """``text`` with a gap for each marker, so that no phrase is found in one or across it."""
    return MARKER.sub(_GAP, text) if "-pii>" in text else text


def _runs(column: pa.Array) -> Iterator[tuple[int, list[str]]]:
    """The texts in their order, some at a time, each time with the row of the first."""
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(sizes, dtype=np.int64)
    first = 0
    while first < len(column):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
        rows = range(first, last)
        yield first, [text or "" for text in texts_of(column, rows)]
        first = last
