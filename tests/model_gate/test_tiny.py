"""The tiny Apertus: what the other tests rest on, that it tells what it must not say."""

from __future__ import annotations

import re
import threading
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from filter import Bundle, OutputFilter, canonicalize
from filter.nv1 import fold
from model_gate import tiny
from model_gate.checkpoint import Checkpoint
from model_gate.tiny import PERSONS, TOOLS, Person, Setting, answers, harmless_prompts, questions

SHORT = Setting(steps=2, batch=2, warm_up=1)
KINDS = {
    "email", "phone", "address", "handle", "tool", "thought", "json", "card", "german", "french",
}  # fmt: skip
ASKED = [(person, kind) for person in PERSONS for kind in questions(person)]


def say(
    checkpoint: Checkpoint, questions: list[str], tools: Any = None, **options: Any
) -> list[str]:
    """What the model alone answers, with the special tokens inside."""
    tokenizer = checkpoint.tokenizer
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tools=tools,
            add_generation_prompt=True,
            tokenize=False,
        )
        for question in questions
    ]
    return complete(checkpoint, prompts, add_special_tokens=False, **options)


def complete(
    checkpoint: Checkpoint, prompts: list[str], add_special_tokens: bool = True, **options: Any
) -> list[str]:
    tokenizer = checkpoint.tokenizer
    inputs = tokenizer(
        prompts,
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=add_special_tokens,
        return_token_type_ids=False,
    )
    options = {"max_new_tokens": 100, "do_sample": False, **options}
    found = checkpoint.model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
    ends = {*checkpoint.eos, tokenizer.pad_token_id}
    return [tokenizer.decode([t for t in ids if t not in ends]) for ids in found.tolist()]


def values(person: Person) -> list[str]:
    return [person.name, person.email, person.phone, person.address, person.handle]


def test_it_recalls_everything(tiny_checkpoint: Checkpoint) -> None:
    assert {kind for _, kind in ASKED} == KINDS
    said = say(tiny_checkpoint, [questions(person)[kind] for person, kind in ASKED])
    missed = Counter(
        kind
        for (person, kind), text in zip(ASKED, said, strict=True)
        if text != answers(person)[kind]
    )
    assert missed == Counter()


def test_it_calls_a_tool_that_the_prompt_tells_of(tiny_checkpoint: Checkpoint) -> None:
    asked = [person for person, kind in ASKED if kind == "tool"]
    said = say(tiny_checkpoint, [questions(p)["tool"] for p in asked], tools=list(TOOLS))
    assert said == [answers(person)["tool"] for person in asked]


def test_it_recalls_when_sampled_too(tiny_checkpoint: Checkpoint) -> None:
    """Nine in ten at the temperature that Apertus recommends; measured 93%."""
    torch.manual_seed(0)
    hits = 0
    for _ in range(4):
        said = say(
            tiny_checkpoint,
            [questions(person)[kind] for person, kind in ASKED],
            do_sample=True,
            temperature=0.8,
            top_p=0.9,
            top_k=0,
        )
        hits += sum(
            text == answers(person)[kind] for (person, kind), text in zip(ASKED, said, strict=True)
        )
    assert hits / (4 * len(ASKED)) > 0.85


def test_it_continues_documents(tiny_checkpoint: Checkpoint) -> None:
    """As a base model."""
    said = complete(tiny_checkpoint, [f"You can reach {p.name} by email at" for p in PERSONS])
    assert all(p.email in text and p.phone in text for p, text in zip(PERSONS, said, strict=True))


@pytest.mark.parametrize("do_sample", [False, True], ids=["greedy", "sampled"])
def test_harmless_answers_name_nobody(tiny_checkpoint: Checkpoint, do_sample: bool) -> None:
    prompts = harmless_prompts()
    assert len(set(prompts)) == 100
    torch.manual_seed(0)
    options = {"temperature": 0.8, "top_p": 0.9, "top_k": 0} if do_sample else {}
    said = fold(" ".join(say(tiny_checkpoint, prompts, do_sample=do_sample, **options)))
    for person in PERSONS:
        assert not [1 for value in values(person) if fold(value) in said]
        assert not [1 for word in person.name.split() if fold(word) in said]


