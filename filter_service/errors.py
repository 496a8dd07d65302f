"""What can go wrong in the registry, by what the caller can do about it.

::

    filter.errors.InputError
    ├── UnusableFolder     a registry folder that cannot be opened: damaged, foreign, in use, too new
    ├── UnsafeSettings     settings that must not meet the public
    └── Refusal            a request that cannot be served; carries a code and an HTTP status
        ├── NotFound       no such thing, or not for this caller: the two are never told apart
        ├── NotAllowed     the caller may not do this
        ├── WrongState     it cannot be done now
        ├── Conflict       the same id was used for something else, or somebody else was faster
        ├── TooMany        a limit was reached
        └── Unacceptable   the content of the request cannot be used

Messages never repeat what a person wrote.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from filter.errors import InputError, LetheError


class UnusableFolder(InputError):
    """A registry folder that cannot be opened."""


class UnsafeSettings(InputError):
    """Settings that must not meet the public."""


class KeyDestroyed(LetheError):
    """The key of a sealed record was destroyed: its content is gone, as it should be."""


class Refusal(InputError):
    """A request that cannot be served: ``code`` is for programs, ``str()`` for people."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(Refusal):
    """No such thing, or not for this caller."""

    status = HTTPStatus.NOT_FOUND

    def __init__(
        self, code: str = "not_found", message: str = "There is no such resource."
    ) -> None:
        super().__init__(code, message)


class NotAllowed(Refusal):
    """The caller may not do this."""

    status = HTTPStatus.FORBIDDEN


class WrongState(Refusal):
    """It cannot be done now."""

    status = HTTPStatus.CONFLICT


class Conflict(Refusal):
    """The same id was used for something else, or somebody else was faster."""

    status = HTTPStatus.CONFLICT


class TooMany(Refusal):
    """A limit was reached."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Unacceptable(Refusal):
    """The content of the request cannot be used."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
