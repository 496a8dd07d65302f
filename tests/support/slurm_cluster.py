"""A Slurm cluster of one node on this machine, with its own ports and files."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("setpriv", "munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
SEARCHED = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
MISSING = [name for name in PROGRAMS if shutil.which(name, path=SEARCHED) is None]
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""What is started so ends with the tests even if they are killed and clean nothing up."""
CONFIG = """
ClusterName=lethe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def started() -> Iterator[Path]:
    """A cluster that is ready for jobs, and ends with the block; its configuration."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # for the sockets: a short name
    processes: list[subprocess.Popen[bytes]] = []
    try:
        config = _configured(folder)
        environment = os.environ | {"SLURM_CONF": str(config), "PATH": SEARCHED}
        munge = [f"--{n}-file={folder}/munge.{n}" for n in ("key", "pid", "log", "seed")]
        commands: list[list[str]] = [
            ["munged", "--foreground", "--force", f"--socket={folder}/munge.sock", *munge],
            ["slurmctld", "-D", "-f", str(config)],
            ["slurmd", "-D", "-f", str(config), "-N", _host()],
        ]
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as log:
                process = subprocess.Popen(
                    [*WITH_PARENT, *command],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            processes.append(process)
            await_that((folder / "munge.sock").exists)
        await_that(lambda: "idle" in _asked(environment, "sinfo", "--noheader", "--format=%T"))
        yield config
        _asked(environment, "scancel", "--user", getpass.getuser())
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # a node with a job that does not end
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def await_that(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def _configured(folder: Path) -> Path:
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    control, node = _free_ports(2)
    places = {"host": _host(), "folder": folder, "control": control, "node": node}
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(**places, user=getpass.getuser()))
    return config


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _asked(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    ).stdout
