"""The one judge of sameness: identifiers in canonical form, the bundle that lists them, the filter.

No network, no database, nothing heavy at import: names are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filter.bundle import Bundle
    from filter.canonical import canonicalize
    from filter.identifiers import Identifier, IdentifierKind, Span
    from filter.output_filter import Match, OutputFilter, Redaction
    from filter.policy import FilterPolicy
    from filter.stream import StreamFilter

__all__ = [
    "Bundle",
    "FilterPolicy",
    "Identifier",
    "IdentifierKind",
    "Match",
    "OutputFilter",
    "Redaction",
    "Span",
    "StreamFilter",
    "canonicalize",
]

_HOMES = {
    "Bundle": "bundle",
    "FilterPolicy": "policy",
    "Identifier": "identifiers",
    "IdentifierKind": "identifiers",
    "Match": "output_filter",
    "OutputFilter": "output_filter",
    "Redaction": "output_filter",
    "Span": "identifiers",
    "StreamFilter": "stream",
    "canonicalize": "canonical",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"filter.{_HOMES[name]}"), name)
    return found
