"""A text with gaps that columns fill: ``https://github.com/{max_stars_repo_name}/``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_GAP = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Form:
    """What stands around the gaps, and which columns may fill them."""

    around: tuple[str, ...]
    """One more than there are gaps."""
    gaps: tuple[tuple[str, ...], ...]
    """For each the candidates for its column, tried in order."""

    @classmethod
    def parse(cls, text: str) -> Form:
        """Read ``text``, in which ``{a|b}`` is a gap for the column a, or b where there is no a."""
        parts = _GAP.split(text)
        return cls(tuple(parts[::2]), tuple(tuple(gap.split("|")) for gap in parts[1::2]))

    def filled(self, columns: Sequence[pa.Array]) -> pa.Array:
        """One text (large_string) for each row of ``columns``, of which there is one for each gap.

        Null where one of them is.
        """
        pieces: list[pa.Array | pa.Scalar] = [_large(self.around[0])]
        for column, around in zip(columns, self.around[1:], strict=True):
            pieces += [pc.cast(column, pa.large_string()), _large(around)]
        return pc.binary_join_element_wise(*pieces, _large(""))


def is_form(text: str) -> bool:
    """Whether there is a gap in ``text``; no column is called so."""
    return _GAP.search(text) is not None


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
