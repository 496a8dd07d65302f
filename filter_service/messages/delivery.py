"""From the queue to the senders: what becomes of each message, decided without touching anything.

The queue is kept by the registry. It hands over what is due and writes down each result as it comes, so
that what was sent is not sent again after a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from filter_service.messages.message import Channel, Message
from filter_service.messages.retry import MAIL, Patience, next_attempt
from filter_service.messages.senders import Sender, SendError, TryLater, Undeliverable


class Queued(NamedTuple):
    """A message that is due."""

    message: Message
    failures: int = 0
    """How often it was tried before."""
    not_after: datetime | None = None
    """When it has lost its use: a code that expires, say. With time zone."""


class Sent(NamedTuple):
    """It was handed over."""

    message_id: UUID


class Deferred(NamedTuple):
    """It is to be tried again."""

    message_id: UUID
    failures: int
    at: datetime
    code: str


class Failed(NamedTuple):
    """It is not to be tried again."""

    message_id: UUID
    code: str


Result = Sent | Deferred | Failed


def decided(
    item: Queued, problem: SendError | None, now: datetime, patience: Patience = MAIL
) -> Result:
    """What becomes of a message that was tried now; ``problem`` is ``None`` where it was sent.

    ``Failed`` has the code of the last problem, also where patience ran out or the message would come too
    late.
    """
    message_id = item.message.message_id
    if problem is None:
        return Sent(message_id)
    at = None
    if not isinstance(problem, Undeliverable):
        at = next_attempt(item.failures + 1, now, patience)
    if at is None or (item.not_after is not None and at >= item.not_after):
        return Failed(message_id, problem.code)
    return Deferred(message_id, item.failures + 1, at, problem.code)


def _now() -> datetime:
    return datetime.now(UTC)


async def deliver(
    items: Iterable[Queued],
    senders: Mapping[Channel, Sender],
    clock: Callable[[], datetime] = _now,
    patience: Patience = MAIL,
) -> AsyncIterator[Result]:
    """Hand each message to the sender of its channel, in order; one result each, as it comes.

    A message that is too late is not sent: ``Failed`` with the code ``too-late``. One without a sender waits
    for one. The next message is not tried before the result of the last was taken.
    """
    for item in items:
        if item.not_after is not None and clock() >= item.not_after:
            yield Failed(item.message.message_id, "too-late")
            continue
        problem: SendError | None = None
        try:
            sender = senders.get(item.message.channel)
            if sender is None:
                raise TryLater("no-sender", "There is no sender for this channel: set one up.")
            await sender.send(item.message)
        except SendError as error:
            problem = error
        yield decided(item, problem, clock(), patience)
