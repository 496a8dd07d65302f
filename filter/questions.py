"""Questions that only a slow hash can answer, and what the answers make of a text.

Both paths, whole texts and streams, ask the same questions in the same order, by where they end, and
hand the answers to the same `Clusters`. So a budget falls on the same candidate in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from filter.canonical import Canonical, canonicalize, comparable
from filter.errors import InputError
from filter.identifiers import PHRASES, IdentifierKind
from filter.phrases import ANCHOR_OF, secret
from filter.variants import variants

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filter.bundle import Bundle
    from filter.candidates import Candidate
    from filter.phrase_index import Hit
    from filter.policy import FilterPolicy


class Question(NamedTuple):
    """Whether one stretch of a reading is listed. Sorts in the order in which it is asked."""

    last: int
    """The last character of the reading that belongs to it."""
    first: int
    kind: IdentifierKind
    secret: str
    """What the slow hash is taken of."""
    code: int
    """What its upper 16 bits must be for a phrase; -1 where the codes of the kind are asked."""


class Answer(NamedTuple):
    """A stretch of a text that must go: offsets in code points."""

    start: int
    end: int
    kind: IdentifierKind
    reason: str
    """``listed``, ``undecided`` (beyond the budget), ``truncated`` (cut off, perhaps listed) or
    ``generic`` (looks like one)."""


class Asker:
    """Which questions to ask of a bundle under a policy, and what counts as yes."""

    def __init__(
        self, bundle: Bundle, policy: FilterPolicy, exempt: frozenset[str] = frozenset()
    ) -> None:
        self.bundle = bundle
        self._policy = policy
        self.recognised = bundle.kinds & policy.kinds
        self.kinds = policy.kinds
        self._exempt = exempt.union(
            secret for kind, text in policy.exempt for secret in _exempt_secrets(bundle, kind, text)
        )

    def exempting(self, secrets: Iterable[str]) -> Asker:
        """The same questions but those of which the slow hash would be taken of one of these."""
        return Asker(self.bundle, self._policy, self._exempt.union(secrets))

    def of_candidate(self, candidate: Candidate) -> Question | None:
        """The question of a recognised kind; `None` where it is exempt."""
        secret = self.bundle.secret(candidate.kind, candidate.value)
        if secret in self._exempt:
            return None
        return Question(candidate.last, candidate.first, candidate.kind, secret, -1)

    def of_hit(self, hit: Hit, first: int, last: int, letters: str) -> Question | None:
        """The question of a phrase; `None` where its kind is off or it is exempt."""
        text = secret(hit.anchor, letters)
        if hit.kind not in self.kinds or text in self._exempt:
            return None
        return Question(last, first, hit.kind, text, hit.code)

    def is_exempt(self, kind: IdentifierKind, text: str) -> bool:
        """Whether a text is an exempt identifier of a recognised kind."""
        try:
            value = comparable(kind, canonicalize(kind, text, self.bundle.regions))
        except InputError:
            return False
        return self.bundle.secret(kind, value) in self._exempt

    def is_listed(self, question: Question, slow: int) -> bool:
        """Whether the slow hash of a question says yes."""
        if question.code < 0:
            return self.bundle.lists(question.kind, slow)
        return slow >> 16 == question.code

    def slow_hash(self, secret: str) -> int:
        """The slow hash itself."""
        return self.bundle.kdf.hash(self.bundle.salt, secret)


def _exempt_secrets(bundle: Bundle, kind: IdentifierKind, text: str) -> list[str]:
    if kind in PHRASES:
        return [secret(ANCHOR_OF[kind], phrase) for phrase in variants(kind, text)]
    return [bundle.secret(kind, comparable(kind, Canonical(text)))]


class Budget:
    """Distinct slow hashes of one text, in the order in which they are asked for."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._known: set[str] = set()
        self.asked = 0
        """Distinct ones granted."""
        self.undecided = 0
        """Questions that came too late."""

    def close(self) -> None:
        """Grant nothing new."""
        self._left = 0

    def grants(self, secret: str) -> bool:
        """Whether this one may still be hashed; one that was before is free."""
        if secret in self._known:
            return True
        if self._left == 0:
            self.undecided += 1
            return False
        self._left -= 1
        self.asked += 1
        self._known.add(secret)
        return True


_REASONS = ("listed", "undecided", "truncated", "generic")
"""Of two that overlap the first is told."""
_ORDER = {kind: number for number, kind in enumerate(IdentifierKind)}


def merged(answers: Iterable[Answer]) -> list[Answer]:
    """Answers that overlap become one, of the kind of the first and longest among them."""
    found: list[Answer] = []
    for answer in sorted(answers, key=lambda a: (a.start, -a.end, _ORDER[a.kind], a.reason)):
        if found and answer.start < found[-1].end:
            last = found[-1]
            reason = min(last.reason, answer.reason, key=_REASONS.index)
            found[-1] = last._replace(end=max(last.end, answer.end), reason=reason)
        else:
            found.append(answer)
    return found
