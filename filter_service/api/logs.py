"""The log: one JSON object a line, of what cannot be personal.

A request is its route (the template, never the path), method, status, duration and a random id; its client
is a /24 or /48 network. Of an error there is the type: its message and its values may hold what was sent.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, TextIO

import structlog

Log = Any
"""A bound logger of structlog, which is untyped."""
_QUIET = ("uvicorn.error",)
"""Loggers whose messages hold nothing of a request."""


def log_to(stream: TextIO | None = None) -> Log:
    """A log on a stream; on standard error by default."""
    return structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )


class Lines(logging.Formatter):
    """Lines of the same kind for what other libraries log; no trace, no values."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a JSON object."""
        known = record.name in _QUIET
        fields = {
            "event": record.getMessage().splitlines()[0] if known else record.name,
            "level": record.levelname.lower(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__qualname__
        return json.dumps(fields)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "filter_service.api.logs.Lines"}},
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
    },
}
"""For uvicorn and asyncio."""
