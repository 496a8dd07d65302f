"""The compile gate for names, free text and handles: what is language, a place, half a name.

The measure is chance: how often ordinary text would put the words side by side if their order were left to
chance (`gate_words.Words.chance`). Real pairs are more frequent than that, rarely less, so the figure is a
lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from filter.canonical import canonicalize
from filter.identifiers import IdentifierKind
from filter.nv1 import fold
from filter.phrases import is_spaceless
from filter.variants import variants
from filter_service import gate_places as places
from filter_service.gate_words import (
    Chance,
    folded_words,
    function_words,
    is_given_name,
    words,
)
from filter_service.judgement import ALLOWED, Judgement, Reason, needs, refused

FREQUENT = 0.0
"""Chance alone puts the words together once in a thousand million words: a text is refused then, a name has
more namesakes than a person should remove without a reason."""
LANGUAGE = 1.0
"""Ten times as often: two such words without any given name are language, like *guten Morgen*."""
LANGUAGE_ELSEWHERE = 3.0
"""The same in languages whose given names we do not know, and in which names are often words."""
_NAMED = frozenset("de fr it rm en es pt nl ca pl cs sv da nb ru uk".split())
"""Languages whose frequent given names are in our list."""
_SENTENCE = 5
"""Words of a sentence that is nobody else's, even if each of them is ordinary."""
_SHORT_TEXT = 16
"""Letters of a text that hardly stands within other words; texts have no word edges."""
_WORD = 5.2
"""Zipf number of a single word that is called a word rather than a name; *Wasser* has 5.3, *Müller* 4.8."""
_WORD_UNSPACED = 4.5
"""The same of a whole name in a script without spaces: only heads of state are that frequent."""
_DICTIONARY = 3.0
"""Zipf number from which a handle is called a word: where the lists begin."""
_SHORTEST_HALF = 3
"""Letters of each half where a handle is cut in two."""

_TITLES = frozenset(
    "dr prof professor professorin doktor herr frau hr fr fräulein familie mr mrs ms miss mister sir lord "
    "lady monsieur madame mademoiselle mme mlle m mm me maître signor signora signorina sig dott dottoressa "
    "dottore avv ing dipl lic med phd msc bsc mba jr sr signur signura dunna fam pfarrer père padre don".split()
)
_PARTICLES = frozenset(
    "von van vom zu zum zur der den de la le du des del della di da dal dos das do al el bin ibn ben ter ten "
    "af av y e und".split()
)


def judge_name(text: str) -> Judgement:
    """Whether the name of a person may be listed."""
    folded = canonicalize(IdentifierKind.NAME, text).split()
    # With the variants that are listed too: *York, New* and *York New* are New York.
    for letters in variants(IdentifierKind.NAME, text):
        if found := _no_person(letters, folded):
            return found
    parts = _parts(text)
    full = [part for part in parts if len(fold(part)) > 1]
    if not full:
        return refused(Reason.SINGLE_NAME)
    if len(full) == 1 and is_spaceless(ord(fold(full[0])[0])):
        return _spaceless(fold(full[0]))
    if len(full) == len(parts) == 1:
        return refused(_single(fold(full[0])))
    if len(full) == 1:
        single = _single(fold(full[0]))
        return refused(single) if single is Reason.COMMON_WORD else needs(Reason.INITIALS)
    given = [_is_given(part) for part in full]
    found = _pair(folded_words(" ".join(full)), has_given_name=any(given))
    return needs(Reason.GIVEN_NAMES_ONLY) if all(given) and found.reason is None else found


def judge_text(text: str) -> Judgement:
    """Whether any other phrase may be listed."""
    folded = canonicalize(IdentifierKind.TEXT, text).split()
    if found := _no_person("".join(folded), folded):
        return found
    if len(folded) == 1:
        return _single_text(folded[0])
    if _is_row_of_places(folded):
        return refused(Reason.PLACE)
    chance = words().chance(folded)
    if chance.expected >= FREQUENT:
        named = any(map(is_given_name, folded)) and not _is_language(folded, chance)
        return needs(Reason.NAME_OF_WORDS) if named else refused(Reason.COMMON_PHRASE)
    if chance.ordinary_in and len(folded) < _SENTENCE:
        return needs(Reason.ORDINARY_WORDS)
    letters = "".join(folded)
    is_short = len(letters) < _SHORT_TEXT and not _is_code(letters)
    return needs(Reason.SHORT_TEXT) if is_short else ALLOWED


