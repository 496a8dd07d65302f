"""What one client may ask for: keys, sizes of bodies, and prompts that name somebody who is listed.

A named prompt tells its sender that the name is listed, so a client has only so many. When they are used
up, all of its prompts wait: were only the named ones refused, the refusal would tell the same.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filter.errors import InputError
from model_gate.errors import PromptTooLong
from model_gate.prompts import Turn
from model_gate.web.problems import RATE, ApiError

LARGEST_BODY = 4 << 20
"""Octets."""
CHARACTERS_OF_TOKEN = 16
"""More than a token of a long text has on the average, in any language and vocabulary."""
_CHARACTERS_OF_STRING = 4
"""What every string of a prompt counts besides its own: quotes and commas are tokens as well."""
_CLIENTS = 16384
_HOUR_S = 3600.0


def size_of(turns: Iterable[Turn]) -> int:
    """Characters of a prompt, each of its strings counted with what stands around it."""
    return sum(len(turn.text) + _CHARACTERS_OF_STRING for turn in turns)


def check_size(size: int, at_most: int) -> None:
    """Call it before a prompt is heard, which takes longer the longer it is.

    Raises:
        PromptTooLong: more characters (`size_of`) than are read.
    """
    if size > at_most:
        raise PromptTooLong(
            f"The prompt has more than the {at_most} characters that are read here: shorten it."
        )


class NamedPrompts:
    """How many listed names each client may still hit. Safe for several threads.

    Each client has a bucket of ``per_hour`` that fills up again within an hour. Memory is bounded: of more than
    16,384 clients the one that was quiet for longest starts afresh.
    """

    def __init__(self, per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_hour = per_hour
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Client -> (left, when that was)."""
        self._lock = Lock()

    def check(self, client: str) -> None:
        """Call it before a prompt is looked at.

        Raises:
            ApiError: 429, this client has used up what it had.
        """
        with self._lock:
            left = self._now(client)
        if left < 1:
            self._refuse(left)

    def charge(self, client: str, named: int) -> None:
        """Call it with the listed names that were found in a prompt, before it is answered.

        Raises:
            ApiError: 429, they are more than this client has left.
        """
        if named <= 0:
            return
        with self._lock:
            left = self._now(client)
            self._left[client] = (max(0.0, left - named), self._clock())
            self._left.move_to_end(client)
            while len(self._left) > _CLIENTS:
                self._left.popitem(last=False)
        if left < min(named, max(1, self._per_hour)):
            self._refuse(left - named)

    def _now(self, client: str) -> float:
        left, since = self._left.get(client, (float(self._per_hour), 0.0))
        filled = left + (self._clock() - since) * self._per_hour / _HOUR_S
        return min(float(self._per_hour), filled)

    def _refuse(self, left: float) -> None:
        missing = min(1 - left, max(1.0, float(self._per_hour)))
        seconds = missing * _HOUR_S / self._per_hour if self._per_hour else _HOUR_S
        raise ApiError(
            429,
            "Prompts of this client have named listed persons too often: try again later.",
            RATE,
            "named_prompts",
            headers={"Retry-After": str(math.ceil(seconds))},
        )


class ApiKeys:
    """Keys that are accepted; of each only the digest is held."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    @classmethod
    def read(cls, path: Path) -> ApiKeys:
        """Keys of a file, one a line; empty lines and those that begin with # are left out.

        Raises:
            InputError: it cannot be read, holds none, or one that is too short to be a secret.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            raise InputError(
                f"{path} cannot be read: name a file with one key a line for --api-key-file."
            ) from None
        keys = [line.strip() for line in lines]
        keys = [key for key in keys if key and not key.startswith("#")]
        if not keys:
            raise InputError(f"{path} holds no key: write one key a line.")
        if any(len(key) < 16 or not key.isascii() or not key.isprintable() for key in keys):
            raise InputError(f"{path}: a key is at least 16 visible ASCII characters.")
        return cls(keys)

    def knows(self, key: str) -> bool:
        """Whether it is one of them; takes equally long for every key."""
        digest = hashlib.sha256(key.encode()).digest()
        found = [hmac.compare_digest(digest, one) for one in self._digests]
        return any(found)


def bearer(scope: Scope) -> str | None:
    """The key that a request bears (RFC 6750)."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def client_of(scope: Scope, *, keyed: bool) -> str:
    """Who asks, as a digest: the key where keys are asked for, or else the address (IPv6: its /64).

    ``Forwarded`` headers are not believed: behind another proxy, give out keys.
    """
    key = bearer(scope) if keyed else None
    if key is None:
        host = (scope.get("client") or ("", 0))[0]
        try:
            address = ipaddress.ip_address(host)
            bits = 64 if address.version == 6 else 32
            key = str(ipaddress.ip_network((address, bits), strict=False))
        except ValueError:
            key = ""
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """Asks for a key on every route but those that are open."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, opened: frozenset[str]) -> None:
        self.app = app
        self._keys = keys
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and scope["path"] not in self._opened:
            key = bearer(scope)
            if key is None or not self._keys.knows(key):
                refused = ApiError(
                    401,
                    "This gate asks for a key: send Authorization: Bearer with one that it knows.",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await refused.response(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large, by what they say of themselves and by what arrives."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self.app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._largest:
            await self._too_large().response(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            if message["type"] == "http.request":
                arrived += len(message.get("body", b""))
                if arrived > self._largest:
                    raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _too_large(self) -> ApiError:
        close = {"Connection": "close"}
        return ApiError(413, f"Send at most {self._largest} octets at once.", headers=close)
