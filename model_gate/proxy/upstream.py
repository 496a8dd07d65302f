"""The engine behind the proxy: one request, a stream of JSON chunks, or one clear error.

Nothing that the engine says is passed on from here, neither its errors, which may quote the prompt,
nor its headers. Lines and answers are bounded, redirects are not followed, and nothing is
decompressed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import anyio
import httpx

from filter.errors import InputError
from model_gate.web.problems import RATE, SERVER, ApiError

LONGEST_LINE = 4 << 20
"""Octets of one event."""
CONNECT_S = 10.0
SILENCE_S = 120.0
"""Between two octets of an answer; prompts are read in silence."""
_KNOWN_ENGINES = frozenset({"vllm", "sglang", "lethe"})
"""Owners of models whose engine continues a chat's last message when it is asked to."""
_COUNTING_ENGINES = frozenset({"vllm", "sglang"})
"""Those that count in every chunk when they are asked to."""


class Upstream:
    """An engine that serves OpenAI's API."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        silence_s: float = SILENCE_S,
        connections: int = 2048,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            url: of the engine, with or without ``/v1``.
            api_key: the engine's own.
            silence_s: seconds between two octets of an answer at most.
            connections: at most; an answer that is cut may take a second one.

        Raises:
            InputError: no http or https URL.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            raise InputError("The upstream must be a URL such as http://127.0.0.1:8000.")
        path = parsed.path.rstrip("/")
        self._base = parsed.copy_with(path=path.removesuffix("/v1"), query=None, fragment=None)
        headers = {"Accept-Encoding": "identity", "User-Agent": "lethe-gate"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(silence_s, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=64),
            follow_redirects=False,
            trust_env=False,
        )
        # What an engine gives one client to keep is not handed to the next.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._known: list[dict[str, Any]] | None = None
        """Its models, once it has told them."""

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def chunks(self, path: str, body: Mapping[str, Any]) -> Chunks:
        """Ask for a stream; the engine's answer, chunk by chunk, up to ``[DONE]``.

        Raises:
            ApiError: the engine refuses, or answers with something else than a stream; what comes
                later is raised where the chunks are read.
        """
        response = await self._send("POST", path, body)
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            await _hang_up(response)
            raise not_understood()
        return Chunks(response)

    async def models(self) -> list[dict[str, Any]]:
        """What the engine serves.

        Raises:
            ApiError: as `chunks`.
        """
        response = await self._send("GET", "/v1/models", None)
        try:
            octets = b""
            async for part in _octets(response):
                octets += part
                if len(octets) > LONGEST_LINE:
                    raise not_understood()
            found = json.loads(octets)
        except (ValueError, RecursionError):
            raise not_understood() from None
        finally:
            await _hang_up(response)
        data = found.get("data") if isinstance(found, dict) else None
        if not isinstance(data, list):
            raise not_understood()
        return [one for one in data if isinstance(one, dict) and isinstance(one.get("id"), str)]

    async def continues_chats(self) -> bool:
        """Whether the engine is known to go on with a message that is not finished."""
        return bool(await self._known_owners() & _KNOWN_ENGINES)

    async def counts_as_it_goes(self) -> bool:
        """Whether the engine is known to count tokens in every chunk when it is asked to."""
        return bool(await self._known_owners() & _COUNTING_ENGINES)

    async def context(self) -> int | None:
        """Tokens that the longest context of its models holds; `None` where it does not say so."""
        found = [one.get("max_model_len") for one in await self._models()]  # vLLM, SGLang, Lethe
        known = [one for one in found if type(one) is int and one > 0]
        return max(known) if known and len(known) == len(found) else None

    async def _known_owners(self) -> frozenset[str]:
        return frozenset(str(one.get("owned_by")) for one in await self._models())

    async def _models(self) -> list[dict[str, Any]]:
        if self._known is None:
            try:
                self._known = await self.models()
            except ApiError:
                return []
        return self._known

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        request = self._client.build_request(method, url, json=body)
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise unreachable(error) from None
        if response.status_code != 200:
            await _hang_up(response)
            raise _refused(response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await _hang_up(response)
            raise not_understood()
        return response


class Chunks:
    """The chunks of one stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._read: AsyncGenerator[dict[str, Any]] = self._all()
        self._closing: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._read

    async def aclose(self) -> None:
        """Hang up, also when whoever does so is being cancelled."""
        with anyio.CancelScope(shield=True):
            with suppress(RuntimeError):  # it is being read: closing the response ends that
                await self._read.aclose()
            await self._hang_up()

    async def _hang_up(self) -> None:
        # In a task of its own: closing that is cancelled midway leaves the connection open for ever.
        if self._closing is None:
            self._closing = asyncio.ensure_future(_hang_up(self._response))
        await asyncio.shield(self._closing)

    async def _all(self) -> AsyncGenerator[dict[str, Any]]:
        try:
            async for line in _lines(self._response):
                if not line or line.startswith((b":", b"event:", b"id:", b"retry:")):
                    continue
                if not line.startswith(b"data:"):
                    raise not_understood()
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                try:
                    chunk = json.loads(data)
                except (ValueError, RecursionError):
                    raise not_understood() from None
                if not isinstance(chunk, dict):
                    raise not_understood()
                if chunk.get("error") is not None:
                    raise failed()
                yield chunk
            raise broken_off()
        finally:
            await self._hang_up()


