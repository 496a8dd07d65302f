"""Numbers in groups of digits: telephone numbers, AHV numbers, payment cards.

Digits and what may separate them form a run; a number begins and ends with groups of the run.
Validity is that of the recognisers (`phonenumbers`, check digits), the form is free.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from filter.candidates.model import LONGEST_GAP, Candidate, Glyphs
from filter.checksums import ean13
from filter.identifiers import IdentifierKind
from filter.recognisers.phone import national_lengths, possible_lengths

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_HARD = frozenset(',;:|=<>"@#%&!?{}$+')
"""Ends a run of digits where it stands between two."""
_SHORTEST = 7
_LONGEST_PHONE = 20
"""Digits: 15 (ITU-T E.164, section 6), 00, and a trunk prefix: (0), (06)."""


class _Run(NamedTuple):
    """Neighbouring digits of an island."""

    first: int
    """Number of its first glyph."""
    digits: str
    starts: list[int]
    """Where its groups begin, in digits."""
    plus: bool
    """A plus sign stands before it."""


def find(
    text: Glyphs, kinds: Collection[IdentifierKind], regions: tuple[str, ...]
) -> Iterator[Candidate]:
    """Every reading of every number of these kinds in an island."""
    for run in _runs(text):
        if IdentifierKind.AHV in kinds:
            yield from _fixed(text, run, IdentifierKind.AHV)
        if IdentifierKind.CREDIT_CARD in kinds:
            yield from _fixed(text, run, IdentifierKind.CREDIT_CARD)
        if IdentifierKind.PHONE in kinds:
            yield from _phones(text, run, regions)


def _runs(text: Glyphs) -> Iterator[_Run]:
    size = len(text.text)
    at = 0
    while at < size:
        if not "0" <= text.text[at] <= "9":
            at += 1
            continue
        first = at
        starts = [0]
        at += 1
        while at < size and "0" <= text.text[at] <= "9":
            gap = text.gaps[at]
            if gap:
                if len(gap) > LONGEST_GAP or not _HARD.isdisjoint(gap):
                    break
                starts.append(at - first)
            at += 1
        if at - first >= _SHORTEST:
            before = text.gaps[first]
            plus = "+" in before[-LONGEST_GAP:] and not (
                first > 0 and len(before) == 1 and text.text[first - 1].isdigit()
            )
            yield _Run(first, text.text[first:at], starts, plus)


def _candidate(
    text: Glyphs, run: _Run, start: int, end: int, kind: IdentifierKind, value: str
) -> Candidate:
    first = text.places[run.first + start]
    if run.plus and start == 0:
        before = text.gaps[run.first]
        first -= len(before) - before.rindex("+")
    return Candidate(first, text.places[run.first + end - 1], kind, value)


def _fixed(text: Glyphs, run: _Run, kind: IdentifierKind) -> Iterator[Candidate]:
    """Numbers whose digits tell their length."""
    from filter.recognisers.credit_card import is_card

    edges = {*run.starts, len(run.digits)}
    for start in run.starts:
        if kind is IdentifierKind.AHV:
            digits = run.digits[start : start + 13]
            if digits.startswith("756") and start + 13 in edges and ean13(digits):
                yield _candidate(text, run, start, start + 13, kind, digits)
            continue
        for length in range(19, 11, -1):
            digits = run.digits[start : start + length]
            if len(digits) == length and start + length in edges and is_card(digits):
                yield _candidate(text, run, start, start + length, kind, digits)


def _phones(text: Glyphs, run: _Run, regions: tuple[str, ...]) -> Iterator[Candidate]:
    edges = [*run.starts[1:], len(run.digits)]
    for number, start in enumerate(run.starts):
        plus = run.plus and number == 0
        if not plus and not run.digits.startswith(_beginnings(regions), start):
            continue
        for end in islice(edges, number, number + _LONGEST_PHONE):
            if not _SHORTEST <= end - start <= _LONGEST_PHONE:
                continue
            for value in _numbers(run.digits[start:end], regions, plus=plus):
                yield _candidate(text, run, start, end, IdentifierKind.PHONE, value)


@cache
def _beginnings(regions: tuple[str, ...]) -> tuple[str, ...]:
    """What numbers without a plus begin with: a zero, or a country code; any digit if need be."""
    if all(_trunk(region) for region in regions):
        return ("0", *_codes(regions))
    return tuple("0123456789")


def _numbers(digits: str, regions: tuple[str, ...], *, plus: bool) -> tuple[str, ...]:
    """The numbers in E.164 that a string of digits may be."""
    if plus:
        return _abroad(digits.removeprefix("00"))
    if digits.startswith("00"):
        return _abroad(digits[2:])
    found = [value for region in regions for value in _at_home(digits, region)]
    if any(digits.startswith(code) for code in _codes(regions)):
        found += _abroad(digits)
    return tuple(dict.fromkeys(found))


def _abroad(digits: str) -> tuple[str, ...]:
    """A number that begins with its country code, with a trunk prefix behind it or without."""
    import phonenumbers

    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    code = next(
        (digits[:n] for n in (1, 2, 3) if digits[:n].isdigit() and int(digits[:n]) in known), ""
    )
    if not code or digits.startswith("0"):
        return ()
    if len(digits) not in possible_lengths()[code]:
        return ()
    found = _parsed(f"+{digits}", None)
    rest = digits[len(code) :]
    if found is None and rest.startswith("0"):
        found = _parsed(f"+{code}{rest[1:]}", None)
    return (found,) if found else ()


def _at_home(digits: str, region: str) -> tuple[str, ...]:
    trunk = _trunk(region)
    if trunk and not digits.startswith(trunk):
        return ()
    if len(digits) not in national_lengths(region):
        return ()
    found = _parsed(digits, region)
    return (found,) if found else ()


def _parsed(digits: str, region: str | None) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if region is None:
        valid = phonenumbers.is_valid_number(number)
    else:
        valid = phonenumbers.is_valid_number_for_region(number, region)
    if not valid:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@cache
def _trunk(region: str) -> str:
    """The prefix before national numbers; empty where there is none, or none must be dialled."""
    import phonenumbers

    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    prefix = metadata.national_prefix if metadata is not None else None
    return prefix if prefix == "0" else ""


@cache
def _codes(regions: tuple[str, ...]) -> tuple[str, ...]:
    import phonenumbers

    return tuple(str(phonenumbers.country_code_for_region(region)) for region in regions)
