"""Errors as they go out, in the shape that OpenAI's clients read; made in this one place.

::

    {"error": {"message": ..., "type": ..., "param": ..., "code": ...}}

No answer holds anything that was sent: messages are fixed sentences, or those of typed errors, which promise to
hold no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from filter.errors import BundleError, InputError, LetheError
from model_gate.errors import FilterFailed, NamedPromptRefused, PromptTooLong

INVALID = "invalid_request_error"
"""Type of what the caller can mend."""
SERVER = "server_error"
"""Type of what the operator must mend."""
RATE = "rate_limit_error"
"""Type of what passes with time."""
_OF_STATUS = {
    400: "This request cannot be understood.",
    404: "There is no such route here.",
    405: "This route does not know this method.",
}
_OTHER = "This request cannot be served."


class ApiError(Exception):
    """A request that is not served; ``str()`` is the message, which never holds what was sent."""

    def __init__(
        self,
        status: int,
        message: str,
        type: str = INVALID,  # noqa: A002 -- the field's name in the answer
        code: str | None = None,
        param: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.headers = headers

    def again(self) -> ApiError:
        """The same for another request: an error that was raised keeps what it went through."""
        return ApiError(
            self.status, str(self), self.type, self.code, self.param, headers=self.headers
        )

    @property
    def body(self) -> dict[str, Any]:
        """What the answer, or the last event of a stream, holds."""
        about = {"message": str(self), "type": self.type, "param": self.param, "code": self.code}
        return {"error": about}

    @property
    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(self.body, self.status, dict(self.headers or {}))


def not_in_force() -> ApiError:
    """Nothing may be generated, because the filter does not hold."""
    message = "The filter is not in force, so nothing is generated: the reason is at /health."
    return ApiError(503, message, SERVER, "filter_not_in_force")


def unexpected() -> ApiError:
    """What nobody had foreseen."""
    message = "Something went wrong here, and nothing more goes out: try again."
    return ApiError(500, message, SERVER, "unexpected")


def of(error: BaseException) -> ApiError:
    """The error as it goes out, whatever it was."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BundleError | FilterFailed):
        return not_in_force()
    if isinstance(error, PromptTooLong):
        return ApiError(400, str(error), code="context_length_exceeded")
    if isinstance(error, NamedPromptRefused):
        return ApiError(400, str(error), code="content_filter")
    if isinstance(error, InputError):
        return ApiError(400, str(error))
    return unexpected()


def install(app: FastAPI) -> None:
    """Let an application answer so; what is none of these is left to `observing.Observed`."""

    async def typed(_: Request, error: Exception) -> JSONResponse:
        return of(error).response

    async def status(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # its own words may hold what was sent
        message = _OF_STATUS.get(error.status_code, _OTHER)
        code = "not_found" if error.status_code == 404 else None
        return ApiError(error.status_code, message, code=code, headers=error.headers).response

    async def parameters(_: Request, __: Exception) -> JSONResponse:
        return ApiError(400, _OF_STATUS[400]).response

    app.add_exception_handler(ApiError, typed)
    app.add_exception_handler(LetheError, typed)
    app.add_exception_handler(HTTPException, status)
    app.add_exception_handler(RequestValidationError, parameters)
