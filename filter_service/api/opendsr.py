"""What goes in and out of ``/v1/requests``: the objects of OpenDSR 2.0, and our extension of them.

OpenDSR leaves room under ``extensions``; ours stands there as ``lethe``, those of others are passed over.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from filter.identifiers import IdentifierKind
from filter_service import workflow
from filter_service.api.bodies import Form
from filter_service.courier import STATUSES
from filter_service.entries import LONGEST_TEXT
from filter_service.model import (
    OPEN,
    Audience,
    Evidence,
    EvidenceState,
    OptOutScope,
    Reason,
    RequestKind,
    State,
)
from filter_service.registry import Receipt, StatusView
from filter_service.review import MOST_MESSAGE
from filter_service.settings import Settings

API_VERSION = "2.0"
UUID4 = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
"""RFC 9562, section 5.4; in lower case, so that an id has one spelling."""
MOST_IDENTITIES = 500
"""In any registry; its settings may allow fewer."""
MOST_EMAIL = 320
MOST_CALLBACKS = 5
TOKEN = "^[0-9a-f]{32}$"

Language = Literal["de", "fr", "it", "rm", "en"]
Words = Annotated[str, StringConstraints(max_length=MOST_MESSAGE)]
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,20})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def _moment(text: str) -> str:
    """RFC 3339, section 5.6."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError
    date.fromisoformat(match[1])
    return text


Moment = Annotated[str, AfterValidator(_moment), Field(json_schema_extra={"format": "date-time"})]
RequestStatus = Literal["pending", "in_progress", "completed", "cancelled"]


class _Identity(Form):
    identity_value: str = Field(min_length=1, max_length=LONGEST_TEXT)
    identity_format: Literal["raw", "sha1", "md5", "sha256"] = Field(
        default="raw", description="Only `raw` is taken: nothing can be looked for by a hash of it."
    )


class PersonalIdentity(_Identity):
    """An identifier of a person."""

    identity_type: IdentifierKind


class OptOutIdentity(_Identity):
    """What a rightsholder opts out."""

    identity_type: OptOutScope


class RequestExtension(Form):
    """What we need beside OpenDSR."""

    language: Language = Field(default="en", description="In which the answers are written.")
    email: str | None = Field(
        default=None,
        min_length=3,
        max_length=MOST_EMAIL,
        description="Where answers go; without it a mandate is needed.",
    )
    audiences: list[Literal[Audience.PUBLIC, Audience.OPERATORS] | None] | None = Field(
        default=None,
        max_length=MOST_IDENTITIES,
        description="The file that each identity may be listed in, in their order; null for the usual.",
    )
    message: Words = Field(default="", description="To the reviewer.")
    mandate: bool = Field(
        default=False,
        description="The caller acts for the person and will show a mandate; needs a key for that.",
    )


