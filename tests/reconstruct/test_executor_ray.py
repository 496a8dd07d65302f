"""Ray carries the tasks out; what comes out is what one process makes, and nothing outlives the run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from filter.errors import MissingExtra

FILES = {f"{n:02d}.parquet": 1500 for n in range(5)}
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra 'ray' is not installed"
)


@pytest.fixture(scope="module")
def whole(shared_world: Any) -> Any:
    """What a local run makes."""
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    shared_world.run(shared_world.source, shared_world.folder / "whole")
    shared_world.expected = shared_world.contents(shared_world.folder / "whole")
    return shared_world


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short name: Ray's sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def started(command: list[str], temporary: Path, **more: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"TMPDIR": str(temporary)} | more
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip


def on_ray(whole: Any, out: Path, *more: str) -> list[str]:
    return whole.command(whole.source, out, "--executor", "ray", "--workers", "2", *more)


def working(process: subprocess.Popen[str]) -> psutil.Process | None:
    """A process of Ray's that carries a task out at this moment."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                if child.cmdline()[0].startswith("ray::run_task"):
                    return child
    return None


def midway(process: subprocess.Popen[str], out: Path) -> psutil.Process:
    """A worker of a run of which a file is written, and others are not."""
    while not list(out.glob("data/.*.tmp")) or (worker := working(process)) is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return worker


def test_a_worker_that_is_killed_changes_nothing(
    whole: Any, tmp_path: Path, temporary: Path
) -> None:
    out = tmp_path / "out"
    process = started(on_ray(whole, out), temporary)
    victim = midway(process, out)
    family = psutil.Process(process.pid).children(recursive=True)
    victim.kill()
    done = sorted(p.name for p in out.glob("state/*"))
    said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert len(done) < len(FILES)
    assert said[1] == ""
    assert whole.contents(out) == whole.expected
    assert whole.leftovers(out) == []
    assert not (out / "logs/policy").exists()
    assert left(family, 10) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.soak  # Ray's agents take a minute to see that they are alone
def test_nothing_outlives_a_killed_run(whole: Any, tmp_path: Path, temporary: Path) -> None:
    out = tmp_path / "out"
    process = started(on_ray(whole, out), temporary)
    midway(process, out)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    # Ray's own agents look for the others for a while; whoever could write goes at once.
    writers = [child for child in family if not titled(child, "Agent")]
    assert left(writers, 10) == []
    assert whole.run(whole.source, out).files == len(FILES)
    assert whole.contents(out) == whole.expected
    assert left(family, 120) == []


@pytest.mark.soak
def test_interrupted_by_a_person(whole: Any, tmp_path: Path, temporary: Path) -> None:
    """Ctrl-C goes to every process of the terminal: no traceback, and the same command goes on."""
    out = tmp_path / "out"
    process = started(on_ray(whole, out), temporary)
    midway(process, out)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert left(family, 10) == []
    assert list(temporary.iterdir()) == []
    whole.run(whole.source, out)
    assert whole.contents(out) == whole.expected


def left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that are still there after so long; one of which only the number is left has ended."""
    end = time.monotonic() + seconds
    while found := [p for p in processes if alive(p)]:
        if time.monotonic() > end:
            break
        time.sleep(0.1)
    return found


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def titled(process: psutil.Process, word: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return word in " ".join(process.cmdline())
    return False


@pytest.mark.soak
def test_what_is_wrong_with_the_input_is_one_sentence(
    whole: Any, tmp_path: Path, temporary: Path
) -> None:
    source = tmp_path / "corpus"
    shutil.copytree(whole.source, source)
    path = source / "03.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:2000] + bytes(4000) + good[6000:])
    whole_source, whole.source = whole.source, source
    try:
        process = started(on_ray(whole, tmp_path / "out"), temporary)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 2
        assert said == "lethe: 03.parquet is damaged behind row 0: fetch it again.\n"
        path.write_bytes(good)
        whole.run(source, tmp_path / "out")
        for part in ("data", "ledger", "state"):
            expected = {n: b for n, b in whole.expected.items() if n.startswith(part)}
            found = whole.contents(tmp_path / "out")
            assert {n: b for n, b in found.items() if n.startswith(part)} == expected
    finally:
        whole.source = whole_source


CLUSTER = """
import ray
ray.init(address="local", num_cpus=2, _node_ip_address="127.0.0.1", include_dashboard=False, object_store_memory=100_000_000,
         log_to_driver=False, logging_level="ERROR", _temp_dir={folder!r})
print(ray.get_runtime_context().gcs_address, flush=True)
input()
"""
STEPS = """
from datatrove.pipeline.filters import LambdaFilter
from pipeline.reconstruct import run

if __name__ == "__main__":
    seen = []
    result = run("fineweb", {source!r}, {policy!r}, {out!r}, workers=2, executor={executor!r},
                 steps=[LambdaFilter(lambda document: len(document.text) % 2 == 0)],
                 progress=lambda *at: seen.append(at))
    print(result.documents_out, seen[-1], sorted(seen) == seen)
"""


@pytest.mark.soak
def test_a_named_cluster_is_joined_and_left(whole: Any, tmp_path: Path, temporary: Path) -> None:
    """With a filter that is a function of the caller's script, which no other process can import."""
    key = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER.format(folder=str(temporary / "c"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | key | {"RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    try:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        assert address
        answers = []
        for executor in ("ray", "local"):
            script = tmp_path / f"{executor}_steps.py"
            names = {"source": str(whole.source), "policy": str(whole.policy)}
            script.write_text(
                STEPS.format(**names, out=str(tmp_path / executor), executor=executor)
            )
            process = started([sys.executable, str(script)], temporary, RAY_ADDRESS=address, **key)
            said = process.communicate(timeout=120)
            assert process.returncode == 0, said[1]
            answers.append(said[0])
        total = sum(FILES.values())
        assert answers[0] == answers[1]
        assert f"({total}, {total}) True" in answers[0]
        assert whole.contents(tmp_path / "ray") == whole.contents(tmp_path / "local")
        assert cluster.poll() is None
        raylets = [
            p for p in psutil.Process(cluster.pid).children(recursive=True) if "raylet" in p.name()
        ]
        assert raylets
    finally:
        cluster.send_signal(signal.SIGKILL)
        cluster.communicate()


def test_no_cluster_answers(whole: Any, tmp_path: Path, temporary: Path) -> None:
    command = on_ray(whole, tmp_path / "out", "--ray-address", "127.0.0.1:1")
    process = started(command, temporary)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.startswith("lethe: No Ray cluster answers at 127.0.0.1:1: look at")
    assert "Traceback" not in said


def test_where_ray_is_not_installed(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'lethe-llm\[ray\]'"):
        whole.run(whole.source, tmp_path / "out", executor="ray")
