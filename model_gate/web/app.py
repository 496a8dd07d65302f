"""An application with what server and proxy have in common; their routes are added to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI, Response

from model_gate.guard import Guard
from model_gate.web import health, problems
from model_gate.web.limits import LARGEST_BODY, ApiKeys, BodyLimit, Keys
from model_gate.web.metrics import MEDIA_TYPE, Metrics
from model_gate.web.observing import Observed

LIVE = "/livez"


def create(
    guard: Guard,
    metrics: Metrics,
    *,
    keys: ApiKeys | None = None,
    open_health: bool = False,
    largest_body: int = LARGEST_BODY,
    ails: Callable[[], Sequence[str]] = tuple,
    alive: Callable[[], bool] = lambda: True,
    log_requests: bool = False,
) -> FastAPI:
    """An application with ``/livez``, ``/health``, ``/metrics``, errors and limits.

    Args:
        guard: the bundle in force.
        metrics: the figures that ``/metrics`` shows.
        keys: asked for on every route but ``/livez``; none are by default.
        open_health: ``/health`` and ``/metrics`` ask for none either.
        largest_body: octets.
        ails: what else is wrong, for the health page: sentences without personal data.
        alive: False when only a restart helps; ``/livez`` answers 503 then.
        log_requests: each is a line of the log: route, method, status, duration.
    """
    app = FastAPI(openapi_url=None, redirect_slashes=False)

    @app.get(LIVE)
    async def live() -> Response:
        if alive():
            return Response("alive\n", media_type="text/plain")
        return Response("restart me\n", 503, media_type="text/plain")

    @app.get("/metrics")
    def figures() -> Response:
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    health.add_to(app, guard, ails)
    problems.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, largest=largest_body)
    if keys is not None:
        opened = frozenset({LIVE, *({"/health", "/metrics"} if open_health else ())})
        app.add_middleware(Keys, keys=keys, opened=opened)
    app.add_middleware(Observed, metrics=metrics, logged=log_requests)
    return app
