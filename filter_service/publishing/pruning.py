"""Superseded files: kept a day for clients that are midway, then removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from filter_service.publishing import files
from filter_service.publishing.layout import KEPT, METADATA, TARGETS

_NOTES = ".superseded.json"
_VERSIONED = re.compile(r"[0-9]+\.(snapshot|targets)\.json")
_HASHED = re.compile(r"[0-9a-f]{64}\..+")


def prune(folder: Path, in_use: Iterable[str], now: datetime) -> list[str]:
    """Note which files are no longer in use, and remove those noted at least 24 hours ago.

    A file's day begins when it is first found unused, so this is called right after each change and
    then every day. Root metadata is never removed: old clients walk through every version of it.

    Args:
        folder: of the repository, locked by the caller.
        in_use: paths relative to it.
        now: the present moment, with time zone.

    Returns:
        What was removed, relative to the folder.
    """
    for part in (folder, folder / METADATA, folder / TARGETS):
        files.remove_leftovers(part)
    present = {
        f"{part}/{path.name}"
        for part, pattern in ((METADATA, _VERSIONED), (TARGETS, _HASHED))
        for path in (folder / part).iterdir()
        if pattern.fullmatch(path.name)
    }
    notes = _read(folder / _NOTES)
    since = {name: min(notes.get(name, now), now) for name in sorted(present - set(in_use))}
    removed = [name for name, moment in since.items() if now - moment >= KEPT]
    for name in removed:
        (folder / name).unlink(missing_ok=True)
        del since[name]
    written = {name: moment.isoformat() for name, moment in since.items()}
    files.write(folder / _NOTES, json.dumps(written, indent=1).encode())
    return removed


def _read(path: Path) -> dict[str, datetime]:
    """The notes; without them every unused file's day begins now."""
    try:
        return {
            name: datetime.fromisoformat(at) for name, at in json.loads(path.read_bytes()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
