"""How long a step of decoding takes: plain, in our loop, and in our loop with the filter."""

from __future__ import annotations

import statistics
import time
from itertools import cycle, islice, pairwise
from typing import Any, NamedTuple

import torch
from gate_text import PROMPT, Text, gated_rows
from transformers.generation.streamers import BaseStreamer

from model_gate.decode import Decoder, PlainSequence
from model_gate.sampling import Sampling

WAYS = PLAIN, LOOP, GATED = "generate", "loop", "gated"


class Shape(NamedTuple):
    """A model to be measured: random weights, since what they say is not looked at."""

    name: str
    batches: tuple[int, ...]
    steps: int
    config: dict[str, Any]


TINY = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
TINY |= {"num_attention_heads": 4, "num_key_value_heads": 2}
SMALL = {"hidden_size": 768, "intermediate_size": 4096, "num_hidden_layers": 12}
SMALL |= {"num_attention_heads": 12, "num_key_value_heads": 4}
APERTUS_8B = {"hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 32}
APERTUS_8B |= {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 131_072}


def shapes(quick: bool) -> list[Shape]:
    """The models for this machine."""
    if not torch.cuda.is_available():
        # Two would wait for each other wherever something else runs on this machine.
        torch.set_num_threads(1)
    else:
        return [Shape("8B, bf16", (1, 32, 64), 8 if quick else 128, APERTUS_8B)]
    if quick:
        return [Shape("0.4M", (1, 4), 8, TINY)]
    return [Shape("tiny", (1, 16, 64), 64, TINY), Shape("small", (1, 16, 64), 8, SMALL)]


def made(shape: Shape, vocabulary: int) -> Any:
    from transformers import ApertusConfig, AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    config = ApertusConfig(**{"vocab_size": vocabulary, **shape.config}, eos_token_id=None)
    torch.manual_seed(0)
    with torch.device("cuda" if cuda else "cpu"):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16 if cuda else torch.float32
        )
    return model.eval()


def plain_rows(text: Text, batch: int, steps: int) -> list[PlainSequence]:
    sampling = Sampling(do_sample=False, max_new_tokens=steps)
    scripts = islice(cycle(text.scripts), batch)
    return [PlainSequence(list(script[:PROMPT]), sampling, ()) for script in scripts]


class Clock(BaseStreamer):  # type: ignore[misc]
    """Notes when ``generate`` has a token; it takes those of a batch too."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.at.append(time.perf_counter())

    def end(self) -> None:
        pass


class Run(NamedTuple):
    """Seconds."""

    steps: list[float]
    pushes: float
    """CPU time that the gate took within the loop, all rows and steps together."""


def run(model: Any, text: Text, batch: int, steps: int, way: str) -> Run:
    """Steps that draw a token for every row, behind the prompts and the first token."""
    if way == PLAIN:
        return Run(_generate(model, text, batch, steps + 1), 0)
    gated = gated_rows(text, batch, steps + 1) if way == GATED else []
    # With a seed all prompts are read before the first token is drawn.
    decoder = Decoder(model, eos=frozenset(), rows=batch, context=1024, seed=0)
    for row in gated or plain_rows(text, batch, steps + 1):
        decoder.admit(row)
    at: list[float] = []
    while len(at) <= steps:
        decoder.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        at.append(time.perf_counter())
    return Run([b - a for a, b in pairwise(at)], sum(row.spent_ns for row in gated) / 1e9)


def _generate(model: Any, text: Text, batch: int, steps: int) -> list[float]:
    ids = torch.tensor([row.prompt for row in plain_rows(text, batch, steps)])
    ids = ids.to(model.device)
    clock = Clock()
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=steps,
        do_sample=False,
        pad_token_id=3,
        streamer=clock,
    )
    return [b - a for a, b in pairwise(clock.at[1:])]  # the first is the prompt


def work(text: Text, batch: int, steps: int) -> float:
    """CPU seconds that the gate takes for these tokens with no model beside it."""
    rows = gated_rows(text, batch, steps)
    for _ in range(steps):
        for row in rows:
            row.push(0)
    return sum(row.spent_ns for row in rows) / 1e9


class Cost(NamedTuple):
    """One model at one batch size; milliseconds of a step: of every round the fastest tenth, since other work on the
    machine only adds, and of these the median."""

    shape: str
    batch: int
    step: dict[str, float]
    spread: float
    """Half the distance of the quartiles of the plain loop's rounds, as a share of their median."""
    ratio: float
    """With the filter against without, median of the rounds' ratios."""
    against_generate: float
    work: float
    """What the gate works in a step, in the loop."""
    alone: float
    """The same with no model beside it: what it works on stays in the processor's cache."""

    @property
    def hidden(self) -> float:
        """Share of the gate's work that costs the step nothing."""
        return 1 - (self.ratio - 1) * self.step[LOOP] / self.work


def cost(shape: Shape, model: Any, text: Text, batch: int, rounds: int) -> Cost:
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    worked: list[float] = []
    alone: list[float] = []
    with torch.inference_mode():
        for number in range(rounds + 1):
            order = WAYS if number % 2 else WAYS[::-1]
            found = {way: run(model, text, batch, shape.steps, way) for way in order}
            if number:  # the first is to warm up
                for way, one in found.items():
                    took[way].append(1000 * statistics.quantiles(one.steps, n=10)[0])
                worked.append(1000 * found[GATED].pushes / shape.steps)
                alone.append(1000 * work(text, batch, shape.steps) / shape.steps)
    quartiles = statistics.quantiles(took[LOOP], n=4)
    return Cost(
        shape.name,
        batch,
        {way: statistics.median(times) for way, times in took.items()},
        (quartiles[2] - quartiles[0]) / 2 / quartiles[1],
        _ratio(took[GATED], took[LOOP]),
        _ratio(took[GATED], took[PLAIN]),
        statistics.median(worked),
        statistics.median(alone),
    )


def _ratio(these: list[float], those: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(these, those, strict=True))
