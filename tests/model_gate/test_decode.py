"""The loop against `generate`, and where it goes back against computing everything anew."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import random_apertus
import torch
from random_apertus import EOS, PAD, VOCABULARY, prompt
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from filter.errors import InputError
from model_gate.beside import Beside
from model_gate.decode import PREFILL, Decoder, PlainSequence, Rewind
from model_gate.errors import PromptTooLong
from model_gate.sampling import Sampling

GREEDY = Sampling(do_sample=False, max_new_tokens=24)
WAYS = {
    "greedy": {"do_sample": False},
    "greedy-penalty": {"do_sample": False, "repetition_penalty": 1.3},
    "sampled": {"temperature": 0.8, "top_p": 0.9},
    "hot": {"temperature": 1.5, "top_p": 1.0},
    "top-k": {"temperature": 1.0, "top_p": 1.0, "top_k": 7},
    "all": {"temperature": 0.9, "top_p": 0.8, "top_k": 40, "repetition_penalty": 1.3},
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


@pytest.fixture(scope="module")
def model() -> Any:
    return random_apertus.model()


def run(decoder: Decoder, sequences: Sequence[Any], limit: int = 2000) -> None:
    for sequence in sequences:
        decoder.admit(sequence)
    for _ in range(limit):
        if not decoder.active:
            return
        decoder.step()
    raise AssertionError("It does not end.")


def generated(
    model: Any,
    prompts: Sequence[list[int]],
    way: dict[str, Any],
    tokens: int,
    seed: int = 0,
    eos: Sequence[int] = (EOS,),
) -> list[list[int]]:
    """What `generate` says, up to the end of each."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
    torch.manual_seed(seed)
    found = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=tokens,
        pad_token_id=PAD,
        eos_token_id=list(eos),
        # In a padded batch the repetition penalty meets the padding too; nobody else draws it.
        suppress_tokens=[PAD],
        **{"do_sample": True, "top_k": 0, **way},
    )
    said = found[:, longest:].tolist()
    ends = [next((n + 1 for n, token in enumerate(one) if token in eos), None) for one in said]
    return [one[:end] for one, end in zip(said, ends, strict=True)]


class NoPadding(PlainSequence):
    def forbidden(self) -> torch.Tensor | None:
        mask = torch.zeros(VOCABULARY, dtype=torch.bool)
        mask[PAD] = True
        return mask


@each_way
@pytest.mark.parametrize("length", [1, pytest.param(2, marks=pytest.mark.soak), 40])
def test_alone_it_is_generate(model: Any, way: dict[str, Any], length: int) -> None:
    for seed in range(3):
        ids = prompt(length, seed)
        (expected,) = generated(model, [ids], way, 40, seed)
        for options in ({}, {"seed": seed}):  # its own generator, or one for all
            said = NoPadding(ids, Sampling(seed=seed, max_new_tokens=40, **way), [EOS])
            run(Decoder(model, eos=[EOS], **options), [said])
            assert said.tokens == expected
    assert len(set(expected)) > 3


@each_way
@pytest.mark.parametrize("lengths", [(5, 17, 1, 9, 30), (8, 8, 8, 8, 8)], ids=["ragged", "even"])
def test_a_batch_is_generate(model: Any, way: dict[str, Any], lengths: tuple[int, ...]) -> None:
    """With one generator, also after some have ended: `generate` draws for them as well."""
    ended = 0
    eos = [EOS, *range(20, 30)]
    for seed in range(3):
        prompts = [prompt(length, 10 * seed + n) for n, length in enumerate(lengths)]
        expected = generated(model, prompts, way, 60, seed, eos)
        said = [NoPadding(ids, Sampling(max_new_tokens=60, **way), eos) for ids in prompts]
        run(Decoder(model, eos=eos, seed=seed), said)
        assert [one.tokens for one in said] == expected
        ended += sum(len(one) < 60 for one in expected)
    assert 0 < ended < 15 or not way.get("do_sample", True)


