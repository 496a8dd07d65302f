"""How often a client may ask.

Each client has an allowance of its own, so nobody can use up another's: by address (of IPv6 the /64
network), for reading and writing apart; or by key, where a good one is shown. The count is the
generic cell rate algorithm (ITU-T I.371, annex A): a whole allowance may be spent at once and comes back
evenly. Whoever is refused has spent nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filter_service.api.authority import ACCESS, bearer
from filter_service.api.clients import Clients
from filter_service.api.problems import answer
from filter_service.api.service import Service
from filter_service.errors import NotAllowed, UnsafeSettings

CLIENT = "lethe.client"
"""Where in a scope the client stands."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_KNOWN = 200_000
"""Clients whose counts are kept; whoever has waited longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of an allowance there is after a request."""

    taken: bool
    left: int
    wait_s: float
    """Until the next one is allowed."""
    full_s: float
    """Until all of it is back."""


class Rate:
    """Counts one kind of request; for one thread."""

    def __init__(
        self, name: str, most: int, period_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """At most ``most`` in ``period_s``.

        Raises:
            UnsafeSettings: nobody could ask for anything.
        """
        if most < 1:
            raise UnsafeSettings("All limits must be 1 or more: correct those that are not.")
        self.name = name
        self.most = most
        self.period_s = period_s
        self._every = period_s / most
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def take(self, who: str) -> Allowance:
        """Count a request, if it is allowed."""
        now = self._clock()
        full_at = max(now, self._full_at.get(who, now))
        after = full_at + self._every
        # Sums of fractions are not exact.
        if after - now > self.period_s + self._every * 1e-6:
            return Allowance(
                taken=False, left=0, wait_s=after - now - self.period_s, full_s=full_at - now
            )
        if who not in self._full_at and len(self._full_at) >= _MOST_KNOWN:
            self._forget(now)
        self._full_at[who] = after
        left = int((self.period_s - (after - now)) / self._every + 1e-6)
        return Allowance(taken=True, left=left, wait_s=0, full_s=after - now)

    def _forget(self, now: float) -> None:
        """Forget who has a whole allowance again, and at least half."""
        by_time = sorted(self._full_at.items(), key=lambda item: item[1])
        kept = by_time[len(by_time) // 2 :]
        self._full_at = {who: full_at for who, full_at in kept if full_at > now}


class Limited:
    """Refuses who asks too often, and says to everybody how much is left."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        clients: Clients,
        known: list[Callable[[Scope], UUID | None]],
        writing: list[Callable[[Scope], bool]],
    ) -> None:
        """``known`` tell who signed in otherwise than by a key in a header.

        A request counts as a write if its method is one and all of ``writing`` say so.
        """
        limits = service.registry.settings.limits
        self.app = app
        self._access = service.registry.access
        self._clients = clients
        self._known = known
        self._writing = writing
        self._writes = Rate("writes", limits.requests_an_hour_by_address, 3600)
        self._reads = Rate("reads", limits.reads_a_minute_by_address, 60)
        self._keys = Rate("key", limits.requests_a_minute_by_key, 60)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        client = self._clients.of(scope)
        scope[CLIENT] = client
        known = self._who(scope)
        if known is not None:
            rate, who = self._keys, str(known)
        else:
            rate = self._writes if self._writes_something(scope) else self._reads
            who = client.counted_as
        allowance = rate.take(who)
        # draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4
        headers = {
            "RateLimit-Policy": f'"{rate.name}";q={rate.most};w={rate.period_s:.0f}',
            "RateLimit": f'"{rate.name}";r={allowance.left};t={math.ceil(allowance.full_s)}',
        }
        if not allowance.taken:
            headers["Retry-After"] = str(max(1, math.ceil(allowance.wait_s)))
            refused = answer(
                429, "too_often", "You ask too often: wait as long as is said.", headers=headers
            )
            await refused(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"]).update(headers)
            await send(message)

        await self.app(scope, receive, counted)

    def _writes_something(self, scope: Scope) -> bool:
        return scope["method"] not in READING and all(says(scope) for says in self._writing)

    def _who(self, scope: Scope) -> UUID | None:
        token = bearer(scope)
        if token is not None:
            try:
                access = self._access.authenticated(token)
            except NotAllowed:
                return None
            scope[ACCESS] = access
            return access.access_id
        for tell in self._known:
            found = tell(scope)
            if found is not None:
                return found
        return None
