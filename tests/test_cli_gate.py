"""``lethe gate``, as people run it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import ended as lethe

from filter import Bundle

TODAY = datetime.now(UTC).date()
RELEASE = f"{TODAY.year}.{1 if TODAY.month < 7 else 2}.0"
"""Of today, since bundles expire."""
LISTED = [("email", "jane.doe@example.org"), ("name", "Jane Doebler")]


def process(*arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
    """A process, once for each command; `lethe` is the same without one."""
    return subprocess.run(
        [sys.executable, "-m", "lethe", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def mistake(*arguments: object, given: str = "") -> str:
    """Standard error of a command that must end with one sentence and exit code 2."""
    found = lethe(*arguments, given=given)
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert found.stderr.startswith("lethe: ")
    assert found.stderr.count("\n") == 1, found.stderr
    return found.stderr


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles: one that is good, and others that a gate must not use."""
    folder = tmp_path_factory.mktemp("bundles")
    Bundle.build(LISTED, release=RELEASE).write(folder / "good")
    Bundle.build(LISTED, release=RELEASE, kdf="testing").write(folder / "testing")
    Bundle.build([], release="2023.1.0").write(folder / "expired")
    octets = bytearray((folder / "good").read_bytes())
    octets[-1] ^= 1
    (folder / "damaged").write_bytes(octets)
    (folder / "cut").write_bytes(octets[:-200])
    (folder / "text").write_text("not a bundle\n" * 100)
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none", "cannot be read"),
        ("testing", "--kdf testing"),
        ("expired", "expired"),
        ("damaged", "good|damaged|changed"),
        ("cut", "cut|damaged"),
        ("text", "not a bundle"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "generate"])
def test_bundles_that_must_not_be_used(bundles: Path, command: str, name: str, says: str) -> None:
    said = mistake("gate", command, "--model", "none", "--bundle", bundles / name)
    assert re.search(says, said), said


@pytest.mark.parametrize("command", ["serve", "generate", "proxy"])
def test_a_process_ends_with_one_sentence(bundles: Path, command: str) -> None:
    where = ["--upstream", "http://127.0.0.1:1"] if command == "proxy" else ["--model", "none"]
    done = process("gate", command, *where, "--bundle", bundles / "damaged")
    assert done.returncode == 2
    assert done.stderr.startswith("lethe: ")
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--mode", "ignore", "redact, refuse, resample"),
        ("--on-named-prompt", "ignore", "answer, redact, refuse"),
        ("--filter-policy", "none", "standard"),
    ],
)
def test_options_that_cannot_be_used(bundles: Path, option: str, value: str, says: str) -> None:
    assert says in mistake(
        "gate", "serve", "--model", "none", "--bundle", bundles / "good", option, value
    )


def test_a_key_file_that_holds_none(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n")
    command = ["gate", "serve", "--model", "none", "--bundle", bundles / "good"]
    assert "holds no key" in mistake(*command, "--api-key-file", tmp_path / "keys")


def test_a_port_that_is_taken(bundles: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = ["gate", "serve", "--model", "none", "--bundle", bundles / "good", "--port", port]
        assert "choose another" in mistake(*command)
