"""What server and proxy have in common, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from filter import Bundle
from filter.errors import BundleExpired, InputError, LetheError
from lethe.output_filter import _health
from model_gate.errors import FilterFailed, NamedPromptRefused, PromptTooLong
from model_gate.guard import Guard
from model_gate.web import app as web
from model_gate.web import events, running
from model_gate.web.events import DONE, EventStream, error_event, event
from model_gate.web.limits import ApiKeys
from model_gate.web.metrics import Metrics
from model_gate.web.requests import json_body

KEY = "a-key-of-twenty-signs"
SECRET = "jane.doe@example.org"
ERRORS = {
    "none": None,
    "input": InputError("Give something else."),
    "long": PromptTooLong("Too long."),
    "named": NamedPromptRefused("Not about this."),
    "expired": BundleExpired(f"{SECRET} expired."),
    "failed": FilterFailed("Canaries."),
    "lethe": LetheError(SECRET),
    "value": ValueError(SECRET),
}
STATUSES = {
    "none": (200, None),
    "input": (400, None),
    "long": (400, "context_length_exceeded"),
    "named": (400, "content_filter"),
    "expired": (503, "filter_not_in_force"),
    "failed": (503, "filter_not_in_force"),
    "lethe": (500, "unexpected"),
    "value": (500, "unexpected"),
}


def bundle(release: str = "2026.2.0") -> Bundle:
    return Bundle.build([("email", SECRET)], release=release, kdf="testing")


def application(guard: Guard, **options: object) -> FastAPI:
    app = web.create(guard, Metrics(guard), **options)  # type: ignore[arg-type]

    @app.post("/echo/{about}")
    async def echo(request: Request, about: str) -> dict[str, int]:
        error = ERRORS[about]
        if error is not None:
            raise error
        return {"octets": len(json.dumps(await json_body(request)))}

    @app.get("/stream")
    async def stream() -> Response:
        async def given() -> AsyncIterator[bytes]:
            yield event({"n": 1})
            yield error_event(ValueError(SECRET))

        return EventStream(given(), lambda: None)

    @app.get("/broken")
    async def broken() -> Response:
        async def given() -> AsyncIterator[bytes]:
            yield event({"n": 1})
            raise ValueError(SECRET)

        return EventStream(given(), lambda: None)

    return app


@contextmanager
def served(guard: Guard | None = None, **options: object) -> Iterator[httpx.Client]:
    guard = guard or Guard(bundle(), allow_testing=True)
    with (
        running.running(application(guard, **options), guard=guard) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(largest_body=1000) as found:
        yield found


@pytest.mark.parametrize("about", ERRORS)
def test_errors_have_openais_shape(client: httpx.Client, about: str) -> None:
    answer = client.post(f"/echo/{about}", json={})
    status, code = STATUSES[about]
    assert answer.status_code == status
    if status != 200:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == code
        assert error["type"] == ("invalid_request_error" if status == 400 else "server_error")
        assert SECRET not in answer.text


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    for path, method, status in (
        ("/v1/embeddings", "POST", 404),
        (f"/{SECRET}", "GET", 404),
        ("/echo/none", "GET", 405),
        ("/health", "DELETE", 405),
        ("/docs", "GET", 404),
        ("/openapi.json", "GET", 404),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert SECRET not in answer.text


def test_bodies(client: httpx.Client) -> None:
    def status(content: bytes | Iterator[bytes], kind: str = "application/json") -> int:
        return client.post(
            "/echo/none", content=content, headers={"Content-Type": kind}
        ).status_code

    assert status(b'{"a": 1}') == 200
    assert status(b'{"a": 1}', "application/json; charset=utf-8") == 200
    assert status(b'{"a": 1}', "text/plain") == 415
    assert status(b"{") == 400
    assert status(b" " * 1001) == 413
    assert status(iter([b" " * 600, b" " * 600])) == 413
    assert client.post("/nowhere", content=b" " * 1001).status_code == 413


def test_every_answer_has_safe_headers(client: httpx.Client) -> None:
    for path in ("/livez", "/health", "/nowhere", "/stream"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_stream_that_fails_says_so_in_fixed_words(client: httpx.Client) -> None:
    answer = client.get("/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, last = answer.content.removesuffix(b"\n\n").split(b"\n\n")
    assert first == b'data: {"n":1}'
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "unexpected"
    assert DONE not in answer.content
    assert SECRET not in answer.text


def test_a_stream_that_breaks_looks_broken(
    client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was sent of it must not be taken for a whole answer; the log does not say why in its words."""
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/broken")
    assert SECRET not in "".join(capfd.readouterr())


def test_health_for_programs(client: httpx.Client) -> None:
    answer = client.get("/health")
    found = answer.json()
    assert answer.status_code == 200
    assert found["status"] == "ok"
    assert found["release"] == "2026.2.0"
    assert found["valid_until"] == "2027-04-02"
    assert found["problems"] == []
    assert found["canaries"]["email"] is True
    assert _health(str(client.base_url)) == found["canaries"]


def test_health_for_people(client: httpx.Client) -> None:
    answer = client.get("/health", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert '<html lang="en">' in answer.text
    assert '<h1 class="good">The filter holds</h1>' in answer.text
    assert "2026.2.0" in answer.text
    assert answer.text.count(">stopped<") == len(_health(str(client.base_url)))
    assert "script" not in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]


