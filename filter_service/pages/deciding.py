"""One case, and what a reviewer may do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from filter.identifiers import PHRASES
from filter_service.errors import Refusal
from filter_service.model import OPEN, EvidenceState, Identity, Reason, RequestKind, State
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import Form
from filter_service.pages.history import history
from filter_service.pages.previews import Shown, shown
from filter_service.pages.reviewing import HERE, LANGUAGE, OWN, OwnForm, Reviewer, see
from filter_service.pages.sessions import Signed
from filter_service.pages.site import PAGE, PageSite, Problem, Site
from filter_service.pages.texts import catalogue
from filter_service.review import MOST_MESSAGE, Outcome
from filter_service.store import Case

router = APIRouter(route_class=PageRoute, include_in_schema=False)
CASE = HERE + "/cases/{request_id:uuid}"
REFUSALS = (
    Reason.INSUFFICIENT_VERIFICATION,
    Reason.EXPRESSION,
    Reason.COMPILE_GATE,
    Reason.SUSPECTED_FRAUD,
    Reason.NO_MATCH,
    Reason.CLAIM_NOT_COVERED,
    Reason.OUTSIDE_JURISDICTION,
    Reason.TOO_MANY_REQUESTS,
    Reason.LEGAL_OBLIGATION,
    Reason.PUBLIC_HEALTH,
    Reason.ARCHIVING,
    Reason.LEGAL_CLAIMS,
    Reason.OTHER,
)
"""What may be given as the reason of a refusal."""
_OBJECTABLE = frozenset({State.ACCEPTED, State.PUBLISHED})
_DONE = frozenset({"decided", "approved", "extended", "objected"})


class Typed(NamedTuple):
    """What a reviewer entered for one identity."""

    decision: str = ""
    reason: str = ""
    note: str = ""
    seen: bool = False

    def outcome(self, position: int) -> Outcome:
        """As a decision."""
        accepted = self.decision == "accept"
        reason = Reason.GRANTED if accepted else _reason(self.reason)
        return Outcome(position, accepted, reason, self.note, self.seen)


class Looked(NamedTuple):
    """An identity as a reviewer sees it."""

    position: int
    identity: Identity
    preview: Shown | None
    typed: Typed


@router.api_route(CASE, methods=PAGE)
def case_page(
    request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID, done: str = ""
) -> Response:
    """A whole case; that it was read is written down."""
    return _case(request, site, reviewer, request_id, done=done if done in _DONE else "")


@router.post(f"{CASE}/decide")
def decide(
    request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID, form: OwnForm
) -> Response:
    """Accept or refuse, identity by identity."""
    identities = site.registry.store.case(request_id).opened().identities
    typed = [_typed(form, position) for position in range(len(identities))]
    t = catalogue(LANGUAGE)
    problems = [
        Problem(f"accept-{position}", t("review.incomplete", number=position + 1))
        for position, one in enumerate(typed)
        if one.decision not in {"accept", "refuse"}
    ]
    version = form.one("version")
    if not (version.isascii() and version.isdigit()):
        problems.append(Problem("decide", t("review.no_version")))
    if problems:
        return _case(request, site, reviewer, request_id, problems=problems, typed=typed, form=form)
    before = site.registry.store.case(request_id).standing.state
    try:
        standing = site.registry.review.decide(
            request_id,
            reviewer.reviewer,
            [one.outcome(position) for position, one in enumerate(typed)],
            form.one("letter"),
            int(version),
        )
    except Refusal as error:
        problem = Problem("decide", str(error))
        return _case(
            request, site, reviewer, request_id, problems=[problem], typed=typed, form=form
        )
    done = "approved" if standing.state is before else "decided"
    return see(f"{HERE}/cases/{request_id}?done={done}#done")


@router.post(f"{CASE}/extend")
def extend(
    request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID, form: OwnForm
) -> Response:
    """Take two months more (GDPR 12(3))."""
    return _do(
        request,
        site,
        reviewer,
        request_id,
        lambda: site.registry.review.extend(
            request_id, reviewer.reviewer, Reason.COMPLEX, form.one("words")
        ),
        "extended",
        "extend",
    )


@router.post(f"{CASE}/object")
def objection(
    request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID, form: OwnForm
) -> Response:
    """Enter a third party's objection."""
    text = form.one("text")
    if not text:
        problem = Problem("object", catalogue(LANGUAGE)("problem.text_empty"))
        return _case(request, site, reviewer, request_id, problems=[problem])
    return _do(
        request,
        site,
        reviewer,
        request_id,
        lambda: site.registry.review.object(request_id, text, reviewer.actor),
        "objected",
        "object",
    )


