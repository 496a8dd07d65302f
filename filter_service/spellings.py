"""Ways in which people and models write one identifier, for a preview.

Made for showing, not for measuring: `docs/recall.md` measures recall over thousands of identifiers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import NamedTuple

from filter.canonical import canonicalize
from filter.identifiers import IdentifierKind


class How(StrEnum):
    """How a spelling differs from what was given."""

    AS_GIVEN = "as_given"
    UPPER_CASE = "upper_case"
    LOWER_CASE = "lower_case"
    NO_DIACRITICS = "no_diacritics"
    UMLAUTS_SPELT_OUT = "umlauts_spelt_out"
    LINE_BREAK = "line_break"
    MARKUP = "markup"
    HTML_ENTITIES = "html_entities"
    HIDDEN_CHARACTERS = "hidden_characters"
    TYPING_ERROR = "typing_error"
    # names
    LAST_FIRST = "last_first"
    LAST_IN_CAPITALS = "last_in_capitals"
    GENITIVE = "genitive"
    INITIAL = "initial"
    FIRST_PART = "first_part"
    LAST_PART = "last_part"
    WORD_BETWEEN = "word_between"
    # e-mail
    AT_IN_BRACKETS = "at_in_brackets"
    AT_AND_DOT_IN_BRACKETS = "at_and_dot_in_brackets"
    AT_IN_WORDS = "at_in_words"
    NO_DOTS = "no_dots"
    LINK = "link"
    LOCAL_PART = "local_part"
    # numbers
    INTERNATIONAL = "international"
    INTERNATIONAL_00 = "international_00"
    E164 = "e164"
    OPTIONAL_ZERO = "optional_zero"
    NATIONAL = "national"
    DOTS = "dots"
    DASHES = "dashes"
    SPACED = "spaced"
    UNSPACED = "unspaced"
    GROUPS = "groups"
    DIGITS_IN_WORDS = "digits_in_words"
    LAST_DIGITS = "last_digits"
    EXPANDED = "expanded"
    WITH_PORT = "with_port"
    DEFANGED = "defanged"
    # addresses of houses and pages, handles
    STREET_SHORTENED = "street_shortened"
    STREET_IN_FULL = "street_in_full"
    NO_TOWN = "no_town"
    ANOTHER_ORDER = "another_order"
    NO_AT_SIGN = "no_at_sign"
    IN_A_PATH = "in_a_path"
    NO_SCHEME = "no_scheme"
    WITH_MORE_BEHIND = "with_more_behind"
    HOST_ONLY = "host_only"
    ONE_WORD_CHANGED = "one_word_changed"


class Spelling(NamedTuple):
    """One way to write an identifier."""

    how: How
    text: str
    part: str
    """What of it the identifier is: the rest, a scheme say, may stay."""


_DIGITS = "zero one two three four five six seven eight nine".split()
_SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"}
_SPELT |= {small.upper(): spelt.title() for small, spelt in _SPELT.items()}


def spellings(kind: IdentifierKind, text: str, regions: Collection[str]) -> list[Spelling]:
    """Spellings of one identifier, each text once, as it was given first.

    Raises:
        InputError: it is no identifier of this kind.
    """
    text = " ".join(text.split())
    canonical = canonicalize(kind, text, regions)
    own = _OF_CANONICAL[kind](canonical) if kind in _OF_CANONICAL else _OF_PHRASE[kind](text)
    found = {text: Spelling(How.AS_GIVEN, text, _core(kind, text))}
    for made in (*_general(kind, text), *own):
        how, written, part = (*made, made[1])[:3]
        if written and part:
            found.setdefault(written, Spelling(how, written, _core(kind, part)))
    return list(found.values())


Made = Iterator[tuple[How, str] | tuple[How, str, str]]


def _core(kind: IdentifierKind, text: str) -> str:
    """What of an identifier must go: not the scheme of a URL, nor the @ before a handle."""
    if kind is IdentifierKind.HANDLE:
        return text.lstrip("@")
    if kind is IdentifierKind.URL:
        return re.sub(r"^(?:[A-Za-z]+://)?(?:www\.)?", "", text)
    return text


def _general(kind: IdentifierKind, text: str) -> Made:
    """What may happen to text of any kind."""
    yield How.UPPER_CASE, text.upper()
    yield How.LOWER_CASE, text.lower()
    if kind not in (IdentifierKind.EMAIL, IdentifierKind.URL, IdentifierKind.HANDLE):
        yield How.NO_DIACRITICS, _plain(text)
        yield How.UMLAUTS_SPELT_OUT, "".join(_SPELT.get(c, c) for c in text)
    if " " in text:
        yield How.LINE_BREAK, text.replace(" ", "\n", 1)
    yield How.MARKUP, f"**{text}**", text
    core = _core(kind, text)
    head = text[: len(text) - len(core)]
    encoded = "".join(c if c.isalnum() else f"&#{ord(c)};" for c in core)
    yield How.HTML_ENTITIES, head + encoded, encoded
    hidden = "\u200b".join(core)
    yield How.HIDDEN_CHARACTERS, head + hidden, hidden
    letters = [at for at in range(1, len(text) - 1) if text[at - 1 : at + 2].isalnum()]
    if letters:
        at = letters[len(letters) // 2]
        yield How.TYPING_ERROR, text[:at] + text[at - 1] + text[at:]


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _name(text: str) -> Made:
    last, comma, first = text.partition(",")
    parts = f"{first} {last}".split() if comma else text.split()
    if len(parts) < 2:
        return
    first, last = " ".join(parts[:-1]), parts[-1]
    yield How.LAST_FIRST, f"{last}, {first}"
    yield How.LAST_IN_CAPITALS, f"{last.upper()} {first}"
    yield How.GENITIVE, f"{first} {last}s"
    yield How.INITIAL, f"{first[0]}. {last}"
    yield How.WORD_BETWEEN, f"{first} X. {last}"
    yield How.FIRST_PART, parts[0]
    yield How.LAST_PART, last


def _email(canonical: str) -> Made:
    local, _, domain = canonical.rpartition("@")
    yield How.AT_IN_BRACKETS, f"{local}(at){domain}"
    yield How.AT_AND_DOT_IN_BRACKETS, f"{local} [at] {domain.replace('.', ' [dot] ')}"
    yield How.LINK, f"mailto:{canonical}", canonical
    yield How.NO_DOTS, f"{local.replace('.', '')}@{domain}"
    yield How.AT_IN_WORDS, f"{local.replace('.', ' dot ')} at {domain.replace('.', ' dot ')}"
    yield How.LOCAL_PART, local


def _phone(canonical: str) -> Made:
    from phonenumbers import PhoneNumberFormat, format_number, parse

    number = parse(canonical, None)
    abroad = str(format_number(number, PhoneNumberFormat.INTERNATIONAL))
    home = str(format_number(number, PhoneNumberFormat.NATIONAL))
    yield How.INTERNATIONAL, abroad
    yield How.INTERNATIONAL_00, f"00{abroad[1:]}"
    yield How.E164, canonical
    yield How.NATIONAL, home
    if home.startswith("0"):
        code, _, rest = abroad.partition(" ")
        yield How.OPTIONAL_ZERO, f"{code} (0){rest}"
    yield How.DOTS, abroad.replace(" ", ".")
    yield How.DASHES, home.replace(" ", "-")
    yield How.UNSPACED, re.sub("[^0-9]", "", home)
    yield How.DIGITS_IN_WORDS, _in_words(home)
    yield How.LAST_DIGITS, canonical[-6:]


def _in_words(number: str) -> str:
    return " ".join(_DIGITS[int(c)] for c in number if c in "0123456789")


def _account(canonical: str) -> Made:
    fours = [canonical[at : at + 4] for at in range(0, len(canonical), 4)]
    yield How.GROUPS, " ".join(fours)
    yield How.DASHES, "-".join(fours)
    yield How.UNSPACED, canonical
    yield How.DOTS, ".".join(fours)
    yield How.SPACED, " ".join(canonical)
    yield How.LAST_DIGITS, canonical[-4:]


def _ahv(canonical: str) -> Made:
    yield How.DOTS, canonical
    yield How.GROUPS, canonical.replace(".", " ")
    yield How.DASHES, canonical.replace(".", "-")
    yield How.UNSPACED, canonical.replace(".", "")
    yield How.LAST_DIGITS, canonical[-7:]


def _ip(canonical: str) -> Made:
    yield How.EXPANDED, ip_address(canonical).exploded
    if ":" in canonical:
        yield How.WITH_PORT, f"[{canonical}]:443", canonical
    else:
        yield How.WITH_PORT, f"{canonical}:443", canonical
        yield How.DEFANGED, canonical.replace(".", "[.]")
        yield How.LAST_DIGITS, canonical.partition(".")[2]


def _postal_address(text: str) -> Made:
    yield How.STREET_SHORTENED, re.sub("(?i)(s)tra(?:ss|ß)e", r"\1tr.", text)
    yield How.STREET_IN_FULL, re.sub(r"(?i)(s)tr\.", r"\1trasse", text)
    street, comma, town = text.partition(",")
    if comma:
        yield How.NO_TOWN, street
        yield How.ANOTHER_ORDER, f"{town.strip()}, {street}"


def _handle(text: str) -> Made:
    name = _core(IdentifierKind.HANDLE, text)
    yield How.NO_AT_SIGN, name
    yield How.IN_A_PATH, f"https://social.example/{name}", name
    yield How.WITH_MORE_BEHIND, f"@{name}_too", name


def _url(text: str) -> Made:
    rest = _core(IdentifierKind.URL, text)
    yield How.NO_SCHEME, rest
    yield How.LINK, f"[here](http://www.{rest})", rest
    yield How.WITH_MORE_BEHIND, f"https://{rest.rstrip('/')}/more?x=1", rest.rstrip("/")
    yield How.HOST_ONLY, rest.partition("/")[0]


def _text(text: str) -> Made:
    parts = text.split()
    if len(parts) > 1:
        yield How.ONE_WORD_CHANGED, " ".join((*parts[:-1], "otherwise"))
        yield How.ANOTHER_ORDER, " ".join((parts[-1], *parts[:-1]))


_OF_CANONICAL: Mapping[IdentifierKind, Callable[[str], Made]] = {
    IdentifierKind.EMAIL: _email,
    IdentifierKind.PHONE: _phone,
    IdentifierKind.IBAN: _account,
    IdentifierKind.CREDIT_CARD: _account,
    IdentifierKind.AHV: _ahv,
    IdentifierKind.IP: _ip,
}
_OF_PHRASE: Mapping[IdentifierKind, Callable[[str], Made]] = {
    IdentifierKind.NAME: _name,
    IdentifierKind.POSTAL_ADDRESS: _postal_address,
    IdentifierKind.HANDLE: _handle,
    IdentifierKind.URL: _url,
    IdentifierKind.TEXT: _text,
}
