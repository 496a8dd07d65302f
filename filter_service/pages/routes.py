"""All pages, put into an application."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, FastAPI, HTTPException
from starlette.types import Scope

from filter_service.errors import UnsafeSettings
from filter_service.pages import (
    confirming,
    deciding,
    errors,
    following,
    operating,
    public,
    requesting,
    reviewing,
)
from filter_service.pages.errors import PageRoute
from filter_service.pages.service import Service
from filter_service.pages.site import Site, keep

_nothing_else = APIRouter(route_class=PageRoute, include_in_schema=False)
_PARTS = (public, requesting, confirming, following, operating, reviewing, deciding)


@_nothing_else.api_route("/{language:language}/{rest:path}", methods=["GET", "HEAD"])
def unknown() -> None:
    """Any other path that begins with a language: the page is that of a wrong secret."""
    raise HTTPException(404)


def add_to(app: FastAPI, service: Service, *, releases_at: str = "/releases") -> Site:
    """Add the pages to an application, after everything else has been added to it.

    Browsers then meet error pages everywhere but under ``/v1``.

    Args:
        app: gets routes, a middleware for errors and the handler of unexpected ones. Where its state has a
            list ``known_callers``, that learns who is signed in.
        service: what is behind the pages.
        releases_at: the path below which clients fetch releases; shown in commands.

    Returns:
        what knows who is signed in.

    Raises:
        UnsafeSettings: there is no text of the terms that operators are to accept.
    """
    if service.registry.settings.terms != operating.TERMS:
        raise UnsafeSettings(
            f"The pages have the terms of operators in version {operating.TERMS}: "
            "set terms to it, or add the text of yours."
        )
    site = Site(service, releases_at)
    keep(app.state, site)
    for part in _PARTS:
        app.include_router(part.router)
    app.include_router(_nothing_else)
    errors.install(app)
    known: list[Callable[[Scope], UUID | None]] | None = getattr(app.state, "known_callers", None)
    if known is not None:
        known.append(site.reviewer)
    return site
