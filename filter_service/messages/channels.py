"""Which sender carries what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from filter_service.messages.message import Channel
from filter_service.messages.outbox import NOBODY, OutboxSender
from filter_service.messages.senders import Sender
from filter_service.messages.smtp import SmtpSender, SmtpSettings


def senders(
    outbox: Path, environ: Mapping[str, str], *, sender: str = NOBODY
) -> dict[Channel, Sender]:
    """The senders of a registry: e-mail by SMTP where the environment says how, all else to ``outbox``.

    ``sender`` is the ``From`` of e-mails that go to the outbox. The variables are those of
    `SmtpSettings.from_environment`.

    Raises:
        UnsafeSettings: the environment says it wrongly.
        OSError: the folder cannot be made.
    """
    settings = SmtpSettings.from_environment(environ)
    box = OutboxSender(outbox, sender)
    mail: Sender = box if settings is None else SmtpSender(settings)
    return {Channel.EMAIL: mail, Channel.SMS: box, Channel.LETTER: box}
