"""Durable submissions a second over HTTP, by clients that keep their connections.

    python benchmarks/registry.py [--clients 16] [--seconds 10] [--rate 200] [--compile]

A server of its own process serves a new registry in a temporary folder: encryption, audit trail and
``fdatasync`` as in production, log to nowhere. Each client sends one request after another, each of another
person with an e-mail address and a name, under a machine key (which has no limit by address). Printed
are the rate, the times of answers (median, p99, longest), the server's CPU time, and the same for reading a status. Clients and server
share the machine, so the figures are lower bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

import psutil


@dataclass
class Times:
    """How long answers took, in seconds, and over which time they came."""

    seconds: list[float] = field(default_factory=list)
    over_s: float = 0.0
    cpu_s: float = 0.0
    """Of the server."""

    def told(self, what: str) -> str:
        """One line."""
        ms = sorted(1000 * one for one in self.seconds)
        p99 = ms[int(0.99 * (len(ms) - 1))]
        rate = len(ms) / self.over_s
        return (
            f"{what:<28} {rate:7.0f} a second   median {statistics.median(ms):6.1f} ms   "
            f"p99 {p99:6.1f} ms   longest {ms[-1]:6.1f} ms   "
            f"server's CPU {1000 * self.cpu_s / len(ms):5.2f} ms each"
        )


def listed() -> list[dict[str, object]]:
    """What 20,000 made-up persons had listed, with the hashes that a registry keeps of it."""
    import zlib

    from filter.compile import secrets_of
    from filter.identifiers import IdentifierKind

    entries: list[dict[str, object]] = []
    for number in range(20_000):
        text = f"person{number}@mail{number % 977}.example"
        kind = IdentifierKind.EMAIL
        hashes = {secret: zlib.crc32(secret.encode()) for secret in secrets_of(kind, text, ("CH",))}
        entries.append({"kind": kind, "text": text, "audience": "public", "hashes": hashes})
    return entries


def compiling(folder: Path, entries: list[dict[str, object]]) -> None:
    """Build releases one after the other, as a registry does."""
    from filter_service.compile_worker import built

    plan = {
        "files": {one: str(folder / f"{one}.safetensors") for one in ("public", "operators")},
        "release": "2026.2.0",
        "now": "2026-07-01T00:00:00+00:00",
        "kdf": "standard",
        "family": "load",
        "salt": bytes(16).hex(),
        "decoys": bytes(32).hex(),
        "regions": ["CH"],
        "audit": None,
        "previous": {},
    }
    while True:
        built(plan, entries)


def serve(told: Connection, folder: str, compile_too: bool) -> None:
    """Serve a new registry, and tell port and key."""
    import threading

    from filter_service.access import Role, Scope
    from filter_service.api import create_app
    from filter_service.api.logs import log_to
    from filter_service.api.serving import listening, run
    from filter_service.service import Service
    from filter_service.settings import Limits, Settings

    free = Limits(requests_a_minute_by_key=100_000_000)
    settings = replace(Settings(), limits=free)
    with (
        Service.open(Path(folder), settings) as service,
        Path("/dev/null").open("w") as nowhere,
        listening("127.0.0.1", 0) as sockets,
    ):
        _, key = service.registry.access.create(
            Role.MACHINE, "Load", "admin", scopes=[Scope.SUBMIT]
        )
        app = create_app(service, log=log_to(nowhere))
        if compile_too:
            threading.Thread(target=compiling, args=(Path(folder), listed()), daemon=True).start()
        told.send((sockets[0].getsockname()[1], key))
        logging.disable(logging.INFO)
        run(app, sockets)


def submission(number: str) -> tuple[str, bytes]:
    """Another person's request: its id, and the JSON."""
    request_id = str(uuid4())
    form = {
        "regulation": "gdpr",
        "subject_request_id": request_id,
        "subject_request_type": "erasure",
        "submitted_time": "2026-03-01T12:00:00Z",
        "subject_identities": [
            {"identity_type": "email", "identity_value": f"p{number}@example.org"},
            {"identity_type": "name", "identity_value": "Jane Doebler-Zgraggen"},
        ],
        "extensions": {"lethe": {"email": f"q{number}@example.org"}},
    }
    return request_id, json.dumps(form).encode()


def head(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """A request in HTTP/1.1."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, octets: bytes) -> int:
    """Send a request, read its answer; the status."""
    writer.write(octets)
    answer = await reader.readuntil(b"\r\n\r\n")
    lines = answer.lower().split(b"\r\n")
    length = next(int(line[16:]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])


async def client(
    port: int, requests: Iterator[bytes], expected: int, until: float, every_s: float
) -> list[float]:
    """Send one after another until it is time; not more often than every so many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    # Spread over the first interval, so that they do not all come at once.
    due = time.perf_counter() + every_s * random.random()
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    for octets in requests:
        begun = time.perf_counter()
        status = await ask(reader, writer, octets)
        done = time.perf_counter()
        if status != expected:
            raise SystemExit(f"The server answered {status} instead of {expected}.")
        times.append(done - begun)
        if done > until:
            break
        due += every_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    writer.close()
    await writer.wait_closed()
    return times


async def load(
    server: psutil.Process, port: int, key: str, clients: int, seconds: float, rate: float
) -> tuple[Times, Times]:
    """Submit, then read."""
    ids: list[str] = []

    def submissions(client_number: int) -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            request_id, body = submission(f"{client_number}x{number}x{uuid4().hex[:8]}")
            ids.append(request_id)
            yield head("POST", "/v1/requests", key, body)

    def reads() -> Iterator[bytes]:
        while True:
            for request_id in ids[: 100 * clients]:
                yield head("GET", f"/v1/requests/{request_id}", key)

    found = []
    for expected, made in ((201, submissions), (200, lambda _: reads())):
        begun, cpu_before_s = time.perf_counter(), sum(server.cpu_times()[:2])
        answers = await asyncio.gather(
            *(
                client(port, made(number), expected, begun + seconds, clients / rate if rate else 0)
                for number in range(clients)
            )
        )
        times = [one for mine in answers for one in mine]
        over_s = time.perf_counter() - begun
        found.append(Times(times, over_s, sum(server.cpu_times()[:2]) - cpu_before_s))
    return found[0], found[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--compile", action="store_true", help="build releases at the same time")
    parser.add_argument("--rate", type=float, default=0, help="submissions a second of all clients")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=serve, args=(there, f"{folder}/registry", options.compile))
        server.start()
        try:
            port, key = here.recv()
            process = psutil.Process(server.pid)
            submitted, read = asyncio.run(
                load(process, port, key, options.clients, options.seconds, options.rate)
            )
        finally:
            server.terminate()
            server.join()
    print(f"{options.clients} clients, {options.seconds:.0f} s each")
    print(submitted.told("POST /v1/requests"))
    print(read.told("GET /v1/requests/{id}"))


if __name__ == "__main__":
    main()
