"""The named policies: which signals count, how robots.txt is read, and which way the unknown falls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.errors import UnknownName
from pipeline.optout.robots import DIALECTS, Dialect
from pipeline.optout.signals import Signal


class Fall(StrEnum):
    """Which way a case falls that the rules leave open."""

    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Everything that a compiled policy depends on beside the files and the agents."""

    name: str
    dialect_name: str
    """Key into `pipeline.optout.robots.DIALECTS`."""
    canonical_hosts: bool
    """Whether hosts are compared in canonical form; else the URL's raw authority is looked up."""
    signals: frozenset[Signal]
    unreachable: Fall
    """A server error instead of a robots.txt (RFC 9309, 2.3.1.4: complete disallow)."""
    unreadable: Fall = Fall.KEEP
    """A file that exists and cannot be understood, an HTML page for instance. Always counted."""
    no_url: Fall = Fall.KEEP
    """A document whose URL is missing or names no host, so that nobody can be asked. Counted."""
    www: bool = False
    """Whether ``www.x`` and ``x`` answer for each other where only one of them is in the snapshot."""

    @property
    def dialect(self) -> Dialect:
        """How robots.txt is read."""
        return DIALECTS[self.dialect_name]


POLICIES = {
    spec.name: spec
    for spec in (
        PolicySpec(
            name="rfc9309",
            dialect_name="rfc9309",
            canonical_hosts=True,
            signals=frozenset(Signal),
            unreachable=Fall.DROP,
        ),
        PolicySpec(
            name="apertus-2025-01",
            dialect_name="protego",
            canonical_hosts=False,
            signals=frozenset({Signal.ROBOTS, Signal.OPTOUT, Signal.TAG}),
            unreachable=Fall.KEEP,
        ),
    )
}


def named(name: str, *, signals: str | None = None, **changes: object) -> PolicySpec:
    """The policy called ``name``, with some of its fields changed.

    ``signals`` is a comma-separated list that replaces the policy's own.

    Raises:
        UnknownName: no such policy, no such signal, none at all, or a change that has no meaning in it.
    """
    if name not in POLICIES:
        raise UnknownName(f"There is no policy {name!r}: use one of {', '.join(POLICIES)}.")
    spec = POLICIES[name]
    if signals is not None:
        try:
            chosen = frozenset(Signal(s.strip()) for s in signals.split(",") if s.strip())
        except ValueError:
            known = ", ".join(Signal)
            raise UnknownName(f"An unknown signal was asked for: use some of {known}.") from None
        if not chosen:
            raise UnknownName(f"A policy needs a signal: use some of {', '.join(Signal)}.")
        spec = replace(spec, signals=chosen)
    given = {k: v for k, v in changes.items() if v is not None}
    if given.get("www") and not spec.canonical_hosts:
        raise UnknownName(f"Policy {name} looks hosts up as they are written: leave --www out.")
    return replace(spec, **given)  # type: ignore[arg-type]


def fall(text: str | None, option: str) -> Fall | None:
    """``keep`` or ``drop`` as given for ``option``; ``None`` where nothing was given.

    Raises:
        UnknownName: anything else.
    """
    if text is None:
        return None
    try:
        return Fall(text)
    except ValueError:
        raise UnknownName(f"{option} is keep or drop, not {text!r}.") from None
