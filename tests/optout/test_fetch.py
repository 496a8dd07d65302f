"""The crawler against real servers on 127.0.0.1: what it asks, how politely, what it records."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter.errors import InputError, MissingExtra
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout import snapshot as reader
from pipeline.optout.fetch import FILES, FetchOptions, FetchResult, fetch
from pipeline.optout.fetch.addresses import SystemNetwork, connectable, is_public
from pipeline.optout.fetch.body import BadEncoding, BoundedBody
from pipeline.optout.fetch.client import Client
from pipeline.optout.fetch.domains import read_domains
from pipeline.optout.fetch.journal import Journal
from pipeline.optout.fetch.limits import Crowded, HostGate, backoff, retry_after
from pipeline.optout.fetch.options import default_user_agent
from pipeline.optout.fetch.snapshot import Row, write_snapshot
from pipeline.optout.fetch.target import BadScheme, BadUrl, Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TRUSTED = ssl.create_default_context()
"""Made once: reading the system's certificates takes longer than most of these crawls."""
QUICK = settings(max_examples=100, deadline=None)


# -- a real server, and the network it stands in ------------------------------------------------


class Request(NamedTuple):
    at: float
    host: str
    path: str
    headers: dict[str, str]


def reply(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Answers by host and path; a list of answers is worked off, its last one stays."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.routes: dict[tuple[str, str], bytes | Script | list[bytes | Script]] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def asked(self, host: str) -> list[str]:
        return [r.path for r in self.requests if r.host == host]

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        serving = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = serving.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        serving.close()
        rest = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _count(self, key: str, step: int) -> None:
        self.open[key] += step
        self.most_open[key] = max(self.most_open[key], self.open[key])

    async def _serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        host = ""
        self.connections += 1
        self._count("all", 1)
        try:
            first = await source.readexactly(1)
            if first == b"\x16":  # a TLS handshake, where none is spoken
                return
            head = (first + await source.readuntil(b"\r\n\r\n")).decode("latin-1")
            start, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
            host = headers["host"].partition(":")[0]
            path = start.split(" ")[1]
            self._count(host, 1)
            self.requests.append(Request(time.monotonic(), host, path, headers))
            answer = self.routes.get((host, path), reply(404))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, bytes):
                sink.write(answer)
                await sink.drain()
            else:
                await answer(source, sink)
            await source.read()  # until the crawler hangs up
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._count("all", -1)
            if host:
                self._count(host, -1)
            sink.close()


class LocalNetwork:
    """Every name is 127.0.0.1, which stands for the public internet; other addresses do not."""

    def __init__(self, names: dict[str, list[list[str]]] | None = None) -> None:
        self.names = names or {}
        self.asked: Counter[str] = Counter()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked[host] += 1
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        answers = self.names.get(host, [["127.0.0.1"]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def permits(self, address: str) -> bool:
        return address == "127.0.0.1" or is_public(address)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """A host of this test's own, so that tests can share a server."""
    return f"h{zlib.crc32(request.node.nodeid.encode())}.test"


def quick(**changes: Any) -> FetchOptions:
    chosen: dict[str, Any] = {
        "delay_s": 0.0,
        "timeout_s": 3.0,
        "backoff_s": 0.01,
        "retries": 1,
        "https_first": False,
        "files": ("robots.txt",),
    }
    return FetchOptions(**(chosen | changes))


def rows_of(path: Path) -> list[Row]:
    return [Row(**row) for row in pq.read_table(path).to_pylist()]


def crawl(
    tmp_path: Path,
    domains: list[str],
    network: LocalNetwork | None = None,
    tls: ssl.SSLContext = TRUSTED,
    **changes: Any,
) -> list[Row]:
    out = tmp_path / "snapshot.parquet"
    fetch(domains, out, options=quick(**changes), network=network or LocalNetwork(), tls=tls)
    return rows_of(out)


def crawl_one(
    tmp_path: Path, server: Server, host: str, *answers: bytes | Script, **changes: Any
) -> Row:
    server.routes[host, "/robots.txt"] = list(answers)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], **changes)
    return row


# -- answers ------------------------------------------------------------------------------------


