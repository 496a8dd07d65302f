"""The output filter over whole texts: what a bundle lists is replaced by markers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter import candidates
from filter.nv1 import BREAK
from filter.phrase_index import letters_of
from filter.policy import FilterPolicy
from filter.questions import Answer, Asker, Budget, Question, merged
from filter.reading import Reading, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from filter.bundle import Bundle
    from filter.stream import StreamFilter

CONTEXT = 2048
"""Code points of what was said before that can still matter: an identifier has at most 128 letters,
and twelve separators before each would be many."""
_BATCH = 1 << 19
"""Code points that are scanned at once."""

_LARGEST_BLOCK = 31 << 20

Match = Answer


@cache
def _keep_large_blocks() -> None:
    """Have glibc reuse freed arrays of megabytes, not return them page by page.

    It keeps blocks up to the size of the largest that it has seen freed (mallopt(3),
    M_MMAP_THRESHOLD), at most 32 MiB; this one is never touched, so it takes no memory.
    """
    np.empty(_LARGEST_BLOCK, np.uint8)


class Redaction(NamedTuple):
    """A text without what a bundle lists."""

    text: str
    matches: tuple[Match, ...]
    """What was removed: offsets into the text that was given, kind and reason; never the words."""
    slow_hashes: int
    """Distinct ones that it took."""


class OutputFilter:
    """A bundle, ready to be applied. One instance may serve any number of threads.

    Nothing of a text is kept: caches live as long as one call.
    """

    def __init__(self, bundle: Bundle, policy: FilterPolicy | None = None) -> None:
        self.bundle = bundle
        self.policy = policy or FilterPolicy()
        self.asker = Asker(bundle, self.policy)
        self._generic = None
        if self.policy.generic:
            from filter.presidio import GenericLayer

            self._generic = GenericLayer(self.policy.generic, regions=bundle.regions)

    def redact(self, text: str, context: str = "") -> Redaction:
        """Replace every listed identifier of a text.

        Args:
            text: any text.
            context: what stands directly before it and was let out already, as in another turn.
                Of an identifier that begins there, the part in ``text`` is removed.
        """
        context = context[-CONTEXT:]
        return self._redact([context + text], [len(context)])[0]

    def redact_batch(
        self,
        texts: Sequence[str],
        contexts: Sequence[str] | None = None,
        *,
        one_budget: bool = False,
    ) -> list[Redaction]:
        """The same for many texts; a slow hash is computed once for all of them.

        ``contexts`` has what stands before each, as in `redact`. With ``one_budget`` the texts share
        the budget that otherwise each of them has, in their order.
        """
        before = [""] * len(texts) if contexts is None else [c[-CONTEXT:] for c in contexts]
        joined = [context + text for context, text in zip(before, texts, strict=True)]
        budget = Budget(self.policy.slow_hashes) if one_budget else None
        return self._redact(joined, [len(context) for context in before], budget)

    def within(self, slow_hashes: int) -> OutputFilter:
        """The same filter with another budget."""
        other = copy(self)
        other.policy = replace(self.policy, slow_hashes=slow_hashes)
        return other

    def exempting(self, texts: Iterable[str], at_most: int) -> OutputFilter:
        """The same filter, but for identifiers of recognised kinds that stand whole in these texts.

        Args:
            texts: what its readers have written themselves, so that they learn nothing from it.
            at_most: distinct identifiers that are let through, the first ones; whoever writes down
                a whole list must not learn which of it is said.
        """
        kinds, regions = self.asker.recognised, self.bundle.regions
        secrets: dict[str, None] = {}
        for found in (
            candidate
            for text in texts
            for candidate in candidates.each(read_all([text])[0].text(), kinds, regions)
        ):
            if len(secrets) >= at_most:
                break
            secrets[self.bundle.secret(found.kind, found.value)] = None
        if not secrets:
            return self
        other = copy(self)
        other.asker = self.asker.exempting(list(secrets))
        return other

    def stream(self, context: str = "", *, background: Executor | None = None) -> StreamFilter:
        """A filter for text that comes in pieces.

        Args:
            context: as in `redact`.
            background: where slow hashes are computed beside the caller; in `push` without one.

        Raises:
            InputError: the policy asks for generic kinds, which need whole texts.
        """
        from filter.stream import StreamFilter

        return StreamFilter(self, context, background)

    def _redact(
        self, texts: list[str], begins: list[int], budget: Budget | None = None
    ) -> list[Redaction]:
        _keep_large_blocks()
        known: dict[str, int] = {}
        found: list[Redaction] = []
        first = 0
        while first < len(texts):
            last, size = first, 0
            while last < len(texts) and (size == 0 or size + len(texts[last]) < _BATCH):
                size += len(texts[last]) + 1
                last += 1
            found += self._redact_some(texts[first:last], begins[first:last], known, budget)
            first = last
        return found

    def _redact_some(
        self, texts: list[str], begins: list[int], known: dict[str, int], budget: Budget | None
    ) -> Iterator[Redaction]:
        readings = read_all(texts)
        asked = [
            [q for q in questions if _end(readings[n], q, len(texts[n])) > begins[n]]
            for n, questions in enumerate(self._questions(readings))
        ]
        budgets = [budget or Budget(self.policy.slow_hashes) for _ in texts]
        granted = [
            [(q, budgets[n].grants(q.secret)) for q in questions]
            for n, questions in enumerate(asked)
        ]
        self._hash({q.secret for some in granted for q, grant in some if grant}, known)
        for n, text in enumerate(texts):
            answers = [
                answer
                for q, grant in granted[n]
                if (answer := self._answer(q, readings[n], len(text), known if grant else None))
            ]
            if self._generic is not None:
                answers += (
                    answer
                    for answer in self._generic.answers(text, begins[n])
                    if not self.asker.is_exempt(answer.kind, text[answer.start : answer.end])
                )
            yield _replaced(text, begins[n], merged(answers), self.policy, budgets[n].asked)

    def _questions(self, readings: list[Reading]) -> list[list[Question]]:
        """The questions of every text, in the order in which they are asked."""
        found: list[list[Question]] = [[] for _ in readings]
        asker = self.asker
        if asker.recognised:
            for n, reading in enumerate(readings):
                text = reading.text()
                for candidate in candidates.find(text, asker.recognised, self.bundle.regions):
                    if (question := asker.of_candidate(candidate)) is not None:
                        found[n].append(question)
        index = self.bundle.phrase_index
        if index is not None:
            gap = np.array([ord(BREAK)], np.uint32)
            offsets = np.cumsum([0, *(len(reading.codes) + 1 for reading in readings)])
            codes = [part for reading in readings for part in (reading.codes, gap)]
            letters = letters_of(np.concatenate(codes) if codes else gap)
            for hit in index.scan(letters):
                place = int(letters.places[hit.first])
                n = int(np.searchsorted(offsets, place, "right")) - 1
                words = letters.codes[hit.first : hit.last + 1]
                question = asker.of_hit(
                    hit,
                    place - int(offsets[n]),
                    int(letters.places[hit.last]) - int(offsets[n]),
                    words.astype("<u4").tobytes().decode("utf-32-le"),
                )
                if question is not None:
                    found[n].append(question)
        return [sorted(set(questions)) for questions in found]

    def _hash(self, secrets: set[str], known: dict[str, int]) -> None:
        wanted = sorted(secrets - known.keys())
        if len(wanted) < 2 or self.bundle.is_testing:
            known.update((secret, self.asker.slow_hash(secret)) for secret in wanted)
            return
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            known.update(zip(wanted, pool.map(self.asker.slow_hash, wanted), strict=True))

    def _answer(
        self, question: Question, reading: Reading, size: int, known: dict[str, int] | None
    ) -> Answer | None:
        if known is not None and not self.asker.is_listed(question, known[question.secret]):
            return None
        reason = "undecided" if known is None else "listed"
        start = reading.span(question.first, question.first)[0]
        return Answer(start, _end(reading, question, size), question.kind, reason)


def _end(reading: Reading, question: Question, size: int) -> int:
    """The end of a question's stretch in the text, with the marks that combine with its last."""
    after = question.last + 1
    return reading.span(after, after)[0] if after < len(reading.codes) else size


def _replaced(
    text: str, begin: int, answers: list[Answer], policy: FilterPolicy, asked: int
) -> Redaction:
    parts: list[str] = []
    matches: list[Match] = []
    done = begin
    for answer in answers:
        if answer.end <= begin:
            continue
        start = max(answer.start, begin)
        parts += (text[done:start], policy.markers[answer.kind])
        matches.append(answer._replace(start=start - begin, end=answer.end - begin))
        done = answer.end
    parts.append(text[done:])
    return Redaction("".join(parts), tuple(matches), asked)
