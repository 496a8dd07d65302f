"""A message as an e-mail (RFC 5322): plain text, marked as written by a machine, without tracking."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from filter_service.messages.message import Message, email_address


def as_email(message: Message, sender: str, moment: datetime) -> EmailMessage:
    """The e-mail of a message, from ``sender`` (an address) at ``moment`` (with time zone).

    Every header is set as a parsed value, so no value can become a header of its own.

    Raises:
        UnusableMessage: ``sender`` or the recipient is not one plain address.
    """
    local, domain = email_address(sender)
    to_local, to_domain = email_address(message.to)
    email = EmailMessage(policy=SMTP if to_local.isascii() else SMTP.clone(utf8=True))
    email["From"] = Address(username=local, domain=domain)
    email["To"] = Address(username=to_local, domain=to_domain)
    email["Subject"] = message.subject
    email["Date"] = moment
    email["Message-ID"] = f"<{message.message_id}@{domain}>"
    email["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5: no out-of-office replies
    # Quoted-printable passes servers that know no 8BITMIME (RFC 6152).
    email.set_content(message.body, charset="utf-8", cte="quoted-printable")
    email["Content-Language"] = message.language  # (set_content drops earlier Content- headers)
    return email