class RequestExtensions(BaseModel):
    """Extensions by whose they are; others than ours are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore")

    lethe: RequestExtension = RequestExtension()


class _Request(Form):
    regulation: Literal["gdpr", "ccpa", "fadp"] = Field(
        description="On which the request is based; `fadp` is the Swiss act, our extension."
    )
    subject_request_id: str = Field(
        pattern=UUID4,
        json_schema_extra={"format": "uuid"},
        description="Made by the client; the same request may be sent again under it.",
    )
    submitted_time: Moment = Field(description="When the person asked.")
    api_version: Literal["2.0"] = "2.0"
    status_callback_urls: list[Annotated[str, StringConstraints(max_length=2048)]] = Field(
        default=[],
        max_length=MOST_CALLBACKS,
        description="To be told of changes; each must have been agreed with the controller before.",
    )
    extensions: RequestExtensions = RequestExtensions()


def _example(kind: RequestKind, **identities: str) -> ConfigDict:
    """A request as it may stand in the document, of nobody."""
    example: dict[str, Any] = {
        "regulation": "gdpr",
        "subject_request_id": "5a0b1c9e-3f52-4c6b-9d7e-2f8a4b6c1d3e",
        "subject_request_type": kind,
        "submitted_time": "2026-03-01T12:00:00Z",
        "subject_identities": [
            {"identity_type": name, "identity_value": value} for name, value in identities.items()
        ],
        "api_version": API_VERSION,
        "extensions": {"lethe": {"language": "en", "email": "jane.doe@example.org"}},
    }
    return ConfigDict(json_schema_extra={"examples": [example]})


class ErasureRequest(_Request):
    """A person asks to have identifiers removed from what models say."""

    model_config = _example(
        RequestKind.ERASURE,
        email="jane.doe@example.org",
        phone="+41 44 668 18 00",
        name="Jane Doebler-Zgraggen",
    )

    subject_request_type: Literal["erasure"]
    subject_identities: list[PersonalIdentity] = Field(min_length=1, max_length=MOST_IDENTITIES)


class RightsholderRequest(_Request):
    """A rightsholder opts sites, pages, documents or datasets out of the corpus (our extension)."""

    model_config = _example(
        RequestKind.RIGHTSHOLDER,
        subdomains="news.example.org",
        url_prefix="https://example.org/archive/",
        dataset="example/dataset",
    )

    subject_request_type: Literal["rightsholder"]
    subject_identities: list[OptOutIdentity] = Field(min_length=1, max_length=MOST_IDENTITIES)


RequestForm = Annotated[
    ErasureRequest | RightsholderRequest, Field(discriminator="subject_request_type")
]


class ReceiptExtension(BaseModel):
    """What we give beside OpenDSR."""

    secret: str = Field(pattern=TOKEN, description="Opens the status; keep it.")
    status_url: str = Field(description="A page that shows the status; holds the secret.")


class ReceiptExtensions(BaseModel):
    """Extensions by whose they are."""

    lethe: ReceiptExtension


class ReceiptAnswer(BaseModel):
    """A request was taken."""

    controller_id: str
    expected_completion_time: datetime
    received_time: datetime
    subject_request_id: UUID
    api_version: Literal["2.0"] = "2.0"
    extensions: ReceiptExtensions


class IdentityStatus(BaseModel):
    """How far one identity has come."""

    position: int = Field(ge=0, description="Counted from 0; in paths too.")
    identity_type: str
    audience: Audience
    evidence: Evidence
    evidence_state: EvidenceState
    outcome: Literal["accepted", "refused"] | None
    reason: Reason | None
    masked: str = Field(description="Enough for its owner to know; of rightsholders the whole.")


class StatusExtension(BaseModel):
    """What we say beside OpenDSR."""

    state: State
    contact_confirmed: bool
    identities: list[IdentityStatus]
    due: datetime | None = Field(description="Until when somebody must act.")
    extended: bool = Field(description="The term was extended (GDPR 12(3)).")
    reason: Reason | None
    letter: str = Field(description="The reviewer's words.")
    language: Language
    erased: bool = Field(description="The case file was erased; only this is left.")


class StatusExtensions(BaseModel):
    """Extensions by whose they are."""

    lethe: StatusExtension


class StatusAnswer(BaseModel):
    """Where a request stands."""

    controller_id: str
    expected_completion_time: datetime
    received_time: datetime
    subject_request_id: UUID
    subject_request_type: RequestKind
    request_status: RequestStatus
    api_version: Literal["2.0"] = "2.0"
    extensions: StatusExtensions


class TokenForm(Form):
    """The token of a link."""

    token: str = Field(pattern=TOKEN)


class IdentitySecretForm(Form):
    """What was sent to an identifier."""

    secret: str = Field(
        min_length=8,
        max_length=40,
        pattern="^[0-9a-f ]+$",
        description="The token of a link (32 digits), or a code of eight digits.",
    )


class IdentityConfirmed(BaseModel):
    """An identifier was shown to be the asker's; nothing else of the request is told."""

    subject_request_id: UUID
    position: int
    evidence_state: EvidenceState


