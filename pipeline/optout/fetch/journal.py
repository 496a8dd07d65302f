"""The journal of a crawl: what was found so far, on the disk, ready to be gone on with.

JSONL. The first line binds the journal to the options; each further one holds a domain that is
done, with all its rows, so that a domain is either done or not begun. Lines are only ever appended;
what a kill tears is the last line, which is cut off at the next start. A lock keeps a second
process out.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.fetch.snapshot import Row, sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "lethe-fetch-journal/1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Journal:
    """An open journal. Memory holds the domains and where their lines stand, not their content."""

    def __init__(self, path: Path, options: Mapping[str, object]) -> None:
        """Open the journal at ``path``, or begin it; ``options`` is what it is bound to.

        Raises:
            WrongRun: it belongs to other options or is no journal, or another process writes it.
            UnreadableFile: a line before the last one is damaged.
            OSError: it cannot be written.

        """
        self._path = path
        self._lines: dict[str, tuple[int, int]] = {}
        self._file = _locked(path)
        try:
            self._end = self._recover(options)
            self._reader = path.open("rb")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """As `close`."""
        self.close()

    def __contains__(self, domain: str) -> bool:
        """Whether ``domain`` is done."""
        return domain in self._lines

    def add(self, domain: str, rows: list[Row]) -> None:
        """Note that ``domain`` is done; on the disk after the next `sync`."""
        line = _encode(domain, rows)
        self._file.write(line)
        self._lines[domain] = (self._end, len(line))
        self._end += len(line)

    def sync(self) -> None:
        """Put everything added so far on the disk. May run in another thread than `add`."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def rows(self, domain: str) -> list[Row]:
        """The rows of a domain that is done."""
        self._file.flush()
        at, length = self._lines[domain]
        self._reader.seek(at)
        return _decode(self._reader.read(length))[1]

    def close(self) -> None:
        """Put everything on the disk and let others in."""
        if self._file.closed:
            return
        try:
            self.sync()
        finally:
            self._reader.close()
            self._file.close()

    def remove(self) -> None:
        """Delete the journal: what it holds stands somewhere else by now."""
        self._path.unlink()
        sync_folder(self._path.parent)
        self.close()

    def _recover(self, options: Mapping[str, object]) -> int:
        """Index the lines, cut a torn last one off, and return where the next one goes."""
        header = json.dumps({"format": FORMAT, "options": options}).encode() + b"\n"
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n"):
            return self._begin(header)
        self._check_header(first, options)
        end = len(first)
        torn = 0
        for number, line in enumerate(self._file, 2):
            if torn:
                raise UnreadableFile(
                    f"Line {torn} of {self._path} is damaged: delete that file to start over."
                )
            try:
                domain, _ = _decode(line)
            except (ValueError, TypeError, KeyError):
                torn = number
                continue
            self._lines[domain] = (end, len(line))
            end += len(line)
        self._file.truncate(end)
        self._file.seek(end)
        return end

    def _begin(self, header: bytes) -> int:
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(header)
        self.sync()
        sync_folder(self._path.parent)
        return len(header)

    def _check_header(self, line: bytes, options: Mapping[str, object]) -> None:
        try:
            found = json.loads(line)
            known = found["format"] == FORMAT
            theirs = dict(found["options"])
        except (ValueError, TypeError, KeyError):
            known, theirs = False, {}
        if not known:
            raise WrongRun(
                f"{self._path} is no journal of this version: delete it or name another output."
            )
        other = sorted(k for k in theirs.keys() | options.keys() if theirs.get(k) != options.get(k))
        if other:
            raise WrongRun(
                f"{self._path} was begun with another {', '.join(other)}: repeat the command with "
                "the options of that run, or delete the file to start over."
            )


def _locked(path: Path) -> BinaryIO:
    """The file at ``path``, created where it is missing, with an exclusive lock on it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have removed the file between the two calls.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BlockingIOError:
            file.close()
            raise WrongRun(
                f"Another process writes {path}: wait for it, or name another output."
            ) from None
        except BaseException:
            file.close()
            raise
        file.close()


def _encode(domain: str, rows: list[Row]) -> bytes:
    packed = [_packed(row) for row in rows]
    return json.dumps({"domain": domain, "rows": packed}).encode() + b"\n"


def _packed(row: Row) -> list[object]:
    values: dict[str, object] = row._asdict()
    del values["domain"]
    if row.content is not None:
        values["content"] = base64.b64encode(row.content).decode()
    values["fetched_at"] = (row.fetched_at - _EPOCH) // _MICROSECOND
    return list(values.values())


def _decode(line: bytes) -> tuple[str, list[Row]]:
    """Domain and rows of a line.

    Raises:
        ValueError, TypeError, KeyError: it is no whole line of a journal.

    """
    if not line.endswith(b"\n"):
        raise ValueError("torn")
    entry = json.loads(line)
    return str(entry["domain"]), [_unpacked(entry["domain"], packed) for packed in entry["rows"]]


def _unpacked(domain: str, packed: list[Any]) -> Row:
    values = dict(zip(Row._fields[1:], packed, strict=True))
    if values["content"] is not None:
        values["content"] = base64.b64decode(values["content"], validate=True)
    values["fetched_at"] = _EPOCH + values["fetched_at"] * _MICROSECOND
    return Row(domain, **values)
