"""A model's vocabulary as octets and letters: what tokens say, begin again, and hold."""

from __future__ import annotations

import codecs
import json
from functools import cache, cached_property
from typing import Any, Self

import torch

from filter.identifiers import IdentifierKind
from filter.nv1 import fold, read
from model_gate.errors import NoTokenizer

_DIGITS = frozenset(
    {
        IdentifierKind.PHONE,
        IdentifierKind.IBAN,
        IdentifierKind.AHV,
        IdentifierKind.CREDIT_CARD,
        IdentifierKind.IP,
    }
)
_LONGEST_BEGINNING = 40
"""Letters of a token at most that is looked up among the beginnings of a text."""


@cache
def _octet_of() -> dict[str, int]:
    """The printable character that stands for each octet in a byte-level vocabulary (GPT-2's)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [octet for octet in range(256) if octet not in plain]
    return {chr(octet): octet for octet in plain} | {
        chr(256 + number): octet for number, octet in enumerate(others)
    }


class Detokeniser:
    """Token ids of one text in, whole characters out, as ``tokenizer.decode`` would give them."""

    __slots__ = ("_decoder", "_octets")

    def __init__(self, octets: list[bytes]) -> None:
        self._octets = octets
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def pending(self) -> bool:
        """Whether a character has begun that is not whole."""
        return bool(self._decoder.getstate()[0])

    def push(self, token: int) -> str:
        """Characters that this token makes whole; none of a token without octets, or an unknown one."""
        octets = self._octets[token] if token < len(self._octets) else b""
        return self._decoder.decode(octets) if octets else ""

    def finish(self) -> str:
        """A replacement character if one has begun that is not whole; then a new text may begin."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


class Vocabulary:
    """The tokens of a byte-level BPE tokenizer."""

    def __init__(self, octets: list[bytes], special: dict[str, int]) -> None:
        self.octets = octets
        """By id; special tokens have none."""
        self.special = special
        self._masks: dict[IdentifierKind, torch.Tensor] = {}

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """The vocabulary of a tokenizer.

        Raises:
            NoTokenizer: it is not a byte-level one.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or not _is_byte_level(json.loads(backend.to_str())["decoder"]):
            raise NoTokenizer(
                "The checkpoint's tokenizer is not byte-level as Apertus' is: use the checkpoint's own."
            )
        added = {int(n): str(token) for n, token in tokenizer.added_tokens_decoder.items()}
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        octets = [b""] * (max(vocabulary.values()) + 1)
        table = _octet_of()
        hidden = set(tokenizer.all_special_ids) | {
            number for number in added if tokenizer.added_tokens_decoder[number].special
        }
        for token, number in vocabulary.items():
            if number in hidden:
                continue
            if number in added or any(char not in table for char in token):
                octets[number] = token.encode()
            else:
                octets[number] = bytes(table[char] for char in token)
        return cls(octets, {added[number]: number for number in hidden if number in added})

    def detokeniser(self) -> Detokeniser:
        """A detokeniser for one text."""
        return Detokeniser(self.octets)

    @cached_property
    def _texts(self) -> list[str]:
        return [octets.decode("utf-8", "ignore") for octets in self.octets]

    @cached_property
    def _by_letters(self) -> dict[str, list[int]]:
        """Tokens by their folded letters."""
        found: dict[str, list[int]] = {}
        for number, text in enumerate(self._texts):
            if letters := fold(text):
                found.setdefault(letters, []).append(number)
        return found

    def restarting(self, text: str) -> list[int]:
        """Tokens that begin to say a text again, however it is spelt.

        Those whose folded letters are a beginning of the text's.
        """
        letters = fold(text)
        return [
            token
            for size in range(1, min(len(letters), _LONGEST_BEGINNING) + 1)
            for token in self._by_letters.get(letters[:size], ())
        ]

    def holding(self, kind: IdentifierKind) -> torch.Tensor:
        """Tokens that a value of this kind is made of: a mask [vocabulary].

        Digits for numbers, ``@`` for addresses; for names and postal addresses capital letters and
        digits, so only in scripts that have such.
        """
        if kind not in self._masks:
            self._masks[kind] = torch.tensor([_holds(kind, text) for text in self._texts])
        return self._masks[kind]


def _is_byte_level(decoder: Any) -> bool:
    if not decoder:
        return False
    if decoder["type"] == "Sequence":
        return any(_is_byte_level(part) for part in decoder["decoders"])
    return bool(decoder["type"] == "ByteLevel")


def _holds(kind: IdentifierKind, text: str) -> bool:
    letters = read(text)
    if kind in _DIGITS:
        return any(char.isdecimal() for char in letters)
    if kind is IdentifierKind.EMAIL:
        return "@" in letters
    capital = any(char.isupper() or char.istitle() for char in text)
    if kind is IdentifierKind.HANDLE:
        return capital or "@" in letters or "/" in letters
    return capital or any(char.isdecimal() for char in letters)
