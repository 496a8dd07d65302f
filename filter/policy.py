"""How a filter is applied: frozen, with named profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from filter.canonical import canonicalize, kind_of
from filter.errors import InputError
from filter.identifiers import PHRASES, RECOGNISED, Identifier, IdentifierKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARKERS: Mapping[IdentifierKind, str] = MappingProxyType(
    {kind: f"[{kind.replace('_', ' ')} removed]" for kind in IdentifierKind}
)
"""What stands in the place of an identifier unless a policy says otherwise."""


@dataclass(frozen=True, slots=True)
class FilterPolicy:
    """What is looked for, what stands in its place, and what a text may cost."""

    name: str = "standard"
    kinds: frozenset[IdentifierKind] = frozenset(IdentifierKind)
    """Kinds that are looked for; a bundle need not list all of them."""
    markers: Mapping[IdentifierKind, str] = field(default_factory=lambda: MARKERS)
    slow_hashes: int = 1024
    """Distinct slow hashes of one text at most, counted in the order of the text. What comes after
    them is removed undecided. Never a matter of time: the same text always reads the same."""
    exempt: frozenset[Identifier] = frozenset()
    """Identifiers that are let through, phrases with their variants: what a user has written
    themselves. Those of recognised kinds in canonical form."""
    generic: frozenset[IdentifierKind] = frozenset()
    """Kinds that are removed, listed or not, by what they look like: whole texts only, and with
    the extra ``presidio``."""

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            InputError: a negative budget, or a kind without a marker.
        """
        if self.slow_hashes < 0:
            raise InputError("A budget of slow hashes cannot be negative: give 0 or more.")
        if missing := (self.kinds | self.generic) - self.markers.keys():
            raise InputError(f"The policy has no marker for {', '.join(sorted(missing))}: add one.")

    def exempting(
        self,
        identifiers: Iterable[tuple[IdentifierKind | str, str]],
        regions: tuple[str, ...] = ("CH",),
    ) -> FilterPolicy:
        """The same policy that lets these identifiers through.

        Raises:
            InputError: one of them is not an identifier of its kind.
        """
        from dataclasses import replace

        more = set()
        for name, text in identifiers:
            kind = kind_of(name)
            canonical = canonicalize(kind, text, regions)
            more.add(Identifier(kind, text if kind in PHRASES else canonical))
        return replace(self, exempt=self.exempt | more)


POLICIES: Mapping[str, FilterPolicy] = MappingProxyType(
    {
        "standard": FilterPolicy(),
        "corpus": FilterPolicy(
            name="corpus",
            markers={
                kind: f"<{kind if kind in RECOGNISED else 'email'}-pii>" for kind in IdentifierKind
            },
        ),
        "frugal": FilterPolicy(name="frugal", slow_hashes=64),
    }
)
"""``standard`` for what a model says; ``corpus`` with the markers of Apertus' corpus, phrases with the
commonest of them, so that the marker does not tell that somebody asked for it; ``frugal`` for
machines that can spare a second or two for a text, at most."""


def policy(name: str) -> FilterPolicy:
    """A policy by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in POLICIES:
        raise InputError(f"There is no filter policy {name!r}: use {', '.join(POLICIES)}.")
    return POLICIES[name]
