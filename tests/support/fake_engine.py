"""An engine that says what it is told, in the chunks of vLLM or SGLang, on a real socket.

It adds what such engines add: log-probabilities, token ids and other fields that hold the text once
more. What it is asked is recorded.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Delta = dict[str, Any]


@dataclass
class Script:
    """What every choice says."""

    deltas: Sequence[Delta] = ()
    """Fields of its deltas, in order; of a completion ``{"text": ...}``."""
    finish_reason: str = "stop"
    more: str = ""
    """What it says when it is asked to go on with a text that was cut."""
    owned_by: str = "vllm"
    cuts: Sequence[int] = ()
    """Sizes of TCP segments, in turn; a whole event at once without."""
    crlf: bool = False
    longest: Any = None
    """``max_model_len`` of its model; left out without."""
    choices: dict[int, Sequence[Delta]] = field(default_factory=dict)
    """What single choices say instead."""


class Engine:
    """The running engine."""

    def __init__(self) -> None:
        self.script = Script()
        self.requests: list[tuple[str, str, Any]] = []
        """Method, path and body of each."""
        self.headers: list[dict[str, str]] = []
        self.more_headers = ""
        """Of every stream, each with its line break."""
        self.url = ""
        self.open = 0

    def say(self, *texts: str, field_name: str = "content", **options: Any) -> None:
        """Let it say these pieces."""
        self.script = Script([{field_name: text} for text in texts], **options)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readline()).decode()
        if not line:
            return False
        method, path, _ = line.split(" ", 2)
        headers: dict[str, str] = {}
        while (line := (await reader.readline()).decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        octets = await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.loads(octets) if octets else None
        self.requests.append((method, path, body))
        self.headers.append(headers)
        if path == "/v1/models":
            await self._json(writer, {"object": "list", "data": [self._model()]})
        elif path in ("/v1/chat/completions", "/v1/completions"):
            await self._stream(writer, path, body)
        else:
            await self._json(writer, {"leak": "every route of mine"})
        return True

    def _model(self) -> dict[str, Any]:
        longest = self.script.longest
        return {
            **({} if longest is None else {"max_model_len": longest}),
            "id": "fake",
            "object": "model",
            "created": 5,
            "owned_by": self.script.owned_by,
            "root": "/models/fake",
        }

    async def _json(self, writer: asyncio.StreamWriter, body: Any) -> None:
        octets = json.dumps(body).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(octets)}\r\n\r\n"
        writer.write(head.encode() + octets)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter, path: str, body: Any) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Served-By: fake\r\nTransfer-Encoding: chunked\r\n"
        writer.write(f"{head}{self.more_headers}\r\n".encode())
        newline = b"\r\n" if self.script.crlf else b"\n"
        sizes = iter(()) if not self.script.cuts else self._sizes()
        rest = b""
        for event in self._events(path, body):
            octets = (
                event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode()
            ) + newline * 2
            rest += octets
            while rest:
                size = next(sizes, len(rest))
                part, rest = rest[:size], rest[size:]
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
                if self.script.cuts:
                    await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _sizes(self) -> Iterator[int]:
        while True:
            yield from self.script.cuts

    def _events(self, path: str, body: Any) -> Iterator[Any]:
        chat = path.endswith("chat/completions")
        prompts = body.get("prompt")
        count = body.get("n", 1) * (len(prompts) if isinstance(prompts, list) else 1)
        head = {
            "id": "chatcmpl-engine-1",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 1,
            "model": "fake",
            "system_fingerprint": "fp_engine",
        }
        counts = (body.get("stream_options") or {}).get("continuous_usage_stats")
        deltas = {n: list(self.script.choices.get(n, self.script.deltas)) for n in range(count)}
        finish = self.script.finish_reason
        if self._goes_on(body):
            deltas = {0: [{"content" if chat else "text": self.script.more}]}
            finish = "length"
        yield b": ping"
        if chat:
            for number in deltas:
                yield {
                    **head,
                    "choices": [
                        self._choice(number, {"role": "assistant", "content": ""}, None, chat)
                    ],
                }
        for step in range(max(map(len, deltas.values()), default=0)):
            for number, some in deltas.items():
                if step < len(some):
                    told = {"choices": [self._choice(number, some[step], None, chat)]}
                    if counts:
                        told["usage"] = {"prompt_tokens": 7, "completion_tokens": step + 1}
                    yield {**head, **told}
        for number in deltas:
            yield {
                **head,
                "choices": [self._choice(number, {} if chat else {"text": ""}, finish, chat)],
            }
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": 40,
            "total_tokens": 47,
            "prompt_tokens_details": None,
        }
        yield {**head, "choices": [], "usage": usage, "prompt_logprobs": None}
        yield b"data: [DONE]"

    def _goes_on(self, body: Any) -> bool:
        """Whether it is asked for more of what it said, being cut."""
        return bool(self.script.more) and sum(1 for m, p, _ in self.requests if m == "POST") > 1

    def _choice(self, number: int, delta: Delta, finish: str | None, chat: bool) -> dict[str, Any]:
        said = json.dumps(delta)
        extras = {
            "logprobs": {
                "content": [
                    {
                        "token": said,
                        "bytes": list(said.encode()),
                        "logprob": -0.1,
                        "top_logprobs": [],
                    }
                ]
            },
            "token_ids": [1, 2, 3],
            "prompt_token_ids": None,
            "stop_reason": None,
            "matched_stop": said,
            "vendor": {"text": said},
        }
        shown = {"delta": {**delta, "vendor_text": said}} if chat else delta
        return {"index": number, **shown, "finish_reason": finish, **extras}


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine on a free port of 127.0.0.1, until the end of the block."""
    made = Engine()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 22)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        async with server:
            await stop.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    def target() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
