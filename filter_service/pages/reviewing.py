"""Reviewers sign in, see what waits, and find cases."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from filter_service.errors import NotAllowed, NotFound, Unacceptable
from filter_service.model import RequestKind
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import Form, Sent
from filter_service.pages.rows import KINDS
from filter_service.pages.sessions import Signed
from filter_service.pages.site import HEADERS, PAGE, PERSONAL, PageSite, Problem, Site, site_of
from filter_service.pages.texts import catalogue
from filter_service.store import Case

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HERE = "/review"
SIGN_IN = "/review/sign-in"
LANGUAGE = "en"
PAGE_LENGTH = 25


def signed_in(request: Request) -> Signed:
    """The reviewer who asks.

    Raises:
        HTTPException: nobody is signed in; sends them to where they can.
    """
    found = site_of(request).sessions.of(request.cookies)
    if found is None:
        raise HTTPException(303, headers={"Location": f"{SIGN_IN}?over=1"})
    return found


Reviewer = Annotated[Signed, Depends(signed_in)]


def own_form(reviewer: Reviewer, form: Sent) -> Form:
    """A form of the reviewer's session.

    Raises:
        HTTPException: it bears no token of this session.
    """
    if not hmac.compare_digest(form.one("token").encode(), reviewer.token.encode()):
        raise HTTPException(403)
    return form


OWN = Depends(own_form)
OwnForm = Annotated[Form, OWN]


@router.api_route(SIGN_IN, methods=PAGE)
def sign_in_page(request: Request, site: PageSite, over: str = "") -> Response:
    """The form for a key."""
    return _sign_in(request, site, over=bool(over))


@router.post(SIGN_IN)
def sign_in(request: Request, site: PageSite, form: Sent) -> Response:
    """Begin a session; an old one of this browser ends, so that nobody can have prepared it."""
    site.sessions.end(request.cookies)
    try:
        value = site.sessions.begin(form.one("key"))
    except NotAllowed:
        problem = Problem("key", catalogue(LANGUAGE)("review.wrong_key"))
        return _sign_in(request, site, problems=[problem])
    answer = see(HERE)
    answer.set_cookie(
        site.sessions.cookie,
        value,
        path="/",
        secure=site.sessions.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/review/sign-out", dependencies=[OWN])
def sign_out(request: Request, site: PageSite) -> Response:
    """End the session."""
    site.sessions.end(request.cookies)
    answer = see(SIGN_IN)
    answer.headers["Clear-Site-Data"] = '"cache"'
    answer.delete_cookie(
        site.sessions.cookie,
        path="/",
        secure=site.sessions.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.api_route(HERE, methods=PAGE)
def queue(request: Request, site: PageSite, reviewer: Reviewer, after: str = "") -> Response:
    """What waits, by the day until which it must be decided."""
    return _queue(request, site, reviewer, after=_place(after), later=bool(after))


@router.post("/review/find")
def find(request: Request, site: PageSite, reviewer: Reviewer, form: OwnForm) -> Response:
    """The requests that name an identifier."""
    kind, text = form.one("kind"), form.one("value")
    try:
        found = site.registry.review.find(kind, text, reviewer.actor)
    except Unacceptable as error:
        problem = Problem("value", str(error))
        return _queue(request, site, reviewer, problems=[problem], kind=kind, value=text)
    return _queue(request, site, reviewer, kind=kind, found=found)


@router.post("/review/open")
def open_case(request: Request, site: PageSite, reviewer: Reviewer, form: OwnForm) -> Response:
    """A case by its number."""
    try:
        request_id = UUID(form.one("number"))
        site.registry.store.case(request_id)
    except (ValueError, NotFound):
        problem = Problem("number", catalogue(LANGUAGE)("problem.number"))
        return _queue(request, site, reviewer, problems=[problem])
    return see(f"{HERE}/cases/{request_id}")


def see(path: str) -> Response:
    """Send a browser to a page by a GET."""
    return RedirectResponse(path, 303, HEADERS | {"Cache-Control": PERSONAL})


def _sign_in(
    request: Request, site: Site, *, problems: list[Problem] | None = None, over: bool = False
) -> Response:
    return site.page(
        request,
        "review_sign_in",
        LANGUAGE,
        catalogue(LANGUAGE)("review.title_sign_in"),
        status=422 if problems else 200,
        problems=problems or [],
        place="",
        over=over,
        reviewer=None,
    )


def _queue(
    request: Request,
    site: Site,
    reviewer: Signed,
    *,
    after: tuple[datetime, UUID] | None = None,
    later: bool = False,
    problems: list[Problem] | None = None,
    kind: str = "",
    value: str = "",
    found: list[UUID] | None = None,
) -> Response:
    cases = site.registry.review.queue(PAGE_LENGTH + 1, after)
    more = _mark(cases[PAGE_LENGTH - 1]) if len(cases) > PAGE_LENGTH else None
    now = site.registry.now
    waiting = [
        {"case": case, "days": (case.standing.due - now).days if case.standing.due else None}
        for case in cases[:PAGE_LENGTH]
    ]
    return site.page(
        request,
        "review_queue",
        LANGUAGE,
        catalogue(LANGUAGE)("review.queue"),
        status=422 if problems else 200,
        problems=problems or [],
        place="",
        reviewer=reviewer,
        waiting=waiting,
        more=more,
        later=later,
        kinds=KINDS[RequestKind.ERASURE],
        kind=kind,
        value=value,
        found=found,
    )


def _mark(case: Case) -> str:
    """Where the next page begins, as it stands in an address."""
    assert case.standing.due is not None
    due = case.standing.due.astimezone(UTC)
    return f"{due:%Y%m%dT%H%M%S.%f}_{case.request_id}"


def _place(mark: str) -> tuple[datetime, UUID] | None:
    due, _, request_id = mark.partition("_")
    try:
        return datetime.strptime(due, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), UUID(request_id)
    except ValueError:
        return None
