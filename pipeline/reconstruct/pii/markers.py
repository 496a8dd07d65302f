"""What stands in a text in the place of personal data."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from filter.identifiers import IdentifierKind

KINDS = tuple(map(IdentifierKind, ("email", "iban", "ahv", "ip", "phone")))
"""What is scrubbed. One by one, so that a recogniser more does not change what comes out of a run."""
MARKERS = {kind: f"<{kind}-pii>" for kind in KINDS}
"""Markers compatible with the special tokens of Apertus (``<email-pii>``, ``<ip-pii>``, ``<iban-pii>``)."""
MARKER = re.compile("|".join(map(re.escape, MARKERS.values())))
_KIND_OF = {marker: str(kind) for kind, marker in MARKERS.items()}


def markers_in(column: pa.Array) -> tuple[Counter[str], int]:
    """How many markers of each kind stand in texts, and in how many texts: whoever put them there.

    So it can be counted again at any time, and what goes with a text can be taken off.
    """
    found: Counter[str] = Counter()
    documents = 0
    marked = pc.fill_null(pc.match_substring_regex(column, "-pii>"), False)
    for text in column.filter(marked).to_pylist():
        if markers := MARKER.findall(text):
            found.update(_KIND_OF[marker] for marker in markers)
            documents += 1
    return found, documents
