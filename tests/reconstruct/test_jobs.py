"""What is known of jobs that outlive the command that submitted them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import WrongRun
from pipeline.reconstruct import jobs
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in


def test_one_name_for_the_jobs_of_a_run(tmp_path: Path) -> None:
    here, there = Folder(str(tmp_path / "a")), Folder(str(tmp_path / "b"))
    names = {jobs.name_for(f, p) for f in (here, there) for p in ("one", "two")}
    assert len(names) == 4
    assert jobs.name_for(Folder(str(tmp_path / "a") + "/"), "one") in names


@pytest.mark.parametrize("submitted", [False, True])
def test_what_jobs_are_writing_is_no_leftover(tmp_path: Path, submitted: bool) -> None:
    out = Folder(str(tmp_path))
    with alone_in(out):
        (tmp_path / ".half.tmp").touch()
        if submitted:
            jobs.announce(out, "lethe-0")
    assert (tmp_path / ".half.tmp").exists() is submitted


@pytest.mark.parametrize("root", ["local", "memory"])
def test_nobody_works_where_jobs_cannot_be_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = Folder(str(tmp_path / "out") if root == "local" else "memory://jobs")
    assert jobs.active(out) == ()
    jobs.announce(out, "lethe-0")
    with (
        pytest.raises(WrongRun, match=r"squeue .*--name=lethe-0` does not work here"),
        alone_in(out),
    ):
        pass
    out.remove(jobs.NOTE)
    out.remove(jobs.NOTE)
    with alone_in(out):
        pass
