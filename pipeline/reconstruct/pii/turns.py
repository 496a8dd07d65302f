"""Listed phrases and generic scrubbing on one column, in turns, until neither finds anything."""

from __future__ import annotations

from itertools import cycle
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipeline.reconstruct.pii.scrub import Scrubbed, put


class Scrubs(Protocol):
    """Something that puts markers into texts; what it has scrubbed itself it leaves as it is."""

    def scrub(self, column: pa.Array) -> Scrubbed:
        """A string or large_string array with markers in it."""


def scrub_in_turns(column: pa.Array, phrases: Scrubs, generic: Scrubs) -> Scrubbed:
    """Scrub a string or large_string array both ways.

    Phrases go first: a listed sentence with an address in it would not be found once the address is
    a marker. Then each way looks again at what the other one has changed, because a word that touched
    its neighbour may be found only once that one is gone. Ends, since markers are never replaced.
    """
    first = phrases.scrub(column)
    second = generic.scrub(first.column)
    column, replaced = second.column, first.replaced + second.replaced
    due = second.rows
    for way in cycle((phrases, generic)):
        if not len(due):
            break
        again = way.scrub(column.take(pa.array(due)))
        due = due[again.rows]
        column = put(column, due, again.column.take(pa.array(again.rows)))
        replaced += again.replaced
    return Scrubbed(column, replaced, np.union1d(first.rows, second.rows))
