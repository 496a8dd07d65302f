"""A sieve over URLs: which rows of a batch are worth asking their host's rules about.

Nearly all pages of nearly all hosts are not refused. The sieve finds that out for a whole batch with a
few numpy operations on the octets of the URLs. It lets too much through, never too little: a page that
is refused always passes.

Of every host it knows two sets of 64 bits, made of the octets behind the slash with which its refusing
prefixes begin (``second``: the octet behind the slash; ``third``: the two after it), and what must stand
in a path that one of its refusing wildcard patterns matches (``needs``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.optout.rules import Rule

ALL = (1 << 64) - 1
ODD, DOT, ANY, ROOT = 1, 2, 4, 8
"""Needs: a character that is escaped somewhere, a dot, nothing in particular; and whether some agents
are refused everything, which no sieve has to find out."""

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~=-")
"""Octets that every dialect leaves as they are; a slash too, but not behind the first one."""
_IS_PLAIN = np.array([octet in _PLAIN for octet in range(256)])
_IS_PLAIN_OR_SLASH = _IS_PLAIN | (np.arange(256) == ord("/"))
_HAS_ODD = r"[^A-Za-z0-9_.~/:=-]"
_HAS_DOT = r"://[^/]*/.*\."

Bits = npt.NDArray[np.uint64]


class Sieve(NamedTuple):
    """What is known of the refusals of one source."""

    second: int
    third: int
    needs: int


class Meshes(NamedTuple):
    """The sieves of many hosts, in columns."""

    second: Bits
    third: Bits
    needs: npt.NDArray[np.uint8]


def sieve_of(rules: Sequence[Rule | tuple[str, bool, int, str | None]]) -> Sieve:
    """The sieve that lets every path through which ``rules`` (pattern, allow, ...) may refuse.

    A refusal of everything, without exception, sets `ROOT` and nothing else.
    """
    if is_root(rules):
        return Sieve(0, 0, ROOT)
    second = third = needs = 0
    for rule in rules:
        if not rule[1]:
            more = _of_pattern(rule[0])
            second |= more[0]
            third |= more[1]
            needs |= more[2]
    return Sieve(second, third, needs)


@lru_cache(maxsize=1 << 14)
def _of_pattern(pattern: str) -> Sieve:
    head, star, _ = pattern.partition("*")
    if star and len(head) < 4:
        return Sieve(0, 0, _need(pattern))
    if not star:
        head = head.removesuffix("$")
    octets = head.encode("ascii", "replace")
    if len(octets) < 2 or not head.startswith("/"):
        return Sieve(ALL, ALL, 0)
    third = ALL if len(octets) < 4 else 1 << ((7 * octets[2] + octets[3]) & 63)
    return Sieve(1 << (octets[1] & 63), third, 0)


def is_root(rules: Sequence[Rule | tuple[str, bool, int, str | None]]) -> bool:
    """Whether ``rules`` are one refusal of everything."""
    return len(rules) == 1 and rules[0][0] == "/" and not rules[0][1]


def _need(pattern: str) -> int:
    """What a path must contain to be matched by a pattern that begins with a wildcard."""
    piece = max(pattern.removesuffix("$").split("*"), key=len)
    if ":" in piece:  # it stands in every URL
        return ANY
    if any(ord(c) > 127 or (ord(c) not in _PLAIN and c != "/") for c in piece):
        return ODD
    return DOT if "." in piece else ANY


def candidates(
    urls: pa.Array,
    host_lengths: npt.NDArray[np.int64],
    meshes: Meshes,
) -> npt.NDArray[np.bool_]:
    """Which rows may be refused by more than a refusal of everything.

    ``urls`` are plain http(s) URLs (a string array without nulls) whose authority has
    ``host_lengths`` octets; ``meshes`` has one row for each of them.
    """
    offsets = np.frombuffer(urls.buffers()[1], dtype=np.int32)
    offsets = offsets[urls.offset : urls.offset + len(urls) + 1].astype(np.int64)
    octets = np.frombuffer(urls.buffers()[2], dtype=np.uint8)
    begin, end = offsets[:-1], offsets[1:]
    slash = begin + 7 + (octets[begin + 4] == ord("s")) + host_lengths
    last = len(octets) - 1
    first, one, two, three = (octets[np.minimum(slash + i, last)] for i in range(4))
    # Escapes, queries without a path, double slashes: read by the rules themselves.
    unusual = (slash >= end) | (first != ord("/")) | ~_IS_PLAIN[one]
    unusual |= ~(_IS_PLAIN_OR_SLASH[two] & _IS_PLAIN_OR_SLASH[three])
    hit = meshes.second >> (one & 63).astype(np.uint64)
    following = 7 * two.astype(np.uint64) + three
    hit &= meshes.third >> (following & np.uint64(63))
    passing: npt.NDArray[np.bool_] = (hit & np.uint64(1)).astype(bool)
    passing |= (meshes.needs & ANY).astype(bool)
    for needs, pattern in ((ODD | DOT, _HAS_ODD), (DOT, _HAS_DOT)):
        rows = np.flatnonzero(~passing & (meshes.needs & needs).astype(bool))
        if len(rows):
            found = pc.match_substring_regex(urls.take(pa.array(rows)), pattern)
            passing[rows] = found.to_numpy(zero_copy_only=False)
    speaking = (meshes.second != 0) | (meshes.needs != 0)
    passing |= unusual & speaking
    return passing