@each_way
def test_a_seed_of_its_own_makes_a_row_independent(model: Any, way: dict[str, Any]) -> None:
    """Whoever else is in the loop, with whatever settings, and comes and goes."""
    row = Sampling(seed=5, max_new_tokens=30, **way)
    alone = PlainSequence(prompt(12, 3), row, [EOS])
    run(Decoder(model, eos=[EOS]), [alone])
    decoder = Decoder(model, eos=[EOS])
    others = [
        PlainSequence(prompt(3 * n + 1, n), Sampling(seed=n or None, max_new_tokens=6 * n + 1), [])
        for n in range(6)
    ]
    for other in others[:4]:
        decoder.admit(other)
    for _ in range(4):
        decoder.step()
    again = PlainSequence(alone.prompt, row, [EOS])
    run(decoder, [again, *others[4:]])
    assert again.tokens == alone.tokens
    assert [len(other.tokens) for other in others] == [1, 7, 13, 19, 25, 31]


def test_long_prompts_are_read_in_chunks_while_others_go_on(model: Any) -> None:
    ids = prompt(2 * PREFILL + 100, 1)
    (expected,) = generated(model, [ids], WAYS["greedy"], 8)
    long = NoPadding(ids, Sampling(do_sample=False, max_new_tokens=8), [EOS])
    short = PlainSequence(prompt(4, 2), Sampling(do_sample=False, max_new_tokens=8), [])
    decoder = Decoder(model, eos=[EOS])
    decoder.admit(short)
    decoder.step()
    decoder.admit(long)
    for n in range(2):
        decoder.step()
        assert len(short.tokens) == n + 1
        assert not long.tokens
    run(decoder, [])
    assert long.tokens == expected


class Script(PlainSequence):
    """Goes back where its plan says so, and never says there again what it said."""

    def __init__(
        self,
        ids: list[int],
        sampling: Sampling,
        plan: Sequence[tuple[int, int]],
        eos: Sequence[int] = (EOS,),
    ) -> None:
        super().__init__(ids, sampling, eos)
        self.plan = list(plan)
        """With so many tokens, back to so many; one after the other."""
        self.bans: dict[int, set[int]] = {}

    def push(self, token: int) -> Rewind | None:
        super().push(token)
        if not self.plan or len(self.tokens) < self.plan[0][0]:
            return None
        keep = self.plan.pop(0)[1]
        self.bans.setdefault(keep, set()).add(self.tokens[keep])
        del self.tokens[keep:]
        self.done = False
        return Rewind(keep)

    def forbidden(self) -> torch.Tensor | None:
        bans = self.bans.get(len(self.tokens))
        if not bans:
            return None
        mask = torch.zeros(VOCABULARY, dtype=torch.bool)
        mask[list(bans)] = True
        return mask


def anew(model: Any, sequence: Script) -> list[int]:
    """The same with no cache, no batch, and transformers' own processors."""
    sampling = sequence.sampling
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.do_sample:
        processors.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k:
            processors.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            processors.append(TopPLogitsWarper(sampling.top_p))
    generator = torch.Generator().manual_seed(sampling.seed or 0)
    with torch.inference_mode():
        while not sequence.done:
            ids = torch.tensor([[*sequence.prompt, *sequence.tokens]])
            logits = model(input_ids=ids, use_cache=False).logits[:, -1].clone()
            mask = sequence.forbidden()
            if mask is not None:
                logits[0, mask] = -torch.inf
            scores = processors(ids, logits)
            if sampling.do_sample:
                token = torch.multinomial(scores.softmax(-1), 1, generator=generator)
            else:
                token = scores.argmax(-1)
            sequence.push(int(token))
    return sequence.tokens


def scripts(way: dict[str, Any], *plans: Sequence[tuple[int, int]]) -> Callable[[], list[Script]]:
    return lambda: [
        Script(prompt(3 + 4 * n, n), Sampling(**{"seed": n, "max_new_tokens": 12, **way}), plan)
        for n, plan in enumerate(plans)
    ]


