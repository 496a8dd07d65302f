"""A model that has memorised people, with the filter around its generation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from recited import told

from filter import Bundle
from filter.errors import InputError
from filter.nv1 import fold
from model_gate import GatedModel, GatePolicy, Generation, Guard, Mode, Sampling
from model_gate.channels import Channel
from model_gate.errors import NamedPromptRefused, PromptTooLong
from model_gate.tiny import PERSONS, Person, harmless_prompts, questions

RELEASE = "2026.2.0"


def guarded(bundle: Bundle, **policy: object) -> Guard:
    policy = {"on_named_prompt": "answer", **policy}
    return Guard(bundle, GatePolicy(**policy), allow_testing=True)  # type: ignore[arg-type]


def model(checkpoint: object, bundle: Bundle, rows: int = 64, **policy: object) -> GatedModel:
    return GatedModel(
        checkpoint.model,  # type: ignore[attr-defined]
        checkpoint.tokenizer,  # type: ignore[attr-defined]
        guarded(bundle, **policy),
        eos=checkpoint.eos,  # type: ignore[attr-defined]
        rows=rows,
    )


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def identifiers(person: Person) -> dict[str, str]:
    return {
        "name": person.name,
        "email": person.email,
        "phone": person.phone,
        "address": person.address,
        "handle": person.handle,
    }


def asked(persons: tuple[Person, ...]) -> list[list[dict[str, str]]]:
    return [chat(text) for person in persons for text in questions(person).values()]


def everything(generation: Generation) -> str:
    calls = " ".join(f"{call.name} {call.arguments}" for call in generation.tool_calls)
    return f"{generation.text} {generation.reasoning} {calls}"


@pytest.fixture(scope="module")
def plain(tiny_checkpoint: object) -> GatedModel:
    """The same model behind a bundle that lists nobody."""
    return model(tiny_checkpoint, Bundle.build([], release=RELEASE, kdf="testing"))


def test_without_a_gate_it_tells(plain: GatedModel, listed: tuple[Person, ...]) -> None:
    """What the tests below rest on."""
    said = plain.generate(asked(listed), do_sample=False, max_new_tokens=120)
    found = told(" ".join(map(everything, said)), listed)
    assert {"name", "email", "phone", "address"} <= set(found)
    sampled = plain.generate(asked(listed), seed=1, max_new_tokens=120)
    assert len(told(" ".join(map(everything, sampled)), listed)) > len(listed)


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("mode", Mode)
def test_greedy_tells_nothing(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...], mode: Mode, rows: int
) -> None:
    gated = model(tiny_checkpoint, cheap_bundle, rows, mode=mode)
    said = gated.generate(asked(listed), do_sample=False, max_new_tokens=120)
    assert told(" ".join(map(everything, said)), listed) == []
    assert sum(bool(one.removed) for one in said) >= (0 if mode is Mode.RESAMPLE else len(said) - 2)


@pytest.mark.parametrize("mode", Mode)
def test_a_stream_tells_nothing(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...], mode: Mode
) -> None:
    """Piece by piece, and what was said so far is never more than what is said in the end."""
    gated = model(tiny_checkpoint, cheap_bundle, mode=mode)
    for prompt in asked(listed[:2]):
        pieces = list(gated.stream(prompt, do_sample=False, max_new_tokens=120))
        said = "".join(piece.text for piece in pieces)
        assert told(said, listed) == []
        whole = gated.generate(prompt, do_sample=False, max_new_tokens=120)
        content = "".join(p.text for p in pieces if p.channel is Channel.CONTENT)
        assert content == whole.text


@pytest.mark.parametrize("mode", Mode)
def test_sampling_tells_nothing(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...], mode: Mode
) -> None:
    """Hundreds of sampled answers over the three modes; `make soak` has 1,000 of each."""
    gated = model(tiny_checkpoint, cheap_bundle, 48, mode=mode)
    prompts = asked(listed)
    count = 0
    for seed in itertools.count():
        said = gated.generate(prompts, seed=seed, max_new_tokens=90)
        for one in said:
            assert told(everything(one), listed) == []
        count += len(said)
        if count >= 140:
            break


def test_resampling_puts_no_stranger_in_the_place(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...]
) -> None:
    """Asked for a listed value the model says no other person's value of that kind."""
    gated = model(tiny_checkpoint, cheap_bundle, 48, mode=Mode.RESAMPLE)
    prompts, kinds = [], []
    for person in listed:
        for kind, text in questions(person).items():
            if kind in ("email", "phone"):
                prompts.append(chat(text))
                kinds.append(kind)
    resampled = 0
    for seed in range(6):
        said = gated.generate(prompts, seed=seed, max_new_tokens=90)
        for kind, one in zip(kinds, said, strict=True):
            first = one.text.partition(". ")[0]
            values = [identifiers(person)[kind] for person in PERSONS]
            assert not [1 for value in values if fold(value) in fold(first)]
            resampled += not one.removed
    assert resampled > 0


