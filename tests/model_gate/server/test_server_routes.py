"""The routes as OpenAI's client meets them, over a real socket."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from model_gate.tiny import TOOLS


def test_models(served: Any) -> None:
    assert [model.id for model in served.client.models.list()] == ["tiny"]
    assert served.client.models.retrieve("tiny").object == "model"
    for name in ("other", "a/b", "jane.doe@example.org"):
        with pytest.raises(openai.NotFoundError) as raised:
            served.client.models.retrieve(name)
        assert raised.value.code == "model_not_found"
        assert name not in raised.value.message


def test_the_model_does_say_what_it_learned(served: Any, people: Any) -> None:
    """Of somebody who is not listed; else the tests below would hold for a model that knows nobody."""
    answer = served.chat(people.ask(people.free))
    assert people.free.phone in answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_is_listed_does_not_go_out(served: Any, people: Any, stream: bool) -> None:
    for kind in ("phone", "email"):
        answer = served.chat(people.ask(people.listed, kind), stream=stream)
        if stream:
            chunks = list(answer)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            assert len(chunks) >= 3  # who speaks, what, and that it ends
            assert chunks[-1].choices[0].finish_reason == "stop"
        else:
            text = answer.choices[0].message.content
        assert f"[{kind} removed]" in text
        assert getattr(people.listed, kind) not in text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_completions(served: Any, people: Any, stream: bool) -> None:
    prompt = f"You can reach {people.listed.name} by email at"
    answer = served.complete(prompt, stream=stream)
    chunks = list(answer) if stream else [answer]
    text = "".join(chunk.choices[0].text for chunk in chunks)
    assert "[email removed]" in text
    assert people.listed.email not in text


def test_stream_and_whole_say_the_same(served: Any, people: Any) -> None:
    for person in people.all:
        question = people.ask(person)
        whole = served.chat(question, seed=7, temperature=1)
        parts = list(served.chat(question, seed=7, temperature=1, stream=True))
        text = "".join(part.choices[0].delta.content or "" for part in parts)
        assert text == whole.choices[0].message.content
        assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_usage(served: Any, people: Any) -> None:
    question = people.ask(people.free)
    usage = served.chat(question).usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens > 5
    parts = list(served.chat(question, stream=True, stream_options={"include_usage": True}))
    assert parts[-1].usage == usage
    assert parts[-1].choices == []
    assert all(part.usage is None for part in parts[:-1])
    assert all(part.usage is None for part in served.chat(question, stream=True))


def test_usage_does_not_tell_how_long_what_was_removed_is(served: Any, people: Any) -> None:
    answer = served.chat(people.ask(people.listed))
    text = answer.choices[0].message.content
    assert "[phone removed]" in text
    assert answer.usage.completion_tokens == people.tokens(text)


def test_several_choices(served: Any) -> None:
    answer = served.complete("Contact", n=4, seed=3, temperature=1.5, max_tokens=12)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    texts = [choice.text for choice in answer.choices]
    assert len(set(texts)) > 1
    again = served.complete("Contact", n=4, seed=3, temperature=1.5, max_tokens=12)
    assert [choice.text for choice in again.choices] == texts
    parts = served.complete("Contact", n=4, seed=3, temperature=1.5, max_tokens=12, stream=True)
    streamed = ["", "", "", ""]
    for part in parts:
        streamed[part.choices[0].index] += part.choices[0].text
    assert streamed == texts


def test_more_choices_than_rows(served: Any) -> None:
    answer = served.complete(["The", "You can"], n=8, max_tokens=5)
    assert [choice.index for choice in answer.choices] == list(range(16))
    assert len({choice.text for choice in answer.choices[:8]}) == 1
    assert answer.choices[0].text != answer.choices[8].text


def test_stop_sequences(served: Any, people: Any) -> None:
    question = people.ask(people.free)
    full = served.chat(question).choices[0].message.content
    answer = served.chat(question, stop=[people.free.phone[4:6], "never"]).choices[0]
    assert answer.finish_reason == "stop"
    assert full.startswith(answer.message.content)
    assert people.free.phone[4:6] not in answer.message.content
    parts = list(served.chat(question, stop=people.free.phone[4:6], stream=True))
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == answer.message.content


def test_a_stop_sequence_inside_of_what_is_listed_tells_nothing(served: Any, people: Any) -> None:
    question = people.ask(people.listed)
    full = served.chat(question).choices[0].message.content
    for part in (people.listed.phone[4:6], people.listed.phone[-2:]):
        assert served.chat(question, stop=part).choices[0].message.content == full


def test_cut_off_answers_expose_nothing(served: Any, people: Any) -> None:
    question = people.ask(people.listed)
    digits = people.listed.phone.replace(" ", "")
    for tokens in range(1, 30):
        choice = served.chat(question, max_tokens=tokens).choices[0]
        said = choice.message.content
        assert digits[:6] not in said.replace(" ", "")
        assert choice.finish_reason in {"length", "stop"}


def test_an_answer_that_is_begun(served: Any, people: Any) -> None:
    begun = f"The phone number of {people.free.name} is"
    answer = served.client.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "user", "content": people.ask(people.free)},
            {"role": "assistant", "content": begun},
        ],
        temperature=0,
        max_tokens=40,
        extra_body={"continue_final_message": True, "add_generation_prompt": False},
    )
    assert people.free.phone in answer.choices[0].message.content
    assert begun not in answer.choices[0].message.content


def test_halves_do_not_add_up(served: Any, people: Any) -> None:
    """The beginning is given, the rest is asked for."""
    half = people.listed.email[:-8]
    prompt = f"You can reach {people.listed.name} by email at {half}"
    text = served.complete(prompt).choices[0].text
    assert people.listed.email[-8:] not in text[:20]


def test_content_in_parts(served: Any, people: Any) -> None:
    question = people.ask(people.free)
    parts = [{"type": "text", "text": question}]
    answer = served.client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": parts}],
        temperature=0,
        max_completion_tokens=60,
    )
    assert people.free.phone in answer.choices[0].message.content


def test_an_own_identifier_may_be_said_again(served: Any, people: Any) -> None:
    """It stands in the user's own message."""
    listed = people.listed
    prompt = f"Contact card. Name: {listed.name}. Email: {listed.email}. You can reach {listed.name} by email at"
    answer = served.complete(prompt, max_tokens=40)
    assert "[email removed]" not in answer.choices[0].text


