"""The policy of a run lies ready beside its logs as long as somebody needs it there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import jobs
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.shared_policy import shared


def test_it_goes_with_the_run(policy: Path, tmp_path: Path) -> None:
    opened = OptOutPolicy.open(policy)
    with shared(opened, Folder(str(tmp_path))) as ready:
        assert ready.folder == tmp_path / "logs/policy"
        assert ready.version == opened.version
        assert ready.folder.is_dir()
    assert not ready.folder.exists()


def test_it_goes_with_a_run_that_fails(policy: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError), shared(OptOutPolicy.open(policy), Folder(str(tmp_path))):
        raise KeyError
    assert not (tmp_path / "logs/policy").exists()


def test_it_stays_for_jobs_that_were_submitted(policy: Path, tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    with shared(OptOutPolicy.open(policy), out) as ready:
        jobs.announce(out, jobs.name_for(out, "fingerprint"))
    assert ready.folder is not None
    assert ready.folder.is_dir()


def test_it_lies_on_this_machine_where_the_output_is_remote(policy: Path) -> None:
    with shared(OptOutPolicy.open(policy), Folder("memory://out")) as ready:
        assert ready.folder is not None
        assert ready.folder.is_dir()
    assert not ready.folder.exists()


def test_where_no_file_can_be_written_each_process_has_its_own(
    policy: Path, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("no folder")
    opened = OptOutPolicy.open(policy)
    with shared(opened, Folder(str(tmp_path))) as ready:
        assert ready is opened


def test_a_policy_that_changed_meanwhile(policy: Path, other_policy: Path, tmp_path: Path) -> None:
    mine = tmp_path / "policy.parquet"
    shutil.copyfile(policy, mine)
    opened = OptOutPolicy.open(mine)
    shutil.copyfile(other_policy, mine)
    with (
        pytest.raises(WrongRun, match="has changed since the run began"),
        shared(opened, Folder(str(tmp_path / "out"))),
    ):
        pass


def test_a_run_leaves_nothing_of_it(world: Any) -> None:
    world.run(world.corpus({"a.parquet": 50, "b.parquet": 50}), workers=2)
    assert not (world.folder / "out/logs/policy").exists()
