"""What a page says of itself, where the corpus kept it in a column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.signals import Signal, content_usage, noai, tdmrep

PAGE_COLUMNS = {
    "meta_robots": "meta element",
    "x_robots_tag": "X-Robots-Tag header",
    "content_usage": "Content-Usage header",
    "tdm_reservation": "tdm-reservation header",
}
"""Columns that are read where a corpus has them, and what they hold."""

PAGE_SIGNALS = frozenset({Signal.NOAI, Signal.CONTENT_USAGE, Signal.TDMREP})
"""What a page can say of itself, and an id and a URL alone do not tell."""

_WORTH_A_LOOK = {
    "meta_robots": "noai|tdm-reservation|content-usage",
    "x_robots_tag": "noai",
    "content_usage": "=n",
    "tdm_reservation": "1|true",
}
"""What every value that refuses has in it, in some case."""


def page_refusals(
    name: str, column: pa.Array, agents: tuple[str, ...]
) -> Iterator[tuple[int, Signal, str]]:
    """Rows of the column ``name`` that refuse training: row, signal and the deciding text."""
    looked = pc.match_substring_regex(column, _WORTH_A_LOOK[name], ignore_case=True)
    for row in np.flatnonzero(pc.fill_null(looked, False).to_numpy(zero_copy_only=False)).tolist():
        value = column[row].as_py()
        if name == "meta_robots":
            for signal, text in noai.page_metas(value, agents):
                yield row, signal, text
        elif name == "x_robots_tag":
            if noai.header(value, agents):
                yield row, Signal.NOAI, value[:200]
        elif name == "content_usage":
            if content_usage.header(value):
                yield row, Signal.CONTENT_USAGE, value[:200]
        # A corpus may keep a number or a truth value, which is text by now.
        elif tdmrep.value(value) or value == "true":
            yield row, Signal.TDMREP, value[:200]
