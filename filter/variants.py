"""Other ways to write a phrase, made when a bundle is compiled and stored as phrases of their own.

Only phrases have variants. Of an e-mail address or a number the bundle keeps one code: several codes
of one identifier, intersected, would tell it from the strangers it shares a code with.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from filter.canonical import Phrase, canonicalize, check_length
from filter.errors import PhraseTooLong, PhraseTooShort
from filter.identifiers import IdentifierKind
from filter.nv1 import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "": ("а", "у", "ом", "е"),
    "а": ("ы", "и", "у", "ой", "е"),
    "я": ("и", "ю", "ей", "е"),
}
"""Singular endings of Russian nouns: masculine without ending, feminine in -а and -я."""


def variants(kind: IdentifierKind, text: str) -> tuple[Phrase, ...]:
    """All phrases to store for one, its own canonical form first, each once.

    Raises:
        PhraseTooShort, PhraseTooLong: as `canonicalize`; variants too short or long are left out.
    """
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
    """An address with its umlauts spelt out; other kinds have one spelling."""
    if kind is IdentifierKind.POSTAL_ADDRESS:
        yield Phrase(fold(_spell_out(text)))
        yield Phrase(fold(re.sub("(?i)stra(?:ss|ß)e", "str", text)))
        yield Phrase(fold(re.sub("(?i)str\\.", "strasse", text)))


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
    return tuple(dict.fromkeys((plain, spelt, meant)))


def _spell_out(text: str) -> str:
    from unicodedata import normalize

    return "".join(_SPELT.get(c, c) for c in normalize("NFC", text).lower())


def _transliterated(words: list[str]) -> Iterator[Phrase]:
    """A name of another script in Latin letters, as anyascii has it and with common changes."""
    if all(ord(c) < 0x370 for word in words for c in word):
        return
    from anyascii import anyascii

    latin = [re.sub("[^a-z]", "", anyascii(word).lower()) for word in words]
    for order in _orders(latin):
        name = "".join(order)
        yield Phrase(name)
        yield Phrase(re.sub("iy$|yy$|ij$", "y", name))
        yield Phrase(name.replace("iy", "y").replace("yu", "iu").replace("ya", "ia"))
        yield Phrase(name.replace("kh", "h"))
        yield Phrase(name.replace("ts", "c").replace("shch", "sch"))


def _inflected(words: list[str]) -> Iterator[Phrase]:
    """Cyrillic names in the oblique cases, every word in the same one."""
    if not all("\u0400" <= word[-1:] <= "\u04ff" for word in words):
        return
    forms = []
    for word in words:
        stem, ending = (word[:-1], word[-1:]) if word[-1:] in {"а", "я"} else (word, "")
        endings = _CYRILLIC_ENDINGS[ending]
        if ending == "":
            endings = (*endings, "ым") if word.endswith(("ов", "ев", "ин")) else (*endings, "ем")
        forms.append([fold(stem + e) for e in endings])
    for chosen in product(*forms):
        yield Phrase("".join(chosen))
