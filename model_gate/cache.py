"""Keys and values of many sequences, each with a length of its own.

Rows are contiguous and written at their own lengths, so going back is taking a number from a
length, and a row that ends is filled by the last one. Where rows differ in length a mask hides what
lies behind each; where they do not, shapes and kernels are those of a cache that only grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST_COLUMNS = 256


class _SlotLayer(DynamicLayer):  # type: ignore[misc]
    """One layer: ``keys`` and ``values`` [rows, heads, columns, head size]."""

    def __init__(self, slots: SlotCache) -> None:
        super().__init__()
        self._slots = slots
        self.is_initialized: bool = False
        self.keys: torch.Tensor
        self.values: torch.Tensor

    def get_seq_length(self, *_: object, **__: object) -> int:
        return self._slots.longest

    def get_mask_sizes(self, query: Any, *_: object, **__: object) -> tuple[int, int]:
        size = query if isinstance(query, int) else query.shape[0]
        return self._slots.longest + size, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        slots = self._slots
        rows, end = key_states.shape[0], slots.longest + 1
        if slots.places is None:
            self.keys[:rows, :, end - 1] = key_states[:, :, 0]
            self.values[:rows, :, end - 1] = value_states[:, :, 0]
        else:
            self.keys[slots.numbers, :, slots.places] = key_states[:, :, 0]
            self.values[slots.numbers, :, slots.places] = value_states[:, :, 0]
        return self.keys[:rows, :, :end], self.values[:rows, :, :end]

    def release(self) -> None:
        """Give the memory back."""
        del self.keys, self.values
        self.is_initialized = False

    def resize(self, rows: int, columns: int, like: torch.Tensor) -> None:
        """Make room, keeping what is there."""
        heads, size = like.shape[1], like.shape[3]
        # Zeros, since what is hidden by a mask must still be a number.
        keys = torch.zeros(rows, heads, columns, size, dtype=like.dtype, device=like.device)
        values = torch.zeros_like(keys)
        if self.is_initialized:
            old_rows, old_columns = self.keys.shape[0], self.keys.shape[2]
            keys[:old_rows, :, :old_columns] = self.keys
            values[:old_rows, :, :old_columns] = self.values
        self.keys, self.values = keys, values
        self.is_initialized = True


class SlotCache(Cache):  # type: ignore[misc]
    """A cache for one new token of each row at a time; prompts come in by `enter`."""

    def __init__(self, layers: int, context: int) -> None:
        """Prepare it; memory is taken as rows come.

        Args:
            layers: of the model.
            context: columns that a row needs at most.
        """
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])
        self._context = context
        self.lengths: list[int] = []
        """Columns in use of each row."""
        self.places: torch.Tensor | None = None
        """Column of each row's next token [rows], where they differ."""
        self.numbers: torch.Tensor | None = None
        """Row numbers, beside `places`."""
        self._rows = 0
        self._columns = 0

    @property
    def longest(self) -> int:
        """The largest length."""
        return max(self.lengths, default=0)

    def enter(self, prompt: Cache, length: int) -> int:
        """Take the keys and values of one prompt; returns the number of its row."""
        row = len(self.lengths)
        self._reserve(row + 1, length + 1, prompt.layers[0].keys)
        for layer, one in zip(self.layers, prompt.layers, strict=True):
            layer.keys[row, :, :length] = one.keys[0, :, :length]
            layer.values[row, :, :length] = one.values[0, :, :length]
        self.lengths.append(length)
        return row

    def leave(self, row: int) -> None:
        """Forget a row; the last one takes its number."""
        last = len(self.lengths) - 1
        if row != last:
            used = self.lengths[last]
            for layer in self.layers:
                layer.keys[row, :, :used] = layer.keys[last, :, :used]
                layer.values[row, :, :used] = layer.values[last, :, :used]
            self.lengths[row] = used
        self.lengths.pop()
        if not self.lengths:
            # One long prompt must not make all rows long that come later.
            self._rows = self._columns = 0
            for layer in self.layers:
                layer.release()

    def prepare(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor | None:
        """Make room for a token of each row; returns the mask [rows, 1, 1, columns], if one is needed.

        It is added to the scores: 0 where a row may look.
        """
        longest = self.longest
        if longest + 1 > self._columns:
            self._reserve(len(self.lengths), longest + 1, self.layers[0].keys)
        if min(self.lengths) == longest:
            self.places = None
            return None
        self.places = torch.tensor(self.lengths, device=device)
        self.numbers = torch.arange(len(self.lengths), device=device)
        hidden = torch.arange(longest + 1, device=device) > self.places[:, None]
        mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
        return mask.masked_fill_(hidden, torch.finfo(dtype).min)[:, None, None, :]

    def advance(self, rows: Sequence[int]) -> None:
        """These rows have their token."""
        for row in rows:
            self.lengths[row] += 1

    def _reserve(self, rows: int, columns: int, like: torch.Tensor) -> None:
        if rows <= self._rows and columns <= self._columns:
            return
        self._rows = _doubled(max(1, self._rows), rows)
        doubled = _doubled(max(_FIRST_COLUMNS, self._columns), columns)
        self._columns = max(columns, min(doubled, self._context))
        for layer in self.layers:
            layer.resize(self._rows, self._columns, like)


def _doubled(size: int, wanted: int) -> int:
    """A size doubled until it is enough."""
    while size < wanted:
        size *= 2
    return size
