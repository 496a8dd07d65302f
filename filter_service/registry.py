"""The registry: everything that can be asked of it, from a submission to an erased case.

One process has a registry open. Methods may be called from any thread; each returns when what it did
is durable. Actors are named by role and id, never by name.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from filter.canonical import canonicalize
from filter.identifiers import IdentifierKind
from filter_service import entries, workflow
from filter_service.access import Keys
from filter_service.audit import Head
from filter_service.database import Database, Transaction
from filter_service.errors import (
    Conflict,
    NotFound,
    TooMany,
    Unacceptable,
    UnusableFolder,
    WrongState,
)
from filter_service.keyring import KeyRing, private_folder
from filter_service.messages.masking import masked
from filter_service.model import (
    FINAL,
    LANGUAGES,
    OPEN,
    CaseFile,
    Evidence,
    EvidenceState,
    Identity,
    RequestKind,
    Standing,
    State,
)
from filter_service.outgoing import CHANNELS, Outgoing, day
from filter_service.releases import Releases
from filter_service.review import MOST_MESSAGE, Gate, Review, no_gate
from filter_service.settings import Settings, load, master_key
from filter_service.store import Case, Store, same

DATABASE = "registry.duckdb"
ATTEMPTS = 5
"""At one code; then another one must be asked for."""
BY_DOMAIN = frozenset({Evidence.DNS, Evidence.WELL_KNOWN})


@dataclass(frozen=True, repr=False)
class Submission:
    """What somebody hands in."""

    request_id: UUID
    """Made by the client; the same id with the same content may be sent again."""
    kind: RequestKind
    identities: Sequence[tuple[str, str, str | None]]
    """Kind, text, and the file it may be listed in (`None`: what is usual)."""
    email: str | None
    """Where answers go; the first e-mail address among the identities by default."""
    language: str = "en"
    regulation: str = "gdpr"
    message: str = ""
    callbacks: Sequence[str] = ()
    source: str = "form"
    """``form``, or the id of the machine key that hands it in."""
    mandated: bool = False
    """The machine key may act for others and shows a mandate to a reviewer."""


@dataclass(frozen=True)
class Receipt:
    """What the asker gets: the only time that the secret is shown."""

    request_id: UUID
    received: datetime
    expected: datetime
    """Until when it is decided."""
    secret: str = field(repr=False)
    """Shows that a caller may see and withdraw the request."""
    repeated: bool = False


@dataclass(frozen=True, repr=False)
class StatusView:
    """What an asker may see of a request."""

    request_id: UUID
    kind: RequestKind
    standing: Standing
    language: str
    identities: list[dict[str, Any]] = field(default_factory=list)
    """Position, kind, audience, evidence and its state, outcome, reason, and a masked value."""
    contact_confirmed: bool = False
    letter: str = ""
    erased: bool = False


class Registry:
    """An open registry folder."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        store: Store,
        *,
        gate: Gate,
    ) -> None:
        """Use `open`."""
        self.folder = folder
        self.settings = settings
        self.store = store
        self.database = store.database
        self.keys = store.keys
        self.outgoing = Outgoing(store)
        self.review = Review(store, self.outgoing, gate)
        self.access = Keys(store, self.outgoing)
        self.releases = Releases(store, self.outgoing)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        settings: Settings | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        gate: Gate = no_gate,
    ) -> Self:
        """Open a registry, making one where there is none.

        Raises:
            UnusableFolder, UnsafeSettings: says what to do.
        """
        try:
            private_folder(folder)
            folder.chmod(0o700)
        except OSError as error:
            raise UnusableFolder(
                f"{folder} cannot be used ({error.strerror}): name a folder for the registry."
            ) from None
        settings = settings or load(folder)
        private_folder(folder / "keys")
        master, _ = master_key(settings, folder)
        keys = KeyRing(folder / "keys", master)
        try:
            database = Database(folder / DATABASE, keys, clock)
        except BaseException:
            keys.close()
            raise
        try:
            return cls(folder, settings, Store(folder, settings, database, keys), gate=gate)
        except BaseException:
            database.close()
            keys.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what was begun and close."""
        self.database.close()
        self.keys.close()

    def verify_audit(self) -> Head:
        """The head of the audit trail, checked from its beginning and against published releases.

        Raises:
            UnusableFolder: it was changed, or its end cut off.
        """
        return self.database.verify_audit(self.releases.heads())

    @property
    def now(self) -> datetime:
        """The registry's clock."""
        return self.database.clock()

    def submit(self, submission: Submission) -> Receipt:
        """Take a request; it is durable when this returns.

        Raises:
            Unacceptable: something in it cannot be used.
            Conflict: its id was used for another one.
            TooMany: too many requests wait to be confirmed.
        """
        file = self._case_file(submission)

        def work(transaction: Transaction) -> Receipt:
            request_id = submission.request_id
            if request_id in self.store.directory.digests or request_id in transaction.scratch:
                return self._repeated(transaction, request_id, file.digest)
            if self.store.directory.unverified >= self.settings.limits.open_requests:
                raise TooMany("too_many_open", "Too many requests wait to be confirmed: try later.")
            standing = workflow.received(transaction.now)
            if submission.mandated:
                standing = workflow.verified(standing, transaction.now)
            transaction.scratch[request_id] = (standing, file.digest)
            case = Case(
                request_id,
                submission.kind,
                standing,
                submission.language,
                transaction.now,
                submission.source,
                transaction.keys.new(),
                deepcopy(file),
            )
            if file.email is not None:
                self.outgoing.send_contact_link(transaction, case)
            self.store.add_case(transaction, case)
            actor = "person" if submission.source == "form" else f"agent:{submission.source}"
            transaction.audit(actor, "submitted", request_id, kind=submission.kind.value)
            return self._receipt(request_id, standing.received)

        return self.database.write(work)

    def confirm_contact(self, request_id: UUID, token: str) -> StatusView:
        """The asker opened the link in the first e-mail and pressed the button.

        Raises:
            NotFound: no such request, or not this token.
            WrongState: too late.
        """

        def work(transaction: Transaction) -> StatusView:
            case = self.store.case(request_id, transaction)
            file = case.opened()
            secret = file.contact_secret
            if secret is None or not self.store.is_token(
                token, "contact", request_id, secret["generation"]
            ):
                raise NotFound
            if file.contact_state == EvidenceState.CONFIRMED:
                return self._view(case)
            standing = case.standing
            if standing.state in FINAL:
                raise WrongState("ended", "This request has ended: send a new one.")
            if standing.state is State.UNVERIFIED:
                standing = workflow.verified(standing, transaction.now)
            file.contact_state = EvidenceState.CONFIRMED
            address = _canonical_email(file.email)
            for one in file.identities:
                if one.kind == IdentifierKind.EMAIL and one.canonical[0] == address:
                    one.evidence_state = EvidenceState.CONFIRMED
            confirmed = case._replace(standing=standing)
            if standing.state in OPEN:
                self.outgoing.send_evidence(transaction, confirmed)
            self.outgoing.tell(transaction, confirmed, "receipt", due=day(standing.due))
            self.store.save_case(transaction, case, standing)
            transaction.audit("person", "confirmed", request_id)
            return self._view(confirmed)

        return self.database.write(work)

    def confirm_identity(self, request_id: UUID, position: int, secret: str) -> StatusView:
        """The asker shows the secret that was sent to one of the identifiers.

        Raises:
            NotFound: no such request or identifier, or another secret.
            TooMany: too many wrong ones.
            WrongState: it is too old, or nothing was sent.
        """

        def work(transaction: Transaction) -> StatusView | None:
            case = self.store.case(request_id, transaction)
            one = _identity(case, position)
            confirmed = one.evidence_state == EvidenceState.CONFIRMED
            if one.secret is None:
                if confirmed:
                    return None  # in another way: there is no right secret
                raise WrongState("nothing_sent", "Nothing was sent to this identifier yet.")
            if transaction.now >= datetime.fromisoformat(one.secret["expires"]):
                raise WrongState("too_late", "This link or code is too old: ask for a new one.")
            if one.secret["attempts"] >= ATTEMPTS:
                raise TooMany("too_many_attempts", "Too many wrong codes: ask for a new one.")
            expected = self.outgoing.identity_secret(case, position)
            if not same(expected, "".join(secret.split())):
                if Evidence(one.evidence) is Evidence.LINK:
                    return None  # nobody guesses a link; counting would let others use it up
                one.secret["attempts"] += 1
                self.store.save_case(transaction, case)
                return None
            if confirmed:
                return self._view(case)
            # The secret stays: who repeats it gets the same answer, and nobody else does.
            one.evidence_state = EvidenceState.CONFIRMED
            self.store.save_case(transaction, case)
            transaction.audit("person", "identity_confirmed", request_id, position=position)
            return self._view(case)

        view = self.database.write(work)
        if view is None:
            raise NotFound("wrong_secret", "This is not the right link or code.")
        return view

    def send_again(self, request_id: UUID, secret: str, position: int | None = None) -> StatusView:
        """Send another link or code: to the contact address, or to one of the identifiers.

        Raises:
            NotFound: no such request, or another secret.
            WrongState: there is nothing to send.
            TooMany: something was sent there a short while ago, or is to be.
        """

        def work(transaction: Transaction) -> StatusView:
            case = self._own(transaction, request_id, secret)
            if position is None:
                file = case.opened()
                if file.contact_state == EvidenceState.CONFIRMED or file.email is None:
                    raise WrongState("confirmed_before", "Nothing needs to be confirmed here.")
                if case.standing.state in FINAL:
                    raise WrongState("ended", "This request has ended: send a new one.")
                self._not_lately(transaction, file.email)
                self.outgoing.send_contact_link(transaction, case)
            else:
                one = _identity(case, position)
                evidence = Evidence(one.evidence)
                if one.evidence_state == EvidenceState.CONFIRMED or evidence not in CHANNELS:
                    raise WrongState("nothing_to_send", "Nothing needs to be sent for this.")
                if case.standing.state not in OPEN:
                    raise WrongState("wrong_state", "Confirm the request itself first.")
                if evidence is Evidence.LINK:
                    self._not_lately(transaction, one.text)
                self.outgoing.send_secret(transaction, case, position)
            self.store.save_case(transaction, case)
            return self._view(case)

        return self.database.write(work)

    def domain_challenge(self, request_id: UUID, position: int) -> tuple[str, str] | None:
        """Host and token by which control of a domain is shown; `None` where none is asked for."""
        one = _identity(self.store.case(request_id), position)
        host = entries.host_of(one.kind, one.canonical[-1])
        if Evidence(one.evidence) not in BY_DOMAIN or host is None:
            return None
        return host, self.store.token("domain", request_id, host)

    def domain_confirmed(self, request_id: UUID, position: int, by: Evidence) -> StatusView:
        """The challenge was found at a domain; holds for all that the request names there."""

        def work(transaction: Transaction) -> StatusView:
            case = self.store.case(request_id, transaction)
            host = entries.host_of(*_kind_and_value(_identity(case, position)))
            for one in case.opened().identities:
                if Evidence(one.evidence) in BY_DOMAIN and host == entries.host_of(
                    *_kind_and_value(one)
                ):
                    one.evidence, one.evidence_state = by.value, EvidenceState.CONFIRMED
            self.store.save_case(transaction, case)
            transaction.audit("system", "domain_confirmed", request_id, by=by.value)
            return self._view(case)

        return self.database.write(work)

    def status(self, request_id: UUID, secret: str) -> StatusView:
        """Where a request stands, for whoever has its secret.

        Raises:
            NotFound: no such request, or another secret: nobody can tell which.
        """
        self._check_secret(request_id, secret)
        return self._view(self.store.case(request_id))

    def withdraw(self, request_id: UUID, secret: str) -> StatusView:
        """Take a request back; what is published of it goes with the next release.

        Raises:
            NotFound: no such request, or another secret.
            WrongState: it has ended already.
        """

        def work(transaction: Transaction) -> StatusView:
            case = self._own(transaction, request_id, secret)
            standing = case.standing
            if self.store.in_release(transaction, request_id):
                standing = replace(standing, published=True)
            case = self.store.move_case(transaction, case, workflow.withdrawn(standing))
            self.store.give_up_claims(transaction, request_id)
            transaction.audit("person", "withdrawn", request_id, state=case.standing.state.value)
            self.outgoing.tell(transaction, case, "withdrawn")
            return self._view(case)

        return self.database.write(work)

    def answer(self, request_id: UUID, secret: str, text: str) -> StatusView:
        """The asker says something to an objection, before it is decided."""

        def work(transaction: Transaction) -> StatusView:
            case = self._own(transaction, request_id, secret)
            if case.standing.state is not State.OBJECTED:
                raise WrongState("no_objection", "There is no objection to answer.")
            case.opened().answer = text[:MOST_MESSAGE]
            self.store.save_case(transaction, case)
            transaction.audit("person", "answered", request_id)
            return self._view(case)

        return self.database.write(work)

    def appeal(self, request_id: UUID, secret: str, text: str) -> StatusView:
        """Ask for another reviewer, within 30 days of a refusal, once."""

        def work(transaction: Transaction) -> StatusView:
            case = self._own(transaction, request_id, secret)
            standing = workflow.appealed(case.standing, transaction.now)
            case.opened().appeal = text[:MOST_MESSAGE]
            case = self.store.move_case(transaction, case, standing)
            transaction.audit("person", "appealed", request_id)
            self.outgoing.tell(transaction, case, "appeal_received", due=day(standing.due))
            return self._view(case)

        return self.database.write(work)

    @staticmethod
    def shown(case: Case, one: Identity) -> str:
        """An identifier as its owner will know it; sites are no secret."""
        return one.text if case.kind is RequestKind.RIGHTSHOLDER else masked(one.kind, one.text)

    def _case_file(self, submission: Submission) -> CaseFile:
        """A checked submission."""
        if not submission.identities:
            raise Unacceptable("no_identity", "A request names at least one identity.")
        if len(submission.identities) > self.settings.limits.identities:
            raise Unacceptable(
                "too_many_identities",
                f"A request names at most {self.settings.limits.identities} identities: send several.",
            )
        if submission.language not in LANGUAGES:
            raise Unacceptable("unknown_language", f"Choose one of {', '.join(LANGUAGES)}.")
        email = submission.email or next(
            (text for kind, text, _ in submission.identities if kind == IdentifierKind.EMAIL), None
        )
        if email is None and not submission.mandated:
            raise Unacceptable("no_contact", "Give an e-mail address to which the answer may go.")
        if email is not None:
            entries.identity(RequestKind.ERASURE, "email", email, None, ("CH",), position=0)
        if not set(submission.callbacks) <= set(self.settings.callbacks):
            raise Unacceptable(
                "callback_not_registered", "Callbacks only go to addresses that were agreed before."
            )
        if len(submission.message) > MOST_MESSAGE:
            raise Unacceptable(
                "message_too_long", f"A message has at most {MOST_MESSAGE} characters."
            )
        identities = [
            entries.identity(
                submission.kind, kind, text, audience, self.settings.regions, position=number
            )
            for number, (kind, text, audience) in enumerate(submission.identities, 1)
        ]
        distinct = {(one.kind, *one.canonical): one for one in reversed(identities)}
        identities = [one for one in identities if distinct[one.kind, *one.canonical] is one]
        if submission.mandated:
            for one in identities:
                if one.evidence == Evidence.IDENTITY_SEEN:
                    one.evidence = Evidence.MANDATE
        content = json.dumps(
            [
                submission.kind,
                submission.identities,
                submission.email,
                submission.language,
                submission.regulation,
                submission.message,
                list(submission.callbacks),
                submission.source,
            ],
            default=str,
        )
        return CaseFile(
            identities=identities,
            email=email.strip() if email is not None else None,
            digest=self.store.keyed_digest("submission", content.encode()).hex(),
            regulation=submission.regulation,
            agent=submission.source if submission.mandated else None,
            message=submission.message,
            callbacks=list(submission.callbacks),
        )

    def _repeated(self, transaction: Transaction, request_id: UUID, digest: str) -> Receipt:
        if request_id in transaction.scratch:
            standing, known = transaction.scratch[request_id]
            received = standing.received
        else:
            known = self.store.directory.digests[request_id]
            received = self.store.case(request_id, transaction).standing.received
        if known is None or not hmac.compare_digest(known, digest):
            raise Conflict("id_used", "This id belongs to another request: make a new one.")
        return replace(self._receipt(request_id, received), repeated=True)

    def _receipt(self, request_id: UUID, received: datetime) -> Receipt:
        secret = self.store.token("status", request_id)
        return Receipt(request_id, received, workflow.months_later(received, 1), secret)

    def _check_secret(self, request_id: UUID, secret: str) -> None:
        if not self.store.is_token(secret, "status", request_id):
            raise NotFound

    def _not_lately(self, transaction: Transaction, to: str) -> None:
        if self.outgoing.last_sent(transaction, to) is not None:
            raise TooMany("sent_recently", "Something was sent there a short while ago: try later.")

    def _own(self, transaction: Transaction, request_id: UUID, secret: str) -> Case:
        self._check_secret(request_id, secret)
        return self.store.case(request_id, transaction)

    def _view(self, case: Case) -> StatusView:
        view = StatusView(case.request_id, case.kind, case.standing, case.language)
        if case.file is None:
            return replace(view, erased=True)
        shown = [
            {
                "position": number,
                "kind": one.kind,
                "audience": one.audience,
                "evidence": one.evidence,
                "evidence_state": one.evidence_state,
                "outcome": one.outcome,
                "reason": one.reason,
                "masked": self.shown(case, one),
            }
            for number, one in enumerate(case.file.identities)
        ]
        confirmed = case.file.contact_state == EvidenceState.CONFIRMED
        return replace(view, identities=shown, contact_confirmed=confirmed, letter=case.file.letter)


def _identity(case: Case, position: int) -> Identity:
    identities = case.opened().identities
    if not 0 <= position < len(identities):
        raise NotFound
    return identities[position]


def _kind_and_value(one: Identity) -> tuple[str, str]:
    return one.kind, one.canonical[-1]


def _canonical_email(address: str | None) -> str | None:
    return canonicalize(IdentifierKind.EMAIL, address) if address is not None else None
