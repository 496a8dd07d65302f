"""Messages: what is one, the outbox, the decision what becomes of it, and masks."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import stat
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter.canonical import canonicalize
from filter.errors import UnknownKind
from filter.identifiers import IdentifierKind
from filter_service.messages import (
    MAIL,
    Channel,
    Deferred,
    Failed,
    Message,
    OutboxSender,
    Patience,
    Queued,
    Result,
    Sent,
    TryLater,
    Undeliverable,
    UnusableMessage,
    decided,
    deliver,
    erase,
    masked,
    next_attempt,
    purge,
)
from filter_service.messages.mime import as_email

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
JANE = "jane.roe@example.org"
PLACE = "Eva Muster\nMusterweg 1\n8000 Musterstadt"


def message(channel: Channel = Channel.EMAIL, to: str = JANE, **changes: Any) -> Message:
    chosen: dict[str, Any] = {"subject": "Subject", "body": "Body\n", "language": "en"}
    return Message(channel, to, **(chosen | changes))


# -- what is a message --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "to"),
    [
        (Channel.EMAIL, JANE),
        (Channel.EMAIL, "o'neil+tag@example.org"),
        (Channel.EMAIL, "jürg@müller.example"),
        (Channel.EMAIL, "a" * 64 + "@example.org"),
        (Channel.SMS, "+41791234567"),
        (Channel.SMS, "+6901234"),
        (Channel.LETTER, PLACE),
        (Channel.LETTER, "\n".join("12345678")),
    ],
)
def test_recipients(channel: Channel, to: str) -> None:
    assert message(channel, to).to == to


@pytest.mark.parametrize(
    ("channel", "to"),
    [
        (Channel.EMAIL, ""),
        (Channel.EMAIL, "jane"),
        (Channel.EMAIL, "@example.org"),
        (Channel.EMAIL, "jane@"),
        (Channel.EMAIL, f"{JANE}, john@example.org"),
        (Channel.EMAIL, f"{JANE};john@example.org"),
        (Channel.EMAIL, f"Jane <{JANE}>"),
        (Channel.EMAIL, f"<{JANE}>"),
        (Channel.EMAIL, f"{JANE}\nBcc: john@example.org"),
        (Channel.EMAIL, f"{JANE}\r\nBcc: john@example.org"),
        (Channel.EMAIL, f"{JANE}\n"),
        (Channel.EMAIL, f" {JANE}"),
        (Channel.EMAIL, "jane\x00@example.org"),
        (Channel.EMAIL, "jane\u2028@example.org"),
        (Channel.EMAIL, "jane@john@example.org"),
        (Channel.EMAIL, '"jane roe"@example.org'),
        (Channel.EMAIL, "jane(comment)@example.org"),
        (Channel.EMAIL, "jane@[127.0.0.1]"),
        (Channel.EMAIL, "jane@127.0.0.1"),
        (Channel.EMAIL, "jane@example.org:25"),
        (Channel.EMAIL, "jane@ex%61mple.org"),
        (Channel.EMAIL, "=?utf-8?q?jane?=@example.org"),
        (Channel.EMAIL, "jane@example..org"),
        (Channel.EMAIL, "a" * 65 + "@example.org"),
        (Channel.EMAIL, "a" * 64 + "@" + "b." * 95 + "org"),
        (Channel.SMS, "0791234567"),
        (Channel.SMS, "+41 79 123 45 67"),
        (Channel.SMS, "+0791234567"),
        (Channel.SMS, "+41791234567\n"),
        (Channel.SMS, "+1234567890123456"),
        (Channel.SMS, "+٤١٧٩١٢٣٤٥٦٧"),
        (Channel.LETTER, ""),
        (Channel.LETTER, "Eva Muster\n\n8000 Musterstadt"),
        (Channel.LETTER, "Eva Muster\r\n8000 Musterstadt"),
        (Channel.LETTER, "\n".join("123456789")),
        (Channel.LETTER, "a" * 101),
    ],
)
def test_what_is_no_recipient(channel: Channel, to: str) -> None:
    with pytest.raises(UnusableMessage) as caught:
        message(channel, to)
    for part in ("jane", "john", "Muster", "123"):
        assert part not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": ""},
        {"subject": " "},
        {"subject": "a\nBcc: x@example.org"},
        {"subject": "a\rb"},
        {"subject": "a\x00b"},
        {"subject": "a\u2028b"},
        {"subject": "=?utf-8?q?a=0ABcc=3A?="},
        {"subject": "a" * 201},
        {"body": ""},
        {"body": "\n"},
        {"body": "a\rb"},
        {"body": "a\x1b[2Jb"},
        {"body": "a\ud800b"},
        {"body": "a" * ((1 << 16) + 1)},
        {"language": ""},
        {"language": "de\nX: y"},
        {"language": "DE"},
    ],
)
def test_what_is_no_message(changes: dict[str, Any]) -> None:
    with pytest.raises(UnusableMessage):
        message(**changes)


def test_a_message_does_not_show_what_is_in_it() -> None:
    shown = repr(message(body="secret", subject="hidden"))
    for part in ("jane", "secret", "hidden"):
        assert part not in shown


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@example("jane@example.org\r\nBcc: x@example.org", "s\r\nBcc: x@example.org", "b")
@example("jane@example.org", "=?utf-8?q?a=0ABcc=3A_x=40example=2Eorg?=", "b")
@example("=?utf-8?q?a=0ABcc=3A_x=40example=2Eorg?=@example.org", "s", "b")
def test_no_value_becomes_a_header(to: str, subject: str, body: str) -> None:
    try:
        octets = as_email(message(to=to, subject=subject, body=body), JANE, NOW).as_bytes()
    except UnusableMessage:
        return
    mail = email.message_from_bytes(octets, policy=email.policy.default)
    assert set(mail.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    assert len(mail["To"].addresses) == 1


# -- the outbox ---------------------------------------------------------------------------------


def put(folder: Path, *messages: Message) -> None:
    sender = OutboxSender(folder)
    for each in messages:
        asyncio.run(sender.send(each))


def test_a_mail_in_the_outbox(tmp_path: Path) -> None:
    sent = message(body="Grüezi\n")
    put(tmp_path / "outbox", sent)
    (file,) = (tmp_path / "outbox").iterdir()
    assert file.name == f"{sent.message_id}.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.read_bytes().isascii()
    assert file.read_bytes().isascii()
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (mail["To"], mail["From"]) == (JANE, "registry@lethe.invalid")
    assert mail.get_content().replace("\r\n", "\n") == "Grüezi\n"


def test_a_letter_in_the_outbox(tmp_path: Path) -> None:
    letter = message(Channel.LETTER, PLACE, subject="Ihr Code", language="de")
    put(tmp_path, letter)
    (file,) = tmp_path.iterdir()
    assert file.name == f"{letter.message_id}.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    head, _, body = file.read_text().partition("\n\n")
    lines = head.split("\n")
    assert lines[:6] == [
        "Channel: letter",
        "To: Eva Muster",
        "    Musterweg 1",
        "    8000 Musterstadt",
        "Subject: Ihr Code",
        "Language: de",
    ]
    assert lines[6].startswith("Date: 20")
    assert lines[7:] == [f"Message-ID: {letter.message_id}"]
    assert body == "Body\n"


def test_a_line_of_an_address_is_no_header(tmp_path: Path) -> None:
    put(tmp_path, message(Channel.LETTER, "Eva Muster\nSubject: other"))
    (file,) = tmp_path.iterdir()
    starts = [line.partition(":")[0] for line in file.read_text().split("\n\n")[0].split("\n")]
    assert starts.count("Subject") == 1


def test_names_of_files_say_nothing(tmp_path: Path) -> None:
    put(tmp_path, message(), message(Channel.SMS, "+41791234567"), message(Channel.LETTER, PLACE))
    for path in tmp_path.iterdir():
        assert UUID(path.stem).version == 4
        assert path.suffix in {".eml", ".txt"}


def test_twice_written_is_one_file(tmp_path: Path) -> None:
    once = message()
    put(tmp_path, once, once)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    sender = OutboxSender(tmp_path / "outbox")
    (tmp_path / "outbox").rmdir()
    with pytest.raises(TryLater) as caught:
        asyncio.run(sender.send(message()))
    assert caught.value.code == "outbox"
    assert "jane" not in str(caught.value)


def test_erasing_leaves_nothing_of_a_message(tmp_path: Path) -> None:
    gone, left = message(), message(Channel.SMS, "+41791234567")
    put(tmp_path, gone, left)
    # what a crash can leave: a file that did not get its name
    (tmp_path / f".{gone.message_id}.eml.{uuid4().hex}").write_text("half")
    assert erase(tmp_path, [gone.message_id, uuid4()]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"{left.message_id}.txt"]
    assert erase(tmp_path, [gone.message_id]) == 0


def test_purging_removes_what_is_old_and_ours(tmp_path: Path) -> None:
    messages = [message(), message(), message(Channel.LETTER, PLACE)]
    put(tmp_path, *messages)
    half = tmp_path / f".{uuid4()}.txt.{uuid4().hex}"
    others = [tmp_path / name for name in ("readme.txt", f"{uuid4()}.pdf", f"{uuid4()}x.eml")]
    for path in [half, *others]:
        path.write_text("x")
    files = [
        tmp_path / f"{m.message_id}.{s}"
        for m, s in zip(messages, ("eml", "eml", "txt"), strict=True)
    ]
    for path, seconds in zip(
        [*files, half, *others], (-1, 0, -99, -99, -99, -99, -99), strict=True
    ):
        moment = NOW.timestamp() + seconds
        os.utime(path, (moment, moment))
    assert purge(tmp_path, NOW) == 3
    assert set(tmp_path.iterdir()) == {files[1], *others}
    assert purge(tmp_path, NOW) == 0


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("x")
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    name = uuid4()
    (outbox / f"{name}.eml").symlink_to(target)
    assert erase(outbox, [name]) == 0
    assert target.exists()


def test_a_missing_outbox_is_empty(tmp_path: Path) -> None:
    assert purge(tmp_path / "none", NOW) == erase(tmp_path / "none", [uuid4()]) == 0


# -- what becomes of it -------------------------------------------------------------------------

LATER = TryLater("later", "Later.")
NEVER = Undeliverable("never", "Never.")
ONE = message(message_id=UUID(int=1))


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("item", "problem", "result"),
    [
        (Queued(ONE), None, Sent(ONE.message_id)),
        (Queued(ONE, 27, after(-5)), None, Sent(ONE.message_id)),
        (Queued(ONE), NEVER, Failed(ONE.message_id, "never")),
        (Queued(ONE), LATER, Deferred(ONE.message_id, 1, after(1), "later")),
        (Queued(ONE, 1), LATER, Deferred(ONE.message_id, 2, after(2), "later")),
        (Queued(ONE, 8), LATER, Deferred(ONE.message_id, 9, after(256), "later")),
        (Queued(ONE, 9), LATER, Deferred(ONE.message_id, 10, after(360), "later")),
        (Queued(ONE, 26), LATER, Deferred(ONE.message_id, 27, after(360), "later")),
        (Queued(ONE, 27), LATER, Failed(ONE.message_id, "later")),
        (Queued(ONE, 2, after(4.1)), LATER, Deferred(ONE.message_id, 3, after(4), "later")),
        (Queued(ONE, 2, after(4)), LATER, Failed(ONE.message_id, "later")),
    ],
)
def test_decisions(item: Queued, problem: Any, result: Result) -> None:
    assert decided(item, problem, NOW) == result


@given(
    st.integers(1, 200),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(1, 200),
    st.none() | st.integers(0, 10**7),
)
def test_waits_grow_to_the_longest(
    failures: int, first: int, longest: int, attempts: int, asked: int | None
) -> None:
    patience = Patience(timedelta(seconds=first), timedelta(seconds=longest), attempts)
    wanted = None if asked is None else timedelta(seconds=asked)
    at = next_attempt(failures, NOW, patience, wanted)
    if failures >= attempts:
        assert at is None
        return
    assert at is not None
    assert timedelta(0) < at - NOW <= patience.longest
    unasked = next_attempt(failures, NOW, patience)
    assert unasked is not None
    assert at >= unasked
    further = next_attempt(failures + 1, NOW, patience)
    assert further is None or further >= unasked


def test_patience_with_mail_is_four_to_five_days() -> None:
    moment, failures = NOW, 0
    while (at := next_attempt(failures + 1, moment, MAIL)) is not None:
        moment, failures = at, failures + 1
    assert timedelta(days=4) < moment - NOW < timedelta(days=5)


def test_no_failure_no_retry() -> None:
    with pytest.raises(ValueError):
        next_attempt(0, NOW, MAIL)


class Line:
    """A sender that works off its outcomes."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[UUID] = []

    async def send(self, message: Message) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        self.sent.append(message.message_id)