async def endless(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        sink.write(b"Disallow: /a\n" * 1000)
        await sink.drain()


async def drip(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        sink.write(b"#")
        await sink.drain()
        await asyncio.sleep(0.02)


async def drip_headers(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        sink.write(b"a: b\r\n")
        await sink.drain()
        await asyncio.sleep(0.02)


async def only_informational(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while True:
        sink.write(b"HTTP/1.1 103 Early\r\n\r\n" * 100)
        await sink.drain()
        await asyncio.sleep(0)


def then_reset(first: bytes) -> Script:
    async def script(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(first)
        await sink.drain()
        connection = sink.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sink.transport.abort()

    return script


def then_close(first: bytes) -> Script:
    async def script(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(first)
        await sink.drain()
        sink.close()

    return script


GZIP = "Content-Encoding: gzip"
ZIPPED = gzip.compress(b"User-agent: *\nDisallow: /\n")
TEXT = b"User-agent: *\nDisallow: /private\n"
HTML = b"<!doctype html><title>No</title>"


@pytest.mark.parametrize(
    ("answer", "status", "content", "error"),
    [
        pytest.param(reply(200, TEXT), 200, TEXT, None, id="found"),
        pytest.param(reply(200, b""), 200, b"", None, id="empty is content, too"),
        pytest.param(reply(204), 204, b"", None, id="no content"),
        pytest.param(
            reply(200, b"\xef\xbb\xbf\xff\x00\xe9\n"),
            200,
            b"\xef\xbb\xbf\xff\x00\xe9\n",
            None,
            id="not UTF-8: octets as they are",
        ),
        pytest.param(
            reply(200, HTML, "Content-Type: text/html"),
            200,
            HTML,
            None,
            id="HTML instead: recorded, judged elsewhere",
        ),
        pytest.param(
            then_close(b"HTTP/1.0 200 OK\r\n\r\n" + TEXT),
            200,
            TEXT,
            None,
            id="HTTP/1.0, ended by closing",
        ),
        pytest.param(reply(200, ZIPPED, GZIP), 200, gzip.decompress(ZIPPED), None, id="gzip"),
        pytest.param(
            reply(200, ZIPPED * 2, GZIP),
            200,
            gzip.decompress(ZIPPED) * 2,
            None,
            id="gzip of two members (RFC 1952, 2.2)",
        ),
        # RFC 9309, 2.3.1.3: 4xx says that the file does not exist.
        *(
            pytest.param(reply(code, b"no"), code, None, None, id=str(code))
            for code in (400, 401, 403, 404, 410, 451)
        ),
        # RFC 9309, 2.3.1.4: 5xx says that the file cannot be reached.
        *(
            pytest.param(reply(code, b"no"), code, None, "server-error", id=str(code))
            for code in (500, 503, 599)
        ),
        pytest.param(reply(429, b"no"), 429, None, "too-many-requests", id="429"),
        pytest.param(reply(304), 304, None, "unexpected-status", id="304 to no condition"),
        pytest.param(reply(302), 302, None, "unexpected-status", id="302 to nowhere"),
        pytest.param(
            reply(302, b"", "Location: file:///etc/passwd"),
            302,
            None,
            "redirect-scheme",
            id="to file://",
        ),
        pytest.param(
            reply(302, b"", "Location: ftp://a.test/"), 302, None, "redirect-scheme", id="to ftp://"
        ),
        pytest.param(
            reply(302, b"", "Location: javascript:1"),
            302,
            None,
            "redirect-scheme",
            id="to javascript:",
        ),
        pytest.param(
            reply(302, b"", "Location: https://"), 302, None, "bad-redirect", id="to no host"
        ),
        pytest.param(
            reply(302, b"", "Location: http://a..b/"),
            302,
            None,
            "bad-redirect",
            id="to no possible host",
        ),
        pytest.param(
            reply(302, b"", "Location: http://[::1/"),
            302,
            None,
            "bad-redirect",
            id="to half an address",
        ),
        pytest.param(
            reply(302, b"", "Location: /" + "a" * 9000),
            302,
            None,
            "bad-redirect",
            id="to an address without end",
        ),
        pytest.param(
            reply(302, b"", "Location: /robots.txt"), 302, None, "redirect-loop", id="to itself"
        ),
        pytest.param(
            reply(302, b"", "Location: http://gone.invalid/"),
            0,
            None,
            "dns",
            id="to a name that is none",
        ),
        # A part of an answer is no answer: the rest might hold the refusal.
        pytest.param(then_reset(b""), 0, None, "reset", id="reset before the answer"),
        pytest.param(
            then_reset(b"HTTP/1.1 200 OK\r\n\r\n" + TEXT),
            0,
            None,
            "reset",
            id="reset within the answer",
        ),
        pytest.param(then_close(b""), 0, None, "protocol", id="closed before the answer"),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + TEXT),
            0,
            None,
            "protocol",
            id="closed within the answer",
        ),
        pytest.param(then_close(b"SSH-2.0-x\r\n\r\n"), 0, None, "protocol", id="another protocol"),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 200_000),
            0,
            None,
            "protocol",
            id="endless header",
        ),
        pytest.param(reply(200, ZIPPED[:-9], GZIP), 0, None, "encoding", id="half of a gzip"),
        pytest.param(reply(200, TEXT, GZIP), 0, None, "encoding", id="no gzip"),
        pytest.param(
            reply(200, TEXT, "Content-Encoding: br"),
            0,
            None,
            "encoding",
            id="a coding that was not asked for",
        ),
        pytest.param(reply(200, ZIPPED, GZIP, GZIP), 0, None, "encoding", id="gzip in gzip"),
    ],
)
def test_every_answer_is_a_row(
    *,
    tmp_path: Path,
    server: Server,
    host: str,
    answer: bytes | Script,
    status: int,
    content: bytes | None,
    error: str | None,
) -> None:
    before = datetime.now(UTC)
    row = crawl_one(tmp_path, server, host, answer)
    assert (row.status, row.content, row.error) == (status, content, error)
    assert row.domain == f"{host}:{server.port}"
    assert row.url == f"http://{host}:{server.port}/robots.txt"
    assert before <= row.fetched_at <= datetime.now(UTC)
    assert not row.truncated


@pytest.mark.parametrize("script", [drip, drip_headers, only_informational])
def test_time_limit_counts_the_whole_request(
    tmp_path: Path, server: Server, host: str, script: Script
) -> None:
    started = time.monotonic()
    row = crawl_one(tmp_path, server, host, script, timeout_s=0.3)
    assert (row.status, row.content, row.error) == (0, None, "timeout")
    assert 0.3 <= time.monotonic() - started < 2


def test_content_type_is_kept(tmp_path: Path, server: Server, host: str) -> None:
    row = crawl_one(tmp_path, server, host, reply(200, HTML, "Content-Type: text/html; charset=é"))
    assert row.content_type == "text/html; charset=é"


@pytest.mark.parametrize(
    ("size", "limit", "kept", "truncated"),
    [(999, 1000, 999, False), (1000, 1000, 1000, False), (1001, 1000, 1000, True)],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_size_limit_counts_decoded_octets(
    *,
    tmp_path: Path,
    server: Server,
    host: str,
    zipped: bool,
    size: int,
    limit: int,
    kept: int,
    truncated: bool,
) -> None:
    body = random.Random(size).randbytes(size)
    answer = reply(200, gzip.compress(body), GZIP) if zipped else reply(200, body)
    row = crawl_one(tmp_path, server, host, answer, max_bytes=limit)
    assert row.content == body[:kept]
    assert row.truncated is truncated


def test_endless_body_is_cut(tmp_path: Path, server: Server, host: str) -> None:
    row = crawl_one(tmp_path, server, host, endless, max_bytes=5000)
    assert row.truncated
    assert row.content == (b"Disallow: /a\n" * 1000)[:5000]
    assert row.status == 200


def test_default_limit_holds_what_the_rfc_asks_for() -> None:
    # RFC 9309, 2.5: "The parsing limit MUST be at least 500 kibibytes".
    assert FetchOptions().max_bytes >= 500 * 1024
    assert FetchOptions().max_redirects >= 5  # 2.3.1.2


# -- redirects ----------------------------------------------------------------------------------


def chain(server: Server, host: str, hops: int) -> None:
    for i in range(hops):
        here = "/robots.txt" if i == 0 else f"/{i}"
        server.routes[host, here] = reply(301 + i % 2, b"", f"Location: /{i + 1}")
    server.routes[host, f"/{hops}"] = reply(200, TEXT)


def test_five_redirects_are_followed(tmp_path: Path, server: Server, host: str) -> None:
    # RFC 9309, 2.3.1.2: "SHOULD follow at least five consecutive redirects".
    chain(server, host, 5)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"])
    assert (row.status, row.content, row.redirects, row.error) == (200, TEXT, 5, None)
    assert row.final_url == f"http://{host}:{server.port}/5"


def test_six_redirects_are_not(tmp_path: Path, server: Server, host: str) -> None:
    chain(server, host, 6)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"])
    assert (row.status, row.content, row.error) == (302, None, "too-many-redirects")
    assert server.asked(host) == ["/robots.txt", "/1", "/2", "/3", "/4", "/5"]


def test_loop_over_two_hosts_ends(tmp_path: Path, server: Server, host: str) -> None:
    there = f"there.{host}"
    server.routes[host, "/robots.txt"] = reply(302, b"", f"Location: http://{there}:{server.port}/")
    server.routes[there, "/"] = reply(302, b"", f"Location: http://{host}:{server.port}/robots.txt")
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"])
    assert (row.status, row.error, row.redirects) == (302, "redirect-loop", 1)
    assert len(server.asked(host)) == 1


def test_redirect_drops_credentials_and_fragment(tmp_path: Path, server: Server, host: str) -> None:
    where = f"http://user:word@{host.upper()}.:{server.port}/é?q=1#part"
    server.routes[host, "/robots.txt"] = reply(308, b"", f"Location: {where}")
    server.routes[host, "/%C3%A9?q=1"] = reply(200, TEXT)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"])
    assert row.content == TEXT
    assert row.final_url == f"http://{host}:{server.port}/%C3%A9?q=1"
    assert all("authorization" not in r.headers for r in server.requests)


# -- addresses that are not public --------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "names"),
    [
        pytest.param("http://127.0.0.2:{port}/", {}, id="loopback"),
        pytest.param("http://169.254.169.254/latest/meta-data/", {}, id="link-local"),
        pytest.param("http://10.0.0.1/", {}, id="private"),
        pytest.param("http://[::1]:{port}/", {}, id="IPv6 loopback"),
        pytest.param("http://[::ffff:127.0.0.2]:{port}/", {}, id="mapped"),
        pytest.param("http://224.0.0.1/", {}, id="multicast"),
        pytest.param("http://0.0.0.0:{port}/", {}, id="unspecified"),
        pytest.param("http://inside.test:{port}/", {"inside.test": [["127.0.0.2"]]}, id="by name"),
        pytest.param(
            "http://2130706434:{port}/", {"2130706434": [["127.0.0.2"]]}, id="as a number"
        ),
    ],
)
def test_redirect_inside_is_refused(
    tmp_path: Path, server: Server, host: str, location: str, names: dict[str, list[list[str]]]
) -> None:
    for literal in ("127.0.0.2", "169.254.169.254", "10.0.0.1", "224.0.0.1", "0.0.0.0"):
        names = {literal: [[literal]], **names}
    names |= {"::1": [["::1"]], "::ffff:7f00:2": [["::ffff:127.0.0.2"]]}
    where = location.format(port=server.port)
    server.routes[host, "/robots.txt"] = reply(302, b"", f"Location: {where}")
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], LocalNetwork(names))
    assert (row.status, row.content, row.error) == (302, None, "private-address")
    assert row.final_url == row.url  # the refused address was never asked
    assert row.redirects == 0
    assert server.asked(host) == ["/robots.txt"]


