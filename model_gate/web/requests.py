"""Reading a request's JSON strictly, against lists of the fields that a route allows.

A list is data: server and proxy allow different fields. What is no known field is refused, so that nothing that
a newer engine would understand passes unseen. `fields` has the rules and the common lists.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from model_gate.web.problems import ApiError

T = TypeVar("T")
Rule = Callable[[object, str], Any]
"""Takes a value and its place; returns what it means; raises `ApiError`."""

_PATIENCE_S = 60
"""For a whole body to arrive."""
_PLAIN = re.compile("[a-z_]{1,40}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
DEEPEST = 128
"""Levels of objects and lists; schemas of tools, which nest deepest, have some ten."""
_LARGE = 1 << 16
"""Octets; a larger body is not read on the event loop."""
_OFF: Final[tuple[object, ...]] = (None, False, {}, [])


def wrong(place: str, rule: str) -> NoReturn:
    """Refuse the value at a place.

    Raises:
        ApiError: always.
    """
    raise ApiError(400, f"{place or 'The body'} must be {rule}.", param=place or None)


@dataclass(frozen=True, slots=True)
class Refused:
    """A known field that is not served."""

    why: str
    neutral: tuple[object, ...] = ()
    """Values that ask for nothing, besides null, ``{}``, ``[]``, and false unless true does."""

    def check(self, value: object, place: str) -> None:
        """Let a neutral value pass.

        Raises:
            ApiError: the value asks for something.
        """
        inverted = any(one is True for one in self.neutral)
        off = [one for one in _OFF if one is not False or not inverted]
        for neutral in (*off, *self.neutral):
            both_numbers = isinstance(value, float) and isinstance(neutral, int | float)
            if value == neutral and (type(value) is type(neutral) or both_numbers):
                return
        raise ApiError(
            400, f"{place} is not supported: {self.why}.", code="unsupported_parameter", param=place
        )


@dataclass(frozen=True, slots=True)
class Form:
    """A JSON object: fields with their rules, and known fields that are refused.

    Null stands for a field that is not there.
    """

    fields: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    refused: Mapping[str, Refused] = field(default_factory=dict)

    def __call__(self, value: object, place: str = "") -> dict[str, Any]:
        """The fields that are there, as their rules read them; what is refused but neutral is left out.

        Raises:
            ApiError: it is no such object; names the field.
        """
        if not isinstance(value, dict):
            wrong(place, "a JSON object")
        found = {}
        inside = f"{place}." if place else ""
        for name, one in value.items():
            if name in self.fields:
                if one is not None:
                    found[name] = self.fields[name](one, inside + name)
            elif name in self.refused:
                self.refused[name].check(one, inside + name)
            else:
                self._unknown(name, inside)
        for name in self.required:
            if name not in found:
                raise ApiError(
                    400,
                    f"{inside}{name} is missing.",
                    code="missing_required_parameter",
                    param=inside + name,
                )
        return found

    @staticmethod
    def _unknown(name: str, inside: str) -> NoReturn:
        # Any other name may be somebody's words.
        shown = inside + name if _PLAIN.fullmatch(name) else None
        said = shown or f"A field of {inside.rstrip('.') or 'the body'}"
        raise ApiError(400, f"{said} is not known here.", code="unknown_parameter", param=shown)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """No key twice: readers differ in which of them counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def strict_json(text: str) -> Any:
    """JSON (RFC 8259, I-JSON) of at most `DEEPEST` levels.

    No NaN, no number beyond a double's, no key twice, no lone surrogates.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(found):
        raise ValueError
    if _SURROGATE.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def parsed(octets: bytes) -> Any:
    """A body of JSON in UTF-8; see `strict_json`.

    Raises:
        ApiError: it is none.
    """
    try:
        return strict_json(octets.decode("utf-8"))
    except ValueError:
        raise ApiError(
            400,
            f"The body cannot be read as JSON (RFC 8259, I-JSON) of at most {DEEPEST} levels.",
        ) from None


async def json_body(request: Request) -> Any:
    """The body of a request.

    Raises:
        ApiError: it is no JSON, does not say that it is, or does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "Send JSON, with the header Content-Type: application/json.")
    try:
        async with asyncio.timeout(_PATIENCE_S):
            octets = await request.body()
    except TimeoutError:
        close = {"Connection": "close"}
        raise ApiError(408, "The body did not arrive in time.", headers=close) from None
    if len(octets) > _LARGE:
        return await anyio.to_thread.run_sync(parsed, octets)
    return parsed(octets)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Do the work, unless the client leaves; for requests whose body was read.

    Raises:
        ClientDisconnect: it has left, and the work was cancelled.
    """

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
