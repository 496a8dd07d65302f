"""A binary fuse filter that also answers with a value: static, small, three look-ups a key.

Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters" (ACM JEA 27, 2022). Each
slot holds 8, 16 or 32 bits; the exclusive or of a key's three slots and of its own mask is the value
that was stored with it. Where some bits of every stored value are zero they serve as the fingerprint.

A key is a pair of 32-bit integers and all arithmetic is modulo 2^32, so that readers in languages
without 64-bit integers can follow: the specification is in ``docs/bundle-format.md``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter.errors import LetheError

if TYPE_CHECKING:
    import numpy.typing as npt

    U32 = npt.NDArray[np.uint32]

_MASK = 0xFFFFFFFF
_SEEDS = 100
"""Attempts; each fails with a probability of a few percent where there are few keys."""


class FuseParameters(NamedTuple):
    """What a reader needs beside the slots."""

    seed: int
    segment_length: int
    """A power of two, at most 2^16."""
    segment_count: int

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return (self.segment_count + 2) * self.segment_length


def mix(x: int) -> int:
    """A bijection of 32-bit integers in which every bit of the result depends on every bit."""
    x ^= x >> 16
    x = x * 0x7FEB352D & _MASK
    x ^= x >> 15
    x = x * 0x846CA68B & _MASK
    return x ^ x >> 16


def mix_array(x: U32) -> U32:
    """`mix` for each element; the argument is overwritten."""
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


class Fuse:
    """Slots with their parameters, for single keys and for arrays of keys."""

    def __init__(self, parameters: FuseParameters, slots: npt.NDArray[np.unsignedinteger]) -> None:
        self.parameters = parameters
        self.slots = slots
        self._view = slots.data
        self._seed = parameters.seed
        self._seed2 = mix(parameters.seed ^ 0x9E3779B9)
        self._length = parameters.segment_length
        self._range = parameters.segment_count * parameters.segment_length
        self._keep = (1 << 8 * slots.dtype.itemsize) - 1

    def get(self, x: int, y: int) -> int:
        """The value stored with a key; anything where it was not stored."""
        a = x ^ self._seed
        a ^= a >> 16
        a = a * 0x7FEB352D & _MASK
        a ^= a >> 15
        a = a * 0x846CA68B & _MASK
        a ^= a >> 16
        b = y ^ a ^ self._seed2
        b ^= b >> 16
        b = b * 0x7FEB352D & _MASK
        b ^= b >> 15
        b = b * 0x846CA68B & _MASK
        b ^= b >> 16
        length = self._length
        first = a * self._range >> 32
        view = self._view
        return (
            view[first]
            ^ view[first + length ^ b & length - 1]
            ^ view[first + 2 * length ^ b >> 16 & length - 1]
            ^ mix(b ^ 0x5BD1E995)
        ) & self._keep

    def get_array(self, x: U32, y: U32) -> npt.NDArray[np.unsignedinteger]:
        """The values of many keys."""
        *places, mask = _places(self.parameters, x, y)
        values: npt.NDArray[np.unsignedinteger] = mask.astype(self.slots.dtype)
        for where in places:
            # No place is beyond the slots; "clip" only saves the check.
            values ^= self.slots.take(where.astype(np.intp), mode="clip")
        return values


def _places(parameters: FuseParameters, x: U32, y: U32) -> tuple[U32, U32, U32, U32]:
    """The three slots of each key, and its mask."""
    a = mix_array(x ^ np.uint32(parameters.seed))
    b = mix_array(y ^ a ^ np.uint32(mix(parameters.seed ^ 0x9E3779B9)))
    length = parameters.segment_length
    span = np.uint64(parameters.segment_count * length)
    first = (a.astype(np.uint64) * span >> np.uint64(32)).astype(np.uint32)
    inside = np.uint32(length - 1)
    second = first + np.uint32(length) ^ b & inside
    third = first + np.uint32(2 * length) ^ b >> np.uint32(16) & inside
    return first, second, third, mix_array(b ^ np.uint32(0x5BD1E995))


def build(
    x: U32, y: U32, values: npt.NDArray[np.unsignedinteger], seed: int
) -> tuple[FuseParameters, npt.NDArray[np.unsignedinteger]]:
    """Slots for distinct keys and their values; the type of the values is that of the slots.

    Raises:
        LetheError: no seed works, as when two keys are equal.
    """
    length, count = _shape(len(x))
    for attempt in range(_SEEDS):
        parameters = FuseParameters(mix(seed + attempt & _MASK), length, count)
        slots = _fill(parameters, x, y, values)
        if slots is not None:
            return parameters, slots
    raise LetheError("A filter could not be built: its keys are not distinct.")


def _shape(keys: int) -> tuple[int, int]:
    """Length and number of segments, as the paper's implementation chooses them for arity 3."""
    if keys < 2:
        return 4, 1
    length = min(1 << 16, 1 << int(math.log(keys) / math.log(3.33) + 2.25))
    factor = max(1.125, 0.875 + 0.25 * math.log(1e6) / math.log(keys))
    segments = math.ceil(round(keys * factor) / length)
    return length, max(1, segments - 2)


def _fill(
    parameters: FuseParameters, x: U32, y: U32, values: npt.NDArray[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger] | None:
    """Peel all keys in rounds, then assign in reverse; `None` where a core remains."""
    *places, mask = _places(parameters, x, y)
    where = np.stack(places)  # (3, keys)
    wanted = values ^ mask.astype(values.dtype)
    degree = np.bincount(where.ravel(), minlength=parameters.slots)
    keys = np.arange(len(x), dtype=np.uint32)
    held = np.zeros(parameters.slots, np.uint32)  # exclusive or of the keys left in a slot
    for row in where:
        np.bitwise_xor.at(held, row, keys)
    rounds = []
    alone = np.flatnonzero(degree == 1)
    while len(alone):
        peeled, first = np.unique(held[alone], return_index=True)
        rounds.append((peeled, alone[first]))
        touched = where[:, peeled]
        np.subtract.at(degree, touched.ravel(), 1)
        for row in touched:
            np.bitwise_xor.at(held, row, peeled)
        alone = np.unique(touched)
        alone = alone[degree[alone] == 1]
    if sum(len(peeled) for peeled, _ in rounds) != len(x):
        return None
    slots = np.zeros(parameters.slots, values.dtype)
    for peeled, slot in reversed(rounds):
        first, second, third = where[:, peeled]
        # The key's own slot is still zero, so that it may take part.
        slots[slot] = wanted[peeled] ^ slots[first] ^ slots[second] ^ slots[third]
    return slots
