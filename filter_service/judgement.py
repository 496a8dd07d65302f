"""What the compile gate may say of an identifier: a verdict, a coded reason, a sentence.

The codes are what pages translate; the sentences are for a reviewer who reads English. None of them
ever holds the identifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Verdict(StrEnum):
    """Whether an identifier may be listed."""

    ALLOWED = "allowed"
    NEEDS_REASON = "needs_reason"
    """Only with a reviewer's reason in words."""
    REFUSED = "refused"
    """By nobody: it would remove much more than one person."""


class Reason(StrEnum):
    """Why an identifier is refused, or needs a reviewer's reason."""

    CANARY = "canary"
    MALFORMED = "malformed"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    TOO_FREQUENT = "too_frequent"
    FOUND_IN_SAMPLE = "found_in_sample"
    # words
    COMMON_WORD = "common_word"
    COMMON_PHRASE = "common_phrase"
    ORDINARY_WORDS = "ordinary_words"
    SINGLE_WORD = "single_word"
    SHORT_TEXT = "short_text"
    PLACE = "place"
    DATE = "date"
    LANGUAGE_NAME = "language_name"
    # names
    SINGLE_NAME = "single_name"
    INITIALS = "initials"
    GIVEN_NAMES_ONLY = "given_names_only"
    NAME_OF_WORDS = "name_of_words"
    MANY_NAMESAKES = "many_namesakes"
    NAME_OF_PLACE = "name_of_place"
    # addresses of houses
    INCOMPLETE_ADDRESS = "incomplete_address"
    NO_HOUSE_NUMBER = "no_house_number"
    UNKNOWN_TOWN = "unknown_town"
    # URLs and handles
    KNOWN_SITE = "known_site"
    BARE_DOMAIN = "bare_domain"
    SHORT_PATH = "short_path"
    GENERIC_PAGE = "generic_page"
    HANDLE_OF_WORDS = "handle_of_words"
    # e-mail
    ROLE_ADDRESS = "role_address"
    NO_REPLY = "no_reply"
    SHARED_ENDING = "shared_ending"
    # numbers
    SHORT_NUMBER = "short_number"
    SHARED_NUMBER = "shared_number"
    COMPANY_NUMBER = "company_number"
    EXAMPLE_NUMBER = "example_number"
    PRIVATE_IP = "private_ip"
    PUBLIC_RESOLVER = "public_resolver"
    LIKE_A_VERSION = "like_a_version"


ALLOWED_SENTENCE = "Nothing speaks against listing this."
SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.CANARY: "This is a fictitious test person, whom every release lists already.",
        Reason.MALFORMED: "This is not an identifier of its kind: ask the person to correct it.",
        Reason.TOO_SHORT: "This is too short: it would be found within many other words.",
        Reason.TOO_LONG: "This is longer than what is looked for: ask for a part of it.",
        Reason.TOO_FREQUENT: (
            "This stands in text that has nothing to do with any person, and more than once in a "
            "million characters: models would lose it everywhere."
        ),
        Reason.FOUND_IN_SAMPLE: (
            "This stands in text that has nothing to do with any person, though rarely: look at "
            "the places before you list it."
        ),
        Reason.COMMON_WORD: "This is a word of ordinary language.",
        Reason.COMMON_PHRASE: "These words stand together in ordinary language, by chance alone.",
        Reason.ORDINARY_WORDS: (
            "These are all ordinary words and none is known as a given name: make sure that "
            "together they mean one person only."
        ),
        Reason.SINGLE_WORD: (
            "This is one word: make sure that it means nothing else in any language, and that it is "
            "in no longer word."
        ),
        Reason.SHORT_TEXT: (
            "This is so short that it may stand within other words: make sure that it does not."
        ),
        Reason.PLACE: "This is a town, a country or another place.",
        Reason.DATE: "This is a date, a month or a day of the week.",
        Reason.LANGUAGE_NAME: "This is the name of a language.",
        Reason.SINGLE_NAME: (
            "This is one word, a given name or a surname at best, which many people bear: a second "
            "element is needed, such as both together, an address or a page."
        ),
        Reason.INITIALS: (
            "These are initials and one name: everybody who bears it and shares the initials would "
            "be removed."
        ),
        Reason.GIVEN_NAMES_ONLY: (
            "All parts are known as given names, perhaps the surname is missing: make sure that it "
            "is not."
        ),
        Reason.NAME_OF_WORDS: (
            "This name is made of ordinary words, which may stand together without meaning anybody: "
            "say why it must be listed all the same."
        ),
        Reason.MANY_NAMESAKES: (
            "Both parts of this name are so frequent that thousands may bear it: say why all of them "
            "must be removed."
        ),
        Reason.NAME_OF_PLACE: "A place is called like this person: say why it must be listed.",
        Reason.INCOMPLETE_ADDRESS: (
            "This address lacks a house number or a town, so it means many houses: ask for the "
            "whole of it."
        ),
        Reason.NO_HOUSE_NUMBER: (
            "This address has no house number: make sure that it means one house only."
        ),
        Reason.UNKNOWN_TOWN: (
            "No known town and no post code stand in this address: make sure that it is complete."
        ),
        Reason.KNOWN_SITE: (
            "This is a whole site that very many people use: the address of one page is needed."
        ),
        Reason.BARE_DOMAIN: (
            "This is a whole site, every mention of which would be removed, mail addresses "
            "included: make sure that it is one person's."
        ),
        Reason.SHORT_PATH: (
            "So little stands behind the site's name that other pages, whose addresses begin alike, "
            "would be removed."
        ),
        Reason.GENERIC_PAGE: "This is a general page of a site, such as its imprint or a log-in.",
        Reason.HANDLE_OF_WORDS: (
            "This handle is made of ordinary words or frequent names: others may use it elsewhere."
        ),
        Reason.ROLE_ADDRESS: (
            "This address is of an office rather than of a person: say whose it is alone."
        ),
        Reason.NO_REPLY: "Nobody reads this address: a machine sends from it.",
        Reason.SHARED_ENDING: (
            "At this large provider other people's addresses end with this one, and would be removed "
            "where a word may be stuck to it."
        ),
        Reason.SHORT_NUMBER: "This is an emergency or service number.",
        Reason.SHARED_NUMBER: "This is a toll-free, shared-cost or premium-rate number of a firm.",
        Reason.COMPANY_NUMBER: (
            "This number is of a range for firms, or of none that is known: make sure that it rings "
            "at one person's."
        ),
        Reason.EXAMPLE_NUMBER: (
            "This stands as an example in standards and manuals: make sure that the person holds it."
        ),
        Reason.PRIVATE_IP: (
            "This address is private or reserved: the same one is in use in countless networks."
        ),
        Reason.PUBLIC_RESOLVER: "This is a public name server, which manuals all over mention.",
        Reason.LIKE_A_VERSION: (
            "This address looks like a version or a section number, which would be removed as well."
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether one identifier may be listed, and why not."""

    verdict: Verdict
    reason: Reason | None = None
    """`None` where it is allowed."""

    @property
    def sentence(self) -> str:
        """The reason in English, without the identifier."""
        return ALLOWED_SENTENCE if self.reason is None else SENTENCES[self.reason]


ALLOWED = Judgement(Verdict.ALLOWED)


def refused(reason: Reason) -> Judgement:
    """Nobody may list it."""
    return Judgement(Verdict.REFUSED, reason)


def needs(reason: Reason) -> Judgement:
    """It needs a reviewer's reason."""
    return Judgement(Verdict.NEEDS_REASON, reason)
