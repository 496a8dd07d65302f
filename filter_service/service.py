"""The service put together: a registry, its courier, its gate, what it serves; no web framework."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filter_service import figures, retention
from filter_service.clean_sample import CleanSample, builtin
from filter_service.compile_gate import judge, prepare
from filter_service.courier import Courier
from filter_service.errors import WrongState
from filter_service.evidence.callbacks import Callbacks, registrable
from filter_service.evidence.domain_control import Confirmed, DomainControl, Method
from filter_service.evidence.names import Names
from filter_service.judgement import Verdict
from filter_service.messages import Channel, OutboxSender, Sender, SmtpSender, SmtpSettings
from filter_service.messages.outbox import erase, purge
from filter_service.messages.smtp import Security
from filter_service.model import Evidence
from filter_service.preview import preview
from filter_service.publication import ROOT, refresh
from filter_service.registry import Registry, StatusView
from filter_service.review import Gate
from filter_service.safe_http import SafeHttp
from filter_service.settings import Settings, load
from filter_service.store import secret_key

OUTBOX = "outbox"
CALLBACK_KEY = "callback-1"
"""Id of the key that callbacks are signed with."""
PUBLISHED = "published"
_WAYS = {Method.DNS: Evidence.DNS, Method.FILE: Evidence.WELL_KNOWN}
_DAY_S = 24 * 3600.0


def gate(regions: Collection[str], sample: CleanSample) -> Gate:
    """What speaks against listing an entry, for `Registry`."""

    def against(kind: str, text: str) -> tuple[str, str] | None:
        found = judge(kind, text, regions=regions, sample=sample)
        return None if found.verdict is Verdict.ALLOWED else (found.verdict.value, found.sentence)

    return against


class Service:
    """Everything of a registry folder that runs while it is served."""

    def __init__(
        self, registry: Registry, *, names: Names | None = None, http: SafeHttp | None = None
    ) -> None:
        """``names`` and ``http`` ask the domain name system and other people's servers."""
        self.registry = registry
        self.settings = registry.settings
        self.published = registry.folder / PUBLISHED
        self.courier = Courier(registry, senders(registry.folder, self.settings))
        self._names = names or Names()
        self._http = http or SafeHttp(self._names)
        registry.store.on_erased = self._unsent
        self._sample = sample_of(self.settings)
        self._over = threading.Event()
        self._kept = False
        self.troubles = ""
        """What kept the last daily housekeeping from its work, as the name of an error."""
        self._janitor = threading.Thread(target=self._daily, name="registry-janitor", daemon=True)
        if self.settings.callbacks:
            key = Ed25519PrivateKey.from_private_bytes(
                secret_key(registry.folder / "keys" / "callback.key")
            )
            self.courier.callbacks = Callbacks(
                self._http, key, CALLBACK_KEY, self.settings.callbacks
            )

    @classmethod
    def open(
        cls,
        folder: Path,
        settings: Settings | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        """Open a registry folder with the compile gate in place.

        Raises:
            UnusableFolder, UnsafeSettings: says what to do.
        """
        settings = settings or load(folder)
        agreed = tuple(registrable(one) for one in settings.callbacks)
        settings = replace(settings, callbacks=agreed)
        against = gate(settings.regions, sample_of(settings))
        registry = Registry.open(folder, settings=settings, clock=clock, gate=against)
        try:
            return cls(registry)
        except BaseException:
            registry.close()
            raise

    def start(self) -> None:
        """Begin to carry messages and to keep house."""
        self.courier.start()
        self._janitor.start()
        threading.Thread(target=prepare, name="registry-words", daemon=True).start()

    def close(self) -> None:
        """Stop, finishing what was begun."""
        self._over.set()
        self.courier.stop()
        if self._janitor.is_alive():
            self._janitor.join()
        self.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def check_domain(self, request_id: UUID, position: int) -> StatusView:
        """Look for a rightsholder's challenge, by DNS and then by file; takes seconds.

        Raises:
            WrongState: nothing is asked for, or it is not there; the code says why.
        """
        challenge = self.registry.domain_challenge(request_id, position)
        if challenge is None:
            raise WrongState("no_challenge", "No control of a domain is asked for here.")
        host, token = challenge
        control = DomainControl(self._names, self._http)
        code = ""
        for method, evidence in _WAYS.items():
            found = asyncio.run(control.check(method, host, f"lethe-verification={token}"))
            if isinstance(found, Confirmed):
                return self.registry.domain_confirmed(request_id, position, evidence)
            code = code or found.code
        raise WrongState(
            f"domain_{code}".replace("-", "_"),
            "The challenge was not found yet: set it up, wait, retry.",
        )

    def preview(self, kind: str, text: str) -> dict[str, Any]:
        """What a filter would catch of an entry, and what harm it would do."""
        return preview(kind, text, self.settings.regions, sample=self._sample).as_dict()

    def judge(self, kind: str, text: str) -> dict[str, str]:
        """What the compile gate says of an entry."""
        found = judge(kind, text, regions=self.settings.regions, sample=self._sample)
        return {
            "verdict": found.verdict.value,
            "reason": str(found.reason or ""),
            "sentence": found.sentence,
        }

    def figures(self) -> dict[str, Any]:
        """Public figures."""
        return figures.figures(self.registry)

    def releases(self) -> list[dict[str, Any]]:
        """Published releases, newest first."""
        return [
            {
                "release": one.release,
                "published": one.published.isoformat() if one.published else None,
                "digests": one.digests,
                "notes": one.notes,
                "previous": one.previous,
            }
            for one in self.registry.releases.published()
        ]

    def health(self) -> dict[str, Any]:
        """Whether requests can be taken, and what somebody should look at."""
        database = self.registry.database
        waiting = database.row(
            "SELECT count(*) FILTER (WHERE sent IS NULL AND NOT failed), "
            "count(*) FILTER (WHERE failed), "
            "min(try_at) FILTER (WHERE sent IS NULL AND NOT failed) FROM messages"
        )
        queue = database.row(
            "SELECT count(*), min(due) FROM requests "
            "WHERE state IN ('in_review', 'appealed', 'objected')"
        )
        assert waiting is not None
        assert queue is not None
        now = self.registry.now
        newest = next(iter(self.registry.releases.published()), None)
        return {
            "writer": database.is_alive(),
            "troubles": self.troubles,
            "messages_waiting": waiting[0],
            "messages_failed": waiting[1],
            "queue": queue[0],
            "days_left": (queue[1].replace(tzinfo=UTC) - now).days if queue[1] else None,
            "unverified": self.registry.store.directory.unverified,
            "audit_length": database.head.length,
            "release": newest.release if newest else None,
            "release_days": (now - newest.published).days if newest and newest.published else None,
        }

    def _unsent(self, messages: Collection[UUID]) -> None:
        """Delete what lies in the outbox of an erased case."""
        with suppress(OSError):  # the daily housekeeping tries again
            erase(self.registry.folder / OUTBOX, messages)

    def _daily(self) -> None:
        while not self._over.wait(_DAY_S if self._kept else 0):
            self.troubles = ""
            for work in (self.keep_house, self._refresh):
                try:
                    work()
                except Exception as error:  # noqa: BLE001 -- tomorrow again, but somebody must know
                    self.troubles = type(error).__name__
            self._kept = True

    def _refresh(self) -> None:
        if (self.published / ROOT).exists():
            refresh(self)

    def keep_house(self) -> retention.Done:
        """Expire, erase, delete; done once a day while serving."""
        done = retention.run(self.registry, self.registry.folder / "key-backups")
        self._unsent(
            [
                row[0]
                for row in self.registry.database.rows(
                    "SELECT message_id FROM messages JOIN requests USING (request_id) "
                    "WHERE requests.sealed IS NULL"
                )
            ]
        )
        before = self.registry.now - timedelta(days=self.settings.retention.messages)
        purge(self.registry.folder / OUTBOX, before)
        return done


def sample_of(settings: Settings) -> CleanSample:
    """The clean sample that an installation chose.

    Raises:
        UnusableSample: it cannot be read.
    """
    return CleanSample.read(Path(settings.clean_sample)) if settings.clean_sample else builtin()


def senders(folder: Path, settings: Settings) -> dict[Channel, Sender]:
    """By which way messages leave: e-mail by SMTP where it is set up, all else to the outbox."""
    smtp = settings.smtp
    box = OutboxSender(folder / OUTBOX, smtp.sender or settings.controller.email)
    mail: Sender = box
    if smtp.host:
        mail = SmtpSender(
            SmtpSettings(
                smtp.host,
                smtp.sender,
                security=cast("Security", smtp.security),
                port=smtp.port,
                user=smtp.user,
                password=os.environ.get(smtp.password_variable, ""),
            )
        )
    return {Channel.EMAIL: mail, Channel.SMS: box, Channel.LETTER: box}
