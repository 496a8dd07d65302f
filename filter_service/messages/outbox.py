"""A folder as the way out: each message becomes a file, which somebody prints or passes on.

The names of files are the random ids of messages and say nothing; what is inside is personal. So the
folder can be entered by its owner only, and `purge` and `erase` are part of it. They remove files; that a
disk forgets what was removed is the business of an encrypted disk.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from filter_service.keyring import private_folder, sync_folder, write_private
from filter_service.messages.message import Channel, Message
from filter_service.messages.mime import as_email
from filter_service.messages.senders import TryLater

NOBODY = "registry@lethe.invalid"
"""The sender as long as nobody says who it is; it cannot receive anything (RFC 2606, section 2)."""
_named = re.compile(
    # A name that begins with a dot was not finished when something broke.
    r"\.?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?:eml|txt)(?:\.[0-9a-f]+)?"
).fullmatch


class OutboxSender:
    """Writes messages into a folder: e-mails as ``<id>.eml``, all others as ``<id>.txt``."""

    def __init__(self, folder: Path, sender: str = NOBODY) -> None:
        """``sender`` is the address that e-mails come from.

        Raises:
            OSError: the folder cannot be made.
        """
        private_folder(folder)
        self._folder = folder
        self._sender = sender

    async def send(self, message: Message) -> None:
        """Write a message; the file appears whole or not at all, and twice written is one file.

        Raises:
            TryLater: the folder cannot be written.
        """
        suffix = "eml" if message.channel is Channel.EMAIL else "txt"
        path = self._folder / f"{message.message_id}.{suffix}"
        try:
            await asyncio.to_thread(write_private, path, self._octets(message))
        except OSError:
            raise TryLater("outbox", "The outbox cannot be written: look at its disk.") from None

    def _octets(self, message: Message) -> bytes:
        now = datetime.now(UTC)
        if message.channel is Channel.EMAIL:
            return as_email(message, self._sender, now).as_bytes()
        return _sheet(message, now).encode()


def purge(folder: Path, older_than: datetime) -> int:
    """Remove the messages that were written before a moment (with time zone); how many there were.

    Other files are not touched.

    Raises:
        OSError: a file cannot be removed.
    """
    limit = older_than.timestamp()
    return _remove(folder, [path for path, _ in _messages(folder) if _written(path) < limit])


def erase(folder: Path, message_ids: Collection[UUID]) -> int:
    """Remove the messages of these ids, whatever was left of them; how many files there were.

    Raises:
        OSError: a file cannot be removed.
    """
    doomed = set(message_ids)
    return _remove(folder, [path for path, found in _messages(folder) if found in doomed])


def _messages(folder: Path) -> Iterator[tuple[Path, UUID]]:
    """The files of messages, half-written ones among them."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = _named(entry.name)
            if name and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), UUID(name[1])


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # erased or passed on meanwhile
        return float("inf")


def _remove(folder: Path, paths: Collection[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    if paths:
        sync_folder(folder)
    return len(paths)


def _sheet(message: Message, moment: datetime) -> str:
    """A letter or text message as a page: what it is, for whom, then the text."""
    address = "\n    ".join(message.to.split("\n"))
    return (
        f"Channel: {message.channel}\n"
        f"To: {address}\n"
        f"Subject: {message.subject}\n"
        f"Language: {message.language}\n"
        f"Date: {moment.isoformat(timespec='seconds')}\n"
        f"Message-ID: {message.message_id}\n"
        f"\n{message.body.rstrip()}\n"
    )
