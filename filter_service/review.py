"""What reviewers do: read, decide, extend, erase; each step is written down with who did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from filter.identifiers import PHRASES
from filter_service import entries, workflow
from filter_service.database import Transaction
from filter_service.errors import Conflict, TooMany, Unacceptable, WrongState
from filter_service.model import (
    OPEN,
    Evidence,
    EvidenceState,
    Reason,
    RequestKind,
    Standing,
    State,
)
from filter_service.outgoing import Outgoing, day
from filter_service.store import Case, Store

MOST_MESSAGE = 4000
MOST_OBJECTIONS = 20


@dataclass(frozen=True)
class Outcome:
    """A reviewer's decision about one identity of a request."""

    position: int
    """Counted from 0."""
    accepted: bool
    reason: Reason = Reason.GRANTED
    note: str = ""
    seen: bool = False
    """The reviewer saw evidence (a document, a mandate) and kept nothing of it."""


Gate = Callable[[str, str], "tuple[str, str] | None"]
"""Kind and text of an entry -> what speaks against listing it (verdict and a sentence), if anything."""


def no_gate(_kind: str, _text: str) -> tuple[str, str] | None:
    """A gate that lets everything be listed."""
    return None


class Review:
    """The reviewers' side of a registry."""

    def __init__(self, store: Store, outgoing: Outgoing, gate: Gate) -> None:
        self.store = store
        self.database = store.database
        self.outgoing = outgoing
        self._gate = gate

    def queue(self, limit: int = 50, after: tuple[datetime, UUID] | None = None) -> list[Case]:
        """Requests that wait for a reviewer, by the day until which they must be decided."""
        states = ", ".join(f"'{state.value}'" for state in sorted(OPEN))
        condition = f"WHERE state IN ({states})"
        parameters: list[object] = []
        if after is not None:
            condition += " AND (due, request_id) > (?, ?)"
            parameters += (after[0].astimezone(UTC).replace(tzinfo=None), after[1])
        condition += " ORDER BY due, request_id LIMIT ?"
        return list(self.store.cases(condition, *parameters, limit))

    def read_case(self, request_id: UUID, actor: str) -> Case:
        """A whole case; that it was read is written down."""

        def work(transaction: Transaction) -> Case:
            case = self.store.case(request_id, transaction)
            transaction.audit(actor, "read", request_id)
            return case

        return self.database.write(work)

    def find(self, kind: str, text: str, actor: str) -> list[UUID]:
        """The requests that name an identifier, or have it listed although their files were erased.

        That somebody looked is written down, not for what.
        """
        identity = entries.identity(
            RequestKind.ERASURE, kind, text, None, self.store.settings.regions, position=1
        )
        tag = self.store.tag(identity.kind, identity.canonical)
        with self.store.directory.lock:
            named = set(self.store.directory.cases.get(tag, ()))
        listed = self.store.listed_as(identity)
        if listed:
            marks = ", ".join("?" * len(listed))
            sql = f"SELECT request_id FROM claims WHERE listed_id IN ({marks})"  # noqa: S608
            named |= {row[0] for row in self.database.rows(sql, *listed)}
        found = sorted(named)
        self.database.write(lambda t: t.audit(actor, "looked_up", "-", found=len(found)))
        return found

    def decide(
        self,
        request_id: UUID,
        reviewer: str,
        outcomes: Sequence[Outcome],
        letter: str = "",
        version: int | None = None,
    ) -> Standing:
        """Accept some or all identities of a request, or refuse it.

        Args:
            request_id: which.
            reviewer: id of the reviewer.
            outcomes: one for each identity.
            letter: what the asker is told beside the coded reasons.
            version: of the case as the reviewer saw it; it must not have changed since.

        Raises:
            Unacceptable: an identity is missing, not shown to be theirs, or must not be listed.
            Conflict: somebody else was faster, or two reviewers do not agree.
            NotAllowed: another reviewer must do it.
            WrongState: it is not to be decided now.
        """
        case = self.store.case(request_id)
        accepted = self._checked(case, outcomes)
        self._passed(case, accepted)
        hashes: dict[int, dict[str, int]] = {}
        two = self._needs_two(case, accepted)
        if (
            accepted
            and case.kind is RequestKind.ERASURE
            and (not two or case.standing.first_reviewer)
        ):
            # Slow: before the transaction, not in it.
            for one in accepted:
                identity = case.opened().identities[one.position]
                hashes[one.position] = entries.hashed(
                    identity.kind,
                    identity.text,
                    self.store.settings.kdf,
                    self.store.salt,
                    self.store.settings.regions,
                )

        def work(transaction: Transaction) -> Standing:
            case = self.store.case(request_id, transaction)
            if version is not None and case.version != version:
                raise Conflict("changed", "This case has changed since you saw it: read it again.")
            accepted = self._checked(case, outcomes)
            if not accepted:
                standing = workflow.rejected(
                    case.standing, reviewer, outcomes[0].reason, transaction.now
                )
            else:
                standing = workflow.accepted(
                    case.standing, reviewer, two=self._needs_two(case, accepted)
                )
            self._note(case, outcomes, letter)
            moved = self.store.move_case(transaction, case, standing)
            transaction.audit(
                f"reviewer:{reviewer}",
                "decided" if standing.state is not case.standing.state else "approved_first",
                request_id,
                state=standing.state.value,
                reason=standing.reason or "",
                accepted=len(accepted),
                refused=len(outcomes) - len(accepted),
            )
            if standing.state is State.ACCEPTED:
                for one in accepted:
                    self._list(transaction, moved, one.position, hashes.get(one.position, {}))
                self.outgoing.tell(transaction, moved, "accepted")
                refused = next((one for one in outcomes if not one.accepted), None)
                if refused is not None:
                    # What was refused of a request has its own answer (GDPR 12(4)).
                    reason = refused.reason.value
                    self.outgoing.tell(transaction, moved, "refused", reason=reason, part="yes")
            elif standing.state is State.REJECTED:
                self.outgoing.tell(transaction, moved, "refused")
            return standing

        return self.database.write(work)

    def decide_objection(
        self, request_id: UUID, reviewer: str, *, upheld: bool, letter: str = ""
    ) -> Standing:
        """Decide about a third party's objection; by another reviewer than who had accepted."""

        def work(transaction: Transaction) -> Standing:
            case = self.store.case(request_id, transaction)
            standing = case.standing
            if upheld and self.store.in_release(transaction, request_id):
                standing = replace(standing, published=True)
            standing = workflow.objection_decided(standing, reviewer, upheld=upheld)
            case.opened().letter = letter[:MOST_MESSAGE]
            case = self.store.move_case(transaction, case, standing)
            if upheld:
                self.store.give_up_claims(transaction, request_id)
            transaction.audit(
                f"reviewer:{reviewer}",
                "objection_decided",
                request_id,
                state=standing.state.value,
                reason=standing.reason or "",
            )
            template = "refused" if upheld else "objection_dismissed"
            self.outgoing.tell(transaction, case, template)
            return standing

        return self.database.write(work)

    def withdraw(self, request_id: UUID, actor: str) -> Standing:
        """Take a request back for somebody who lost the link to it, and was identified otherwise."""

        def work(transaction: Transaction) -> Standing:
            case = self.store.case(request_id, transaction)
            standing = case.standing
            if self.store.in_release(transaction, request_id):
                standing = replace(standing, published=True)
            case = self.store.move_case(transaction, case, workflow.withdrawn(standing))
            self.store.give_up_claims(transaction, request_id)
            transaction.audit(actor, "withdrawn", request_id, state=case.standing.state.value)
            self.outgoing.tell(transaction, case, "withdrawn")
            return case.standing

        return self.database.write(work)

    def extend(self, request_id: UUID, reviewer: str, reason: Reason, words: str = "") -> Standing:
        """Take two months more, once, and tell the asker why (GDPR 12(3))."""

        def work(transaction: Transaction) -> Standing:
            case = self.store.case(request_id, transaction)
            standing = workflow.extended(case.standing, transaction.now)
            case.opened().letter = words[:MOST_MESSAGE]
            case = self.store.move_case(transaction, case, standing)
            transaction.audit(f"reviewer:{reviewer}", "extended", request_id, reason=reason.value)
            self.outgoing.tell(
                transaction, case, "extension", due=day(standing.due), reason=reason.value
            )
            return standing

        return self.database.write(work)

    def object(self, request_id: UUID, text: str, actor: str) -> Standing:
        """A third party objects to what is listed.

        A reviewer enters it, for nobody else knows the id, in words that the asker may read.
        """

        def work(transaction: Transaction) -> Standing:
            case = self.store.case(request_id, transaction)
            file = case.opened()
            if len(file.objections) >= MOST_OBJECTIONS:
                raise TooMany("too_many_objections", "This request has too many objections.")
            standing = workflow.objected(case.standing, transaction.now)
            file.objections.append(text[:MOST_MESSAGE])
            file.letter = text[:MOST_MESSAGE]
            case = self.store.move_case(transaction, case, standing)
            self.outgoing.tell(transaction, case, "objection", due=day(standing.due))
            transaction.audit(actor, "objected", request_id)
            return standing

        return self.database.write(work)

    def erase(self, request_id: UUID, actor: str) -> None:
        """Erase a case file for good; what is listed stays until it is withdrawn."""

        def work(transaction: Transaction) -> None:
            case = self.store.case(request_id, transaction)
            if case.standing.state in OPEN:
                raise WrongState("undecided", "This request must be decided or withdrawn first.")
            self.store.erase_case(transaction, case)
            transaction.audit(actor, "erased", request_id)

        self.database.write(work)

    def _checked(self, case: Case, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The accepted ones, if all may be."""
        file = case.opened()
        if sorted(one.position for one in outcomes) != list(range(len(file.identities))):
            raise Unacceptable("incomplete", "Decide about each identity of the request once.")
        accepted = [one for one in outcomes if one.accepted]
        for one in accepted:
            identity = file.identities[one.position]
            where = f"Identity {one.position + 1}"
            proven = identity.evidence_state == EvidenceState.CONFIRMED or one.seen
            if not proven and identity.evidence != Evidence.TWO_REVIEWERS:
                raise Unacceptable(
                    "not_verified",
                    f"{where} is not shown to be the asker's: wait, see evidence, or refuse it.",
                )
        for one in outcomes:
            if not one.accepted and one.reason is Reason.GRANTED:
                raise Unacceptable("no_reason", "Give a reason for each identity that is refused.")
        return accepted

    def _passed(self, case: Case, accepted: Sequence[Outcome]) -> None:
        """Ask the gate, which takes its time, what speaks against listing the accepted ones.

        Raises:
            Unacceptable: something does, and no reviewer's reason outweighs it.
        """
        if case.kind is RequestKind.RIGHTSHOLDER:
            return
        for one in accepted:
            identity = case.opened().identities[one.position]
            against = self._gate(identity.kind, identity.text)
            if against is not None and (against[0] == "refused" or not one.note.strip()):
                raise Unacceptable(
                    "compile_gate",
                    f"Identity {one.position + 1} cannot be listed: {against[1]}",
                )

    def _needs_two(self, case: Case, accepted: Sequence[Outcome]) -> bool:
        """Phrases need two reviewers, and whatever of a rightsholder no domain has confirmed."""
        identities = case.opened().identities
        if case.kind is RequestKind.RIGHTSHOLDER:
            return any(
                identities[one.position].evidence_state != EvidenceState.CONFIRMED
                for one in accepted
            )
        return any(identities[one.position].kind in PHRASES for one in accepted)

    def _note(self, case: Case, outcomes: Sequence[Outcome], letter: str) -> None:
        """Write outcomes into the case file; a second reviewer must agree with the first."""
        file = case.opened()
        second = case.standing.first_reviewer is not None
        for one in outcomes:
            identity = file.identities[one.position]
            word = "accepted" if one.accepted else "refused"
            if second and any(o.accepted for o in outcomes) and identity.outcome != word:
                raise Conflict(
                    "disagreement",
                    "The first reviewer decided otherwise: agree, or refuse the whole.",
                )
            identity.outcome, identity.reason = word, one.reason.value
            identity.note = one.note[:MOST_MESSAGE]
            if one.seen and case.kind is RequestKind.ERASURE:
                identity.evidence_state = EvidenceState.CONFIRMED
        file.letter = letter[:MOST_MESSAGE]

    def _list(
        self, transaction: Transaction, case: Case, position: int, hashes: Mapping[str, int]
    ) -> None:
        one = case.opened().identities[position]
        content = {
            "kind": one.kind,
            "text": one.text,
            "canonical": one.canonical,
            "hashes": dict(hashes),
            "made_with": self.store.hashes_made_with(),
        }
        if case.kind is RequestKind.RIGHTSHOLDER:
            content["effective"] = transaction.now.date().isoformat()
        self.store.claim(transaction, case, one, content)
