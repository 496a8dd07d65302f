"""E-mail by SMTP, against a real mail server: what it carries, and how each failure is sorted."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from filter_service.errors import UnsafeSettings
from filter_service.messages import (
    Channel,
    Message,
    SendError,
    SmtpSender,
    SmtpSettings,
    TryLater,
    Undeliverable,
)

US = "optout@registry.example"
TEXT = "Grüezi\n\n.\nFrom here\n" + "https://registry.example/" + "x" * 120 + "\n"


def message(to: str = "jane@example.org", **changes: Any) -> Message:
    chosen: dict[str, Any] = {"subject": "Bitte bestätigen", "body": TEXT, "language": "de"}
    return Message(Channel.EMAIL, to, **(chosen | changes))


def send(server: Any, authority: Any, what: Message | None = None, **settings: Any) -> None:
    chosen: dict[str, Any] = {"host": "localhost", "security": "none", "timeout_s": 3.0}
    chosen |= {"port": server.port, "sender": US} | settings
    sender = SmtpSender(SmtpSettings(**chosen), tls=authority.client())
    asyncio.run(sender.send(what or message()))


def parsed(server: Any) -> Any:
    (envelope,) = server.envelopes
    return email.message_from_bytes(envelope.original_content, policy=email.policy.default)


def test_what_a_mail_holds(mail_server: Any, authority: Any) -> None:
    what = message()
    with mail_server() as server:
        send(server, authority, what)
    (envelope,) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (US, ["jane@example.org"])
    mail = parsed(server)
    assert sorted(mail.keys()) == sorted(
        [
            "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
            "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
        ]
    )  # fmt: skip
    assert (mail["From"], mail["To"]) == (US, "jane@example.org")
    assert mail["Subject"] == "Bitte bestätigen"
    assert mail["Message-ID"] == f"<{what.message_id}@registry.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "de"
    assert (mail.get_content_type(), mail.get_content_charset()) == ("text/plain", "utf-8")
    assert mail.get_content().replace("\r\n", "\n") == TEXT
    assert abs(mail["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=1)
    assert all(len(line) < 999 for line in envelope.original_content.split(b"\r\n"))
    assert envelope.original_content.isascii()
    assert server.sessions[0].host_name == "registry.example"
    assert server.encrypted == [False]


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_it_is_encrypted(mail_server: Any, authority: Any, way: str) -> None:
    with mail_server(**{way: authority.server("localhost")}) as server:
        send(server, authority, security=way)
    assert server.encrypted == [True]


def test_it_logs_in(mail_server: Any, authority: Any) -> None:
    context = authority.server("localhost")
    with mail_server(starttls=context, login=("u", "right")) as server:
        send(server, authority, security="starttls", user="u", password="right")
        assert len(server.envelopes) == 1
        problem = failure(server, authority, security="starttls", user="u", password="wrong")
        assert (type(problem), problem.code) == (TryLater, "auth")
    assert len(server.envelopes) == 1


def failure(server: Any, authority: Any, what: Message | None = None, **settings: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        send(server, authority, what, **settings)
    assert caught.value.__context__ is None
    assert "jane" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("command", "reply", "kind", "code"),
    [
        ("RCPT", "550 no jane@example.org here", Undeliverable, "recipient-refused"),
        ("RCPT", "553 no", Undeliverable, "recipient-refused"),
        ("RCPT", "450 later, jane", TryLater, "recipient-deferred"),
        ("RCPT", "452 full", TryLater, "recipient-deferred"),
        ("MAIL", "550 not you", TryLater, "sender-refused"),
        ("MAIL", "451 later", TryLater, "sender-refused"),
        ("DATA", "554 spam", Undeliverable, "message-refused"),
        ("DATA", "451 later", TryLater, "deferred"),
        ("DATA", "hang up", TryLater, "connection"),
    ],
)
def test_replies(
    mail_server: Any, authority: Any, command: str, reply: str, kind: type[SendError], code: str
) -> None:
    with mail_server() as server:
        server.replies[command] = reply
        problem = failure(server, authority)
    assert (type(problem), problem.code) == (kind, code)
    assert not server.envelopes


def test_a_certificate_of_somebody_else(mail_server: Any, authority: Any) -> None:
    for way in ("starttls", "tls"):
        with mail_server(**{way: authority.server("other.example")}) as server:
            problem = failure(server, authority, security=way)
        assert (type(problem), problem.code) == (TryLater, "tls")
        assert not server.envelopes


def test_a_server_without_starttls_gets_nothing(mail_server: Any, authority: Any) -> None:
    with mail_server() as server:
        problem = failure(server, authority, security="starttls")
    assert (type(problem), problem.code) == (TryLater, "unsupported")
    assert not server.envelopes


def test_no_server(mail_server: Any, authority: Any) -> None:
    with mail_server() as server:
        pass
    problem = failure(server, authority)
    assert (type(problem), problem.code) == (TryLater, "connection")


def test_a_silent_server_takes_no_longer_than_the_limit(authority: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        class Server:
            port = silent.getsockname()[1]

        begin = time.monotonic()
        problem = failure(Server, authority, timeout_s=0.3)
    assert (type(problem), problem.code) == (TryLater, "connection")
    assert time.monotonic() - begin < 2


def test_what_was_taken_is_sent_whatever_the_farewell(mail_server: Any, authority: Any) -> None:
    with mail_server() as server:
        server.quits = False
        send(server, authority, timeout_s=0.3)
    assert len(server.envelopes) == 1


def test_international_addresses(mail_server: Any, authority: Any) -> None:
    with mail_server() as server:
        send(server, authority, message("jürg@müller.example"))
    assert server.envelopes[0].rcpt_tos == ["jürg@xn--mller-kva.example"]
    assert "To: jürg@xn--mller-kva.example\r\n".encode() in server.envelopes[0].original_content
    with mail_server(utf8=False) as server:
        problem = failure(server, authority, message("jürg@example.org"))
        assert (type(problem), problem.code) == (Undeliverable, "smtputf8")
        send(server, authority, message("juerg@müller.example"))
    assert server.envelopes[0].rcpt_tos == ["juerg@xn--mller-kva.example"]


def test_the_loop_is_free_meanwhile(authority: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = SmtpSettings(
            "localhost", US, "none", port=silent.getsockname()[1], timeout_s=0.4
        )
        sender = SmtpSender(settings)

        async def count() -> int:
            sending = asyncio.create_task(sender.send(message()))
            ticks = 0
            while not sending.done():
                await asyncio.sleep(0.02)
                ticks += 1
            with pytest.raises(TryLater):
                await sending
            return ticks

        assert asyncio.run(count()) >= 5


def test_only_mails_are_mailed() -> None:
    sender = SmtpSender(SmtpSettings("localhost", US, "none"))
    letter = Message(Channel.LETTER, "Eva Muster\n8000 Musterstadt", "s", "b", "de")
    with pytest.raises(Undeliverable):
        asyncio.run(sender.send(letter))


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "mail.example", "security": "none"},
        {"host": "10.0.0.1", "security": "none"},
        {"host": "localhost.example", "security": "none"},
        {"host": "128.0.0.1", "security": "none"},
        {"host": "", "security": "tls"},
        {"host": "a b", "security": "tls"},
        {"host": "mail.example", "security": "TLS"},
        {"host": "mail.example", "security": ""},
        {"sender": ""},
        {"sender": "a@b.example, c@d.example"},
        {"sender": "a@b.example\nBcc: c@d.example"},
        {"user": "u"},
        {"password": "p"},
        {"port": -1},
        {"port": 65536},
        {"timeout_s": 0.0},
    ],
)
def test_unsafe_settings(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsafeSettings):
        SmtpSettings(**({"host": "mail.example", "sender": US} | changes))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "LOCALHOST."])
def test_only_loopback_may_do_without_encryption(host: str) -> None:
    assert SmtpSettings(host, US, "none").security == "none"