def delivered(items: Sequence[Queued], line: Line, most: int = 99) -> list[Result]:
    async def run() -> list[Result]:
        results = []
        async for result in deliver(items, {Channel.EMAIL: line}, lambda: NOW):
            results.append(result)
            if len(results) == most:
                break
        return results

    return asyncio.run(run())


def test_every_message_has_one_result_in_order() -> None:
    items = [Queued(message()) for _ in range(4)]
    items += [Queued(message(Channel.SMS, "+41791234567")), Queued(message(), 0, NOW)]
    line = Line(None, NEVER, LATER, None)
    ids = [item.message.message_id for item in items]
    assert delivered(items, line) == [
        Sent(ids[0]),
        Failed(ids[1], "never"),
        Deferred(ids[2], 1, after(1), "later"),
        Sent(ids[3]),
        Deferred(ids[4], 1, after(1), "no-sender"),
        Failed(ids[5], "too-late"),
    ]
    assert line.sent == [ids[0], ids[3]]


def test_the_next_message_waits_for_the_result_of_the_last_to_be_taken() -> None:
    items = [Queued(message()) for _ in range(3)]
    line = Line(None, None, None)
    assert len(delivered(items, line, most=1)) == 1
    assert line.sent == [items[0].message.message_id]


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(RuntimeError):
        delivered([Queued(message())], Line(RuntimeError()))


