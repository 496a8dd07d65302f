"""How a token is drawn: as transformers does it, in the same order and from the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


_COLDEST = 1e-6
"""Temperature below which scores may overflow in float32, where softmax of two infinities is NaN."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn, and how many at most."""

    do_sample: bool = True
    temperature: float = 0.8
    """0 takes the most likely token, as ``do_sample=False`` does."""
    top_p: float = 0.9
    top_k: int = 0
    """0 for all."""
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 512

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            InputError: a number out of its range.
        """
        for name, holds, wanted in (
            ("temperature", 0 <= self.temperature <= 100, "from 0 to 100"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            # Far beyond these scores overflow, and softmax of several infinities is NaN.
            ("repetition_penalty", 0.01 <= self.repetition_penalty <= 100, "from 0.01 to 100"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            ("seed", self.seed is None or abs(self.seed) < 1 << 63, "a 64-bit integer"),
        ):
            if not holds:
                raise InputError(f"{name} must be {wanted}.")

    @property
    def is_greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return not self.do_sample or self.temperature < _COLDEST

    @property
    def warping(self) -> Sampling:
        """The same for all whose scores may be warped together."""
        if self.is_greedy:
            return Sampling(do_sample=False, repetition_penalty=self.repetition_penalty)
        return replace(self, seed=None, max_new_tokens=1)


def warped(logits: torch.Tensor, sampling: Sampling, seen: torch.Tensor | None) -> torch.Tensor:
    """Scores after the processors of one `Sampling`.

    Args:
        logits: [rows, vocabulary], float32; forbidden tokens at minus infinity already, before
            everything else: after top-p nothing might be left.
        sampling: of all these rows.
        seen: [rows, vocabulary], whether a token stands in the prompt or the answer; needed where
            there is a repetition penalty.
    """
    if seen is not None and sampling.repetition_penalty != 1:
        penalty = sampling.repetition_penalty
        punished = torch.where(logits < 0, logits * penalty, logits / penalty)
        logits = torch.where(seen, punished, logits)
    if sampling.is_greedy:
        return logits
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if sampling.top_k:
        least = torch.topk(logits, min(sampling.top_k, logits.shape[-1]))[0][..., -1, None]
        logits = logits.masked_fill(logits < least, -math.inf)
    if sampling.top_p < 1:
        ordered, places = torch.sort(logits, descending=False)
        removed = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - sampling.top_p
        removed[..., -1:] = False
        logits = logits.masked_fill(removed.scatter(1, places, removed), -math.inf)
    return logits


def drawn(
    scores: torch.Tensor, sampling: Sampling, generator: torch.Generator | None
) -> torch.Tensor:
    """One token for each row of warped scores: ids [rows]."""
    if sampling.is_greedy:
        return scores.argmax(dim=-1)
    return _chosen(scores, torch.empty_like(scores).exponential_(generator=generator))


def _chosen(scores: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """What `torch.multinomial` draws, without its checks, each of which waits for the device.

    Args:
        scores: [rows, vocabulary].
        noise: as many exponential numbers.
    """
    return (scores.softmax(dim=-1) / noise).argmax(dim=-1)


class Drawing:
    """One text in the making, as far as drawing its next token goes."""

    def __init__(self, prompt: list[int], sampling: Sampling) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.warping = sampling.warping
        self.tokens: list[int] = []
        """Drawn so far; `take_back` takes some back."""
        self.number = 0
        """In the order in which they came to the sampler."""
        self.generator: torch.Generator | None = None
        self.seen: torch.Tensor | None = None
        """Whether a token stands in prompt or answer: [vocabulary], once it is asked for."""

    def take_back(self, keep: int) -> None:
        """Forget all tokens but the first ``keep``."""
        del self.tokens[keep:]
        self.seen = None


class Sampler:
    """Draws the next tokens of many texts at once."""

    def __init__(self, device: torch.device, seed: int | None = None) -> None:
        """Prepare the generators.

        Args:
            device: of the logits.
            seed: one generator for all, used as ``generate`` does in a batch: numbers are drawn for
                those that have ended as well. Without it each text has its own, seeded by its
                `Sampling`, and those without a seed share torch's.
        """
        self._device = device
        self._shared = None if seed is None else torch.Generator(device).manual_seed(seed)
        self._known = 0

    @property
    def shares(self) -> bool:
        """Whether all draw from one generator."""
        return self._shared is not None

    def add(self, drawing: Drawing) -> None:
        """Let a text take part."""
        drawing.number = self._known
        self._known += 1
        sampling = drawing.sampling
        if self._shared is None and sampling.seed is not None and not sampling.is_greedy:
            drawing.generator = torch.Generator(self._device).manual_seed(sampling.seed)

    def draw(
        self, rows: Sequence[Drawing], logits: torch.Tensor, bans: Sequence[torch.Tensor | None]
    ) -> list[int]:
        """Draw a token for each text, and append it there. One wait for the device.

        Args:
            rows: the texts.
            logits: [rows, vocabulary], float32; changed in place.
            bans: for each text the tokens that must not be drawn, [vocabulary] or shorter. A ban of
                everything is none: something has to be said, and the filter still reads it.
        """
        for number, ban in enumerate(bans):
            if ban is not None and not bool(ban.all()):
                logits[number, : len(ban)].masked_fill_(ban.to(self._device), -math.inf)
        groups: dict[Sampling, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(row.warping, []).append(number)
        parts: list[torch.Tensor] = []
        order: list[int] = []
        for sampling, numbers in groups.items():
            some = [rows[number] for number in numbers]
            part = logits if len(groups) == 1 else logits[numbers]
            seen = self._seen(some, part) if sampling.repetition_penalty != 1 else None
            scores = warped(part, sampling, seen)
            if sampling.is_greedy:
                parts.append(scores.argmax(dim=-1))
            else:
                parts.append(_chosen(scores, self._noise(some, scores)))
            order += numbers
        tokens = [0] * len(rows)
        found = (parts[0] if len(parts) == 1 else torch.cat(parts)).tolist()
        for number, token in zip(order, found, strict=True):
            tokens[number] = token
            row = rows[number]
            row.tokens.append(token)
            if row.seen is not None:
                row.seen[token] = True
        return tokens

    def _noise(self, rows: list[Drawing], scores: torch.Tensor) -> torch.Tensor:
        """Exponential numbers, as many as scores, each row's from its own generator."""
        if self._shared is not None:
            noise = scores.new_empty(self._known, scores.shape[1])
            noise.exponential_(generator=self._shared)
            return noise if len(rows) == self._known else noise[[row.number for row in rows]]
        noise = torch.empty_like(scores)
        others: list[int] = []
        for number, row in enumerate(rows):
            if row.generator is None:
                others.append(number)
            else:
                noise[number : number + 1].exponential_(generator=row.generator)
        if len(others) == len(rows):
            noise.exponential_()
        elif others:
            noise[others] = scores.new_empty(len(others), scores.shape[1]).exponential_()
        return noise

    @staticmethod
    def _seen(rows: list[Drawing], logits: torch.Tensor) -> torch.Tensor:
        for row in rows:
            if row.seen is None:
                row.seen = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
                row.seen[[*row.prompt, *row.tokens]] = True
        return torch.stack([row.seen for row in rows if row.seen is not None])
