"""Telephone numbers: international (+41 ..., 0041 ...), and the national form of chosen regions.

An own scan cuts candidates out of the text, and only these go to `phonenumbers`, whose own matcher
reads 0.1 MB/s. The package is imported at first use, since that alone takes 50 ms.
"""

from __future__ import annotations

import re
from collections import deque
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span
from filter.recognisers import ahv, iban

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from phonenumbers import PhoneNumber

_SPACES = " \u00a0\u2007\u2009\u202f"
"""Space, then no-break, figure, thin and narrow no-break space."""
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""Hyphens, dashes, minus."""
_S = f"(?:[-./() ]|{'|'.join(_SPACES[1:] + _DASHES)}){{0,4}}"
TRIGGER = rf"(?:\+{_S}|0)[0-9](?:{_S}[0-9]){{6}}"

_INTERNATIONAL = 7
"""Digits at least: +690 and four more is the shortest international number in use."""
_NATIONAL = 8
"""Digits at least, the leading zero among them; shorter ones are mostly dates."""
_MOST = 20
"""Digits of a candidate at most: 15 (ITU-T E.164, section 6), 00, and a trunk prefix: (0), (06)."""

_NO_PHONE = frozenset({"isbn", "issn", "ean", "gtin", "upc", "doi", "pmid", "isin", "oclc", "iban"})
"""Words that say what the digits behind them are."""


class _Patterns(NamedTuple):
    candidate: re.Pattern[str]
    group: re.Pattern[str]
    before: re.Pattern[str]
    """Digits before a candidate, with nothing but separators between."""
    behind: re.Pattern[str]
    """What says that a candidate is part of something longer."""
    word: re.Pattern[str]
    date: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compiled at first use, so that importing stays cheap."""
    s = f"[-./(){_SPACES}{_DASHES}]"
    return _Patterns(
        candidate=re.compile(
            rf"(?<![0-9+])\+[{_SPACES}]?\(?[0-9]"
            rf"(?:{s}{{0,4}}[0-9]){{{_INTERNATIONAL - 1},{_MOST - 1}}}"
            # Not in a word, nor behind a decimal point, the colon of a time, or a hyphen that ties
            # numbers together.
            r"|(?<![0-9A-Za-z_+\u00c0-\u024f])(?<![0-9][-.,:'’\u2010-\u2015])"
            rf"\(?0(?:0{s}{{0,2}})?[1-9](?:{s}{{0,4}}[0-9]){{{_NATIONAL - 2},{_MOST - 3}}}"
        ),
        group=re.compile("[0-9]+"),
        before=re.compile(rf"([0-9]+)({s}{{1,3}})\Z"),
        behind=re.compile(r"[0-9_%A-Za-wyz\u00c0-\u024f]|[,:][0-9]"),
        word=re.compile(r"([A-Za-z]+)(?:-1[03])?[ :.\u00a0]{0,3}\Z"),
        date=re.compile(r"[0-3]?[0-9]([-./ ])[0-3]?[0-9]\1(?:19|20)[0-9]{2}(?![0-9])"),
    )


class _Run(NamedTuple):
    """Groups of digits with separators between, as a candidate found them."""

    groups: tuple[str, ...]
    gaps: tuple[str, ...]
    """What stands between the groups: one less than there are groups."""
    ends: tuple[int, ...]
    """The offset behind each group."""


class _Number(NamedTuple):
    number: PhoneNumber
    end: int


def find(text: str, regions: Collection[str] = ("CH",)) -> Iterator[Span]:
    """The telephone numbers of a text, ascending; a value is E.164 (+41446681800).

    ``regions`` (ISO 3166-1, upper case) says whose national forms count: a leading zero, and groups
    as they are set there. Digits of an IBAN or an AHV number are no telephone number.

    Raises `InputError` where there is no such region.
    """
    _check(regions)
    candidate = _patterns().candidate
    taken: deque[Span] | None = None
    match = candidate.search(text)
    while match is not None:
        start, run = match.start(), _run(text, match)
        if text[start] == "+":
            found = _abroad(text, run)
        elif run.groups[0].startswith("00"):
            found = _dialled_out(text, start, run, regions)
        else:
            found = _at_home(text, start, run, regions)
        if found is not None:
            if taken is None:
                taken = deque(sorted([*iban.find(text), *ahv.find(text)]))
            while taken and taken[0].end <= start:
                taken.popleft()
            if taken and taken[0].start < found.end:
                found = None
        if found is not None:
            start += text[start] == "(" and ")" not in text[start : found.end]
            yield Span(start, found.end, IdentifierKind.PHONE, _e164(found.number))
        # Where nothing was found, a number may still begin in the second group.
        match = candidate.search(text, run.ends[0] if found is None else found.end)