PLANS = {
    "by one": [[(4, 3)]],
    "to zero": [[(5, 0)]],
    "the first token": [[(1, 0)]],
    "twice at one place": [[(5, 3), (4, 3), (6, 3), (4, 3)]],
    "further each time": [[(9, 7), (8, 4), (6, 1), (2, 0)]],
    "at the end": [[(12, 10), (12, 11), (12, 0)]],
    "several at once": [[(4, 3)], [(4, 0)], [(4, 2)], [], [(4, 1)]],
    "in turn": [[(3, 1)], [(4, 1)], [(5, 1)], [(6, 1)]],
    "all at once": [[(5, 2)], [(5, 2)], [(5, 2)]],
}


@each_way
@pytest.mark.parametrize("plans", PLANS.values(), ids=list(PLANS))
def test_going_back_is_computing_anew(
    model: Any, way: dict[str, Any], plans: list[list[tuple[int, int]]]
) -> None:
    made = scripts(way, *plans)
    expected = [anew(model, one) for one in made()]
    said = made()
    run(Decoder(model, eos=[EOS]), said)
    assert [one.tokens for one in said] == expected
    assert not any(one.plan for one in said if len(one.tokens) == 12)


@pytest.mark.parametrize("seed", range(8))
def test_going_back_while_others_come_and_go(model: Any, seed: int) -> None:
    """At random: rows end, arrive, are removed and go back, in the same steps too."""
    chance = random.Random(seed)

    def made() -> list[Script]:
        dice = random.Random(seed)
        found = []
        for n in range(14):
            size = dice.randint(1, 16)
            plan = []
            for _ in range(dice.randint(0, 3)):
                at = dice.randint(1, size)
                plan.append((at, dice.randint(0, at - 1)))
            way = dice.choice(list(WAYS.values()))
            sampling = Sampling(**{"seed": n, "max_new_tokens": size, **way})
            found.append(Script(prompt(dice.randint(1, 12), n), sampling, plan))
        return found

    expected = [anew(model, one) for one in made()]
    said = made()
    waiting, gone = list(enumerate(said)), set()
    decoder = Decoder(model, eos=[EOS], rows=12)
    back: list[object] = []
    while waiting or decoder.active:
        while waiting and decoder.free and chance.random() < 0.6:
            decoder.admit(waiting.pop(0)[1])
        if chance.random() < 0.05:
            number = chance.randrange(len(said))
            if not said[number].done:
                decoder.remove(said[number])
                gone.add(number)
                waiting = [pair for pair in waiting if pair[0] != number]
        back += decoder.step()
    stayed = [one for n, one in enumerate(said) if n not in gone]
    assert [one.tokens for n, one in enumerate(said) if n not in gone] == [
        ids for n, ids in enumerate(expected) if n not in gone
    ]
    assert len(back) == len(stayed)
    assert {id(one) for one in back} == {id(one) for one in stayed}


def test_going_back_in_the_step_of_an_end_and_an_arrival(model: Any) -> None:
    made = scripts({"do_sample": False}, [(4, 2)], [], [])
    expected = [anew(model, one) for one in made()]
    back, ending, late = made()
    brief = PlainSequence(ending.prompt, Sampling(do_sample=False, max_new_tokens=4), [])
    decoder = Decoder(model, eos=[EOS])
    decoder.admit(back)
    decoder.admit(brief)
    for _ in range(4):
        assert not decoder.step()
    decoder.admit(late)
    assert decoder.step() == [brief]
    assert (len(back.tokens), back.plan) == (2, [])
    run(decoder, [])
    assert [back.tokens, late.tokens] == [expected[0], expected[2]]
    assert brief.tokens == expected[1][:4]


