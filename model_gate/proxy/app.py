"""The proxy as an application: OpenAI's routes before an engine that has them, and no other route."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from filter.errors import InputError
from model_gate.errors import NamedPromptRefused
from model_gate.guard import Guard
from model_gate.hashing import REQUEST_HASHES, SlowHashes
from model_gate.policy import Mode
from model_gate.prompts import Hearing
from model_gate.proxy import asks, responses, responses_asks
from model_gate.proxy.answer import Answer, Said
from model_gate.proxy.asks import Ask
from model_gate.proxy.upstream import Upstream
from model_gate.web import app as web
from model_gate.web import logs
from model_gate.web.answers import Chat, ChoiceText, Completion, Shape
from model_gate.web.events import DONE, EventStream, error_event, event
from model_gate.web.limits import (
    CHARACTERS_OF_TOKEN,
    LARGEST_BODY,
    ApiKeys,
    NamedPrompts,
    check_size,
    client_of,
)
from model_gate.web.metrics import Metrics
from model_gate.web.problems import RATE, ApiError
from model_gate.web.requests import json_body, unless_gone
from model_gate.web.threads import in_thread

STREAMS = 1024
"""Requests that are answered at once."""
LONGEST_PROMPT = 400_000
"""Characters, some 100,000 tokens."""
_WAITING = 256
"""Answers that wait for slow hashes at once; each does so in a thread."""
_SHORT = 16_384
"""Characters of a prompt that fits into every engine's context, or costs nothing to be read."""