def canonicalize(text: str, regions: Collection[str] = ("CH",)) -> str:
    """One number in E.164: as dialled from abroad, else from within the first region that has it.

    More tolerant than `find`: a national number needs neither groups nor a zero here.

    Raises `InputError` where the text is no valid number, or there is no such region.
    """
    text = text.strip()
    for span in find(text, regions):
        if (span.start, span.end) == (0, len(text)):
            return span.value  # by its groups it may be another region's than by its digits
    groups = tuple(_patterns().group.findall(text))
    digits = "".join(groups)
    if re.fullmatch(rf"\(?\+?[-./(){_SPACES}{_DASHES}0-9]+", text) and len(digits) <= _MOST:
        if "+" in text:
            numbers = [_whole(groups)]
        elif groups and groups[0].startswith("00"):
            numbers = [_whole(_without_00(groups))]
        else:
            numbers = [_valid(digits, region) for region in regions]
        for number in numbers:
            if number is not None:
                return _e164(number)
    raise InputError("This is not a valid telephone number: write it as +, country code, number.")


def _run(text: str, match: re.Match[str]) -> _Run:
    found = list(_patterns().group.finditer(text, match.start(), match.end()))
    return _Run(
        tuple(group.group() for group in found),
        tuple(text[a.end() : b.start()] for a, b in pairwise(found)),
        tuple(group.end() for group in found),
    )


def _cuts(text: str, run: _Run, lengths: frozenset[int]) -> Iterator[int]:
    """After how many groups a number of one of these lengths may end, the longest first."""
    totals = tuple(accumulate(map(len, run.groups)))
    for n in range(len(run.groups), 0, -1):
        if totals[n - 1] not in lengths:
            continue
        if n == len(run.groups):
            if not _patterns().behind.match(text, run.ends[-1]):
                yield n
            continue
        gap = run.gaps[n - 1]
        row = n > 1 and gap == run.gaps[n - 2] and len(run.groups[n]) == len(run.groups[n - 1])
        if not row and ("/" in gap or any(c in _SPACES for c in gap)):
            yield n


def _abroad(text: str, run: _Run) -> _Number | None:
    """A number whose first group begins with its country code, the whole of it."""
    country = next(
        (c for c in (run.groups[0][:n] for n in (1, 2, 3)) if c in possible_lengths()), None
    )
    if country is None:
        return None
    for n in _cuts(text, run, possible_lengths()[country]):
        number = _whole(run.groups[:n])
        if number is not None:
            return _Number(number, run.ends[n - 1])
    return None


def _whole(groups: tuple[str, ...]) -> PhoneNumber | None:
    """The number that begins with a country code."""
    number = _valid(f"+{''.join(groups)}", None)
    if number is None and groups[1:2] == ("0",):
        # "+45 (0) 32 12 34 56": a zero where the country has none
        return _valid(f"+{groups[0]}{''.join(groups[2:])}", None)
    return number


def _dialled_out(text: str, start: int, run: _Run, regions: Collection[str]) -> _Number | None:
    """A number behind 00. Many numbers are padded with zeros, so more is asked of these."""
    if _is_named(text, start) or _before(text, start) is not None:
        return None
    lone = len(run.groups) == 1
    rest = _without_00(run.groups)
    cut = len(run.groups) - len(rest)
    found = _abroad(text, _Run(rest, run.gaps[cut:], run.ends[cut:]))
    if found is None or found.end != run.ends[-1]:
        return None
    if lone and not text.endswith("tel:", 0, start):
        return found if any(_is_of(found.number, region) for region in regions) else None
    return found


