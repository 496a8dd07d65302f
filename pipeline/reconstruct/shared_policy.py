"""The policy of a run, made ready once for all processes that decide."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.ready import made_ready
from pipeline.reconstruct import jobs
from pipeline.reconstruct.folder import Folder

_FOLDER = Path("logs", "policy")


@contextmanager
def shared(policy: OptOutPolicy, out: Folder) -> Iterator[OptOutPolicy]:
    """The policy as all processes of a run into ``out`` can map it.

    It lies beside the logs and goes with the block, unless jobs were submitted that need it. Where the
    logs are remote it lies on this machine. Whoever finds nothing there has a policy of its own.
    """
    if out.local is None:
        with tempfile.TemporaryDirectory(prefix="lethe-") as temporary:
            yield _opened(policy, Path(temporary) / "policy")
        return
    folder = (out.local / _FOLDER).resolve()
    try:
        yield _opened(policy, folder)
    finally:
        if not jobs.announced(out):
            shutil.rmtree(folder, ignore_errors=True)


def _opened(policy: OptOutPolicy, folder: Path) -> OptOutPolicy:
    try:
        found = OptOutPolicy.open(policy.path, made_ready(policy.path, folder))
    except (OSError, UnreadableFile):
        return policy
    check_same(found, policy.version)
    return found


def check_same(policy: OptOutPolicy, version: str) -> None:
    """Look whether a policy is the one that a run began with.

    Raises:
        WrongRun: it is not.
    """
    if policy.version != version:
        raise WrongRun(f"{policy.path} has changed since the run began: start it again elsewhere.")
