"""What all pages share: the service behind them, templates, sessions; and how a page is made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.types import Scope

from filter_service.pages import assets, languages
from filter_service.pages.service import Service
from filter_service.pages.sessions import Sessions
from filter_service.pages.texts import NAMES, catalogue
from filter_service.registry import Registry
from filter_service.settings import Settings

_STATE = "lethe_pages"
PAGE = ["GET", "HEAD"]
CONTENT_SECURITY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Secrets stand in addresses, so no other site may see them; "no-referrer" would hide the Origin of forms.
    "Referrer-Policy": "same-origin",
}
PERSONAL = "no-store"
PUBLIC = "public, max-age=300"
_MENU = tuple(place for place in languages.PLACES if place != "code")


@dataclass(frozen=True)
class Problem:
    """Something that must be corrected before a form can be taken."""

    field: str
    """Id of the field that it is about."""
    text: str


@dataclass(frozen=True)
class Switch:
    """How the language is switched on a page that was made from a form: by sending the form again."""

    form: str
    """Id of the form."""
    action: str
    """Path without its language."""
    do: str
    """What the form is then asked to do."""


@dataclass
class Site:
    """The pages of one application."""

    service: Service
    releases_at: str
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        """Begin without anybody signed in."""
        self.sessions = Sessions(self.service.registry)

    @property
    def registry(self) -> Registry:
        """The registry behind the pages."""
        return self.service.registry

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.registry.settings

    def reviewer(self, scope: Scope) -> UUID | None:
        """The key of whoever is signed in; `None` for everybody else. For those who count requests."""
        signed = self.sessions.of(Request(scope).cookies)
        return signed.access.access_id if signed else None

    def page(
        self,
        request: Request,
        template: str,
        language: str,
        title: str,
        *,
        status: int = 200,
        personal: bool = True,
        place: str | None = None,
        switch: Switch | None = None,
        problems: Sequence[Problem] = (),
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page.

        Args:
            request: that it answers.
            template: its name without ``.html``.
            language: of the page.
            title: its title and first heading.
            status: of HTTP.
            personal: never kept by any cache.
            place: the path that the language switch leads to, without its language; by default that of the
                request. ``""`` for pages that exist in one language only.
            switch: on pages that were made from a form, how to send it again in another language.
            problems: what must be corrected; said at the top, and at the fields.
            headers: more of them.
            **values: for the template.
        """
        if place is None:
            found = languages.of_path(request.url.path)
            place = found[1] if found else "/"
        texts = catalogue(language)
        html = (
            environment()
            .get_template(f"{template}.html")
            .render(
                t=texts,
                title=title,
                language=language,
                language_names=NAMES,
                place=place,
                switch=switch,
                menu=_MENU,
                problems=problems,
                wrong=defaultdict(str, {one.field: one.text for one in problems}),
                controller=self.settings.controller,
                settings=self.settings,
                style=assets.asset(assets.STYLE).path,
                mark=assets.asset(assets.MARK).path,
                personal=personal,
                releases_url=self.settings.base_url.rstrip("/") + self.releases_at,
                **values,
            )
        )
        cached = {"Cache-Control": PERSONAL if personal else PUBLIC, "Content-Language": language}
        return HTMLResponse(html, status, HEADERS | cached | (headers or {}))


def writes(scope: Scope) -> bool:
    """Whether a request to a page may change something: what a form's steps before the last do not."""
    path: str = scope["path"]
    steps = path.endswith(("/request", "/rightsholders"))
    return scope["method"] not in {"GET", "HEAD"} and not steps


@cache
def environment() -> Environment:
    """The templates; all that is put into them is escaped, and a missing value is an error."""
    return Environment(
        loader=PackageLoader("filter_service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def keep(state: Any, site: Site) -> None:
    """Remember the site in the state of its application."""
    setattr(state, _STATE, site)


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site = getattr(request.app.state, _STATE)
    assert isinstance(site, Site)
    return site


PageSite = Annotated[Site, Depends(site_of)]
