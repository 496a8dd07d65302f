"""A publisher with real keys, a web server that can be told to attack, and clients of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from filter import Bundle
from filter_service.client import Fetched, Limits, get
from filter_service.publishing import keys, roots, signing
from filter_service.publishing.repository import Repository
from filter_service.publishing.targets import bundle_target

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
HALF = f"{NOW.year}.{1 if NOW.month < 7 else 2}"
ENTRIES = [("email", "jane.doe@example.org"), ("name", "Jürg Müller")]
OPERATOR_KEY = "an-operators-key"
PATIENT = Limits(idle_s=20, answer_s=20, slowest_bytes_per_s=1 << 20)
HASTY = Limits(idle_s=0.3, answer_s=0.6, slowest_bytes_per_s=1 << 20)


class Handler(SimpleHTTPRequestHandler):
    """Static files; ``server.answers`` holds what is answered instead."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path, self.server.answers.get("*"))
        authorization = self.headers.get("Authorization")
        try:
            if answer is not None:
                answer(self)
            elif self.path.startswith("/operators/") and authorization != f"Bearer {OPERATOR_KEY}":
                self.send_error(401)
            else:
                super().do_GET()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A web server on 127.0.0.1."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.closing = threading.Event()
        """Set at the end, so that slow answers end too."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def handle_error(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


def octets(content: bytes, status: int = 200) -> Callable[[Handler], None]:
    """An answer with this content."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirect(location: str) -> Callable[[Handler], None]:
    """An answer that leads elsewhere."""

    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def bundle(
    path: Path,
    release: str,
    audience: str = "public",
    *,
    until: date | None = None,
    kdf: str = "testing",
) -> Path:
    """A bundle; with ``kdf="standard"`` one whose codes are made up instead of hashed for seconds."""
    made = Bundle.build(
        ENTRIES,
        release=release,
        audience=audience,
        kdf=kdf,
        valid_until=until,
        slow=None if kdf == "testing" else lambda secret: zlib.crc32(secret.encode()),
    )
    made.write(path)
    return path


class World:
    """The publisher's side below ``base``, served at ``url``; clients have folders of their own."""

    def __init__(self, folder: Path, server: Server, ceremony: Path) -> None:
        self.folder = folder
        self.server = server
        self.url = server.url
        self.base = folder / "www"
        self.keys = folder / "keys"
        shutil.copytree(ceremony, self.keys)
        self.offline = self.keys / "offline"
        self.online = keys.load_online_keys(self.keys / "online")
        self.targets_keys = keys.load_offline_keys("targets", [self.offline])
        self.root_keys = keys.load_offline_keys("root", [self.offline])
        self.root = first_root(self.root_keys, self.targets_keys, self.online, NOW - 300 * DAY)
        self.repository = Repository.create(self.base, "public", self.root)
        self.operators = Repository.create(self.base, "operators", self.root)

    def bundle(self, release: str, audience: str = "public", **options: Any) -> Path:
        """A bundle of this half-year."""
        path = self.folder / f"{audience}-{release}.safetensors"
        return bundle(path, f"{HALF}.{release}", audience, **options)

    def publish(
        self, release: str = "0", *, audience: str = "public", now: datetime = NOW, **options: Any
    ) -> Path:
        """Publish a bundle with two of the three targets keys."""
        path = self.bundle(release, audience, **options)
        repository = self.repository if audience == "public" else self.operators
        name, described = bundle_target(path, min(now, NOW), allow_testing=True)
        repository.publish({name: described}, self.targets_keys[:2], self.online, now)
        return path

    def get(self, name: str = "client", **options: Any) -> Fetched:
        """A client's call."""
        options = {"root": self.root, "allow_testing": True, "limits": PATIENT} | options
        return get(options.pop("url", self.url), self.folder / name, **options)

    def placed(self, name: str = "client", audience: str = "public") -> Path:
        """The file that a gate watches."""
        return self.folder / name / f"lethe-{audience}.safetensors"

    def read(self, name: str, audience: str = "public") -> bytes:
        """A metadata file as it is served."""
        return (self.base / audience / "metadata" / name).read_bytes()

    def forge(self, name: str, payload: Any, *signers: CryptoSigner) -> bytes:
        """Write metadata past the `Repository`, as a thief of some keys would."""
        metadata = Metadata(payload)
        for signer in signers:
            metadata.sign(signer, append=True)
        octets = metadata.to_bytes()
        (self.base / "public" / "metadata" / name).write_bytes(octets)
        return octets

    def metadata(self, name: str) -> Any:
        """A metadata file's signed part."""
        return Metadata.from_bytes(self.read(name)).signed

    def command(self, name: str, *more: str) -> list[str]:
        """A client in a process of its own, which prints what it fetched."""
        root = self.folder / "root.json"
        root.write_bytes(self.root)
        code = (
            "import sys, pathlib; from filter_service.client import get;"
            "print(get(sys.argv[1], sys.argv[2], root=pathlib.Path(sys.argv[3]).read_bytes(),"
            " allow_testing=True).release)"
        )
        return [sys.executable, "-c", code, self.url, str(self.folder / name), str(root), *more]


def first_root(
    root_keys: list[CryptoSigner],
    targets_keys: list[CryptoSigner],
    online: keys.OnlineKeys,
    now: datetime,
) -> bytes:
    """Root version 1, signed by two."""
    unsigned = roots.first_root(
        [k.public_key for k in root_keys],
        [k.public_key for k in targets_keys],
        online.snapshot.public_key,
        online.timestamp.public_key,
        now,
    )
    return signing.signed(unsigned, root_keys[:2])


class Tools:
    """What the tests need besides, handed over as the fixture ``tools``."""

    NOW, DAY, HALF, HASTY, OPERATOR_KEY = NOW, DAY, HALF, HASTY, OPERATOR_KEY
    octets = staticmethod(octets)
    redirect = staticmethod(redirect)
    bundle = staticmethod(bundle)
    first_root = staticmethod(first_root)
    Server = Server

    @staticmethod
    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A Python process."""
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of keys, to be copied."""
    folder = tmp_path_factory.mktemp("ceremony")
    keys.make_offline_keys(folder / "offline")
    keys.make_online_keys(folder / "online")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "www").mkdir()
    server = Server(tmp_path / "www")
    yield server
    server.stop()


@pytest.fixture
def world(tmp_path: Path, server: Server, ceremony: Path) -> World:
    return World(tmp_path, server, ceremony)


@pytest.fixture
def tools() -> type[Tools]:
    return Tools