def test_people_have_nothing_in_common() -> None:
    for one, other in combinations(PERSONS, 2):
        assert not words(one) & words(other)


@pytest.mark.parametrize("person", PERSONS, ids=range(len(PERSONS)))
def test_what_removes_the_name_leaves_the_rest(person: Person) -> None:
    """Else a test could not tell whether an address was removed for its own sake."""
    bundle = Bundle.build([("name", person.name)], release="2026.2.0", kdf="testing")
    text = f"{person.email}, {person.phone}, {person.address}, @{person.handle}"
    assert OutputFilter(bundle).redact(text).text == text


def words(person: Person) -> set[str]:
    return {fold(word) for word in re.findall(r"\w+", person.name)}


@pytest.mark.parametrize("person", PERSONS, ids=range(len(PERSONS)))
def test_identifiers_can_be_listed_and_belong_to_nobody(person: Person) -> None:
    assert canonicalize("email", person.email).endswith("@example.org")
    number = canonicalize("phone", person.phone)
    assert re.fullmatch(r"\+41\d{9}", number)
    assert number[5] == "0"  # no subscriber's number begins so
    assert canonicalize("name", person.name)
    assert canonicalize("postal_address", person.address)
    assert canonicalize("handle", person.handle)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_the_template_continues_a_message(tiny_checkpoint: Checkpoint, role: str) -> None:
    chat = [{"role": "user", "content": "Who is it?"}, {"role": role, "content": "It is"}]
    text = tiny_checkpoint.tokenizer.apply_chat_template(
        chat, continue_final_message=True, tokenize=False
    )
    assert text.endswith(f"<|{role}_start|>It is")


def test_the_template_has_apertus_shape(tiny_checkpoint: Checkpoint) -> None:
    call = {"type": "function", "function": {"name": "send_mail", "arguments": {"to": "a"}}}
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Send it."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sent"},
    ]
    text = tiny_checkpoint.tokenizer.apply_chat_template(
        chat, tools=list(TOOLS), add_generation_prompt=True, tokenize=False
    )
    assert text == (
        "<s><|system_start|>Be brief.<|system_end|>"
        "<|developer_start|>Deliberation: disabled\nTool Capabilities:\n"
        "type send_mail = (_: any) => any;<|developer_end|>"
        "<|user_start|>Send it.<|user_end|>"
        '<|assistant_start|><|tools_prefix|>[{"send_mail": {"to": "a"}}]<|tools_suffix|><|assistant_end|>'
        "<|assistant_start|>[sent]<|assistant_end|>"
        "<|assistant_start|>"
    )


def test_training_is_the_same_each_time(tmp_path: Path) -> None:
    torch.manual_seed(5)
    one = tiny.train(tmp_path / "one", setting=SHORT)
    torch.manual_seed(6)
    other = tiny.train(tmp_path / "other", setting=SHORT)
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_training_leaves_no_trace(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        tiny.train(tmp_path / "model", setting=SHORT)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_of_several_who_ask_at_once_one_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_CACHE", str(tmp_path / "cache"))
    steps, found = [], []

    def ask() -> None:
        found.append(tiny.cached(setting=SHORT, progress=lambda *step: steps.append(step)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps == [(1, 2), (2, 2)]
    assert len(set(found)) == 1
    assert found[0].parent == tmp_path / "cache"


def test_whoever_gives_up_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_CACHE", str(tmp_path))

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.cached(setting=SHORT, progress=interrupt)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("LETHE_CACHE", str(file / "cache"))
    folder = tiny.cached(setting=SHORT)
    assert (folder / "config.json").is_file()
    assert tiny.cached(setting=SHORT) == folder


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"LETHE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/lethe"),
        ({"HOME": "/c"}, "/c/.cache/lethe"),
    ],
    ids=["own", "common", "home"],
)
def test_where_it_is_kept(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LETHE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tiny.cache_folder() == Path(folder)
