"""Slurm carries the tasks out, on a cluster of one node that these tests start; or what it is handed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import slurm_cluster

from filter.errors import InputError
from pipeline.errors import UnknownName
from pipeline.reconstruct.executor_slurm import Slurm, SlurmExecutor

FILES = {f"{n:02d}.parquet": 2000 for n in range(3)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A cluster of one node; its configuration."""
    if slurm_cluster.MISSING:
        pytest.skip(f"Slurm is not installed here: {', '.join(slurm_cluster.MISSING)}")
    with slurm_cluster.started() as config:
        yield config


@pytest.fixture(scope="module")
def whole(shared_world: Any) -> Any:
    """What a local run makes."""
    shared_world.source = shared_world.corpus(FILES, row_group=300)
    shared_world.run(shared_world.source, shared_world.folder / "whole")
    shared_world.expected = shared_world.contents(shared_world.folder / "whole")
    return shared_world


class Commands:
    """The command line on the cluster, for one corpus and output folder."""

    def __init__(self, world: Any, config: Path, source: Path, out: Path) -> None:
        self.environment = os.environ | {"SLURM_CONF": str(config)}
        self.line = [*world.command(source, out), "--slurm-mem-per-cpu-gb", "1", "--workers", "2"]
        self.out = out

    def run(self, executor: str = "slurm", *more: str) -> subprocess.CompletedProcess[str]:
        line = self.line
        if executor != "slurm":
            line = [word for word in line if word not in {"--slurm-mem-per-cpu-gb", "1"}]
        return subprocess.run(
            [*line, "--executor", executor, *more],
            capture_output=True, text=True, env=self.environment, check=False, timeout=120,
        )  # fmt: skip

    def submitted(self) -> dict[str, Any]:
        ended = self.run("slurm", "--json")
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def queue(self) -> list[str]:
        name = json.loads((self.out / "logs/slurm.json").read_text())["name"]
        asked = ["squeue", "--noheader", "--format=%F", f"--name={name}"]
        found = subprocess.run(
            asked, capture_output=True, text=True, env=self.environment, check=True
        )
        return sorted(set(found.stdout.split()))

    def through(self) -> None:
        slurm_cluster.await_that(lambda: not self.queue(), 120)


def test_jobs_make_what_one_process_makes(whole: Any, cluster: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    commands = Commands(whole, cluster, whole.source, out)
    first = commands.submitted()
    assert len(first["jobs"]) == 1
    assert first["files"] == len(FILES)
    again = commands.run()
    assert again.returncode == 0
    assert f"squeue -j {first['jobs'][0]}" in again.stdout
    assert commands.queue() == first["jobs"]
    refused = commands.run("local")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"lethe: Slurm jobs ({first['jobs'][0]}) are working in")
    commands.through()
    assert not (out / "README.md").exists()
    last = commands.submitted()
    assert last["jobs"] == []
    assert last["resumed_files"] == len(FILES)
    assert whole.contents(out) == whole.expected
    assert whole.leftovers(out) == []
    assert not (out / "logs/policy").exists()
    assert not (out / "logs/slurm.json").exists()


