"""What pages load: one style sheet and the mark, under names that hold their hashes.

A changed file has another name, so that browsers may keep them for ever (RFC 8246).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FOREVER = "public, max-age=31536000, immutable"
_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    path: str
    content: bytes
    media_type: str


@cache
def asset(name: str) -> Asset:
    """One of our files."""
    content = files(__package__).joinpath(name).read_bytes()
    stem, _, extension = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Asset(f"/assets/{stem}.{digest}.{extension}", content, _TYPES[extension])


STYLE = "style.css"
MARK = "mark.svg"


def by_name(name: str) -> Asset | None:
    """The file of a name with its hash; `None` for any other name, those of older files included."""
    for one in (asset(STYLE), asset(MARK)):
        if one.path == f"/assets/{name}":
            return one
    return None