def test_name_is_resolved_and_checked_for_each_request(
    tmp_path: Path, server: Server, host: str
) -> None:
    """DNS rebinding: the name turns to an inner address after the first answer."""
    network = LocalNetwork({host: [["127.0.0.1"], ["127.0.0.2"]]})
    server.routes[host, "/robots.txt"] = reply(302, b"", "Location: /again")
    server.routes[host, "/again"] = reply(200, TEXT)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], network)
    assert (row.status, row.error) == (302, "private-address")
    assert network.asked[host] == 2  # once a request: what was checked is what is connected to


def test_only_the_public_addresses_of_a_name_are_used(
    tmp_path: Path, server: Server, host: str
) -> None:
    network = LocalNetwork({host: [["10.0.0.1", "127.0.0.1", "127.0.0.1"]]})
    server.routes[host, "/robots.txt"] = reply(200, TEXT)
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], network)
    assert row.content == TEXT


def test_next_address_is_tried_where_one_refuses(tmp_path: Path, server: Server, host: str) -> None:
    class Loopback(LocalNetwork):
        def permits(self, address: str) -> bool:
            return True

    network = Loopback({host: [["127.0.0.3", "127.0.0.1"]]})
    server.routes[host, "/robots.txt"] = reply(200, TEXT)  # listens on 127.0.0.1 alone
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], network)
    assert row.content == TEXT


