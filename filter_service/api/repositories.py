"""The TUF repositories as static files: ``/releases/public/...`` and ``/releases/operators/...``.

Only names that a repository can have are looked up (TUF specification, consistent snapshots), so no path leads
elsewhere. All files but ``timestamp.json`` never change under their name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import anyio.to_thread
from fastapi import APIRouter, Header, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response, StreamingResponse

from filter_service.access import Scope
from filter_service.api import document
from filter_service.api.authority import Behind, key_of
from filter_service.api.methods import HEAD
from filter_service.api.problems import HttpError
from filter_service.errors import NotFound

router = APIRouter(prefix="/releases", tags=["public"])
_CHUNK = 256 * 1024
_NAMES = {
    "metadata": re.compile(r"timestamp\.json|[1-9][0-9]{0,8}\.(root|snapshot|targets)\.json"),
    "targets": re.compile(r"[0-9a-f]{64}\.[a-z0-9][a-z0-9._-]{0,80}"),
}
_CHANGES = "timestamp.json"
_FOR_EVER = "max-age=31536000, immutable"
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_OCTETS = {"type": "string", "format": "binary"}
_FILE = {
    "description": "The file.",
    "content": {
        "application/json": {"schema": {}},
        "application/octet-stream": {"schema": _OCTETS},
    },
}
_PART = {"description": "A part of it.", "content": _FILE["content"]}


@dataclass(frozen=True, slots=True)
class Part:
    """Which octets of a file are asked for."""

    start: int
    end: int
    """Behind the last one."""


@router.get(
    "/{audience}/{folder}/{name}",
    response_class=Response,
    responses={200: _FILE, 206: _PART}
    | document.answers(304, None, "Not changed.")
    | document.problems(401, 403, 404, 416),
    openapi_extra=document.may_show("operator"),
)
async def file(
    request: Request,
    service: Behind,
    audience: Literal["public", "operators"],
    folder: Literal["metadata", "targets"],
    name: Annotated[str, PathParameter(pattern=r"^[0-9a-z][0-9a-z._-]{0,150}$")],
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    range: Annotated[str | None, Header()] = None,  # noqa: A002  (the header's name)
) -> Response:
    """A file of a repository; those for operators need an operator's key."""
    if audience == "operators":
        key_of(request, Scope.BUNDLE)
    if not _NAMES[folder].fullmatch(name):
        raise NotFound
    base = service.published / audience
    opened = await anyio.to_thread.run_sync(_opened, base, base / folder / name)
    about = os.fstat(opened.fileno())
    etag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
    who = "public" if audience == "public" else "private"
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": f"{who}, {'no-cache' if name == _CHANGES else _FOR_EVER}",
    }
    if if_none_match is not None and _holds(if_none_match, etag):
        opened.close()
        return Response(status_code=304, headers=headers)
    part = None
    if range is not None and if_range in (None, etag):
        try:
            part = _part(range, about.st_size)
        except HttpError:
            opened.close()
            raise
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{about.st_size}"
    sent = part or Part(0, about.st_size)
    headers["Content-Length"] = str(sent.end - sent.start)
    if request.scope.get(HEAD):
        sent = Part(0, 0)
    kind = "application/json" if name.endswith(".json") else "application/octet-stream"
    return StreamingResponse(_octets(opened, sent), 206 if part else 200, headers, kind)


def _opened(base: Path, path: Path) -> BinaryIO:
    """An open file, if it is one and lies in the folder also when links are followed."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(base.resolve()):
            raise NotFound
        # A pipe that somebody put there must not keep us waiting for its other end.
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise NotFound from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotFound
    return os.fdopen(handle, "rb")


async def _octets(file: BinaryIO, part: Part) -> AsyncIterator[bytes]:
    def read(size: int) -> bytes:
        return file.read(size)

    try:
        file.seek(part.start)
        left = part.end - part.start
        while left > 0:
            chunk = await anyio.to_thread.run_sync(read, min(_CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
    finally:
        file.close()


def _holds(if_none_match: str, etag: str) -> bool:
    """RFC 9110, section 13.1.2; tags are compared weakly."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def _part(asked: str, size: int) -> Part | None:
    """The range that is asked for; `None` for several, or what is none (RFC 9110, section 14.2).

    Raises:
        HttpError: the file has no such range.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise HttpError(
            416,
            "no_such_range",
            "The file has no such range.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Part(start, end)
