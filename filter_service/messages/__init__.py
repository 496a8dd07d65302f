"""What goes out to people: messages, the texts in them, and the ways they take.

The queue is the registry's; here a message is written, handed over, and it is said what became of it.
"""

from __future__ import annotations

from filter_service.messages.delivery import (
    Deferred,
    Failed,
    Queued,
    Result,
    Sent,
    decided,
    deliver,
)
from filter_service.messages.masking import masked
from filter_service.messages.message import Channel, Message, UnusableMessage
from filter_service.messages.outbox import OutboxSender, erase, purge
from filter_service.messages.retry import MAIL, Patience, next_attempt
from filter_service.messages.senders import Sender, SendError, TryLater, Undeliverable
from filter_service.messages.smtp import SmtpSender, SmtpSettings
from filter_service.messages.texts import LANGUAGES, NAMES, UnusableText, render

__all__ = [
    "LANGUAGES",
    "MAIL",
    "NAMES",
    "Channel",
    "Deferred",
    "Failed",
    "Message",
    "OutboxSender",
    "Patience",
    "Queued",
    "Result",
    "SendError",
    "Sender",
    "Sent",
    "SmtpSender",
    "SmtpSettings",
    "TryLater",
    "Undeliverable",
    "UnusableMessage",
    "UnusableText",
    "decided",
    "deliver",
    "erase",
    "masked",
    "next_attempt",
    "purge",
    "render",
]
