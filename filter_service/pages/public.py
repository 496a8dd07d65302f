"""Pages that are the same for everybody: the first page, releases, figures, privacy; and what they load."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from filter_service.notes import FEW
from filter_service.pages import assets, languages, plot
from filter_service.pages.errors import PageRoute
from filter_service.pages.site import HEADERS, PAGE, PUBLIC, PageSite
from filter_service.pages.texts import Texts, catalogue
from filter_service.registry import Registry

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_DAYS_A_YEAR = 365


@router.api_route("/", methods=PAGE)
def root(request: Request) -> Response:
    """To the first page, in the language that the browser asks for; no cookie remembers it."""
    language = languages.preferred(request.headers.get("accept-language", ""))
    headers = HEADERS | {"Cache-Control": PUBLIC, "Vary": "Accept-Language"}
    return RedirectResponse(f"/{language}/", 307, headers)


@router.api_route("/{name:place}", methods=PAGE)
def without_language(request: Request, name: str) -> Response:
    """To a page whose address says nothing of a language, as in our e-mails."""
    language = languages.preferred(request.headers.get("accept-language", ""))
    headers = HEADERS | {"Cache-Control": PUBLIC, "Vary": "Accept-Language"}
    return RedirectResponse(f"/{language}/{name}", 307, headers)


@router.api_route("/{language:language}", methods=PAGE)
def without_slash(language: str) -> Response:
    """To the first page."""
    return RedirectResponse(f"/{language}/", 308, HEADERS | {"Cache-Control": PUBLIC})


@router.api_route("/{language:language}/", methods=PAGE)
def start(request: Request, site: PageSite, language: str) -> Response:
    """What this is."""
    title = catalogue(language)("start.title")
    return site.page(request, "start", language, title, personal=False)


@router.api_route("/{language:language}/releases", methods=PAGE)
def releases(request: Request, site: PageSite, language: str) -> Response:
    """What was published, and how to get it."""
    return site.page(
        request,
        "releases",
        language,
        catalogue(language)("releases.title"),
        personal=False,
        releases=site.service.releases(),
        today=site.registry.now.date(),
        last_day=_last_day,
        rounded=rounded,
    )


@router.api_route("/{language:language}/figures", methods=PAGE)
def figures(request: Request, site: PageSite, language: str) -> Response:
    """Public numbers."""
    found = site.service.figures()
    shown = plot.months(found)
    t = catalogue(language)
    return site.page(
        request,
        "figures",
        language,
        t("figures.title"),
        personal=False,
        figures=found,
        months=shown,
        groups=list(plot.GROUPS),
        drawn=plot.plot(shown) if shown else None,
        width=plot.WIDTH,
        height=plot.HEIGHT,
        told=_told,
        kind_name=_kind_name,
    )


@router.api_route("/{language:language}/privacy", methods=PAGE)
def privacy(request: Request, site: PageSite, language: str) -> Response:
    """The privacy notice (GDPR 13, FADP 19)."""
    title = catalogue(language)("privacy.title")
    values = kept(site.registry) | {"authority": site.settings.controller.authority}
    return site.page(request, "privacy", language, title, personal=False, values=values)


@router.api_route("/assets/{name}", methods=PAGE)
def file(name: str) -> Response:
    """The style sheet or the mark."""
    found = assets.by_name(name)
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": assets.FOREVER, "X-Content-Type-Options": "nosniff"}
    return Response(found.content, 200, headers, found.media_type)


def kept(registry: Registry) -> dict[str, int]:
    """For how long things are kept: days, and years for case files."""
    retention = registry.settings.retention
    return {
        "unverified": retention.unverified,
        "years": retention.case // _DAYS_A_YEAR,
        "messages": retention.messages,
        "backups": retention.key_backups,
    }


def rounded(t: Texts, text: str) -> str:
    """A rounded count of the release notes in another language."""
    word, _, count = text.partition(" ")
    if word == "under":
        return t("releases.under", few=count)
    if word == "about":
        return t("releases.about", count=t.number(int(count.replace(",", ""))))
    return text


def _last_day(text: str) -> date:
    return date.fromisoformat(text)


def _told(t: Texts, count: int | None) -> str:
    return t("figures.under", few=FEW) if count is None else t.number(count)


def _kind_name(t: Texts, kind: str) -> str:
    for table, suffix in (("kinds", ".name"), ("scopes", "")):
        key = f"{table}.{kind}{suffix}"
        if key in t.entries:
            return t(key)
    return kind
