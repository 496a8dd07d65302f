"""The OpenAPI document: what each resource answers, errors included.

Forms of bodies come from `bodies.takes`, since bodies are read there and not by the framework; what
every resource may answer is added to each.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from filter_service.api.bodies import REFS
from filter_service.api.problems import MEDIA_TYPE, Problem

ABOUT = """\
Deletion requests for language models, their review, and the releases of the output filter that is made of
them. `/v1/requests` and `/v1/discovery` follow OpenDSR 2.0; errors are problem details (RFC 9457).
"""
_TITLES = {
    304: "Not changed.",
    400: "The request is malformed, or not as this document demands.",
    401: "A valid key or secret is needed.",
    403: "This caller may not do this.",
    404: "There is no such resource, or not for this caller.",
    408: "The body did not arrive in time.",
    409: "It cannot be done now, or was done otherwise before.",
    412: "It has changed since it was seen.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The file has no such range.",
    421: "This host is not served here.",
    422: "The content cannot be used.",
    428: "Say which version was seen.",
    429: "Too often, or too much.",
    500: "Something went wrong here.",
    503: "Not ready.",
}
_ALWAYS = (400, 421, 429, 500)
_WITH_BODY = (408, 413, 415)
_BEARERS = {
    "secret": "The secret of a request, from its receipt.",
    "reviewer": "A key with the scope `review`.",
    "machine": "A key with the scope that is needed: `submit`, `mandate` or `metrics`.",
    "operator": "An operator's key, with the scope `bundle`.",
}

Answers = dict[int | str, dict[str, Any]]


def answers(
    status: int,
    model: type[BaseModel] | None,
    description: str,
    *,
    headers: dict[str, str] | None = None,
) -> Answers:
    """One answer of a resource."""
    found: dict[str, Any] = {"description": description}
    if model is not None:
        found["model"] = model
    if headers:
        found["headers"] = {name: _header(text) for name, text in headers.items()}
    return {status: found}


def problems(*statuses: int) -> Answers:
    """The errors that a resource has of its own."""
    return {status: _problem(status) for status in statuses}


def needs(*bearers: str) -> dict[str, Any]:
    """What the caller must show: one of these."""
    return {"security": [{bearer: []} for bearer in bearers]}


def may_show(*bearers: str) -> dict[str, Any]:
    """What the caller may show."""
    return {"security": [{}, *({bearer: []} for bearer in bearers)]}


def describe(app: FastAPI) -> None:
    """Let an application describe itself so."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    whole = get_openapi(title="Lethe registry", version="1", description=ABOUT, routes=app.routes)
    schemas = whole.setdefault("components", {}).setdefault("schemas", {})
    whole["components"]["securitySchemes"] = {
        name: {"type": "http", "scheme": "bearer", "description": text}
        for name, text in _BEARERS.items()
    }
    for path in whole["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            answered = operation["responses"]
            if _is_frameworks(answered.get("422")):
                del answered["422"]
            own = (*_ALWAYS, *(_WITH_BODY if "requestBody" in operation else ()))
            for status in own:
                answered.setdefault(str(status), _problem(status))
            operation["responses"] = dict(sorted(answered.items()))
    _hoist(whole["paths"], schemas)
    problem = Problem.model_json_schema(ref_template=REFS)
    _hoist(problem, schemas)
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    whole["components"]["schemas"] = dict(sorted(schemas.items()))
    return whole


def _hoist(part: Any, schemas: dict[str, Any]) -> None:
    """Move definitions that stand inside a schema to where all schemas are."""
    if isinstance(part, dict):
        for name, schema in part.pop("$defs", {}).items():
            schemas.setdefault(name, schema)
        for inner in part.values():
            _hoist(inner, schemas)
    elif isinstance(part, list):
        for inner in part:
            _hoist(inner, schemas)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is never null: headers and queries know no such thing."""
    some: list[dict[str, Any]] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(some) != 1:
        return schema
    return some[0] | {name: value for name, value in schema.items() if name != "anyOf"}


def _is_frameworks(answered: dict[str, Any] | None) -> bool:
    return answered is not None and MEDIA_TYPE not in answered.get("content", {})


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _TITLES[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFS.format(model="Problem")}}},
    }
    if status == 401:
        described["headers"] = {"WWW-Authenticate": _header("Which credentials are taken.")}
    if status == 429:
        described["headers"] = {"Retry-After": _header("Seconds to wait, where they are known.")}
    return described


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}