def _without_00(groups: tuple[str, ...]) -> tuple[str, ...]:
    return groups[1:] if groups[0] == "00" else (groups[0][2:], *groups[1:])


def _at_home(text: str, start: int, run: _Run, regions: Collection[str]) -> _Number | None:
    """A number with a leading zero, in groups as one of the regions sets them."""
    if _is_named(text, start):
        return None
    if _patterns().date.match(text, start):
        return None
    before = _before(text, start)
    if before and run.gaps and before == (len(run.groups[0]), run.gaps[0]):
        return None  # a row of equal groups
    for region in regions:
        for n in _cuts(text, run, _national_lengths(region)):
            number = _valid("".join(run.groups[:n]), region)
            if number is not None and _is_of(number, region):
                touching = before is not None or n < len(run.groups)
                if _is_grouped(number, run.groups[:n], run.gaps[: n - 1], exactly=touching):
                    return _Number(number, run.ends[n - 1])
    return None


def _is_grouped(
    number: PhoneNumber, groups: tuple[str, ...], gaps: tuple[str, ...], *, exactly: bool
) -> bool:
    """Whether the groups could be set so where the number is at home."""
    import phonenumbers

    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    usual = tuple(_patterns().group.findall(national))
    if exactly:
        return groups == usual
    # The zero and the area code come first, then one kind of gap; a lone dot is a decimal point.
    starts = set(accumulate(usual))
    if len(usual) > 1 and len(usual[1]) == 4:
        starts.add(usual[0] + usual[1][0])  # London's 020 7946 0958 is mostly set as 0207 946 0958
    fits = usual[0].startswith("0") and groups[0] in starts
    return fits and bool(gaps) and gaps != (".",) and len(set(gaps[1:])) <= 1


def _before(text: str, start: int) -> tuple[int, str] | None:
    """How many digits stand before ``start``, and the separators between; ``None`` without any."""
    match = _patterns().before.search(text[max(0, start - 24) : start])
    return (len(match[1]), match[2]) if match is not None else None


def _is_named(text: str, start: int) -> bool:
    """Whether a word before ``start`` says that it is something else."""
    word = _patterns().word.search(text[max(0, start - 12) : start])
    return word is not None and word[1].lower() in _NO_PHONE


def _valid(digits: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _is_of(number: PhoneNumber, region: str) -> bool:
    import phonenumbers

    return bool(phonenumbers.is_valid_number_for_region(number, region))


def _e164(number: PhoneNumber) -> str:
    import phonenumbers

    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _check(regions: Collection[str]) -> None:
    import phonenumbers

    if not phonenumbers.SUPPORTED_REGIONS.issuperset(regions):
        raise InputError("No such telephone region: give ISO 3166-1 codes such as CH, in a list.")


@cache
def national_lengths(region: str) -> frozenset[int]:
    """How many digits a number has there, its trunk prefix (where there is one) counted or not."""
    from phonenumbers import country_code_for_region

    own, trunk = _possible(country_code_for_region(region), region)
    return frozenset(n + extra for n in own for extra in (0, len(trunk) or 1))


@cache
def possible_lengths() -> dict[str, frozenset[int]]:
    """Country code -> how many digits may follow the plus, with a trunk prefix or without."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    lengths = {}
    for country, (region, *_) in COUNTRY_CODE_TO_REGION_CODE.items():
        own, trunk = _possible(country, region)
        code = str(country)
        lengths[code] = frozenset(
            len(code) + n + extra for n in own for extra in (0, len(trunk) or 1)
        )
    return lengths


@cache
def _national_lengths(region: str) -> frozenset[int]:
    """How many digits a number has there when it begins with a zero."""
    from phonenumbers import country_code_for_region

    own, trunk = _possible(country_code_for_region(region), region)
    zero = len(trunk) if trunk.startswith("0") else 0
    return frozenset(n + zero for n in own if n + zero >= _NATIONAL)


def _possible(country: int, region: str) -> tuple[tuple[int, ...], str]:
    """The lengths of numbers without country code, in digits, and the trunk prefix."""
    from phonenumbers import PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region_or_calling_code(country, region)
    if metadata is None or metadata.general_desc is None:
        return (), ""
    return tuple(metadata.general_desc.possible_length), metadata.national_prefix or ""
