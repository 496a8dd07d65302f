"""How frequent words are, in the languages for which frequencies are known, and what is a given name.

Frequencies are those of `wordfreq`: its small lists, of words that occur at least once in a million, in
some forty languages. It has no Romansh; a list of our own stands in, with two rough frequencies. Words are
compared as the filter compares them, folded by nv1, so *Müller* and *muller* are one.

A frequency is a Zipf number: the decimal logarithm of how often a word occurs in a thousand million words.

Not covered: words below once in a million, inflected forms that no list has, compounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filter.errors import MissingExtra
from filter.nv1 import SEPARATORS, fold, read

UNKNOWN = 2.0
"""Zipf number of a word that is on no list: they end at 3, and what is missing is rarer."""
ORDINARY = 3.8
"""From here on a word is an ordinary one of its language: a few in a million words."""
_ROMANSH = {"often": 6.0, "common": 4.5}
_BILLION = 9.0
"""Decimal logarithm of what a Zipf number counts in."""


def folded_words(text: str) -> list[str]:
    """The folded words of a text; whatever is no letter and no digit parts them."""
    return "".join(" " if c in SEPARATORS else c for c in read(text)).split()


def folded_all(texts: Iterable[str]) -> list[str]:
    """`filter.nv1.fold` of many short texts at once, which takes a quarter of the time."""
    reading = read("\n".join(texts))
    for separator in SEPARATORS - {"\n"}:
        reading = reading.replace(separator, "")
    return reading.split("\n")


class Chance(NamedTuple):
    """How words would meet if their order were left to chance, in the language that fits best."""

    expected: float
    """Decimal logarithm of how often in a thousand million words."""
    language: str
    ordinary_in: frozenset[str]
    """Languages in which every one of the words is an ordinary one."""


class Words:
    """Folded words of all languages and their Zipf numbers, in parallel arrays sorted by hash.

    The hashes are Python's own and live as long as the process: 20 MB instead of 300.
    """

    def __init__(self, lists: Iterator[tuple[str, list[str], list[float]]]) -> None:
        self.languages: list[str] = []
        keys, numbers, levels = [], [], []
        for language, words, zipf in lists:
            keys.append(np.fromiter(map(hash, folded_all(words)), np.int64, len(words)))
            numbers.append(np.full(len(words), len(self.languages), np.uint8))
            levels.append(np.array(zipf, np.float32))
            self.languages.append(language)
        hashes = np.concatenate(keys)
        order = np.argsort(hashes)
        self._hashes: npt.NDArray[np.int64] = hashes[order]
        self._languages: npt.NDArray[np.uint8] = np.concatenate(numbers)[order]
        self._zipf: npt.NDArray[np.float32] = np.concatenate(levels)[order]

    def by_language(self, word: str) -> dict[str, float]:
        """The Zipf number of a folded word in each language that has it."""
        key = np.int64(hash(word))
        first, end = (int(np.searchsorted(self._hashes, key, side)) for side in ("left", "right"))
        found: dict[str, float] = {}
        for at in range(first, end):
            language = self.languages[self._languages[at]]
            found[language] = max(found.get(language, 0.0), float(self._zipf[at]))
        return found

    def zipf(self, word: str) -> float:
        """The highest Zipf number of a folded word; 0 where no language has it."""
        return max(self.by_language(word).values(), default=0.0)

    def chance(self, words: Sequence[str]) -> Chance:
        """How often chance alone would put these folded words side by side."""
        known = [self.by_language(word) for word in words]
        levels = [_of_digits(word) if word.isdigit() else UNKNOWN for word in words]
        chances = []
        ordinary_in = set()
        for language in {language for found in known for language in found} or {"en"}:
            zipf = [found.get(language, least) for found, least in zip(known, levels, strict=True)]
            chances.append((sum(zipf) - _BILLION * (len(words) - 1), language))
            if min(zipf) >= ORDINARY:
                ordinary_in.add(language)
        return Chance(*max(chances), frozenset(ordinary_in))


def _of_digits(number: str) -> float:
    """Zipf number of a number: one of so many digits is one of ten to that power."""
    return max(0.0, 7.0 - len(number))


@cache
def words() -> Words:
    """All lists, read at first use: a second or two.

    Raises:
        MissingExtra: the package with the frequencies is not installed.
    """
    return Words(_lists())


def _lists() -> Iterator[tuple[str, list[str], list[float]]]:
    try:
        from wordfreq import available_languages, read_cBpack
    except ImportError:
        raise MissingExtra(
            'The compile gate needs word frequencies: pip install "lethe-llm[service]".'
        ) from None
    for language, path in sorted(available_languages("small").items()):
        # A row holds the words of one frequency; its number is minus a hundred times the logarithm.
        rows = list(enumerate(read_cBpack(path)))
        zipf = [_BILLION - number / 100 for number, row in rows for _ in row]
        yield language, [word for _, row in rows for word in row], zipf
    yield "rm", *_romansh()


def _romansh() -> tuple[list[str], list[float]]:
    found: list[str] = []
    zipf: list[float] = []
    level = 0.0
    for line in _data("words_rm.txt"):
        level = _ROMANSH.get(line, level)
        if line not in _ROMANSH:
            found += line.split()
            zipf += [level] * len(line.split())
    return found, zipf


@cache
def given_names() -> frozenset[str]:
    """Folded given names of the file ``data/given_names.txt``."""
    return frozenset(fold(name) for line in _data("given_names.txt") for name in line.split())


def is_given_name(word: str) -> bool:
    """Whether a word of any script is known as a given name, transliterated where it must be."""
    from anyascii import anyascii

    return fold(word) in given_names() or fold(anyascii(word)) in given_names()


@cache
def function_words() -> frozenset[str]:
    """Folded words that are nobody's name, of the file ``data/function_words.txt``."""
    return frozenset(
        fold(word) for line in _data("function_words.txt") for word in line.split()[1:]
    )


def _data(name: str) -> list[str]:
    text = (files("filter_service") / "data" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