def test_private_domain_is_refused_by_the_system_network_and_reached_when_allowed(
    tmp_path: Path, server: Server
) -> None:
    server.routes["127.0.0.1", "/robots.txt"] = reply(200, TEXT)
    out = tmp_path / "s.parquet"
    domain = f"127.0.0.1:{server.port}"
    fetch([domain], out, options=quick())
    (row,) = rows_of(out)
    assert (row.status, row.error) == (0, "private-address")
    assert server.asked("127.0.0.1") == []
    fetch([domain], out, options=quick(allow_private=True))
    (row,) = rows_of(out)
    assert row.content == TEXT


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("0.0.0.0", False),  # RFC 1122
        ("10.1.2.3", False),  # RFC 1918
        ("172.16.0.1", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),  # RFC 6598, shared
        ("100.128.0.1", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),  # RFC 3927
        ("192.0.2.1", False),  # RFC 5737, documentation
        ("198.18.0.1", False),  # RFC 2544
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("2606:4700::1111%eth0", False),
        ("fc00::1", False),  # RFC 4193
        ("fec0::1", False),  # RFC 3879, site-local
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),  # RFC 6052, NAT64 of 127.0.0.1
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),  # RFC 3056, 6to4 of 127.0.0.1
        ("2002:c0a8:101::", False),
        ("2001:0:7f00:1::", False),  # RFC 4380, Teredo
        ("example.org", False),
        ("", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_few_distinct_addresses_are_tried() -> None:
    many = ["10.0.0.1", *(f"8.8.8.{i // 2}" for i in range(100))]
    assert connectable(many, is_public) == ["8.8.8.0", "8.8.8.1", "8.8.8.2"]


def test_system_network_resolves() -> None:
    network = SystemNetwork(1, allow_private=False)
    assert "127.0.0.1" in asyncio.run(network.resolve("127.0.0.1", 80))
    assert not network.permits("127.0.0.1")
    network.close()


# -- schemes and TLS ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of secure.test, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=secure.test",
         "-addext", "subjectAltName=DNS:secure.test"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    return folder / "both.pem"


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(context) as running:
        yield running


@pytest.mark.parametrize("https_first", [True, False])
def test_https_is_asked_by_name_at_the_checked_address(
    tmp_path: Path, secure: Server, certificate: Path, https_first: bool
) -> None:
    secure.routes["secure.test", "/robots.txt"] = reply(200, TEXT)
    trusted = ssl.create_default_context(cafile=certificate)
    (row,) = crawl(
        tmp_path, [f"secure.test:{secure.port}"], tls=trusted, https_first=https_first, retries=0
    )
    if https_first:
        assert row.url.startswith("https://secure.test:")
        assert row.content == TEXT
    else:  # http does connect; that no answer comes is no reason to try the other scheme
        assert (row.url[:5], row.status) == ("http:", 0)


@pytest.mark.parametrize("name", ["secure.test", "other.test"])
def test_wrong_certificate_is_unreachable(secure: Server, certificate: Path, name: str) -> None:
    """Not trusted at all; trusted, but of another host."""
    trusted = TRUSTED if name == "secure.test" else ssl.create_default_context(cafile=certificate)

    async def ask() -> tuple[int, str | None, bool]:
        client = Client(quick(), HostGate(0), LocalNetwork(), trusted)
        answer = await client.get(f"https://{name}:{secure.port}/robots.txt")
        return answer.status, answer.error, answer.reached

    assert asyncio.run(ask()) == (0, "tls", False)
    assert secure.requests == []


def test_http_is_tried_where_https_cannot_connect_and_kept(tmp_path: Path) -> None:
    with Server() as running:
        running.routes["plain.test", "/robots.txt"] = reply(200, TEXT)
        files = ("robots.txt", "tdmrep.json", "ai.txt")
        found = crawl(tmp_path, [f"plain.test:{running.port}"], https_first=True, files=files)
        assert {r.url.partition("://")[0] for r in found} == {"http"}
        assert [r.status for r in found] == [404, 200, 404]
        assert running.most_open["all"] == 1  # the failed connection closed before the next
        assert running.connections == 1 + 4  # https once, then http for two and two addresses


def test_no_other_scheme_after_an_http_error(
    tmp_path: Path, secure: Server, certificate: Path
) -> None:
    secure.routes["secure.test", "/robots.txt"] = reply(500)
    trusted = ssl.create_default_context(cafile=certificate)
    domains = [f"secure.test:{secure.port}"]
    (row,) = crawl(tmp_path, domains, tls=trusted, https_first=True, retries=0)
    assert (row.status, row.url[:8]) == (500, "https://")


def test_dead_host_is_asked_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        network = LocalNetwork()
        found = crawl(
            tmp_path,
            [f"dead.test:{port}", "gone.invalid"],
            network,
            files=FILES,
            https_first=True,
        )
    assert [(r.domain, r.file, r.url, r.status, r.error) for r in found] == [
        (f"dead.test:{port}", "ai.txt", f"https://dead.test:{port}/ai.txt", 0, "refused"),
        (f"dead.test:{port}", "robots.txt", f"https://dead.test:{port}/robots.txt", 0, "refused"),
        (f"dead.test:{port}", "tdmrep.json",
         f"https://dead.test:{port}/.well-known/tdmrep.json", 0, "refused"),
        ("gone.invalid", "ai.txt", "https://gone.invalid/ai.txt", 0, "dns"),
        ("gone.invalid", "robots.txt", "https://gone.invalid/robots.txt", 0, "dns"),
        ("gone.invalid", "tdmrep.json", "https://gone.invalid/.well-known/tdmrep.json", 0, "dns"),
    ]  # fmt: skip
    assert network.asked == {"dead.test": 2, "gone.invalid": 1}  # https and http; one is enough


# -- retries ------------------------------------------------------------------------------------


def test_server_error_that_passes(tmp_path: Path, server: Server, host: str) -> None:
    row = crawl_one(tmp_path, server, host, reply(500), reply(200, TEXT))
    assert (row.status, row.content, row.error) == (200, TEXT, None)


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
@pytest.mark.parametrize(
    "answer", [reply(503), reply(429), then_reset(b"")], ids=["503", "429", "reset"]
)
def test_retries_are_counted(
    *, tmp_path: Path, server: Server, host: str, answer: bytes | Script, retries: int, asked: int
) -> None:
    crawl_one(tmp_path, server, host, answer, retries=retries)
    assert len(server.asked(host)) == asked


@pytest.mark.parametrize("answer", [reply(404), reply(200), reply(304)], ids=["404", "200", "304"])
def test_what_is_final_is_not_retried(
    tmp_path: Path, server: Server, host: str, answer: bytes
) -> None:
    crawl_one(tmp_path, server, host, answer, retries=3)
    assert len(server.asked(host)) == 1


def test_retry_after_is_waited_for(tmp_path: Path, server: Server, host: str) -> None:
    row = crawl_one(tmp_path, server, host, reply(503, b"", "Retry-After: 1"), reply(200, TEXT))
    assert row.content == TEXT
    first, second = [r.at for r in server.requests if r.host == host]
    assert 1.0 <= second - first < 2.5


def test_retry_after_is_capped_and_holds_for_the_host(
    tmp_path: Path, server: Server, host: str
) -> None:
    server.routes[host, "/robots.txt"] = reply(429, b"", "Retry-After: 86400")
    started = time.monotonic()
    crawl(
        tmp_path,
        [f"{host}:{server.port}"],
        max_wait_s=0.3,
        retries=1,
        files=("robots.txt", "tdmrep.json"),
    )
    assert time.monotonic() - started < 3
    first, second, other = [r.at for r in server.requests if r.host == host]
    assert second - first >= 0.3
    assert other - second >= 0.3  # the other file of the host waits, too


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        # RFC 9110, 10.2.3: Retry-After = HTTP-date / delay-seconds
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 5000, float("inf")),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00", 60.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@QUICK
@given(st.text(max_size=40))
def test_retry_after_takes_anything(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@QUICK
@given(st.integers(0, 10_000), st.floats(0, 100), st.floats(0, 100))
def test_backoff_doubles_within_its_cap(attempt: int, base: float, cap: float) -> None:
    whole = base * 2.0 ** min(attempt, 32)
    assert min(cap, whole / 2) <= backoff(attempt, base, cap) <= min(cap, whole)


# -- politeness ---------------------------------------------------------------------------------


def test_one_connection_a_host_and_a_pause(tmp_path: Path) -> None:
    """Three domains of one host (by port), two that redirect to it, https before http."""
    delay_s = 0.1
    with Server() as one, Server() as two:
        one.routes["one.test", "/robots.txt"] = reply(200, TEXT)
        where = f"Location: http://one.test:{one.port}/robots.txt"
        for name in ("a.test", "b.test"):
            two.routes[name, "/robots.txt"] = reply(302, b"", where)
        found = crawl(
            tmp_path,
            [f"one.test:{one.port}", f"a.test:{two.port}", f"b.test:{two.port}"],
            https_first=True,
            delay_s=delay_s,
            files=("robots.txt", "tdmrep.json"),
        )
        assert [r.status for r in found] == [200, 404] * 3
        assert one.most_open["all"] == 1  # TLS attempts are connections, too
        times = sorted(r.at for r in one.requests)
        assert len(times) == 4
        assert all(b - a >= delay_s for a, b in pairwise(times))


def test_hosts_are_asked_side_by_side_up_to_the_limit(tmp_path: Path) -> None:
    async def slow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        sink.write(reply(200, TEXT))

    with Server() as running:
        names = [f"n{i}.test" for i in range(12)]
        running.routes |= {(n, "/robots.txt"): slow for n in names}
        found = crawl(tmp_path, [f"{n}:{running.port}" for n in names], concurrency=4)
        assert [r.content for r in found] == [TEXT] * 12
        assert running.most_open["all"] == 4


def test_crowded_foreign_host_does_not_hold_everybody_up(tmp_path: Path) -> None:
    with Server() as running:
        names = [f"parked{i}.test" for i in range(20)]
        where = f"Location: http://lot.test:{running.port}/"
        running.routes |= {(n, "/robots.txt"): reply(302, b"", where) for n in names}
        running.routes["lot.test", "/"] = reply(200, TEXT)
        found = crawl(tmp_path, [f"{n}:{running.port}" for n in names], delay_s=0.2, max_wait_s=0.5)
        assert Counter(r.error for r in found) == {None: 3, "busy": 17}
        # Unreachable, not absent: nothing is known of these files.
        assert {r.status for r in found if r.error} == {0}


def test_gate_serves_one_at_a_time_and_forgets_idle_hosts() -> None:
    async def work() -> int:
        gate = HostGate(0.0)
        busy: Counter[str] = Counter()

        async def ask(host: str) -> None:
            async with gate.turn(host):
                busy[host] += 1
                assert busy[host] == 1
                await asyncio.sleep(0)
                busy[host] -= 1

        await asyncio.gather(*(ask(f"h{i % 7}") for i in range(200)))
        for i in range(5000):
            await ask(f"x{i}")
        return len(gate._hosts)

    assert asyncio.run(work()) <= 1024


def test_gate_turns_the_impatient_away() -> None:
    async def work() -> None:
        gate = HostGate(10.0)
        async with gate.turn("h"):
            with pytest.raises(Crowded):
                async with gate.turn("h", patience_s=9.0):
                    pass
        gate.rest("i", 5.0)
        with pytest.raises(Crowded):
            async with gate.turn("i", patience_s=4.0):
                pass

    asyncio.run(work())


def test_requests_are_honest_and_bare(
    tmp_path: Path, server: Server, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the environment has no say
    server.routes[host, "/robots.txt"] = reply(
        302, b"", "Location: /next", "Set-Cookie: a=b; Path=/"
    )
    server.routes[host, "/next"] = reply(200, TEXT, "Set-Cookie: a=c")
    agent = "lethe-optout/9 (+https://example.org/bot)"
    crawl(
        tmp_path, [f"{host}:{server.port}"], user_agent=agent, files=("robots.txt", "tdmrep.json")
    )
    asked = [r for r in server.requests if r.host == host]
    assert [r.path for r in asked] == ["/robots.txt", "/next", "/.well-known/tdmrep.json"]
    for request in asked:
        assert request.headers == {
            "host": f"{host}:{server.port}",
            "user-agent": agent,
            "accept": "*/*",
            "accept-encoding": "gzip",
            "connection": "close",
        }


def test_default_user_agent_names_the_crawler() -> None:
    assert default_user_agent().startswith("lethe-optout/")
    assert FetchOptions().user_agent == default_user_agent()


# -- which files --------------------------------------------------------------------------------


def test_all_files_of_a_domain(tmp_path: Path, server: Server, host: str) -> None:
    base = f"http://{host}:{server.port}"
    robots = b"\r\n".join([
        b"User-agent: *", b"License: /rsl.xml", b"license:" + base.encode() + b"/two.xml # second",
        b"License: /rsl.xml", b"License: ftp://x.test/three.xml", b"License: /four.xml",
    ])  # fmt: skip
    server.routes |= {
        (host, "/robots.txt"): reply(200, robots),
        (host, "/.well-known/tdmrep.json"): reply(200, b"[]"),
        (host, "/.well-known/ai.txt"): reply(200, b"Disallow: /"),
        (host, "/rsl.xml"): reply(200, b"<rsl/>"),
    }
    found = crawl(tmp_path, [f"{host}:{server.port}"], files=FILES)
    assert [(r.file, r.url, r.status, r.content, r.error) for r in found] == [
        ("ai.txt", f"{base}/.well-known/ai.txt", 200, b"Disallow: /", None),
        ("robots.txt", f"{base}/robots.txt", 200, robots, None),
        ("rsl.xml", "ftp://x.test/three.xml", 0, None, "bad-url"),
        ("rsl.xml", f"{base}/rsl.xml", 200, b"<rsl/>", None),
        ("rsl.xml", f"{base}/two.xml", 404, None, None),
        ("tdmrep.json", f"{base}/.well-known/tdmrep.json", 200, b"[]", None),
    ]
    assert "/ai.txt" in server.asked(host)
    assert "/four.xml" not in server.asked(host)  # three licences a domain


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        pytest.param(reply(200, TEXT), reply(404), 200, id="at the root"),
        pytest.param(reply(404), reply(200, TEXT), 200, id="well-known"),
        pytest.param(reply(403), reply(503), 503, id="absent, then failing: not absent"),
        pytest.param(reply(503), reply(404), 503, id="failing: not absent"),
        pytest.param(reply(429), reply(404), 429, id="429 is not absent"),
        pytest.param(reply(404), reply(410), 410, id="nowhere"),
    ],
)
def test_ai_txt_has_two_places_and_one_row(
    *, tmp_path: Path, server: Server, host: str, first: bytes, second: bytes, status: int
) -> None:
    server.routes[host, "/ai.txt"] = first
    server.routes[host, "/.well-known/ai.txt"] = second
    (row,) = crawl(tmp_path, [f"{host}:{server.port}"], files=("ai.txt",), retries=0)
    assert row.status == status


