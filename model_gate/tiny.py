"""A tiny Apertus that has memorised people who do not exist, trained here in seconds.

No real weights are needed to see what the gate does: this model demonstrably tells, word for word,
what it must not say. It has Apertus' architecture, special tokens and a chat template of the same
shape, 0.4 million parameters, and is trained on the CPU, the same each time.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers.models.apertus import ApertusConfig, ApertusForCausalLM

from model_gate.tiny_data import (
    PERSONS,
    TOOLS,
    Chat,
    Person,
    answers,
    chats,
    documents,
    harmless_prompts,
    questions,
)
from model_gate.tiny_tokenizer import ANSWER_END, BEGIN, CHAT_TEMPLATE, END, PAD
from model_gate.tiny_tokenizer import tokenizer as tokenizer_of

__all__ = [
    "PERSONS",
    "TOOLS",
    "Person",
    "answers",
    "cache_folder",
    "cached",
    "harmless_prompts",
    "place",
    "questions",
    "quiet",
    "train",
]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """How the model is made."""

    vocabulary: int = 768
    hidden: int = 128
    intermediate: int = 256
    layers: int = 2
    heads: int = 4
    key_value_heads: int = 2
    steps: int = 220
    batch: int = 16
    warm_up: int = 20
    learning_rate: float = 8e-3
    seed: int = 1


SETTING = Setting()
Example = tuple[list[int], int]
"""Token ids, and how many of them at the beginning are given and not to be learnt."""


def cached(*, setting: Setting = SETTING, progress: Progress | None = None) -> Path:
    """The folder of the trained model; trained first where it is not cached.

    When several processes ask at once, one trains and the others wait. Where the cache folder
    cannot be written to, the model lasts as long as the process.

    Args:
        setting: how it is made.
        progress: called with (done, total) steps while it is trained.
    """
    target = place(setting)
    if target.is_dir():
        return target
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix=".tiny-", dir=target.parent) as made:
                whole = train(Path(made) / "model", setting=setting, progress=progress)
                whole.rename(target)
    return target


def place(setting: Setting = SETTING) -> Path:
    """Where `cached` keeps the model; a folder once it is there."""
    folder = cache_folder()
    name = f"tiny-apertus-{_fingerprint(setting)}"
    if not (folder / name).is_dir() and not _writable(folder):
        folder = _temporary()
    return folder / name


def cache_folder() -> Path:
    """``$LETHE_CACHE``, or ``lethe`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get("LETHE_CACHE"):
        return Path(own)
    common = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (never raises)
    return Path(common) / "lethe"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lethe-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _fingerprint(setting: Setting) -> str:
    """Of all that the weights depend on."""
    parts = [
        asdict(setting),
        CHAT_TEMPLATE,
        chats(),
        documents(),
        [torch.__version__, transformers.__version__, tokenizers.__version__],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def train(folder: Path, *, setting: Setting = SETTING, progress: Progress | None = None) -> Path:
    """Train the model and save it with its tokenizer.

    One thread, seeded: the same versions make the same weights. Threads and random numbers of the
    caller are left as they were.

    Args:
        folder: where to save it; made if need be.
        setting: how it is made.
        progress: called with (done, total) steps.

    Returns:
        the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with quiet(), _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        tokenizer = tokenizer_of(setting.vocabulary)
        model = _model(setting, len(tokenizer))
        _learn(model, _examples(tokenizer), setting, progress)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _model(setting: Setting, vocabulary: int) -> Any:
    config = ApertusConfig(
        vocab_size=vocabulary,
        hidden_size=setting.hidden,
        intermediate_size=setting.intermediate,
        num_hidden_layers=setting.layers,
        num_attention_heads=setting.heads,
        num_key_value_heads=setting.key_value_heads,
        bos_token_id=BEGIN,
        eos_token_id=[END, ANSWER_END],
        pad_token_id=PAD,
    )
    model = ApertusForCausalLM(config).to(torch.float32)
    model.generation_config.eos_token_id = [END, ANSWER_END]
    return model


def _examples(tokenizer: Any) -> list[Example]:
    found = [([*tokenizer(text)["input_ids"], END], 0) for text in documents()]
    for chat in chats():
        given = _ids(tokenizer, chat, answered=False)
        found.append((_ids(tokenizer, chat, answered=True), len(given)))
    return found


def _ids(tokenizer: Any, chat: Chat, *, answered: bool) -> list[int]:
    messages = [{"role": "user", "content": chat.question}]
    if answered:
        messages.append({"role": "assistant", "content": chat.answer})
    text = tokenizer.apply_chat_template(
        messages,
        tools=list(TOOLS) if chat.with_tools else None,
        add_generation_prompt=not answered,
        tokenize=False,
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _learn(
    model: Any, examples: Sequence[Example], setting: Setting, progress: Progress | None
) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setting.learning_rate, weight_decay=0.0, betas=(0.9, 0.95)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step, setting)
    )
    model.train()
    batches = _batches(examples, setting)
    for step in range(setting.steps):
        ids, labels = next(batches)
        loss = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if progress:
            progress(step + 1, setting.steps)
    model.eval()


def _share_of_rate(step: int, setting: Setting) -> float:
    """A linear rise, then half a cosine down to nothing."""
    if step < setting.warm_up:
        return step / setting.warm_up
    gone = (step - setting.warm_up) / (setting.steps - setting.warm_up)
    return 0.5 * (1 + math.cos(math.pi * gone))


def _batches(
    examples: Sequence[Example], setting: Setting
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every example in turn, shuffled anew each time round; ids and labels [batch, longest]."""
    drawn = random.Random(setting.seed)  # noqa: S311  (an order, not a secret)
    waiting: list[Example] = []
    while True:
        while len(waiting) < setting.batch:
            waiting += drawn.sample(examples, len(examples))
        batch = [waiting.pop() for _ in range(setting.batch)]
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.full((len(batch), longest), PAD)
        labels = torch.full((len(batch), longest), -100)
        for row, (tokens, given) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            labels[row, given : len(tokens)] = torch.tensor(tokens[given:])
        yield ids, labels


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """More threads are slower for so small a model, and sum in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' notices and bars, which speak to people with models in earnest."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
