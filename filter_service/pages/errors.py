"""Error pages: for what goes wrong on a page, and for browsers that meet an error elsewhere.

A page says what happened and what to do, never what was asked for. Nobody can tell from it whether a number
is unknown or a secret is wrong: the page is the same, octet for octet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filter_service.errors import Refusal
from filter_service.pages import languages
from filter_service.pages.site import HEADERS, PERSONAL, Site, site_of
from filter_service.pages.texts import catalogue

_OWN = frozenset({403, 404, 405, 409, 413, 429, 500})
"""Errors with words of their own; all others share some."""
_KEPT = ("allow", "retry-after", "strict-transport-security", "ratelimit", "ratelimit-policy")
_API = "/v1"


def error_page(
    request: Request, site: Site, status: int, headers: dict[str, str] | None = None
) -> HTMLResponse:
    """The page for an error, in the language of the path or of the browser."""
    found = languages.of_path(request.url.path)
    language = (
        found[0] if found else languages.preferred(request.headers.get("accept-language", ""))
    )
    name = str(status) if status in _OWN else ("500" if status >= 500 else "other")
    more = {"Vary": "Accept, Accept-Language"} | (headers or {})
    title = catalogue(language)(f"errors.{name}.title")
    return site.page(
        request, "error", language, title, status=status, place="/", headers=more, name=name
    )


class PageRoute(APIRoute):
    """A route whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler, with errors turned into pages."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except (StarletteHTTPException, Refusal, RequestValidationError) as error:
                status, headers = _status(error)
                if status == HTTPStatus.SEE_OTHER:
                    return Response(None, status, HEADERS | {"Cache-Control": PERSONAL} | headers)
                return error_page(request, site_of(request), status, headers)

        return handled


def _status(error: Exception) -> tuple[int, dict[str, str]]:
    if isinstance(error, Refusal):
        return int(error.status), {}
    if isinstance(error, StarletteHTTPException):
        return error.status_code, dict(error.headers or {})
    return 404, {}  # a path or query that is none of ours


def wants_html(scope: Scope) -> bool:
    """Whether a browser asks, and not a program: programs do not ask for HTML by name."""
    if scope["type"] != "http" or (scope["path"] + "/").startswith(_API + "/"):
        return False
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"text/html" in accepted.lower()


class HtmlErrors:
    """Puts an error page in the place of any other answer of an error that a browser gets."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if not wants_html(scope):
            await self.app(scope, receive, send)
            return
        page: list[HTMLResponse] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_bare_error(message):
                request = Request(scope)
                kept = MutableHeaders(raw=message["headers"])
                headers = {name: kept[name] for name in _KEPT if name in kept}
                page.append(error_page(request, site_of(request), message["status"], headers))
                return
            if page:
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    await page[0](scope, receive, send)
                return
            await send(message)

        await self.app(scope, receive, watched)


def _is_bare_error(message: MutableMapping[str, Any]) -> bool:
    kind = MutableHeaders(raw=message["headers"]).get("content-type", "")
    return bool(message["status"] >= 400) and not kind.startswith("text/html")


def install(app: FastAPI) -> None:
    """Show error pages to browsers, whatever part of the application they meet an error in."""
    app.add_middleware(HtmlErrors)
    before = app.exception_handlers.get(Exception, app.exception_handlers.get(500))

    async def unexpected(request: Request, error: Exception) -> Response:
        if before is None or wants_html(request.scope):
            return error_page(request, site_of(request), 500)
        answer = before(request, error)
        return answer if isinstance(answer, Response) else await answer

    app.add_exception_handler(Exception, unexpected)
