"""The decode loop: prompts in, a token for every sequence at each step, and back where one must.

The order within a step lets the filter's work overlap the model's: while the model computes step
t+1, the tokens of step t are read. So a sequence that has to go back, or is at its end, has cost
one row of one forward.
"""

from __future__ import annotations

import inspect
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from transformers import DynamicCache

from model_gate.cache import SlotCache
from model_gate.errors import PromptTooLong
from model_gate.sampling import Sampling, drawn, warped

if TYPE_CHECKING:
    from collections.abc import Collection

PREFILL = 2048
"""Tokens of a prompt that are read at once; between two such chunks the others go on."""
THREADED_FROM = 8
"""Rows from which tokens are read in another thread where the model itself blocks this one."""


class Rewind(NamedTuple):
    """Tokens must be taken back."""

    keep: int
    """Generated tokens that stay."""


class Sequence(Protocol):
    """What a decoder decodes."""

    prompt: list[int]
    """Token ids, at least one."""
    sampling: Sampling
    done: bool
    """Nothing more is wanted."""

    def push(self, token: int) -> Rewind | None:
        """Take the next token. Called while the model computes, perhaps in another thread."""

    def forbidden(self) -> torch.Tensor | None:
        """Tokens that must not be drawn next: a mask [vocabulary]."""


class PlainSequence:
    """A sequence that nothing filters: for measuring, and for tests."""

    def __init__(self, prompt: list[int], sampling: Sampling, eos: Collection[int]) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.done = False
        self.tokens: list[int] = []
        self._eos = frozenset(eos)

    def push(self, token: int) -> Rewind | None:
        """Keep it."""
        self.tokens.append(token)
        self.done = token in self._eos or len(self.tokens) >= self.sampling.max_new_tokens
        return None

    def forbidden(self) -> torch.Tensor | None:
        """Nothing is."""
        return None


class _Row:
    """A sequence in the loop."""

    def __init__(self, sequence: Sequence, number: int, device: torch.device) -> None:
        self.sequence = sequence
        self.number = number
        """In the order of admission."""
        self.tokens: list[int] = []
        """Drawn so far, the one to be fed next included."""
        self.again = False
        """Whether the last token kept is fed once more, being where the row went back to."""
        self.seen: torch.Tensor | None = None
        self.generator: torch.Generator | None = None
        if sequence.sampling.seed is not None and not sequence.sampling.is_greedy:
            self.generator = torch.Generator(device).manual_seed(sequence.sampling.seed)

    @property
    def last(self) -> int:
        """The token to be fed."""
        return self.tokens[-1] if self.tokens else self.sequence.prompt[-1]


