"""Whether a bundle stops its canaries: as they are, and in pieces of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filter.canaries import CARRIER
from filter.nv1 import fold
from filter.output_filter import OutputFilter

if TYPE_CHECKING:
    from filter.bundle import Bundle
    from filter.policy import FilterPolicy

_PIECE = 3
"""Code points of a piece of a stream, about a token."""


def probe(bundle: Bundle, policy: FilterPolicy | None = None) -> dict[str, bool]:
    """For every kind of canary, whether nothing of it comes out."""
    output_filter = OutputFilter(bundle, policy)
    results: dict[str, bool] = {}
    for kind, value in bundle.canaries:
        text = CARRIER.format(value)
        stream = output_filter.stream()
        pieces = [stream.push(text[i : i + _PIECE]) for i in range(0, len(text), _PIECE)]
        said = ("".join([*pieces, stream.finish()]), output_filter.redact(text).text)
        stopped = all(fold(value) not in fold(one) for one in said)
        results[kind] = results.get(kind, True) and stopped
    return results
