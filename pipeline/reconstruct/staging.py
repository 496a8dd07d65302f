"""Files of a corpus that are made anew beside those that they replace, and then take their names.

Of each file data, ledger and state are written below ``takedown/``, and last a note of what went; a note
means that all of them are whole. Then they are renamed, the state last of all: whatever moment a process is
killed at, going on from what is there comes to the same end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.steps.write import DATA, LEDGER, REMOVED, STATE

FOLDER = "takedown"
JOURNAL = f"{FOLDER}/journal.json"
RESULT = "result.json"
"""Below the folder: what was done, from before the newer manifest is written."""
_OLD = ".takedown"
NOTES = "notes"
"""Below the folder: what is to be told of each file in the end."""


def under_way(folder: Folder) -> dict[str, Any] | None:
    """The journal of the takedown that is under way in ``folder``, if one is.

    Raises:
        UnreadableFile: the journal is damaged.
    """
    try:
        held = folder.read_json(JOURNAL)
        if held is None or {"from", "to"} <= held.keys():
            return held
    except (AttributeError, UnreadableFile):
        pass
    raise UnreadableFile(
        f"{folder.root}/{JOURNAL} is damaged, so nobody knows how far a takedown has come: make the "
        "corpus again in another folder."
    )


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


def begin(folder: Folder, root: Path, journal: dict[str, Any]) -> None:
    """Say what is under way from now on; nothing is left of what was before.

    Raises:
        WrongRun: files cannot be renamed from here into the corpus.
    """
    for part in (DATA, LEDGER, REMOVED, STATE):
        if (root / part).exists() and (root / part).stat().st_dev != root.stat().st_dev:
            raise WrongRun(
                f"{root / part} lies on another file system than {root}: move it there, files must take "
                "their places at once."
            )
    _away(root)
    folder.write_text(JOURNAL, json.dumps(journal, indent=1, sort_keys=True))


def is_untouched(root: Path) -> bool:
    """Whether what is under way has changed nothing in the corpus yet."""
    if (root / FOLDER / RESULT).exists():
        return False
    return next((root / FOLDER / NOTES).rglob("*.json"), None) is None


def stage(root: Path) -> Folder:
    """Where files are made anew."""
    return Folder(str(root / FOLDER))


def settle(root: Path, names: Iterable[str]) -> None:
    """Give those of the files ``names`` that are whole, and of which the note is there, their places."""
    staged = root / FOLDER
    for name in names:
        state = staged / STATE / f"{name}.json"
        if not state.exists():
            continue
        if not (staged / NOTES / f"{name}.json").exists():
            state.unlink()  # nobody would be told of it: it is made once more
            continue
        if not json.loads(state.read_text(encoding="utf-8"))["rows_removed"]:
            (root / REMOVED / name).unlink(missing_ok=True)
        for part in (DATA, LEDGER, REMOVED):
            if (staged / part / name).exists():
                _moved(staged / part / name, root / part / name)
        _moved(state, root / STATE / f"{name}.json")


def end(root: Path) -> None:
    """Nothing is under way any more."""
    _away(root)


def _away(root: Path) -> None:
    """Remove everything; the journal goes first, and at once."""
    old = root / _OLD
    shutil.rmtree(old, ignore_errors=True)
    if (root / FOLDER).exists():
        (root / FOLDER).rename(old)
        shutil.rmtree(old)


def _moved(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
