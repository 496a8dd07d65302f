"""The compile gate: may this identifier be listed, or would it blank the model?

``the`` and ``Zürich`` are words of everybody; a list that holds them censors, whoever asked for it.
Each kind has rules of its own (`gate_names`, `gate_addresses`, `gate_numbers`); what passes them is
looked for in clean text. The gate does not ask whether somebody has a public role (GDPR 17(3)(a)): that
is a reviewer's to judge. The rules and their reasons are told in ``docs/compile-gate.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache

from filter.canaries import CANARIES
from filter.canonical import canonicalize, comparable, kind_of
from filter.errors import InputError, PhraseTooLong, PhraseTooShort
from filter.identifiers import PHRASES, IdentifierKind
from filter.variants import variants
from filter_service import clean_sample, gate_addresses, gate_names, gate_numbers, gate_places
from filter_service.clean_sample import CleanSample
from filter_service.gate_words import words
from filter_service.judgement import ALLOWED, Judgement, Reason, Verdict, needs, refused

__all__ = ["TOO_FREQUENT", "Judgement", "Reason", "Verdict", "judge", "prepare"]

TOO_FREQUENT = 1.0
"""Hits per million characters of clean text from which on an identifier is refused.

That is one in 300 pages. A thousand such entries of a dozen letters would remove one character in a
hundred of everything; and no private person is named so often. In the built-in sample, which is far
shorter, one hit is enough.
"""

_BY_KIND: Mapping[IdentifierKind, Callable[[str], Judgement]] = {
    IdentifierKind.NAME: gate_names.judge_name,
    IdentifierKind.TEXT: gate_names.judge_text,
    IdentifierKind.HANDLE: gate_names.judge_handle,
    IdentifierKind.POSTAL_ADDRESS: gate_addresses.judge_postal_address,
    IdentifierKind.URL: gate_addresses.judge_url,
    IdentifierKind.EMAIL: gate_addresses.judge_email,
    IdentifierKind.IP: gate_numbers.judge_ip,
}


def judge(
    kind: IdentifierKind | str,
    text: str,
    *,
    regions: Collection[str] = ("CH",),
    sample: CleanSample | None = None,
) -> Judgement:
    """Whether one identifier may be listed in a release.

    Args:
        kind: its kind.
        text: as a person wrote it.
        regions: where telephone numbers without country code are at home (ISO 3166-1).
        sample: clean text; the built-in one by default.

    Raises:
        UnknownKind: there is no such kind.
        MissingExtra: the word lists or the gazetteer are not installed.
    """
    kind = kind_of(kind)
    try:
        if _is_canary(kind, text, regions):
            return refused(Reason.CANARY)
        found = _by_kind(kind, text, regions)
        if found.verdict is Verdict.REFUSED:
            return found
        hits = (sample or clean_sample.builtin()).hits(clean_sample.filter_of(kind, text, regions))
    except PhraseTooShort:
        return refused(Reason.TOO_SHORT)
    except PhraseTooLong:
        return refused(Reason.TOO_LONG)
    except InputError:
        return refused(Reason.MALFORMED)
    if hits.per_million >= TOO_FREQUENT:
        return refused(Reason.TOO_FREQUENT)
    if hits.count and found == ALLOWED:
        return needs(Reason.FOUND_IN_SAMPLE)
    return found


def prepare() -> None:
    """Read the word lists and the gazetteer, so that the first judgement need not wait for them.

    Raises:
        MissingExtra: they are not installed.
    """
    words()
    gate_places.is_place("")


def _by_kind(kind: IdentifierKind, text: str, regions: Collection[str]) -> Judgement:
    if kind is IdentifierKind.PHONE:
        return gate_numbers.judge_phone(text, regions)
    if kind in _BY_KIND:
        return _BY_KIND[kind](text)
    return gate_numbers.judge_example(kind, text)


def _is_canary(kind: IdentifierKind, text: str, regions: Collection[str]) -> bool:
    """Whether it is a fictitious person of `filter.canaries`, in any spelling."""
    try:
        return bool(_forms(kind, text, regions) & _canaries(kind))
    except InputError:
        return False


@cache
def _canaries(kind: IdentifierKind) -> frozenset[str]:
    return frozenset(
        form for c in CANARIES if c.kind is kind for form in _forms(kind, c.text, ("CH",))
    )


def _forms(kind: IdentifierKind, text: str, regions: Collection[str]) -> frozenset[str]:
    if kind in PHRASES:
        return frozenset(variants(kind, text))
    return frozenset({comparable(kind, canonicalize(kind, text, regions))})
