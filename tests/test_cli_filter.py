"""``lethe filter`` and ``lethe selftest``, as people run them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from command_line import ended_octets as lethe

from filter.release import last_day

TODAY = datetime.now(UTC).date()
RELEASE = f"{TODAY.year}.{1 if TODAY.month < 7 else 2}.0"
"""Of today, since bundles expire."""
UNTIL = last_day(RELEASE).isoformat()
ENTRIES = [
    {"kind": "name", "value": "Jürg Müller"},
    {"kind": "email", "value": "jane.doe@example.org"},
    {"kind": "phone", "value": "044 668 18 00"},
]


def process(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A process, once for each command; `lethe` is the same without one."""
    return subprocess.run(
        [sys.executable, "-m", "lethe", *arguments], input=given, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("entries") / "people.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ENTRIES) + "\n")
    return path


@pytest.fixture(scope="module")
def bundle(entries: Path) -> Path:
    path = entries.parent / "filter.safetensors"
    made = process(
        "filter",
        "build",
        "--entries",
        str(entries),
        "--release",
        RELEASE,
        "--out",
        str(path),
        "--kdf",
        "testing",
    )
    assert made.returncode == 0, made.stderr
    assert b"hides nobody" in made.stderr
    assert b"name" in made.stdout
    return path


def test_building_twice_gives_the_same(entries: Path, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    made = lethe(
        "filter",
        "build",
        "--entries",
        str(entries),
        "--release",
        RELEASE,
        "--out",
        str(path),
        "--kdf",
        "testing",
        "--json",
    )
    assert path.read_bytes() == bundle.read_bytes()
    counts = json.loads(made.stdout)
    assert counts["kinds"]["email"] == {"entries": 1, "stored": 1}
    assert counts["kinds"]["name"]["stored"] > 1


def test_the_standard_hash_is_the_default(entries: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    made = lethe(
        "filter",
        "build",
        "--entries",
        str(entries),
        "--release",
        RELEASE,
        "--out",
        str(path),
        "--audience",
        "public",
    )
    assert made.stderr == b""
    assert b"1 phrases left out" in made.stdout
    shown = lethe("filter", "inspect", str(path)).stdout.decode()
    assert "argon2id, 19456 KiB, 2 passes" in shown
    said = lethe(
        "filter", "scan", "--bundle", str(path), given="Jürg Müller 044 668 18 00".encode()
    )
    assert said.stdout.decode() == "Jürg Müller [phone removed]"
    assert said.stderr == b""


def test_scan_redacts_text_and_keeps_other_octets(bundle: Path) -> None:
    given = "Jürg Müller\r\n".encode() + b"\xff\xfe caf\xe9 " + b"jane.doe@example.org"
    said = process("filter", "scan", "--bundle", str(bundle), given=given)
    assert said.returncode == 0
    assert said.stdout == b"[name removed]\r\n\xff\xfe caf\xe9 [email removed]"


def test_scan_of_lines(bundle: Path) -> None:
    rows = [
        {"text": "Jürg Müller", "id": 7, "author": "Jürg Müller"},
        {"text": "nobody", "id": "jane.doe@example.org"},
    ]
    given = "\n".join(map(json.dumps, rows)).encode()
    said = lethe("filter", "scan", "--bundle", str(bundle), "--jsonl", given=given)
    assert [json.loads(line) for line in said.stdout.splitlines()] == [
        {
            "id": 7,
            "text": "[name removed]",
            "matches": [{"start": 0, "end": 11, "kind": "name", "reason": "listed"}],
        },
        {"id": "[email removed]", "text": "nobody", "matches": []},
    ]


def test_a_line_of_ten_megabytes(bundle: Path) -> None:
    text = "word " * 2_000_000 + "jane.doe@example.org"
    said = lethe(
        "filter",
        "scan",
        "--bundle",
        str(bundle),
        "--jsonl",
        given=json.dumps({"text": text}).encode(),
    )
    assert said.returncode == 0
    assert json.loads(said.stdout)["text"] == "word " * 2_000_000 + "[email removed]"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"not json", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"txt": 1}', 'no "text"'),
        (b'{"text": 5}', 'no "text"'),
        (b'{"text": "\xff"}', "no JSON object"),
    ],
)
def test_a_bad_line_stops_the_scan(bundle: Path, line: bytes, says: str) -> None:
    given = b'{"text": "Ann"}\n' + line + b'\n{"text": "J\xc3\xbcrg M\xc3\xbcller"}\n'
    said = lethe("filter", "scan", "--bundle", str(bundle), "--jsonl", given=given)
    assert said.returncode == 2
    assert f"Line 2 {'is' if 'JSON' in says else 'has'} {says}" in said.stderr.decode()
    assert said.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"kind": "iban", "value": "CH93 0076 2011 6238 5295 8"}', "not an IBAN"),
        ('{"kind": "phone", "value": "044"}', "not a valid telephone number"),
        ('{"kind": "fax", "value": "044 668 18 00"}', "no such kind"),
        ('{"kind": "name", "value": ""}', "too short"),
        ('{"kind": "name"}', "line 2: write"),
        ("{", "line 2 is no JSON object"),
    ],
)
def test_bad_entries_are_named_by_their_number(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"kind": "email", "value": "jane@example.org"}\n' + row + "\n")
    out = tmp_path / "f.safetensors"
    made = lethe(
        "filter",
        "build",
        "--entries",
        str(path),
        "--release",
        RELEASE,
        "--out",
        str(out),
        "--kdf",
        "testing",
    )
    assert made.returncode == 2
    assert says in made.stderr.decode()
    assert made.stderr.decode().count("\n") == 1
    assert "2" in made.stderr.decode()
    assert "5295" not in made.stderr.decode()
    assert not out.exists()