class Decoder:
    """Decodes many sequences at once; they join and leave between steps. For one thread."""

    def __init__(
        self,
        model: Any,
        *,
        eos: Collection[int],
        rows: int = 64,
        context: int = 65_536,
        seed: int | None = None,
    ) -> None:
        """Prepare the loop.

        Args:
            model: a causal language model of transformers.
            eos: ids of tokens that end a sequence.
            rows: sequences at once at most.
            context: tokens of a sequence at most, its prompt included.
            seed: all rows draw from one generator, as in ``model.generate`` of a batch, and are
                admitted before the first step. Without it each has its own, seeded by its
                `Sampling`.
        """
        self._model = model
        self._eos = frozenset(eos)
        self._rows = rows
        self._context = context
        self._device: torch.device = model.device
        self._dtype: torch.dtype = model.dtype
        self._vocabulary: int = model.config.vocab_size
        self._shared = None if seed is None else torch.Generator(self._device).manual_seed(seed)
        self._cache = SlotCache(model.config.num_hidden_layers)
        takes = inspect.signature(type(model).forward).parameters
        self._cache_argument = "cache" if "cache" in takes else "past_key_values"
        self._arriving: deque[_Row] = deque()
        self._read: Any = None
        """The prompt that is being read: its cache, and how far."""
        self._active: list[_Row] = []
        """In the order of the cache's rows."""
        self._fresh: list[tuple[_Row, torch.Tensor]] = []
        """Rows whose prompt was just read, with the logits behind it."""
        self._drawn: list[tuple[_Row, int]] = []
        self._admitted = 0
        self._thread = ThreadPoolExecutor(1, "gate")
        """Starts when it is first used."""

    @property
    def active(self) -> int:
        """Sequences in the loop, those whose prompt is still to be read included."""
        return len(self._active) + len(self._arriving)

    @property
    def free(self) -> int:
        """Sequences that may still be admitted."""
        return self._rows - self.active

    def admit(self, sequence: Sequence) -> None:
        """Let a sequence join; its prompt is read during the next steps.

        Raises:
            PromptTooLong: it leaves no room in the context.
        """
        if len(sequence.prompt) >= self._context:
            raise PromptTooLong(
                f"The prompt has {len(sequence.prompt)} tokens and this model's context "
                f"{self._context}: shorten it."
            )
        self._arriving.append(_Row(sequence, self._admitted, self._device))
        self._admitted += 1

    def remove(self, sequence: Sequence) -> None:
        """Let a sequence go that is not done; one that is not there is no error."""
        for row in list(self._arriving):
            if row.sequence is sequence:
                if row is self._arriving[0]:
                    self._read = None
                self._arriving.remove(row)
        for row in list(self._active):
            if row.sequence is sequence:
                self._leave(row)

    @torch.inference_mode()
    def step(self) -> list[Sequence]:
        """A token for every sequence; returns those that are done and have left."""
        self._read_prompts()
        logits = self._forward_and_push()
        wanted = [
            at for at, row in enumerate(self._active) if not row.sequence.done and not row.again
        ]
        if wanted:
            rows = [self._active[at] for at in wanted]
            self._draw(rows, logits if len(wanted) == len(logits) else logits[wanted])
        ended = [row for row in self._active if row.sequence.done]
        for row in ended:
            self._leave(row)
        return [row.sequence for row in ended]

    def _read_prompts(self) -> None:
        """Read a chunk of a prompt; all prompts where all rows draw from one generator."""
        while self._arriving:
            row = self._arriving[0]
            prompt = row.sequence.prompt
            cache, done = self._read or (DynamicCache(config=self._model.config), 0)
            chunk = prompt[done : done + PREFILL]
            positions = torch.arange(done, done + len(chunk), device=self._device)[None]
            out = self._model(
                input_ids=torch.tensor([chunk], device=self._device),
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
                **{self._cache_argument: cache},
            )
            done += len(chunk)
            self._read = (cache, done)
            if done == len(prompt):
                self._read = None
                self._arriving.popleft()
                self._fresh.append((row, out.logits[:, -1]))
                self._cache.enter(cache, done)
                self._active.append(row)
            if self._shared is None:
                return

    def _forward_and_push(self) -> torch.Tensor:
        """Feed what was drawn, and have it read meanwhile: logits [active, vocabulary], float32."""
        fresh, self._fresh = self._fresh, []
        old = self._active[: len(self._active) - len(fresh)]
        pushed, self._drawn = self._drawn, []
        parts: list[torch.Tensor] = []
        if not old:
            backs: list[tuple[_Row, Rewind]] = []
        elif all(row.tokens and row.tokens[-1] in self._eos for row in old):
            # All are at their ends, unless one has to go back: nothing needs to be fed.
            backs = _pushed(pushed)
            parts.append(torch.zeros(len(old), self._vocabulary, device=self._device))
            for row in old:
                row.again = True
        elif self._device.type != "cpu" or len(pushed) < THREADED_FROM:
            parts.append(self._forward(old))
            backs = _pushed(pushed)
        else:
            reading = self._thread.submit(_pushed, pushed)
            parts.append(self._forward(old))
            backs = reading.result()
        for row, back in backs:
            self._go_back(row, back.keep)
        parts += [logits for _, logits in fresh]
        if not parts:
            return torch.empty(0, self._vocabulary, device=self._device)
        return torch.cat([part.to(dtype=torch.float32, copy=True) for part in parts])

    def _forward(self, rows: list[_Row]) -> torch.Tensor:
        """One token of each of the first rows of the cache: logits [rows, vocabulary]."""
        cache = self._cache
        arrived, cache.lengths = cache.lengths[len(rows) :], cache.lengths[: len(rows)]
        mask = cache.prepare(self._dtype, self._device)
        out = self._model(
            input_ids=torch.tensor([[row.last] for row in rows], device=self._device),
            attention_mask=mask,
            position_ids=torch.tensor([[length] for length in cache.lengths], device=self._device),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        cache.advance(range(len(rows)))
        for row in rows:
            row.again = False
        cache.lengths += arrived
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _go_back(self, row: _Row, keep: int) -> None:
        """Forget tokens behind ``keep``; the last one left is fed again."""
        del row.tokens[keep:]
        row.again = True
        row.seen = None
        at = self._active.index(row)
        self._cache.lengths[at] = len(row.sequence.prompt) + keep - 1

    def _draw(self, rows: list[_Row], logits: torch.Tensor) -> None:
        """The next token of each row, from logits [rows, vocabulary]."""
        for number, row in enumerate(rows):
            mask = row.sequence.forbidden()
            if mask is not None and not bool(mask.all()):
                mask = mask.to(self._device)
                logits[number, : len(mask)].masked_fill_(mask, float("-inf"))
        groups: dict[Sampling, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(_alike(row.sequence.sampling), []).append(number)
        tokens = [0] * len(rows)
        for sampling, numbers in groups.items():
            some = [rows[n] for n in numbers]
            part = logits if len(numbers) == len(rows) else logits[numbers]
            seen = self._seen(some, part) if sampling.repetition_penalty != 1 else None
            found = self._drawn_of(some, warped(part, sampling, seen), sampling)
            for number, token in zip(numbers, found, strict=True):
                tokens[number] = token
        for row, token in zip(rows, tokens, strict=True):
            row.tokens.append(token)
            if row.seen is not None:
                row.seen[token] = True
            self._drawn.append((row, token))

    def _drawn_of(self, rows: list[_Row], scores: torch.Tensor, sampling: Sampling) -> list[int]:
        if sampling.is_greedy:
            return drawn(scores, sampling, None).tolist()
        if self._shared is not None:
            # Of those that have left numbers are drawn as well, as in a batch that stays together.
            if len(rows) < self._admitted:
                numbers = [row.number for row in rows]
                full = torch.zeros(self._admitted, scores.shape[1], device=scores.device)
                full[numbers] = scores
                return drawn(full, sampling, self._shared)[numbers].tolist()
            return drawn(scores, sampling, self._shared).tolist()
        if all(row.generator is None for row in rows):
            return drawn(scores, sampling, None).tolist()
        found = [drawn(scores[n : n + 1], sampling, row.generator) for n, row in enumerate(rows)]
        return torch.cat(found).tolist()

    def _seen(self, rows: list[_Row], logits: torch.Tensor) -> torch.Tensor:
        for row in rows:
            if row.seen is None:
                row.seen = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
                row.seen[[*row.sequence.prompt, *row.tokens]] = True
        return torch.stack([row.seen for row in rows if row.seen is not None])

    def _leave(self, row: _Row) -> None:
        at = self._active.index(row)
        self._cache.leave(at)
        last = self._active.pop()
        if last is not row:
            self._active[at] = last
        self._drawn = [pair for pair in self._drawn if pair[0] is not row]


def _pushed(drawn_tokens: list[tuple[_Row, int]]) -> list[tuple[_Row, Rewind]]:
    """Hand tokens to their sequences; those that go back."""
    return [
        (row, back) for row, token in drawn_tokens if (back := row.sequence.push(token)) is not None
    ]


def _alike(sampling: Sampling) -> Sampling:
    """What decides how scores are warped: equal for rows that are warped together."""
    from dataclasses import replace

    return replace(sampling, seed=None, max_new_tokens=1)