async def _hang_up(response: httpx.Response) -> None:
    """Close it, and let go of the prompt.

    A response and its stream know each other, and the request with its body: without this a prompt
    would stay in memory until Python next looks for cycles, hundreds of answers later.
    """
    await response.aclose()
    response.stream = httpx.ByteStream(b"")


async def _octets(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_raw():
            yield part
    except httpx.TimeoutException:
        raise silent() from None
    except httpx.HTTPError:
        raise broken_off() from None


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines, ended by LF or CR LF, however they arrive."""
    rest = b""
    async for part in _octets(response):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")
        if len(rest) > LONGEST_LINE:
            raise not_understood()
        await asyncio.sleep(0)  # one fast engine must not starve the others
    if rest:
        yield rest.rstrip(b"\r")


def unreachable(error: httpx.HTTPError) -> ApiError:
    """No connection, or none in time."""
    if isinstance(error, httpx.TimeoutException):
        return silent()
    return ApiError(
        502, "The engine behind this gate cannot be reached: try again.", SERVER, "upstream_down"
    )


def silent() -> ApiError:
    """Nothing came for too long."""
    return ApiError(
        504, "The engine behind this gate does not answer: try again.", SERVER, "upstream_timeout"
    )


def broken_off() -> ApiError:
    """The stream ended before the answer did."""
    message = "The engine behind this gate broke off: what it had begun is dropped, try again."
    return ApiError(502, message, SERVER, "upstream_broke_off")


def failed() -> ApiError:
    """The engine says that it failed."""
    message = "The engine behind this gate failed in the middle of the answer: try again."
    return ApiError(502, message, SERVER, "upstream_failed")


def not_understood() -> ApiError:
    """Not what an engine with OpenAI's API says."""
    message = "The engine behind this gate answered what cannot be understood, so nothing goes out."
    return ApiError(502, message, SERVER, "upstream_not_understood")


def _refused(response: httpx.Response) -> ApiError:
    status = response.status_code
    after = response.headers.get("Retry-After", "")
    headers = {"Retry-After": after} if after.isdigit() else {}
    if status == 429:
        message = "The engine behind this gate has too much to do: try again later."
        return ApiError(429, message, RATE, "upstream_busy", headers=headers)
    if status in (401, 403):
        message = "The engine behind this gate asks for a key that the gate does not have."
        return ApiError(502, message, SERVER, "upstream_key")
    if status == 404:
        message = "The engine behind this gate has no such model or route: see /v1/models."
        return ApiError(404, message, code="model_not_found", param="model")
    if 400 <= status < 500:
        message = "The engine behind this gate does not take this request: it may be too long for its context."
        return ApiError(400, message, code="upstream_refused")
    message = "The engine behind this gate cannot answer now: try again."
    shown = 503 if status == 503 else 502
    return ApiError(shown, message, SERVER, "upstream_failed", headers=headers)
