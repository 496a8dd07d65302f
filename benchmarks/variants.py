"""How one identifier comes to stand in a text: a table of variants.

Each is a function from an identifier and a random source to the written form, or ``None`` where it
does not apply to this one. A variant is *claimed* when the filter promises to find it, else it is
*reported*: measured as well, so that everybody sees what is missed.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from html.entities import codepoint2name
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote

import idna
import people
import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from filter import Identifier

Write = Callable[[Identifier, random.Random], str | None]

EMAILS = frozenset({"email", "email (IDN)"})
NUMBERS = frozenset({"phone", "iban", "ahv", "credit_card"})
IPS = frozenset({"ip (v4)", "ip (v6)"})
PHRASES = frozenset({"postal_address", "text"})
NAMES = frozenset(people.SCRIPTS)
CASED = frozenset({"Latin", "Cyrillic", "Greek", "Armenian"})
SPACED = NAMES - {"Han", "Hangul"}
SPACELESS = frozenset({"Han", "kana", "Hangul", "Thai"})
LATIN = EMAILS | PHRASES | {"handle", "url", "Latin"}
"""What is written in Latin letters, IBAN and IP aside."""
DIVISIBLE = EMAILS | NUMBERS | PHRASES | NAMES
"""What stays itself with dots or dashes inside; an IP address, a URL, a handle do not."""
ALL = frozenset(people.GROUPS)

TWINS: dict[str, list[str]] = defaultdict(list)
"""Letters of one script that look like one of another: Latin to Cyrillic, Greek, Armenian, and back."""
for _foreign, _latin in (
    ("аеорсхуіјѕһԁԛԝ", "aeopcxyijshdqw"),
    ("АВЕКМНОРСТХ", "ABEKMHOPCTX"),
    ("οαρυι", "oapui"),
    ("ΑΒΕΖΗΙΚΜΟΡΤΥΧ", "ABEZHIKMOPTYX"),
    ("օսհոՕՍ", "ouhnOU"),
):
    for _one, _two in zip(_foreign, _latin, strict=True):
        TWINS[_one].append(_two)
        TWINS[_two].append(_one)

NAMED = {
    **{chr(point): name for point, name in codepoint2name.items() if point > 127},
    " ": "nbsp", "@": "commat", ".": "period", "_": "lowbar", ":": "colon", "/": "sol",
    "+": "plus", ",": "comma",
}  # fmt: skip
"""Entities of HTML by character; a space stands for the no-break space."""

_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїћ"
_ICAO = "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y - e iu ia i i c"
_ISO_9 = "a b v g d e ë ž z i j k l m n o p r s t u f ch c č š šč - y - ė ju ja i ï ć"
_GREEK = "αβγδεζηθικλμνξοπρσςτυφχψω"
_ELOT = "a v g d e z i th i k l m n x o p r s s t y f ch ps o"
SYSTEMS = [
    dict(zip(letters, latin.replace("-", "").split(" "), strict=True))
    for letters, latin in ((_CYRILLIC, _ICAO), (_CYRILLIC, _ISO_9), (_GREEK, _ELOT))
]
"""ICAO Doc 9303 (part 3, section 6), ISO 9:1968, and ELOT 743 without its rules for pairs."""


def clusters(text: str) -> list[str]:
    """Characters, each with the marks that follow it."""
    found: list[str] = []
    for c in text:
        if found and unicodedata.category(c)[0] == "M":
            found[-1] += c
        else:
            found.append(c)
    return found


def always(change: Callable[[str], str]) -> Write:
    """The same change for every identifier."""
    return lambda one, _: change(one.text)


def changed(change: Callable[[str], str]) -> Write:
    """The same change for every identifier that it changes."""

    def write(one: Identifier, _: random.Random) -> str | None:
        written = change(one.text)
        return written if written != one.text else None

    return write


def without_marks(text: str) -> str:
    text = "".join(people.UNMARKED.get(c, c) for c in text)
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def with_umlauts(text: str) -> str:
    return " ".join(people.UMLAUTS.get(word, word) for word in text.split(" "))


def full_width(text: str) -> str:
    return text.translate({0x20: 0x3000} | {c: c + 0xFEE0 for c in range(0x21, 0x7F)})


def a_label(text: str) -> str:
    local, _, domain = text.partition("@")
    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def between(marks: str, share: float = 1.0, *, everywhere: bool = False) -> Write:
    """One of ``marks`` in a share of the gaps: those between letters and digits, or all."""

    def write(one: Identifier, rng: random.Random) -> str | None:
        parts = clusters(one.text)
        written = parts[0]
        for left, right in pairwise(parts):
            inner = everywhere or (left[0].isalnum() and right[0].isalnum())
            written += (rng.choice(marks) if inner and rng.random() < share else "") + right
        return written if written != one.text else None

    return write


def no_break(one: Identifier, rng: random.Random) -> str | None:
    return one.text.replace(" ", rng.choice("\u00a0\u2009\u202f")) if " " in one.text else None


def broken(one: Identifier, rng: random.Random) -> str:
    """One line break, in the place of a space where it falls before one."""
    parts, end = clusters(one.text), rng.choice(["\n", "\r\n"])
    at = rng.randrange(1, len(parts))
    return "".join(parts[:at]) + end + "".join(parts[at:]).removeprefix(" ")


def emphasis(one: Identifier, rng: random.Random) -> str:
    """A random part emphasised; with underscores all of it, since they do not work inside words
    (CommonMark, section 6.2)."""
    parts, mark = clusters(one.text), rng.choice(["**", "*", "`", "~~", "_"])
    start, end = sorted(rng.sample(range(len(parts) + 1), 2))
    if mark == "_":
        start, end = 0, len(parts)
    return "".join([*parts[:start], mark, *parts[start:end], mark, *parts[end:]])


def numeric(share: float) -> Write:
    """Decimal and hexadecimal character references for a share of the characters."""

    def write(one: Identifier, rng: random.Random) -> str | None:
        forms = ("&#{0};", "&#x{0:x};", "&#x{0:04X};")
        drawn = [rng.choice(forms).format(ord(c)) if rng.random() < share else c for c in one.text]
        return "".join(drawn) if drawn != list(one.text) else None

    return write


def lookalikes(one: Identifier, rng: random.Random) -> str | None:
    """Half of the letters that have a twin in another script, one at least; never digits."""
    places = [at for at, c in enumerate(one.text) if c in TWINS]
    chosen = set(rng.sample(places, (len(places) + 1) // 2))
    drawn = [rng.choice(TWINS[c]) if at in chosen else c for at, c in enumerate(one.text)]
    return "".join(drawn) if chosen else None


def bracketed(space: str) -> Write:
    """(at) and (dot) in several brackets, now and then in capitals; of a URL the dots of its host."""

    def write(one: Identifier, rng: random.Random) -> str:
        head, at, host = one.text.rpartition("@")
        path = ""
        if not at:
            head, host, path = re.fullmatch("(https://)([^/]*)(.*)", one.text).groups()  # type: ignore[union-attr]
        case = str.upper if rng.random() < 0.2 else str
        dot = case(f"{space}{rng.choice(['(dot)', '[dot]'])}{space}")
        at = at and case(f"{space}{rng.choice(['(at)', '[at]', '{at}'])}{space}")
        return f"{head.replace('.', dot)}{at}{host.replace('.', dot)}{path}"

    return write


def last_first(text: str) -> str:
    fore, _, sur = text.partition(" ")
    return f"{sur}, {fore}"


def capitals_first(text: str) -> str:
    fore, _, sur = text.partition(" ")
    return f"{sur.upper()} {fore}"


def abroad(change: Callable[[str], str], form: int = PhoneNumberFormat.INTERNATIONAL) -> Write:
    """An international form of a telephone number, changed."""
    return lambda one, _: change(phonenumbers.format_number(phonenumbers.parse(one.text), form))


def trunk(one: Identifier, rng: random.Random) -> str | None:
    """+41 (0)44 668 18 00, where the country has a zero that is not dialled from abroad."""
    number = phonenumbers.parse(one.text)
    region = phonenumbers.region_code_for_number(number)
    if PhoneMetadata.metadata_for_region(region).national_prefix != "0":
        return None
    form = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    return form.replace(" ", rng.choice([" (0)", "(0)", " (0) "]), 1)


def at_home(change: Callable[[str], str], *, zero: bool = True) -> Write:
    """The national form of a number of `people.HOME`, with a leading zero or without, changed."""

    def write(one: Identifier, _: random.Random) -> str | None:
        number = phonenumbers.parse(one.text)
        form = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        home = phonenumbers.region_code_for_number(number) in people.HOME
        return change(form) if home and form.startswith("0") == zero else None

    return write


def parted(mark: str) -> Callable[[str], str]:
    """What stands between groups of digits becomes ``mark``."""
    return lambda text: re.sub("(?<=[0-9])[^0-9]+(?=[0-9])", mark, text)


def slashed(text: str) -> str:
    return re.sub("[^0-9+]+", "/", text, count=1) if text[0] != "+" else parted("/")(text)


def in_fours(mark: str) -> Callable[[str], str]:
    return lambda text: mark.join(re.findall(".{1,4}", re.sub("[^0-9A-Z]", "", text)))


def initial(text: str) -> str:
    fore, _, sur = text.partition(" ")
    return f"{fore[0]}. {sur}"


def inflected(*endings: str) -> Write:
    return lambda one, rng: one.text + rng.choice(endings)


def declined(one: Identifier, rng: random.Random) -> str:
    """Genitive, dative or instrumental of the masculine, for every word, by its last letters."""
    table = {"o": "a owi em", "a": "y ie ą", "": "a owi em"}
    if unicodedata.name(one.text[0]).startswith("CYRILLIC"):
        table = {"кий": "кого кому ким", "кой": "кого кому ким", "той": "того тому тым"}
        table |= {"ной": "ного ному ным", "ий": "ия ию ием", "й": "я ю ем", "а": "ы е ой"}
        table |= {"я": "и е ей", "": "а у ом"}
    case = rng.randrange(3)
    words = []
    for word in one.text.split(" "):
        ending = next(e for e in table if word.endswith(e))
        words.append(word.removesuffix(ending) + table[ending].split(" ")[case])
    return " ".join(words)


def transliterated(one: Identifier, rng: random.Random) -> str:
    text = unicodedata.normalize("NFC", one.text.lower())
    system = rng.choice([s for s in SYSTEMS if any(c in s for c in text)])
    if "α" in system:
        text = without_marks(text)
    return "".join(system.get(c, c) for c in text).title()


def spaced_once(one: Identifier, rng: random.Random) -> str:
    at = rng.randrange(1, len(one.text))
    return f"{one.text[:at]} {one.text[at:]}"


class Variant(NamedTuple):
    """One way of writing, and the groups of `people.GROUPS` it applies to."""

    write: Write
    groups: frozenset[str]
    claimed: bool = True
    glue: bool = False
    """Whether the words around the identifier touch it."""
    languages: tuple[str, ...] = ()
    """Of the sentence around it; any if empty."""


PHONE, IBAN, AHV, CARD = (frozenset({kind}) for kind in ("phone", "iban", "ahv", "credit_card"))
DECOMPOSABLE = PHRASES | {"email (IDN)", "Latin", "Cyrillic", "Greek", "Arabic", "Hangul", "kana"}

VARIANTS: dict[str, Variant] = {
    "plain": Variant(always(str), ALL),
    "upper case": Variant(changed(str.upper), LATIN | CASED | {"ip (v6)"}),
    "lower case": Variant(changed(str.lower), PHRASES | CASED | IBAN),
    "title case": Variant(changed(str.title), EMAILS | PHRASES | {"handle"}),
    "diacritics dropped": Variant(changed(without_marks), PHRASES | {"Latin", "Greek", "Arabic"}),
    "umlauts spelled out": Variant(changed(people.spelled_out), frozenset({"Latin"})),
    "umlauts restored": Variant(changed(with_umlauts), frozenset({"Latin"})),
    "decomposed (NFD)": Variant(
        changed(lambda text: unicodedata.normalize("NFD", text)), DECOMPOSABLE
    ),
    "full-width": Variant(changed(full_width), LATIN | NUMBERS | IPS),
    "domain as A-labels": Variant(changed(a_label), frozenset({"email (IDN)"})),
    "zero-width between all": Variant(
        between("\u200b\u200c\u200d\u2060\ufeff", everywhere=True), ALL
    ),
    "soft hyphens": Variant(between("\u00ad", 0.5, everywhere=True), ALL),
    "no-break spaces": Variant(no_break, SPACED | PHRASES | PHONE | IBAN | CARD),
    "dots between all": Variant(between("."), DIVISIBLE),
    "dots between a third": Variant(between(".", 1 / 3), DIVISIBLE),
    "dashes between all": Variant(between("-"), DIVISIBLE),
    "dashes between a third": Variant(between("-\u2010\u2013", 1 / 3), DIVISIBLE),
    "spaces between all": Variant(between(" "), DIVISIBLE),
    "line break": Variant(broken, ALL),
    "Markdown emphasis": Variant(emphasis, ALL),
    "HTML entities, named": Variant(
        changed(lambda text: "".join(f"&{NAMED[c]};" if c in NAMED else c for c in text)),
        LATIN | NUMBERS | IPS | {"Greek"},
    ),
    "HTML entities, numeric, half": Variant(numeric(0.5), ALL),
    "HTML entities, numeric, all": Variant(numeric(1.0), ALL),
    "percent-encoded, special": Variant(
        changed(lambda text: quote(text, safe="")), ALL - AHV - {"ip (v4)"}
    ),
    "percent-encoded, all": Variant(
        changed(lambda text: "".join(f"%{octet:02X}" for octet in text.encode())), ALL
    ),
    "look-alike letters": Variant(lookalikes, LATIN | CASED | IBAN),
    "(at) (dot)": Variant(bracketed(""), EMAILS | {"url"}),
    "(at) (dot), spaced": Variant(bracketed(" "), EMAILS),
    "Last, First": Variant(always(last_first), SPACED - {"kana"}),
    "LAST First": Variant(always(capitals_first), CASED),
    "E.164": Variant(abroad(str, PhoneNumberFormat.E164), PHONE),
    "international": Variant(abroad(str), PHONE),
    "tel: (RFC 3966)": Variant(abroad(str, PhoneNumberFormat.RFC3966), PHONE),
    "international, dots": Variant(abroad(parted(".")), PHONE),
    "international, dashes": Variant(abroad(parted("-")), PHONE),
    "international, slashes": Variant(abroad(slashed), PHONE),
    "international, parentheses": Variant(
        abroad(lambda text: re.sub(" ([0-9]+)", r" (\1)", text, count=1)), PHONE
    ),
    "00": Variant(abroad(lambda text: f"00{text[1:]}"), PHONE),
    "00, unspaced": Variant(abroad(lambda text: f"00{text[1:]}", PhoneNumberFormat.E164), PHONE),
    "+41 (0)44": Variant(trunk, PHONE),
    "national": Variant(at_home(str), PHONE),
    "national, dots": Variant(at_home(parted(".")), PHONE),
    "national, dashes": Variant(at_home(parted("-")), PHONE),
    "national, slash": Variant(at_home(slashed), PHONE),
    "national, parentheses": Variant(
        at_home(lambda text: re.sub("[0-9]+", r"(\g<0>)", text, count=1)), PHONE
    ),
    "national, unspaced": Variant(at_home(parted("")), PHONE),
    "in fours": Variant(always(in_fours(" ")), IBAN | CARD),
    "in fours, hyphens": Variant(always(in_fours("-")), IBAN | CARD),
    "unspaced": Variant(changed(lambda text: re.sub("[ .]", "", text)), IBAN | AHV | CARD),
    "unspaced, lower case": Variant(changed(lambda text: text.replace(" ", "").lower()), IBAN),
    "groups with spaces": Variant(changed(parted(" ")), AHV),
    "groups with hyphens": Variant(changed(parted("-")), AHV),
    "glued to words": Variant(always(str), EMAILS | NUMBERS | IPS | PHRASES | {"url"}, glue=True),
    # Not claimed.
    "glued to words of a spaceless script": Variant(
        always(str), SPACELESS, claimed=False, glue=True, languages=("zh", "ja", "ko", "th")
    ),
    "umlauts spelled out in phrases": Variant(changed(people.spelled_out), PHRASES, claimed=False),
    "initial": Variant(always(initial), CASED | {"Georgian"}, claimed=False),
    "German genitive": Variant(inflected("s"), frozenset({"Latin"}), claimed=False),
    "Slavic cases": Variant(declined, frozenset({"Latin", "Cyrillic"}), claimed=False),
    "Turkish suffixes": Variant(
        inflected("'ın", "'in", "'a", "'e", "’da", "’den"), frozenset({"Latin"}), claimed=False
    ),
    "Finnish cases": Variant(
        inflected("n", "lle", "lta", "ssa"), frozenset({"Latin"}), claimed=False
    ),
    "transliterated": Variant(transliterated, frozenset({"Cyrillic", "Greek"}), claimed=False),
    "one space": Variant(spaced_once, EMAILS, claimed=False),
    "national, no leading zero": Variant(at_home(str, zero=False), PHONE, claimed=False),
}
