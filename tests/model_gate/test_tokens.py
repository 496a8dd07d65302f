"""Tokens as octets and letters, against the tokenizer's own decoder."""

from __future__ import annotations

from typing import Any

import pytest
import random_apertus
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from filter.identifiers import IdentifierKind
from filter.nv1 import fold
from model_gate.errors import NoTokenizer
from model_gate.tokens import Vocabulary

TOKENIZER = random_apertus.tokenizer()
MADE = Vocabulary.of(TOKENIZER)


def of_texts(*texts: str) -> Vocabulary:
    return Vocabulary([text.encode() for text in texts], {})


def decoded(ids: list[int]) -> str:
    text: str = TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, len(MADE.octets) - 1), max_size=12))
def test_any_tokens_are_decoded_as_the_tokenizer_does(ids: list[int]) -> None:
    """Broken UTF-8, special tokens and tokens that were added behind the vocabulary included."""
    detokeniser = MADE.detokeniser()
    pieces = [detokeniser.push(token) for token in ids]
    for number in range(len(ids)):
        # What was said stays said: only whole characters go out.
        assert decoded(ids).startswith("".join(pieces[: number + 1]))
    pending = detokeniser.pending
    rest = detokeniser.finish()
    assert "".join(pieces) + rest == decoded(ids)
    assert bool(rest) == pending
    assert detokeniser.push(ids[0] if ids else 0) is not None
    assert not detokeniser.finish() or ids


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    if not set(ids) & set(MADE.special.values()):
        assert b"".join(MADE.octets[token] for token in ids).decode() == text


@pytest.mark.parametrize("token", random_apertus.tokenizer().get_added_vocab())
def test_added_tokens(token: str) -> None:
    number = TOKENIZER.convert_tokens_to_ids(token)
    text = MADE.detokeniser().push(number)
    assert text == decoded([number])
    assert (token in MADE.special) == (not text)


def test_special_tokens_are_known_by_name_and_say_nothing() -> None:
    assert MADE.special == {
        "<unk>": 0,
        "<s>": 1,
        "</s>": 2,
        "<pad>": 3,
        "<|inner_prefix|>": len(MADE.octets) - 1,
    }
    for number in (*MADE.special.values(), len(MADE.octets), 10**9):
        assert MADE.detokeniser().push(number) == ""


@pytest.mark.parametrize("clean", [False, True])
def test_clean_up_changes_nothing(clean: bool) -> None:
    """A tokenizer may be set to take spaces away before full stops."""
    tokenizer = random_apertus.tokenizer()
    tokenizer.clean_up_tokenization_spaces = clean
    text = "Well , he did n't . Did he ?"
    ids = tokenizer(text)["input_ids"]
    detokeniser = Vocabulary.of(tokenizer).detokeniser()
    assert "".join(map(detokeniser.push, ids)) + detokeniser.finish() == text


@pytest.mark.parametrize(
    ("decoder", "holds"),
    [
        (decoders.ByteLevel(), True),
        (decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()]), True),
        (decoders.Metaspace(), False),
        (decoders.Sequence([decoders.Fuse()]), False),
        (None, False),
    ],
    ids=["byte-level", "in a sequence", "metaspace", "none in a sequence", "no decoder"],
)
def test_only_byte_level_tokenizers_are_taken(decoder: Any, holds: bool) -> None:
    backend = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    if decoder is not None:
        backend.decoder = decoder
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    if holds:
        assert Vocabulary.of(tokenizer).octets == [b"a", b"b"]
        return
    with pytest.raises(NoTokenizer, match="not byte-level"):
        Vocabulary.of(tokenizer)


def test_a_tokenizer_without_a_backend_is_refused() -> None:
    with pytest.raises(NoTokenizer):
        Vocabulary.of(object())


FAMILY = of_texts(
    "",
    " ",
    "J",
    " j",
    "Ja",
    "JAN",
    " \uff2aan",
    "Jane",
    " jane-m",
    "jane m\u00fc",
    "Janemuller",
    "ane",
    "M",
    " J\u00e4",
    "-",
    "\u0458",
)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (
            "Jane M",
            ["J", " j", "Ja", "JAN", " \uff2aan", "Jane", " jane-m", "jane m\u00fc", "Janemuller"],
        ),
        (
            "jan",
            ["J", " j", "Ja", "JAN", " \uff2aan", "Jane", " jane-m", "jane m\u00fc", "Janemuller"],
        ),
        ("M\u00fcller", ["M"]),
        ("q", []),
        ("", []),
        (" -", []),
    ],
)
def test_whatever_begins_a_text_again_is_of_the_family(text: str, family: list[str]) -> None:
    found = {FAMILY.octets[token].decode() for token in FAMILY.restarting(text)}
    others = {"\u0458", " J\u00e4"}  # a look-alike and an umlaut: as the normaliser has it
    assert found - others == set(family)
    for other in others & found:
        assert fold(text).startswith(fold(other)) or fold(other).startswith(fold(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12))
def test_the_family_by_its_definition(text: str) -> None:
    said = fold(text)
    expected = [
        token
        for token, octets in enumerate(MADE.octets)
        if (letters := fold(octets.decode("utf-8", "ignore")))
        and said
        and (said.startswith(letters) or letters.startswith(said))
    ]
    assert sorted(MADE.restarting(text)) == expected


HELD = of_texts(
    "a",
    "A",
    " Zoe",
    "7",
    "\uff17",
    "\u0667",
    "@",
    "\uff20",
    "\ufe6b",
    "/",
    "\uff0f",
    "\u01c5",
    "\u738b",
    "",
    "x@y",
    ".",
)
NUMBERS = {"7", "\uff17", "\u0667"}
AT = {"@", "\uff20", "\ufe6b", "x@y"}
CAPITALS = {"A", " Zoe", "\u01c5"}
SLASHES = {"/", "\uff0f"}


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (IdentifierKind.EMAIL, AT),
        *[
            (IdentifierKind(kind), NUMBERS)
            for kind in ("phone", "iban", "ahv", "credit_card", "ip")
        ],
        *[
            (IdentifierKind(kind), CAPITALS | NUMBERS)
            for kind in ("name", "postal_address", "text")
        ],
        *[(IdentifierKind(kind), CAPITALS | AT | SLASHES) for kind in ("handle", "url")],
    ],
)
def test_what_a_value_cannot_do_without(kind: IdentifierKind, held: set[str]) -> None:
    mask = HELD.holding(kind)
    assert mask.dtype == torch.bool
    assert mask.shape == (len(HELD.octets),)
    assert {o.decode() for o, holds in zip(HELD.octets, mask, strict=True) if holds} == held
    assert HELD.holding(kind) is mask


def test_prepared_it_says_the_same() -> None:
    other = of_texts(*(octets.decode() for octets in HELD.octets))
    other.prepare()
    for kind in IdentifierKind:
        assert other.holding(kind).equal(HELD.holding(kind))
    assert other.restarting("Zoe") == HELD.restarting("Zoe")
