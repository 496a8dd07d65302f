"""What goes out about a request: links, codes and answers, queued with what makes them necessary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from filter_service.database import Transaction, naive, utc
from filter_service.errors import TooMany
from filter_service.messages.masking import masked
from filter_service.model import Evidence, EvidenceState
from filter_service.store import Case, Store

VALID = {
    Evidence.LINK: timedelta(days=7),
    Evidence.TEXT_MESSAGE: timedelta(minutes=15),
    Evidence.LETTER: timedelta(days=60),
}
CHANNELS = {
    Evidence.LINK: "email",
    Evidence.TEXT_MESSAGE: "sms",
    Evidence.LETTER: "letter",
}
UNCONFIRMED = frozenset({"confirm", "code", "operator_key"})
"""Templates that go to addresses which nobody has confirmed yet."""


class Outgoing:
    """Queues messages; somebody else sends them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.on_message: Callable[[], None] = lambda: None
        """Called when one was queued and is durable."""
        self._recall()

    def send_contact_link(self, transaction: Transaction, case: Case) -> None:
        """Ask the contact address to confirm the request."""
        file = case.opened()
        assert file.email is not None
        generation = (file.contact_secret or {"generation": 0})["generation"] + 1
        file.contact_secret = {"generation": generation}
        file.contact_state = EvidenceState.SENT
        token = self.store.token("contact", case.request_id, generation)
        address = f"{self.store.settings.base_url}/confirm/{case.request_id}/{token}"
        expires = (transaction.now + VALID[Evidence.LINK]).isoformat()
        self.queue(
            transaction,
            case,
            "email",
            "confirm",
            file.email,
            link=address,
            expires=expires,
            identifier=masked("email", file.email),
        )

    def send_evidence(self, transaction: Transaction, case: Case) -> None:
        """Send links and codes to all identifiers that can be shown to be the asker's so."""
        for position, one in enumerate(case.opened().identities):
            if one.evidence_state == EvidenceState.NEEDED and Evidence(one.evidence) in CHANNELS:
                try:
                    self.send_secret(transaction, case, position)
                except TooMany:
                    continue  # the asker may have it sent later

    def send_secret(self, transaction: Transaction, case: Case, position: int) -> None:
        """Send a link or code to an identifier.

        Raises:
            TooMany: something was sent there a short while ago.
        """
        one = case.opened().identities[position]
        evidence = Evidence(one.evidence)
        to = one.canonical[0] if evidence is Evidence.TEXT_MESSAGE else one.text
        if evidence is not Evidence.LINK and self.last_sent(transaction, to) is not None:
            raise TooMany("sent_recently", "A code was sent there a short while ago: try later.")
        generation = (one.secret or {"generation": 0})["generation"] + 1
        one.secret = {
            "generation": generation,
            "attempts": 0,
            "expires": (transaction.now + VALID[evidence]).isoformat(),
        }
        one.evidence_state = EvidenceState.SENT
        secret = self.identity_secret(case, position)
        if evidence is Evidence.LINK:
            where = f"{self.store.settings.base_url}/confirm/{case.request_id}/{position}/{secret}"
            self.queue(
                transaction,
                case,
                "email",
                "confirm",
                to,
                link=where,
                expires=one.secret["expires"],
                identifier=masked(one.kind, one.text),
            )
            return
        code = f"{secret[:4]} {secret[4:]}"
        self.queue(
            transaction,
            case,
            CHANNELS[evidence],
            "code",
            to,
            code=code,
            expires=one.secret["expires"],
            minutes=str(int(VALID[evidence].total_seconds() // 60)),
        )

    def last_sent(self, transaction: Transaction, to: str) -> datetime | None:
        """When something was sent, or is to be, to an address not yet confirmed, if within a day."""
        tag = self.store.address_tag(to)
        last = transaction.scratch.get(tag) or self.store.directory.mailed.get(tag)
        return last if last is not None and last + timedelta(days=1) > transaction.now else None

    def identity_secret(self, case: Case, position: int) -> str:
        """What was sent to an identifier: a token of 128 bits, or eight digits."""
        one = case.opened().identities[position]
        assert one.secret is not None
        token = self.store.token("identity", case.request_id, position, one.secret["generation"])
        if Evidence(one.evidence) is Evidence.LINK:
            return token
        return f"{int(token, 16) % 10**8:08}"

    def tell(self, transaction: Transaction, case: Case, template: str, **values: str) -> None:
        """Tell the asker, where the address was confirmed, and the machines that asked to be."""
        file = case.file
        if file is None:
            return
        if file.email is not None and file.contact_state == EvidenceState.CONFIRMED:
            secret = self.store.token("status", case.request_id)
            where = f"{self.store.settings.base_url}/status/{case.request_id}/{secret}"
            # What it says is what holds now, whenever it is sent.
            now = {"status": where, "letter": file.letter, "reason": case.standing.reason or ""}
            self.queue(transaction, case, "email", template, file.email, **now | values)
        for callback in file.callbacks:
            self.queue(
                transaction, case, "callback", template, callback, state=case.standing.state.value
            )

    def queue(
        self,
        transaction: Transaction,
        case: Case,
        channel: str,
        template: str,
        to: str,
        **values: str,
    ) -> None:
        """Queue a message about a request; an address that nobody confirmed gets one a day."""
        self.post(
            transaction, case.request_id, case.key_id, case.language, channel, template, to, values
        )

    def post(
        self,
        transaction: Transaction,
        owner: UUID,
        key_id: UUID,
        language: str,
        channel: str,
        template: str,
        to: str,
        values: Mapping[str, str],
    ) -> None:
        """The same for anything that has an id and a key."""
        send_at = transaction.now
        if template in UNCONFIRMED:
            last = self.last_sent(transaction, to)
            if last is not None:
                send_at = last + timedelta(days=1)
            tag = self.store.address_tag(to)
            transaction.scratch[tag] = sent = send_at
            now = transaction.now
            transaction.then.append(lambda: self.store.directory.mail(tag, sent, now))
        message_id = uuid4()
        content = {"to": to, "values": dict(values), "language": language}
        transaction.insert(
            "messages",
            message_id=message_id,
            request_id=owner,
            channel=channel,
            template=template,
            queued=transaction.now,
            try_at=send_at,
            attempts=0,
            sent=None,
            failed=False,
            key_id=key_id,
            sealed=self.store.seal(key_id, content, message_id),
        )
        transaction.then.append(lambda: self.on_message())  # noqa: PLW0108 -- set later

    def _recall(self) -> None:
        """After a start: to which addresses something went, or is to go, that nobody had confirmed.

        What was sent has no recipient any more: then it is taken to be each address of its owner.
        """
        now = self.store.database.clock()
        rows = self.store.database.rows(
            f"SELECT message_id, request_id, channel, template, try_at, key_id, sealed FROM messages "  # noqa: S608
            f"WHERE template IN ({', '.join('?' * len(UNCONFIRMED))}) AND try_at > ?",
            *sorted(UNCONFIRMED),
            naive(now - timedelta(days=1)),
        )
        for message_id, owner, channel, template, try_at, key_id, sealed in rows:
            content = self.store.unseal(key_id, sealed, message_id)
            if content is not None:
                addresses = [content["to"]]
            elif template == "operator_key":
                addresses = self._operator(owner)
            else:
                addresses = _addresses(self.store.case(owner), channel)
            for address in addresses:
                tag = self.store.address_tag(address)
                last = self.store.directory.mailed.get(tag)
                self.store.directory.mail(tag, max(utc(try_at), last or utc(try_at)), now)

    def _operator(self, access_id: UUID) -> list[str]:
        for key_id, sealed in self.store.database.rows(
            "SELECT key_id, sealed FROM access_keys WHERE access_id = ?", access_id
        ):
            content = self.store.unseal(key_id, sealed, access_id)
            if content is not None:
                return [content["email"]]
        return []


def _addresses(case: Case, channel: str) -> list[str]:
    """What a case has of one channel."""
    if case.file is None:
        return []
    sent = [
        one
        for one in case.file.identities
        if CHANNELS.get(Evidence(one.evidence)) == channel
        and one.evidence_state != EvidenceState.NEEDED
    ]
    found = [one.canonical[0] if channel == "sms" else one.text for one in sent]
    return [*found, case.file.email] if channel == "email" and case.file.email else found


def day(moment: datetime | None) -> str:
    """A moment as a day."""
    return moment.date().isoformat() if moment else ""
