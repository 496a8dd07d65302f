"""Messages: each state of a request is told in words, once, and nothing of it is kept."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from registry_life import Life

from filter_service.courier import Courier
from filter_service.messages import Channel, Message, OutboxSender, TryLater, Undeliverable
from filter_service.model import LANGUAGES, Reason, RequestKind
from filter_service.registry import Submission
from filter_service.review import Outcome


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


@pytest.fixture
def courier(life: Life, tmp_path: Path) -> Courier:
    box = OutboxSender(tmp_path / "outbox")
    return Courier(life.registry, dict.fromkeys(Channel, box))


def letters(folder: Path) -> list[EmailMessage]:
    found = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(folder.glob("*.eml"))
    ]
    return [one for one in found if isinstance(one, EmailMessage)]


def texts(folder: Path) -> str:
    parts = [one.get_content() for one in letters(folder)]
    parts += [path.read_text("utf-8") for path in folder.glob("*.txt")]
    return "\n".join(parts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_life_in_letters(life: Life, courier: Courier, tmp_path: Path, language: str) -> None:
    from uuid import uuid4

    identities = [("email", "jane.doe@example.org", None), ("phone", "044 668 18 00", None)]
    identities += [("postal_address", "Dorfgasse 99, 9999 Lethe", None)]
    receipt = life.registry.submit(
        Submission(
            uuid4(), RequestKind.ERASURE, identities, "jane.doe@example.org", language=language
        )
    )
    assert courier.carry() == 1
    assert "/confirm/" in texts(tmp_path / "outbox")
    token = life.registry.store.token("contact", receipt.request_id, 1)
    life.registry.confirm_contact(receipt.request_id, token)
    assert courier.carry() == 3  # the receipt, a text message, a letter
    everything = texts(tmp_path / "outbox")
    assert str(receipt.request_id) in everything
    life.registry.review.extend(receipt.request_id, "ada", Reason.COMPLEX)
    life.accept(receipt)
    life.release()
    life.registry.withdraw(receipt.request_id, receipt.secret)
    life.release()
    assert courier.carry() == 5  # extension, accepted, published, withdrawn, removed
    subjects = {str(one["Subject"]) for one in letters(tmp_path / "outbox")}
    assert len(subjects) == 7
    failed = life.registry.database.row("SELECT count(*) FROM messages WHERE failed")
    assert failed == (0,)


def test_refusal_appeal_and_objection(life: Life, courier: Courier, tmp_path: Path) -> None:
    one = life.submit([("email", "r@example.org", None)], "r@example.org")
    life.confirm(one)
    refuse = Outcome(0, accepted=False, reason=Reason.EXPRESSION)
    life.registry.review.decide(one.request_id, "ada", [refuse], "You hold a public office.")
    courier.carry()
    said = texts(tmp_path / "outbox")
    assert "You hold a public office." in said
    assert "Federal Data Protection" in said
    life.registry.appeal(one.request_id, one.secret, "I do not.")
    accept = Outcome(0, accepted=True)
    life.registry.review.decide(one.request_id, "bob", [accept])
    life.registry.review.object(one.request_id, "Somebody else has this address.", "reviewer:ada")
    life.registry.answer(one.request_id, one.secret, "It is mine.")
    life.registry.review.decide_objection(one.request_id, "ada", upheld=True)
    courier.carry()
    failed = life.registry.database.rows("SELECT template FROM messages WHERE failed")
    assert failed == []
    assert "Somebody else has this address." in texts(tmp_path / "outbox")


def test_what_was_sent_is_not_kept(life: Life, courier: Courier) -> None:
    life.submit()
    assert len(life.messages()) == 1
    courier.carry()
    assert life.messages() == []
    assert courier.carry() == 0


def test_an_erased_case_sends_nothing(life: Life, courier: Courier, tmp_path: Path) -> None:
    receipt = life.submit()
    life.registry.withdraw(receipt.request_id, receipt.secret)
    life.registry.review.erase(receipt.request_id, "admin")
    assert courier.carry() == 0
    assert letters(tmp_path / "outbox") == []


class Failing:
    """A sender on a bad day."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tried = 0

    async def send(self, message: Message) -> None:
        self.tried += 1
        raise self.error


def test_what_cannot_be_sent_now_is_sent_later(life: Life, tmp_path: Path) -> None:
    sender = Failing(TryLater("busy", "Try later."))
    courier = Courier(life.registry, {Channel.EMAIL: sender})
    life.submit()
    assert courier.carry() == 0
    assert courier.carry() == 0
    assert sender.tried == 1, "not again at once"
    life.clock.forward(minutes=1)
    courier.carry()
    assert sender.tried == 2
    life.clock.forward(hours=1)
    assert Courier(life.registry, {Channel.EMAIL: OutboxSender(tmp_path / "box")}).carry() == 1


