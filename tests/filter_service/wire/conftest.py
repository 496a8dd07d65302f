"""A small internet on loopback: an authority, name servers, and web servers that misbehave on demand."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiosmtpd.smtp
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filter_service.evidence.names import Names
from filter_service.safe_http import SafeHttp

PUBLIC = "127.0.0.2"
"""Stands for the public internet; 127.0.0.1, on the same port, for what must not be reached."""


class Authority:
    """A certificate authority that only the tests trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
        usage = x509.KeyUsage(*[False] * 5, True, True, False, False)
        certificate = (
            self._unsigned(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str) -> ssl.SSLContext:
        """What a server for these names shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        certificate = (
            self._unsigned(subject, key)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{names[0].replace('*', '_')}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))

    def _unsigned(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(ours, False)
        )


class Loop:
    """An event loop in a thread, with servers in it."""

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)))
        self._thread.start()
        assert ready.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self.open()
        ready.set()
        await self._stop.wait()
        self.close()
        rest = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def open(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class NameServer(Loop, asyncio.DatagramProtocol):
    """Answers by name and type, over UDP and TCP of one port.

    A list of answers is worked off and its last one stays. An answer is a list of records in text form, or
    a code; what is not known does not exist; a name in ``silent`` gets no answer.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[list[str] | dns.rcode.Rcode]] = {}
        self.silent: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over_tcp = 0

    async def open(self) -> None:
        # The port of the one must be free for the other as well.
        self._tcp = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await self._loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", self.port)
        )

    def close(self) -> None:
        self._udp.close()
        self._tcp.close()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self._answer(data, 512)
        if answer is not None:
            self.transport.sendto(answer, addr)

    async def _stream(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await source.readexactly(2), "big")
        answer = self._answer(await source.readexactly(length), 65535)
        if answer is not None:
            self.over_tcp += 1
            sink.write(len(answer).to_bytes(2, "big") + answer)
            await sink.drain()
        sink.close()

    def _answer(self, octets: bytes, most: int) -> bytes | None:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        if name in self.silent:
            return None
        answer = dns.message.make_response(query)
        answers = self.zone.get((name, kind))
        if answers is None:
            known = any(n == name for n, _ in self.zone)
            answer.set_rcode(dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN)
        else:
            found = answers[0]
            if isinstance(found, dns.rcode.Rcode):
                answer.set_rcode(found)
            elif found:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        whole = answer.to_wire()
        if len(whole) > most:  # RFC 1035, section 4.2.1: say so, and be asked again by TCP
            answer.answer.clear()
            answer.flags |= dns.flags.TC
            return answer.to_wire()
        self.asked[name, kind] += 1
        if answers is not None and len(answers) > 1:
            answers.pop(0)
        return whole


class Request(NamedTuple):
    address: str
    """The address of ours that was connected to."""
    server_name: str | None
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Web(Loop):
    """An HTTPS server on two addresses; answers by path, in octets or by a script."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._names: dict[ssl.SSLObject, str | None] = {}
        tls.sni_callback = self._named
        self.routes: dict[str, bytes | Script] = {}
        self.requests: list[Request] = []
        self.connections: Counter[str] = Counter()

    def _named(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        self._names[connection] = name

    async def open(self) -> None:
        first = await asyncio.start_server(self._serve, PUBLIC, 0, ssl=self._tls)
        self.port = first.sockets[0].getsockname()[1]
        # What must not be reached speaks no TLS, so that the first octet counts.
        second = await asyncio.start_server(self._watch, "127.0.0.1", self.port)
        self._servers = [first, second]

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def _watch(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self.connections["127.0.0.1"] += 1
        sink.close()

    async def _serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self.connections[PUBLIC] += 1
        try:
            head = (await source.readuntil(b"\r\n\r\n")).decode("latin-1")
            start, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
            body = await source.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = start.split(" ")
            name = self._names.get(sink.get_extra_info("ssl_object"))
            self.requests.append(Request(PUBLIC, name, method, path, headers, body))
            answer = self.routes.get(path, b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
            if isinstance(answer, bytes):
                sink.write(answer)
                await sink.drain()
            else:
                await answer(source, sink)
            await source.read()  # until the other side hangs up
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            sink.close()


class MailServer(Loop):
    """A mail server that keeps what it takes, and replies to RCPT and DATA as it is told."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        utf8: bool = True,
    ) -> None:
        self._starttls, self._tls, self._login, self._utf8 = starttls, tls, login, utf8
        self.replies: dict[str, str] = {}
        self.quits = True
        self.envelopes: list[aiosmtpd.smtp.Envelope] = []
        self.sessions: list[aiosmtpd.smtp.Session] = []
        self.encrypted: list[bool] = []

    async def open(self) -> None:
        self._server = await self._loop.create_server(
            lambda: aiosmtpd.smtp.SMTP(
                self,
                hostname="mail.example",
                loop=self._loop,
                tls_context=self._starttls,
                require_starttls=self._starttls is not None,
                authenticator=self._authenticated if self._login else None,
                auth_required=self._login is not None,
                auth_require_tls=self._starttls is not None,
                enable_SMTPUTF8=self._utf8,
            ),
            "127.0.0.1",
            0,
            ssl=self._tls,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()

    def _authenticated(self, server: Any, session: Any, envelope: Any, how: str, data: Any) -> Any:
        given = (data.login.decode(), data.password.decode())
        return aiosmtpd.smtp.AuthResult(success=given == self._login, handled=False)

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's names)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        envelope.mail_from, envelope.mail_options = address, options
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's names)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = self.replies.get("DATA", "250 OK")
        if reply == "hang up":
            server.transport.abort()
        elif reply.startswith("250"):
            self.envelopes.append(envelope)
            self.sessions.append(session)
            self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return reply

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if not self.quits:
            await asyncio.sleep(60)
        return "221 Bye"


class World(NamedTuple):
    """What a client sees: ``example.org`` and its like are on `PUBLIC`."""

    names: NameServer
    web: Web
    authority: Authority

    def resolver(self, deadline_s: float = 2.0) -> Names:
        return Names(["127.0.0.1"], port=self.names.port, deadline_s=deadline_s)

    def client(self, **changes: Any) -> SafeHttp:
        chosen: dict[str, Any] = {
            "permitted": [ip_network(f"{PUBLIC}/32")],
            "ca_file": self.authority.file,
            "port": self.web.port,
            "deadline_s": 3.0,
        }
        return SafeHttp(self.resolver(), **(chosen | changes))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def world(authority: Authority) -> Iterator[World]:
    tls = authority.server("example.org", "www.example.org", "xn--mller-kva.example")
    with NameServer() as names, Web(tls) as web:
        for host in ("example.org", "www.example.org", "other.example", "xn--mller-kva.example"):
            names.zone[host, "A"] = [[PUBLIC]]
        yield World(names, web, authority)


@pytest.fixture
def mail_server() -> type[MailServer]:
    return MailServer
