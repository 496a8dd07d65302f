"""TLS and proxies, for real: a certificate of our own, a proxy of twenty lines."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from filter_service.client import NotReached


class Proxy(socketserver.ThreadingTCPServer):
    """Understands CONNECT (RFC 9110, section 9.3.6)."""

    daemon_threads = True
    heads: list[bytes]


class Tunnel(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.rfile.readline()
        self.server.heads.append(head)
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as upstream:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pair = {self.connection: upstream, upstream: self.connection}
            while True:
                for ready in select.select(list(pair), [], [], 10)[0]:
                    piece = ready.recv(65536)
                    if not piece:
                        return
                    pair[ready].sendall(piece)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lethe.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def https(world: Any, certificate: Path) -> str:
    """The same server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    world.server.socket = context.wrap_socket(world.server.socket, server_side=True)
    return str(world.url).replace("http:", "https:")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    proxy = Proxy(("127.0.0.1", 0), Tunnel)
    proxy.heads = []
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    port = proxy.server_address[1]
    monkeypatch.setenv("https_proxy", f"http://jane:doe%40example@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()


def test_a_certificate_that_nobody_vouches_for(world: Any, https: str) -> None:
    world.publish()
    with pytest.raises(NotReached, match="SSLCertVerificationError"):
        world.get(url=https)


def test_a_certificate_that_is_trusted(
    world: Any, https: str, certificate: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    world.publish(audience="operators")
    fetched = world.get(url=https, audience="operators", key=tools.OPERATOR_KEY)
    assert fetched.release == f"{tools.HALF}.0"
    # It is one of 127.0.0.1, not of any other name.
    with pytest.raises(NotReached, match="SSLCertVerificationError"):
        world.get("another", url=https.replace("127.0.0.1", "localhost"))


def test_through_a_proxy(
    world: Any,
    https: str,
    certificate: Path,
    proxy: Proxy,
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    world.publish(audience="operators")
    fetched = world.get(url=https, audience="operators", key=tools.OPERATOR_KEY)
    assert fetched.release == f"{tools.HALF}.0"
    assert len(proxy.heads) == len(world.server.requests) > 3
    for head in proxy.heads:
        assert base64.b64encode(b"jane:doe@example") in head
        assert b"Bearer" not in head
    for _, headers in world.server.requests:
        assert "Proxy-Authorization" not in headers

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    proxy.heads.clear()
    world.get(url=https, audience="operators", key=tools.OPERATOR_KEY)
    assert proxy.heads == []


def test_a_slow_server_behind_tls_is_cut(
    world: Any, https: str, certificate: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    world.publish()
    world.get(url=https)

    def drips(handler: Any) -> None:
        with contextlib.suppress(OSError):
            while not handler.server.closing.wait(0.05):
                handler.wfile.write(b"x")

    world.server.answers["/public/metadata/timestamp.json"] = drips
    kept = world.get(url=https, limits=tools.HASTY)
    assert "did not answer" in kept.warnings[0]


def test_hosts_that_a_redirect_may_lead_to(
    world: Any, https: str, certificate: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where files lie on another host than the index. The key does not go there."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    world.publish(audience="operators")
    other = tools.Server(world.base)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    other.socket = context.wrap_socket(other.socket, server_side=True)
    content = world.read("timestamp.json", "operators")
    path = "/operators/metadata/timestamp.json"
    other.answers[path] = tools.octets(content)
    world.server.answers[path] = tools.redirect(other.url.replace("http:", "https:") + path)
    options = {"url": https, "audience": "operators", "key": tools.OPERATOR_KEY}
    try:
        assert world.get(redirect_hosts=["127.0.0.1"], **options).updated
    finally:
        other.stop()
    assert [("Authorization" in headers) for _, headers in other.requests] == [False]
