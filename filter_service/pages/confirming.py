"""Links and codes that show whose an address is. Mail scanners open links, so each leads to a button."""

from __future__ import annotations

import hmac
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from filter_service.errors import NotFound, Refusal, TooMany, WrongState
from filter_service.model import Evidence, EvidenceState
from filter_service.pages import languages
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import CHECKED, Sent
from filter_service.pages.site import HEADERS, PAGE, PERSONAL, PageSite, Problem, Site
from filter_service.pages.texts import catalogue
from filter_service.store import Case

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_CODED = frozenset({Evidence.TEXT_MESSAGE, Evidence.LETTER})
_DIGITS = 8
_GENERATIONS = 100
"""Links to one address that are known again; one a day goes out at most."""


@router.api_route("/confirm/{request_id:uuid}/{token:secret}", methods=PAGE)
def short_contact(request: Request, site: PageSite, request_id: UUID, token: str) -> Response:
    """A link as it stands in an e-mail, without a language."""
    language = _language(request, site, request_id, token, None)
    return _redirect(f"/{language}/confirm/{request_id}/{token}")


@router.api_route("/confirm/{request_id:uuid}/{position:int}/{token:secret}", methods=PAGE)
def short_identity(
    request: Request, site: PageSite, request_id: UUID, position: int, token: str
) -> Response:
    """The same for an identifier."""
    language = _language(request, site, request_id, token, position)
    return _redirect(f"/{language}/confirm/{request_id}/{position}/{token}")


@router.api_route("/status/{request_id:uuid}/{secret:secret}", methods=PAGE)
def short_status(request: Request, site: PageSite, request_id: UUID, secret: str) -> Response:
    """The page of a request, without a language."""
    try:
        language = site.registry.status(request_id, secret).language
    except NotFound:
        language = _asked(request)
    return _redirect(f"/{language}/status/{request_id}/{secret}")


@router.api_route("/status/{request_id:uuid}", methods=PAGE)
def short_code(request: Request, request_id: UUID) -> Response:
    """The address that stands in a letter beside a code."""
    return _redirect(f"/{_asked(request)}/status/{request_id}")


@router.api_route("/operators/{access_id:uuid}/{token:secret}", methods=PAGE)
def short_operator(request: Request, access_id: UUID, token: str) -> Response:
    """An operator's link, without a language."""
    return _redirect(f"/{_asked(request)}/operators/{access_id}/{token}")


@router.api_route("/{language:language}/confirm/{request_id:uuid}/{token:secret}", methods=PAGE)
def contact_page(request: Request, site: PageSite, language: str) -> Response:
    """The button that confirms a request; the same for any number and token."""
    return _page(request, site, language, "request")


@router.post(
    "/{language:language}/confirm/{request_id:uuid}/{token:secret}", dependencies=[CHECKED]
)
def contact_confirmed(
    request: Request, site: PageSite, language: str, request_id: UUID, token: str
) -> Response:
    """It was pressed."""
    view = site.registry.confirm_contact(request_id, token)
    # Whoever has the contact address gets the link of the status page by e-mail in any case.
    link = f"/{language}/status/{request_id}/{site.registry.store.token('status', request_id)}"
    t = catalogue(language)
    done = t("confirm.done_request", due=t.day(view.standing.due))
    return _done(request, site, language, done, link)


@router.api_route(
    "/{language:language}/confirm/{request_id:uuid}/{position:int}/{token:secret}", methods=PAGE
)
def identity_page(request: Request, site: PageSite, language: str) -> Response:
    """The button that confirms an address."""
    return _page(request, site, language, "identity")


@router.post(
    "/{language:language}/confirm/{request_id:uuid}/{position:int}/{token:secret}",
    dependencies=[CHECKED],
)
def identity_confirmed(
    request: Request,
    site: PageSite,
    language: str,
    request_id: UUID,
    position: int,
    token: str,
) -> Response:
    """It was pressed; nothing else of the request is shown, which may be somebody else's."""
    case = site.registry.store.case(request_id)
    # Checked here as well, so that nobody can use up the attempts of somebody else's link.
    if not _was_sent(site, case, position, token):
        raise NotFound
    site.registry.confirm_identity(request_id, position, token)
    return _done(request, site, language, catalogue(language)("confirm.done_identity"), None)


