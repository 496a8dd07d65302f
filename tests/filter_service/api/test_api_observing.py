"""Logs, figures, health, and how the server starts and ends."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import httpx
import pytest

from filter_service.access import Role, Scope
from filter_service.api.logs import LOGGING, Lines


def test_a_line_a_request_with_nothing_of_it(lethe):
    request_id, secret = lethe.submit(("email", "jane.doe@example.org"))
    lethe.http.get(f"/v1/requests/{request_id}?mail=jane.doe@example.org", headers=secret)
    lethe.http.head("/v1/discovery")
    lethe.http.get(f"/status/{request_id}/0123")
    lines = lethe.lines()
    assert [(one["method"], one["route"], one["status"]) for one in lines] == [
        ("POST", "/v1/requests", 201),
        ("GET", "/v1/requests/{request_id}", 200),
        ("HEAD", "/v1/discovery", 200),
        ("GET", "unknown", 404),
    ]
    assert {frozenset(one) for one in lines} == {
        frozenset({"event", "level", "at", "route", "method", "status", "ms", "client", "id"})
    }
    assert {one["client"] for one in lines} == {"127.0.0.0/24"}
    assert len({one["id"] for one in lines}) == 4
    text = lethe.log.getvalue()
    for never in (request_id, "jane", "0123", "127.0.0.1", secret["Authorization"][7:]):
        assert never not in text


def figures(lethe):
    answer = lethe.http.get("/metrics", headers=lethe.key(Role.MACHINE, Scope.METRICS))
    assert answer.headers["content-type"].startswith("text/plain")
    return dict(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$", answer.text, re.MULTILINE))


def test_figures(lethe):
    lethe.confirmed()
    for _ in range(2):
        lethe.submit()
    lethe.http.get("/nowhere/jane.doe@example.org")
    lethe.http.request("PROPFIND", "/v1/requests")
    found = figures(lethe)
    assert found["lethe_queue_length"] == "1.0"
    assert 26 <= float(found["lethe_queue_days_left"]) <= 31
    assert found["lethe_unverified_requests"] == "2.0"
    assert float(found["lethe_messages_waiting"]) >= 3
    assert found["lethe_messages_failed"] == "0.0"
    assert float(found["lethe_audit_length"]) == lethe.registry.database.head.length
    assert found["lethe_writer_alive"] == "1.0"
    assert "lethe_release_age_days" not in found
    counted = 'lethe_http_requests_total{method="POST",route="/v1/requests",status="201"}'
    assert found[counted] == "3.0"
    assert found['lethe_http_requests_total{method="GET",route="unknown",status="404"}'] == "1.0"
    assert found['lethe_http_request_seconds_count{route="/v1/requests"}'] == "4.0"
    assert (
        found['lethe_http_requests_total{method="unknown",route="/v1/requests",status="405"}']
        == "1.0"
    )
    release = lethe.registry.releases.compile()
    lethe.registry.releases.enter_published(release.release)
    found = figures(lethe)
    assert found["lethe_release_age_days"] == "0.0"
    assert 60 < float(found["lethe_release_days_left"]) <= 275


def test_figures_are_for_keys_or_for_this_machine_where_that_is_allowed(serving, tmp_path, lethe):
    assert lethe.http.get("/metrics").status_code == 401
    assert lethe.http.get("/metrics", headers=lethe.reviewer()).status_code == 403
    with serving(tmp_path / "open", local_metrics=True) as open_one:
        assert open_one.http.get("/metrics").status_code == 200
        via = {"X-Forwarded-For": "198.51.100.1"}
        assert open_one.http.get("/metrics", headers=via).status_code == 401


def test_health(lethe):
    answer = lethe.http.get("/health", headers={"Host": "10.0.0.1:8000"})
    assert (answer.status_code, answer.json()) == (200, {"alive": True, "ready": True})
    lethe.registry.database.close()
    answer = lethe.http.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"alive": True, "ready": False})


def test_other_libraries_log_their_kind_of_event_and_no_values():
    line = Lines()
    error = (ValueError, ValueError("jane.doe@example.org"), None)

    def record(name, message, *arguments):
        return logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, error)

    said = line.format(record("uvicorn.error", "Exception in ASGI application\n"))
    assert json.loads(said) == {
        "event": "Exception in ASGI application",
        "level": "error",
        "error": "ValueError",
    }
    said = line.format(record("asyncio", "Task failed: %r", "jane.doe@example.org"))
    assert json.loads(said) == {"event": "asyncio", "level": "error", "error": "ValueError"}
    assert LOGGING["loggers"]["uvicorn.access"]["handlers"] == []


SERVER = """
import sys
from pathlib import Path
from filter_service.api import create_app, serve
from filter_service.service import Service
from filter_service.settings import Settings

folder = Path(sys.argv[1])
with Service.open(folder, Settings(kdf="testing")) as service:
    serve(create_app(service), "127.0.0.1", int(sys.argv[2]), folder / "http.sock")
print("closed")
"""


@pytest.fixture
def process(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(tmp_path / "registry"), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        try:
            for _ in range(600):
                time.sleep(0.05)
                try:
                    httpx.get(f"http://127.0.0.1:{port}/health")
                    break
                except httpx.TransportError:
                    assert one.poll() is None, one.stderr.read()
            yield one, port, tmp_path / "registry" / "http.sock"
        finally:
            one.kill()


def test_a_server_on_two_sockets_that_ends_in_order(process):
    one, port, uds = process
    assert stat.S_IMODE(uds.stat().st_mode) == 0o600
    transport = httpx.HTTPTransport(uds=str(uds))
    with httpx.Client(transport=transport, base_url="http://localhost") as local:
        assert local.get("/v1/discovery").status_code == 200
        assert local.get("/metrics").status_code == 401
    # A request that is under way when the server is asked to end is still answered.
    with socket.create_connection(("127.0.0.1", port)) as slow:
        body = b"{}"
        slow.sendall(
            b"POST /v1/requests HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n"
        )
        time.sleep(0.3)
        one.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        slow.sendall(body)
        assert slow.recv(65536).startswith(b"HTTP/1.1 400")
    out, log = one.communicate(timeout=20)
    assert (one.returncode, out) == (0, "closed\n")
    lines = [json.loads(line) for line in log.splitlines()]
    assert [one["route"] for one in lines if one["event"] == "request"][1:] == [
        "/v1/discovery",
        "/metrics",
        "/v1/requests",
    ]
    assert "Finished server process" in log
    assert not uds.exists()