def test_an_end_may_be_no_end(model: Any) -> None:
    """A sequence that goes on behind the token that ends others, with nobody else in the loop."""
    first = generated(model, [prompt(6, 0)], WAYS["greedy"], 1)[0][0]
    sequence = PlainSequence(prompt(6, 0), GREEDY, [])
    run(Decoder(model, eos=[first]), [sequence])
    assert len(sequence.tokens) == 24
    back = Script(prompt(6, 0), GREEDY, [(1, 0), (2, 1)], [])
    expected = anew(model, Script(prompt(6, 0), GREEDY, [(1, 0), (2, 1)], []))
    run(Decoder(model, eos=range(VOCABULARY)), [back])
    assert back.tokens == expected


def forwards(model: Any, sequences: Sequence[Any], eos: Sequence[int]) -> int:
    """Calls of the model."""
    calls: list[int] = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        run(Decoder(model, eos=eos), sequences)
    finally:
        handle.remove()
    return len(calls)


def test_nothing_is_computed_behind_the_end(model: Any) -> None:
    sampling = Sampling(do_sample=False, max_new_tokens=5)
    assert forwards(model, [PlainSequence(prompt(3, 1), sampling, [])], ()) == 5
    sampling = Sampling(seed=0, **WAYS["hot"])
    said = PlainSequence(prompt(3, 1), replace(sampling, max_new_tokens=3), [])
    run(Decoder(model, eos=[]), [said])
    assert len(set(said.tokens)) == 3
    eos = said.tokens[2:]
    assert forwards(model, [PlainSequence(prompt(3, 1), sampling, eos)], eos) == 3


def test_a_ban_of_everything_is_none(model: Any) -> None:
    class Strict(PlainSequence):
        def forbidden(self) -> torch.Tensor | None:
            return torch.ones(VOCABULARY - 7, dtype=torch.bool)

    for sampling in (GREEDY, Sampling(seed=1, max_new_tokens=24)):
        free, strict = (kind(prompt(5, 1), sampling, []) for kind in (PlainSequence, Strict))
        run(Decoder(model, eos=[]), [free])
        run(Decoder(model, eos=[]), [strict])
        assert strict.tokens == free.tokens


def test_removed_at_any_time(model: Any) -> None:
    decoder = Decoder(model, eos=[EOS], rows=4)
    stays = PlainSequence(prompt(7, 7), GREEDY, [])
    half_read = PlainSequence(prompt(PREFILL + 5, 8), GREEDY, [])
    waits = PlainSequence(prompt(7, 9), GREEDY, [])
    decodes = PlainSequence(prompt(9, 9), GREEDY, [])
    decoder.admit(decodes)
    decoder.admit(stays)
    decoder.step()
    decoder.step()
    decoder.admit(half_read)
    decoder.admit(waits)
    decoder.step()
    assert (decoder.active, decoder.free) == (4, 0)
    gone = PlainSequence(prompt(7, 9), GREEDY, [])
    decoder.admit(gone)
    for sequence in (half_read, gone, decodes, decodes):
        decoder.remove(sequence)
    assert (decoder.active, decoder.free) == (2, 2)
    run(decoder, [])
    for sequence in (stays, waits):
        assert len(sequence.tokens) == 24
        assert sequence.tokens == anew(model, Script(sequence.prompt, GREEDY, [], []))
    assert not half_read.tokens
    assert not gone.tokens
    assert len(decodes.tokens) == 2