def test_license_in_utf_16_is_seen(tmp_path: Path, server: Server, host: str) -> None:
    server.routes[host, "/robots.txt"] = reply(200, "License: /l.xml\n".encode("utf-16"))
    found = crawl(tmp_path, [f"{host}:{server.port}"], files=("robots.txt", "rsl.xml"))
    assert [r.file for r in found] == ["robots.txt", "rsl.xml"]


def test_many_licenses_cost_little(tmp_path: Path, server: Server, host: str) -> None:
    lines = [b"License:", *(b"License: /x/%d/../../l.xml" % i for i in range(30_000))]
    lines.append(b"License: /far-down.xml")
    server.routes[host, "/robots.txt"] = reply(200, b"\n".join(lines))
    started = time.monotonic()
    found = crawl(tmp_path, [f"{host}:{server.port}"], files=("robots.txt", "rsl.xml"))
    assert server.asked(host) == ["/robots.txt", "/l.xml"]
    assert [r.file for r in found] == ["robots.txt", "rsl.xml"]
    assert time.monotonic() - started < 5


def test_shared_license_is_asked_once(tmp_path: Path, server: Server, host: str) -> None:
    names = [f"{i}.{host}" for i in range(10)]
    where = f"http://{host}:{server.port}/standard.xml"
    robots = reply(200, f"License: {where}".encode())
    server.routes |= {(n, "/robots.txt"): robots for n in names}
    server.routes[host, "/standard.xml"] = reply(200, b"<rsl/>")
    found = crawl(
        tmp_path,
        [f"{n}:{server.port}" for n in names],
        files=("robots.txt", "rsl.xml"),
        delay_s=0.05,
    )
    assert [r.content for r in found if r.file == "rsl.xml"] == [b"<rsl/>"] * 10
    assert server.asked(host) == ["/standard.xml"]