def test_what_can_never_be_sent_is_given_up(life: Life) -> None:
    sender = Failing(Undeliverable("no-such", "Unknown."))
    courier = Courier(life.registry, {Channel.EMAIL: sender})
    life.submit()
    courier.carry()
    life.clock.forward(days=9)
    courier.carry()
    assert sender.tried == 1
    assert life.registry.database.row("SELECT failed FROM messages") == (True,)


def test_an_operator_gets_a_link(life: Life, courier: Courier, tmp_path: Path) -> None:
    access = life.registry.access
    access.register_operator("Example Ltd", "ops@example.org", life.settings.terms, "en")
    assert courier.carry() == 1
    assert "/operators/" in texts(tmp_path / "outbox")


def test_the_courier_wakes_up(life: Life, courier: Courier, tmp_path: Path) -> None:
    import time

    courier.start()
    life.submit()
    for _ in range(200):
        if letters(tmp_path / "outbox"):
            break
        time.sleep(0.05)
    courier.stop()
    assert len(letters(tmp_path / "outbox")) == 1


def test_the_outbox_of_an_erased_case_is_emptied(tmp_path: Path) -> None:
    """What lay there goes with the case, also where a crash came in between."""
    from registry_life import SETTINGS, Clock

    from filter_service.service import Service

    clock = Clock()
    folder = tmp_path / "registry"
    with Service.open(folder, SETTINGS, clock) as service:
        life = Life.__new__(Life)
        life.registry, life.clock = service.registry, clock
        kept, gone = life.submit(), life.submit([("email", "g@example.org", None)], "g@example.org")
        assert service.courier.carry() == 2
        copies = {path: path.read_bytes() for path in (folder / "outbox").glob("*.eml")}
        service.registry.withdraw(gone.request_id, gone.secret)
        service.registry.review.erase(gone.request_id, "admin")
        left = texts(folder / "outbox")
        assert str(kept.request_id) in left
        assert str(gone.request_id) not in left
        for path, octets in copies.items():
            path.write_bytes(octets)  # as if the process had died before it emptied the outbox
        service.keep_house()
        assert texts(folder / "outbox") == left


def test_a_callback_that_is_refused_holds_nobody_up(tmp_path: Path, life: Life) -> None:
    from uuid import uuid4

    box = OutboxSender(tmp_path / "box")
    life.registry.submit(
        Submission(uuid4(), RequestKind.ERASURE, [("email", "a@example.org", None)], None)
    )
    row = life.registry.database.row("SELECT request_id, key_id FROM requests")
    assert row is not None
    life.registry.database.write(
        lambda t: life.registry.outgoing.post(
            t,
            row[0],
            row[1],
            "en",
            "callback",
            "receipt",
            "https://gone.example/",
            {"state": "expired"},
        )
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from filter_service.evidence.callbacks import Callbacks
    from filter_service.evidence.names import Names
    from filter_service.safe_http import SafeHttp

    names = Names(["127.0.0.1"])
    callbacks = Callbacks(SafeHttp(names), Ed25519PrivateKey.generate(), "k", [])
    assert Courier(life.registry, {Channel.EMAIL: box}, callbacks).carry() == 1
    assert life.registry.database.rows("SELECT channel FROM messages WHERE failed") == [
        ("callback",)
    ]


def test_a_refused_part_has_its_own_answer(life: Life, courier: Courier, tmp_path: Path) -> None:
    asked = [("email", "r@example.org", None), ("name", "Jane Doebler-Zgraggen", None)]
    one = life.submit(asked, "r@example.org")
    life.confirm(one)
    courier.carry()
    for path in (tmp_path / "outbox").iterdir():
        path.unlink()
    outcomes = [
        Outcome(0, accepted=True),
        Outcome(1, accepted=False, reason=Reason.INSUFFICIENT_VERIFICATION),
    ]
    life.registry.review.decide(one.request_id, "ada", outcomes, "We saw no document.")
    assert courier.carry() == 2
    refusal = next(
        str(m.get_content())
        for m in letters(tmp_path / "outbox")
        if "authority" in str(m.get_content())
    )
    assert "J… D…" in refusal
    assert "r…@e….org" not in refusal
    assert "We saw no document." in refusal
    assert "/request" in refusal


def test_a_dismissed_objection_is_told(life: Life, courier: Courier, tmp_path: Path) -> None:
    one = life.accepted([("email", "r@example.org", None)], "r@example.org")
    life.registry.review.object(one.request_id, "It is mine.", "reviewer:ada")
    life.registry.review.decide_objection(one.request_id, "cy", upheld=False)
    courier.carry()
    assert "stays listed" in texts(tmp_path / "outbox").replace("\r\n", " ")
