"""One request on its way through the proxy: heard, asked of the engine, filtered choice by choice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from model_gate.channels import Channel, Piece
from model_gate.prompts import Hearing, Turn, hear
from model_gate.proxy.choice import LENGTH, Choice
from model_gate.proxy.counts import Counts
from model_gate.proxy.read_ahead import ReadAhead
from model_gate.proxy.upstream import Chunks, Upstream, broken_off, not_understood
from model_gate.web.problems import ApiError
from model_gate.web.threads import in_thread

if TYPE_CHECKING:
    import anyio

    from model_gate.guard import Guard
    from model_gate.hashing import Lane
    from model_gate.proxy.asks import Ask

T = TypeVar("T")
_LOOK_S = 0.01
"""Between two looks whether slow hashes are done."""
_LAST_CHUNK_S = 5.0
"""For the end of the stream, once all choices have ended."""
_LOOK_AT_GUARD_S = 1.0
_MOST = 64 << 20
"""Characters of one request's answers."""


class Said(NamedTuple):
    """What one choice says."""

    choice: int
    pieces: list[Piece]


class Ended(NamedTuple):
    """The end of one choice."""

    choice: int
    reason: str


class Answer:
    """One request. `prepare` is for a thread, the rest for the event loop."""

    def __init__(
        self,
        ask: Ask,
        guard: Guard,
        upstream: Upstream,
        background: Lane,
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
            hearings = [hear(self._guard, ask.turns(), continues=ask.continues)]
            self._body |= ask.with_turns(hearings[0].turns)
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
        if self.ask.stop and await self._upstream.counts_as_it_goes():
            # It is hung up on where a stop sequence is met, before it would give its count.
            self._body["stream_options"]["continuous_usage_stats"] = True
        self._chunks = await self._upstream.chunks(self.ask.path, self._body)

    def forget(self) -> None:
        """Nobody waits for it any more: slow hashes that are not begun are not computed."""
        self._background.close()

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
        async with ReadAhead(self._chunks) as queue:
            open_ = set(range(len(self.choices)))
            looked = ended = time.monotonic()
            while True:
                now = time.monotonic()
                if now - looked > _LOOK_AT_GUARD_S:
                    self._guard.in_force()  # it may have been refused since the answer began
                    looked = now
                if open_:
                    ended = now
                chunk = await self._next(queue, open_, ended + _LAST_CHUNK_S - now)
                if chunk is None:
                    break
                if isinstance(chunk, _Nothing):
                    for choice in self._waiting(open_):
                        if pieces := await self._run(choice.look, aside=choice.refuses):
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
        found = self._choices_of(chunk)
        self.counts.read(chunk)
        for choice, fields, reason in found:
            if choice.number not in open_:
                continue
            take = partial(choice.take, fields, reason)
            if pieces := await self._run(take, aside=choice.may_wait(fields)):
                yield self._out(choice, pieces)
            if choice.ended:
                open_.discard(choice.number)
                if pieces := await self._finished(choice):
                    yield self._out(choice, pieces)
                yield Ended(choice.number, choice.finish_reason or "stop")

    async def _next(
        self,
        queue: asyncio.Queue[dict[str, Any] | BaseException | None],
        open_: set[int],
        last_s: float,
    ) -> dict[str, Any] | _Nothing | None:
        """The next chunk; nothing where slow hashes are to be looked at first."""
        wait = _LOOK_S if self._waiting(open_) else (None if open_ else max(0.0, last_s))
        try:
            async with asyncio.timeout(wait):
                found = await queue.get()
        except TimeoutError:
            return _NOTHING if open_ else None
        if not isinstance(found, BaseException):
            return found
        if not open_:
            return None  # all is said; only the count is missing
        try:
            raise found
        finally:
            del found  # or it and this frame keep each other, and the prompt

    def _waiting(self, open_: set[int]) -> list[Choice]:
        return [self.choices[number] for number in open_ if self.choices[number].waiting]

    def _out(self, choice: Choice, pieces: list[Piece]) -> Said:
        self.counts.characters_out += sum(len(piece.text) for piece in pieces)
        return Said(choice.number, pieces)

    async def _run(self, what: Callable[[], T], *, aside: bool) -> T:
        """Do it; ``aside``: in a thread, because it may wait for slow hashes."""
        if not aside:
            return what()
        return await in_thread(what, self._threads, self.forget)

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
        if self.counts.characters_in > _MOST:
            raise not_understood()
        return read

    async def _finished(self, choice: Choice) -> list[Piece]:
        """The rest of a choice; where it was cut the engine is asked for a few tokens more."""
        undecided = choice.is_undecided()
        if undecided and choice.reason == LENGTH and await self._can_continue(choice):
            with suppress(ApiError):
                undecided = await self._look_ahead(choice)
        pieces = await self._run(partial(choice.finish, undecided=undecided), aside=True)
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
        body["stream_options"] = {"include_usage": True}
        said = choice.said_by_engine(Channel.CONTENT)
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
            return await self._unseen(choice, chunks)
        finally:
            await chunks.aclose()

    async def _unseen(self, choice: Choice, chunks: Chunks) -> bool:
        name = "text" if self.ask.prompts else "content"
        async for chunk in chunks:
            for one in chunk.get("choices") or []:
                if not isinstance(one, dict):
                    raise not_understood()
                fields = one if self.ask.prompts else one.get("delta")
                text = fields.get(name) if isinstance(fields, dict) else None
                if isinstance(text, str) and not choice.look_ahead(text):
                    return False
                reason = one.get("finish_reason")
                if reason is not None:
                    return bool(reason != "stop")  # otherwise the answer ends there by itself
        return True


class _Nothing:
    """No chunk came in time."""


_NOTHING = _Nothing()