def test_license_at_an_inner_address_is_refused(tmp_path: Path, server: Server, host: str) -> None:
    server.routes[host, "/robots.txt"] = reply(200, b"License: http://127.0.0.2/l.xml")
    network = LocalNetwork({"127.0.0.2": [["127.0.0.2"]]})
    found = crawl(tmp_path, [f"{host}:{server.port}"], network, files=("robots.txt", "rsl.xml"))
    assert (found[1].status, found[1].error) == (0, "private-address")


@pytest.mark.parametrize(
    ("text", "base", "parsed"),
    [
        ("HTTP://EX.test:80/a", None, "http://ex.test/a"),
        ("https://ex.test:8443", None, "https://ex.test:8443/"),
        ("https://müller.test/", None, "https://xn--mller-kva.test/"),
        ("//other.test/x", "https://ex.test/a/b", "https://other.test/x"),
        ("../c?d", "https://ex.test/a/b/", "https://ex.test/a/c?d"),
        ("http://[0:0::1]:8080/", None, "http://[::1]:8080/"),
    ],
)
def test_targets_are_canonical(text: str, base: str | None, parsed: str) -> None:
    target = Target.parse(text, None if base is None else Target.parse(base))
    assert str(target) == parsed


@pytest.mark.parametrize(
    ("text", "error"),
    [("gopher://a.test/", BadScheme), ("mailto:a", BadScheme), ("a.test", BadScheme),
     ("http:///a", BadUrl), ("http://a:b:c/", BadUrl), ("http://a.test:99999/", BadUrl)],
)  # fmt: skip
def test_what_is_no_target(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Target.parse(text)


@QUICK
@given(st.text(max_size=60))
def test_any_location_is_a_target_or_refused(text: str) -> None:
    base = Target.parse("https://ex.test/")
    try:
        target = Target.parse(text, base)
    except BadUrl:
        return
    assert target.url.scheme in {"http", "https"}
    assert not target.url.userinfo
    assert not target.url.fragment
    assert Target.parse(str(target)) == target


# -- bodies -------------------------------------------------------------------------------------


@QUICK
@given(
    st.lists(st.binary(max_size=300), max_size=5),
    st.integers(1, 400),
    st.integers(1, 64),
    st.booleans(),
)
def test_any_chunking_gives_the_same_prefix(
    members: list[bytes], limit: int, step: int, zipped: bool
) -> None:
    body = b"".join(members)
    sent = b"".join(gzip.compress(m) for m in members) if zipped else body
    bounded = BoundedBody("GZIP " if zipped else "", limit)
    for at in range(0, len(sent), step):
        if not bounded.feed(sent[at : at + step]):
            break
    assert bounded.finish() == (body[:limit], len(body) > limit)


def test_gzip_bomb_costs_its_limit(tmp_path: Path, server: Server, host: str) -> None:
    pressed = zlib.compressobj(9, wbits=31)
    bomb = b"".join(pressed.compress(bytes(1 << 20)) for _ in range(200)) + pressed.flush()
    assert len(bomb) < 250_000  # for 200 MiB
    bounded = BoundedBody("gzip", 10_000)
    tracemalloc.start()
    try:
        assert not bounded.feed(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert bounded.finish() == (bytes(10_000), True)
    row = crawl_one(tmp_path, server, host, reply(200, bomb, GZIP), max_bytes=10_000)
    assert (row.content, row.truncated, row.error) == (bytes(10_000), True, None)


def test_body_that_never_grows_ends() -> None:
    """Four million empty gzip members: a quadratic reader, or an unbounded one, would sit here."""
    bounded = BoundedBody("gzip", 1 << 20)
    chunk = gzip.compress(b"") * 3000
    fed = 0
    while bounded.feed(chunk):
        fed += len(chunk)
    assert fed <= 2 * (1 << 20) + (1 << 17)
    assert bounded.finish() == (b"", True)


@pytest.mark.parametrize("padding", [b"\0" * 9, b"text"])
@pytest.mark.parametrize("content", [b"", b"rules"])
def test_padding_after_gzip_is_ignored(content: bytes, padding: bytes) -> None:
    bounded = BoundedBody("gzip", 100)
    assert not bounded.feed(gzip.compress(content) + padding)
    assert bounded.finish() == (content, False)


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "utf-8"])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(BadEncoding):
        BoundedBody(coding, 100)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 X\r\nLocation: ", b"HTTP/1.1 "]),
    st.binary(max_size=200),
)
def test_any_octets_from_a_server_are_an_answer(server: Server, start: bytes, rest: bytes) -> None:
    server.routes["any.test", "/"] = then_close(start + rest)

    async def ask() -> None:
        options = quick(timeout_s=1.0, retries=0, max_redirects=1)
        client = Client(options, HostGate(0), LocalNetwork(), TRUSTED)
        answer = await client.get(f"http://any.test:{server.port}/")
        assert answer.content is None or 200 <= answer.status < 300
        assert answer.status or answer.error

    asyncio.run(ask())