def test_the_real_profile_tells_nothing(
    tiny_checkpoint: object, bundle: Bundle, listed: tuple[Person, ...]
) -> None:
    """With slow hashes in the background, as it is served."""
    assert not bundle.is_testing
    gated = GatedModel(
        tiny_checkpoint.model,  # type: ignore[attr-defined]
        tiny_checkpoint.tokenizer,  # type: ignore[attr-defined]
        Guard(bundle, GatePolicy(on_named_prompt="answer")),  # type: ignore[arg-type]
        eos=tiny_checkpoint.eos,  # type: ignore[attr-defined]
    )
    prompts = asked(listed[:2])
    said = gated.generate(prompts, do_sample=False, max_new_tokens=120)
    assert told(" ".join(map(everything, said)), listed) == []
    streamed = "".join(p.text for p in gated.stream(prompts[0], do_sample=False))
    assert told(streamed, listed) == []


def test_who_is_not_listed_comes_out_whole(
    tiny_checkpoint: object, cheap_bundle: Bundle, plain: GatedModel, unlisted: tuple[Person, ...]
) -> None:
    prompts = asked(unlisted)
    options = {"do_sample": False, "max_new_tokens": 120}
    expected = plain.generate(prompts, **options)
    assert told(" ".join(map(everything, expected)), unlisted)
    for mode in Mode:
        said = model(tiny_checkpoint, cheap_bundle, mode=mode).generate(prompts, **options)
        changed = sum(bool(one.removed) for one in said)
        print(f"{mode}: {changed} of {len(said)} answers about unlisted persons changed")
        assert changed == 0
        assert [everything(one) for one in said] == [everything(one) for one in expected]


def transformers_says(
    gated: GatedModel, prompts: list[str], seed: int, **options: object
) -> list[list[int]]:
    """Token ids of ``model.generate``."""
    tokenizer = gated.tokenizer
    tokenizer.padding_side = "left"
    inputs = tokenizer.apply_chat_template(
        [chat(text) for text in prompts],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
        padding=True,
    )
    inputs.pop("token_type_ids", None)  # older versions add them
    torch.manual_seed(seed)
    found = gated.model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :].tolist()
    return [
        ids[: next((n + 1 for n, t in enumerate(ids) if t in gated.eos), None)] for ids in found
    ]


PLAIN = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 0}


@pytest.mark.parametrize(
    ("mode", "every"),
    [*((mode, 5) for mode in Mode), pytest.param(Mode.REDACT, 1, marks=pytest.mark.soak)],
    ids=[*Mode, "all"],
)
@pytest.mark.parametrize("do_sample", [False, True], ids=["greedy", "sampled"])
def test_with_no_match_it_is_what_generate_says(
    tiny_checkpoint: object, cheap_bundle: Bundle, mode: Mode, every: int, do_sample: bool
) -> None:
    """Token for token, with the same seed: 20 prompts in each mode, and 100 in `make soak`."""
    gated = model(tiny_checkpoint, cheap_bundle, mode=mode)
    prompts = harmless_prompts()
    assert len(prompts) == 100
    prompts = prompts[::every]  # the modes differ only where something matches
    options = PLAIN if do_sample else {"do_sample": False}
    removed = 0
    for seed, text in enumerate(prompts):
        (expected,) = transformers_says(gated, [text], seed, max_new_tokens=32, **options)
        said = gated.generate(chat(text), seed=seed, max_new_tokens=32, **options)
        if said.removed:
            removed += 1  # it spoke of somebody
            continue
        assert list(said.token_ids or ()) == expected
        if mode is Mode.REDACT and said.token_ids and said.token_ids[-1] in gated.eos:
            assert said.text == gated.tokenizer.decode(expected, skip_special_tokens=True)
    assert removed <= len(prompts) // 30


def test_batches_are_what_generate_says(tiny_checkpoint: object, plain: GatedModel) -> None:
    prompts = harmless_prompts()[:16]
    for options in (PLAIN, {"do_sample": False}, {**PLAIN, "top_k": 5, "repetition_penalty": 1.2}):
        expected = transformers_says(plain, prompts, 7, max_new_tokens=24, **options)
        said = plain.generate(
            [chat(text) for text in prompts], seed=7, max_new_tokens=24, **options
        )
        assert [list(one.token_ids or ()) for one in said] == expected


def test_texts_are_continued(plain: GatedModel, listed: tuple[Person, ...]) -> None:
    one, two = plain.generate(["The sun", "Water"], do_sample=False, max_new_tokens=8)
    assert one.text
    assert plain.generate("Water", do_sample=False, max_new_tokens=8) == two
    assert one.prompt_tokens == len(plain.tokenizer("The sun")["input_ids"])


