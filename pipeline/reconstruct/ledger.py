"""The decision ledger: one row for every input document, kept or dropped, with the reason.

It names documents and sites, never people: what scrubbing found in a text leaves no trace here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.optout.verdicts import KEEP, Refusal

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),  # canonical, null where the URL names none
        pa.field("file", _DICTIONARY, nullable=False),  # input file, relative to the input folder
        pa.field("row_group", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # 0-based, in the input file
        pa.field("language", _DICTIONARY),
        pa.field("tokens", pa.int64()),
        pa.field("verdict", _DICTIONARY, nullable=False),  # keep | drop
        pa.field("signal", _DICTIONARY),  # the signal that explains a drop, or filter:NAME
        pa.field("signals", pa.list_(pa.string())),  # every signal that refuses
        pa.field("agents", pa.list_(pa.string())),  # disallowed agents; empty: everybody who trains
        pa.field("rule", pa.string()),  # the deciding line as it stands in the source
        pa.field("line", pa.int32()),
        pa.field("source", _DICTIONARY),  # kind of file or list: robots.txt, tdmrep.json, tags ...
        pa.field("source_hash", pa.string()),  # SHA-256 of its octets
        pa.field(
            "source_date", pa.string()
        ),  # ISO date on which it was fetched or became effective
        pa.field("policy_version", _DICTIONARY),
    ]
)
"""One ledger file per input file; rows in input order."""

_EXPLAINED = ("signal", "signals", "agents", "rule", "line", "source", "source_hash", "source_date")


def explained(codes: npt.NDArray[np.int32], refusals: list[Refusal]) -> dict[str, pa.Array]:
    """The columns that explain each code, null where the document stays."""
    used, inverse = np.unique(codes, return_inverse=True)
    reasons = [refusals[c] for c in used.tolist() if c != KEEP]
    kept_first = int(len(used) > 0 and used[0] == KEEP)
    index = pa.array(inverse - kept_first, pa.int64(), mask=codes == KEEP)
    values: dict[str, list[Any]] = {
        "signal": [str(r.signal) for r in reasons],
        "signals": [[str(s) for s in r.signals] for r in reasons],
        "agents": [list(r.agents) for r in reasons],
        "rule": [r.rule for r in reasons],
        "line": [r.line for r in reasons],
        "source": [r.file for r in reasons],
        "source_hash": [r.source_hash for r in reasons],
        "source_date": [r.source_date for r in reasons],
    }
    return {name: _taken(values[name], SCHEMA.field(name).type, index) for name in _EXPLAINED}


def _taken(values: list[Any], kind: pa.DataType, index: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(kind):
        # Of a dictionary with a value twice, Arrow writes a page that ends in whatever was in memory.
        return pa.array(values, pa.string()).dictionary_encode().take(index)
    return pa.array(values, kind).take(index)
