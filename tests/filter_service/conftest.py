"""The pages as people meet them: a registry, its pages behind a real server, a browser without a screen."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import uvicorn
from fastapi import FastAPI

from filter_service import figures
from filter_service.access import Role
from filter_service.compile_gate import judge
from filter_service.errors import WrongState
from filter_service.judgement import Verdict
from filter_service.model import Evidence, RequestKind
from filter_service.pages import Site, add_to
from filter_service.preview import preview
from filter_service.registry import Receipt, Registry, StatusView, Submission
from filter_service.review import Outcome
from filter_service.settings import Controller, Settings

CHROMIUM = "/usr/bin/chromium"
NOON = datetime(2026, 7, 6, 12, tzinfo=UTC)
SOMEBODY = (
    ("email", "jane.doe@example.org", None),
    ("phone", "044 668 18 00", "operators"),
    ("name", "Jane Doebler-Zgraggen", None),
    ("postal_address", "Seestrasse 5, 8001 Zürich", None),
)
RELEASES = [
    {
        "release": "2026.2.0",
        "published": "2026-07-01T09:00:00+00:00",
        "digests": {"public": "0f" * 32, "operators": "a1" * 32},
        "previous": None,
        "notes": {
            "public": {
                "valid_until": "2027-04-02",
                "kinds": {
                    "email": {"entries": "about 1,200", "k": 15, "dollars_card": 65.36},
                    "phone": {"entries": "under 10", "k": 24, "dollars_card": 6.54},
                },
                "phrases": {},
            },
            "operators": {
                "valid_until": "2027-04-02",
                "kinds": {"email": {"entries": "about 1,200", "k": 15, "dollars_card": 65.36}},
                "phrases": {"name": "about 430", "url": "under 10"},
            },
        },
    },
    {
        "release": "2025.2.0",
        "published": "2025-07-01T09:00:00+00:00",
        "digests": {"public": "77" * 32},
        "previous": None,
        "notes": {"public": {"valid_until": "2026-04-02", "kinds": {}, "phrases": {}}},
    },
]
FIGURES = {
    "requests": 840,
    "months": {
        f"2026-0{month}": {
            "erasure.published": 20 * month + 7,
            "erasure.accepted": None if month == 3 else 0,
            "erasure.rejected": None if month % 2 else 14,
            "erasure.in_review": 11 if month == 6 else 0,
            "erasure.withdrawn": None,
            "erasure.expired": None if month == 2 else 0,
            "rightsholder.accepted": 13,
        }
        for month in range(1, 8)
    },
    "states": {},
    "kinds": {"email": 412, "name": 260, "phone": None, "domain": 91},
    "median_days_to_decision": 11.5,
    "overdue": None,
    "releases": [],
    "as_of": "2026-07-06",
}


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **how: float) -> None:
        self.now += timedelta(**how)


def gate(kind: str, text: str) -> tuple[str, str] | None:
    found = judge(kind, text)
    return None if found.verdict is Verdict.ALLOWED else (found.verdict.value, found.sentence)


class PagesService:
    """What stands behind the pages, over a real registry; the domain name system is a mapping."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.published = registry.folder / "published"
        self.zone: dict[str, str] = {}
        self.shown_releases: list[dict[str, Any]] = []
        self.shown_figures: dict[str, Any] | None = None

    def check_domain(self, request_id: UUID, position: int) -> StatusView:
        challenge = self.registry.domain_challenge(request_id, position)
        if challenge is None:
            raise WrongState("no_challenge", "No control of a domain is asked for here.")
        host, token = challenge
        if self.zone.get(f"_lethe.{host}") != f"lethe-verification={token}":
            raise WrongState("domain_no_record", "The challenge was not found yet.")
        return self.registry.domain_confirmed(request_id, position, Evidence.DNS)

    def judge(self, kind: str, text: str) -> dict[str, str]:
        found = judge(kind, text)
        return {
            "verdict": found.verdict.value,
            "reason": str(found.reason or ""),
            "sentence": found.sentence,
        }

    def preview(self, kind: str, text: str) -> dict[str, Any]:
        return preview(kind, text).as_dict()

    def figures(self) -> dict[str, Any]:
        return self.shown_figures or figures.figures(self.registry)

    def releases(self) -> list[dict[str, Any]]:
        return self.shown_releases


