"""What the filter reads while decoding is measured, and what it costs and holds back on it alone."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any, NamedTuple

from gate_bundle import gate_bundle
from matching import pages

from model_gate.decode import Rewind
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.prompts import Hearing, Turn, hear
from model_gate.sampling import Sampling
from model_gate.sequence import GatedSequence
from model_gate.tokens import Vocabulary

PHRASES = 100_000
PROMPT = 16
"""Tokens of a prompt."""


def tokenizer_of(texts: Sequence[str]) -> Any:
    """A byte-level BPE of 16,384 tokens made from these texts: as long tokens as a large one has in its own language."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=16_384,
        special_tokens=["<unk>", "<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


class Text(NamedTuple):
    """What the filter reads, and what it needs for it."""

    guard: Guard
    vocabulary: Vocabulary
    hearing: Hearing
    scripts: tuple[tuple[int, ...], ...]
    """Token ids of texts."""
    characters: float
    """Of a token, mean."""
    background: Executor
    """Where slow hashes are computed, as in `GatedModel`."""


def reading_matter(quick: bool) -> Text:
    texts = pages(200_000 if quick else 3_000_000)
    tokenizer = tokenizer_of(texts)
    guard = Guard(gate_bundle(1_000 if quick else PHRASES), GatePolicy(look_ahead=0))
    texts = [text[:3000] for text in texts if len(text) > 2000][:64]
    scripts = tuple(tuple(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    hearing = hear(guard, [Turn("user", "Tell me more.")], continues=True)
    return Text(
        guard,
        Vocabulary.of(tokenizer),
        hearing,
        scripts,
        sum(map(len, texts)) / sum(map(len, scripts)),
        ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1)),
    )


class Scripted(GatedSequence):
    """A gated sequence that hears a text that was written before, whatever the model draws."""

    script: Iterator[int]
    spent_ns = 0
    """CPU time of its pushes."""

    def push(self, token: int) -> Rewind | None:
        begin = time.thread_time_ns()
        try:
            return super().push(next(self.script))
        finally:
            self.spent_ns += time.thread_time_ns() - begin


def gated_rows(text: Text, batch: int, steps: int) -> list[Scripted]:
    """Sequences that hear a text each, for as many tokens."""
    sampling = Sampling(do_sample=False, max_new_tokens=steps)
    found = []
    for script in islice(cycle(text.scripts), batch):
        row = Scripted(
            script[:PROMPT],
            sampling,
            text.hearing,
            text.guard.policy,
            text.vocabulary,
            eos=frozenset(),
            background=text.background,
        )
        row.script = cycle(script)
        found.append(row)
    return found


class Held(NamedTuple):
    """How long text waits for release, in tokens that come after its own."""

    mean: float
    median: int
    p99: int
    octets: float
    """Held back, mean."""


def held(text: Text) -> Held:
    """Of the texts that the filter reads; slow hashes are done when they are asked for."""
    waits: list[int] = []
    octets: list[int] = []
    for script in text.scripts:
        stream = text.hearing.output_filter.stream()
        words = text.vocabulary.detokeniser()
        ends: list[int] = []
        done = given = 0
        for number, token in enumerate(script):
            piece = words.push(token)
            given += len(piece)
            ends.append(given)
            stream.push(piece)
            while done < len(ends) and ends[done] <= given - stream.held:
                waits.append(number - done)
                done += 1
            octets.append(stream.held)
    waits.sort()
    return Held(
        statistics.fmean(waits),
        waits[len(waits) // 2],
        waits[len(waits) * 99 // 100],
        statistics.fmean(octets),
    )


def filtering(text: Text) -> dict[str, float]:
    """Microseconds a token of the filter alone, and of everything that the gate does with one; medians."""
    clock = time.perf_counter_ns
    found: dict[str, float] = {}
    for name in ("StreamFilter.push", "GatedSequence.push"):
        spent: list[int] = []
        for script in text.scripts[:16]:
            words = text.vocabulary.detokeniser()
            stream = text.hearing.output_filter.stream(background=text.background)
            (row,) = gated_rows(text._replace(scripts=(script,)), 1, len(script) + 1)
            for token in script:
                if name == "StreamFilter.push":
                    piece = words.push(token)
                    begin = clock()
                    stream.push(piece)
                else:
                    begin = clock()
                    row.push(0)
                spent.append(clock() - begin)
        spent.sort()
        found[name] = spent[len(spent) // 2] / 1000
        found[f"{name}, mean of all but the slowest hundredth"] = (
            statistics.fmean(spent[: len(spent) * 99 // 100]) / 1000
        )
    return found
