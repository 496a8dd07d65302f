"""Bodies of requests: how large they may be, and how JSON in them is read.

JSON is read strictly (RFC 8259, I-JSON): UTF-8 without byte order mark, no NaN, no lone surrogates, no
nesting beyond reason; numbers are not taken for strings, nor strings for numbers. A body is checked against its
form in the same pass, so what does not fit is never held as a tree.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filter_service.api.problems import FieldError, HttpError, invalid, of_http_error

LARGEST = 256 * 1024
"""Octets of a body."""
_PATIENCE_S = 30
"""For a whole body to arrive."""
_CODES = re.compile("[a-z_]+")
REFS = "#/components/schemas/{model}"
T = TypeVar("T")


class Form(BaseModel):
    """A JSON object that a client sends: no field but the known ones, each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid")


class BodyLimit:
    """Refuses bodies that are too large, by what they say of themselves and by what arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > LARGEST:
            await of_http_error(_too_large())(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            if message["type"] == "http.request":
                arrived += len(message.get("body", b""))
                if arrived > LARGEST:
                    raise _too_large()
            return message

        await self.app(scope, counted, send)


def json_body(form: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that reads a body of this form.

    Raises:
        HttpError: it cannot be read, or is not as the form demands.
    """
    adapter: TypeAdapter[T] = TypeAdapter(form)
    schema = adapter.json_schema()
    known = _Known(frozenset(_names(schema, "properties")), frozenset(_names(schema, "mapping")))

    async def read(request: Request) -> T:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(
                415, "not_json", "Send JSON, with the header Content-Type: application/json."
            )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                octets = await request.body()
        except TimeoutError:
            raise HttpError(
                408, "too_slow", "The body did not arrive in time.", headers=_CLOSE
            ) from None
        try:
            return adapter.validate_json(octets)
        except ValidationError as error:
            raise _refused(error, known) from None

    return read


def takes(form: Any) -> dict[str, Any]:
    """How the OpenAPI document describes a body of this form; see `document`."""
    schema = TypeAdapter(form).json_schema(ref_template=REFS)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_CLOSE = {"Connection": "close"}


def _too_large() -> HttpError:
    return HttpError(413, "too_large", f"Send at most {LARGEST} octets at once.", headers=_CLOSE)


class _Known(NamedTuple):
    """Names that may stand in an answer, because they are ours."""

    fields: frozenset[str]
    forms: frozenset[str]
    """By which one of several forms is chosen; they are no part of a place."""


def _refused(error: ValidationError, known: _Known) -> HttpError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in found):
        return HttpError(400, "bad_json", "The body cannot be read as JSON (RFC 8259, I-JSON).")
    return invalid(
        FieldError(pointer=_pointer(one["loc"], known), code=one["type"])
        for one in found
        if _CODES.fullmatch(one["type"])
    )


def _pointer(place: tuple[int | str, ...], known: _Known) -> str:
    """A JSON pointer (RFC 6901) of names that are ours: others may be personal."""
    parts = []
    for part in place:
        if part in known.forms:
            continue
        if isinstance(part, str) and part not in known.fields:
            break
        parts.append(f"/{part}")
    return "".join(parts)


def _names(schema: Any, where: str) -> Iterator[str]:
    """The names in all objects of this name in a schema."""
    if isinstance(schema, dict):
        named = schema.get(where)
        if isinstance(named, dict):
            yield from named
        for part in schema.values():
            yield from _names(part, where)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names(part, where)
