"""What the filter cannot do for each kind of identifier, told before a person chooses.

The codes are what pages translate; the sentences are English. What is said here is measured in
``docs/recall.md`` and argued in ``docs/threat-model.md``, whose figures `COSTS` repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from filter.canonical import kind_of
from filter.identifiers import PHRASES, IdentifierKind
from filter_service.model import Audience

__all__ = ["COSTS", "Explanation", "Limit", "explain", "sentence"]


class Limit(StrEnum):
    """One thing that the filter does not do, or does to others."""

    # not removed, of any kind
    DESCRIPTIONS = "descriptions"
    OTHER_ENCODINGS = "other_encodings"
    IMAGES_AND_SPEECH = "images_and_speech"
    TYPING_ERRORS = "typing_errors"
    # not removed, of some kinds
    NUMBERS_IN_WORDS = "numbers_in_words"
    MARKS_IN_WORDS = "marks_in_words"
    LETTERS_FOR_DIGITS = "letters_for_digits"
    LAST_DIGITS = "last_digits"
    FOREIGN_NATIONAL_FORM = "foreign_national_form"
    ONE_SPACE = "one_space"
    INITIALS = "initials"
    MIDDLE_NAMES = "middle_names"
    NICKNAMES = "nicknames"
    PARTS_OF_A_NAME = "parts_of_a_name"
    WORDS_BETWEEN = "words_between"
    INFLECTIONS = "inflections"
    OTHER_SCRIPTS = "other_scripts"
    CHANGED_ORDER = "changed_order"
    INCOMPLETE_ADDRESSES = "incomplete_addresses"
    OTHER_ADDRESS_OF_PAGE = "other_address_of_page"
    NO_AT_SIGN = "no_at_sign"
    TRANSLATION = "translation"
    OTHER_WORDS = "other_words"
    CHANGING_ADDRESS = "changing_address"
    LOOKS_LIKE_VERSION = "looks_like_version"
    # removed, though of others
    NAMESAKES = "namesakes"
    STRANGERS_BY_CHANCE = "strangers_by_chance"
    STRANGERS_BY_ENDING = "strangers_by_ending"
    STRANGERS_BY_BEGINNING = "strangers_by_beginning"
    DOTS_NOT_COMPARED = "dots_not_compared"
    # what a file gives away
    TESTABLE = "testable"
    SEVERAL_TOGETHER = "several_together"
    NOT_CALLED_BACK = "not_called_back"


_SENTENCES: Mapping[Limit, str] = MappingProxyType(
    {
        Limit.DESCRIPTIONS: (
            "The filter looks for what is written, not for what is meant: a description of you stays."
        ),
        Limit.OTHER_ENCODINGS: (
            "Secret writing stays: base64, letters backwards or one by one, words spelt aloud."
        ),
        Limit.IMAGES_AND_SPEECH: "Pictures, drawings made of characters and speech are not looked at.",
        Limit.TYPING_ERRORS: "A spelling with a typing error stays.",
        Limit.NUMBERS_IN_WORDS: "Digits written as words, such as zero four four, stay.",
        Limit.MARKS_IN_WORDS: (
            "An address with its marks as words, such as jane dot doe at example dot org, stays; "
            "(at) and [dot] in brackets are read."
        ),
        Limit.LETTERS_FOR_DIGITS: "Letters that stand for digits, such as O for 0, are not read.",
        Limit.LAST_DIGITS: "A part of the number, such as its last digits, stays.",
        Limit.FOREIGN_NATIONAL_FORM: (
            "Without its country code a number is read as one of the countries of the release only."
        ),
        Limit.ONE_SPACE: "An address that a single space tears apart is mostly missed.",
        Limit.INITIALS: "Initials stay: J. Müller is not removed when Jürg Müller is listed.",
        Limit.MIDDLE_NAMES: "A middle name that was not listed breaks the name, and it stays.",
        Limit.NICKNAMES: "Nicknames and other forms of a name stay unless they are listed too.",
        Limit.PARTS_OF_A_NAME: "The given name alone and the surname alone stay.",
        Limit.WORDS_BETWEEN: "A name with other words within it, or spread over a sentence, stays.",
        Limit.INFLECTIONS: (
            "A name with an ending stays: Turkish and Finnish always, Slavic languages mostly; the "
            "German genitive is removed."
        ),
        Limit.OTHER_SCRIPTS: (
            "The name in another script stays; of Cyrillic, Greek and some others the common Latin "
            "spellings are removed."
        ),
        Limit.CHANGED_ORDER: "The same parts in another order stay.",
        Limit.INCOMPLETE_ADDRESSES: (
            "The street without the town, and an address without its post code if it was listed with "
            "it, stay."
        ),
        Limit.OTHER_ADDRESS_OF_PAGE: (
            "The same page under another address, such as a shortened one or a copy, stays."
        ),
        Limit.NO_AT_SIGN: "The handle stays where neither an @ nor a slash stands before it.",
        Limit.TRANSLATION: "The same text in another language stays.",
        Limit.OTHER_WORDS: "The same said in other words stays; one changed word is enough.",
        Limit.CHANGING_ADDRESS: (
            "Providers give one customer's address to another: the entry may soon be about somebody "
            "else."
        ),
        Limit.LOOKS_LIKE_VERSION: (
            "Four numbers that the words around them make a version or a section may stay."
        ),
        Limit.NAMESAKES: (
            "Everybody and everything of the same name is removed as well: persons, books, firms."
        ),
        Limit.STRANGERS_BY_CHANCE: (
            "By chance up to one in a thousand of other people's is removed as well."
        ),
        Limit.STRANGERS_BY_ENDING: (
            "An address at the same provider that ends with this one is removed as well: of "
            "annamueller the part that is mueller."
        ),
        Limit.STRANGERS_BY_BEGINNING: (
            "What begins with this and goes on is removed as well, as far as it is the same."
        ),
        Limit.DOTS_NOT_COMPARED: "Dots and dashes before the @ are not compared.",
        Limit.TESTABLE: "Whoever already knows it can test whether it may be listed.",
        Limit.SEVERAL_TOGETHER: (
            "If several identifiers of one person are listed, who knows them all can be sure of it."
        ),
        Limit.NOT_CALLED_BACK: "Copies of a release that were given out cannot be called back.",
    }
)

_ALL = (Limit.DESCRIPTIONS, Limit.OTHER_ENCODINGS, Limit.IMAGES_AND_SPEECH, Limit.TYPING_ERRORS)
_NUMBER = (Limit.NUMBERS_IN_WORDS, Limit.LETTERS_FOR_DIGITS, Limit.LAST_DIGITS)
_CHANCE = (Limit.STRANGERS_BY_CHANCE,)
_FILE = (Limit.TESTABLE, Limit.SEVERAL_TOGETHER, Limit.NOT_CALLED_BACK)

LIMITS: Mapping[IdentifierKind, tuple[Limit, ...]] = MappingProxyType(
    {
        IdentifierKind.EMAIL: (
            Limit.MARKS_IN_WORDS,
            Limit.ONE_SPACE,
            Limit.DOTS_NOT_COMPARED,
            Limit.STRANGERS_BY_ENDING,
            *_CHANCE,
        ),
        IdentifierKind.PHONE: (*_NUMBER, Limit.FOREIGN_NATIONAL_FORM, *_CHANCE),
        IdentifierKind.IBAN: (*_NUMBER, *_CHANCE),
        IdentifierKind.AHV: (*_NUMBER, *_CHANCE),
        IdentifierKind.CREDIT_CARD: (*_NUMBER, *_CHANCE),
        IdentifierKind.IP: (
            Limit.NUMBERS_IN_WORDS,
            Limit.LOOKS_LIKE_VERSION,
            Limit.CHANGING_ADDRESS,
            *_CHANCE,
        ),
        IdentifierKind.NAME: (
            Limit.INITIALS,
            Limit.PARTS_OF_A_NAME,
            Limit.MIDDLE_NAMES,
            Limit.NICKNAMES,
            Limit.WORDS_BETWEEN,
            Limit.INFLECTIONS,
            Limit.OTHER_SCRIPTS,
            Limit.NAMESAKES,
        ),
        IdentifierKind.POSTAL_ADDRESS: (Limit.CHANGED_ORDER, Limit.INCOMPLETE_ADDRESSES),
        IdentifierKind.HANDLE: (
            Limit.NO_AT_SIGN,
            Limit.NAMESAKES,
            Limit.STRANGERS_BY_BEGINNING,
        ),
        IdentifierKind.URL: (Limit.OTHER_ADDRESS_OF_PAGE, Limit.STRANGERS_BY_BEGINNING),
        IdentifierKind.TEXT: (Limit.OTHER_WORDS, Limit.CHANGED_ORDER, Limit.TRANSLATION),
    }
)
"""What is peculiar to each kind; what holds for all is added by `explain`."""


class Cost(NamedTuple):
    """What it costs to hash a dictionary of a kind, and how many share a fingerprint at first."""

    dictionary: int
    dollars_cores: float
    dollars_card: float
    shared_by: float
    """k of a short list."""


COSTS: Mapping[IdentifierKind, Cost] = MappingProxyType(
    {
        IdentifierKind.EMAIL: Cost(1_000_000_000, 196, 65, 15.9),
        IdentifierKind.PHONE: Cost(100_000_000, 20, 6.54, 24.8),
        IdentifierKind.IBAN: Cost(1_000_000_000, 196, 65, 15.9),
        IdentifierKind.AHV: Cost(1_000_000_000, 196, 65, 60.6),
        IdentifierKind.CREDIT_CARD: Cost(1_000_000_000, 196, 65, 15.9),
        IdentifierKind.IP: Cost(3_700_000_000, 726, 242, 221.5),
    }
)
"""The second table of ``docs/threat-model.md``, *Figures*."""


class Explanation(NamedTuple):
    """What to show for one kind before a person chooses."""

    limits: tuple[Limit, ...]
    files: tuple[Audience, ...]
    """Which files may hold it."""
    cost: str
    """What it costs somebody to find out who is listed."""


def sentence(limit: Limit) -> str:
    """A limit in English."""
    return _SENTENCES[limit]


def explain(kind: IdentifierKind | str) -> Explanation:
    """What the filter cannot do for identifiers of a kind, and what its files give away.

    Raises:
        UnknownKind: there is no such kind.
    """
    kind = kind_of(kind)
    limits = (*LIMITS[kind], *_ALL, *_FILE)
    if kind in PHRASES:
        return Explanation(limits, (Audience.OPERATORS,), _PHRASES_COST)
    return Explanation(limits, (Audience.PUBLIC, Audience.OPERATORS), _cost(COSTS[kind]))


_PHRASES_COST = (
    "Only registered operators get the file. One of them who tried a thousand million names would pay "
    "about a cent and would be nearly always right: the terms that they accepted protect you, nothing else."
)


def _cost(cost: Cost) -> str:
    return (
        f"Anybody can get the file. To try all {cost.dictionary:,} that there may be costs about "
        f"{cost.dollars_cores:.0f} dollars on rented processors, {cost.dollars_card:.0f} on a graphics "
        f"card. About {cost.shared_by:.0f} of them share each fingerprint while the list is short, "
        "fewer as it grows."
    )
