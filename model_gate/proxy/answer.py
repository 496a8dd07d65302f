"""One request on its way through the proxy: heard, asked of the engine, filtered choice by choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import anyio

from model_gate.channels import Channel, Piece
from model_gate.prompts import Hearing, Turn, hear
from model_gate.proxy.choice import Choice
from model_gate.proxy.upstream import Chunks, Upstream, broken_off, not_understood
from model_gate.web.messages import texts, with_texts
from model_gate.web.problems import ApiError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from model_gate.guard import Guard
    from model_gate.proxy.asks import Ask

T = TypeVar("T")
_BUFFER = 32
"""Chunks of the engine's that are read ahead of the reader."""
_LOOK_S = 0.01
"""Between two looks whether slow hashes are done."""
_LAST_CHUNK_S = 5.0
"""For the end of the stream, once all choices have ended."""


class Said(NamedTuple):
    """What one choice says."""

    choice: int
    pieces: list[Piece]


class Ended(NamedTuple):
    """The end of one choice."""

    choice: int
    reason: str


@dataclass(slots=True)
class Counts:
    """Tokens as the engine counts them, and characters as they went by."""

    prompt: int = 0
    completion: int = 0
    characters_in: int = 0
    characters_out: int = 0
    removed: bool = False

    @property
    def completion_tokens(self) -> int:
        """Those of what went out: the share of them, where something was removed."""
        if not self.removed or not self.characters_in:
            return self.completion
        share = min(1.0, self.characters_out / self.characters_in)
        return round(self.completion * share)

    def body(self) -> dict[str, int]:
        """As in an answer."""
        tokens = self.completion_tokens
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": tokens,
            "total_tokens": self.prompt + tokens,
        }


