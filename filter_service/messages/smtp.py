"""E-mail by SMTP submission (RFC 6409): encrypted, with a time limit, one message a connection."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Literal

from filter.errors import InputError
from filter.hosts import canonical_host, is_ip_address
from filter_service.errors import UnsafeSettings
from filter_service.messages.message import Channel, Message, email_address
from filter_service.messages.mime import as_email
from filter_service.messages.senders import TryLater, Undeliverable

Security = Literal["starttls", "tls", "none"]
_PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
"""RFC 8314, sections 3.3 and 7.3."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach the mail server that carries our e-mails.

    Raises:
        UnsafeSettings: the host or sender is none, or the connection would not be encrypted although
            it leaves this machine.
    """

    host: str
    sender: str
    """The address that e-mails come from and that bounces go to."""
    security: Security = "starttls"
    port: int = 0
    """0 stands for the usual one: 587, 465 or, unencrypted, 25."""
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 20.0
    """Most time for one step of the dialogue."""

    def __post_init__(self) -> None:
        """Refuse what would not be safe."""
        if self.security not in _PORTS:
            raise UnsafeSettings("The SMTP security must be starttls, tls or none.")
        try:
            loopback = _is_loopback(self.host)
            email_address(self.sender)
        except InputError:
            raise UnsafeSettings(
                "Give the SMTP host as a name and the sender as an address."
            ) from None
        if self.security == "none" and not loopback:
            raise UnsafeSettings(
                "E-mail to another machine must be encrypted: set the SMTP security to starttls or tls."
            )
        if bool(self.user) != bool(self.password):
            raise UnsafeSettings("Give both the SMTP user and the password, or neither.")
        if not (0 <= self.port <= 65535 and self.timeout_s > 0):
            raise UnsafeSettings("The SMTP port or time limit is out of range.")


class SmtpSender:
    """Sends e-mails through one mail server.

    What the server accepted counts as sent, whatever happens to the farewell; a connection that breaks
    just before its acceptance arrives makes a second copy, as SMTP must (RFC 1047). The server's own words
    are never repeated: they hold the address.
    """

    def __init__(self, settings: SmtpSettings, *, tls: ssl.SSLContext | None = None) -> None:
        """``tls`` says which certificates to trust, by default those that the system does."""
        self._settings = settings
        self._tls = tls or ssl.create_default_context()

    async def send(self, message: Message) -> None:
        """Hand an e-mail over, in a thread of its own.

        Raises:
            Undeliverable: the server refuses the recipient or the message for good, or it is no e-mail.
            TryLater: everything else, also what only the operator can mend (a wrong password).
        """
        if message.channel is not Channel.EMAIL:
            raise Undeliverable("channel", "Only e-mails are sent by SMTP.")
        problem = await asyncio.to_thread(self._sent, message)
        if problem is not None:
            raise problem

    def _sent(self, message: Message) -> TryLater | Undeliverable | None:
        """Send; what went wrong is returned, so that no traceback carries the server's words along."""
        email = as_email(message, self._settings.sender, datetime.now(UTC))
        to = "@".join(email_address(message.to))
        server: smtplib.SMTP | None = None
        try:
            server = self._connected()
        except (smtplib.SMTPException, OSError) as error:
            return _unready(error)
        try:
            # Not send_message: it turns a line that begins with From into >From.
            server.sendmail(
                "@".join(email_address(self._settings.sender)),
                [to],
                email.as_bytes(),
                () if to.isascii() else ("SMTPUTF8", "BODY=8BITMIME"),  # RFC 6531, section 3.4
            )
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            server.close()
            return _unsent(error)
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()
        return None

    def _connected(self) -> smtplib.SMTP:
        """A connection that is encrypted and logged in, as the settings say."""
        settings = self._settings
        host = canonical_host(settings.host).strip("[]")
        port = settings.port or _PORTS[settings.security]
        # Else smtplib looks our own name up and tells it.
        ourselves = email_address(settings.sender)[1]
        server = (
            smtplib.SMTP_SSL(host, port, ourselves, timeout=settings.timeout_s, context=self._tls)
            if settings.security == "tls"
            else smtplib.SMTP(host, port, ourselves, timeout=settings.timeout_s)
        )
        try:
            if settings.security == "starttls":
                server.starttls(context=self._tls)
            if settings.user:
                server.login(settings.user, settings.password)
        except BaseException:
            server.close()
            raise
        return server


def _is_loopback(host: str) -> bool:
    canonical = canonical_host(host)
    if canonical == "localhost":
        return True
    return is_ip_address(canonical) and ip_address(canonical.strip("[]")).is_loopback


def _unready(error: Exception) -> TryLater:
    """Why there was no connection fit to send on: never the message's fault."""
    if isinstance(error, ssl.SSLError):
        return TryLater("tls", "The mail server's certificate or encryption is not to be trusted.")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TryLater("unsupported", "The mail server offers no STARTTLS, or no login.")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return TryLater("auth", "The mail server refuses our user or password.")
    return TryLater("connection", "The mail server cannot be reached.")


def _unsent(error: Exception) -> TryLater | Undeliverable:
    """Why a message was not taken. Codes from 500 on are for good (RFC 5321, section 4.2.1)."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Undeliverable("smtputf8", "The mail server takes no address with such letters.")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        if all(code >= 500 for code, _ in error.recipients.values()):
            return Undeliverable(
                "recipient-refused", "The mail server refuses the recipient for good."
            )
        return TryLater("recipient-deferred", "The mail server does not take the recipient now.")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return TryLater("sender-refused", "The mail server refuses us as the sender.")
    if isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500:
        return Undeliverable("message-refused", "The mail server refuses the message for good.")
    if isinstance(error, smtplib.SMTPResponseException):
        return TryLater("deferred", "The mail server does not take the message now.")
    return TryLater("connection", "The connection to the mail server broke.")
