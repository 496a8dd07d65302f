"""Phrases as numbers: how a canonical phrase is hashed, and the three maps a bundle keeps of them.

A phrase is a string of canonical letters and digits. Its first ``k`` open a candidate (map *grams*),
one prefix of about half its length confirms it (*halves*), and the whole is looked up last (*wholes*),
where also 16 bits of its slow hash stand. What the maps give away is in ``docs/threat-model.md``.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter import fuse
from filter.identifiers import IdentifierKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

MASK = 0xFFFFFFFF
LONGEST = 128
"""Letters and digits of a phrase at most."""
ALPHABETIC = 6
"""Letters that open a candidate, in scripts with an alphabet; Hangul counts by its jamo."""
DENSE = 3
"""The same in Han and kana."""

GRAM_LENGTH_BITS = 5
GRAM_VALUE_BITS = 8
"""Of a 16-bit slot in *grams*: five bits for a quarter of the longest phrase's length, one for each
anchor that begins so; the other bits are zero."""
WHOLE_VALUE_BITS = 18
"""Of a 32-bit slot in *wholes*: two bits of kind, sixteen of the slow hash; the others are zero."""


class Anchor(IntEnum):
    """What must stand around a phrase for it to be one."""

    WORDS = 0
    """Edges of words on both sides, in scripts that set spaces. Names."""
    ADDRESSED = 1
    """An @ or a slash before it. Handles."""
    NOWHERE = 2
    """Nothing, but a number is not cut in two. Addresses, URLs, free text."""


KINDS: Mapping[Anchor, tuple[IdentifierKind, ...]] = {
    Anchor.WORDS: (IdentifierKind.NAME,),
    Anchor.ADDRESSED: (IdentifierKind.HANDLE,),
    Anchor.NOWHERE: (IdentifierKind.POSTAL_ADDRESS, IdentifierKind.URL, IdentifierKind.TEXT),
}
"""The kinds of each anchor; their index is what *wholes* stores."""

ANCHOR_OF = {kind: anchor for anchor, kinds in KINDS.items() for kind in kinds}

SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul's jamo, whose particles follow without a space
    (0x1780, 0x17FF),  # Khmer
    (0x1980, 0x19DF),  # New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0xA4CF),
    (0xA980, 0xA9DF),  # Javanese
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Code points of scripts in which words touch: there no edge is asked for."""
DENSE_FROM = 0x3005
DENSE_RANGES = (
    (0x3005, 0x3007),
    (0x3021, 0x318F),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def is_spaceless(code: int) -> bool:
    """Whether words of this letter's script stand without spaces."""
    return code >= 0x0E00 and any(first <= code <= last for first, last in SPACELESS)


def gram_length(code: int) -> int:
    """How many letters open a candidate that begins with this one."""
    dense = code >= DENSE_FROM and any(first <= code <= last for first, last in DENSE_RANGES)
    return DENSE if dense else ALPHABETIC


def checkpoint(length: int, gram: int) -> int:
    """How long the prefix is that confirms a phrase of this length; at or below ``gram``: none."""
    return min(length - 1, max(gram + 2, -(-length // 2)))


@cache
def lengths_behind(gram: int) -> tuple[tuple[int, ...], ...]:
    """For each prefix length, the lengths of phrases whose checkpoint it is."""
    found: list[list[int]] = [[] for _ in range(LONGEST + 1)]
    for length in range(gram + 1, LONGEST + 1):
        if (at := checkpoint(length, gram)) >= gram:
            found[at].append(length)
    return tuple(map(tuple, found))


class PhraseKey(NamedTuple):
    """Constants of a family's fast hash: words of SHA-256 (salt, then ``lethe phrases``)."""

    base1: int
    base2: int
    length: int
    """Times a phrase's length, added to the first sum."""
    anchor: int
    """Times its anchor, likewise."""
    seed: int
    """Of the maps."""


def phrase_key(salt: bytes) -> PhraseKey:
    """The constants that belong to a salt; all odd, little-endian, in this order."""
    digest = hashlib.sha256(salt + b"lethe phrases").digest()
    words = [int.from_bytes(digest[4 * i : 4 * i + 4], "little") | 1 for i in range(5)]
    return PhraseKey(*words)


def sums(key: PhraseKey, text: str) -> tuple[int, int]:
    """Two polynomials of the letters, modulo 2^32."""
    one = two = 0
    for char in text:
        one = one * key.base1 + ord(char) & MASK
        two = two * key.base2 + ord(char) & MASK
    return one, two


def address(key: PhraseKey, anchor: int, text: str) -> tuple[int, int]:
    """The key of a prefix or a whole in its map."""
    one, two = sums(key, text)
    return one + len(text) * key.length + anchor * key.anchor & MASK, two


def gram_address(key: PhraseKey, gram: str) -> int:
    """The key of an opening in its map, twice the same number."""
    return sums(key, gram)[0]


def sieve_bits(grams: int) -> int:
    """The binary logarithm of the sieve's length in bits: eight to 16 bits for each opening."""
    return max(6, (8 * grams - 1).bit_length()) if grams else 6


def secret(anchor: int, letters: str) -> str:
    """What the slow hash of a phrase is taken of."""
    return f"phrase {anchor}\0{letters}"


class Listed(NamedTuple):
    """One canonical phrase to be stored."""

    kind: IdentifierKind
    letters: str
    code: int
    """16 bits of its slow hash."""


class Maps(NamedTuple):
    """What is stored of all phrases."""

    sieve: npt.NDArray[np.uint8]
    """A bit for each value of the upper bits of an opening's key, so that most places in a text are
    passed over with one look."""
    parameters: tuple[fuse.FuseParameters, fuse.FuseParameters, fuse.FuseParameters]
    grams: npt.NDArray[np.uint16]
    halves: npt.NDArray[np.uint8]
    wholes: npt.NDArray[np.uint32]


def build(key: PhraseKey, phrases: Iterable[Listed]) -> Maps:
    """The three maps; the order of phrases does not matter, nor that one is given twice."""
    grams: dict[int, int] = {}
    halves: set[tuple[int, int]] = set()
    wholes: dict[tuple[int, int], int] = {}
    for phrase in sorted(phrases):
        anchor, text = ANCHOR_OF[phrase.kind], phrase.letters
        gram = gram_length(ord(text[0]))
        opening = gram_address(key, text[:gram])
        known = grams.get(opening, 0)
        longest = max(known & (1 << GRAM_LENGTH_BITS) - 1, -(-len(text) // 4) - 1)
        anchors = known >> GRAM_LENGTH_BITS | 1 << anchor
        grams[opening] = anchors << GRAM_LENGTH_BITS | longest
        half = checkpoint(len(text), gram)
        if half >= gram:
            halves.add(address(key, anchor, text[:half]))
        kind = KINDS[anchor].index(phrase.kind)
        wholes.setdefault(address(key, anchor, text), kind << 16 | phrase.code)
    x = np.array(sorted(grams), np.uint32)
    values = np.array([grams[int(g)] for g in x], np.uint16)
    first = fuse.build(x, x, values, key.seed)
    pairs = np.array(sorted(halves), np.uint32).reshape(-1, 2)
    second = fuse.build(
        pairs[:, 0].copy(), pairs[:, 1].copy(), np.zeros(len(pairs), np.uint8), key.seed ^ 1
    )
    pairs = np.array(sorted(wholes), np.uint32).reshape(-1, 2)
    codes = np.array([wholes[int(a), int(b)] for a, b in pairs], np.uint32)
    third = fuse.build(pairs[:, 0].copy(), pairs[:, 1].copy(), codes, key.seed ^ 2)
    bits = sieve_bits(len(x))
    sieve = np.zeros(1 << bits, np.bool_)
    sieve[x >> np.uint32(32 - bits)] = True
    return Maps(
        np.packbits(sieve, bitorder="little"),
        (first[0], second[0], third[0]),
        first[1].astype(np.uint16),
        second[1].astype(np.uint8),
        third[1].astype(np.uint32),
    )