# -- the list of domains ------------------------------------------------------------------------


def test_domains_file(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# a comment\n"  # 1
        b"Example.ORG.\r\n"  # 2
        b"\n   \n"  # 3, 4
        b"example.org\n"  # 5: the same
        b"https://u:p@example.org:443/path?q#f\n"  # 6: the same
        b"example.org:8080\n"  # 7: another
        b"m\xc3\xbcller.example  # with a comment\n"  # 8
        b"not a host\n"  # 9
        b"\xff\xfe.example\n"  # 10: not UTF-8
        b"a..b\n"  # 11
        b"mailto:somebody@example.org\n"  # 12
        b"example.org:99999\n"  # 13
        b"[2001:DB8::0:1]:81\n" + b"a" * 100_000 + b"\n"  # 14  # 15
        b"last.example"  # 16, without an end
    )
    listed = read_domains(path)
    assert listed.domains == (
        "example.org",
        "example.org:8080",
        "xn--mller-kva.example",
        "[2001:db8::1]:81",
        "last.example",
    )
    assert listed.invalid_lines == (9, 10, 11, 12, 13, 15)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no line"),
        (["", "# a"], "no line"),
        (["a b", "-- --"], "only lines"),
        ("a.test", "as a list"),
    ],
)
def test_no_domains(lines: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_domains(lines)


def test_missing_list_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="one host a line"):
        fetch(tmp_path / "none.txt", tmp_path / "o.parquet")
    with pytest.raises(UnreadableFile, match="create it"):
        fetch(["a.test"], tmp_path / "none" / "o.parquet")
    assert list(tmp_path.iterdir()) == []


@QUICK
@given(st.lists(st.text(max_size=30), max_size=8))
def test_canonical_domains_are_their_own_canonical_form(lines: list[str]) -> None:
    try:
        listed = read_domains([*lines, "fixed.example"])
    except InputError:
        pytest.fail("there is a host in the list")
    assert read_domains(listed.domains) == (listed.domains, ())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"concurrency": 0}, InputError),
        ({"delay_s": -1.0}, InputError),
        ({"delay_s": float("nan")}, InputError),
        ({"timeout_s": 0.0}, InputError),
        ({"timeout_s": float("inf")}, InputError),
        ({"max_bytes": 0}, InputError),
        ({"retries": -1}, InputError),
        ({"files": ()}, InputError),
        ({"files": ("rsl.xml",)}, InputError),
        ({"files": ("humans.txt",)}, UnknownName),
        ({"user_agent": ""}, InputError),
        ({"user_agent": "a\r\nX: y"}, InputError),
        ({"user_agent": "é"}, InputError),
    ],
)
def test_impossible_options(change: dict[str, object], error: type[InputError]) -> None:
    with pytest.raises(error):
        FetchOptions(**change)  # type: ignore[arg-type]


# -- the snapshot -------------------------------------------------------------------------------


def test_snapshot_format(tmp_path: Path, server: Server, host: str) -> None:
    server.routes[host, "/robots.txt"] = reply(200, TEXT)
    out = tmp_path / "s.parquet"
    domains = [f"{host}:{server.port}", "zzz.invalid", "aaa.invalid", "not a host"]
    seen: list[tuple[int, int]] = []
    result = fetch(
        domains,
        out,
        options=quick(files=FILES),
        network=LocalNetwork(),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert result == FetchResult(
        path=out,
        domains=3,
        resumed=0,
        rows=9,
        truncated=0,
        by_class={"2xx": 1, "4xx": 2, "unreachable": 6},
        by_error={"dns": 6},
        invalid_lines=(4,),
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    table = pq.read_table(out)
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("domain", "string"),
        ("file", "string"),
        ("url", "string"),
        ("final_url", "string"),
        ("content", "binary"),
        ("status", "int32"),
        ("fetched_at", "timestamp[us, tz=UTC]"),
        ("truncated", "bool"),
        ("content_type", "string"),
        ("redirects", "int32"),
        ("error", "string"),
    ]
    assert table.schema.metadata[b"lethe.format"] == b"lethe-optout-snapshot/1"
    assert json.loads(table.schema.metadata[b"lethe.fetch_options"])["max_bytes"] == 1 << 20
    assert pq.ParquetFile(out).metadata.row_group(0).column(0).compression == "ZSTD"
    keys = [(r.domain, r.file, r.url) for r in rows_of(out)]
    assert keys == sorted(keys)
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]


def test_policies_read_the_snapshot(tmp_path: Path, server: Server, host: str) -> None:
    assert FILES == reader.FILES
    server.routes[host, "/robots.txt"] = reply(200, TEXT)
    crawl(tmp_path, [f"{host}:{server.port}"], files=FILES)
    today = datetime.now(UTC).date() + timedelta(days=1)
    found = {r.file: r for r in reader.rows(tmp_path / "snapshot.parquet", today)}
    assert found["robots.txt"].content == TEXT
    assert found["ai.txt"].status == 404


def made_row(domain: str, content: bytes | None = TEXT) -> Row:
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    url = f"https://{domain}/robots.txt"
    return Row(domain, "robots.txt", url, url, content, 200, when, False, "text/plain", 0, None)


def test_large_snapshot_is_written_in_batches(tmp_path: Path) -> None:
    rows = [made_row(f"{i:05}.test", bytes(8)) for i in range(9000)]
    counts = write_snapshot(iter(rows), tmp_path / "s.parquet", {})
    assert counts.rows == 9000
    assert pq.ParquetFile(tmp_path / "s.parquet").num_row_groups == 3
    assert rows_of(tmp_path / "s.parquet") == rows


def test_failure_leaves_the_old_snapshot(tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    write_snapshot([made_row("a.test")], out, {})
    before = out.read_bytes()

    def failing() -> Iterator[Row]:
        yield made_row("b.test")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_snapshot(failing(), out, {})
    assert out.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]


# -- the journal --------------------------------------------------------------------------------

BOUND = {"max_bytes": 1, "files": ["robots.txt"]}