def judge_handle(text: str) -> Judgement:
    """Whether a user name may be listed."""
    folded = canonicalize(IdentifierKind.HANDLE, text).split()
    if re.search(r"\S@\S+\.\S", text):
        return ALLOWED  # with its host: @jane@social.example
    letters = "".join(folded)
    stem = letters.rstrip("0123456789") or letters
    if is_given_name(stem):
        return refused(Reason.SINGLE_NAME)
    if found := _no_person(letters, folded):
        return found
    if words().zipf(stem) >= _DICTIONARY:
        return refused(Reason.COMMON_WORD) if stem == letters else needs(Reason.HANDLE_OF_WORDS)
    cuts = range(_SHORTEST_HALF, len(stem) - _SHORTEST_HALF + 1)
    chances = [words().chance((stem[:at], stem[at:])).expected for at in cuts]
    if len(folded) > 1:
        chances.append(words().chance(folded).expected)
    return needs(Reason.HANDLE_OF_WORDS) if max(chances, default=-1.0) >= LANGUAGE else ALLOWED


def _no_person(letters: str, folded: Sequence[str]) -> Judgement | None:
    """What the whole of a phrase is, if it is a place, a date or a language."""
    if places.is_place(letters):
        given = len(folded) > 1 and is_given_name(folded[0]) and not places.is_territory(letters)
        return needs(Reason.NAME_OF_PLACE) if given else refused(Reason.PLACE)
    if places.is_date(folded):
        return refused(Reason.DATE)
    if places.is_language(letters):
        return refused(Reason.LANGUAGE_NAME)
    return None


def _parts(text: str) -> list[str]:
    """The parts of a name, without titles and without particles at its beginning; hyphens tie."""
    if text.count(",") == 1:
        last, _, first = text.partition(",")
        text = f"{first} {last}"
    parts = [part for part in text.replace(".", ". ").split() if fold(part)]
    parts = [part for part in parts if fold(part) not in _FOLDED_TITLES]
    while parts and fold(parts[0]) in _PARTICLES:
        parts = parts[1:]
    return parts


_FOLDED_TITLES = frozenset(map(fold, _TITLES))


def _is_given(part: str) -> bool:
    """Whether one part of a name is a given name, or two tied by a hyphen."""
    return all(map(is_given_name, filter(fold, re.split("[-‐-‒]", part))))


def _single(letters: str) -> Reason:
    """What one word is, of which a name consists."""
    is_word = words().zipf(letters) >= _WORD and not is_given_name(letters)
    return Reason.COMMON_WORD if is_word else Reason.SINGLE_NAME


def _spaceless(letters: str) -> Judgement:
    """A name in a script that sets no spaces: whole, unless it is a word."""
    zipf = words().zipf(letters)
    if zipf >= _WORD_UNSPACED:
        return refused(Reason.COMMON_WORD)
    return needs(Reason.NAME_OF_WORDS) if zipf > 0 else ALLOWED


def _single_text(letters: str) -> Judgement:
    """One word of free text: codes hold digits, words do not."""
    if is_given_name(letters):
        return refused(Reason.SINGLE_NAME)
    if words().zipf(letters) > 0:
        return refused(Reason.COMMON_WORD)
    return ALLOWED if _is_code(letters) else needs(Reason.SINGLE_WORD)


def _is_code(letters: str) -> bool:
    """Whether folded letters are no word: letters and several digits, mixed."""
    return sum(c.isdigit() for c in letters) >= 2 and not letters.isdigit()


def _is_row_of_places(folded: Sequence[str]) -> bool:
    """Whether words are places one after the other, a country or region among them."""
    cut = places.cut_into_places(folded)
    return cut is not None and any(map(places.is_territory, cut))


def _pair(folded: Sequence[str], *, has_given_name: bool) -> Judgement:
    """Two or more words as a name."""
    if _is_row_of_places(folded):
        return needs(Reason.NAME_OF_PLACE) if has_given_name else refused(Reason.PLACE)
    chance = words().chance(folded)
    if chance.expected >= FREQUENT and _is_language(folded, chance):
        return refused(Reason.COMMON_PHRASE)
    if not has_given_name:
        bound = LANGUAGE if chance.language in _NAMED else LANGUAGE_ELSEWHERE
        if chance.expected >= bound:
            return refused(Reason.COMMON_PHRASE)
        if chance.ordinary_in & _NAMED:
            return needs(Reason.ORDINARY_WORDS)
    if chance.expected >= FREQUENT:
        return needs(Reason.MANY_NAMESAKES if has_given_name else Reason.NAME_OF_WORDS)
    return ALLOWED


def _is_language(folded: Sequence[str], chance: Chance) -> bool:
    """Whether a word among them joins others and is nobody's name."""
    return chance.expected >= FREQUENT and any(word in function_words() for word in folded)
