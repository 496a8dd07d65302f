"""Files of a corpus that are made anew beside those that they replace, and then take their names.

Of each file data, ledger and, last, state are written below ``takedown/``; a state there means that all
of them are whole. Then they are renamed, the state last of all: whatever moment a process is killed at,
going on from what is there comes to the same end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.errors import WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.steps.write import DATA, LEDGER, REMOVED, STATE

FOLDER = "takedown"
JOURNAL = f"{FOLDER}/journal.json"
NOTES = "notes"
"""Below the folder: what is to be told of each file in the end."""


def check_none(folder: Folder) -> None:
    """Look whether a takedown is under way.

    Raises:
        WrongRun: one is.
    """
    if folder.exists(JOURNAL):
        raise WrongRun(
            f"A takedown of {folder.root} was interrupted: give the same `lethe reconstruct takedown` "
            "again, which goes on where it was."
        )


def begin(folder: Folder, journal: dict[str, Any]) -> None:
    """Say what is under way, or find that it is what was interrupted.

    Raises:
        WrongRun: another takedown was.
    """
    held = folder.read_json(JOURNAL)
    if held is None:
        folder.write_text(JOURNAL, json.dumps(journal, indent=1, sort_keys=True))
    elif held != journal:
        raise WrongRun(
            f"Another takedown of {folder.root} was interrupted: give that one again first."
        )


def stage(root: Path) -> Folder:
    """Where files are made anew."""
    return Folder(str(root / FOLDER))


def settle(root: Path, names: Iterable[str]) -> None:
    """Give those of the files ``names`` that are whole their places."""
    staged = root / FOLDER
    for name in names:
        state = staged / STATE / f"{name}.json"
        if not state.exists():
            continue
        if not json.loads(state.read_text(encoding="utf-8"))["rows_removed"]:
            (root / REMOVED / name).unlink(missing_ok=True)
        for part in (DATA, LEDGER, REMOVED):
            if (staged / part / name).exists():
                _moved(staged / part / name, root / part / name)
        _moved(state, root / STATE / f"{name}.json")


def end(root: Path) -> None:
    """Nothing is under way any more."""
    (root / JOURNAL).unlink()
    shutil.rmtree(root / FOLDER)


def _moved(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
