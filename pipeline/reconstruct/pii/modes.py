"""The ways of finding personal data that a run can choose between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filter.identifiers import IdentifierKind, Span
from filter.recognisers import RECOGNISERS, find_all
from pipeline.reconstruct.pii import apertus
from pipeline.reconstruct.pii.markers import KINDS


@dataclass(frozen=True, slots=True)
class PiiMode:
    """How personal data is found: a cheap necessary condition in bulk, then a judge per document."""

    name: str
    triggers: Mapping[IdentifierKind, str]
    """Per kind a pattern (on UTF-8 octets; common subset of RE2 and Hyperscan) without whose match
    the judge finds nothing."""
    settles: bool
    """Whether texts are scrubbed until nothing is found: an identifier that touched another one may be
    found only once that one is gone."""
    find: Callable[[str, frozenset[IdentifierKind]], list[Span]]
    """Spans of the given kinds in a text, ascending, not overlapping."""


def _strict(text: str, kinds: frozenset[IdentifierKind]) -> list[Span]:
    return list(find_all(text, kinds))


MODES = {
    "strict": PiiMode("strict", {k: RECOGNISERS[k].TRIGGER for k in KINDS}, True, _strict),
    "apertus": PiiMode("apertus", apertus.TRIGGERS, False, apertus.find),
}
"""``none`` is the absence of a mode, not one of them."""
