"""What goes in and out of the resources for reviewers."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from filter.identifiers import IdentifierKind
from filter_service.api.bodies import Form
from filter_service.api.opendsr import MOST_IDENTITIES, Words
from filter_service.entries import LONGEST_TEXT
from filter_service.model import (
    Audience,
    Evidence,
    EvidenceState,
    Reason,
    RequestKind,
    Standing,
    State,
)
from filter_service.review import Outcome
from filter_service.store import Case

Refused = Literal[
    Reason.SUSPECTED_FRAUD,
    Reason.INSUFFICIENT_VERIFICATION,
    Reason.NO_MATCH,
    Reason.CLAIM_NOT_COVERED,
    Reason.OUTSIDE_JURISDICTION,
    Reason.TOO_MANY_REQUESTS,
    Reason.OTHER,
    Reason.EXPRESSION,
    Reason.LEGAL_OBLIGATION,
    Reason.PUBLIC_HEALTH,
    Reason.ARCHIVING,
    Reason.LEGAL_CLAIMS,
    Reason.COMPILE_GATE,
]
"""Reasons for which an identity may be refused."""


def _whole(value: object) -> object:
    """JSON Schema takes 1.0 for an integer (draft 2020-12, validation, section 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Position = Annotated[
    int,
    Field(ge=0, lt=MOST_IDENTITIES, description="Counted from 0."),
    BeforeValidator(_whole),
]


class AcceptedForm(Form):
    """An identity is to be listed."""

    position: Position
    outcome: Literal["accepted"]
    note: Words = Field(default="", description="Why, where the compile gate asks for a reason.")
    seen: bool = Field(
        default=False, description="The reviewer saw a document or mandate, and kept nothing of it."
    )


class RefusedForm(Form):
    """An identity is not to be listed."""

    position: Position
    outcome: Literal["refused"]
    reason: Refused
    note: Words = ""


OutcomeForm = Annotated[AcceptedForm | RefusedForm, Field(discriminator="outcome")]


class DecisionForm(Form):
    """A decision about each identity of a request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "outcomes": [
                        {
                            "position": 0,
                            "outcome": "accepted",
                            "note": "A private person.",
                            "seen": True,
                        },
                        {"position": 1, "outcome": "refused", "reason": "no_match"},
                    ],
                    "letter": "The second address is of an office.",
                }
            ]
        }
    )

    outcomes: list[OutcomeForm] = Field(min_length=1, max_length=MOST_IDENTITIES)
    letter: Words = Field(
        default="", description="What the asker is told beside the coded reasons."
    )


class ExtensionForm(Form):
    """Why a decision takes longer, in words."""

    words: Words = ""


class ObjectionDecisionForm(Form):
    """Whether an objection is right."""

    upheld: bool
    letter: Words = ""


class IdentifierForm(Form):
    """An identifier."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"identity_type": "email", "identity_value": "jane.doe@example.org"}]
        }
    )

    identity_type: IdentifierKind
    identity_value: str = Field(min_length=1, max_length=LONGEST_TEXT)


class QueueItem(BaseModel):
    """A request that waits; nothing of it is personal."""

    subject_request_id: UUID
    subject_request_type: RequestKind
    state: State
    received_time: datetime
    due: datetime | None
    days_left: int | None = Field(description="Begun ones count; negative when it is late.")
    extended: bool
    first_reviewer: str | None = Field(description="Who approved first, where two must.")
    language: str
    identities: int = Field(description="How many.")
    confirmed: int = Field(description="How many of them were shown to be the asker's.")
    by_agent: bool


class Queue(BaseModel):
    """A page of the queue."""

    items: list[QueueItem]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class IdentityView(BaseModel):
    """An identity, whole."""

    position: int
    identity_type: str
    identity_value: str
    canonical: str
    audience: Audience
    evidence: Evidence
    evidence_state: EvidenceState
    outcome: Literal["accepted", "refused"] | None
    reason: Reason | None
    note: str


class StandingAnswer(BaseModel):
    """Where a request stands, for a reviewer."""

    subject_request_id: UUID
    state: State
    received_time: datetime
    due: datetime | None
    extended: bool
    first_reviewer: str | None
    decided_by: str | None
    reason: Reason | None
    published: bool = Field(description="Something of it is in a published release.")


class CaseView(StandingAnswer):
    """A whole case."""

    subject_request_type: RequestKind
    version: int
    language: str
    regulation: str | None
    source: str = Field(description="`form`, or the id of the key that handed it in.")
    erased: bool = Field(description="Nothing personal is left.")
    email: str | None
    contact_confirmed: bool
    identities: list[IdentityView]
    message: str
    appeal: str
    objections: list[str]
    answer: str = Field(description="Of the asker, to an objection.")
    letter: str


class Found(BaseModel):
    """Requests that name an identifier."""

    requests: list[UUID]


class TrailHead(BaseModel):
    """Where the audit trail ends."""

    length: int
    digest: str = Field(description="SHA-256, in hexadecimal.")


def outcomes(form: DecisionForm) -> list[Outcome]:
    """A decision as the registry takes it."""
    return [
        Outcome(one.position, accepted=True, note=one.note, seen=one.seen)
        if isinstance(one, AcceptedForm)
        else Outcome(one.position, accepted=False, reason=one.reason, note=one.note)
        for one in form.outcomes
    ]


def queue_item(case: Case, now: datetime) -> QueueItem:
    """A request as it stands in the queue."""
    standing = case.standing
    identities = case.file.identities if case.file is not None else []
    due = standing.due
    return QueueItem(
        subject_request_id=case.request_id,
        subject_request_type=case.kind,
        state=standing.state,
        received_time=standing.received,
        due=due,
        days_left=math.ceil((due - now) / timedelta(days=1)) if due else None,
        extended=standing.extended,
        first_reviewer=standing.first_reviewer,
        language=case.language,
        identities=len(identities),
        confirmed=sum(one.evidence_state == EvidenceState.CONFIRMED for one in identities),
        by_agent=case.source != "form",
    )


def standing_answer(request_id: UUID, standing: Standing) -> StandingAnswer:
    """Where a request stands."""
    return StandingAnswer(
        subject_request_id=request_id,
        state=standing.state,
        received_time=standing.received,
        due=standing.due,
        extended=standing.extended,
        first_reviewer=standing.first_reviewer,
        decided_by=standing.decided_by,
        reason=Reason(standing.reason) if standing.reason else None,
        published=standing.published,
    )


def case_view(case: Case) -> CaseView:
    """A case as its reviewer sees it; one-time secrets and hashes are not shown."""
    file = case.file
    return CaseView(
        **standing_answer(case.request_id, case.standing).model_dump(),
        subject_request_type=case.kind,
        version=case.version,
        language=case.language,
        regulation=file.regulation if file else None,
        source=case.source,
        erased=file is None,
        email=file.email if file else None,
        contact_confirmed=file is not None and file.contact_state == EvidenceState.CONFIRMED,
        identities=[
            IdentityView(
                position=position,
                identity_type=one.kind,
                identity_value=one.text,
                canonical=one.canonical[0],
                audience=Audience(one.audience),
                evidence=Evidence(one.evidence),
                evidence_state=EvidenceState(one.evidence_state),
                outcome=one.outcome,  # type: ignore[arg-type]
                reason=Reason(one.reason) if one.reason else None,
                note=one.note,
            )
            for position, one in enumerate(file.identities if file else ())
        ],
        message=file.message if file else "",
        appeal=file.appeal if file else "",
        objections=file.objections if file else [],
        answer=file.answer if file else "",
        letter=file.letter if file else "",
    )
