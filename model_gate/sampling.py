"""How a token is drawn: as transformers does it, in the same order and from the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from filter.errors import InputError


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
            ("temperature", 0 <= self.temperature <= 100, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            ("seed", self.seed is None or abs(self.seed) < 1 << 63, "a 64-bit integer"),
        ):
            if not holds:
                raise InputError(f"{name} must be {wanted}.")

    @property
    def is_greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return not self.do_sample or self.temperature == 0


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
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=generator).squeeze(1)
