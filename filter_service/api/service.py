"""What the interface needs behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from filter_service.registry import Registry, StatusView


class Service(Protocol):
    """A registry and what surrounds it."""

    @property
    def registry(self) -> Registry:
        """The open registry."""
        ...

    @property
    def published(self) -> Path:
        """The folder with the TUF repositories ``public`` and ``operators``."""
        ...

    def check_domain(self, request_id: UUID, position: int) -> StatusView:
        """Look for a domain's challenge; takes seconds.

        Raises:
            Refusal: it cannot be looked for, or is not there.
        """
        ...

    def preview(self, kind: str, text: str) -> dict[str, Any]:
        """What listing an identifier would catch, and what harm it would do.

        Raises:
            InputError: it cannot be listed; the message does not hold it.
        """
        ...

    def figures(self) -> dict[str, Any]:
        """Public figures."""
        ...

    def releases(self) -> list[dict[str, Any]]:
        """Published releases, newest first: ``release``, ``published``, ``digests``, ``notes``."""
        ...

    def health(self) -> dict[str, Any]:
        """How it is doing.

        ``writer`` says whether requests can be taken; numbers, `None` where there is nothing to count, are
        ``queue``, ``days_left``, ``unverified``, ``messages_waiting``, ``messages_failed``,
        ``audit_length`` and ``release_days``; ``release`` is the newest published one.
        """
        ...
