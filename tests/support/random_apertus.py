"""A tiny Apertus with random weights, and a byte-level tokenizer: for tests that need no knowledge."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import ApertusConfig, ApertusForCausalLM, PreTrainedTokenizerFast

UNK, BOS, EOS, PAD = 0, 1, 2, 3
VOCABULARY = 420
SENTENCES = [
    "Write to anna.muster@example.org or call +41 44 668 18 00, please.",
    "Die Gemeinde Grüningen grüsst: Öffnungszeiten Montag bis Freitag, 08:30-11:45.",
    "Où est la gare ? Là-bas, à côté de l'hôtel, 3000 Berne.",
    "王小明 lives in 北京, Ольга in Москва; 😀 is no name.",
]


def tokenizer() -> Any:
    """A byte-level BPE tokenizer; with tokens that were added behind it."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 6,
        special_tokens=["<unk>", "<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES * 4, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    made.add_tokens([AddedToken("Grüezi"), AddedToken("two words"), AddedToken("hello")])
    made.add_tokens([AddedToken("<|inner_prefix|>", special=True)], special_tokens=True)
    return made


def model(**options: Any) -> Any:
    """A model whose likeliest tokens are neither too sure nor always the same."""
    config = ApertusConfig(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "initializer_range": 0.25,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "pad_token_id": PAD,
            **options,
        }
    )
    torch.manual_seed(1)
    return ApertusForCausalLM(config).eval()


def prompt(length: int, seed: int) -> list[int]:
    """Token ids, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(PAD + 1, VOCABULARY - 6, (length,), generator=generator)
    return [int(number) for number in ids]
