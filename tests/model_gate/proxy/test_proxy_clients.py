"""OpenAI's own client before the proxy, the server of a small model that knows people behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import torch
from gate_server import CONTEXT, serving

from filter import Bundle
from model_gate.guard import Guard
from model_gate.model import GatedModel
from model_gate.policy import GatePolicy, NamedPrompt
from model_gate.proxy import Proxy
from model_gate.proxy.upstream import Upstream
from model_gate.tiny import TOOLS, questions
from model_gate.web import running

POLICY = GatePolicy(on_named_prompt=NamedPrompt.ANSWER, named_prompts_per_hour=10**6)


class Chain:
    """The engine alone, the proxy before it, and the proxy before one that filters itself."""

    def __init__(self, direct: openai.OpenAI, proxied: openai.OpenAI, twice: openai.OpenAI) -> None:
        self.direct = direct
        self.proxied = proxied
        self.twice = twice


@pytest.fixture(scope="module")
def chain(tiny_path: Any, cheap_bundle: Bundle) -> Iterator[Chain]:
    torch.set_num_threads(1)
    nobody = Bundle.build([], release="2026.2.0", kdf="testing")
    ungated = Guard(nobody, POLICY, allow_testing=True)
    guard = Guard(cheap_bundle, POLICY, allow_testing=True)
    model = GatedModel.from_pretrained(
        tiny_path, bundle=ungated, device="cpu", rows=8, context=CONTEXT
    )
    gated = GatedModel(model.model, model.tokenizer, guard, eos=model.eos, rows=8, context=CONTEXT)
    with (
        serving(model, queue=32) as engine,
        serving(gated, queue=32) as filtering,
        running.running(Proxy(Upstream(engine.url), guard).app, guard=guard) as one,
        running.running(Proxy(Upstream(filtering.url), guard).app, guard=guard) as two,
        openai.OpenAI(base_url=f"{one}/v1", api_key="none", max_retries=0) as proxied,
        openai.OpenAI(base_url=f"{two}/v1", api_key="none", max_retries=0) as twice,
    ):
        yield Chain(engine.client, proxied, twice)


@pytest.fixture(scope="module")
def people(listed: Any, unlisted: Any) -> list[tuple[Any, bool]]:
    """Somebody, and whether the bundle lists them."""
    return [*((one, True) for one in listed[:2]), *((one, False) for one in unlisted[:2])]


def secrets(person: Any) -> tuple[str, ...]:
    return person.name, person.email, person.phone, person.address


def chat(client: openai.OpenAI, text: str, *, stream: bool = False, **options: Any) -> Any:
    """What is said (content, and thoughts), and why it ended."""
    found: Any = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": text}],
        stream=stream,
        **{"temperature": 0, "max_tokens": 80, **options},
    )
    if not stream:
        message = found.choices[0].message
        thoughts = getattr(message, "reasoning_content", None) or ""
        return message.content or "", thoughts, found.choices[0].finish_reason
    content = thoughts = ""
    reason = None
    for chunk in found:
        if chunk.choices:
            delta = chunk.choices[0].delta
            content += delta.content or ""
            thoughts += getattr(delta, "reasoning_content", None) or ""
            reason = chunk.choices[0].finish_reason or reason
    return content, thoughts, reason


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_chat(chain: Chain, people: Any, stream: bool) -> None:
    told = 0
    for person, is_listed in people:
        for kind, question in questions(person).items():
            if kind == "tool":
                continue
            direct = chat(chain.direct, question, stream=stream)
            proxied = chat(chain.proxied, question, stream=stream)
            if not is_listed:
                assert proxied == direct
                continue
            told += any(value in "".join(direct[:2]) for value in secrets(person))
            assert not any(value in "".join(proxied[:2]) for value in secrets(person))
            assert "removed]" in "".join(proxied[:2])
    assert told >= 6, "the model itself tells"


def test_double_protection_changes_nothing(chain: Chain, people: Any) -> None:
    for person, _ in people:
        for kind in ("phone", "email"):
            question = questions(person)[kind]
            once = chat(chain.proxied, question, stream=True)
            assert chat(chain.twice, question, stream=True) == once
            assert chat(chain.twice, question) == once


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_completions(chain: Chain, people: Any, stream: bool) -> None:
    def said(client: openai.OpenAI, prompt: str) -> str:
        found: Any = client.completions.create(
            model="tiny", prompt=prompt, temperature=0, max_tokens=50, stream=stream
        )
        return "".join(c.choices[0].text for c in (found if stream else [found]) if c.choices)

    for person, is_listed in people:
        prompt = f"You can reach {person.name} by email at"
        direct, proxied = said(chain.direct, prompt), said(chain.proxied, prompt)
        assert person.email in direct
        if is_listed:
            assert person.email not in proxied
            assert "[email removed]" in proxied
        else:
            assert proxied == direct


def test_several_choices_and_usage(chain: Chain, people: Any) -> None:
    for person, is_listed in people[1:3]:
        question = [{"role": "user", "content": questions(person)["phone"]}]
        options: Any = {"model": "tiny", "messages": question, "temperature": 0, "n": 3}
        direct = chain.direct.chat.completions.create(**options)
        found = chain.proxied.chat.completions.create(**options)
        assert [choice.index for choice in found.choices] == [0, 1, 2]
        assert len({choice.message.content for choice in found.choices}) == 1
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
        assert is_listed or found.usage == direct.usage
        assert found.usage.completion_tokens <= direct.usage.completion_tokens
        asking = {"stream": True, "stream_options": {"include_usage": True}}
        parts = list(chain.proxied.chat.completions.create(**options, **asking))
        assert parts[-1].usage == found.usage
        assert parts[-1].choices == []
        texts = ["", "", ""]
        for part in parts[:-1]:
            assert part.usage is None
            texts[part.choices[0].index] += part.choices[0].delta.content or ""
        assert texts == [choice.message.content for choice in found.choices]


def test_stop_sequences(chain: Chain, people: Any) -> None:
    person = people[-1][0]
    question = questions(person)["phone"]
    stop = [person.phone[4:6], "never"]
    for stream in (False, True):
        direct = chat(chain.direct, question, stop=stop)
        assert chat(chain.proxied, question, stop=stop, stream=stream) == direct
        assert direct[2] == "stop"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools(chain: Chain, listed: Any, unlisted: Any, stream: bool) -> None:
    for person in (*listed, *unlisted):
        if "tool" not in questions(person):
            continue
        asked: Any = {"model": "tiny", "temperature": 0, "tools": TOOLS}
        asked["messages"] = [{"role": "user", "content": questions(person)["tool"]}]
        if stream and person in listed:
            with chain.proxied.chat.completions.stream(**asked) as events:
                assert person.email not in "".join(str(event) for event in events)
                with pytest.raises(openai.ContentFilterFinishReasonError):
                    events.get_final_completion()
            continue
        if stream:
            with chain.proxied.chat.completions.stream(**asked) as events:
                choice: Any = events.get_final_completion().choices[0]
        else:
            choice = chain.proxied.chat.completions.create(**asked).choices[0]
        assert choice.finish_reason == ("content_filter" if person in listed else "tool_calls")
        calls = choice.message.tool_calls or []
        assert [json.loads(call.function.arguments)["to"] for call in calls] == (
            [] if person in listed else [person.email]
        )


def test_structured_output(chain: Chain, listed: Any, unlisted: Any) -> None:
    for person in (*listed, *unlisted):
        if "json" not in questions(person):
            continue
        for stream in (False, True):
            question, form = questions(person)["json"], {"type": "json_object"}
            said, _, reason = chat(chain.proxied, question, stream=stream, response_format=form)
            found = json.loads(said)
            assert reason == "stop"
            assert found["email"] == ("[email removed]" if person in listed else person.email)


def test_responses(chain: Chain, people: Any) -> None:
    """Read by the client's own models, piece by piece and whole."""
    for person, is_listed in people:
        for kind in ("phone", "email"):
            asked: Any = {"model": "tiny", "input": questions(person)[kind], "temperature": 0}
            expected, thoughts, _ = chat(chain.proxied, questions(person)[kind])
            whole = chain.proxied.responses.create(**asked, max_output_tokens=80)
            assert whole.output_text == expected
            assert whole.status == "completed"
            assert whole.usage.total_tokens > 0
            with chain.proxied.responses.stream(**asked, max_output_tokens=80) as stream:
                kinds = [event.type for event in stream]
                final = stream.get_final_response()
            assert kinds[0] == "response.created"
            assert kinds[-1] == "response.completed"
            assert final.output_text == expected
            assert (getattr(person, kind) in expected) == (not is_listed)
            assert not thoughts or final.output[0].type == "reasoning"
    cut = chain.proxied.responses.create(model="tiny", input="Hello!", max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_responses_with_a_call(chain: Chain, listed: Any, unlisted: Any) -> None:
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
    for person in (*listed, *unlisted):
        if "tool" not in questions(person):
            continue
        asked: Any = {"model": "tiny", "input": questions(person)["tool"], "tools": tools}
        with chain.proxied.responses.stream(**asked, temperature=0) as stream:
            final = None
            for event in stream:
                final = getattr(event, "response", final)
        calls = [item for item in final.output if item.type == "function_call"]
        assert [json.loads(call.arguments)["to"] for call in calls] == (
            [] if person in listed else [person.email]
        )


def test_the_asynchronous_client(chain: Chain, people: Any) -> None:
    """Many at once, on every route."""

    async def one(client: openai.AsyncOpenAI, question: str) -> list[str]:
        messages: Any = [{"role": "user", "content": question}]
        asked: Any = {"model": "tiny", "temperature": 0}
        stream = await client.chat.completions.create(
            **asked, messages=messages, max_tokens=80, stream=True
        )
        said = ["".join([part.choices[0].delta.content or "" async for part in stream])]
        async with client.responses.stream(**asked, input=question, max_output_tokens=80) as events:
            said.append((await events.get_final_response()).output_text)
        whole = await client.chat.completions.create(**asked, messages=messages, max_tokens=80)
        return [*said, whole.choices[0].message.content or ""]

    async def every() -> list[list[str]]:
        async with openai.AsyncOpenAI(
            base_url=str(chain.proxied.base_url), api_key="none", max_retries=0
        ) as client:
            return await asyncio.gather(
                *(one(client, questions(person)["phone"]) for person, _ in people)
            )

    for said, (person, is_listed) in zip(asyncio.run(every()), people, strict=True):
        assert len(set(said)) == 1
        assert (person.phone in said[0]) == (not is_listed)
        assert ("[phone removed]" in said[0]) == is_listed


def test_errors_are_the_clients_own(chain: Chain) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        chain.proxied.completions.create(model="other", prompt="x")
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        chain.proxied.completions.create(model="tiny", prompt="x", logprobs=2)
    assert refused.value.param == "logprobs"
    with pytest.raises(openai.BadRequestError):
        chain.proxied.completions.create(model="tiny", prompt="word " * 3000)
    assert [model.id for model in chain.proxied.models.list()] == ["tiny"]
