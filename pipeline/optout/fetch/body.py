"""Reading a body without ever holding more of it than its limit: decoded, counted, cut."""

from __future__ import annotations

import zlib
from typing import NamedTuple

_SLICE = 4096
"""Octets inflated at a time. Each gzip member copies what follows it in its slice, so that a long
slice of tiny members would cost its square."""
_GZIP = 31  # zlib's window bits for "a gzip header"
_GZIP_MAGIC = b"\x1f"
_RAW_SLACK = 1 << 16


class BadEncoding(Exception):
    """A content coding that was not asked for, or a body that does not follow its coding."""


class Body(NamedTuple):
    """A body, or as much of it as its limit allows."""

    content: bytes
    truncated: bool


class BoundedBody:
    """Takes a body as it comes from the network and keeps at most ``limit`` decoded octets.

    Inflating is bounded beforehand: a body that grows a thousandfold costs no more than the limit.
    A body that grows by nothing (endless empty gzip members) ends at twice the limit of raw octets.

    Raises:
        BadEncoding: ``coding`` is neither gzip nor nothing.

    """

    def __init__(self, coding: str, limit: int) -> None:
        coding = coding.strip().lower()
        if coding not in {"", "identity", "gzip", "x-gzip"}:
            raise BadEncoding
        self._zipped = coding.endswith("gzip")
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._limit = limit
        self._raw_left = 2 * limit + _RAW_SLACK
        self._kept = bytearray()
        self._cut = False
        self._ended = False

    def feed(self, chunk: bytes) -> bool:
        """Take the next octets; whether further ones are wanted.

        Raises:
            BadEncoding: they are not gzip.

        """
        for at in range(0, len(chunk), _SLICE):
            piece = chunk[at : at + _SLICE]
            self._raw_left -= len(piece)
            if self._zipped:
                self._inflate(piece)
            else:
                self._keep(piece)
            if self._raw_left < 0:
                self._cut = True
            if self._cut or self._ended:
                return False
        return True

    def finish(self) -> Body:
        """The body, once nothing more comes or is wanted.

        Raises:
            BadEncoding: it ends in the middle of a gzip member.

        """
        if self._member is not None and not self._cut:
            raise BadEncoding
        return Body(bytes(self._kept), self._cut)

    def _keep(self, data: bytes) -> None:
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self._cut = len(data) > room

    def _inflate(self, data: bytes) -> None:
        while data and not self._cut:
            if self._member is None:
                if self._members and not data.startswith(_GZIP_MAGIC):
                    self._ended = True  # padding after the last member; gzip(1) ignores it, too
                    return
                self._member = zlib.decompressobj(_GZIP)
                self._members += 1
            room = self._limit - len(self._kept)
            try:
                self._keep(self._member.decompress(data, room + 1))
            except zlib.error:
                raise BadEncoding from None
            # Nothing stays unconsumed unless the room is used up, and then the body is cut.
            data = b""
            if self._member.eof:
                data = self._member.unused_data
                self._member = None