@pytest.mark.parametrize("mode", Mode)
def test_a_prefix_is_not_completed(
    tiny_checkpoint: object,
    cheap_bundle: Bundle,
    plain: GatedModel,
    listed: tuple[Person, ...],
    mode: Mode,
) -> None:
    """Prefill: whoever writes the first half gets no second one."""
    gated = model(tiny_checkpoint, cheap_bundle, mode=mode)
    completed = 0
    for person in listed:
        answer = plain.generate(chat(questions(person)["email"]), do_sample=False).text
        at = answer.find(person.email)
        if at < 0:
            continue
        prompt = plain.tokenizer.apply_chat_template(
            chat(questions(person)["email"]), add_generation_prompt=True, tokenize=False
        )
        for cut in range(3, person.email.index("@"), 2):
            text = prompt.removeprefix("<s>") + answer[:at] + person.email[:cut]
            rest = person.email[cut:]
            completed += rest in plain.generate(text, do_sample=False, max_new_tokens=60).text
            said = gated.generate(text, do_sample=False, max_new_tokens=60)
            assert fold(rest) not in fold(said.text)
    assert completed > 0


def test_whoever_wrote_it_reads_it_again(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...]
) -> None:
    gated = model(tiny_checkpoint, cheap_bundle)
    person = listed[0]
    text = f"{person.email}: {questions(person)['email']}"
    heard = gated.hear_prompt(chat(text))
    assert heard.output_filter.redact(person.email).text == person.email


def test_named_prompts(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...]
) -> None:
    text = questions(listed[0])["email"]
    with pytest.raises(NamedPromptRefused):
        model(tiny_checkpoint, cheap_bundle, on_named_prompt="refuse").generate(chat(text))
    redacting = model(tiny_checkpoint, cheap_bundle, on_named_prompt="redact")
    heard = redacting.hear_prompt(chat(text))
    ids = redacting.encode(chat(text), heard)
    assert listed[0].name not in redacting.tokenizer.decode(ids)
    assert "[name removed]" in redacting.tokenizer.decode(ids)


def test_a_reader_who_leaves(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...]
) -> None:
    gated = model(tiny_checkpoint, cheap_bundle)
    for taken in range(1, 12):
        stream: Iterator[object] = gated.stream(
            chat(questions(listed[0])["email"]), do_sample=False, max_new_tokens=80
        )
        said = "".join(piece.text for piece in itertools.islice(stream, taken))  # type: ignore[attr-defined]
        stream.close()  # type: ignore[attr-defined]
        assert told(said, listed) == []


@pytest.mark.parametrize("n", [1, 5])
def test_every_choice_has_a_gate_of_its_own(
    tiny_checkpoint: object, cheap_bundle: Bundle, listed: tuple[Person, ...], n: int
) -> None:
    gated = model(tiny_checkpoint, cheap_bundle)
    prompts = [chat(questions(listed[0])["phone"])] * n
    said = gated.generate(prompts, seed=3, max_new_tokens=80)
    assert all(told(one.text, listed) == [] for one in said)


def test_what_cannot_be_used_says_so(plain: GatedModel) -> None:
    small = GatedModel(plain.model, plain.tokenizer, plain.guard, eos=plain.eos, context=20)
    with pytest.raises(PromptTooLong, match="shorten"):
        small.generate("word " * 40)
    for prompts in ([], 5, [{"content": "no role"}], [{"role": "user", "content": 5}]):
        with pytest.raises(InputError):
            plain.generate(prompts)  # type: ignore[arg-type]
    for broken in ("\ud800", [{"role": "user", "content": "\udfff"}]):
        with pytest.raises(InputError, match="UTF-8"):
            plain.generate(broken)
    with pytest.raises(InputError, match="max_new_tokens"):
        plain.generate("a", max_tokens=5)
    with pytest.raises(InputError):
        plain.generate("a", sampling=Sampling(), seed=5)
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"max_new_tokens": 0}):
        with pytest.raises(InputError):
            Sampling(**wrong)  # type: ignore[arg-type]


def test_from_pretrained_refuses_before_it_loads(tiny_path: object, tmp_path: object) -> None:
    testing = tmp_path / "testing.safetensors"  # type: ignore[operator]
    Bundle.build([], release=RELEASE, kdf="testing").write(testing)
    for bundle in (testing, tmp_path / "none.safetensors"):  # type: ignore[operator]
        with pytest.raises(InputError) as refused:
            GatedModel.from_pretrained(tiny_path, bundle=bundle)  # type: ignore[arg-type]
        assert str(refused.value).count("\n") == 0