class WordsForm(Form):
    """What somebody has to say."""

    text: str = Field(min_length=1, max_length=MOST_MESSAGE)


class DnsChallenge(BaseModel):
    """A TXT record that shows control of a domain."""

    name: str
    type: Literal["TXT"] = "TXT"
    value: str


class FileChallenge(BaseModel):
    """A file that shows control of a domain."""

    url: str
    content: str


class DomainChallenge(BaseModel):
    """Two ways to show control of a domain; either will do."""

    host: str
    dns: DnsChallenge
    file: FileChallenge


class SupportedIdentity(BaseModel):
    """A kind of identity that is taken."""

    identity_type: str
    identity_format: Literal["raw"] = "raw"


class DiscoveryAnswer(BaseModel):
    """What is taken here."""

    api_version: Literal["2.0"] = "2.0"
    supported_identities: list[SupportedIdentity]
    supported_subject_request_types: list[RequestKind]
    processor_certificate: str | None = Field(
        description="For signed answers; null: answers are not signed."
    )
    controller_id: str
    extensions: dict[str, dict[str, Any]]


def receipt_answer(receipt: Receipt, settings: Settings) -> ReceiptAnswer:
    """A receipt as it goes out."""
    where = f"{settings.base_url}/status/{receipt.request_id}/{receipt.secret}"
    return ReceiptAnswer(
        controller_id=settings.controller.id,
        expected_completion_time=receipt.expected,
        received_time=receipt.received,
        subject_request_id=receipt.request_id,
        extensions=ReceiptExtensions(
            lethe=ReceiptExtension(secret=receipt.secret, status_url=where)
        ),
    )


def status_answer(view: StatusView, settings: Settings) -> StatusAnswer:
    """A status as it goes out."""
    standing = view.standing
    by_law = workflow.months_later(standing.received, 1)
    due = standing.due if standing.state in OPEN else None
    return StatusAnswer(
        controller_id=settings.controller.id,
        expected_completion_time=due or by_law,
        received_time=standing.received,
        subject_request_id=view.request_id,
        subject_request_type=view.kind,
        request_status=STATUSES[standing.state],
        extensions=StatusExtensions(
            lethe=StatusExtension(
                state=standing.state,
                contact_confirmed=view.contact_confirmed,
                identities=[
                    IdentityStatus(identity_type=one["kind"], **one) for one in view.identities
                ],
                due=standing.due,
                extended=standing.extended,
                reason=Reason(standing.reason) if standing.reason else None,
                letter=view.letter,
                language=view.language,  # type: ignore[arg-type]
                erased=view.erased,
            )
        ),
    )


def discovery_answer(settings: Settings) -> DiscoveryAnswer:
    """What is taken here."""
    return DiscoveryAnswer(
        supported_identities=[
            SupportedIdentity(identity_type=one) for one in (*IdentifierKind, *OptOutScope)
        ],
        supported_subject_request_types=list(RequestKind),
        processor_certificate=None,
        controller_id=settings.controller.id,
        extensions={
            "lethe": {
                "identity_types": {
                    RequestKind.ERASURE: list(IdentifierKind),
                    RequestKind.RIGHTSHOLDER: list(OptOutScope),
                },
                "audiences": [Audience.PUBLIC, Audience.OPERATORS],
                "languages": list(Language.__args__),  # type: ignore[attr-defined]
                "regulations": ["gdpr", "ccpa", "fadp"],
                "most_identities": settings.limits.identities,
                "most_octets": 256 * 1024,
                "terms": settings.terms,
                "controller": {
                    "name": settings.controller.name,
                    "email": settings.controller.email,
                    "authority": settings.controller.authority,
                    "privacy_notice": settings.controller.privacy_notice,
                },
            }
        },
    )
