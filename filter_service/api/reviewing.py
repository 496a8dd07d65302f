"""What reviewers do, with a key for it: read the queue and cases, decide, extend, erase.

A case is read as a whole and each reading is written down; the queue shows nothing that is personal.
A decision names the version of the case that the reviewer saw (``If-Match``), so nobody decides about
what somebody else has changed meanwhile.
"""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from filter.errors import InputError
from filter_service.api import cursors, document
from filter_service.api.authority import Behind, Reviewer
from filter_service.api.bodies import json_body, takes
from filter_service.api.cases import (
    CaseView,
    DecisionForm,
    ExtensionForm,
    Found,
    IdentifierForm,
    ObjectionDecisionForm,
    Queue,
    StandingAnswer,
    TrailHead,
    case_view,
    outcomes,
    queue_item,
    standing_answer,
)
from filter_service.api.opendsr import WordsForm
from filter_service.api.parameters import RequestId
from filter_service.errors import Refusal, Unacceptable
from filter_service.model import Reason

router = APIRouter(prefix="/v1", tags=["review"])
_QUEUE = "/review/queue"
_ONE = "/review/requests/{request_id}"
_ETAG = {"ETag": "The version of the case."}
_KEY = document.needs("reviewer")


@router.get(
    _QUEUE, response_model=Queue, responses=document.problems(401, 403, 422), openapi_extra=_KEY
)
def queue(
    service: Behind,
    _: Reviewer,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=cursors.CURSOR)] = None,
) -> Queue:
    """Requests that wait for a reviewer, by the day until which they must be decided."""
    registry = service.registry
    digest = registry.store.keyed_digest
    after = cursors.place(cursor, digest) if cursor is not None else None
    cases = registry.review.queue(limit + 1, after)
    following = None
    if len(cases) > limit:
        last = cases[limit - 1]
        assert last.standing.due is not None
        following = cursors.cursor(last.standing.due, last.request_id, digest)
    now = registry.now
    return Queue(items=[queue_item(case, now) for case in cases[:limit]], next=following)


@router.get(
    _ONE,
    response_model=CaseView,
    responses=document.answers(200, CaseView, "The case.", headers=_ETAG)
    | document.problems(401, 403, 404),
    openapi_extra=_KEY,
)
def read(
    service: Behind, response: Response, request_id: RequestId, reviewer: Reviewer
) -> CaseView:
    """A whole case; that it was read is written down."""
    case = service.registry.review.read_case(request_id, f"reviewer:{reviewer}")
    response.headers["ETag"] = f'"{case.version}"'
    return case_view(case)


@router.post(
    _ONE + "/decisions",
    response_model=StandingAnswer,
    responses=document.answers(200, StandingAnswer, "Where it stands now.", headers=_ETAG)
    | document.problems(401, 403, 404, 409, 412, 422, 428),
    openapi_extra=takes(DecisionForm) | _KEY,
)
def decide(
    service: Behind,
    response: Response,
    request_id: RequestId,
    reviewer: Reviewer,
    form: Annotated[DecisionForm, Depends(json_body(DecisionForm))],
    if_match: Annotated[str, Header(pattern='^"[0-9]{1,9}"$')],
) -> StandingAnswer:
    """Accept some or all identities of a request, or refuse it.

    Where two reviewers must agree, the first one leaves it ``in_review`` with ``first_reviewer``.
    ``If-Match`` is needed: the ``ETag`` of the case as it was read.
    """
    version = int(if_match.strip('"'))
    standing = service.registry.review.decide(
        request_id, reviewer, outcomes(form), form.letter, version
    )
    response.headers["ETag"] = f'"{version + 1}"'
    return standing_answer(request_id, standing)


