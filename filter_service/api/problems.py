"""Errors as they go out: problem details (RFC 9457), made in this one place.

A problem has a code for programs, ``type`` being ``/problems/<code>``, and a sentence for people. It never
holds what was sent: of a field that is not as it should be it names the place and the rule.
Whether a resource does not exist or is not this caller's cannot be told: both get the same octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from filter_service.errors import Conflict, NotAllowed, NotFound, Refusal

MEDIA_TYPE = "application/problem+json"
NO_KEY = "key"
"""Code of a refusal for want of a key that is known."""
CHANGED = "changed"
"""Code of a conflict with somebody who was faster."""
_OF_STATUS = {
    400: ("malformed_request", "This request cannot be understood."),
    404: ("not_found", "There is no such resource, or not for this caller."),
    405: ("method_not_allowed", "This resource does not know this method."),
}
_OTHER = ("refused", "This request cannot be served.")


class FieldError(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(description="Where: a JSON pointer, or the name of a parameter.")
    code: str = Field(description="Which rule it breaks.", pattern="^[a-z_]+$")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    type: str = Field(description="What happened, for programs.", pattern="^/problems/[a-z0-9_]+$")
    title: str = Field(description="The same in words; one title for each type.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What to do, in one sentence.")
    instance: str | None = Field(
        default=None, description="This very occurrence, where it is in the log of the server."
    )
    errors: list[FieldError] | None = Field(
        default=None, description="Fields that are not as the schema demands."
    )


class HttpError(Exception):
    """A request that is refused for its form or its circumstances, not by the registry."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.errors = errors


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    instance: str | None = None,
    errors: Sequence[FieldError] | None = None,
) -> Response:
    """A problem as a response."""
    problem = Problem(
        type=f"/problems/{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        instance=instance,
        errors=list(errors) if errors is not None else None,
    )
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def of_http_error(error: HttpError) -> Response:
    """The problem of a refusal for its form."""
    return answer(
        error.status, error.code, error.detail, headers=error.headers, errors=error.errors
    )


def of_refusal(error: Refusal) -> Response:
    """The problem of a refusal by the registry."""
    if isinstance(error, NotFound):
        return answer(404, *_OF_STATUS[404])
    if isinstance(error, NotAllowed) and error.code == NO_KEY:
        # RFC 6750, section 3
        return answer(401, "key", str(error), headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, Conflict) and error.code == CHANGED:
        return answer(412, error.code, str(error))
    return answer(int(error.status), error.code, str(error))


def of_status(error: HTTPException) -> Response:
    """The problem of an error that the framework raised; its own words may hold what was sent."""
    code, detail = _OF_STATUS.get(error.status_code, _OTHER)
    return answer(error.status_code, code, detail, headers=error.headers)


def of_parameters(error: RequestValidationError) -> Response:
    """The problem of parameters that are not as they should be; a path that cannot be leads nowhere."""
    errors = error.errors()
    if any(one["loc"][:1] == ("path",) for one in errors):
        return answer(404, *_OF_STATUS[404])
    if any(one["loc"] == ("header", "if-match") and one["type"] == "missing" for one in errors):
        # RFC 6585, section 3
        return answer(428, "version_needed", "Say by If-Match which version of it you have read.")
    return of_http_error(
        invalid(FieldError(pointer=str(one["loc"][1]), code=one["type"]) for one in errors)
    )


def invalid(errors: Iterable[FieldError]) -> HttpError:
    """A request that the OpenAPI document forbids."""
    return HttpError(
        HTTPStatus.BAD_REQUEST,
        "invalid_request",
        "Some fields are not as the OpenAPI document demands: correct those that are named.",
        errors=list(errors),
    )


def unexpected(instance: str) -> Response:
    """The problem of what nobody had foreseen."""
    return answer(
        500,
        "unexpected",
        "Something went wrong here: try again, and report the instance if it lasts.",
        instance=f"urn:uuid:{instance}",
    )


def handle(app: FastAPI) -> None:
    """Let an application answer with problems."""

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HttpError)
        return of_http_error(error)

    async def refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return of_refusal(error)

    async def status(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return of_status(error)

    async def parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return of_parameters(error)

    app.add_exception_handler(HttpError, http_error)
    app.add_exception_handler(Refusal, refusal)
    app.add_exception_handler(HTTPException, status)
    app.add_exception_handler(RequestValidationError, parameters)
