"""A corpus that lies in an object store, and one that is written there: through a server of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = {f"{n:02d}.parquet": 1500 for n in range(4)} | {"deep/er/04.parquet": 700}
BUCKET = "corpora"


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """A server that speaks S3 on this machine; the environment in which it is the one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # It ends with the tests even if they are killed.
    ending = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    server = subprocess.Popen(
        [*ending, Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def whole(shared_world: Any, store: dict[str, str]) -> Any:
    """A corpus here and there, and what a local run makes of it."""
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    shared_world.store = store
    lethe(shared_world, "run", shared_world.source, shared_world.folder / "whole")
    shared_world.expected = shared_world.tables(shared_world.folder / "whole")
    files = remote(store)
    files.mkdir(BUCKET)
    files.put(str(shared_world.source), f"{BUCKET}/source", recursive=True)
    return shared_world


def remote(store: dict[str, str]) -> Any:
    """The store as it is at this moment."""
    import s3fs

    return s3fs.S3FileSystem(
        key="nobody", secret="nothing", endpoint_url=store["AWS_ENDPOINT_URL"],
        skip_instance_cache=True, use_listings_cache=False,
    )  # fmt: skip


def lethe(whole: Any, what: str, *arguments: object) -> str:
    """A command that must do well; what it prints."""
    ended = subprocess.run(
        command(whole, what, *arguments), capture_output=True, text=True, check=False,
        env=os.environ | whole.store,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def command(whole: Any, what: str, *arguments: object) -> list[str]:
    if what == "run":
        source, out, *more = arguments
        return [*whole.command(source, out, *map(str, more))]
    return [sys.executable, "-m", "lethe", "reconstruct", what, *map(str, arguments)]


def fetched(whole: Any, name: str, folder: Path) -> Path:
    """A copy of a folder of the bucket."""
    remote(whole.store).get(f"{BUCKET}/{name}/", str(folder), recursive=True)
    return folder


def same(whole: Any, found: Path) -> None:
    """The same octets, but where the input lies differs."""
    expected = whole.folder / "whole"
    parts = ("data", "ledger", "state")
    names = sorted(p.relative_to(expected) for part in parts for p in (expected / part).rglob("*"))
    files = [name for name in names if (expected / name).is_file()]
    assert files
    assert [n for n in files if (found / n).read_bytes() != (expected / n).read_bytes()] == []
    assert (found / "README.md").exists()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_from_store_to_store(whole: Any, tmp_path: Path, workers: int) -> None:
    out = f"s3://{BUCKET}/whole-{workers}"
    lethe(whole, "run", f"s3://{BUCKET}/source", out, "--workers", workers)
    same(whole, fetched(whole, f"whole-{workers}", tmp_path / "out"))
    again = json.loads(
        lethe(whole, "run", f"s3://{BUCKET}/source", out, "--workers", workers, "--json")
    )
    assert again["resumed_files"] == again["files"] == len(FILES)
    assert whole.tables(tmp_path / "out").keys() == whole.expected.keys()


def test_one_file_of_the_store(whole: Any, tmp_path: Path) -> None:
    lethe(whole, "run", f"s3://{BUCKET}/source/deep/er/04.parquet", tmp_path / "out")
    (found,) = (tmp_path / "out/data").glob("*")
    expected = whole.folder / "whole/data/deep/er/04.parquet"
    assert found.read_bytes() == expected.read_bytes()


def test_a_report_on_what_lies_there(whole: Any) -> None:
    lethe(whole, "run", whole.source, f"s3://{BUCKET}/told")
    here, there = (
        json.loads(lethe(whole, "report", folder, "--format", "json"))
        for folder in (whole.folder / "whole", f"s3://{BUCKET}/told")
    )
    assert here["opted_out"] > 0
    assert here == there


@pytest.mark.soak
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_and_resumed(whole: Any, tmp_path: Path, workers: str) -> None:
    name = f"killed-{workers}"
    line = command(
        whole, "run", f"s3://{BUCKET}/source", f"s3://{BUCKET}/{name}", "--workers", workers
    )
    process = subprocess.Popen(
        line, env=os.environ | whole.store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    files = remote(whole.store)
    end = time.monotonic() + 120
    while not files.glob(f"{BUCKET}/{name}/state/*.json"):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = files.glob(f"{BUCKET}/{name}/state/**/*.json")
    assert 0 < len(done) < len(FILES)
    result = json.loads(
        lethe(whole, "run", f"s3://{BUCKET}/source", f"s3://{BUCKET}/{name}", "--json")
    )
    assert len(done) <= result["resumed_files"] < len(FILES)
    same(whole, fetched(whole, name, tmp_path / "out"))


WRONG = {
    "no such bucket": ("s3://no-such-bucket/x", "s3://no-such-bucket/x does not exist: give a"),
    "no such folder": (f"s3://{BUCKET}/nothing", f"s3://{BUCKET}/nothing does not exist: give a"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there(whole: Any, tmp_path: Path, case: str) -> None:
    source, sentence = WRONG[case]
    ended = subprocess.run(
        command(whole, "run", source, tmp_path / "out"), capture_output=True, text=True,
        env=os.environ | whole.store, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"lethe: {sentence}")
    assert not (tmp_path / "out").exists()


UNWRITABLE = {
    "no such bucket": (
        {},
        "s3://no-such-bucket/out cannot be written to (FileNotFoundError): check",
    ),
    "no server": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        "s3://no-such-bucket/out cannot be reached (",
    ),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_an_output_that_cannot_be_written(whole: Any, case: str) -> None:
    environment, sentence = UNWRITABLE[case]
    ended = subprocess.run(
        command(whole, "run", whole.source, "s3://no-such-bucket/out"), capture_output=True,
        text=True, env=os.environ | whole.store | environment, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"lethe: {sentence}")
    assert len(ended.stderr.splitlines()) == 1
    assert not remote(whole.store).exists("no-such-bucket")
