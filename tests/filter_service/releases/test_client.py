"""The verified download when nobody attacks: cold, warm, updates, expiry, keys, crashes."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import filter_service
from filter import Bundle
from filter.errors import BundleExpired
from filter.release import refused_from
from filter_service.client import (
    ClientError,
    ClockBehind,
    KeyRefused,
    NoRepository,
    NoRoot,
    NotReached,
    OlderRelease,
    RefusedBundle,
    UnsafeUrl,
    get,
)
from filter_service.client.limits import Limits
from filter_service.client.origin import Origin, parsed
from filter_service.publishing import files, roots, signing
from filter_service.publishing.errors import RefusedTarget
from filter_service.publishing.targets import bundle_target


def test_cold_warm_update(world: Any, tools: Any) -> None:
    first = world.publish("0")
    cold = world.get()
    assert cold.path == world.placed()
    assert cold.path.read_bytes() == first.read_bytes()
    assert (cold.release, cold.updated, cold.warnings) == (f"{tools.HALF}.0", True, ())
    assert cold.valid_until == Bundle.open(first).valid_until
    before = cold.path.stat()

    world.server.requests.clear()
    warm = world.get(root=None)  # the root that was given first is remembered
    assert (warm.release, warm.updated) == (cold.release, False)
    assert warm.path.stat().st_ino == before.st_ino
    asked = [path.rpartition("/")[2] for path, _ in world.server.requests]
    assert asked == ["2.root.json", "timestamp.json"]

    second = world.publish("1")
    update = world.get(root=None)
    assert (update.release, update.updated) == (f"{tools.HALF}.1", True)
    assert update.path.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in world.placed().parent.iterdir()) == [
        ".lethe-public",
        "lethe-public.safetensors",
    ]


def test_the_server_learns_version_and_nothing_else(world: Any) -> None:
    world.publish()
    world.get(key="a-key-that-public-files-do-not-need")
    for _, headers in world.server.requests:
        assert headers.pop("User-Agent").startswith("lethe/")
        assert headers.keys() <= {"Host", "Accept-Encoding", "Connection"}


def test_a_bundle_of_the_standard_profile_needs_no_permission(world: Any, tools: Any) -> None:
    world.publish(kdf="standard")
    assert world.get(allow_testing=False).release == f"{tools.HALF}.0"


def test_a_bundle_of_the_testing_profile_needs_one(world: Any) -> None:
    world.publish()
    with pytest.raises(RefusedBundle, match="hides nobody"):
        world.get(allow_testing=False)
    assert not world.placed().exists()


def test_the_publisher_may_publish_the_same_file_again(world: Any, tools: Any) -> None:
    world.publish()
    world.get()
    world.repository.refresh(world.online, tools.NOW)
    assert world.get().updated is False


@pytest.mark.parametrize(("audience", "mode"), [("public", 0o644), ("operators", 0o640)])
def test_who_may_read_the_file(world: Any, tools: Any, audience: str, mode: int) -> None:
    world.publish(audience=audience)
    placed = world.get(audience=audience, key=tools.OPERATOR_KEY).path
    assert stat.S_IMODE(placed.stat().st_mode) == mode
    assert stat.S_IMODE((placed.parent / f".lethe-{audience}").stat().st_mode) == 0o700


# Roots of trust


def test_without_a_root_nothing_is_asked(world: Any) -> None:
    world.publish()
    with pytest.raises(NoRoot, match="--root"):
        world.get(root=None)
    assert world.server.requests == []


def test_the_installed_root_is_used(world: Any, tools: Any) -> None:
    world.publish()
    installed = world.folder / "installed" / "filter_service"
    for part in ("client", "publishing"):
        shutil.copytree(Path(filter_service.__path__[0]) / part, installed / part)
    (installed / "__init__.py").touch()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from filter_service.client import get;"
        "print(get(sys.argv[2], sys.argv[3], allow_testing=True).release)"
    )
    arguments = (installed.parent, world.url, world.folder / "client")
    assert "NoRoot" in tools.run(code, *arguments).stderr
    (installed / "client" / "data").mkdir(exist_ok=True)
    (installed / "client" / "data" / "root.json").write_bytes(world.root)
    assert tools.run(code, *arguments).stdout.strip() == f"{tools.HALF}.0"


def test_a_file_that_is_no_root(world: Any) -> None:
    world.publish()
    for octets in (b"", b"{}", world.read("timestamp.json")):
        with pytest.raises(NoRoot, match="cannot be used"):
            world.get(root=octets)
    assert not (world.placed().parent / ".lethe-public" / "root.json").exists()


# Operators


def test_operators_need_their_key(world: Any, tools: Any) -> None:
    world.publish(audience="operators")
    for key in (None, "another-key", tools.OPERATOR_KEY + "x"):
        with pytest.raises(KeyRefused):
            world.get(audience="operators", key=key)
    assert not world.placed(audience="operators").exists()
    fetched = world.get(audience="operators", key=tools.OPERATOR_KEY)
    assert Bundle.open(fetched.path).audience == "operators"
    # A key that was withdrawn is an error at once, although the file that is here stays.
    with pytest.raises(KeyRefused):
        world.get(audience="operators", key="withdrawn")
    assert fetched.path.exists()


def test_a_403_for_operators_is_about_the_key(world: Any, tools: Any) -> None:
    world.publish(audience="operators")
    world.server.answers["*"] = tools.octets(b"", status=403)
    with pytest.raises(KeyRefused):
        world.get(audience="operators", key=tools.OPERATOR_KEY)
    with pytest.raises(NoRepository):
        world.get()


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel", "x" * 600])
def test_what_is_no_key(world: Any, key: str) -> None:
    with pytest.raises(UnsafeUrl) as error:
        world.get(audience="operators", key=key)
    assert not key or key not in str(error.value)
    assert world.server.requests == []


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://lethe.example/files", (Origin("https", "lethe.example", 443), "/files")),
        ("https://Lethe.Example:8443", (Origin("https", "lethe.example", 8443), "/")),
        ("http://127.0.0.1:80/a?b", (Origin("http", "127.0.0.1", 80), "/a?b")),
        ("http://127.9.9.9/", (Origin("http", "127.9.9.9", 80), "/")),
        ("http://[::1]:8080/", (Origin("http", "::1", 8080), "/")),
        ("http://localhost/", (Origin("http", "localhost", 80), "/")),
        ("http://lethe.example/", None),
        ("http://localhost.lethe.example/", None),
        ("http://127.0.0.1.lethe.example/", None),
        ("http://128.0.0.1/", None),
        ("http://[::2]/", None),
        ("ftp://127.0.0.1/", None),
        ("file:///etc/hostname", None),
        ("https://user:secret@lethe.example/", None),
        ("https://secret@lethe.example/", None),
        ("https:///path", None),
        ("https://lethe.example:port/", None),
        ("https://lethe.example/a b", None),
        ("https://lethe.example/\N{SNOWMAN}", None),
        ("lethe.example", None),
        ("", None),
    ],
)
def test_addresses(url: str, expected: tuple[Origin, str] | None) -> None:
    if expected is None:
        with pytest.raises(UnsafeUrl) as error:
            parsed(url)
        assert "secret" not in str(error.value)
    else:
        assert parsed(url) == expected


def test_http_to_another_machine_only_when_asked_for() -> None:
    assert parsed("http://lethe.example/", insecure_http=True)[0].port == 80
    with pytest.raises(UnsafeUrl):
        parsed("ftp://lethe.example/", insecure_http=True)


def test_a_key_never_goes_out_unencrypted(tmp_path: Path) -> None:
    with pytest.raises(UnsafeUrl, match="never sent"):
        get("http://lethe.example", tmp_path, audience="operators", key="k", insecure_http=True)


@pytest.mark.parametrize("url", ["https://lethe.example/?a", "https://lethe.example/#a"])
def test_a_base_address_is_only_a_path(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnsafeUrl, match="ends with its path"):
        get(url, tmp_path)


def test_there_are_two_audiences(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="public or operators"):
        get("https://lethe.example", tmp_path, audience="everybody")


def test_a_folder_that_cannot_be_one(world: Any) -> None:
    (world.folder / "client").write_bytes(b"")
    with pytest.raises(ClientError, match="choose another folder"):
        world.get()


# Offline and expired


def answers_nothing(world: Any, tools: Any) -> None:
    world.server.stop()


def answers_503(world: Any, tools: Any) -> None:
    world.server.answers["*"] = tools.octets(b"", status=503)


def timestamp_expired(world: Any, tools: Any) -> None:
    world.repository.refresh(world.online, tools.NOW - 15 * tools.DAY)


def targets_expired(world: Any, tools: Any) -> None:
    world.repository.prepare(world.folder / "old", None, tools.NOW - 276 * tools.DAY)
    for signer in world.targets_keys[:2]:
        signing.sign(world.folder / "old", signer)
    world.repository.finish(world.folder / "old", world.online, tools.NOW - 276 * tools.DAY)
    world.repository.refresh(world.online, tools.NOW)


def root_expired(world: Any, tools: Any) -> None:
    root = roots.next_root(world.root, tools.NOW - 731 * tools.DAY)
    world.repository.rotate(signing.signed(root, world.root_keys), world.online, tools.NOW)


STALE = [answers_nothing, answers_503, timestamp_expired, targets_expired, root_expired]


@pytest.mark.parametrize("stale", STALE)
def test_a_stale_server_and_a_good_bundle(world: Any, tools: Any, stale: Any) -> None:
    world.publish()
    fresh = world.get()
    stale(world, tools)
    kept = world.get()
    assert (kept.path, kept.release, kept.updated) == (fresh.path, fresh.release, False)
    (warning,) = kept.warnings
    assert "The bundle that is here stays." in warning
    assert "expired" in warning or "answer" in warning


@pytest.mark.parametrize("stale", STALE)
def test_a_stale_server_and_no_bundle(world: Any, tools: Any, stale: Any) -> None:
    world.publish()
    stale(world, tools)
    with pytest.raises(NotReached, match="no verified bundle here"):
        world.get()
    assert not world.placed().exists()


def test_the_days_of_a_bundle(world: Any, tools: Any) -> None:
    """Valid, expiring, expired within the days of grace, refused: with and without a server."""
    until = tools.NOW.date() + 100 * tools.DAY
    world.publish(until=until)
    world.get()

    def at(days: int) -> Any:
        return world.get(now=tools.NOW + days * tools.DAY)

    def check(offline: int) -> None:
        assert len(at(0).warnings) == offline
        assert len(at(40).warnings) == offline
        assert at(41).warnings[offline:] == (f"The bundle expires on {until}.",)
        assert at(100).warnings[offline:] == (f"The bundle expires on {until}.",)
        for days in (101, 130):
            assert "will soon be refused" in at(days).warnings[offline]
        with pytest.raises(BundleExpired, match=str(until)):
            world.get(now=refused_from(until))
        assert world.placed().exists()

    check(0)
    world.server.stop()
    check(1)


def test_a_bundle_that_is_long_expired_is_called_so(world: Any, tools: Any) -> None:
    """By the clock itself, and offline too: there is a bundle here, but it is too old."""
    then = tools.NOW - 100 * tools.DAY
    world.publish(until=then.date(), now=then)
    world.repository.refresh(world.online, tools.NOW)
    assert world.get(now=then).updated
    for _ in ("online", "offline"):
        with pytest.raises(BundleExpired, match=str(then.date())):
            world.get()
        world.server.answers["*"] = tools.octets(b"", status=503)
    assert world.placed().exists()


def test_a_bundle_from_the_server_is_judged_the_same(world: Any, tools: Any) -> None:
    until = tools.NOW.date() + 10 * tools.DAY
    world.publish(until=until)
    with pytest.raises(BundleExpired):
        world.get(now=refused_from(until))
    assert not world.placed().exists()
    late = world.get(now=tools.NOW + 12 * tools.DAY)
    assert late.updated
    assert "will soon be refused" in late.warnings[0]


def test_a_clock_that_is_behind(world: Any, tools: Any) -> None:
    """It would hide a freeze: a timestamp is never valid for longer than it is signed for."""
    world.publish(now=tools.NOW + tools.DAY)
    world.get()
    world.publish("1", now=tools.NOW + 3 * tools.DAY)
    with pytest.raises(ClockBehind, match="2 days behind"):
        world.get()
    assert Bundle.open(world.placed()).release == f"{tools.HALF}.0"


# Files that somebody else changed


def test_a_changed_file_is_not_kept(world: Any, tools: Any) -> None:
    world.publish("0")
    world.get()
    other = world.bundle("7").read_bytes()
    world.placed().write_bytes(other)
    world.server.answers["*"] = tools.octets(b"", status=503)
    with pytest.raises(NotReached):
        world.get()
    assert world.placed().read_bytes() == other
    world.server.answers.clear()
    # Nor does the release that it claims keep the signed one away.
    assert world.get().release == f"{tools.HALF}.0"
    assert Bundle.open(world.placed(), verify=True).release == f"{tools.HALF}.0"


def test_a_lost_record_costs_a_download(world: Any) -> None:
    world.publish()
    world.get()
    (world.placed().parent / ".lethe-public" / "verified.json").unlink()
    assert world.get().updated
    assert not world.get().updated


def test_never_replaced_by_an_older_release(world: Any, tools: Any) -> None:
    """Even where the publisher signs one, by mistake: `Repository` itself refuses to."""
    newer = world.publish("3").read_bytes()
    world.get()
    older = world.bundle("2")
    with pytest.raises(RefusedTarget, match="build a newer one"):
        world.publish("2")
    name, (path, custom) = bundle_target(older, tools.NOW, allow_testing=True)
    described = {name: (path, {**custom, "release": f"{tools.HALF}.4"})}
    world.repository.publish(described, world.targets_keys, world.online, tools.NOW)
    with pytest.raises(OlderRelease, match=f"{tools.HALF}.2, here is {tools.HALF}.3"):
        world.get()
    assert world.placed().read_bytes() == newer


def test_a_bundle_of_the_other_audience(world: Any, tools: Any) -> None:
    wrong = world.bundle("0", "operators")
    described = {"lethe-public.safetensors": (wrong, {})}
    world.repository.publish(described, world.targets_keys, world.online, tools.NOW)
    with pytest.raises(RefusedBundle, match="operators"):
        world.get()
    assert not world.placed().exists()
    assert not (world.folder / "client" / ".lethe-public" / "download").exists()


def test_a_repository_without_a_bundle(world: Any, tools: Any) -> None:
    with pytest.raises(NoRepository, match="404"):
        world.get()
    world.repository.publish({}, world.targets_keys, world.online, tools.NOW)
    with pytest.raises(NoRepository, match="no bundle"):
        world.get()
    with pytest.raises(NoRepository, match="404"):
        world.get(url=world.url + "/elsewhere")


def test_a_bundle_larger_than_the_limit(world: Any) -> None:
    size = world.publish().stat().st_size
    with pytest.raises(RefusedBundle, match="raise the limit"):
        world.get(limits=Limits(bundle_bytes=size - 1))
    assert world.get(limits=Limits(bundle_bytes=size)).updated


# Two at a time, and kills


def test_three_clients_at_once_in_one_folder(world: Any, tools: Any) -> None:
    world.publish()
    clients = [
        subprocess.Popen(world.command("client"), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for client in clients:
        said, _ = client.communicate(timeout=60)
        assert (client.returncode, said.strip()) == (0, f"{tools.HALF}.0")
    downloads = [path for path, _ in world.server.requests if "/targets/" in path]
    assert len(downloads) == 1


def test_a_client_waits_for_another(world: Any) -> None:
    world.publish()
    world.get()
    got: list[Any] = []
    with files.locked(world.placed().parent / ".lethe-public" / "lock"):
        waiting = threading.Thread(target=lambda: got.append(world.get()))
        waiting.start()
        waiting.join(0.5)
        assert got == []
    waiting.join(10)
    assert len(got) == 1


KILLED_AT_RENAME = """
import os, pathlib, signal, sys
from filter_service.client import get
left = int(sys.argv[4])
def count(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
get(sys.argv[1], sys.argv[2], root=pathlib.Path(sys.argv[3]).read_bytes(), allow_testing=True)
"""


def test_a_client_killed_before_any_of_its_files_gets_its_name(world: Any, tools: Any) -> None:
    first = world.publish("0").read_bytes()
    world.get()
    client, kept = world.folder / "client", world.folder / "kept"
    client.rename(kept)
    second = world.publish("1").read_bytes()
    root = world.folder / "root.json"
    root.write_bytes(world.root)
    for kills in range(100):
        shutil.rmtree(client, ignore_errors=True)
        shutil.copytree(kept, client, symlinks=True)
        done = tools.run(KILLED_AT_RENAME, world.url, client, root, kills)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert world.placed().read_bytes() == first
        Bundle.open(world.placed(), verify=True)
        # Offline, the next run still knows the old one as verified.
        world.server.answers["*"] = tools.octets(b"", status=503)
        assert world.get().release == f"{tools.HALF}.0"
        world.server.answers.clear()
        assert world.get().release == f"{tools.HALF}.1"
        assert world.placed().read_bytes() == second
        rest = [p.name for p in (client / ".lethe-public").rglob("*")]
        assert not [name for name in rest if name.startswith(("tmp", ".", "download"))]
    # Of root, timestamp, snapshot, targets, the record, and the bundle itself.
    assert kills == 6
    assert world.placed().read_bytes() == second


def test_a_client_killed_in_the_middle_of_a_download(world: Any, tools: Any) -> None:
    first = world.publish("0").read_bytes()
    world.get()
    second = world.publish("1").read_bytes()
    target = world.metadata("2.targets.json").targets["lethe-public.safetensors"].hashes["sha256"]
    halfway = threading.Event()

    def half(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(second)))
        handler.end_headers()
        handler.wfile.write(second[: len(second) // 2])
        halfway.set()
        handler.server.closing.wait(30)

    world.server.answers[f"/public/targets/{target}.lethe-public.safetensors"] = half
    client = subprocess.Popen(world.command("client"))
    assert halfway.wait(30)
    time.sleep(0.1)
    client.kill()
    client.wait()
    assert world.placed().read_bytes() == first
    world.server.answers.clear()
    assert world.get().updated
    assert world.placed().read_bytes() == second


# What it needs


def test_the_client_loads_neither_web_framework_nor_database(tools: Any) -> None:
    code = (
        "import sys, filter_service.client;"
        "print(*{'fastapi', 'duckdb', 'uvicorn', 'starlette', 'jinja2', 'httpx', 'pyarrow'}"
        " & set(sys.modules))"
    )
    done = tools.run(code)
    assert (done.returncode, done.stdout.split()) == (0, [])


def test_without_tuf_one_sentence_says_what_to_install() -> None:
    code = (
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'tuf' else found(name)\n"
        "from filter.errors import MissingExtra\n"
        "try:\n"
        "    import filter_service.client\n"
        "except MissingExtra as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lethe-llm[client]" in done.stdout