# -- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("email", JANE, "j…@e….org"),
        ("email", "j@e.org", "j…@e….org"),
        ("email", "jürg@mail.müller.example", "j…@m….example"),
        ("email", "élodie@example.org", "é…@e….org"),
        ("email", "jane@localhost", "j…@l…"),
        ("email", "jane", "…"),
        ("email", "@example.org", "…"),
        ("email", "\u202ejane@example.org", "j…@e….org"),
        ("phone", "+41791234521", "+41…21"),
        ("phone", "+41 79 123 45 21", "+41…21"),
        ("phone", "079 123 45 21", "…21"),
        ("phone", "117", "…"),
        ("iban", "CH93 0076 2011 6238 5295 7", "CH…57"),
        ("ahv", "756.1234.5678.97", "756…97"),
        ("credit_card", "4111 1111 1111 1111", "…11"),
        ("ip", "192.0.2.17", "192.…"),
        ("ip", "2001:db8::17", "2001:…"),
        ("ip", "::1", "…"),
        ("name", "Eva Muster", "E… M…"),
        ("name", "Eva Maria von Muster", "E… M…"),
        ("name", "Eva", "E…"),
        ("name", "李 小明", "李… 小…"),
        ("postal_address", "Musterweg 1, 8000 Musterstadt", "M… M…"),
        ("handle", "@janeroe", "@j…"),
        ("handle", "janeroe", "j…"),
        ("handle", "@", "…"),
        ("url", "https://www.example.org/people/jane", "e….org/…"),
        ("url", "example.org", "e….org"),
        ("url", "https://example.org/", "e….org"),
        ("text", "the sentence about Jane", "t…"),
        ("name", "", "…"),
        ("email", "", "…"),
        ("phone", "", "…"),
    ],
)
def test_masks(kind: str, value: str, shown: str) -> None:
    assert masked(kind, value) == shown


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IdentifierKind.EMAIL, JANE),
        (IdentifierKind.PHONE, "+41 79 123 45 21"),
        (IdentifierKind.IBAN, "ch93 0076 2011 6238 5295 7"),
        (IdentifierKind.AHV, "756.9217.0769.85"),
    ],
)
def test_a_canonical_form_has_the_mask_of_what_was_given(kind: IdentifierKind, value: str) -> None:
    canonical = canonicalize(kind, value)
    assert masked(kind, canonical).casefold() == masked(kind, value).casefold()


@given(st.sampled_from(IdentifierKind), st.text(max_size=80))
def test_a_mask_is_short_and_shows_little(kind: IdentifierKind, value: str) -> None:
    shown = masked(kind, value)
    assert "…" in shown
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    if kind not in {IdentifierKind.EMAIL, IdentifierKind.URL}:  # these keep their last label
        assert len(shown) <= 7


def test_there_is_a_mask_for_every_kind_and_no_other() -> None:
    with pytest.raises(UnknownKind):
        masked("shoe_size", "42")