class Answer:
    """One request. `prepare` is for a thread, the rest for the event loop."""

    def __init__(
        self,
        ask: Ask,
        guard: Guard,
        upstream: Upstream,
        background: Executor,
        threads: anyio.CapacityLimiter,
        *,
        may_continue: bool = True,
    ) -> None:
        self.ask = ask
        self.counts = Counts()
        self.choices: list[Choice] = []
        self._guard = guard
        self._upstream = upstream
        self._background = background
        self._threads = threads
        self._may_continue = may_continue
        self._body: dict[str, Any] = {}
        self._chunks: Chunks | None = None

    def prepare(self, charge: Callable[[Hearing], None]) -> None:
        """Hear the prompts; ``charge`` is told what was heard, and may refuse.

        Raises:
            NamedPromptRefused, BundleExpired, FilterFailed, ApiError: nothing is asked.
        """
        ask = self.ask
        self._body = {**ask.settings, "stream": True, "stream_options": {"include_usage": True}}
        if ask.n > 1:
            self._body["n"] = ask.n
        if ask.prompts:
            hearings = [hear(self._guard, [Turn("user", p)], continues=True) for p in ask.prompts]
            prompts = [hearing.turns[0].text for hearing in hearings]
            self._body["prompt"] = prompts if len(prompts) > 1 else prompts[0]
        else:
            turns = texts(ask.messages, ask.tools)
            hearings = [hear(self._guard, turns, continues=ask.continues)]
            messages, tools = with_texts(ask.messages, ask.tools, hearings[0].turns)
            self._body["messages"] = messages
            if tools:
                self._body["tools"] = tools
        for hearing in hearings:
            charge(hearing)
        self.choices = [
            Choice(
                number,
                hearings[number // ask.n],
                self._guard.policy,
                stop=ask.stop,
                json_whole=ask.json,
                background=self._background,
            )
            for number in range(ask.choices)
        ]

    async def begin(self) -> None:
        """Ask the engine.

        Raises:
            ApiError: it does not begin to answer.
        """
        self._chunks = await self._upstream.chunks(self.ask.path, self._body)

    async def close(self) -> None:
        """Hang up, whatever the engine still says."""
        if self._chunks is not None:
            await self._chunks.aclose()

    async def said(self) -> AsyncIterator[Said | Ended]:
        """What goes out, as it may.

        Raises:
            ApiError: the engine breaks off, or says what cannot be understood; what was held is
                dropped.
        """
        assert self._chunks is not None
        async with _read_ahead(self._chunks) as queue:
            open_ = set(range(len(self.choices)))
            while True:
                chunk = await self._next(queue, open_)
                if chunk is None:
                    break
                if isinstance(chunk, _Nothing):
                    for choice in self._waiting(open_):
                        if pieces := choice.look():
                            yield self._out(choice, pieces)
                    continue
                async for what in self._taken(chunk, open_):
                    yield what
                if not open_ and any(choice.reason is None for choice in self.choices):
                    break  # ended here, not there: nothing more is wanted
            if open_:
                raise broken_off()

    async def _taken(self, chunk: dict[str, Any], open_: set[int]) -> AsyncIterator[Said | Ended]:
        """What one chunk lets go; choices that it ends are taken from ``open_``."""
        self._count(chunk)
        for choice, fields, reason in self._choices_of(chunk):
            if choice.number not in open_:
                continue
            pieces = list(choice.take(fields, reason))
            if pieces:
                yield self._out(choice, pieces)
            if choice.ended:
                open_.discard(choice.number)
                pieces = await self._finished(choice)
                if pieces:
                    yield self._out(choice, pieces)
                yield Ended(choice.number, choice.finish_reason or "stop")

    async def _next(
        self, queue: asyncio.Queue[dict[str, Any] | BaseException | None], open_: set[int]
    ) -> dict[str, Any] | _Nothing | None:
        """The next chunk; nothing where slow hashes are to be looked at first."""
        wait = _LOOK_S if self._waiting(open_) else (None if open_ else _LAST_CHUNK_S)
        try:
            async with asyncio.timeout(wait):
                found = await queue.get()
        except TimeoutError:
            return _NOTHING if open_ else None
        if isinstance(found, BaseException):
            if open_:
                raise found
            return None  # all is said; only the count is missing
        return found

    def _waiting(self, open_: set[int]) -> list[Choice]:
        return [self.choices[number] for number in open_ if self.choices[number].waiting]

    def _out(self, choice: Choice, pieces: list[Piece]) -> Said:
        self.counts.characters_out += sum(len(piece.text) for piece in pieces)
        return Said(choice.number, pieces)

    def _count(self, chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return
        for name, field in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
            value = usage.get(field)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                setattr(self.counts, name, value)

    def _choices_of(self, chunk: dict[str, Any]) -> list[tuple[Choice, dict[str, Any], object]]:
        """Choices of a chunk with the fields that may say something, and why they ended."""
        found = chunk.get("choices") or []
        if not isinstance(found, list):
            raise not_understood()
        read = []
        for one in found:
            if not isinstance(one, dict):
                raise not_understood()
            index = one.get("index", 0)
            if isinstance(index, bool) or not isinstance(index, int):
                raise not_understood()
            if not 0 <= index < len(self.choices):
                raise not_understood()
            fields = one if self.ask.prompts else one.get("delta") or {}
            if not isinstance(fields, dict):
                raise not_understood()
            for name in ("content", "text", "reasoning_content", "reasoning", "refusal"):
                if isinstance(text := fields.get(name), str):
                    self.counts.characters_in += len(text)
            read.append((self.choices[index], fields, one.get("finish_reason")))
        return read

    async def _finished(self, choice: Choice) -> list[Piece]:
        """The rest of a choice; where it was cut the engine is asked for a few tokens more."""
        undecided = choice.is_undecided()
        if undecided and await self._can_continue(choice):
            with suppress(ApiError):
                undecided = await self._look_ahead(choice)
        finish = lambda: choice.finish(undecided=undecided)  # noqa: E731 -- it may wait for hashes
        pieces = await anyio.to_thread.run_sync(finish, limiter=self._threads)
        self.counts.removed |= bool(choice.removed) or choice.reason is None
        return pieces

    async def _can_continue(self, choice: Choice) -> bool:
        if not self._may_continue or not self._guard.policy.look_ahead:
            return False
        if self.ask.prompts:
            return True
        if choice.channel is not Channel.CONTENT:
            return False
        return await self._upstream.continues_chats()

    async def _look_ahead(self, choice: Choice) -> bool:
        """Have the engine go on, unseen; returns whether the cut is still undecided."""
        body = {
            name: value
            for name, value in self._body.items()
            if name not in {"n", "tools", "tool_choice", "response_format", "max_completion_tokens"}
        }
        said = choice.said_by_engine.get(Channel.CONTENT, "")
        body |= {"temperature": 0, "max_tokens": self._guard.policy.look_ahead}
        if self.ask.prompts:
            prompt = self._body["prompt"]
            if isinstance(prompt, list):
                prompt = prompt[choice.number // self.ask.n]
            body["prompt"] = prompt + said
        else:
            messages = list(self._body["messages"])
            if self.ask.continues:
                said = (messages.pop().get("content") or "") + said
            body["messages"] = [*messages, {"role": "assistant", "content": said}]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        chunks = await self._upstream.chunks(self.ask.path, body)
        try:
            return await self._read_ahead(choice, chunks)
        finally:
            await chunks.aclose()

    async def _read_ahead(self, choice: Choice, chunks: Chunks) -> bool:
        name = "text" if self.ask.prompts else "content"
        async for chunk in chunks:
            for one in chunk.get("choices") or []:
                if not isinstance(one, dict):
                    raise not_understood()
                fields = one if self.ask.prompts else one.get("delta")
                text = fields.get(name) if isinstance(fields, dict) else None
                if isinstance(text, str) and not choice.look_ahead(text):
                    return False
                if one.get("finish_reason") not in (None, "length"):
                    return False  # the answer ends there by itself
        return True


class _Nothing:
    """No chunk came in time."""


_NOTHING = _Nothing()


class _read_ahead:  # noqa: N801 -- used as a context manager
    """Reads chunks into a bounded queue while the reader is served."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._queue: asyncio.Queue[dict[str, Any] | BaseException | None] = asyncio.Queue(_BUFFER)

    async def __aenter__(self) -> asyncio.Queue[dict[str, Any] | BaseException | None]:
        self._task = asyncio.ensure_future(self._read())
        return self._queue

    async def __aexit__(self, *_: object) -> None:
        # Cancelled once: each further time would break off the closing of the connection.
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({self._task})

    async def _read(self) -> None:
        try:
            async for chunk in self._chunks:
                await self._queue.put(chunk)
            await self._queue.put(None)
        except Exception as error:  # noqa: BLE001 -- raised where it is read
            await self._queue.put(error)
