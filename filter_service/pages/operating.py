"""Pages for operators of models: terms, registration, the key that is shown once."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from filter_service.access import MOST_NAME
from filter_service.errors import Unacceptable
from filter_service.pages.errors import PageRoute
from filter_service.pages.forms import CHECKED, Form, Sent
from filter_service.pages.site import PAGE, PageSite, Problem, Site
from filter_service.pages.texts import catalogue

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TERMS = "2026-07"
"""The version of the terms that the catalogues hold."""
LINK_DAYS = 7
_PROBLEMS = {"organisation": "organisation", "terms": "agreed"}


@router.api_route("/{language:language}/operators", methods=PAGE)
def operators(request: Request, site: PageSite, language: str) -> Response:
    """The terms and the form."""
    return _form(request, site, language, Form(), [])


@router.post("/{language:language}/operators")
def register(request: Request, site: PageSite, language: str, form: Sent) -> Response:
    """Ask for a key."""
    t = catalogue(language)
    organisation, email = form.one("organisation"), form.one("email")
    problems = []
    if not 0 < len(organisation) <= MOST_NAME or not organisation.isprintable():
        problems.append(Problem("organisation", t("problem.organisation")))
    if form.one("agreed") != "yes":
        problems.append(Problem("agreed", t("problem.terms")))
    if not problems:
        try:
            site.registry.access.register_operator(
                organisation, email, form.one("version"), language
            )
        except Unacceptable as error:
            field = _PROBLEMS.get(error.code, "email")
            key = {"organisation": "organisation", "agreed": "terms"}.get(field, "email")
            problems.append(Problem(field, t(f"problem.{key}")))
    if problems:
        return _form(request, site, language, form, problems)
    return site.page(request, "operators_sent", language, t("operators.sent_title"), days=LINK_DAYS)


@router.api_route("/{language:language}/operators/{access_id:uuid}/{token:secret}", methods=PAGE)
def confirm_page(request: Request, site: PageSite, language: str) -> Response:
    """The button that shows the key; the same for any id and token."""
    title = catalogue(language)("operators.confirm_title")
    return site.page(request, "operators_confirm", language, title)


@router.post(
    "/{language:language}/operators/{access_id:uuid}/{token:secret}", dependencies=[CHECKED]
)
def confirmed(
    request: Request, site: PageSite, language: str, access_id: UUID, token: str
) -> Response:
    """The key, only now; so this page does not exist in another language."""
    key = site.registry.access.confirm_operator(access_id, token)
    title = catalogue(language)("operators.key_title")
    return site.page(request, "operators_key", language, title, key=key, place="")


def _form(
    request: Request, site: Site, language: str, form: Form, problems: list[Problem]
) -> Response:
    return site.page(
        request,
        "operators",
        language,
        catalogue(language)("operators.title"),
        status=422 if problems else 200,
        problems=problems,
        organisation=form.one("organisation"),
        email=form.one("email"),
        agreed=form.one("agreed") == "yes",
        version=TERMS,
    )
