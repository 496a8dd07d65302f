"""The verified download of a release: ``get`` is all that operators need.

It is the client of The Update Framework (TUF specification 5) around one file that a gate can watch.
Needs the extra ``client`` only: neither the web framework nor the database is loaded.
"""

from __future__ import annotations

from importlib.util import find_spec

from filter.errors import MissingExtra

if find_spec("tuf") is None or find_spec("cryptography") is None:
    raise MissingExtra("Verified downloads need tuf: pip install 'lethe-llm[client]'.")

from filter_service.client.download import Fetched, get
from filter_service.client.errors import (
    ClientError,
    ClockBehind,
    KeyRefused,
    NoRepository,
    NoRoot,
    NotReached,
    NotTrusted,
    OlderRelease,
    RefusedBundle,
    UnsafeUrl,
)
from filter_service.client.limits import Limits

__all__ = [
    "ClientError",
    "ClockBehind",
    "Fetched",
    "KeyRefused",
    "Limits",
    "NoRepository",
    "NoRoot",
    "NotReached",
    "NotTrusted",
    "OlderRelease",
    "RefusedBundle",
    "UnsafeUrl",
    "get",
]