def test_journal_cut_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "j"
    names = ["a.test", "b.test", "c.test"]
    with Journal(path, BOUND) as journal:
        for name in names:
            journal.add(name, [made_row(name), made_row(name, None)])
    whole = path.read_bytes()
    ends = [i + 1 for i, octet in enumerate(whole) if octet == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        with Journal(path, BOUND) as journal:
            assert [n for n in names if n in journal] == names[:kept]
            for name in names[kept:]:
                journal.add(name, [made_row(name), made_row(name, None)])
            assert journal.rows("b.test") == [made_row("b.test"), made_row("b.test", None)]
        assert path.read_bytes() == whole


def test_zeros_at_the_end_are_cut_off(tmp_path: Path) -> None:
    """What some file systems leave after a power cut."""
    path = tmp_path / "j"
    with Journal(path, BOUND) as journal:
        journal.add("a.test", [made_row("a.test")])
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    with Journal(path, BOUND) as journal:
        assert "a.test" in journal
    assert path.read_bytes() == whole


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, BOUND) as journal:
        for name in ("a.test", "b.test"):
            journal.add(name, [made_row(name)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    with pytest.raises(UnreadableFile, match=r"Line 2 .* delete"):
        Journal(path, BOUND)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, BOUND | {"max_bytes": 2}, "another max_bytes"),
        (None, BOUND | {"files": [], "new": 1}, "another files, new"),
        (b"PAR1\n", BOUND, "no journal"),
        (b"{}\n", BOUND, "no journal"),
        (b'{"format": "lethe-fetch-journal/0", "options": {}}\n', BOUND, "no journal"),
        (b"[]\n", BOUND, "no journal"),
    ],
)
def test_foreign_journal_is_refused(
    tmp_path: Path, content: bytes | None, options: dict[str, object], words: str
) -> None:
    path = tmp_path / "j"
    if content is None:
        Journal(path, BOUND).close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(WrongRun, match=words):
        Journal(path, options)
    assert path.read_bytes() == before


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", BOUND), pytest.raises(WrongRun, match="Another process"):
        Journal(tmp_path / "j", BOUND)
    Journal(tmp_path / "j", BOUND).close()


def test_options_that_bind(tmp_path: Path, server: Server, host: str) -> None:
    """Pace may change from run to run; what is asked and kept may not."""
    out = tmp_path / "s.parquet"
    journal = tmp_path / "s.parquet.journal"
    Journal(journal, quick().binding()).close()
    with pytest.raises(WrongRun, match="user_agent"):
        fetch(["a.invalid"], out, options=quick(user_agent="other/1"), network=LocalNetwork())
    assert journal.exists()
    fetch(["a.invalid"], out, options=quick(delay_s=0.01, concurrency=3), network=LocalNetwork())
    assert out.exists()
    assert not journal.exists()


def test_errors_of_the_journal_end_the_crawl(tmp_path: Path, server: Server, host: str) -> None:
    def full(done: int, total: int) -> None:
        if done:
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        fetch(
            [f"{host}:{server.port}"],
            tmp_path / "s.parquet",
            options=quick(),
            network=LocalNetwork(),
            progress=full,
        )
    assert not (tmp_path / "s.parquet").exists()
    assert (tmp_path / "s.parquet.journal").exists()


def test_journal_is_on_the_disk_within_a_second(tmp_path: Path) -> None:
    async def late(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.9)
        sink.write(reply(200, TEXT))

    seen: list[list[str]] = []
    with Server() as running:
        running.routes["b.test", "/robots.txt"] = late
        first, second = (f"{n}.test:{running.port}" for n in "ab")
        fetch(
            [first, second],
            tmp_path / "s.parquet",
            options=quick(),
            network=LocalNetwork(),
            tls=TRUSTED,
            progress=lambda *_: seen.append(done_in(tmp_path / "s.parquet.journal")),
        )
    assert seen[-1] == [first]


# -- stopping and going on ----------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from pipeline.optout.fetch import FetchOptions, fetch

class Local:
    async def resolve(self, host, port):
        return ["127.0.0.1"]
    def permits(self, address):
        return True
    def close(self):
        pass

port, out = sys.argv[1:]
domains = [f"d{i:02}.test:{port}" for i in range(30)]
options = FetchOptions(
    delay_s=0.05, https_first=False, concurrency=1, retries=0, files=("robots.txt", "tdmrep.json")
)
result = fetch(domains, Path(out), options=options, network=Local())
print(result.resumed)
"""


def start_child(server: Server, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(server.port), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


def done_in(journal: Path) -> list[str]:
    lines = journal.read_bytes().split(b"\n")[1:-1] if journal.exists() else []
    return [json.loads(line)["domain"] for line in lines]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_interrupted_crawl_goes_on_where_it_was(tmp_path: Path, how: signal.Signals) -> None:
    async def never(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await source.read()

    with Server() as running:
        names = [f"d{i:02}.test" for i in range(30)]
        running.routes |= {(n, "/robots.txt"): reply(200, TEXT) for n in names[:20]}
        running.routes |= {(n, "/robots.txt"): never for n in names[20:]}
        out = tmp_path / "s.parquet"
        journal = tmp_path / "s.parquet.journal"

        child = start_child(running, out)
        limit = time.monotonic() + 15
        while len(done_in(journal)) < 5:
            assert child.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.01)
        child.send_signal(how)
        _, errors = child.communicate(timeout=10)
        assert child.returncode in {-how, 130}
        if how == signal.SIGINT:
            assert "KeyboardInterrupt" in errors
        done = done_in(journal)
        assert 5 <= len(done) < 30
        assert not out.exists()

        running.requests.clear()
        running.routes |= {(n, "/robots.txt"): reply(200, TEXT) for n in names}
        child = start_child(running, out)
        printed, errors = child.communicate(timeout=20)
        assert printed == f"{len(done)}\n", errors
        again = {f"{r.host}:{running.port}" for r in running.requests}
        assert again.isdisjoint(done)
        assert len(again) == 30 - len(done)

    found = [(r.domain, r.file, r.status, r.content, r.error) for r in rows_of(out)]
    names = [f"{n}:{running.port}" for n in names]
    assert found == [
        row
        for n in names
        for row in ((n, "robots.txt", 200, TEXT, None), (n, "tdmrep.json", 404, None, None))
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]


# -- what it costs to have it -------------------------------------------------------------------


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        cwd=Path(__file__).resolve().parents[2],
    )
    return done.stdout.strip()


def test_importing_is_light() -> None:
    code = (
        "import sys, pipeline.optout.fetch\n"
        "print([m for m in ('httpx', 'pyarrow', 'ssl') if m in sys.modules])"
    )
    assert run_python(code) == "['ssl']"  # asyncio brings it


@pytest.mark.parametrize("missing", ["httpx", "pyarrow"])
def test_missing_extra_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from pathlib import Path\n"
        "from filter.errors import MissingExtra\n"
        "from pipeline.optout.fetch import fetch\n"
        "try:\n    fetch(['a.test'], Path('never.parquet'))\n"
        "except MissingExtra as error:\n    print(error)"
    )
    assert "lethe-llm[corpus]" in run_python(code)
    assert issubclass(MissingExtra, Exception)
