"""The fuse filter: all that went in comes out, little else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import fuse
from filter.errors import LetheError

keys = st.sets(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=300)


@settings(deadline=None)
@given(keys, st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.uint32]))
def test_every_key_has_its_value(pairs: set[tuple[int, int]], seed: int, dtype: type) -> None:
    x, y = np.array(sorted(pairs), np.uint32).reshape(-1, 2).T.copy()
    values = (x % 251).astype(dtype)
    parameters, slots = fuse.build(x, y, values, seed)
    found = fuse.Fuse(parameters, slots)
    assert len(slots) == parameters.slots
    assert (found.get_array(x, y) == values).all()
    assert [found.get(int(a), int(b)) for a, b in zip(x, y, strict=True)] == values.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_single_and_many_agree(x: int, y: int) -> None:
    rng = np.random.default_rng(3)
    one, two = rng.integers(0, 2**32, (2, 40), np.uint64).astype(np.uint32)
    parameters, slots = fuse.build(one, two, one >> np.uint32(16), 5)
    found = fuse.Fuse(parameters, slots)
    many = found.get_array(np.array([x], np.uint32), np.array([y], np.uint32))
    assert found.get(x, y) == int(many[0])


def test_strangers_are_as_rare_as_the_width_says() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 2**32, (2, 20_000), np.uint64).astype(np.uint32)
    parameters, slots = fuse.build(x, y, np.zeros(len(x), np.uint8), 9)
    strangers = rng.integers(0, 2**32, (2, 400_000), np.uint64).astype(np.uint32)
    share = (fuse.Fuse(parameters, slots).get_array(*strangers) == 0).mean()
    assert 0.8 / 256 < share < 1.2 / 256
    assert len(slots) < 1.3 * len(x)


def test_equal_keys_are_refused() -> None:
    x = np.array([1, 1, 2], np.uint32)
    with pytest.raises(LetheError, match="not distinct"):
        fuse.build(x, x, x, 0)


def test_mix_is_a_bijection_and_the_same_for_arrays() -> None:
    values = np.arange(0, 2**32, 99_991, dtype=np.uint64).astype(np.uint32)
    assert [fuse.mix(int(v)) for v in values[:500]] == fuse.mix_array(values[:500].copy()).tolist()
    assert len(np.unique(fuse.mix_array(values.copy()))) == len(values)
