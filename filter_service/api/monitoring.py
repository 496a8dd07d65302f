"""For whoever runs the service: health and figures."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from filter_service.access import Scope
from filter_service.api import document
from filter_service.api.authority import Behind, key_of
from filter_service.api.clients import LOCAL, Client
from filter_service.api.limiting import CLIENT
from filter_service.api.metrics import MEDIA_TYPE, Metrics

router = APIRouter(tags=["monitoring"])
_PATIENCE_S = 5.0
_LOOPBACK = frozenset({LOCAL, "127.0.0.1", "::/64"})
_TEXT: document.Answers = {
    200: {
        "description": "For Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


class Health(BaseModel):
    """Whether the service is doing well."""

    alive: bool = True
    ready: bool
    """Requests can be taken: the one thread that writes is there."""


@router.get(
    "/health",
    response_model=Health,
    responses=document.answers(503, Health, "Alive, but requests cannot be taken."),
)
async def health(response: Response, service: Behind) -> Health:
    """Any answer means that the process lives; 200 means that it takes requests."""

    def is_ready() -> bool:
        try:
            return bool(service.health()["writer"])
        except Exception:  # noqa: BLE001 -- whatever it is, requests cannot be taken
            return False

    ready = False
    with anyio.move_on_after(_PATIENCE_S):
        ready = await anyio.to_thread.run_sync(
            is_ready, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
    response.status_code = 200 if ready else 503
    return Health(ready=ready)


@router.get(
    "/metrics",
    response_class=Response,
    responses=_TEXT | document.problems(401, 403),
    openapi_extra=document.needs("machine"),
)
async def metrics(request: Request) -> Response:
    """Figures in the text format of Prometheus."""
    state = request.app.state
    client = request.scope.get(CLIENT)
    local = isinstance(client, Client) and client.direct and client.counted_as in _LOOPBACK
    if not (state.local_metrics and local):
        key_of(request, Scope.METRICS)
    figures: Metrics = state.metrics
    text = await anyio.to_thread.run_sync(partial(figures.text))
    return Response(text, headers={"Content-Type": MEDIA_TYPE})
