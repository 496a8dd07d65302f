"""Which Slurm jobs work in a folder: they outlive the command that submitted them, and hold no lock.

They are known by their name, which stands in a note before they are submitted: even if the command was
killed in between, the next one knows of them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess

from pipeline.errors import WrongRun
from pipeline.reconstruct.folder import Folder

NOTE = "logs/slurm.json"
_SECONDS = 60


def name_for(out: Folder, fingerprint: str) -> str:
    """What the jobs of a run are called: the same each time, and of no other run."""
    return "lethe-" + hashlib.sha256(f"{fingerprint} {out.path('')}".encode()).hexdigest()[:12]


def announce(out: Folder, name: str) -> None:
    """Note that jobs of this name are about to be submitted."""
    out.write_text(NOTE, json.dumps({"name": name}))


def announced(out: Folder) -> bool:
    """Whether jobs were submitted, be they still there or not."""
    return out.exists(NOTE)


def active(out: Folder) -> tuple[str, ...]:
    """The ids of jobs that wait or work for the folder.

    Raises:
        WrongRun: some were submitted, and Slurm cannot be asked about them.
    """
    note = out.read_json(NOTE)
    return () if note is None else queued(out, str(note.get("name")))


def queued(out: Folder, name: str) -> tuple[str, ...]:
    """The ids of jobs of this name, in order.

    Raises:
        WrongRun: Slurm cannot be asked.
    """
    command = ["squeue", "--noheader", "--format=%F", f"--name={name}"]
    try:
        asked = subprocess.run(  # noqa: S603  (no shell, and the name is ours)
            command, capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        raise WrongRun(
            f"Slurm jobs were submitted for {out.root}, and `{' '.join(command)}` does not work here: "
            f"go on where it does, or delete {out.root}/{NOTE} once they are through."
        ) from None
    return tuple(sorted(set(asked.stdout.split()), key=lambda job: (len(job), job)))


def check_none(out: Folder) -> None:
    """Look whether the folder is left to this process, and forget jobs that are through.

    Raises:
        WrongRun: jobs wait or work for it.
    """
    if found := active(out):
        raise WrongRun(
            f"Slurm jobs ({', '.join(found)}) are working in {out.root}: wait for them, or end them with "
            f"`scancel {' '.join(found)}`."
        )
    if announced(out):
        out.remove(NOTE)
