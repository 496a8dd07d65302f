"""Scores and draws against transformers' processors and torch's generator."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from filter.errors import InputError
from model_gate.sampling import Drawing, Sampler, Sampling, drawn, warped

VOCABULARY = 50
CPU = torch.device("cpu")


def logits(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


settings_of_a_request = st.builds(
    Sampling,
    do_sample=st.booleans(),
    temperature=st.sampled_from([0.0, 0.1, 0.7, 1.0, 2.0]),
    top_p=st.sampled_from([1e-9, 0.3, 0.9, 0.999, 1.0]),
    top_k=st.sampled_from([0, 1, 5, 49, 50, 1000]),
    repetition_penalty=st.sampled_from([0.5, 1.0, 1.3]),
)


@settings(max_examples=200, deadline=None)
@given(settings_of_a_request, st.integers(0, 10**6), st.integers(0, VOCABULARY - 1))
def test_scores_are_those_of_transformers(sampling: Sampling, seed: int, banned: int) -> None:
    scores = logits(3, seed)
    scores[
        :, torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(seed))[:banned]
    ] = -math.inf
    ids = torch.randint(VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(seed))
    seen = torch.zeros(3, VOCABULARY, dtype=torch.bool).scatter(1, ids, value=True)
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if not sampling.is_greedy:
        processors.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k:
            processors.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:  # as `generate` does: at 1 it would still drop what rounds to 0
            processors.append(TopPLogitsWarper(sampling.top_p))
    before = scores.clone()
    found = warped(scores, sampling, seen)
    assert found.equal(processors(ids, scores.clone()))
    assert scores.equal(before)
    assert (found > -math.inf).any(dim=-1).all()


def test_draws_are_those_of_torch() -> None:
    scores = logits(4, 1)
    torch.manual_seed(7)
    expected = torch.multinomial(scores.softmax(-1), 1).squeeze(1)
    assert drawn(scores, Sampling(), torch.Generator().manual_seed(7)).equal(expected)
    assert drawn(scores, Sampling(temperature=0), None).equal(scores.argmax(-1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", math.nan),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 1e-30),
        ("repetition_penalty", math.inf),
        ("max_new_tokens", 0),
        ("seed", 1 << 64),
    ],
)
def test_nonsense_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{name} must be .*\\.$"):
        Sampling(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-30, 1e-7, 1e-6, 1e-5])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_extremes_draw_the_likeliest_instead_of_failing(temperature: float, penalty: float) -> None:
    """A request must not end everybody's answers: softmax of two infinities is NaN, and torch raises."""
    sampling = Sampling(temperature=temperature, repetition_penalty=penalty, seed=1)
    scores = logits(1, 3) * 30
    row = Drawing([1, 2, 3], sampling)
    sampler = Sampler(CPU)
    sampler.add(row)
    seen = torch.zeros(1, VOCABULARY, dtype=torch.bool)
    seen[0, 1:4] = True
    expected = warped(scores, Sampling(do_sample=False, repetition_penalty=penalty), seen)
    assert sampler.draw([row], scores.clone(), [None]) == [int(expected.argmax())]


def rows_of(sampler: Sampler, *samplings: Sampling) -> list[Drawing]:
    rows = [Drawing([n + 1, n + 2], sampling) for n, sampling in enumerate(samplings)]
    for row in rows:
        sampler.add(row)
    return rows


MIXED = (
    Sampling(seed=1),
    Sampling(do_sample=False),
    Sampling(seed=2, temperature=1.5, top_k=9),
    Sampling(seed=3),
    Sampling(do_sample=False, repetition_penalty=2.0),
    Sampling(seed=1, repetition_penalty=2.0),
)


def test_rows_of_any_settings_are_drawn_as_alone() -> None:
    together = Sampler(CPU)
    rows = rows_of(together, *MIXED)
    alone = [(Sampler(CPU), Drawing(row.prompt, row.sampling)) for row in rows]
    for sampler, row in alone:
        sampler.add(row)
    for step in range(12):
        scores = logits(len(rows), step)
        ban = torch.zeros(VOCABULARY - 5, dtype=torch.bool)
        ban[: 5 * step % 40] = True
        bans = [ban if n % 2 else None for n in range(len(rows))]
        expected = [
            sampler.draw([row], scores[n : n + 1].clone(), [bans[n]])[0]
            for n, (sampler, row) in enumerate(alone)
        ]
        order = sorted(range(len(rows)), key=lambda n: (n * step) % 7)
        found = together.draw(
            [rows[n] for n in order], scores[order].clone(), [bans[n] for n in order]
        )
        assert found == [expected[n] for n in order]
        assert not any(
            ban[token] for n, token in zip(order, found, strict=True) if n % 2 and token < 45
        )
    assert [row.tokens for row in rows] == [row.tokens for _, row in alone]


def test_rows_without_a_seed_share_a_draw_with_those_that_have_one() -> None:
    sampler = Sampler(CPU)
    rows = rows_of(sampler, Sampling(seed=1), Sampling(), Sampling(seed=2), Sampling())
    (alone,) = rows_of(Sampler(CPU), Sampling(seed=2))
    single = Sampler(CPU)
    single.add(alone)
    for step in range(10):
        scores = logits(4, step)
        torch.manual_seed(step)
        found = sampler.draw(rows, scores.clone(), [None] * 4)
        assert found[2:3] == single.draw([alone], scores[2:3].clone(), [None])
        torch.manual_seed(step)
        expected = drawn(warped(scores[1::2], Sampling(), None), Sampling(), None)
        assert found[1::2] == expected.tolist()


def test_what_is_taken_back_is_no_repetition() -> None:
    """And tokens of the prompt always are one."""
    sampler = Sampler(CPU)
    (row,) = rows_of(sampler, Sampling(do_sample=False, repetition_penalty=100.0))
    scores = torch.full((1, VOCABULARY), 1.0)
    scores[0, [1, 2, 7, 8, 9]] = torch.tensor([90.0, 80.0, 70.0, 60.0, 50.0])

    def draw() -> Any:
        return sampler.draw([row], scores.clone(), [None])

    assert [draw(), draw()] == [[7], [8]]
    row.take_back(1)
    assert [draw(), draw()] == [[8], [9]]
    assert row.tokens == [7, 8, 9]
    row.take_back(0)
    assert draw() == [7]


def test_one_generator_draws_for_those_that_have_left_too() -> None:
    """As `generate` does: the others' draws stay where they were."""
    for gone in range(3):
        whole, parted = Sampler(CPU, seed=4), Sampler(CPU, seed=4)
        all_rows = rows_of(whole, *[Sampling(seed=4)] * 3)
        rows = rows_of(parted, *[Sampling(seed=4)] * 3)
        assert whole.shares
        for step in range(6):
            scores = logits(3, step)
            expected = whole.draw(all_rows, scores.clone(), [None] * 3)
            # Rows move where one has left.
            left = [n for n in (2, 0, 1) if n != gone] if step > 1 else [0, 1, 2]
            found = parted.draw([rows[n] for n in left], scores[left].clone(), [None] * len(left))
            assert found == [expected[n] for n in left]


def test_a_ban_of_everything_is_none_and_one_of_all_but_one_is_kept() -> None:
    sampler = Sampler(CPU)
    (row,) = rows_of(sampler, Sampling(top_p=0.01, seed=1))
    ban = torch.ones(VOCABULARY, dtype=torch.bool)
    scores = logits(1, 1)
    assert sampler.draw([row], scores.clone(), [ban]) == [int(scores.argmax())]
    least = int(scores.argmin())
    ban[least] = False
    assert sampler.draw([row], scores.clone(), [ban]) == [least]