def test_a_key_for_decoys(entries: Path, tmp_path: Path) -> None:
    key, out = tmp_path / "key", tmp_path / "f.safetensors"
    common = (
        "filter",
        "build",
        "--entries",
        str(entries),
        "--release",
        RELEASE,
        "--out",
        str(out),
        "--kdf",
        "testing",
    )
    for content, code in ((b"short", 2), (b"k" * 32, 0)):
        key.write_bytes(content)
        assert lethe(*common, "--decoys", str(key)).returncode == code
    assert lethe(*common, "--decoys", str(tmp_path / "none")).returncode == 2


def bad_bundles(octets: bytes) -> dict[str, tuple[bytes, str]]:
    size = int.from_bytes(octets[:8], "little")
    return {
        "empty": (b"", "is empty"),
        "foreign": (b"PK\x03\x04" * 100, "is not a bundle"),
        "truncated": (octets[:-5], "damaged or cut short"),
        "cut in the header": (octets[: size // 2], "damaged or cut short"),
        "changed": (octets[:-3] + bytes([octets[-3] ^ 1]) + octets[-2:], "was changed"),
        "newer": (octets.replace(b'\\"format\\":1', b'\\"format\\":2'), "format 2"),
        "expired": (
            octets.replace(UNTIL.encode(), b"2020-04-02"),
            "expired on 2020-04-02|was changed",
        ),
    }


@pytest.mark.parametrize(
    "name", ["empty", "foreign", "truncated", "cut in the header", "changed", "newer", "expired"]
)
@pytest.mark.parametrize(
    "command", [("filter", "scan", "--bundle"), ("filter", "inspect"), ("selftest", "--bundle")]
)
def test_bad_bundles_let_nothing_through(
    bundle: Path, tmp_path: Path, name: str, command: tuple[str, ...]
) -> None:
    octets, says = bad_bundles(bundle.read_bytes())[name]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(octets)
    said = lethe(*command, str(path), given="Jürg Müller".encode())
    assert said.returncode == 2
    assert said.stdout == b""
    assert said.stderr.count(b"\n") == 1
    assert any(part in said.stderr.decode() for part in says.split("|"))


def test_an_expired_bundle_warns_then_is_refused(entries: Path, tmp_path: Path) -> None:
    """In the days of grace it works, with an alarm; then it does not."""
    from filter import Bundle

    for days, code, says in (
        (5, 0, b"expires on"),
        (-5, 0, b"EXPIRED on"),
        (-40, 2, b"expired on"),
    ):
        path = tmp_path / f"{days}.safetensors"
        Bundle.build(
            [("name", "Jürg Müller")],
            release=RELEASE,
            kdf="testing",
            valid_until=TODAY + timedelta(days=days),
        ).write(path)
        said = lethe("filter", "scan", "--bundle", str(path), given="Jürg Müller".encode())
        assert said.returncode == code
        assert says in said.stderr
        assert said.stdout == (b"[name removed]" if code == 0 else b"")


def test_inspect(bundle: Path) -> None:
    shown = process("filter", "inspect", str(bundle))
    assert shown.returncode == 0
    for part in (
        f"{RELEASE} for operators",
        f"{UNTIL} (valid)",
        "content        verified",
        "phone",
        " 24 ",
        "phrases",
    ):
        assert part in shown.stdout.decode()
    manifest = json.loads(lethe("filter", "inspect", str(bundle), "--json").stdout)
    assert manifest["kinds"]["phone"]["bits"] == 22


def test_selftest(bundle: Path) -> None:
    for arguments in ((), ("--bundle", str(bundle))):
        said = process("selftest", *arguments)
        assert said.returncode == 0, said.stderr
        assert said.stdout.count(b"stopped") == 10
    assert lethe("selftest", "--bundle", str(bundle), "--url", "http://x.test").returncode == 2


class Health(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (b'{"status": "ok", "canaries": {"email": true, "name": true}}', 0),
        (b'{"status": "red", "canaries": {"email": true, "name": false}}', 1),
        (b'{"canaries": {}}', 1),
        (b'{"status": "ok"}', 2),
        (b"<html>", 2),
    ],
)
def test_selftest_of_a_gate(page: bytes, code: int) -> None:
    handler = type("Handler", (Health,), {"page": page})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = lethe("selftest", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert said.returncode == code
    assert (b"LEAKED" in said.stdout) == (code == 1 and b"false" in page)


@pytest.mark.parametrize("path", ["", "/", "/health", "/health/"])
def test_the_address_of_a_gate_or_of_its_health_page(path: str) -> None:
    handler = type("Handler", (Health,), {"page": b'{"canaries": {"email": true}}'})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = lethe("selftest", "--url", f"http://127.0.0.1:{server.server_port}{path}")
        server.shutdown()
    assert said.returncode == 0, said.stderr


def test_selftest_of_nothing() -> None:
    said = process("selftest", "--url", "http://127.0.0.1:1")
    assert said.returncode == 2
    assert b"No health page" in said.stderr
