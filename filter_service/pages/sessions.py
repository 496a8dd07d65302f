"""Reviewers' sessions: who has signed in, for how long, and how forms show that they are theirs.

A session lives in this process; a restart ends all of them. The cookie holds a random number and a signature,
never the key. Whether the key is still good is asked each time, so a revoked one opens nothing more.
Ends: 30 minutes after the last page, 8 hours after signing in, or by signing out (OWASP ASVS 5.0, 7.3).
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from filter_service.access import Access, Scope
from filter_service.registry import Registry

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=8)
MOST = 10
"""Sessions of one key; the oldest ends when another begins."""
_ID_BYTES = 32


@dataclass
class _Session:
    access_id: UUID
    since: datetime
    seen: datetime


@dataclass(frozen=True)
class Signed:
    """A reviewer who has signed in."""

    access: Access
    session_id: str
    token: str
    """What each of the session's forms must carry."""

    @property
    def reviewer(self) -> str:
        """Id by which decisions are known."""
        return str(self.access.access_id)

    @property
    def actor(self) -> str:
        """The same as it stands in the audit trail."""
        return f"reviewer:{self.reviewer}"


class Sessions:
    """All sessions of one application."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._known: dict[str, _Session] = {}
        self.secure = registry.settings.base_url.startswith("https://")
        # RFC 6265bis, section 4.1.3.2: such a name binds the cookie to this host and to https.
        self.cookie = "__Host-lethe-review" if self.secure else "lethe-review"

    def begin(self, key: str) -> str:
        """The cookie's value for a reviewer's key; always a new session.

        Raises:
            NotAllowed: no such key, or not a reviewer's; nobody can tell which.
        """
        access = self._registry.access.allowed(key, Scope.REVIEW)
        now = self._registry.now
        session_id = os.urandom(_ID_BYTES).hex()
        with self._lock:
            self._forget_old(now)
            mine = [name for name, one in self._known.items() if one.access_id == access.access_id]
            if len(mine) >= MOST:
                del self._known[mine[0]]
            self._known[session_id] = _Session(access.access_id, now, now)
        return f"{session_id}.{self._signature('cookie', session_id)}"

    def of(self, cookies: Mapping[str, str]) -> Signed | None:
        """Who sends these cookies; `None` for nobody who is signed in."""
        session_id = self._checked(cookies.get(self.cookie, ""))
        now = self._registry.now
        with self._lock:
            self._forget_old(now)
            session = self._known.get(session_id)
            if session is None:
                return None
            access = self._valid(session.access_id, now)
            if access is None:
                del self._known[session_id]
                return None
            session.seen = now
        return Signed(access, session_id, self._signature("form", session_id))

    def end(self, cookies: Mapping[str, str]) -> None:
        """Sign out."""
        with self._lock:
            self._known.pop(self._checked(cookies.get(self.cookie, "")), None)

    def _checked(self, value: str) -> str:
        """The session that a cookie names, if we signed it."""
        session_id, _, signature = value.partition(".")
        expected = self._signature("cookie", session_id)
        return session_id if hmac.compare_digest(expected.encode(), signature.encode()) else ""

    def _signature(self, purpose: str, session_id: str) -> str:
        return self._registry.store.keyed_digest(f"session {purpose}", session_id.encode()).hex()

    def _valid(self, access_id: UUID, now: datetime) -> Access | None:
        for access in self._registry.access.all():
            if access.access_id == access_id:
                over = access.expires is not None and now >= access.expires
                return None if access.revoked or over else access
        return None

    def _forget_old(self, now: datetime) -> None:
        over = [
            name
            for name, one in self._known.items()
            if now >= one.seen + IDLE or now >= one.since + LONGEST
        ]
        for name in over:
            del self._known[name]
