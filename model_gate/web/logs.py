"""The log: one JSON object a line, of what cannot be personal.

A request is its route (the template, never the path), method, status and duration. Of an error there is
the type: its message and its values may hold what was said.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

LOG = logging.getLogger("model_gate")
"""Events: the message is fixed, the fields are in ``extra={"about": {...}}``."""
_QUIET = {"uvicorn.error", LOG.name}
"""Loggers whose messages hold nothing of a request."""


def event(name: str, **about: object) -> None:
    """Log an event with fields that are not personal."""
    LOG.info(name, extra={"about": about})


def failure(name: str, error: BaseException) -> None:
    """Log an error by its type alone."""
    LOG.error(name, extra={"about": {"error": type(error).__qualname__}})


class Lines(logging.Formatter):
    """One record a line; no trace, no values."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a JSON object."""
        known = record.name in _QUIET
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().splitlines()[0] if known else record.name,
        }
        fields.update(getattr(record, "about", {}))
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__qualname__
        return json.dumps(fields)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "model_gate.web.logs.Lines"}},
    "handlers": {
        "lines": {
            "class": "logging.StreamHandler",
            "formatter": "lines",
            "stream": "ext://sys.stderr",
        }
    },
    "loggers": {
        "uvicorn.error": {"handlers": ["lines"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
        "asyncio": {"handlers": ["lines"], "level": "WARNING", "propagate": False},
        "httpx": {"handlers": [], "level": "CRITICAL", "propagate": False},
        "httpcore": {"handlers": [], "level": "CRITICAL", "propagate": False},
        LOG.name: {"handlers": ["lines"], "level": "INFO", "propagate": False},
    },
}
"""For uvicorn, asyncio, and what is our own."""
