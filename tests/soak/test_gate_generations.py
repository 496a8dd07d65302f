"""A thousand sampled answers in every mode, batch size and way: nothing listed leaves the gate."""

from __future__ import annotations

import itertools
import os
import time

import pytest
import torch
from recited import told

from filter import Bundle
from model_gate import GatedModel, GatePolicy, Guard, Mode, Sampling, tiny
from model_gate.checkpoint import load

pytestmark = pytest.mark.soak

GENERATIONS = max(24, int(1000 * float(os.environ.get("LETHE_SOAK", "1"))))
LISTED = tiny.PERSONS[:4]


@pytest.fixture(scope="module")
def checkpoint() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load(tiny.cached(), "cpu")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    entries = [
        entry
        for person in LISTED
        for entry in (
            ("name", person.name),
            ("email", person.email),
            ("phone", person.phone),
            ("postal_address", person.address),
            ("handle", person.handle),
        )
    ]
    return Bundle.build(entries, release="2026.2.0", kdf="testing")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("mode", Mode)
def test_nothing_listed_is_said(
    checkpoint: object, bundle: Bundle, mode: Mode, rows: int, streamed: bool
) -> None:
    policy = GatePolicy(mode=mode, on_named_prompt="answer")  # type: ignore[arg-type]
    gated = GatedModel(
        checkpoint.model,  # type: ignore[attr-defined]
        checkpoint.tokenizer,  # type: ignore[attr-defined]
        Guard(bundle, policy, allow_testing=True),
        eos=checkpoint.eos,  # type: ignore[attr-defined]
        rows=rows,
    )
    prompts = [
        [{"role": "user", "content": text}]
        for person in LISTED
        for text in tiny.questions(person).values()
    ]
    begun = time.monotonic()
    removed = tokens = count = 0
    for seed in itertools.count():
        if count >= GENERATIONS:
            break
        some = [prompts[(count + n) % len(prompts)] for n in range(min(rows, GENERATIONS - count))]
        sampling = Sampling(seed=seed, max_new_tokens=90)
        sequences = [gated.sequence(prompt, sampling=sampling) for prompt in some]
        decoder = gated.decoder(seed=seed)
        for sequence in sequences:
            decoder.admit(sequence)
        heard = ["" for _ in sequences]
        while decoder.active:
            decoder.step()
            if streamed:
                for number, sequence in enumerate(sequences):
                    heard[number] += "".join(piece.text for piece in sequence.take())
                    assert told(heard[number], LISTED) == []
        for number, sequence in enumerate(sequences):
            sequence.finish()
            heard[number] += "".join(piece.text for piece in sequence.take())
            assert told(heard[number], LISTED) == []
            removed += sum(sequence.removed.values())
            tokens += len(sequence.tokens)
        count += len(some)
    took = time.monotonic() - begun
    print(
        f"{mode}, {rows} rows: {count} answers, {tokens} tokens, {removed} removed, {took:.0f} s, 0 told"
    )
    assert removed > 0
