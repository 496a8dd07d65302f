"""Answers in the shape of OpenAI's Responses API, over an engine's chat completions.

All events are made from what passed the filter: those that repeat the text when it is done repeat
ours.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from model_gate.channels import Channel
from model_gate.proxy.answer import Said
from model_gate.web.answers import ChoiceText
from model_gate.web.events import event

if TYPE_CHECKING:
    from model_gate.proxy.answer import Answer


_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the reason of the end."""


class _Item:
    """One item of a response's output, growing."""

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.id = f"{'msg' if channel is Channel.CONTENT else 'rs'}_{uuid.uuid4().hex}"
        self.text = ""

    def body(self, status: str) -> dict[str, Any]:
        """The item as it is."""
        if self.channel is Channel.REASONING:
            return {
                "id": self.id,
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": self.text}],
                "status": status,
            }
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [self.part()] if self.text or status != "in_progress" else [],
        }

    def part(self) -> dict[str, Any]:
        """Its one part."""
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": []}


class Shape:
    """What one response looks like, whole and as events."""

    def __init__(self, model: str) -> None:
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._sequence = 0

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """A whole response."""
        found: dict[str, Any] = {}
        async for kind, about in self._told(answer):
            if kind in ("response.completed", "response.incomplete"):
                found = about["response"]
        return found

    async def events(self, answer: Answer) -> AsyncIterator[bytes]:
        """The same piece by piece."""
        async for kind, about in self._told(answer):
            yield b"event: " + kind.encode() + b"\n" + event({"type": kind, **about})

    async def _told(self, answer: Answer) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        for kind in ("response.created", "response.in_progress"):
            yield self._numbered(kind, {"response": self._body("in_progress", [])})
        done: list[dict[str, Any]] = []
        item: _Item | None = None
        said = ChoiceText()
        reason = "stop"
        async for what in answer.said():
            if not isinstance(what, Said):
                reason = what.reason
                continue
            for piece in what.pieces:
                if piece.channel is Channel.TOOL_CALLS:
                    said.add([piece])
                    continue
                told: list[tuple[str, dict[str, Any]]] = []
                if item is None or item.channel is not piece.channel:
                    told += self._closed(item, done)
                    item = _Item(len(done), piece.channel)
                    told += self._opened(item)
                item.text += piece.text
                for one in (*told, self._delta(item, piece.text)):
                    yield one
        for one in self._closed(item, done, _CUT.get(reason)):
            yield one
        for call in said.calls:
            for one in self._called(call, done):
                yield one
        body = self._ended(reason, done, answer.counts.body())
        yield self._numbered(f"response.{body['status']}", {"response": body})

    def _ended(
        self, reason: str, done: list[dict[str, Any]], usage: dict[str, int]
    ) -> dict[str, Any]:
        """The response at its end."""
        cut = _CUT.get(reason)
        body = self._body("incomplete" if cut else "completed", done)
        body["incomplete_details"] = {"reason": cut} if cut else None
        body["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }
        return body

    def _opened(self, item: _Item) -> list[tuple[str, dict[str, Any]]]:
        told = [self._about("response.output_item.added", item, item=item.body("in_progress"))]
        if item.channel is Channel.CONTENT:
            told.append(
                self._about("response.content_part.added", item, content_index=0, part=item.part())
            )
        return told

    def _delta(self, item: _Item, text: str) -> tuple[str, dict[str, Any]]:
        if item.channel is Channel.REASONING:
            return self._about("response.reasoning_text.delta", item, content_index=0, delta=text)
        return self._about(
            "response.output_text.delta", item, content_index=0, delta=text, logprobs=[]
        )

    def _closed(
        self, item: _Item | None, done: list[dict[str, Any]], cut: str | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        if item is None:
            return []
        body = item.body("incomplete" if cut else "completed")
        done.append(body)
        if item.channel is Channel.REASONING:
            told = [
                self._about("response.reasoning_text.done", item, content_index=0, text=item.text)
            ]
        else:
            told = [
                self._about(
                    "response.output_text.done", item, content_index=0, text=item.text, logprobs=[]
                ),
                self._about("response.content_part.done", item, content_index=0, part=item.part()),
            ]
        return [*told, self._about("response.output_item.done", item, item=body)]

    def _called(
        self, call: dict[str, Any], done: list[dict[str, Any]]
    ) -> list[tuple[str, dict[str, Any]]]:
        number, name = len(done), f"fc_{uuid.uuid4().hex}"
        function = call["function"]
        body = {
            "id": name,
            "type": "function_call",
            "call_id": call["id"],
            "name": function["name"],
            "arguments": function["arguments"],
            "status": "completed",
        }
        done.append(body)
        about = {"output_index": number, "item_id": name}
        arguments = {"arguments": function["arguments"], "name": function["name"]}
        empty = {**body, "arguments": "", "status": "in_progress"}
        return [
            self._numbered("response.output_item.added", {"output_index": number, "item": empty}),
            self._numbered(
                "response.function_call_arguments.delta",
                {**about, "delta": function["arguments"]},
            ),
            self._numbered("response.function_call_arguments.done", {**about, **arguments}),
            self._numbered("response.output_item.done", {"output_index": number, "item": body}),
        ]

    def _about(self, kind: str, of: _Item, **about: Any) -> tuple[str, dict[str, Any]]:
        place: dict[str, Any] = {"output_index": of.number}
        if "item" not in about:
            place["item_id"] = of.id
        return self._numbered(kind, {**place, **about})

    def _numbered(self, kind: str, about: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self._sequence += 1
        return kind, {"sequence_number": self._sequence - 1, **about}

    def _body(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": self._model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "temperature": None,
            "top_p": None,
            "tool_choice": "auto",
            "tools": [],
            "store": False,
            "usage": None,
        }
