"""The two forms: for persons, and for rightsholders. Fill in, check, send.

Each step is the form sent once more, for nothing is kept until the last one. That goes to a path of its own, so
that those who count what is written need not count rows that are added to a form.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import Response

from filter_service.errors import Conflict, Refusal
from filter_service.model import RequestKind, evidence_for
from filter_service.pages import explained, previews
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import Sent
from filter_service.pages.rows import KINDS, Draft, Row
from filter_service.pages.site import PAGE, PageSite, Problem, Site, Switch
from filter_service.pages.texts import catalogue
from filter_service.review import MOST_MESSAGE
from filter_service.workflow import UNVERIFIED_DAYS

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PLACES = {RequestKind.ERASURE: "/request", RequestKind.RIGHTSHOLDER: "/rightsholders"}
_TABLES = {RequestKind.ERASURE: "request", RequestKind.RIGHTSHOLDER: "rightsholders"}
_FORM = "request"
_ADD, _REMOVE, _EDIT, _CHECK, _SEND = "add", "remove-", "edit", "check", "/send"


@router.api_route("/{language:language}/request", methods=PAGE)
def request_form(request: Request, site: PageSite, language: str) -> Response:
    """The form for persons."""
    return _form(request, site, language, Draft.new(RequestKind.ERASURE, language))


@router.post("/{language:language}/request")
def request_sent(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """A step of it."""
    return _step(request, site, language, RequestKind.ERASURE, form.one("do"), form)


@router.post("/{language:language}/request/send")
def request_done(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """The last step."""
    return _last(request, site, language, RequestKind.ERASURE, form)


@router.api_route("/{language:language}/rightsholders", methods=PAGE)
def rightsholders_form(request: Request, site: PageSite, language: str) -> Response:
    """The form for rightsholders."""
    return _form(request, site, language, Draft.new(RequestKind.RIGHTSHOLDER, language))


@router.post("/{language:language}/rightsholders")
def rightsholders_sent(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """A step of it."""
    return _step(request, site, language, RequestKind.RIGHTSHOLDER, form.one("do"), form)


@router.post("/{language:language}/rightsholders/send")
def rightsholders_done(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """The last step."""
    return _last(request, site, language, RequestKind.RIGHTSHOLDER, form)


def _step(
    request: Request, site: Site, language: str, kind: RequestKind, do: str, form: Sent
) -> Response:
    draft = Draft.read(kind, form, language)
    if do == _ADD:
        rows = [*draft.rows, Row()]
        return _form(request, site, language, replace(draft, rows=rows), focus=len(rows))
    if do.startswith(_REMOVE):
        left = [row for n, row in enumerate(draft.rows, 1) if str(n) != do.removeprefix(_REMOVE)]
        rows = left or [Row()]
        return _form(request, site, language, replace(draft, rows=rows), focus=len(rows))
    if do == _EDIT:
        return _form(request, site, language, replace(draft, rows=draft.rows or [Row()]))
    draft, problems = _complete(site, language, draft)
    if problems:
        return _form(request, site, language, draft, problems)
    return _check(request, site, language, draft)


def _last(request: Request, site: Site, language: str, kind: RequestKind, form: Sent) -> Response:
    draft, problems = _complete(site, language, Draft.read(kind, form, language))
    if problems:
        return _form(request, site, language, draft, problems)
    return _sent(request, site, language, draft)


def _complete(site: Site, language: str, draft: Draft) -> tuple[Draft, list[Problem]]:
    """A form without the rows that were added and left empty, and what is wrong with it."""
    kept = replace(draft, rows=[row for row in draft.rows if row.value or row.kind])
    problems = kept.problems(catalogue(language), site.settings)
    return replace(kept, rows=kept.rows or [Row()]), problems


def _form(
    request: Request,
    site: Site,
    language: str,
    draft: Draft,
    problems: list[Problem] | None = None,
    focus: int = 0,
) -> Response:
    t = catalogue(language)
    return site.page(
        request,
        "request_form",
        language,
        t(f"{_TABLES[draft.kind]}.title"),
        status=422 if problems else 200,
        problems=problems or [],
        place=PLACES[draft.kind],
        switch=Switch(_FORM, PLACES[draft.kind], _EDIT),
        draft=draft,
        table=_TABLES[draft.kind],
        is_person=draft.kind is RequestKind.ERASURE,
        kinds=KINDS[draft.kind],
        groups=explained.GROUPS,
        price=explained.price,
        focus=focus,
        most_message=MOST_MESSAGE,
    )


def _check(
    request: Request, site: Site, language: str, draft: Draft, problems: list[Problem] | None = None
) -> Response:
    t = catalogue(language)
    is_person = draft.kind is RequestKind.ERASURE
    place = PLACES[draft.kind]
    shown = [
        {
            "row": row,
            "name": t(f"kinds.{row.kind}.name" if is_person else f"scopes.{row.kind}"),
            "file": row.audience or explained.usual_file(row.kind) if is_person else "corpus",
            "evidence": evidence_for(draft.kind, row.kind).value,
            "preview": previews.shown(
                site.service, row.kind, row.value, spelt=number < previews.SPELT
            )
            if is_person
            else None,
        }
        for number, row in enumerate(draft.rows)
    ]
    return site.page(
        request,
        "request_check",
        language,
        t("check.title"),
        status=409 if problems else 200,
        problems=problems or [],
        place=place,
        switch=Switch(_FORM, place, _CHECK),
        draft=draft,
        table=_TABLES[draft.kind],
        is_person=is_person,
        shown=shown,
        doubt=explained.doubt,
    )


def _sent(request: Request, site: Site, language: str, draft: Draft) -> Response:
    t = catalogue(language)
    try:
        receipt = site.registry.submit(draft.submission())
    except Conflict as error:
        again = replace(draft, request_id=uuid4())
        text = t.known(f"refusals.{error.code}", "refusals.other")
        return _check(request, site, language, again, [Problem("send", text)])
    except Refusal as error:
        text = t.known(f"refusals.{error.code}", "refusals.other")
        return _check(request, site, language, draft, [Problem("send", text)])
    path = f"/{language}/status/{receipt.request_id}/{receipt.secret}"
    return site.page(
        request,
        "receipt",
        language,
        t("receipt.title"),
        place=PLACES[draft.kind],
        switch=Switch(_FORM, PLACES[draft.kind] + _SEND, ""),
        draft=draft,
        receipt=receipt,
        link=path,
        address=f"{site.settings.base_url.rstrip('/')}{path}",
        days=UNVERIFIED_DAYS,
    )