@pytest.mark.soak
def test_what_is_wrong_with_the_input_is_told_next_time(
    whole: Any, cluster: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "corpus", tmp_path / "out"
    shutil.copytree(whole.source, source)
    good = (source / "02.parquet").read_bytes()
    (source / "02.parquet").write_bytes(good[:2000] + bytes(4000) + good[6000:])
    commands = Commands(whole, cluster, source, out)
    commands.submitted()
    commands.through()
    told = commands.run()
    assert told.returncode == 2
    assert told.stderr == "lethe: 02.parquet is damaged behind row 0: fetch it again.\n"
    (source / "02.parquet").write_bytes(good)
    more = commands.submitted()
    assert more["resumed_files"] == len(FILES) - 1
    assert len(more["jobs"]) == 1
    commands.through()
    assert commands.submitted()["jobs"] == []
    expected = {n: b for n, b in whole.expected.items() if n.startswith(("data", "ledger"))}
    found = {n: b for n, b in whole.contents(out).items() if n.startswith(("data", "ledger"))}
    assert found == expected


@pytest.mark.soak
def test_a_job_that_is_killed_is_submitted_again(whole: Any, cluster: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    commands = Commands(whole, cluster, whole.source, out)
    commands.submitted()
    victims: list[psutil.Process] = []
    slurm_cluster.await_that(lambda: victims.extend(launched(out)) or victims)
    victims[0].send_signal(signal.SIGKILL)
    commands.through()
    again = commands.submitted()
    assert again["resumed_files"] < len(FILES)
    commands.through()
    assert commands.submitted()["jobs"] == []
    assert whole.contents(out) == whole.expected
    assert whole.leftovers(out) == []


def launched(out: Path) -> list[psutil.Process]:
    """The processes of jobs that work for a folder."""
    wanted = str(out / "logs/executor.pik")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if wanted in line and "python" in Path(line[0]).name:
            found.append(process)
    return found


def test_sbatch_does_not_take_them(whole: Any, cluster: Path, tmp_path: Path) -> None:
    commands = Commands(whole, cluster, whole.source, tmp_path / "out")
    refused = commands.run("slurm", "--slurm-partition", "no-such-one")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("lethe: Slurm does not take the jobs: see")
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out/logs/slurm.json").exists()
    assert commands.run("local").returncode == 0
    assert whole.contents(tmp_path / "out") == whole.expected


def test_where_there_is_no_slurm(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs the commands sbatch and squeue"):
        whole.run(whole.source, tmp_path / "out", executor="slurm")
    (tmp_path / "out/logs/slurm.json").write_text('{"name": "lethe-0"}')
    with pytest.raises(InputError, match="does not work here"):
        whole.run(whole.source, tmp_path / "out")


SCRIPTS: dict[str, tuple[Slurm, Sequence[str], Sequence[str]]] = {
    "nothing asked": (
        Slurm(),
        ["--time=24:00:00", "--cpus-per-task=1", "--mem-per-cpu=4G", "--array=0-2%2", "--requeue"],
        ["--partition", "--qos", "--mail"],
    ),
    "everything asked": (
        Slurm("night", "01:30:00", 2, 8, "source env.sh", {"account": "nlp", "exclusive": ""}),
        ["--partition=night", "--time=01:30:00", "--cpus-per-task=2", "--mem-per-cpu=8G",
         "--account=nlp", "--exclusive"],
        ["--exclusive="],
    ),
    "what is known is replaced": (
        Slurm(extra={"time": "2-0", "constraint": "a|b"}), ["--time=2-0", "--constraint=a|b"], []
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SCRIPTS)
def test_the_script(tmp_path: Path, case: str) -> None:
    asked, there, missing = SCRIPTS[case]
    executor = SlurmExecutor([], 3, 2, str(tmp_path), "lethe-1", asked)
    script = executor.get_launch_file_contents(executor.get_sbatch_args(3), "launch")
    directives = [
        line.removeprefix("#SBATCH ") for line in script.splitlines() if "#SBATCH" in line
    ]
    assert "--job-name=lethe-1" in directives
    assert [d for d in there if d not in directives] == []
    assert [m for m in missing if any(d.startswith(m) for d in directives)] == []
    environment = asked.env_command or f"export PATH='{Path(sys.executable).parent}':\"$PATH\""
    assert environment in script.splitlines()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"cpus": 0},
        {"mem_per_cpu_gb": 0},
        {"partition": "a\n#SBATCH --uid=0"},
        {"time": "1\n"},
        {"extra": {"account": "a\nrm -r x"}},
        {"extra": {"account\n": ""}},
    ],
    ids=["no processor", "no memory", "partition", "time", "value", "key"],
)
def test_options_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match=r": give"):
        Slurm(**arguments)


OPTIONS = {
    "unknown executor": (["--executor", "spark"], "There is no executor 'spark': use local, ray, slurm."),
    "address without ray": (["--ray-address", "auto"], "--ray-address goes with --executor ray: give both or neither."),
    "slurm options without slurm": (["--executor", "ray", "--slurm-time", "1:00"], "The --slurm options go with --executor slurm: give both or neither."),
    "no pair": (["--executor", "slurm", "--slurm", "=x"], "--slurm '=x' is not KEY=VALUE: write, for instance, account=nlp."),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_go_together(whole: Any, tmp_path: Path, case: str) -> None:
    more, sentence = OPTIONS[case]
    ended = subprocess.run(
        whole.command(whole.source, tmp_path / "out", *more),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (2, f"lethe: {sentence}\n")
    assert not (tmp_path / "out").exists()
