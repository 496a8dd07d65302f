"""Canonical forms: the one place that decides whether two identifiers are the same.

Of a recognised kind the canonical form is that of its recogniser (E.164 for phones, ...); a phrase's
is its words, folded by nv1. What the filter compares is narrower still, see `comparable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

from filter import phrases
from filter.errors import (
    InputError,
    MalformedIdentifier,
    PhraseTooLong,
    PhraseTooShort,
    UnknownKind,
)
from filter.identifiers import PHRASES, IdentifierKind
from filter.nv1 import SEPARATORS, fold, read

if TYPE_CHECKING:
    from collections.abc import Collection

Canonical = NewType("Canonical", str)
"""A value that `canonicalize` has made, or that is known to be its own canonical form."""
Phrase = NewType("Phrase", str)
"""Folded letters and digits, nothing between: what phrases are matched by."""

LONGEST_DOMAIN = 100
"""Letters and digits of the domain of an e-mail address at most."""
SHORTEST_NAME = phrases.ALPHABETIC
SHORTEST_PHRASE = 8
"""Phrase of a phrase that is looked for anywhere, also within words."""
SHORTEST_DENSE = {IdentifierKind.NAME: phrases.DENSE, IdentifierKind.HANDLE: phrases.DENSE}
"""The same in Han and kana; the other kinds need five."""


def kind_of(name: str) -> IdentifierKind:
    """A kind by its name.

    Raises:
        UnknownKind: there is none of this name.
    """
    try:
        return IdentifierKind(name)
    except ValueError:
        raise UnknownKind(
            f"There is no such kind of identifier: use one of {', '.join(IdentifierKind)}."
        ) from None


def canonicalize(
    kind: IdentifierKind | str, text: str, regions: Collection[str] = ("CH",)
) -> Canonical:
    """The canonical form of one identifier.

    ``regions`` (ISO 3166-1) says where a telephone number without country code is at home.

    Raises:
        UnknownKind: there is no such kind.
        MalformedIdentifier: the text is not an identifier of this kind.
        PhraseTooShort, PhraseTooLong: a phrase that cannot be looked for.
    """
    from filter.recognisers import RECOGNISERS, phone

    kind = kind_of(kind)
    if kind in PHRASES:
        words = _words(kind, text)
        check_length(kind, Phrase(words.replace(" ", "")))
        return Canonical(words)
    try:
        if kind is IdentifierKind.PHONE:
            return Canonical(phone.canonicalize(text, regions))
        found = Canonical(RECOGNISERS[kind].canonicalize(text))
    except InputError as error:
        raise MalformedIdentifier(str(error)) from None
    if kind is IdentifierKind.EMAIL and len(fold(found.rpartition("@")[2])) > LONGEST_DOMAIN:
        raise MalformedIdentifier(
            f"This address cannot be looked for: its domain has more than {LONGEST_DOMAIN} letters."
        )
    return found


def check_length(kind: IdentifierKind, letters: Phrase) -> None:
    """Refuse a phrase that would be found everywhere, or of which not all would be looked at.

    Raises:
        PhraseTooShort, PhraseTooLong: as said.
    """
    if len(letters) > phrases.LONGEST:
        raise PhraseTooLong(
            f"This {kind} has more than {phrases.LONGEST} letters and digits: give a part of it."
        )
    least = SHORTEST_NAME if kind in SHORTEST_DENSE else SHORTEST_PHRASE
    if letters and phrases.gram_length(ord(letters[0])) == phrases.DENSE:
        least = SHORTEST_DENSE.get(kind, 5)
    if len(letters) < least:
        raise PhraseTooShort(
            f"This {kind} is too short to be looked for: it must have {least} letters or digits."
        )


def comparable(kind: IdentifierKind, canonical: Canonical) -> str:
    """What the slow hash of a recognised identifier is taken of, without its kind.

    Of an address everything but letters and digits goes, since what stands between them is the
    first thing to change: ``jane.doe@example.org`` and ``janedoe@example.org`` are one.
    """
    if kind is IdentifierKind.EMAIL:
        local, _, domain = canonical.rpartition("@")
        return f"{fold(local)}@{fold_domain(domain)}"
    return fold(canonical) if kind is IdentifierKind.AHV else canonical


def fold_domain(domain: str) -> str:
    """The letters and digits of a domain name, internationalised labels read as Unicode."""
    return "".join(fold(_unicode(label)) for label in domain.split("."))


def _unicode(label: str) -> str:
    if label[:4].lower() != "xn--":
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label


def _words(kind: IdentifierKind, text: str) -> str:
    """The folded words of a phrase with one space between."""
    if kind is IdentifierKind.URL:
        text = _without_scheme(text.strip())
    elif kind is IdentifierKind.NAME and text.count(",") == 1:
        last, _, first = text.partition(",")
        text = f"{first} {last}"  # Last, First
    return " ".join("".join(" " if c in SEPARATORS else c for c in read(text)).split())


def _without_scheme(url: str) -> str:
    """A URL without what may be left out of it: the scheme, ``www.``."""
    from filter.reading import decode

    url = decode(url).text
    head, found, rest = url.partition("://")
    url = rest if found and head.isalnum() else url
    return url[4:] if url[:4].lower() == "www." else url
