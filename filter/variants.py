"""Other ways to write a phrase, made when a bundle is compiled and stored as phrases of their own.

Only phrases have variants. Of an e-mail address or a number the bundle keeps one code: several codes
of one identifier, intersected, would tell it from the strangers it shares a code with.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from filter.canonical import Phrase, canonicalize, check_length, kind_of
from filter.errors import PhraseTooLong, PhraseTooShort
from filter.identifiers import IdentifierKind
from filter.nv1 import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LATIN_LEAST = 8
"""Letters of a transliterated name: shorter ones are words of some language too often."""
MOST = 48
"""Variants of one phrase at most; beyond it the later rules below make none."""

_SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"}
"""Phrase that are spelt out where a keyboard or a form lacks them."""
_UNSPELT = re.compile("ae|oe|ue|aa")
"""How a name that was given spelt out may have been meant: Mueller is Müller too."""
_PARTICLES = frozenset(
    "von van vom der den de del della di da du des la le el al bin ibn ben zu zur ter ten dos".split()
)
_CYRILLIC_ENDINGS = {
    "": ("а", "у", "ом ем ым", "е"),
    "а": ("ы и ой", "е ой", "у", "ой"),
    "я": ("и", "е", "ю", "ей"),
}
"""Singular endings of Russian nouns: masculine without ending, feminine in -а and -я."""


_PLAIN = dict(
    zip(
        "абвгдезиклмнопрстуфыэъьіїєґў",
        [*"abvgdeziklmnoprstufye", "", "", "i", "i", "e", "g", "u"],
        strict=True,
    )
)
"""Letters that all systems write alike (their marks aside)."""


def _system(letters: str) -> dict[str, str]:
    return dict(zip("ёжйхцчшщюя", letters.split(), strict=True))


_SYSTEMS = (
    _system("e zh i kh ts ch sh shch iu ia"),  # passports: ICAO Doc 9303
    _system("yo zh y kh ts ch sh shch yu ya"),  # BGN/PCGN and the press
    _system("e z j h c c s sc ju ja"),  # ISO 9 and libraries, marks dropped
    _system("jo sch j ch z tsch sch schtsch ju ja") | {"в": "w", "з": "s"},  # German
    _system("e j i kh ts tch ch chtch iou ia") | {"у": "ou"},  # French
)


def variants(kind: IdentifierKind | str, text: str) -> tuple[Phrase, ...]:
    """All phrases to store for one, its own canonical form first, each once.

    Raises:
        PhraseTooShort, PhraseTooLong: as `canonicalize`; variants too short or long are left out.
    """
    kind = kind_of(kind)
    first = Phrase(canonicalize(kind, text).replace(" ", ""))
    found = {first: None}
    for letters in _name(text) if kind is IdentifierKind.NAME else _spellings(kind, text):
        try:
            check_length(kind, letters)
        except (PhraseTooShort, PhraseTooLong):
            continue
        found[letters] = None
        if len(found) == MOST:
            break
    return tuple(found)


def _spellings(kind: IdentifierKind, text: str) -> Iterator[Phrase]:
    """An address with its umlauts spelt out; other kinds have the one spelling of their script."""
    if kind is IdentifierKind.POSTAL_ADDRESS:
        short = re.sub("(?i)stra(?:ss|ß)e", "str", text)
        long = re.sub("(?i)str\\.", "strasse", text)
        abroad = re.sub("(?<![\\w-])([0-9]{4}) ", r"CH-\1 ", text)
        at_home = re.sub("(?<!\\w)(?:CH|FL|A|D|F|I)-(?=[0-9]{4,5} )", "", text)
        for written in (text, short, long, abroad, at_home):
            yield Phrase(fold(written))
            yield Phrase(fold(_spell_out(written)))
    yield from map(Phrase, _cases(text))


def _name(text: str) -> Iterator[Phrase]:
    if text.count(",") == 1:
        last, _, first = text.partition(",")
        text = f"{first} {last}"
    words = text.split()
    for order in _orders(words):
        for chosen in product(*map(_word, order)):
            yield Phrase("".join(chosen))
    for order in _orders(words):
        yield Phrase("".join(map(fold, order)) + "s")  # genitive: Hans Müllers
    yield from _transliterated(words)
    for order in _orders(words):
        yield from _inflected(order)


def _orders(words: list[str]) -> Iterator[list[str]]:
    """As given; last name first; middle names as initials."""
    yield words
    if len(words) < 2:
        return
    surname = len(words) - 1
    while surname > 1 and words[surname - 1].lower() in _PARTICLES:
        surname -= 1
    yield words[surname:] + words[:surname]
    if surname > 1:
        short = [words[0], *(word[:1] for word in words[1:surname]), *words[surname:]]
        yield short
        yield words[surname:] + short[:surname]
    if surname < len(words) - 1:
        yield words[-1:] + words[:-1]  # Dam, Anna van


def _word(word: str) -> tuple[str, ...]:
    """The spellings of one word: folded, spelt out, and no longer spelt out."""
    plain, spelt = fold(word), fold(_spell_out(word))
    meant = _UNSPELT.sub(lambda m: m.group()[0], plain)
    return tuple(dict.fromkeys((plain, spelt, meant, *_cases(word))))


def _cases(text: str) -> Iterator[str]:
    """Greek in small letters, capitals and as a title: not all of its capitals fold alike."""
    if any("\u0370" <= c <= "\u03ff" or "\u1f00" <= c <= "\u1fff" for c in text):
        for change in (str.lower, str.upper, str.title):
            yield fold(change(text))


def _spell_out(text: str) -> str:
    from unicodedata import normalize

    return "".join(_SPELT.get(c, c) for c in normalize("NFC", text).lower())


def _transliterated(words: list[str]) -> Iterator[Phrase]:
    """A name of another script in Latin letters: Cyrillic in several systems, the rest in one."""
    if all(ord(c) < 0x370 for word in words for c in word):
        return
    if any("\u0400" <= c <= "\u04ff" for word in words for c in word):
        latin = [[_in_latin(word.lower(), system) for word in words] for system in _SYSTEMS]
    else:
        from anyascii import anyascii

        latin = [[re.sub("[^a-z]", "", anyascii(word).lower()) for word in words]]
    for name in latin:
        for order in _orders(name):
            if len(phrase := "".join(order)) >= _LATIN_LEAST:
                yield Phrase(phrase)
    for name in latin:
        for order in _orders([re.sub("(?:iy|yy|ij|yj|ii)$", "y", word) for word in name]):
            yield Phrase("".join(order))


def _in_latin(word: str, system: Mapping[str, str]) -> str:
    return fold("".join(system.get(c, _PLAIN.get(c, c)) for c in word))


def _inflected(words: list[str]) -> Iterator[Phrase]:
    """Cyrillic names in the oblique cases, every word in the same one."""
    if not all("\u0400" <= word[-1:] <= "\u04ff" for word in words):
        return
    forms = []
    for word in words:
        stem, ending = (word[:-1], word[-1:]) if word[-1:] in {"а", "я"} else (word, "")
        forms.append([[fold(stem + e) for e in case.split()] for case in _CYRILLIC_ENDINGS[ending]])
    for case in zip(*forms, strict=True):
        for chosen in product(*case):
            yield Phrase("".join(chosen))
