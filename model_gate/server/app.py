"""The routes: chats, completions, models."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from model_gate.hashing import REQUEST_HASHES
from model_gate.model import GatedModel
from model_gate.server import asks
from model_gate.server.asks import Ask
from model_gate.server.engine import QUEUE, Choice, Engine, queue_full
from model_gate.server.inbox import Inbox, Said
from model_gate.server.prompter import Prompter
from model_gate.web import app as web
from model_gate.web import logs
from model_gate.web.answers import Chat, ChoiceText, Completion, Shape, Usage
from model_gate.web.events import DONE, EventStream, error_event, event
from model_gate.web.limits import LARGEST_BODY, ApiKeys, NamedPrompts, client_of
from model_gate.web.metrics import Metrics
from model_gate.web.problems import ApiError
from model_gate.web.requests import json_body, unless_gone
from model_gate.web.threads import in_thread

T = TypeVar("T")
_HEARD_AT_ONCE = 256
"""Prompts that wait to be heard, at most."""


class Server:
    """An application, and the engine behind it, which has to be started and stopped.

    Args:
        model: the model with its guard.
        name: how it is called in requests.
        keys: asked for, if there are any.
        open_health: ``/health`` and ``/metrics`` need none.
        largest_body: octets.
        queue: answers that may wait for a row.
        limit: of named prompts; by the policy.
        log_requests: each is a line of the log, without anything of its content.
    """

    def __init__(
        self,
        model: GatedModel,
        *,
        name: str,
        keys: ApiKeys | None = None,
        open_health: bool = False,
        largest_body: int = LARGEST_BODY,
        queue: int = QUEUE,
        limit: NamedPrompts | None = None,
        log_requests: bool = False,
    ) -> None:
        guard = model.guard
        self.metrics = Metrics(guard)
        self._prompter = Prompter(
            model, self.metrics, limit or NamedPrompts(guard.policy.named_prompts_per_hour)
        )
        self.engine = Engine(
            model.decoder(), guard, self._prompter.count, self.metrics, queue=queue
        )
        self._model = model
        self._name = name
        self._context = model.context
        self._keyed = keys is not None
        self._created = int(time.time())
        self._hearing = anyio.CapacityLimiter(max(2, os.cpu_count() or 2))
        self.app: FastAPI = web.create(
            guard,
            self.metrics,
            keys=keys,
            open_health=open_health,
            largest_body=largest_body,
            ails=self.engine.ails,
            alive=self.engine.alive,
            log_requests=log_requests,
        )
        self.app.post("/v1/chat/completions")(self._chat)
        self.app.post("/v1/completions")(self._completion)
        self.app.get("/v1/models")(self._models)
        self.app.get("/v1/models/{name:path}")(self._one_model)

    def start(self) -> None:
        """Start the engine."""
        self.engine.start()

    def close(self) -> None:
        """End it, and every answer that is under way."""
        self.engine.stop()
        self.engine.join()

    async def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._about()]}

    async def _one_model(self, name: str) -> dict[str, Any]:
        self._known(name)
        return self._about()

    async def _chat(self, request: Request) -> Response:
        ask = asks.chat(await json_body(request))
        return await self._answer(request, ask, Chat(self._name))

    async def _completion(self, request: Request) -> Response:
        ask = asks.completion(await json_body(request))
        return await self._answer(request, ask, Completion(self._name))

    def _about(self) -> dict[str, Any]:
        about = {"id": self._name, "object": "model", "created": self._created, "owned_by": "lethe"}
        return {**about, "max_model_len": self._context}

    def _known(self, name: str) -> None:
        if name != self._name:
            raise ApiError(
                404,
                "There is no such model here: see /v1/models.",
                code="model_not_found",
                param="model",
            )

    async def _answer(self, request: Request, ask: Ask, shape: Shape) -> Response:
        if ask.model is not None:
            self._known(ask.model)
        self.engine.check(ask.n * max(1, len(ask.prompts)))
        if self._hearing.statistics().tasks_waiting >= _HEARD_AT_ONCE:
            raise queue_full()
        client = client_of(request.scope, keyed=self._keyed)
        hashes = self._model.background.lane(
            REQUEST_HASHES * self._model.guard.policy.filter.slow_hashes
        )
        hearing = in_thread(partial(self._prompter.sequences, ask, client, hashes), self._hearing)
        sequences = await unless_gone(request, hearing)  # who has left before is not heard
        inbox = Inbox(len(sequences), streams=ask.stream)
        choices = [Choice(number, one, inbox) for number, one in enumerate(sequences)]
        self.engine.submit(choices)

        def ended() -> None:
            self.engine.cancel(choices)
            hashes.close()

        if ask.stream:
            return EventStream(self._events(ask, shape, inbox, len(choices)), ended)
        try:
            return await unless_gone(request, self._whole(ask, shape, inbox, choices))
        finally:
            ended()

    async def _whole(
        self, ask: Ask, shape: Shape, inbox: Inbox, choices: Sequence[Choice]
    ) -> Response:
        usage = Usage(ask.n)
        texts = [ChoiceText() for _ in choices]
        async for what in inbox:
            if isinstance(what, Said):
                texts[what.choice].add(what.pieces)
            else:
                texts[what.choice].finish_reason = what.finish_reason
                usage.add(what.choice, what.prompt_tokens, what.completion_tokens)
        self._emitted(sum(len(one.content) + len(one.reasoning) for one in texts), usage)
        return JSONResponse(shape.whole(texts, usage))

    async def _events(
        self, ask: Ask, shape: Shape, inbox: Inbox, choices: int
    ) -> AsyncGenerator[bytes]:
        usage = Usage(ask.n)
        texts = [ChoiceText() for _ in range(choices)]
        more = {"usage": None} if ask.include_usage else {}
        characters = 0
        try:
            for number in range(choices):
                opening = shape.opening(number)
                if opening is not None:
                    yield event(opening | more)
            async for what in inbox:
                if isinstance(what, Said):
                    delta = texts[what.choice].add(what.pieces)
                    characters += sum(len(piece.text) for piece in what.pieces)
                    yield event(shape.part(what.choice, delta) | more)
                else:
                    usage.add(what.choice, what.prompt_tokens, what.completion_tokens)
                    yield event(shape.part(what.choice, finish_reason=what.finish_reason) | more)
            if ask.include_usage:
                yield event(shape.usage(usage))
            yield DONE
        except Exception as error:  # noqa: BLE001 -- the reader is told, in fixed words
            if not isinstance(error, ApiError):
                logs.failure("stream", error)
            yield error_event(error)
        finally:
            self._emitted(characters, usage)

    def _emitted(self, characters: int, usage: Usage) -> None:
        self.metrics.emitted(characters=characters, tokens=usage.completion_tokens)
