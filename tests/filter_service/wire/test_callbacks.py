"""Callbacks: where they go, what they say, who can check them, when they are sent again."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filter_service.errors import NotAllowed, UnsafeSettings
from filter_service.evidence.callbacks import (
    HEADER,
    PATIENCE,
    Again,
    Callbacks,
    Decision,
    Delivered,
    GivenUp,
    StatusUpdate,
    decided,
    registrable,
    signature,
    verified,
)
from filter_service.safe_http import Reply, Unreached, UnusableUrl

URL = "https://example.org/callback?agent=7"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
UPDATE = StatusUpdate(
    controller_id="registry.example",
    subject_request_id=UUID("6f1c8f0e-3f0b-4c55-9d52-2f6f0d7a9a10"),
    request_status="in_progress",
    status_callback_url=URL,
    expected_completion_time=datetime(2026, 9, 1, 2, 30, tzinfo=timezone(timedelta(hours=2))),
)


def send(world: Any, update: StatusUpdate = UPDATE, registered: Any = (URL,)) -> Reply | Unreached:
    callbacks = Callbacks(world.client(), KEY, "2026-08", registered)
    return asyncio.run(callbacks.send(update))


def replied(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", "Content-Length: 0", *headers, "", ""]).encode()


def test_a_callback_says_how_the_request_stands(world: Any) -> None:
    world.web.routes["/callback?agent=7"] = replied(204)
    outcome = send(world)
    assert isinstance(outcome, Reply)
    assert decided(outcome, 0, NOW) == Delivered()
    (request,) = world.web.requests
    assert (request.method, request.server_name) == ("POST", "example.org")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "controller_id": "registry.example",
        "subject_request_id": "6f1c8f0e-3f0b-4c55-9d52-2f6f0d7a9a10",
        "request_status": "in_progress",
        "status_callback_url": URL,
        "expected_completion_time": "2026-09-01T00:30:00Z",
    }
    header = request.headers[HEADER.lower()]
    assert header.startswith("keyid=2026-08,alg=ed25519,sig=")
    assert verified(header, request.body, {"2026-08": KEY.public_key()})


def test_the_expected_time_is_left_out_where_there_is_none() -> None:
    update = StatusUpdate("c", UPDATE.subject_request_id, "completed", URL)
    assert set(json.loads(update.body())) == {
        "controller_id",
        "subject_request_id",
        "request_status",
        "status_callback_url",
    }


def test_nothing_goes_to_an_address_that_is_not_registered(world: Any) -> None:
    for registered in ([], ["https://example.org/callback"], [URL + "0"], ["https://example.org/"]):
        with pytest.raises(NotAllowed) as caught:
            send(world, registered=registered)
        assert "agent=7" not in str(caught.value)
    assert not world.names.asked


@pytest.mark.parametrize(
    "url", ["http://example.org/", "https://127.0.0.1/", "https://example.org:22/"]
)
def test_what_must_not_be_asked_is_not_even_when_registered(world: Any, url: str) -> None:
    with pytest.raises(UnusableUrl):
        registrable(url)
    update = StatusUpdate("c", UPDATE.subject_request_id, "completed", url)
    with pytest.raises(UnusableUrl):
        send(world, update, [url])
    assert not world.web.connections


def test_the_registered_spelling_is_the_canonical_one() -> None:
    assert registrable("HTTPS://EXAMPLE.org:443/callback?agent=7") == URL
    assert registrable(URL) == URL


def test_a_callback_to_an_address_that_became_private(world: Any) -> None:
    world.names.zone["example.org", "A"] = [["127.0.0.1"]]
    outcome = send(world)
    assert isinstance(outcome, Unreached)
    assert decided(outcome, 0, NOW) == GivenUp("not-public")
    assert not world.web.connections


def test_a_post_is_made_once(world: Any) -> None:
    async def hang_up(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.close()

    world.web.routes["/callback?agent=7"] = hang_up
    world.names.zone["example.org", "A"] = [["127.0.0.2"]]
    outcome = send(world)
    assert isinstance(outcome, Unreached)
    assert outcome.code == "broken"
    assert len(world.web.requests) == 1


# -- signatures ---------------------------------------------------------------------------------

BODY = UPDATE.body()
SIGNED = signature(BODY, KEY, "k1")
KEYS = {"k1": KEY.public_key()}
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
_SIG = SIGNED.partition("sig=")[2]


def test_a_signature_is_verified() -> None:
    assert verified(SIGNED, BODY, KEYS)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (SIGNED, BODY + b" "),
        (SIGNED, BODY.replace(b"in_progress", b"completed")),
        (SIGNED, BODY.replace(b"example.org", b"example.net")),
        (SIGNED, b""),
        (signature(BODY, OTHER, "k1"), BODY),
        (signature(BODY, KEY, "k2"), BODY),
        (SIGNED.replace("ed25519", "none"), BODY),
        (f"keyid=k1,alg=ed25519,sig={base64.b64encode(bytes(64)).decode()}", BODY),
        (f"keyid=k1,alg=ed25519,sig={'=' * 88}", BODY),
        (f"keyid=k1,alg=ed25519,sig={_SIG[:-2]}AA", BODY),
        (f"alg=ed25519,keyid=k1,sig={_SIG}", BODY),
        (f"{SIGNED} ", BODY),
        ("", BODY),
    ],
)
def test_a_signature_is_not_verified(header: str, body: bytes) -> None:
    assert not verified(header, body, KEYS)


@pytest.mark.parametrize("key_id", ["", "a b", "a,b", "a=b", "a\r\nX: y", "ä", "a" * 65])
def test_ids_of_keys_fit_into_the_header(world: Any, key_id: str) -> None:
    with pytest.raises(UnsafeSettings):
        Callbacks(world.client(), KEY, key_id, [])


# -- when to try again --------------------------------------------------------------------------


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("outcome", "failures", "decision"),
    [
        (Reply(200, b"", None), 0, Delivered()),
        (Reply(299, b"", None), 9, Delivered()),
        (Reply(400, b"", None), 0, GivenUp("status-400")),
        (Reply(401, b"", None), 0, GivenUp("status-401")),
        (Reply(404, b"", 60), 0, GivenUp("status-404")),
        (Reply(410, b"", None), 0, GivenUp("status-410")),
        (Reply(408, b"", None), 0, Again(after(1), "status-408")),
        (Reply(425, b"", None), 0, Again(after(1), "status-425")),
        (Reply(429, b"", None), 0, Again(after(1), "status-429")),
        (Reply(500, b"", None), 0, Again(after(1), "status-500")),
        (Reply(503, b"", None), 1, Again(after(2), "status-503")),
        (Reply(503, b"", 600), 1, Again(after(10), "status-503")),
        (Reply(503, b"", 1), 1, Again(after(2), "status-503")),
        (Reply(503, b"", 999999), 0, Again(after(360), "status-503")),
        (Reply(600, b"", None), 0, Again(after(1), "status-600")),
        (Reply(503, b"", None), 14, Again(after(360), "status-503")),
        (Reply(503, b"", None), 15, GivenUp("status-503")),
        (Unreached("dns"), 0, Again(after(1), "dns")),
        (Unreached("timeout"), 3, Again(after(8), "timeout")),
        (Unreached("tls"), 0, Again(after(1), "tls")),
        (Unreached("no-address"), 0, Again(after(1), "no-address")),
        (Unreached("not-public"), 0, GivenUp("not-public")),
        (Unreached("redirect"), 0, GivenUp("redirect")),
        (Unreached("refused"), 15, GivenUp("refused")),
    ],
)
def test_decisions(outcome: Reply | Unreached, failures: int, decision: Decision) -> None:
    assert decided(outcome, failures, NOW) == decision


def test_patience_is_about_two_days() -> None:
    moment = NOW
    for failures in range(100):
        decision = decided(Unreached("refused"), failures, moment)
        if not isinstance(decision, Again):
            break
        moment = decision.at
    assert failures == PATIENCE.attempts - 1
    assert timedelta(days=1.5) < moment - NOW < timedelta(days=2.5)