def test_metrics(client: httpx.Client) -> None:
    client.get(f"/{SECRET}")
    text = client.get("/metrics").text
    assert 'lethe_gate_requests_total{method="GET",route="unknown",status="404"}' in text
    assert "lethe_gate_filter_holds 1.0" in text
    assert "lethe_gate_bundle_days_left" in text
    assert 'lethe_gate_canary_stopped{kind="iban"} 1.0' in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("moment", "status", "code", "said"),
    [
        (
            datetime(2027, 3, 1, tzinfo=UTC),
            "expiring",
            200,
            "The filter holds; its bundle expires soon",
        ),
        (
            datetime(2027, 4, 20, tzinfo=UTC),
            "expired",
            200,
            "The filter holds; its bundle has expired",
        ),
        (datetime(2027, 6, 1, tzinfo=UTC), "expired", 503, "The filter does not hold"),
    ],
    ids=["expiring", "grace", "refused"],
)
def test_health_by_the_calendar(moment: datetime, status: str, code: int, said: str) -> None:
    guard = Guard(bundle(), allow_testing=True, clock=lambda: moment)
    with served(guard) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (code, status)
        assert len(answer.json()["problems"]) == 1
        page = client.get("/health", headers={"Accept": "text/html"})
        assert page.status_code == code
        assert said in page.text
        assert client.get("/livez").status_code == 200


def test_health_tells_what_else_ails() -> None:
    with served(ails=lambda: ("The engine <is> gone.",), alive=lambda: False) as client:
        assert client.get("/livez").status_code == 503
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failing"
        assert answer.json()["problems"] == ["The engine <is> gone."]
        page = client.get("/health", headers={"Accept": "text/html"}).text
        assert '<h1 class="bad">The filter does not hold</h1>' in page
        assert "<li>The engine &lt;is&gt; gone.</li>" in page


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_keys(opened: bool) -> None:
    with served(keys=ApiKeys([KEY]), open_health=opened) as client:
        for authorization in ("", "Bearer wrong-key-0123456789", f"Basic {KEY}", KEY, "Bearer"):
            headers = {"Authorization": authorization}
            assert client.get("/livez", headers=headers).status_code == 200
            for path in ("/health", "/metrics"):
                assert client.get(path, headers=headers).status_code == (200 if opened else 401)
            answer = client.post("/echo/none", json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "invalid_api_key"
        assert client.post("/echo/none", json={}).status_code == 200


def test_a_newer_release_comes_into_force_and_a_damaged_file_does_not(tmp_path: Path) -> None:
    path = tmp_path / "filter.safetensors"
    bundle().write(path)
    guard = Guard.open(path, allow_testing=True)
    refreshed = threading.Semaphore(0)

    class Watched(running.Keeper):
        def look(self) -> None:
            super().look()
            refreshed.release()

    keeper = Watched(guard, refresh_s=0.02)
    app = web.create(guard, Metrics(guard))
    with (
        running.running(app, guard=guard, keeper=keeper) as url,
        httpx.Client(base_url=url) as client,
    ):

        def after(write: object) -> dict[str, object]:
            while refreshed.acquire(blocking=False):
                pass
            write()  # type: ignore[operator]
            for _ in range(2):  # the first may have begun before
                refreshed.acquire()
            return dict(client.get("/health").json())

        newer = tmp_path / "newer"
        bundle("2026.2.1").write(newer)
        found = after(lambda: newer.replace(path))
        assert (found["release"], found["problems"]) == ("2026.2.1", [])
        damaged = tmp_path / "damaged"
        damaged.write_bytes(path.read_bytes()[:-100])
        found = after(lambda: damaged.replace(path))
        assert found["release"] == "2026.2.1"
        assert found["status"] == "ok"
        assert "2026.2.1 stays in force" in str(found["problems"])


def test_what_is_under_way_may_end_and_is_ended_after_the_grace() -> None:
    """One stream ends by itself, another when it is told to; no new request is taken."""
    guard = Guard(bundle(), allow_testing=True)
    app = web.create(guard, Metrics(guard))
    told = threading.Event()
    begun = threading.Semaphore(0)

    @app.get("/stream/{how}")
    async def stream(how: str) -> Response:
        async def given() -> AsyncIterator[bytes]:
            yield event("first")
            begun.release()
            while how == "endless" and not told.is_set():  # noqa: ASYNC110 -- set by a thread
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            yield event("last")

        return EventStream(given(), lambda: None)

    answers: dict[str, bytes] = {}

    def read(url: str, how: str) -> None:
        answers[how] = httpx.get(f"{url}/stream/{how}", timeout=30).content

    with running.running(app, guard=guard, grace_s=0.5, ending=told.set) as url:
        readers = [threading.Thread(target=read, args=(url, how)) for how in ("short", "endless")]
        for reader in readers:
            reader.start()
            begun.acquire()
    for reader in readers:
        reader.join()
    assert answers == dict.fromkeys(("short", "endless"), event("first") + event("last"))
    assert told.is_set()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez")


def test_a_port_that_is_taken() -> None:
    with (
        running.listening("127.0.0.1", 0) as taken,
        pytest.raises(InputError, match="--port"),
        running.listening("127.0.0.1", taken.getsockname()[1]),
    ):
        pass
    with pytest.raises(InputError, match="--host"), running.listening("no.such.host.test", 0):
        pass


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "does-not-read"])
def test_a_reader_who_leaves_or_does_not_read_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    monkeypatch.setattr(events, "_PATIENCE_S", 0.2)
    guard = Guard(bundle(), allow_testing=True)
    app = web.create(guard, Metrics(guard))
    ended = threading.Event()
    closed = threading.Event()

    @app.get("/stream")
    async def stream() -> Response:
        async def endless() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield event("x" * (10 if leaves else 100_000))
                    await asyncio.sleep(0.001)
            finally:
                closed.set()

        return EventStream(endless(), ended.set)

    with running.running(app, guard=guard) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            reader.recv(1000)
            if not leaves:
                assert ended.wait(20)
        assert ended.wait(20)
        assert closed.wait(20)
        assert httpx.get(f"{url}/livez").status_code == 200
