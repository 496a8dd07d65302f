"""The page of a request, for whoever has its secret: where it stands, what is awaited, what can be done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from filter_service.errors import NotFound, Refusal
from filter_service.model import FINAL, OPEN, Evidence, EvidenceState, State
from filter_service.outgoing import CHANNELS
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import CHECKED, Sent
from filter_service.pages.site import HEADERS, PAGE, PERSONAL, PageSite, Problem, Site
from filter_service.pages.texts import catalogue
from filter_service.registry import BY_DOMAIN, StatusView
from filter_service.review import MOST_MESSAGE

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_STATUS = "/{language:language}/status/{request_id:uuid}/{secret:secret}"
_DONE = frozenset({"again", "withdrawn", "appealed", "code", "domain", "answered"})
_CODED = frozenset({Evidence.TEXT_MESSAGE, Evidence.LETTER})


class _Unfit(Refusal):
    """Words that cannot be taken; ``str()`` says why, in the language of the page."""


class Step(NamedTuple):
    """One step of a request's life."""

    name: str
    stage: str
    """``done``, ``now`` or ``later``."""
    until: datetime | None = None


_BEFORE = ("sent", "confirmed", "review", "decided")
_TIMELINES = {
    State.UNVERIFIED: (("sent",), "confirmed", ("review", "decided", "published")),
    State.IN_REVIEW: (("sent", "confirmed"), "review", ("decided", "published")),
    State.ACCEPTED: (_BEFORE, "published", ()),
    State.REJECTED: (_BEFORE, "", ()),
    State.APPEALED: (_BEFORE, "appeal", ("published",)),
    State.PUBLISHED: ((*_BEFORE, "published"), "", ()),
    State.OBJECTED: (_BEFORE, "objected", ()),
    State.REMOVAL_DUE: ((*_BEFORE, "published"), "removal", ()),
    State.REMOVED: ((*_BEFORE, "published", "removed"), "", ()),
    State.WITHDRAWN: (("sent", "withdrawn"), "", ()),
    State.EXPIRED: (("sent", "expired"), "", ()),
}


def timeline(view: StatusView) -> list[Step]:
    """What is done, what is going on, what may come."""
    done, now, later = _TIMELINES[view.standing.state]
    steps = [Step(name, "done") for name in done]
    if now:
        steps.append(Step(now, "now", view.standing.due))
    return steps + [Step(name, "later") for name in later]


@router.api_route("/{language:language}/status", methods=PAGE)
def find(request: Request, site: PageSite, language: str) -> Response:
    """How to find the page of one's request."""
    title = catalogue(language)("find.title")
    return site.page(request, "find", language, title, personal=False)


@router.api_route(_STATUS, methods=PAGE)
def status(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, done: str = ""
) -> Response:
    """The page of a request."""
    view = site.registry.status(request_id, secret)
    return _shown(request, site, language, view, secret, done=done if done in _DONE else "")


@router.post(f"{_STATUS}/again")
def again(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, form: Sent
) -> Response:
    """Send a link or code once more."""
    position = _position(form.one("position"))

    def work() -> StatusView:
        return site.registry.send_again(request_id, secret, position)

    return _do(request, site, language, request_id, secret, work, "again", "again")


@router.post(f"{_STATUS}/code")
def code(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, form: Sent
) -> Response:
    """A code that came by text message or letter."""
    site.registry.status(request_id, secret)
    position = _position(form.one("position"))
    digits = "".join(form.one("code").split())

    def work() -> StatusView:
        if position is None:
            raise NotFound
        if not (digits.isascii() and digits.isdigit()):
            raise NotFound("wrong_secret")
        return site.registry.confirm_identity(request_id, position, digits)

    return _do(request, site, language, request_id, secret, work, "code", f"code-{position}")


@router.post(f"{_STATUS}/domain")
def domain(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, form: Sent
) -> Response:
    """Look for a domain's challenge now."""
    site.registry.status(request_id, secret)
    position = _position(form.one("position"))

    def work() -> StatusView:
        if position is None:
            raise NotFound
        return site.service.check_domain(request_id, position)

    return _do(request, site, language, request_id, secret, work, "domain", f"domain-{position}")


@router.post(f"{_STATUS}/appeal")
def appeal(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, form: Sent
) -> Response:
    """Ask for another reviewer."""
    text = form.one("text")

    def work() -> StatusView:
        return site.registry.appeal(request_id, secret, _words(language, text))

    return _do(request, site, language, request_id, secret, work, "appealed", "appeal", text)