@router.post(
    _ONE + "/extensions",
    response_model=StandingAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=takes(ExtensionForm) | _KEY,
)
def extend(
    service: Behind,
    request_id: RequestId,
    reviewer: Reviewer,
    form: Annotated[ExtensionForm, Depends(json_body(ExtensionForm))],
) -> StandingAnswer:
    """Take two months more, once, and tell the asker why (GDPR 12(3))."""
    review = service.registry.review
    return standing_answer(
        request_id, review.extend(request_id, reviewer, Reason.COMPLEX, form.words)
    )


@router.post(
    _ONE + "/objections",
    response_model=StandingAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=takes(WordsForm) | _KEY,
)
def object_to(
    service: Behind,
    request_id: RequestId,
    reviewer: Reviewer,
    form: Annotated[WordsForm, Depends(json_body(WordsForm))],
) -> StandingAnswer:
    """Enter the objection of a third party to what is listed."""
    standing = service.registry.review.object(request_id, form.text, f"reviewer:{reviewer}")
    return standing_answer(request_id, standing)


@router.post(
    _ONE + "/objection-decisions",
    response_model=StandingAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=takes(ObjectionDecisionForm) | _KEY,
)
def decide_objection(
    service: Behind,
    request_id: RequestId,
    reviewer: Reviewer,
    form: Annotated[ObjectionDecisionForm, Depends(json_body(ObjectionDecisionForm))],
) -> StandingAnswer:
    """Decide about an objection; by another reviewer than who had accepted."""
    standing = service.registry.review.decide_objection(
        request_id, reviewer, upheld=form.upheld, letter=form.letter
    )
    return standing_answer(request_id, standing)


@router.post(
    _ONE + "/withdrawals",
    response_model=StandingAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=_KEY,
)
def withdraw(service: Behind, request_id: RequestId, reviewer: Reviewer) -> StandingAnswer:
    """Take a request back for somebody who lost its secret, and was identified otherwise."""
    standing = service.registry.review.withdraw(request_id, f"reviewer:{reviewer}")
    return standing_answer(request_id, standing)


@router.post(
    _ONE + "/erasures",
    status_code=204,
    response_class=Response,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=_KEY,
)
def erase(service: Behind, request_id: RequestId, reviewer: Reviewer) -> None:
    """Erase a case file for good; what is listed stays until it is withdrawn."""
    service.registry.review.erase(request_id, f"reviewer:{reviewer}")


@router.post(
    "/review/lookups",
    response_model=Found,
    responses=document.problems(401, 403, 422),
    openapi_extra=takes(IdentifierForm) | _KEY,
)
def look_up(
    service: Behind,
    reviewer: Reviewer,
    form: Annotated[IdentifierForm, Depends(json_body(IdentifierForm))],
) -> Found:
    """The requests that name an identifier; that somebody looked is written down, not for what."""
    review = service.registry.review
    kind, text = form.identity_type.value, form.identity_value
    return Found(requests=review.find(kind, text, f"reviewer:{reviewer}"))


@router.post(
    "/review/previews",
    response_model=dict[str, Any],
    responses=document.problems(401, 403, 422),
    openapi_extra=takes(IdentifierForm) | _KEY,
)
async def preview(
    request: Request,
    service: Behind,
    _: Reviewer,
    form: Annotated[IdentifierForm, Depends(json_body(IdentifierForm))],
) -> dict[str, Any]:
    """What listing an identifier would catch, and what harm it would do; nothing is written down."""
    kind, text = form.identity_type.value, form.identity_value

    def made() -> dict[str, Any]:
        try:
            return service.preview(kind, text)
        except Refusal:
            raise
        except InputError as error:
            raise Unacceptable("malformed_identity", str(error)) from None

    return await anyio.to_thread.run_sync(made, limiter=request.app.state.slow)


@router.get(
    "/audit/head",
    response_model=TrailHead,
    responses=document.problems(401, 403),
    openapi_extra=_KEY,
)
async def audit_head(service: Behind, _: Reviewer) -> TrailHead:
    """Where the audit trail ends now: its length, and the hash that all of it leads to."""
    head = service.registry.database.head
    return TrailHead(length=head.length, digest=head.digest.hex())