def test_tokens_are_read_beside_the_largest_product(model: Any) -> None:
    """On a processor: in another thread, from when the output embedding is multiplied."""
    events: list[str] = []

    class Reading(PlainSequence):
        def push(self, token: int) -> Rewind | None:
            events.append("read")
            assert threading.current_thread() is not threading.main_thread()
            return super().push(token)

    def multiplying(*_: object) -> None:
        events.append("multiply")

    def multiplied(*_: object) -> None:
        end = time.monotonic() + 10
        while events[-1] != "read" and time.monotonic() < end:
            time.sleep(0.001)

    decoder = Decoder(model, eos=[EOS], seed=0)
    decoder.admit(Reading(prompt(4, 0), Sampling(do_sample=False, max_new_tokens=5), ()))
    decoder.step()
    hooks = [  # the first of its kind, so that it runs before the decoder's own
        model.lm_head.register_forward_pre_hook(multiplying),
        model.lm_head.register_forward_hook(multiplied),
    ]
    for _ in range(3):
        decoder.step()
    for hook in hooks:
        hook.remove()
    assert events == ["multiply", "read"] * 3
    assert not model.lm_head._forward_pre_hooks


def test_the_thread_ends_with_its_owner() -> None:
    before = set(threading.enumerate())
    beside = Beside()
    ready = beside.later(threading.current_thread)
    assert ready.result() is threading.main_thread()
    (thread,) = set(threading.enumerate()) - before
    other = beside.later(threading.current_thread)
    other.start()
    other.start("once more")
    assert other.result() is thread
    broken = beside.later(lambda: 1 // 0)
    broken.start()
    with pytest.raises(ZeroDivisionError):
        broken.result()
    del beside, ready, other, broken
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("rows", [1, 66])
def test_what_a_sequence_raises_comes_out(model: Any, rows: int) -> None:
    """From the thread, too: nothing goes on as if the filter had read it."""

    class Broken(PlainSequence):
        def push(self, token: int) -> Rewind | None:
            raise ZeroDivisionError

    decoder = Decoder(model, eos=[EOS], seed=0)
    for number in range(rows):
        decoder.admit(Broken(prompt(4, number), GREEDY, [EOS]))
    decoder.step()
    with pytest.raises(ZeroDivisionError):
        decoder.step()


class Elsewhere:
    """A model that computes elsewhere: what it found is waited for when it is read."""

    def __init__(self, model: Any, events: list[str]) -> None:
        self.model = model
        self.device, self.dtype, self.config = model.device, model.dtype, model.config
        self.events = events

    def forward(self, cache: Any = None, **arguments: Any) -> Any:
        out = self.model(cache=cache, **arguments)
        if arguments["input_ids"].shape[1] > 1:
            return out  # a prompt
        self.events.append("launch")
        return SimpleNamespace(logits=Later(out.logits, self.events))

    __call__ = forward


class Later:
    def __init__(self, values: torch.Tensor, events: list[str]) -> None:
        self.values = values
        self.events = events

    def __getitem__(self, key: Any) -> Any:
        return Later(self.values[key], self.events)

    def __len__(self) -> int:
        return len(self.values)

    def float(self) -> torch.Tensor:
        self.events.append("wait")
        return self.values.float()


def test_tokens_are_read_while_the_model_computes(model: Any) -> None:
    """Between the launch of a forward and the first look at what it found."""
    events: list[str] = []

    class Reading(PlainSequence):
        def push(self, token: int) -> Rewind | None:
            events.append("read")
            return super().push(token)

    decoder = Decoder(Elsewhere(model, events), eos=[EOS], seed=0)
    sampling = Sampling(do_sample=False, max_new_tokens=5)
    run(decoder, [Reading(prompt(4, 0), sampling, ()), Reading(prompt(4, 0), sampling, ())])
    # Behind the last token nothing need be computed.
    assert events == ["launch", "read", "read", "wait"] * 4 + ["read", "read"]


def test_prompts_that_cannot_be_decoded(model: Any) -> None:
    decoder = Decoder(model, eos=[EOS], context=16)
    with pytest.raises(PromptTooLong, match="16 tokens and this model's context 16"):
        decoder.admit(PlainSequence(prompt(16, 0), GREEDY, [EOS]))
    with pytest.raises(InputError, match="no tokens"):
        decoder.admit(PlainSequence([], GREEDY, [EOS]))
    assert decoder.active == 0
    assert decoder.step() == []