@router.post(f"{CASE}/objection")
def decide_objection(
    request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID, form: OwnForm
) -> Response:
    """Decide about it."""
    decision = form.one("decision")
    if decision not in {"upheld", "dismissed"}:
        problem = Problem("upheld", catalogue(LANGUAGE)("review.incomplete", number=1))
        return _case(request, site, reviewer, request_id, problems=[problem], form=form)
    return _do(
        request,
        site,
        reviewer,
        request_id,
        lambda: site.registry.review.decide_objection(
            request_id, reviewer.reviewer, upheld=decision == "upheld", letter=form.one("letter")
        ),
        "decided",
        "upheld",
    )


@router.api_route(f"{CASE}/erase", methods=PAGE)
def erase_page(request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID) -> Response:
    """What erasing means, and the button."""
    site.registry.store.case(request_id)
    return _erase(request, site, reviewer, request_id, [])


@router.post(f"{CASE}/erase", dependencies=[OWN])
def erase(request: Request, site: PageSite, reviewer: Reviewer, request_id: UUID) -> Response:
    """Erase the case file for good."""
    try:
        site.registry.review.erase(request_id, reviewer.actor)
    except Refusal as error:
        return _erase(request, site, reviewer, request_id, [Problem("erase", str(error))])
    return see(f"{HERE}/cases/{request_id}")


def _do(
    request: Request,
    site: Site,
    reviewer: Signed,
    request_id: UUID,
    work: Callable[[], object],
    done: str,
    field: str,
) -> Response:
    try:
        work()
    except Refusal as error:
        problem = Problem(field, str(error))
        return _case(request, site, reviewer, request_id, problems=[problem])
    return see(f"{HERE}/cases/{request_id}?done={done}#done")


def _erase(
    request: Request, site: Site, reviewer: Signed, request_id: UUID, problems: list[Problem]
) -> Response:
    return site.page(
        request,
        "review_erase",
        LANGUAGE,
        catalogue(LANGUAGE)("review.erase_ask"),
        status=409 if problems else 200,
        problems=problems,
        place="",
        reviewer=reviewer,
        request_id=request_id,
    )


def _case(
    request: Request,
    site: Site,
    reviewer: Signed,
    request_id: UUID,
    *,
    done: str = "",
    problems: list[Problem] | None = None,
    typed: list[Typed] | None = None,
    form: Form | None = None,
) -> Response:
    case = site.registry.review.read_case(request_id, reviewer.actor)
    state = case.standing.state
    identities = case.file.identities if case.file else []
    if typed is None or len(typed) != len(identities):
        typed = [Typed()] * len(identities)  # a second reviewer decides anew, too
    looked = [
        Looked(position, one, _preview(site, case, one), typed[position])
        for position, one in enumerate(identities)
    ]
    barred = state is not State.IN_REVIEW and case.standing.decided_by == reviewer.reviewer
    return site.page(
        request,
        "review_case",
        LANGUAGE,
        f"{catalogue(LANGUAGE)('review.case')} {str(request_id)[:8]}",
        status=409 if problems else 200,
        problems=problems or [],
        place="",
        reviewer=reviewer,
        case=case,
        looked=looked,
        deeds=history(site.registry, request_id),
        done=done,
        letter=form.one("letter") if form else "",
        refusals=REFUSALS,
        is_person=case.kind is RequestKind.ERASURE,
        undecided=state in {State.IN_REVIEW, State.APPEALED} and case.file is not None,
        is_objected=state is State.OBJECTED and case.file is not None,
        may_extend=state in OPEN and not case.standing.extended and case.file is not None,
        may_object=state in _OBJECTABLE and case.file is not None,
        may_erase=state not in OPEN and case.file is not None,
        approved_first=case.standing.first_reviewer == reviewer.reviewer,
        is_second=case.standing.first_reviewer is not None,
        needs_two=any(_needs_two(case.kind, one) for one in identities),
        barred=barred and state in OPEN,
        most_message=MOST_MESSAGE,
    )


def _needs_two(kind: RequestKind, one: Identity) -> bool:
    """Whether two reviewers must accept an identity; the registry decides, this only says so before."""
    if kind is RequestKind.RIGHTSHOLDER:
        return one.evidence_state != EvidenceState.CONFIRMED
    return one.kind in PHRASES


def _preview(site: Site, case: Case, one: Identity) -> Shown | None:
    if case.kind is not RequestKind.ERASURE:
        return None
    return shown(site.service, one.kind, one.text)


def _typed(form: Form, position: int) -> Typed:
    return Typed(
        form.one(f"decision-{position}"),
        form.one(f"reason-{position}"),
        form.one(f"note-{position}"),
        form.one(f"seen-{position}") == "yes",
    )


def _reason(text: str) -> Reason:
    """A reason for a refusal; the registry refuses `GRANTED`, which stands for none."""
    try:
        reason = Reason(text)
    except ValueError:
        return Reason.GRANTED
    return reason if reason in REFUSALS else Reason.GRANTED
