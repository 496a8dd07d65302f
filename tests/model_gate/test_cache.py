"""The cache holds for each row what was written there, whatever came, went and was taken back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from model_gate.cache import SlotCache

LAYERS, HEADS, SIZE, CONTEXT = 2, 2, 3, 600
KEYS, VALUES = 0, 1


def states(numbers: list[float], layer: int, which: int) -> torch.Tensor:
    """Tokens of one row: [1, heads, tokens, head size], each element another number."""
    parts = torch.arange(HEADS * SIZE, dtype=torch.float32).view(HEADS, 1, SIZE) / 100
    return (torch.tensor(numbers).view(1, -1, 1) + parts + layer / 10 + which / 4)[None]


def prompt(numbers: list[float]) -> Any:
    cache = DynamicCache()
    for layer in range(LAYERS):
        cache.update(states(numbers, layer, KEYS), states(numbers, layer, VALUES), layer)
    return cache


def feed(cache: SlotCache, numbers: list[float]) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    """A token for each row, as a model does it: keys and values of each layer and row, as they are seen."""
    mask = cache.prepare(torch.float32, torch.device("cpu"))
    assert (mask is None) == (len(set(cache.lengths)) == 1)
    layers = []
    for layer in range(LAYERS):
        new = [torch.cat([states([n], layer, which) for n in numbers]) for which in (KEYS, VALUES)]
        keys, values = cache.update(*new, layer)
        columns = cache.longest + 1
        assert keys.shape == values.shape == (len(numbers), HEADS, columns, SIZE)
        seen = []
        for row in range(len(numbers)):
            shown = torch.ones(columns, dtype=torch.bool) if mask is None else mask[row, 0, 0] == 0
            seen.append((keys[row][:, shown], values[row][:, shown]))
        layers.append(seen)
        if mask is not None:
            assert mask.shape == (len(numbers), 1, 1, columns)
            assert not keys.isnan().any()
    cache.advance(range(len(numbers)))
    return layers


def check(cache: SlotCache, rows: list[list[float]], numbers: list[float]) -> None:
    for row, number in zip(rows, numbers, strict=True):
        row.append(number)
    for layer, seen in enumerate(feed(cache, numbers)):
        for row, (keys, values) in zip(rows, seen, strict=True):
            torch.testing.assert_close(keys, states(row, layer, KEYS)[0], rtol=0, atol=0)
            torch.testing.assert_close(values, states(row, layer, VALUES)[0], rtol=0, atol=0)
    assert cache.lengths == [len(row) for row in rows]


what_happens = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(1, 400)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("back"), st.integers(0, 9)),
        st.tuples(st.just("step"), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(what_happens)
def test_rows_come_go_and_go_back(steps: list[tuple[str, int]]) -> None:
    cache = SlotCache(LAYERS, CONTEXT)
    rows: list[list[float]] = []
    number = 0.0
    for what, size in [*steps, ("step", 1)]:
        if what == "enter" and len(rows) < 6:
            number += size
            rows.append([number + n for n in range(size)])
            assert cache.enter(prompt(rows[-1]), size) == len(rows) - 1
        elif rows and what == "leave":
            at = size % len(rows)
            cache.leave(at)
            rows[at] = rows[-1]
            rows.pop()
        elif rows and what == "back":
            at = size % len(rows)
            kept = max(0, len(rows[at]) - 1 - size)
            del rows[at][kept:]
            cache.lengths[at] = kept
        elif rows and what == "step":
            for _ in range(size):
                number += 1000
                check(cache, rows, [number + n for n in range(len(rows))])


def test_room_grows_by_doubling_up_to_the_context_and_is_given_back() -> None:
    cache = SlotCache(LAYERS, CONTEXT)
    shapes = []
    for rows in range(1, 6):
        cache.enter(prompt([1.0] * (rows * 100)), rows * 100)
        shapes.append(tuple(cache.layers[0].keys.shape[i] for i in (0, 2)))
    assert shapes == [(1, 256), (2, 256), (4, 512), (4, 512), (8, 512)]
    for _ in range(60):
        feed(cache, [0.0] * 5)
    assert cache.layers[1].values.shape[2] == CONTEXT
    while cache.lengths:
        cache.leave(0)
    assert not cache.layers[0].is_initialized
    assert cache.longest == 0
    cache.enter(prompt([1.0]), 1)
    assert cache.layers[0].keys.shape == (1, HEADS, 256, SIZE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_mask_hides_what_lies_behind_a_row(dtype: torch.dtype) -> None:
    cache = SlotCache(LAYERS, CONTEXT)
    for length in (2, 4, 1):
        cache.enter(prompt([1.0] * length), length)
    mask = cache.prepare(dtype, torch.device("cpu"))
    assert mask is not None
    assert mask.dtype == dtype
    hidden = [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1]]
    expected = torch.tensor(hidden, dtype=dtype) * torch.finfo(dtype).min
    assert mask[:, 0, 0].equal(expected)


def test_transformers_is_told_what_is_there() -> None:
    """What makes a model's own mask: the new token included."""
    cache = SlotCache(LAYERS, CONTEXT)
    cache.enter(prompt([1.0] * 5), 5)
    assert cache.get_seq_length() == 5
    for query in (1, torch.zeros(1)):
        assert cache.layers[0].get_mask_sizes(query) == (6, 0)
