"""Ordered path rules: the one shape into which every path-scoped signal is compiled.

A rule is a robots.txt path pattern (RFC 9309, section 2.2.3): a prefix, in which ``*`` stands for any
run of characters and a final ``$`` anchors the end. In a `RuleSet` the *first* matching rule decides,
so that each signal brings its own precedence (longest match for robots.txt, order of the file for
TDMRep) as an order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Rule(NamedTuple):
    """One line of a source that allows or refuses the paths its pattern matches."""

    pattern: str
    """Path and query, percent-encoded ASCII; ``*`` is a wildcard, a final ``$`` an anchor."""
    allow: bool
    line: int
    """1-based line of the source, 0 where the source has no lines."""


def matches(pattern: str, path: str) -> bool:
    """Whether ``path`` (path and query, starting with ``/``) is matched by ``pattern``.

    Linear in the length of ``path`` for each literal piece: pieces are found leftmost first and never
    tried again, which is enough because a wildcard may swallow anything.
    """
    anchored = pattern.endswith("$")
    pieces = (pattern[:-1] if anchored else pattern).split("*")
    first = pieces[0]
    if not path.startswith(first):
        return False
    if len(pieces) == 1:
        return len(path) == len(first) if anchored else True
    at = len(first)
    for piece in pieces[1:-1]:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    last = pieces[-1]
    if anchored:
        return len(path) - len(last) >= at and path.endswith(last)
    return path.find(last, at) >= 0


_LOOKED_UP_FROM = 64
"""From this many rules on, prefixes are looked up by their length instead of one after the other."""


class RuleSet:
    """Rules in order of precedence: the first one that matches decides."""

    __slots__ = ("_index", "_pieces", "_plain", "_prefixes", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._plain: list[bool] = []
        prefixes = []
        pieces = []
        for pattern, allow, _ in self.rules:
            plain = "*" not in pattern and not pattern.endswith("$")
            self._plain.append(plain)
            if not allow:
                if plain:
                    prefixes.append(pattern)
                else:
                    pieces.append(_longest_piece(pattern))
        self._prefixes = tuple(prefixes) if len(prefixes) < _LOOKED_UP_FROM else ("",)
        """What a path must begin with to be refused, unless ..."""
        self._pieces = tuple(pieces) if len(pieces) < _LOOKED_UP_FROM else ("",)
        """... it contains one of these: the longest literal pieces of refusing wildcard patterns."""
        self._index: _Index | None = None

    def decide(self, path: str) -> Rule | None:
        """The rule that decides ``path``, or ``None`` where no rule matches."""
        if len(self.rules) >= _LOOKED_UP_FROM:
            if self._index is None:
                self._index = _Index(self.rules, self._plain)
            return self._index.decide(path)
        for rule, plain in zip(self.rules, self._plain, strict=True):
            pattern = rule.pattern
            if path.startswith(pattern) if plain else matches(pattern, path):
                return rule
        return None

    def refuses(self, path: str) -> Rule | None:
        """The refusing rule that decides ``path``, or ``None`` where the path is not refused."""
        if not path.startswith(self._prefixes):
            for piece in self._pieces:
                if piece in path:
                    break
            else:
                return None
        rule = self.decide(path)
        return None if rule is None or rule.allow else rule


def _longest_piece(pattern: str) -> str:
    """What every path that ``pattern`` matches contains."""
    return max(pattern.removesuffix("$").split("*"), key=len)


class _Index:
    """Many rules: found by what a path begins with, in dictionaries asked for every length that occurs.

    A rule with a wildcard is found by its head, what stands before the first wildcard, and tried only
    on a path that contains its longest literal piece.
    """

    __slots__ = ("_head_lengths", "_heads", "_lengths", "_plain", "_rules")

    def __init__(self, rules: tuple[Rule, ...], plain: list[bool]) -> None:
        self._rules = rules
        self._plain: dict[str, int] = {}
        self._heads: dict[str, list[tuple[int, str]]] = {}
        """Head -> number and longest piece of its rules, in order of precedence."""
        for i, is_plain in enumerate(plain):
            if is_plain:
                self._plain.setdefault(rules[i].pattern, i)
            else:
                pattern = rules[i].pattern
                head = pattern.removesuffix("$").partition("*")[0]
                self._heads.setdefault(head, []).append((i, _longest_piece(pattern)))
        self._lengths = sorted({len(p) for p in self._plain})
        self._head_lengths = sorted({len(h) for h in self._heads})

    def decide(self, path: str) -> Rule | None:
        best = len(self._rules)
        for length in self._lengths:
            if length > len(path):
                break
            found = self._plain.get(path[:length])
            if found is not None and found < best:
                best = found
        for length in self._head_lengths:
            if length > len(path):
                break
            for i, piece in self._heads.get(path[:length], ()):
                if i >= best:
                    break
                if piece in path and matches(self._rules[i].pattern, path):
                    best = i
                    break
        return self._rules[best] if best < len(self._rules) else None
