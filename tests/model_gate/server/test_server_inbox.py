"""Between the engine and the readers: order, ends, errors, and readers who do not read."""

from __future__ import annotations

import asyncio
import json

import pytest

from model_gate.channels import Channel
from model_gate.sequence import Piece
from model_gate.server import inbox as inboxes
from model_gate.server.inbox import Ended, Inbox, Said
from model_gate.web.answers import Chat, ChoiceText, Completion, Usage
from model_gate.web.problems import ApiError


def said(choice: int, text: str) -> Said:
    return Said(choice, [Piece(Channel.CONTENT, text)])


def test_everything_comes_in_order_up_to_the_last_end() -> None:
    async def read() -> list[object]:
        inbox = Inbox(2, streams=True)
        given = [
            said(0, "a"),
            said(1, "b"),
            Ended(1, "stop", 3, 1),
            said(0, "c"),
            Ended(0, "length", 3, 2),
        ]
        for one in given[:2]:
            assert inbox.put(one)
        found: list[object] = []
        async for one in inbox:
            found.append(one)
            if len(found) == 2:
                for more in given[2:]:
                    asyncio.get_running_loop().call_soon(inbox.put, more)
        assert found == given
        return found

    assert len(asyncio.run(read())) == 5


def test_an_error_ends_it_and_what_waits_is_dropped() -> None:
    async def read() -> None:
        inbox = Inbox(1, streams=True)
        inbox.put(said(0, "a"))
        inbox.fail(ApiError(500, "Over."))
        assert not inbox.put(said(0, "b"))
        with pytest.raises(ApiError, match="Over"):
            await anext(inbox.__aiter__())

    asyncio.run(read())


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch, streams: bool) -> None:
    monkeypatch.setattr(inboxes, "LARGEST", 10)

    async def fill() -> None:
        inbox = Inbox(1, streams=streams)
        assert inbox.put(said(0, "x" * 10))
        assert inbox.put(said(0, "y")) is not streams

    asyncio.run(fill())


def test_reading_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "LARGEST", 10)

    async def read() -> None:
        inbox = Inbox(1, streams=True)
        texts = inbox.__aiter__()
        for _ in range(5):
            assert inbox.put(said(0, "x" * 9))
            await anext(texts)
        await texts.aclose()  # type: ignore[attr-defined]

    asyncio.run(read())


def test_a_whole_chat() -> None:
    text = ChoiceText()
    call = {"name": "mail", "arguments": '{"to": "Ann"}'}
    for channel, piece in (
        (Channel.REASONING, "Hm"),
        (Channel.REASONING, "."),
        (Channel.CONTENT, "Yes."),
        (Channel.TOOL_CALLS, json.dumps(call)),
        (Channel.TOOL_CALLS, json.dumps(call)),
    ):
        text.add([Piece(channel, piece)])
    text.finish_reason = "tool_calls"
    usage = Usage(1)
    usage.add(0, 7, 5)
    answer = Chat("tiny").whole([text], usage)
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    choice = answer["choices"][0]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "tool_calls", None)
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == ("Yes.", "Hm.")
    assert [one["function"] for one in message["tool_calls"]] == [call, call]
    assert len({one["id"] for one in message["tool_calls"]}) == 2
    assert "index" not in message["tool_calls"][0]


def test_deltas_number_the_calls() -> None:
    text = ChoiceText()
    call = Piece(Channel.TOOL_CALLS, '{"name": "f", "arguments": "{}"}')
    assert [one["index"] for one in text.add([call, call]).fields["tool_calls"]] == [0, 1]
    assert [one["index"] for one in text.add([call]).fields["tool_calls"]] == [2]
    said = text.add([Piece(Channel.CONTENT, "x"), Piece(Channel.REASONING, "y")])
    assert said == ("xy", {"content": "x", "reasoning_content": "y"})


def test_usage_counts_each_prompt_once() -> None:
    usage = Usage(2)
    for choice, prompt in enumerate((5, 5, 9, 9)):
        usage.add(choice, prompt, 10)
    assert usage.body() == {"prompt_tokens": 14, "completion_tokens": 40, "total_tokens": 54}


def test_a_whole_completion() -> None:
    text = ChoiceText()
    text.add([Piece(Channel.CONTENT, "upon a time")])
    text.finish_reason = "length"
    choice = Completion("tiny").whole([text], Usage(1))["choices"][0]
    assert choice == {
        "index": 0,
        "text": "upon a time",
        "logprobs": None,
        "finish_reason": "length",
    }