@router.api_route("/{language:language}/code", methods=PAGE)
def code_page(request: Request, site: PageSite, language: str) -> Response:
    """The form for codes from letters and text messages."""
    return _code(request, site, language, "", [])


@router.api_route("/{language:language}/status/{request_id:uuid}", methods=PAGE)
def code_page_of(request: Request, site: PageSite, language: str, request_id: UUID) -> Response:
    """The same with the number filled in; for any number, known or not."""
    return _code(request, site, language, str(request_id), [])


@router.post("/{language:language}/code")
def code_sent(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """A code; whether a number is unknown or a code is wrong cannot be told from the answer."""
    t = catalogue(language)
    number, code = form.one("number"), "".join(form.one("code").split())
    problems = []
    try:
        request_id = UUID(number)
    except ValueError:
        request_id = None
        problems.append(Problem("number", t("problem.number")))
    if not (code.isascii() and code.isdigit() and len(code) == _DIGITS):
        problems.append(Problem("code", t("problem.code")))
    if request_id is None or problems:
        return _code(request, site, language, number, problems)
    if not _code_is_right(site, request_id, code):
        wrong = Problem("code", t("refusals.wrong_secret"))
        return _code(request, site, language, number, [wrong])
    return _done(
        request, site, language, t("code.done"), None, title=t("code.done_title"), place="/code"
    )


def _code_is_right(site: Site, request_id: UUID, code: str) -> bool:
    try:
        identities = site.registry.store.case(request_id).opened().identities
    except NotFound:
        return False
    for position, one in enumerate(identities):
        waits = one.evidence_state == EvidenceState.SENT and Evidence(one.evidence) in _CODED
        try:
            if waits:
                site.registry.confirm_identity(request_id, position, code)
                return True
        except (NotFound, TooMany, WrongState):
            continue
    return False


def _page(request: Request, site: Site, language: str, what: str) -> Response:
    t = catalogue(language)
    return site.page(request, "confirm", language, t("confirm.title"), what=what)


def _done(
    request: Request,
    site: Site,
    language: str,
    done: str,
    link: str | None,
    *,
    title: str | None = None,
    place: str | None = None,
) -> Response:
    t = catalogue(language)
    title = title or t("confirm.done_title")
    return site.page(request, "confirmed", language, title, done=done, link=link, place=place)


def _code(
    request: Request, site: Site, language: str, number: str, problems: list[Problem]
) -> Response:
    return site.page(
        request,
        "code",
        language,
        catalogue(language)("code.title"),
        status=422 if problems else 200,
        problems=problems,
        number=number,
    )


def _language(
    request: Request, site: Site, request_id: UUID, token: str, position: int | None
) -> str:
    """The language of a request for whoever has its token; what the browser asks for, for all others."""
    store = site.registry.store
    try:
        case = store.case(request_id)
        file = case.opened()
        if position is None:
            generation = (file.contact_secret or {})["generation"]
            expected = store.token("contact", request_id, generation)
            matches = hmac.compare_digest(expected, token)
        else:
            matches = _was_sent(site, case, position, token)
    except (Refusal, KeyError):
        return _asked(request)
    return case.language if matches else _asked(request)


def _was_sent(site: Site, case: Case, position: int, token: str) -> bool:
    """Whether a link with this token was sent to an address, be it an earlier one that no longer confirms."""
    identities = case.opened().identities
    if position >= len(identities) or identities[position].evidence != Evidence.LINK:
        return False
    return any(
        hmac.compare_digest(
            site.registry.store.token("identity", case.request_id, position, generation), token
        )
        for generation in range(1, _GENERATIONS)
    )


def _asked(request: Request) -> str:
    return languages.preferred(request.headers.get("accept-language", ""))


def _redirect(path: str) -> RedirectResponse:
    headers = HEADERS | {"Cache-Control": PERSONAL, "Vary": "Accept-Language"}
    return RedirectResponse(path, 307, headers)
