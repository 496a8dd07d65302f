"""A model's vocabulary as octets and letters: what tokens say, begin again, and hold."""

from __future__ import annotations

import codecs
import json
from bisect import bisect_left
from functools import cache, cached_property
from typing import Any, Self

import torch

from filter.identifiers import IdentifierKind
from filter.nv1 import fold, letters, read
from model_gate.errors import NoTokenizer

_MARKS = {
    IdentifierKind.EMAIL: ("at",),
    IdentifierKind.PHONE: ("digit",),
    IdentifierKind.IBAN: ("digit",),
    IdentifierKind.AHV: ("digit",),
    IdentifierKind.CREDIT_CARD: ("digit",),
    IdentifierKind.IP: ("digit",),
    IdentifierKind.HANDLE: ("at", "slash", "capital"),
    IdentifierKind.URL: ("at", "slash", "capital"),
}
"""What a value of a kind cannot do without."""
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
            # Added tokens too, if they can be read so, as the tokenizer's own decoder does.
            if all(char in table for char in token):
                octets[number] = bytes(table[char] for char in token)
            else:
                octets[number] = token.encode()
        return cls(octets, {added[number]: number for number in hidden if number in added})

    def detokeniser(self) -> Detokeniser:
        """A detokeniser for one text."""
        return Detokeniser(self.octets)

    @cached_property
    def _texts(self) -> list[str]:
        return [octets.decode("utf-8", "ignore") for octets in self.octets]

    @cached_property
    def _readings(self) -> list[str]:
        return [read(text) for text in self._texts]

    @cached_property
    def _by_letters(self) -> dict[str, list[int]]:
        """Tokens by their folded letters, in the order of these."""
        found: dict[str, list[int]] = {}
        for number, reading in enumerate(self._readings):
            if said := letters(reading):
                found.setdefault(said, []).append(number)
        return dict(sorted(found.items()))

    @cached_property
    def _ordered(self) -> list[str]:
        return list(self._by_letters)

    def prepare(self) -> None:
        """Compute now what `restarting` and `holding` need: about a second for 131,072 tokens.

        Else the first sequence that goes back makes all others wait for it.
        """
        self._ordered  # noqa: B018 -- kept by being looked at
        self._marks  # noqa: B018

    def restarting(self, text: str) -> list[int]:
        """Tokens that begin to say a text again, however it is spelt.

        Those whose folded letters are a beginning of the text's, or begin with all of them.
        """
        wanted = fold(text)
        if not wanted:
            return []
        family = [wanted[:size] for size in range(1, min(len(wanted) - 1, _LONGEST_BEGINNING) + 1)]
        for said in self._ordered[bisect_left(self._ordered, wanted) :]:
            if not said.startswith(wanted):
                break
            family.append(said)
        return [token for said in family for token in self._by_letters.get(said, ())]

    def holding(self, kind: IdentifierKind) -> torch.Tensor:
        """Tokens that a value of this kind is made of: a mask [vocabulary].

        Digits for numbers, ``@`` for addresses; for names and postal addresses capital letters and
        digits, so only in scripts that have such; both, and slashes, for handles and URLs.
        """
        if kind not in self._masks:
            mask = torch.zeros(len(self.octets), dtype=torch.bool)
            for mark in _MARKS.get(kind, ("digit", "capital")):
                mask |= self._marks[mark]
            self._masks[kind] = mask
        return self._masks[kind]

    @cached_property
    def _marks(self) -> dict[str, torch.Tensor]:
        """Tokens that hold a digit and so on: masks [vocabulary]."""
        texts, readings = self._texts, self._readings
        found = {
            "digit": [any(map(str.isdecimal, reading)) for reading in readings],
            "at": ["@" in reading for reading in readings],
            "slash": ["/" in reading for reading in readings],
            "capital": [any(c.isupper() or c.istitle() for c in text) for text in texts],
        }
        return {mark: torch.tensor(holds, dtype=torch.bool) for mark, holds in found.items()}


def _is_byte_level(decoder: Any) -> bool:
    if not decoder:
        return False
    if decoder["type"] == "Sequence":
        return any(_is_byte_level(part) for part in decoder["decoders"])
    return bool(decoder["type"] == "ByteLevel")