@router.post(f"{_STATUS}/answer")
def answer(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str, form: Sent
) -> Response:
    """Say something to an objection."""
    text = form.one("text")

    def work() -> StatusView:
        return site.registry.answer(request_id, secret, _words(language, text))

    return _do(request, site, language, request_id, secret, work, "answered", "answer", text)


@router.api_route(f"{_STATUS}/withdraw", methods=PAGE)
def withdraw_page(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str
) -> Response:
    """What it means to withdraw, and the button."""
    view = site.registry.status(request_id, secret)
    title = catalogue(language)("withdraw.title")
    return site.page(
        request,
        "withdraw",
        language,
        title,
        back=_path(language, view.request_id, secret),
        published=view.standing.published or view.standing.state is State.PUBLISHED,
    )


@router.post(f"{_STATUS}/withdraw", dependencies=[CHECKED])
def withdraw(
    request: Request, site: PageSite, language: str, request_id: UUID, secret: str
) -> Response:
    """Withdraw a request."""

    def work() -> StatusView:
        return site.registry.withdraw(request_id, secret)

    return _do(request, site, language, request_id, secret, work, "withdrawn", "withdraw")


def _do(
    request: Request,
    site: Site,
    language: str,
    request_id: UUID,
    secret: str,
    work: Callable[[], StatusView],
    done: str,
    field: str,
    typed: str = "",
) -> Response:
    """Do something, then show the page of the request: by a GET, so that it can be loaded again."""
    try:
        work()
    except Refusal as error:
        view = site.registry.status(request_id, secret)
        text = catalogue(language).known(f"refusals.{error.code}", "refusals.other")
        if isinstance(error, _Unfit):
            text = str(error)
        problem = Problem(field, text)
        return _shown(request, site, language, view, secret, problem=problem, typed=typed)
    headers = HEADERS | {"Cache-Control": PERSONAL}
    return RedirectResponse(f"{_path(language, request_id, secret)}?done={done}#done", 303, headers)


def _shown(
    request: Request,
    site: Site,
    language: str,
    view: StatusView,
    secret: str,
    *,
    done: str = "",
    problem: Problem | None = None,
    typed: str = "",
) -> Response:
    state = view.standing.state
    now = site.registry.now
    return site.page(
        request,
        "status",
        language,
        catalogue(language)("status.title"),
        status=409 if problem else 200,
        problems=[problem] if problem else [],
        place=f"/status/{view.request_id}/{secret}",
        view=view,
        steps=timeline(view),
        path=_path(language, view.request_id, secret),
        done=done,
        details=[_detail(site, view, one) for one in view.identities],
        may_withdraw=state not in FINAL and state is not State.REMOVAL_DUE,
        may_appeal=state is State.REJECTED
        and view.standing.due is not None
        and now < view.standing.due
        and not view.erased,
        may_confirm=state is State.UNVERIFIED and not view.contact_confirmed and not view.erased,
        may_answer=state is State.OBJECTED and not view.erased,
        typed=typed,
    )


def _detail(site: Site, view: StatusView, one: dict[str, object]) -> dict[str, object]:
    """An identity, and what its owner can do about it now."""
    evidence, state = Evidence(str(one["evidence"])), view.standing.state
    waits = one["evidence_state"] != EvidenceState.CONFIRMED and state in OPEN
    by_domain = evidence in BY_DOMAIN and one["evidence_state"] != EvidenceState.CONFIRMED
    challenge = None
    if by_domain and (state in OPEN or state is State.UNVERIFIED):
        challenge = site.registry.domain_challenge(view.request_id, int(str(one["position"])))
    return one | {
        "waits": waits,
        "may_send": waits and evidence in CHANNELS,
        "may_enter": waits and evidence in _CODED and one["evidence_state"] == EvidenceState.SENT,
        "challenge": challenge,
    }


def _words(language: str, text: str) -> str:
    """What somebody wrote, if it is neither nothing nor too much.

    Raises:
        _Unfit: it is.
    """
    t = catalogue(language)
    if not text:
        raise _Unfit("empty", t("problem.text_empty"))
    if len(text) > MOST_MESSAGE:
        raise _Unfit("too_long", t("problem.message", most=MOST_MESSAGE))
    return text


def _path(language: str, request_id: UUID, secret: str) -> str:
    return f"/{language}/status/{request_id}/{secret}"


def _position(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None
