"""Who asks: whoever has a request's secret, or a key.

Both come as ``Authorization: Bearer``. Keys read ``lethe_...``; everything else is taken for the secret of
the request that is asked for.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import Scope

from filter_service.access import Access
from filter_service.access import Scope as Allowed
from filter_service.api.problems import NO_KEY
from filter_service.api.service import Service
from filter_service.errors import NotAllowed, NotFound
from filter_service.registry import Registry

ACCESS = "lethe.access"
"""Where in a scope a good key stands."""
_KEYS = "lethe_"
_HANDS_IN = frozenset({Allowed.SUBMIT, Allowed.MANDATE})


def bearer(scope: Scope) -> str | None:
    """What stands behind ``Authorization: Bearer`` (RFC 6750, section 2.1)."""
    values = Headers(scope=scope).getlist("authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


async def service_of(request: Request) -> Service:
    """The service behind an application."""
    service: Service = request.app.state.service
    return service


def key_of(request: Request, *scopes: Allowed) -> Access:
    """The key that is shown, if it may do one of these things.

    Raises:
        NotAllowed: there is none, or it may not.
    """
    access = request.scope.get(ACCESS)
    if not isinstance(access, Access):
        raise NotAllowed(NO_KEY, "A valid key is needed for this.")
    if access.scopes.isdisjoint(scopes):
        raise NotAllowed("scope", "This key may not do this.")
    return access


def maybe_key_of(request: Request, *scopes: Allowed) -> Access | None:
    """The same; `None` where no credentials are shown at all."""
    if "authorization" not in request.headers:
        return None
    return key_of(request, *scopes)


def own_secret(request: Request, registry: Registry, request_id: UUID) -> str:
    """The secret of a request, for whoever shows it or handed the request in by a key.

    Raises:
        NotAllowed: no credentials, or a key that is not good.
        NotFound: no such request, or another one's; the secret itself is checked by the registry.
    """
    token = bearer(request.scope)
    if token is None or token.startswith(_KEYS):
        access = key_of(request, *_HANDS_IN)
        row = registry.database.row("SELECT source FROM requests WHERE request_id = ?", request_id)
        if row is None or row[0] != str(access.access_id):
            raise NotFound
        return registry.store.token("status", request_id)
    return token


async def some_credentials(request: Request) -> None:
    """Refuse whoever shows nothing, or a key that is not good, before a form is read.

    Raises:
        NotAllowed: no credentials, or a key that is not good.
    """
    token = bearer(request.scope)
    if token is None or token.startswith(_KEYS):
        key_of(request, *_HANDS_IN)


async def reviewer(request: Request) -> str:
    """Id of the reviewer who asks.

    Raises:
        NotAllowed: it is none.
    """
    return str(key_of(request, Allowed.REVIEW).access_id)


Behind = Annotated[Service, Depends(service_of)]
Reviewer = Annotated[str, Depends(reviewer)]
SomeCredentials = Annotated[None, Depends(some_credentials)]