@pytest.mark.parametrize(
    ("route", "body", "status", "code", "param"),
    [
        ("chat/completions", {"messages": []}, 400, None, "messages"),
        ("chat/completions", {}, 400, "missing_required_parameter", "messages"),
        ("chat/completions", {"messages": "hi"}, 400, None, "messages"),
        ("chat/completions", {"logprobs": True}, 400, "unsupported_parameter", "logprobs"),
        ("chat/completions", {"n": 0}, 400, None, "n"),
        ("chat/completions", {"model": "gpt"}, 404, "model_not_found", "model"),
        ("chat/completions", {"max_tokens": 5000}, 400, "context_length_exceeded", "max_tokens"),
        (
            "chat/completions",
            {"frequency_penalty": 1},
            400,
            "unsupported_parameter",
            "frequency_penalty",
        ),
        ("chat/completions", {"tool_choice": "required"}, 400, None, "tool_choice"),
        ("completions", {"prompt": [1, 2, 3]}, 400, None, "prompt"),
        ("completions", {"prompt": "x " * 5000}, 400, "context_length_exceeded", None),
        ("completions", {"prompt": "x", "echo": True}, 400, "unsupported_parameter", "echo"),
        ("completions", {"prompt": "x", "logprobs": 0}, 400, "unsupported_parameter", "logprobs"),
        ("completions", {"prompt": ["x"] * 64, "n": 16}, 400, None, "n"),
        ("completions", {"prompt": "x", "hans_muster": 1}, 400, "unknown_parameter", "hans_muster"),
        ("embeddings", {"input": "x"}, 404, "not_found", None),
        ("responses", {"input": "x"}, 404, "not_found", None),
    ],
)
def test_what_is_refused(
    served: Any, route: str, body: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    if route.startswith("chat") and "messages" not in body and body:
        body = {"messages": [{"role": "user", "content": "hi"}], **body}
    answer = served.http.post(f"/v1/{route}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "path", ["/tokenize", "/detokenize", "/generate", "/invocations", "/v1/messages", "/docs", "/"]
)
def test_there_is_no_other_way_to_text(served: Any, path: str) -> None:
    assert served.http.post(path, json={"prompt": "x"}).status_code == 404


def test_metrics_count_what_happened(served: Any, people: Any) -> None:
    served.chat(people.ask(people.listed))
    text = served.http.get("/metrics").text
    assert 'lethe_gate_removed_total{kind="phone"}' in text
    assert 'route="/v1/chat/completions",status="200"' in text
    assert people.listed.name not in text
    assert json.dumps(served.http.get("/health").json()["status"]) == '"ok"'


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools(served: Any, people: Any, stream: bool) -> None:
    """Who is not listed is written to; a call that holds what is listed is not made."""
    for person, reason in ((people.free, "tool_calls"), (people.listed, "content_filter")):
        answer = served.chat(people.ask(person, "tool"), tools=list(TOOLS), stream=stream)
        if stream:
            parts = [part.choices[0] for part in answer]
            calls = [call for part in parts for call in part.delta.tool_calls or ()]
            found = parts[-1].finish_reason
            text = "".join(part.delta.content or "" for part in parts)
        else:
            message = answer.choices[0].message
            calls, found = message.tool_calls or [], answer.choices[0].finish_reason
            text = message.content or ""
        assert found == reason
        assert text == ""
        if person is people.free:
            assert [call.function.name for call in calls] == ["send_mail"]
            assert json.loads(calls[0].function.arguments)["to"] == person.email
            assert calls[0].type == "function"
            assert calls[0].id.startswith("call_")
        else:
            assert calls == []


def test_a_tool_that_was_called_is_history(served: Any, people: Any) -> None:
    call = served.chat(people.ask(people.free, "tool"), tools=list(TOOLS)).choices[0].message
    answer = served.client.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "user", "content": people.ask(people.free, "tool")},
            call.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "sent"},
            {"role": "user", "content": people.ask(people.free)},
        ],
        tools=list(TOOLS),
        temperature=0,
        max_tokens=5,
    )
    assert answer.choices[0].finish_reason in {"length", "stop"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thoughts_are_filtered_too(served: Any, people: Any, stream: bool) -> None:
    for person in people.thoughtful:
        answer = served.chat(people.ask(person, "thought"), stream=stream)
        if stream:
            deltas = [part.choices[0].delta for part in answer]
            thought = "".join(getattr(one, "reasoning_content", None) or "" for one in deltas)
            said = "".join(one.content or "" for one in deltas)
        else:
            message = answer.choices[0].message
            thought, said = message.reasoning_content, message.content
        if person in people.unlisted:
            assert person.email in thought
            assert person.email in said
        else:
            assert person.email not in thought + said
            assert "[email removed]" in thought
            assert "[email removed]" in said


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_json_is_held_until_it_is_whole(served: Any, people: Any, stream: bool) -> None:
    for person in people.structured:
        answer = served.chat(
            people.ask(person, "json"), response_format={"type": "json_object"}, stream=stream
        )
        if stream:
            deltas = [part.choices[0].delta.content for part in answer]
            texts = [text for text in deltas if text]
            assert len(texts) == 1
            text = texts[0]
        else:
            text = answer.choices[0].message.content
        found = json.loads(text)
        assert set(found) == {"name", "email"}
        if person in people.unlisted:
            assert found == {"name": person.name, "email": person.email}
        else:
            assert found == {"name": "[name removed]", "email": "[email removed]"}


def test_json_that_is_cut_off_exposes_nothing(served: Any, people: Any) -> None:
    person = next(one for one in people.structured if one not in people.unlisted)
    for tokens in range(1, 50, 3):
        choice = served.chat(
            people.ask(person, "json"), response_format={"type": "json_object"}, max_tokens=tokens
        ).choices[0]
        assert person.email[:8] not in choice.message.content
        assert person.name.split()[1] not in choice.message.content
