"""What the pages need behind them."""

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
        """The folder that a client of releases reads from."""
        ...

    def check_domain(self, request_id: UUID, position: int) -> StatusView:
        """Look for a domain's challenge; takes seconds.

        Raises:
            Refusal: it cannot be looked for.
        """
        ...

    def judge(self, kind: str, text: str) -> dict[str, str]:
        """What the compile gate says of an identifier: ``verdict``, ``reason``, ``sentence``."""
        ...

    def preview(self, kind: str, text: str) -> dict[str, Any]:
        """What the filter would catch if an identifier were listed, and what harm it would do."""
        ...

    def figures(self) -> dict[str, Any]:
        """Public numbers, as `filter_service.figures.figures` gives them."""
        ...

    def releases(self) -> list[dict[str, Any]]:
        """Published releases, newest first: ``release``, ``published``, ``digests``, ``notes``."""
        ...
