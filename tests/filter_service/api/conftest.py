"""A registry that is served for real, on 127.0.0.1, with a clock that tests may turn."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from filter_service.access import Role, Scope
from filter_service.api import config, create_app
from filter_service.api.logs import log_to
from filter_service.api.serving import listening
from filter_service.errors import WrongState
from filter_service.model import Evidence
from filter_service.registry import Registry, StatusView
from filter_service.service import Service
from filter_service.settings import Limits, Settings

GENEROUS = Limits(requests_an_hour_by_address=100_000, reads_a_minute_by_address=100_000)
SETTINGS = Settings(kdf="testing", limits=GENEROUS, callbacks=("https://agent.example.org/told",))


class Clock:
    """The registry's clock."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Behind(Service):
    """The service, with a zone of its own in place of the domain name system."""

    def __init__(self, registry: Registry, **others: Any) -> None:
        super().__init__(registry, **others)
        self.zone: dict[str, str] = {}

    def check_domain(self, request_id: UUID, position: int) -> StatusView:
        challenge = self.registry.domain_challenge(request_id, position)
        if challenge is None:
            raise WrongState("no_challenge", "No control of a domain is asked for here.")
        host, token = challenge
        if self.zone.get(f"_lethe.{host}") != f"lethe-verification={token}":
            raise WrongState("domain_no_record", "The challenge was not found yet.")
        return self.registry.domain_confirmed(request_id, position, Evidence.DNS)


@dataclass
class Served:
    """A service that is served."""

    service: Behind
    app: FastAPI
    url: str
    port: int
    clock: Clock
    log: io.StringIO
    http: httpx.Client
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return self.service.registry

    def key(self, role: Role, *scopes: Scope) -> dict[str, str]:
        """Headers with a new key."""
        _, key = self.registry.access.create(role, "A fictitious holder", "admin", scopes=scopes)
        return bearer(key)

    def reviewer(self) -> dict[str, str]:
        return self.key(Role.REVIEWER, Scope.REVIEW)

    def messages(self, request_id: UUID | str | None = None) -> list[tuple[str, str, Any]]:
        """Channel, template and values of all messages, oldest first."""
        found = []
        for message_id, owner, channel, template, key_id, sealed in self.registry.database.rows(
            "SELECT message_id, request_id, channel, template, key_id, sealed FROM messages ORDER BY queued"
        ):
            if request_id in (None, owner, str(owner)):
                content = self.registry.store.unseal(key_id, sealed, message_id)
                found.append((channel, template, content))
        return found

    def token(self, request_id: UUID | str, which: int = 0) -> str:
        """The token of a link that was sent."""
        links = [
            content["values"]["link"]
            for _, template, content in self.messages(request_id)
            if template in ("confirm", "operator_key")
        ]
        return str(links[which].rsplit("/", 1)[1])

    def code(self, request_id: UUID | str) -> str:
        """The code that was sent last."""
        codes = [c["values"]["code"] for _, t, c in self.messages(request_id) if t == "code"]
        return str(codes[-1])

    def submit(self, *identities: tuple[str, str], **changes: Any) -> tuple[str, dict[str, str]]:
        """Hand in a request; its id, and headers with its secret."""
        form = request_form(*identities, **changes)
        answer = self.http.post("/v1/requests", json=form)
        assert answer.status_code == 201, answer.text
        return form["subject_request_id"], bearer(answer.json()["extensions"]["lethe"]["secret"])

    def confirmed(self, *identities: tuple[str, str]) -> tuple[str, dict[str, str]]:
        """The same, and confirm it by the link."""
        request_id, secret = self.submit(*identities)
        token = {"token": self.token(request_id)}
        answer = self.http.post(f"/v1/requests/{request_id}/confirmations", json=token)
        assert answer.status_code == 200, answer.text
        return request_id, secret

    def version(self, request_id: str, reviewer: dict[str, str]) -> dict[str, str]:
        """Headers with which a reviewer decides about what was just read."""
        answer = self.http.get(f"/v1/review/requests/{request_id}", headers=reviewer)
        return reviewer | {"If-Match": answer.headers["etag"]}

    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def request_form(*identities: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """A request as OpenDSR has it."""
    lethe = {"email": f"{uuid4().hex}@example.org"} | changes.pop("lethe", {})
    kind = changes.pop("kind", "erasure")
    return {
        "regulation": "gdpr",
        "subject_request_id": str(uuid4()),
        "subject_request_type": kind,
        "submitted_time": "2026-03-01T12:00:00Z",
        "subject_identities": [
            {"identity_type": type_, "identity_value": value}
            for type_, value in identities or [("email", lethe["email"])]
        ],
        "api_version": "2.0",
        "extensions": {"lethe": lethe},
    } | changes


@contextmanager
def served(
    folder: Path,
    settings: Settings = SETTINGS,
    add: Callable[[FastAPI], None] = lambda _: None,
    **options: Any,
) -> Iterator[Served]:
    """Serve a registry folder."""
    clock = Clock()
    service = Behind.open(folder, settings, clock)
    log = io.StringIO()
    app = create_app(service, log=log_to(log), **options)
    add(app)
    with service, listening("127.0.0.1", 0, options.get("uds")) as sockets:
        server = uvicorn.Server(config(app))
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        port = sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        try:
            with httpx.Client(base_url=url, timeout=30) as http:
                yield Served(service, app, url, port, clock, log, http)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(name="request_form")
def _request_form() -> Callable[..., dict[str, Any]]:
    return request_form


@pytest.fixture(name="serving")
def _serving() -> Callable[..., Any]:
    return served


@pytest.fixture
def https_settings() -> Settings:
    return replace(SETTINGS, base_url="https://registry.example.org")


@pytest.fixture
def lethe(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "registry") as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for tests that do not mind what others did to it."""
    with served(tmp_path_factory.mktemp("shared") / "registry") as found:
        yield found


@pytest.fixture
def limited() -> Settings:
    """Settings with few requests allowed."""
    few = Limits(requests_an_hour_by_address=3, reads_a_minute_by_address=4)
    return replace(SETTINGS, limits=few, trusted_proxies=("127.0.0.0/8",))