class Proxy:
    """The filter before an engine."""

    def __init__(
        self,
        upstream: Upstream,
        guard: Guard,
        *,
        keys: ApiKeys | None = None,
        open_health: bool = False,
        largest_body: int = LARGEST_BODY,
        longest_prompt: int = LONGEST_PROMPT,
        may_continue: bool = True,
        limit: NamedPrompts | None = None,
        streams: int = STREAMS,
        log_requests: bool = False,
    ) -> None:
        """Prepare.

        Args:
            upstream: the engine.
            guard: the bundle in force.
            keys: asked for on every route but ``/livez``; none are by default.
            open_health: ``/health`` and ``/metrics`` ask for none either.
            largest_body: octets of a request.
            longest_prompt: characters; fewer where the engine says that its context holds less.
            may_continue: the engine may be asked for a few tokens more where an answer is cut.
            limit: of named prompts; the policy's by default.
            streams: requests that are answered at once.
            log_requests: each is a line of the log, without anything of its content.

        Raises:
            InputError: the policy's mode is resample.
        """
        if guard.policy.mode is Mode.RESAMPLE:
            raise InputError("Only the own decode loop can resample: use redact or refuse here.")
        self.metrics = Metrics(guard)
        self._guard = guard
        self._upstream = upstream
        self._limit = limit or NamedPrompts(guard.policy.named_prompts_per_hour)
        self._keyed = keys is not None
        self._may_continue = may_continue
        self._longest_prompt = longest_prompt
        self._streams = streams
        cores = os.cpu_count() or 2
        self._threads = anyio.CapacityLimiter(2 * cores)
        self._waiting = anyio.CapacityLimiter(_WAITING)
        self._hashes = SlowHashes(cores)
        self._under_way = 0
        self.metrics.gauges["active_sequences"] = (
            "Requests under way.",
            lambda: float(self._under_way),
        )
        self.app: FastAPI = web.create(
            guard,
            self.metrics,
            keys=keys,
            open_health=open_health,
            largest_body=largest_body,
            log_requests=log_requests,
        )
        self.app.router.lifespan_context = self._life
        self.app.post("/v1/chat/completions")(self._chat)
        self.app.post("/v1/completions")(self._completion)
        self.app.post("/v1/responses")(self._response)
        self.app.get("/v1/models")(self._models)

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._upstream.close()
            self._hashes.close()

    async def _models(self) -> dict[str, Any]:
        found = await self._counted(self._upstream.models())
        data = [
            {
                "id": one["id"],
                "object": "model",
                "created": one["created"] if type(one.get("created")) is int else 0,
                "owned_by": str(one.get("owned_by", "")),
            }
            for one in found
        ]
        return {"object": "list", "data": data}

    async def _chat(self, request: Request) -> Response:
        ask = asks.chat(await json_body(request))
        return await self._answer(request, ask, Chat(ask.model))

    async def _completion(self, request: Request) -> Response:
        ask = asks.completion(await json_body(request))
        return await self._answer(request, ask, Completion(ask.model))

    async def _response(self, request: Request) -> Response:
        ask = responses_asks.read(await json_body(request))
        shape = responses.Shape(ask.model)
        answer = await self._begun(request, ask)
        if ask.stream:
            return EventStream(self._watched(answer, shape.events(answer)), self._ended(answer))
        return await self._whole(request, answer, shape.whole(answer))

    async def _answer(self, request: Request, ask: Ask, shape: Shape) -> Response:
        answer = await self._begun(request, ask)
        if ask.stream:
            return EventStream(
                self._watched(answer, _events(ask, shape, answer)), self._ended(answer)
            )
        return await self._whole(request, answer, _whole(shape, answer))

    async def _begun(self, request: Request, ask: Ask) -> Answer:
        """Hear the prompt and ask the engine.

        Raises:
            ApiError: and nothing was said.
        """
        if self._under_way >= self._streams:
            raise ApiError(
                429,
                "Too many answers are given already: try again in a few seconds.",
                RATE,
                "queue_full",
                headers={"Retry-After": "5"},
            )
        client = client_of(request.scope, keyed=self._keyed)
        answer = Answer(
            ask,
            self._guard,
            self._upstream,
            self._hashes.lane(REQUEST_HASHES * self._guard.policy.filter.slow_hashes),
            self._waiting,
            may_continue=self._may_continue,
        )
        self._under_way += 1
        try:
            await self._check_size(ask.size)
            hearing = in_thread(partial(self._prepare, answer, client), self._threads)
            await unless_gone(request, hearing)  # who has left before is not heard
            await unless_gone(request, self._counted(answer.begin()))
        except BaseException:
            self._under_way -= 1
            answer.forget()
            raise
        return answer

    async def _check_size(self, size: int) -> None:
        """Refuse a prompt that does not fit, before the filter reads it.

        Raises:
            PromptTooLong: more characters than are read.
        """
        longest = self._longest_prompt
        if size > _SHORT and (context := await self._upstream.context()) is not None:
            longest = min(longest, max(_SHORT, CHARACTERS_OF_TOKEN * context))
        check_size(size, longest)

    def _prepare(self, answer: Answer, client: str) -> None:
        self._limit.check(client)

        def charge(hearing: Hearing) -> None:
            self._charge(client, hearing.named, "answered")

        try:
            answer.prepare(charge)
        except NamedPromptRefused:
            self._charge(client, 1, "refused")
            raise

    def _charge(self, client: str, named: int, outcome: str) -> None:
        if not named:
            return
        try:
            self._limit.charge(client, named)
        except ApiError:
            self.metrics.named_prompt("limited")
            raise
        self.metrics.named_prompt(outcome)

    async def _counted(self, work: Any) -> Any:
        try:
            return await work
        except ApiError as error:
            self.metrics.upstream_error(error.code or "other")
            raise

    async def _whole(self, request: Request, answer: Answer, work: Any) -> Response:
        try:
            return JSONResponse(await unless_gone(request, self._counted(work)))
        finally:
            await answer.close()
            self._ended(answer)()

    async def _watched(self, answer: Answer, events: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """Events up to their end, or to an error that is told as the last one."""
        try:
            async for one in events:
                yield one
        except Exception as error:  # noqa: BLE001 -- the reader is told, in fixed words
            if isinstance(error, ApiError):
                self.metrics.upstream_error(error.code or "other")
            else:
                logs.failure("stream", error)
            yield error_event(error)
        finally:
            await answer.close()

    def _ended(self, answer: Answer) -> Any:
        def ended() -> None:
            self._under_way -= 1
            answer.forget()
            counts = answer.counts
            self.metrics.emitted(characters=counts.characters_out, tokens=counts.completion_tokens)
            for choice in answer.choices:
                self.metrics.removed(choice.removed)
                self.metrics.filtered(slow_hashes=choice.slow_hashes, undecided=choice.undecided)

        return ended


async def _whole(shape: Shape, answer: Answer) -> dict[str, Any]:
    said = [ChoiceText() for _ in answer.choices]
    async for what in answer.said():
        if isinstance(what, Said):
            said[what.choice].add(what.pieces)
        else:
            said[what.choice].finish_reason = what.reason
    return shape.whole(said, answer.counts)


async def _events(ask: Ask, shape: Shape, answer: Answer) -> AsyncIterator[bytes]:
    said = [ChoiceText() for _ in answer.choices]
    more = {"usage": None} if ask.include_usage else {}
    for number in range(len(said)):
        opening = shape.opening(number)
        if opening is not None:
            yield event(opening | more)
    async for what in answer.said():
        if isinstance(what, Said):
            delta = said[what.choice].add(what.pieces)
            yield event(shape.part(what.choice, delta) | more)
        else:
            yield event(shape.part(what.choice, finish_reason=what.reason) | more)
    if ask.include_usage:
        yield event(shape.usage(answer.counts))
    yield DONE
