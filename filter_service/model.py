"""The words of the registry: requests, their states, evidence, reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from filter.identifiers import IdentifierKind

LANGUAGES = ("de", "fr", "it", "rm", "en")


class RequestKind(StrEnum):
    """What a request is about."""

    ERASURE = "erasure"
    """A person asks to have identifiers removed from what models say (GDPR 17; FADP 32)."""
    RIGHTSHOLDER = "rightsholder"
    """A rightsholder opts sites, pages or documents out of the corpus (Directive 2019/790, article 4(3))."""


class State(StrEnum):
    """Where a request stands."""

    UNVERIFIED = "unverified"
    IN_REVIEW = "in_review"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    APPEALED = "appealed"
    PUBLISHED = "published"
    OBJECTED = "objected"
    """A third party says that what is listed is theirs, or of public interest."""
    REMOVAL_DUE = "removal_due"
    """The next release leaves it out."""
    REMOVED = "removed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


FINAL = frozenset({State.REMOVED, State.WITHDRAWN, State.EXPIRED})
OPEN = frozenset({State.IN_REVIEW, State.APPEALED, State.OBJECTED})
"""A reviewer must decide."""


class Audience(StrEnum):
    """Which file may hold an identifier."""

    PUBLIC = "public"
    OPERATORS = "operators"
    CORPUS = "corpus"
    """The opt-out list, for rightsholders."""


class OptOutScope(StrEnum):
    """What a rightsholder may opt out; the scopes of the opt-out list."""

    DOMAIN = "domain"
    SUBDOMAINS = "subdomains"
    URL_PREFIX = "url_prefix"
    URL = "url"
    DOCUMENT_ID = "document_id"
    DATASET = "dataset"


class Evidence(StrEnum):
    """How it is shown that an identifier is the asker's."""

    LINK = "link"
    """A link in an e-mail, confirmed by a POST, because scanners fetch links."""
    TEXT_MESSAGE = "text_message"
    LETTER = "letter"
    IDENTITY_SEEN = "identity_seen"
    """A reviewer saw a document and kept nothing of it."""
    MANDATE = "mandate"
    """An agent showed a mandate of this person."""
    DNS = "dns"
    WELL_KNOWN = "well_known"
    TWO_REVIEWERS = "two_reviewers"


class EvidenceState(StrEnum):
    """How far it has come."""

    NEEDED = "needed"
    SENT = "sent"
    CONFIRMED = "confirmed"


class Reason(StrEnum):
    """Coded reasons of a decision; the upper ones are those of the Data Rights Protocol."""

    SUSPECTED_FRAUD = "suspected_fraud"
    INSUFFICIENT_VERIFICATION = "insuf_verification"
    NO_MATCH = "no_match"
    CLAIM_NOT_COVERED = "claim_not_covered"
    OUTSIDE_JURISDICTION = "outside_jurisdiction"
    TOO_MANY_REQUESTS = "too_many_requests"
    OTHER = "other"
    EXPRESSION = "gdpr_17_3_a"
    """Freedom of expression and information; a public role among them."""
    LEGAL_OBLIGATION = "gdpr_17_3_b"
    PUBLIC_HEALTH = "gdpr_17_3_c"
    ARCHIVING = "gdpr_17_3_d"
    LEGAL_CLAIMS = "gdpr_17_3_e"
    COMPILE_GATE = "compile_gate"
    """The entry would remove more than a person."""
    GRANTED = "granted"
    OBJECTION_UPHELD = "objection_upheld"
    OBJECTION_DISMISSED = "objection_dismissed"
    ASKED_BY_PERSON = "asked_by_person"
    NOT_VERIFIED_IN_TIME = "not_verified_in_time"
    COMPLEX = "complex_or_numerous"
    """GDPR 12(3): why a decision takes longer."""


_BY_KIND = {
    IdentifierKind.EMAIL: Evidence.LINK,
    IdentifierKind.PHONE: Evidence.TEXT_MESSAGE,
    IdentifierKind.POSTAL_ADDRESS: Evidence.LETTER,
}
_SITES = (OptOutScope.DOMAIN, OptOutScope.SUBDOMAINS, OptOutScope.URL, OptOutScope.URL_PREFIX)


def evidence_for(request: RequestKind, kind: str) -> Evidence:
    """How an identifier, or what a rightsholder opts out, is shown to be the asker's."""
    if request is RequestKind.RIGHTSHOLDER:
        return Evidence.DNS if kind in _SITES else Evidence.TWO_REVIEWERS
    return _BY_KIND.get(IdentifierKind(kind), Evidence.IDENTITY_SEEN)


@dataclass(repr=False)
class Identity:
    """One identifier of a request, or one thing that a rightsholder opts out."""

    kind: str
    text: str
    """As the person wrote it."""
    canonical: list[str]
    audience: str
    evidence: str
    evidence_state: str = EvidenceState.NEEDED
    secret: dict[str, Any] | None = None
    """A one-time secret that is on its way, hashed."""
    outcome: str | None = None
    """``accepted`` or ``refused``."""
    reason: str | None = None
    note: str = ""
    """A reviewer's reason in words."""


@dataclass(repr=False)
class CaseFile:
    """What is known of a request; sealed as one record, erased with one key."""

    identities: list[Identity]
    email: str | None
    """Where answers go."""
    contact_state: str = EvidenceState.NEEDED
    contact_secret: dict[str, Any] | None = None
    digest: str = ""
    """Of the submission, so that a repetition is told from another request of the same id."""
    regulation: str = "gdpr"
    agent: str | None = None
    """Id of the machine key of an agent who hands in for somebody."""
    message: str = ""
    callbacks: list[str] = field(default_factory=list)
    letter: str = ""
    """The reviewer's words in the last decision."""
    appeal: str = ""
    objections: list[str] = field(default_factory=list)
    answer: str = ""
    """What the asker says to an objection."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """From JSON."""
        identities = [Identity(**one) for one in fields.pop("identities")]
        return cls(identities=identities, **fields)


@dataclass(frozen=True)
class Standing:
    """What of a request is no secret: where it stands, and until when."""

    state: State
    received: datetime
    due: datetime | None
    extended: bool = False
    first_reviewer: str | None = None
    """Who approved first, where two must."""
    decided_by: str | None = None
    reason: str | None = None
    published: bool = False
    """Whether something of it is in a release that is out, or may be any moment."""
