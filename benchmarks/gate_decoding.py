"""How long a step of decoding takes: plain, in our loop, and in our loop with the filter.

Where there is no GPU one is imitated: the tiny model's forward stands for the launching, and what it found
cannot be read before the time of a step is over. It shows what the loop hides, not how fast a GPU is.
"""

from __future__ import annotations

import statistics
import time
from itertools import cycle, islice, pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
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
    device_ms: float = 0
    """Until what the model found can be read, where a device is imitated."""


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
    return [
        Shape("tiny", (1, 16, 64), 64, TINY),
        Shape("small", (1, 16, 64), 8, SMALL),
        Shape("a device, 20 ms a step", (1, 16, 64), 32, TINY, 20),
    ]


class Device:
    """A model whose logits are there some time after it was called, as on a device that computes beside."""

    def __init__(self, model: Any, seconds: float) -> None:
        self.model = model
        self.device, self.dtype, self.config = model.device, model.dtype, model.config
        self._seconds = seconds

    def forward(self, cache: Any = None, **arguments: Any) -> Any:
        """Called by `Decoder`."""
        until = time.perf_counter() + self._seconds
        out = self.model(cache=cache, **arguments)
        if arguments["input_ids"].shape[1] > 1:
            return out  # a prompt, which is not measured
        return SimpleNamespace(logits=Later(out.logits, until))

    __call__ = forward


class Later:
    """A tensor that can be read after a time."""

    def __init__(self, values: torch.Tensor, until: float) -> None:
        self._values = values
        self._until = until

    def __getitem__(self, key: Any) -> Later:
        return Later(self._values[key], self._until)

    def __len__(self) -> int:
        return len(self._values)

    def float(self) -> torch.Tensor:
        """Wait for it."""
        time.sleep(max(0, self._until - time.perf_counter()))
        return self._values.float()


def made(shape: Shape, vocabulary: int) -> Any:
    from transformers import ApertusConfig, AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    config = ApertusConfig(**{"vocab_size": vocabulary, **shape.config}, eos_token_id=None)
    torch.manual_seed(0)
    with torch.device("cuda" if cuda else "cpu"):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16 if cuda else torch.float32
        )
    model.eval()
    return Device(model, shape.device_ms / 1000) if shape.device_ms else model


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
    """One round, in seconds."""

    steps: dict[str, list[float]]
    pushes: float
    """CPU time that the gate took within the loop, all rows and steps together."""


def run(model: Any, text: Text, batch: int, steps: int, *, plain: bool) -> Run:
    """Steps that draw a token for every row, behind the prompts and the first token.

    Our loop without a filter and with it take turns step by step: this machine's speed changes by half within seconds.
    """
    gated = gated_rows(text, batch, steps + 1)
    rows: dict[str, Any] = {LOOP: plain_rows(text, batch, steps + 1), GATED: gated}
    # With a seed all prompts are read before the first token is drawn.
    loops = {way: Decoder(model, eos=frozenset(), rows=batch, context=1024, seed=0) for way in rows}
    for way, decoder in loops.items():
        for row in rows[way]:
            decoder.admit(row)
        decoder.step()
    took: dict[str, list[float]] = {way: [] for way in loops}
    for number in range(steps):
        for way in (LOOP, GATED) if number % 2 else (GATED, LOOP):
            begin = time.perf_counter()
            loops[way].step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            took[way].append(time.perf_counter() - begin)
    if plain:
        took[PLAIN] = _generate(model, text, batch, steps + 1)
    return Run(took, sum(row.spent_ns for row in gated) / 1e9)


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


SWEPT = np.zeros(8 << 20)
"""64 MB, larger than the processor's caches."""


def work(text: Text, batch: int, steps: int, *, cold: bool = False) -> float:
    """CPU seconds that the gate takes for these tokens with no model beside it.

    Cold means that between two steps other memory is read, as much as empties the processor's caches.
    """
    rows = gated_rows(text, batch, steps)
    for _ in range(steps):
        if cold:
            SWEPT.sum()
        for row in rows:
            row.push(0)
    return sum(row.spent_ns for row in rows) / 1e9


class Cost(NamedTuple):
    """One model at one batch size; milliseconds."""

    shape: str
    batch: int
    step: dict[str, float]
    """The fastest tenth of the steps of each way, over all rounds: other work on the machine only adds."""
    added: float
    """By the filter, of a step of our loop: the median of the differences of neighbouring steps."""
    spread: float
    """Half the distance of the quartiles of the rounds' medians."""
    work: float
    """What the gate works in a step, in the loop."""
    alone: float
    """The same with no model beside it: what it works on stays in the processor's caches."""
    cold: float
    """The same with these caches emptied before each step."""

    @property
    def ratio(self) -> float:
        """Of a step with the filter to one without."""
        return 1 + self.added / self.step[LOOP]

    @property
    def against_generate(self) -> float | None:
        """Of a step with the filter to one of `generate`, by their fastest steps."""
        return self.step[GATED] / self.step[PLAIN] if PLAIN in self.step else None

    @property
    def hidden(self) -> float | None:
        """Share of the gate's work that costs the step nothing, unless the noise is larger."""
        return 1 - self.added / self.work if self.spread < self.work / 2 else None


def cost(shape: Shape, model: Any, text: Text, batch: int, rounds: int) -> Cost:
    # `generate` reads what the model found in places of its own.
    plain = not shape.device_ms
    found: list[Run] = []
    alone: list[float] = []
    cold: list[float] = []
    with torch.inference_mode():
        run(model, text, batch, shape.steps, plain=plain)  # to warm up
        for _ in range(rounds):
            found.append(run(model, text, batch, shape.steps, plain=plain))
            alone.append(1000 * work(text, batch, shape.steps) / shape.steps)
            cold.append(1000 * work(text, batch, shape.steps, cold=True) / shape.steps)
    medians = [1000 * statistics.median(_differences(one)) for one in found]
    quartiles = statistics.quantiles(medians, n=4)
    return Cost(
        shape.name,
        batch,
        {way: 1000 * _fastest(found, way) for way in WAYS if way in found[0].steps},
        1000 * statistics.median(took for one in found for took in _differences(one)),
        (quartiles[2] - quartiles[0]) / 2,
        1000 * statistics.median(one.pushes for one in found) / shape.steps,
        statistics.median(alone),
        statistics.median(cold),
    )


def _differences(one: Run) -> list[float]:
    return [b - a for a, b in zip(one.steps[LOOP], one.steps[GATED], strict=True)]


def _fastest(found: list[Run], way: str) -> float:
    return statistics.quantiles([took for one in found for took in one.steps[way]], n=10)[0]
