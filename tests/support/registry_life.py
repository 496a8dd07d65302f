"""A registry to be tested, and people who use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from filter_service.model import Evidence, RequestKind
from filter_service.registry import Receipt, Registry, Submission
from filter_service.review import Outcome
from filter_service.settings import Settings

SETTINGS = Settings(kdf="testing")
JANE = [("email", "jane.doe@example.org", None), ("name", "Jane Doebler-Zgraggen", None)]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


class Life:
    """A registry with a clock, and short ways to bring requests where a test needs them."""

    def __init__(self, folder: Path, settings: Settings = SETTINGS) -> None:
        self.clock = Clock()
        self.folder = folder
        self.settings = settings
        self.registry = Registry.open(folder, settings=settings, clock=self.clock)

    def reopen(self) -> None:
        self.registry.close()
        self.registry = Registry.open(self.folder, settings=self.settings, clock=self.clock)

    def close(self) -> None:
        self.registry.close()

    def submit(
        self,
        identities: Any = JANE,
        email: str = "jane.doe@example.org",
        kind: RequestKind = RequestKind.ERASURE,
    ) -> Receipt:
        return self.registry.submit(Submission(uuid4(), kind, identities, email))

    def messages(self, request_id: UUID | None = None) -> list[tuple[str, str, dict[str, Any]]]:
        """Channel, template and content of what is queued and not erased, oldest first."""
        store = self.registry.store
        found = []
        for message_id, owner, channel, template, key_id, sealed in self.registry.database.rows(
            "SELECT message_id, request_id, channel, template, key_id, sealed FROM messages "
            "ORDER BY queued, try_at"
        ):
            content = store.unseal(key_id, sealed, message_id)
            if content is not None and request_id in (None, owner):
                found.append((channel, template, content))
        return found

    def confirm(self, receipt: Receipt) -> None:
        link = next(
            content["values"]["link"]
            for _, template, content in self.messages(receipt.request_id)
            if template == "confirm"
        )
        self.registry.confirm_contact(receipt.request_id, link.rpartition("/")[2])

    def accept(self, receipt: Receipt, reviewers: tuple[str, str] = ("ada", "bob")) -> None:
        case = self.registry.store.case(receipt.request_id)
        for position in range(len(case.opened().identities)):
            if self.registry.domain_challenge(receipt.request_id, position) is not None:
                self.registry.domain_confirmed(receipt.request_id, position, Evidence.DNS)
        outcomes = [
            Outcome(n, accepted=True, note="seen", seen=True)
            for n in range(len(case.opened().identities))
        ]
        for reviewer in reviewers:
            if self.registry.store.case(receipt.request_id).standing.state == "in_review":
                self.registry.review.decide(receipt.request_id, reviewer, outcomes)

    def accepted(self, identities: Any = JANE, email: str = "jane.doe@example.org") -> Receipt:
        receipt = self.submit(identities, email)
        self.confirm(receipt)
        self.accept(receipt)
        return receipt

    def release(self, name: str | None = None) -> str:
        made = self.registry.releases.compile(name, urgent="a test")
        self.registry.releases.check_publishable(made.release)
        self.registry.releases.enter_published(made.release)
        return made.release

    def state(self, receipt: Receipt) -> str:
        return self.registry.status(receipt.request_id, receipt.secret).standing.state.value
