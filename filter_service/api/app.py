"""The application: resources, and around them what every request goes through.

::

    SafeHeaders > Observed > OwnHost > Limited > Methods > BodyLimit > resources

So whatever fails is logged and answered with safe headers, and whoever is refused costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import anyio
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import Scope

from filter_service.api import (
    discovery,
    document,
    monitoring,
    operators,
    problems,
    repositories,
    requests,
    reviewing,
)
from filter_service.api.bodies import BodyLimit
from filter_service.api.clients import Clients
from filter_service.api.headers import SafeHeaders
from filter_service.api.hosts import OwnHost
from filter_service.api.limiting import Limited
from filter_service.api.logs import Log, log_to
from filter_service.api.methods import Methods
from filter_service.api.metrics import Metrics
from filter_service.api.observing import Observed
from filter_service.api.service import Service

_SLOW_AT_ONCE = 4


def create_app(service: Service, *, log: Log | None = None, local_metrics: bool = False) -> FastAPI:
    """An application for a service.

    Args:
        service: what stands behind it.
        log: where requests are logged; standard error by default.
        local_metrics: whether who asks from this machine, and not through a proxy, needs no key for
            ``/metrics``. Only for where no proxy stands that leaves out ``X-Forwarded-For``.

    Raises:
        UnsafeSettings: settings that it cannot work with.
    """
    settings = service.registry.settings
    # Its documentation would load scripts from elsewhere; /openapi.json is for the reader's own tools.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    known: list[Callable[[Scope], UUID | None]] = []
    writing: list[Callable[[Scope], bool]] = []
    app.state.service = service
    app.state.known_callers = known
    """Pages add here how they know who has signed in; such a caller is counted by key, not by address."""
    app.state.writing = writing
    """Pages add here which steps of a form change nothing, however they are sent."""
    app.state.metrics = Metrics(service)
    app.state.local_metrics = local_metrics
    app.state.slow = anyio.CapacityLimiter(_SLOW_AT_ONCE)
    for part in (requests, reviewing, operators, discovery, repositories, monitoring):
        app.include_router(part.router)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi(), headers={"Cache-Control": "public, max-age=300"})

    problems.handle(app)
    document.describe(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit)
    app.add_middleware(Methods, routes=app)
    app.add_middleware(
        Limited,
        service=service,
        clients=Clients(settings.trusted_proxies),
        known=known,
        writing=writing,
    )
    app.add_middleware(OwnHost, base_url=settings.base_url)
    app.add_middleware(Observed, metrics=app.state.metrics, log=log or log_to())
    app.add_middleware(SafeHeaders, https=settings.base_url.startswith("https://"))
    # Pages are added by whoever composes the service: pages.add_to(app, service).
    return app
