"""The courier: takes queued messages when they are due, writes them out and hands them over.

What was handed over is written down before the next is tried; a crash in between may send one message
twice, never none. The personal part of a message is deleted once it is sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from filter_service.database import Transaction, naive
from filter_service.errors import NotFound, Refusal
from filter_service.evidence import callbacks
from filter_service.evidence.callbacks import Again, Callbacks, Delivered, StatusUpdate
from filter_service.messages.delivery import Deferred, Failed, Queued, Result, Sent, deliver
from filter_service.messages.message import Channel, Message, UnusableMessage
from filter_service.messages.senders import Sender
from filter_service.messages.texts.render import UnusableText, render, values_of
from filter_service.model import Reason, RequestKind, State
from filter_service.registry import Registry
from filter_service.store import Case
from filter_service.workflow import APPEAL_DAYS

_AT_ONCE = 50
_REST_S = 30.0
CALLBACK = "callback"
REFUSALS = {
    Reason.EXPRESSION: "freedom_of_expression",
    Reason.LEGAL_OBLIGATION: "legal_obligation",
    Reason.PUBLIC_HEALTH: "public_health",
    Reason.ARCHIVING: "archiving",
    Reason.LEGAL_CLAIMS: "legal_claims",
    Reason.SUSPECTED_FRAUD: "suspected_fraud",
    Reason.INSUFFICIENT_VERIFICATION: "insuf_verification",
    Reason.NO_MATCH: "no_match",
    Reason.CLAIM_NOT_COVERED: "claim_not_covered",
    Reason.OUTSIDE_JURISDICTION: "outside_jurisdiction",
    Reason.TOO_MANY_REQUESTS: "too_many_requests",
}
"""Reasons of a refusal -> the code of their words; all others are ``other``."""
STATUSES: Mapping[State, callbacks.Status] = {
    State.UNVERIFIED: "pending",
    State.IN_REVIEW: "in_progress",
    State.ACCEPTED: "in_progress",
    State.APPEALED: "in_progress",
    State.OBJECTED: "in_progress",
    State.REMOVAL_DUE: "in_progress",
    State.PUBLISHED: "completed",
    State.REJECTED: "completed",
    State.REMOVED: "cancelled",
    State.WITHDRAWN: "cancelled",
    State.EXPIRED: "cancelled",
}
"""Our states in the words of OpenDSR."""


class Courier:
    """Carries what `Outgoing` queued."""

    def __init__(
        self,
        registry: Registry,
        senders: Mapping[Channel, Sender],
        callbacks: Callbacks | None = None,
    ) -> None:
        self.registry = registry
        self._senders = senders
        self.callbacks = callbacks
        self._work = threading.Event()
        self._over = False
        self._thread: threading.Thread | None = None
        registry.outgoing.on_message = self._work.set

    def start(self) -> None:
        """Carry messages in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._run, name="registry-courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the message at hand."""
        self._over = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()

    def carry(self) -> int:
        """Carry everything that is due now; how many were handed over."""
        return asyncio.run(self._carry())

    def _run(self) -> None:
        while not self._over:
            self._work.clear()
            try:
                busy = self.carry() > 0
            except Exception:  # noqa: BLE001 -- whatever it was, the next message may still go
                busy = False
            if not busy:
                self._work.wait(_REST_S)

    async def _carry(self) -> int:
        done = 0
        while not self._over and (due := self._due()):
            queued: list[Queued] = []
            for row in due:
                message_id, request_id, channel, template, attempts, key_id, sealed = row
                content = self.registry.store.unseal(key_id, sealed, message_id)
                if content is None:
                    self._write(Failed(message_id, "erased"))
                elif channel == CALLBACK:
                    done += await self._call_back(message_id, request_id, content, attempts)
                else:
                    item = self._queued(
                        message_id, request_id, channel, template, content, attempts
                    )
                    if item is not None:
                        queued.append(item)
            async for result in deliver(queued, self._senders, lambda: self.registry.now):
                self._write(result)
                done += isinstance(result, Sent)
        return done

    def _due(self) -> list[tuple[Any, ...]]:
        return self.registry.database.rows(
            "SELECT message_id, request_id, channel, template, attempts, key_id, sealed "
            "FROM messages WHERE sent IS NULL AND NOT failed AND try_at <= ? "
            "ORDER BY try_at, message_id LIMIT ?",
            naive(self.registry.now),
            _AT_ONCE,
        )

    def _queued(
        self,
        message_id: UUID,
        owner: UUID,
        channel: str,
        template: str,
        content: dict[str, Any],
        attempts: int,
    ) -> Queued | None:
        try:
            name, values = self._values(owner, channel, template, content["values"])
            subject, body = render(name, content["language"], **values)
            message = Message(
                Channel(channel), content["to"], subject, body, content["language"], message_id
            )
        except (NotFound, UnusableText, UnusableMessage):
            self._write(Failed(message_id, "unusable"))
            return None
        expires = content["values"].get("expires")
        return Queued(message, attempts, datetime.fromisoformat(expires) if expires else None)

    def _values(
        self, owner: UUID, channel: str, template: str, given: Mapping[str, str]
    ) -> tuple[str, dict[str, object]]:
        """The text of a message and what is put into it."""
        settings = self.registry.settings
        values: dict[str, object] = {
            "registry": settings.controller.name,
            "contact": settings.controller.email,
        }
        if template == "operator_key":
            week = (self.registry.now + timedelta(days=7)).date()
            return template, values | {
                "operator": given["operator"],
                "link": given["link"],
                "valid_until": week,
            }
        if template == "confirm":
            until = datetime.fromisoformat(given["expires"]).date()
            return template, values | {
                "identifier": given["identifier"],
                "link": given["link"],
                "valid_until": until,
            }
        number = str(owner)
        if template == "code":
            until = datetime.fromisoformat(given["expires"])
            if channel == Channel.SMS:
                minutes = int(given["minutes"])
                return "code_sms", values | {"code": given["code"], "minutes": minutes}
            page = f"{settings.base_url}/status/{number}"
            return "code_letter", values | {
                "number": number,
                "code": given["code"],
                "page": page,
                "valid_until": until.date(),
            }
        return template, values | self._about(self.registry.store.case(owner), template, given)

    def _about(self, case: Case, template: str, given: Mapping[str, str]) -> dict[str, object]:
        """What a message about a request says."""
        settings = self.registry.settings
        file = case.opened()
        status = given["status"]
        part = "refused" if given.get("part") else "accepted" if template == "accepted" else ""
        shown = [
            self.registry.shown(case, one)
            for one in file.identities
            if not part or one.outcome == part
        ]
        files = {
            "optouts" if case.kind is RequestKind.RIGHTSHOLDER else one.audience
            for one in file.identities
            if one.outcome == "accepted"
        }
        release = given.get("release", "")
        coming, day = self.registry.releases.coming()
        reason = Reason(given["reason"]) if given["reason"] else Reason.OTHER
        known: dict[str, object] = {
            "number": str(case.request_id),
            "status_link": status,
            "deadline": _date(given.get("due")),
            "reason": "complexity" if template == "extension" else REFUSALS.get(reason, "other"),
            "identifiers": shown,
            "files": sorted(files),
            "release": release or coming,
            "release_day": day,
            "release_page": f"{settings.base_url}/releases",
            "letter": given["letter"].strip() or "–",
            "authority": settings.controller.authority,
            # Part of an accepted request is asked for again by a request of its own.
            "appeal_link": f"{settings.base_url}/request" if part == "refused" else status,
            "appeal_until": (case.changed + timedelta(days=APPEAL_DAYS)).date(),
        }
        return {name: known[name] for name in values_of(template) if name in known}

    async def _call_back(
        self, message_id: UUID, request_id: UUID, content: dict[str, Any], attempts: int
    ) -> int:
        if self.callbacks is None:
            self._write(Failed(message_id, "no-callbacks"))
            return 0
        try:
            standing = self.registry.store.case(request_id).standing
        except NotFound:
            self._write(Failed(message_id, "gone"))
            return 0
        update = StatusUpdate(
            self.registry.settings.controller.id,
            request_id,
            STATUSES[State(content["values"]["state"])],
            content["to"],
            standing.due,
        )
        try:
            outcome = await self.callbacks.send(update)
        except Refusal as refusal:
            self._write(Failed(message_id, refusal.code))
            return 0
        what = callbacks.decided(outcome, attempts, self.registry.now)
        if isinstance(what, Delivered):
            self._write(Sent(message_id))
            return 1
        if isinstance(what, Again):
            self._write(Deferred(message_id, attempts + 1, what.at, what.code))
        else:
            self._write(Failed(message_id, what.code))
        return 0

    def _write(self, result: Result) -> None:
        """Write down what became of a message."""

        def work(transaction: Transaction) -> None:
            if isinstance(result, Deferred):
                transaction.write(
                    "UPDATE messages SET attempts = ?, try_at = ? WHERE message_id = ?",
                    result.failures,
                    naive(result.at),
                    result.message_id,
                )
                return
            sent = isinstance(result, Sent)
            transaction.write(
                "UPDATE messages SET sent = ?, failed = ?, sealed = NULL WHERE message_id = ?",
                naive(transaction.now) if sent else None,
                not sent,
                result.message_id,
            )

        self.registry.database.write(work)


def _date(text: str | None) -> object:
    with suppress(ValueError):
        return datetime.fromisoformat(text or "").replace(tzinfo=UTC).date()
    return ""
