"""Senders: what carries a message, and how it says that it could not."""

from __future__ import annotations

from typing import Protocol

from filter.errors import LetheError
from filter_service.messages.message import Message


class SendError(LetheError):
    """A message was not sent. ``code`` is for programs, ``str()`` for people; neither is personal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Undeliverable(SendError):
    """It will never arrive: trying again is useless."""


class TryLater(SendError):
    """It may arrive another time."""


class Sender(Protocol):
    """Carries messages of one channel."""

    async def send(self, message: Message) -> None:
        """Hand a message over; when this returns, somebody else answers for it.

        Raises:
            Undeliverable: it will never arrive.
            TryLater: it may arrive another time.
        """
        ...
