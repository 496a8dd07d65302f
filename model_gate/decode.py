"""The decode loop: prompts in, a token for every sequence at each step, and back where one must.

The order within a step lets the filter's work overlap the model's: while the model computes step
t+1, the tokens of step t are read. So a sequence that has to go back, or is at its end, has cost
one row of one forward. A GPU computes beside by itself; on a processor a thread reads while the
output embedding, the largest product of a forward, is multiplied, which does not need Python.
"""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from transformers import DynamicCache

from filter.errors import InputError
from model_gate.beside import Beside
from model_gate.cache import SlotCache
from model_gate.errors import PromptTooLong
from model_gate.sampling import Drawing, Sampler, Sampling

if TYPE_CHECKING:
    from collections.abc import Collection

PREFILL = 2048
"""Tokens of a prompt that are read at once; between two such chunks the others go on."""
SHORTEST = 512
"""A shorter chunk counts as if it had so many: a forward costs something whatever it reads."""


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


class _Row(Drawing):
    """A sequence in the loop."""

    def __init__(self, sequence: Sequence) -> None:
        super().__init__(sequence.prompt, sequence.sampling)
        self.sequence = sequence
        self.again = False
        """Whether the last token kept is fed once more, being where the row went back to."""

    @property
    def last(self) -> int:
        """The token to be fed."""
        return self.tokens[-1] if self.tokens else self.prompt[-1]


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
        self._sampler = Sampler(self._device, seed)
        self._cache = SlotCache(model.config.num_hidden_layers, context)
        takes = inspect.signature(type(model).forward).parameters
        self._cache_argument = "cache" if "cache" in takes else "past_key_values"
        self._arriving: deque[_Row] = deque()
        self._reading: tuple[Any, int] | None = None
        """The cache of the prompt that is being read, and how far it is."""
        self._active: list[_Row] = []
        """In the order of the cache's rows."""
        self._drawn: list[tuple[_Row, int]] = []
        """Tokens that are still to be read by their sequences."""
        self._output = _output_embedding(model) if self._device.type == "cpu" else None
        self._beside = Beside()

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
            InputError: it is empty.
        """
        if not sequence.prompt:
            raise InputError("The prompt has no tokens: give one to begin with.")
        if len(sequence.prompt) >= self._context:
            raise PromptTooLong(
                f"The prompt has {len(sequence.prompt)} tokens and this model's context "
                f"{self._context}: shorten it."
            )
        row = _Row(sequence)
        self._sampler.add(row)
        self._arriving.append(row)

    @torch.inference_mode()
    def remove(self, sequence: Sequence) -> None:
        """Let a sequence go that is not done; one that is not there is no error."""
        for row in list(self._arriving):
            if row.sequence is sequence:
                if row is self._arriving[0]:
                    self._reading = None
                self._arriving.remove(row)
        for row in list(self._active):
            if row.sequence is sequence:
                self._leave(row)

    @torch.inference_mode()
    def step(self) -> list[Sequence]:
        """A token for every sequence; returns those that are done and have left.

        Whatever it raises, from the model or a sequence, leaves the loop unusable: tokens may be lost.
        """
        parts = self._read_prompts()
        if len(parts) < len(self._active):
            parts.insert(0, self._feed(self._active[: len(self._active) - len(parts)]))
        wanted = [
            at for at, row in enumerate(self._active) if not row.sequence.done and not row.again
        ]
        if wanted:
            logits = torch.cat(parts) if len(parts) > 1 else parts[0]
            if len(wanted) < len(logits):
                logits = logits[wanted]
            rows = [self._active[at] for at in wanted]
            bans = [row.sequence.forbidden() for row in rows]
            tokens = self._sampler.draw(rows, logits.float(), bans)
            self._drawn = list(zip(rows, tokens, strict=True))
        ended = [row for row in self._active if row.sequence.done]
        for row in ended:
            self._leave(row)
        return [row.sequence for row in ended]

    def _read_prompts(self) -> list[torch.Tensor]:
        """Read as much of the prompts as goes into a step; all of them where one generator is shared.

        Returns logits [1, vocabulary] behind each that is read to its end.
        """
        parts: list[torch.Tensor] = []
        spent = 0
        while self._arriving and (spent < PREFILL or self._sampler.shares):
            row = self._arriving[0]
            cache, done = self._reading or (DynamicCache(config=self._model.config), 0)
            chunk = row.prompt[done : done + PREFILL]
            spent += max(len(chunk), SHORTEST)
            end = done + len(chunk)
            out = self._call(
                [chunk], torch.arange(done, end, device=self._device)[None], None, cache
            )
            self._reading = cache, end
            if end == len(row.prompt):
                self._reading = None
                self._arriving.popleft()
                self._cache.enter(cache, end)
                self._active.append(row)
                parts.append(out)
        return parts

    def _feed(self, rows: list[_Row]) -> torch.Tensor:
        """Feed the first rows, and have what was drawn read meanwhile: logits [rows, vocabulary]."""
        pushed, self._drawn = self._drawn, []
        if all(map(self._may_end, rows)):
            # Nothing needs to be fed unless one goes on or back.
            self._take_back(_pushed(pushed))
            if all(row.sequence.done for row in rows):
                return torch.zeros(
                    len(rows), self._vocabulary, dtype=self._dtype, device=self._device
                )
            return self._forward(rows)
        if self._output is None:
            logits = self._forward(rows)
            self._take_back(_pushed(pushed))
            return logits
        reading = self._beside.later(lambda: _pushed(pushed))
        hook = self._output.register_forward_pre_hook(reading.start)
        try:
            logits = self._forward(rows)
        finally:
            hook.remove()
            backs = reading.result()
        self._take_back(backs)
        return logits

    def _may_end(self, row: _Row) -> bool:
        """Whether the last token is likely to stay the last."""
        return row.last in self._eos or len(row.tokens) == row.sampling.max_new_tokens

    def _forward(self, rows: list[_Row]) -> torch.Tensor:
        """One token of each of the first rows of the cache: logits [rows, vocabulary]."""
        cache = self._cache
        # Rows whose prompts were read in this step have nothing to be fed yet.
        fresh, cache.lengths = cache.lengths[len(rows) :], cache.lengths[: len(rows)]
        mask = cache.prepare(self._dtype, self._device)
        positions = torch.tensor([[length] for length in cache.lengths], device=self._device)
        logits = self._call([[row.last] for row in rows], positions, mask, cache)
        cache.advance(range(len(rows)))
        cache.lengths += fresh
        for row in rows:
            row.again = False
        return logits

    def _call(
        self, ids: list[list[int]], positions: torch.Tensor, mask: torch.Tensor | None, cache: Any
    ) -> torch.Tensor:
        """The model's logits behind the last token of each row: [rows, vocabulary]."""
        out = self._model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _take_back(self, backs: list[tuple[_Row, Rewind]]) -> None:
        """Rows forget their last tokens; what is left at the end is fed again, its logits being gone."""
        for row, back in backs:
            row.take_back(back.keep)
            row.again = True
            self._cache.lengths[self._active.index(row)] = len(row.prompt) + back.keep - 1

    def _leave(self, row: _Row) -> None:
        at = self._active.index(row)
        self._cache.leave(at)
        last = self._active.pop()
        if last is not row:
            self._active[at] = last
        self._drawn = [pair for pair in self._drawn if pair[0] is not row]


def _output_embedding(model: Any) -> torch.nn.Module | None:
    """The module that makes logits."""
    found = getattr(model, "get_output_embeddings", lambda: None)()
    return found if isinstance(found, torch.nn.Module) else None


def _pushed(drawn_tokens: list[tuple[_Row, int]]) -> list[tuple[_Row, Rewind]]:
    """Hand tokens to their sequences; those that go back."""
    return [
        (row, back) for row, token in drawn_tokens if (back := row.sequence.push(token)) is not None
    ]