class PagesWorld:
    """A registry with pages, and what people do outside of them."""

    releases = RELEASES
    figures = FIGURES

    def __init__(self, folder: Path, base_url: str) -> None:
        self.clock = Clock()
        settings = Settings(
            base_url=base_url,
            kdf="testing",
            controller=Controller(
                id="office",
                name="Office for Forgotten Data",
                address="Quellenweg 1, 3000 Bern",
                privacy_notice="https://office.example/privacy",
            ),
        )
        self.registry = Registry.open(folder, settings=settings, clock=self.clock, gate=gate)
        self.service = PagesService(self.registry)
        self.app = FastAPI()
        self.site: Site = add_to(self.app, self.service)
        self.base_url = base_url

    def close(self) -> None:
        self.registry.close()

    def messages(self, request_id: UUID | None = None) -> list[tuple[str, str, dict[str, Any]]]:
        """Channel, template and content of what was queued, oldest first."""
        found = []
        for mid, channel, template, key, sealed, owner in self.registry.database.rows(
            "SELECT message_id, channel, template, key_id, sealed, request_id FROM messages "
            "ORDER BY queued, rowid"
        ):
            content = self.registry.store.unseal(key, sealed, mid)
            if content is not None and request_id in (None, owner):
                found.append((channel, template, content))
        return found

    def link(self, template: str, request_id: UUID | None = None) -> str:
        """The path of the newest link in a message."""
        values = [c["values"] for _, name, c in self.messages(request_id) if name == template]
        return urlsplit(values[-1].get("link") or values[-1]["status"]).path

    def code(self, request_id: UUID, channel: str) -> str:
        """The newest code that was sent."""
        found = self.messages(request_id)
        return [c["values"]["code"] for ch, name, c in found if name == "code" and ch == channel][
            -1
        ]

    def reviewer(self, who: str) -> tuple[str, str]:
        """Id and key of a new reviewer."""
        access, key = self.registry.access.create(Role.REVIEWER, who, "admin")
        return str(access.access_id), key

    def submitted(
        self,
        identities: Any = SOMEBODY,
        *,
        kind: RequestKind = RequestKind.ERASURE,
        language: str = "en",
        message: str = "",
        confirmed: bool = True,
    ) -> Receipt:
        """A request, confirmed by its contact address unless told otherwise."""
        request_id = uuid4()
        receipt = self.registry.submit(
            Submission(
                request_id,
                kind,
                list(identities),
                f"box-{request_id.hex[:8]}@example.org",
                language,
                message=message,
            )
        )
        if confirmed:
            token = self.link("confirm", request_id).rsplit("/", 1)[1]
            self.registry.confirm_contact(request_id, token)
        return receipt

    def decided(self, receipt: Receipt, *, accepted: bool, by: str = "first") -> None:
        """Decide all identities of a request in one way; what they need was seen."""
        from filter_service.model import Reason

        count = len(self.registry.store.case(receipt.request_id).opened().identities)
        reason = Reason.GRANTED if accepted else Reason.EXPRESSION
        outcomes = [Outcome(n, accepted, reason, "seen", accepted) for n in range(count)]
        self.registry.review.decide(receipt.request_id, by, outcomes, "Words of a reviewer.")

    def path(self, receipt: Receipt, language: str = "en") -> str:
        """Of the page of a request."""
        return f"/{language}/status/{receipt.request_id}/{receipt.secret}"


@contextmanager
def served(world: PagesWorld, listener: socket.socket) -> Iterator[None]:
    """A real server for the pages."""
    config = uvicorn.Config(world.app, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[PagesWorld]:
    """Pages without a server."""
    world = PagesWorld(tmp_path / "registry", "http://127.0.0.1:8000")
    yield world
    world.close()


@pytest.fixture(scope="module")
def served_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesWorld]:
    """Pages at an address, for the tests of a module."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        world = PagesWorld(tmp_path_factory.mktemp("served") / "registry", base_url)
        with served(world, listener):
            yield world
        world.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a screen."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
