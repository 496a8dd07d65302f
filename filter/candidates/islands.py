"""Islands: the stretches of a reading in which identifiers of recognised kinds may lie.

Words are joined to an island where an identifier may reach from one to the next: digits to digits,
single letters to single letters (``j a n e``), whatever stands beside a lone ``@``. Every candidate
lies within one island and depends on nothing outside of it. So a stream can judge an island as soon
as it ends, and the longest island bounds what a stream holds back.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from filter.nv1 import BREAK, SEPARATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 512
"""Characters of a reading; a longer island is looked at in windows of this length."""
OVERLAP = 192
"""Characters that two windows share: no candidate is longer."""
LONGEST_GAP = 4
"""Spaces between two words of one island at most, one line break among them."""
SPACES = " \n" + BREAK

_EDGE = re.compile('[:;,"<>=|!?¦\u0e00-\u0eff\u2e80-\ua4cf\uf900-\ufaff]')
"""Ends an identifier within a word: certain punctuation, a script without spaces."""
_TAIL = re.compile(f"[^{_EDGE.pattern[1:-1]}]*\\Z")
PAIRS = re.compile("ss|ae|oe|th")
"""What one letter may fold to: ß, æ, œ, þ."""
WORD = re.compile(f"[^{SPACES}]+")
TRIGGER = re.compile(r"@|[0-9](?:[^0-9@]{0,8}[0-9]){3}|:[^:@]{0,12}:")
"""Something of every candidate; between digits as much as may stand there."""
_STRIPPED = "*_~`"
"""Emphasis around a word."""
_WINDOW = 1024
_LOOKED_AT = 80
"""Characters of a word that decide whether it is joined to the one before."""


def _letters(word: str) -> int:
    return sum(c not in SEPARATORS for c in word)


def joins(before: str, gap: str, after: str, *, whole: bool = True) -> bool | None:
    """Whether an identifier may reach from one word to the next.

    With ``whole=False`` only a beginning of ``after`` is known, and `None` is the answer where what
    follows could change it.
    """
    if len(gap) > LONGEST_GAP or BREAK in gap or gap.count("\n") > 1:
        return False
    before = _TAIL.search(before[-LONGEST:]).group()  # type: ignore[union-attr]
    start = after[:_LOOKED_AT]
    whole = whole or len(after) > _LOOKED_AT
    if (edge := _EDGE.search(start, 1)) is not None:
        start, whole = start[: edge.start()], True
    bare = start.lstrip(_STRIPPED)
    if before.rstrip(_STRIPPED).endswith("@") or bare.startswith("@"):
        return True
    if not bare and not whole:
        return None
    broken = "\n" in gap
    if broken and ("@" in before or "@" in start):
        return True
    one, two = _letters(before), _letters(start)
    number = _has_digit(before)
    if one == 0 and "." in before:
        return True
    if two == 0:
        return "." in start or one <= 1 or number if whole else None
    if number and one <= 4 and not before.isdigit():
        return True  # a group of an IBAN
    spelt = _is_spelt(before)
    if _has_digit(start, 8 if number else 4):
        return number or spelt or one <= 4 or (None if broken and not whole else False)
    alone = spelt and _is_spelt(start)
    if not whole and (broken or alone or two < (8 if number else 4)):
        return None
    if broken and one <= 4 and two <= 4:
        return True
    return alone or (number and two <= 4)


def _is_spelt(word: str) -> bool:
    """Whether no two of its letters touch."""
    word = PAIRS.sub("x", word)
    return not any(one not in SEPARATORS and two not in SEPARATORS for one, two in pairwise(word))


def _has_digit(word: str, first: int = LONGEST) -> bool:
    """Whether a digit is among the first so many letters and digits."""
    for char in word:
        if "0" <= char <= "9":
            return True
        if char not in SEPARATORS:
            first -= 1
            if not first:
                return False
    return False


def windows(first: int, end: int) -> Iterator[tuple[int, int]]:
    """An island cut into stretches of at most `LONGEST` characters that overlap."""
    while end - first > LONGEST:
        yield first, first + LONGEST
        first += LONGEST - OVERLAP
    yield first, end


def islands(reading: str) -> Iterator[tuple[int, int]]:
    """First and last character (behind it) of the islands that may hold a candidate, ascending."""
    done = 0
    for match in TRIGGER.finditer(reading):
        # What lies between the digits may be several words: every word of the match counts.
        for word in WORD.finditer(reading, match.start(), match.end()):
            if word.start() < done:
                continue
            first, end = _around(reading, word.start())
            done = end
            yield from windows(first, end)


def _around(reading: str, at: int) -> tuple[int, int]:
    """The island of the word that covers ``at``."""
    first = _word_start(reading, at)
    end = WORD.match(reading, at).end()  # type: ignore[union-attr]
    low, high = first, end
    word = reading[first:end]
    while (before := _word_before(reading, low)) is not None:
        if not joins(reading[slice(*before)], reading[before[1] : low], word):
            break
        low = before[0]
        word = reading[slice(*before)]
    word = reading[first:end]
    while (match := WORD.search(reading, high, high + LONGEST_GAP + 1)) is not None:
        after = WORD.match(reading, match.start())
        assert after is not None
        if not joins(word, reading[high : after.start()], after.group()):
            break
        high = after.end()
        word = after.group()
    return low, high


def _word_start(reading: str, at: int) -> int:
    size = _WINDOW
    while True:
        low = max(0, at - size)
        start = max(reading.rfind(space, low, at) for space in SPACES) + 1
        if start > 0 or low == 0:
            return start
        size *= 4


def _word_before(reading: str, at: int) -> tuple[int, int] | None:
    """The word that ends a gap before ``at``, if the gap is short enough."""
    end = at
    while end > 0 and reading[end - 1] in SPACES:
        end -= 1
        if at - end > LONGEST_GAP:
            return None
    return (_word_start(reading, end), end) if end > 0 else None
