"""Canonical URLs: which host a URL belongs to, and which path a rule is compared with.

`split_url` reads a URL as a browser would (WHATWG URL, "basic URL parser", without its error
recovery for hosts), because that is how a page's address reaches a corpus: with white space around
it, backslashes, credentials, ports, upper case, or without any scheme.
`comparable_path` is the one form in which paths and path patterns are compared (RFC 9309, 2.2.2).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from filter.errors import MalformedUrl
from filter.hosts import Host, split_authority

_C0_OR_SPACE = "".join(map(chr, range(0x21)))
_DROPPED = {ord(c): None for c in "\t\r\n"}  # WHATWG: removed wherever they stand
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PORT_FOLLOWS = re.compile(r"[0-9]{1,5}(?:[/?#\\]|$)")
_AUTHORITY_END = re.compile(r"[/\\?#]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB = frozenset({"http", "https", "ftp", "ws", "wss"})


class SplitUrl(NamedTuple):
    """A URL as far as opt-outs are concerned; the scheme decides nothing and is gone."""

    host: Host
    port: int | None
    """``None`` where the URL names none or the default one of its scheme (or 80 or 443)."""
    path: str
    """Path and query in `comparable_path` form, starting with ``/``; no fragment."""


def split_url(url: str) -> SplitUrl:
    """Split ``url`` into canonical host, port and comparable path.

    A URL without a scheme (``ex.org/a``, ``//ex.org/a``, ``ex.org:8080``) is read as a web address.

    Raises:
        MalformedUrl: there is no authority, or the scheme has none (``mailto:``, ``data:``).
        MalformedHost: the authority is not a host.
    """
    text = url.strip(_C0_OR_SPACE).translate(_DROPPED)
    scheme, rest = "", text
    if found := _SCHEME.match(text):
        after = text[found.end() :]
        known = found[1].lower()
        if known in _WEB or after.startswith(("//", "\\\\")):
            scheme, rest = known, after
        elif not _PORT_FOLLOWS.match(after):
            raise MalformedUrl("A URL names no host: give an http or https address.")
    rest = rest.lstrip("/\\") if scheme in _WEB or rest[:2] in {"//", "\\\\"} else rest
    end = _AUTHORITY_END.search(rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    if not authority:
        raise MalformedUrl("A URL names no host: give an http or https address.")
    host, port = split_authority(authority)
    if port == _DEFAULT_PORTS.get(scheme) or (port in {80, 443}):
        port = None
    path, question, query = tail.partition("#")[0].partition("?")
    return SplitUrl(host, port, comparable_path(path.replace("\\", "/") + question + query))


_PLAIN_PATH = re.compile(r"/[!\"&-)+-Z\\\]^-~\[]*").fullmatch
"""ASCII without ``%``, ``*``, ``$``, ``#``, white space: already comparable."""
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TO_ESCAPE = re.compile(r"[^!-~]")
_PATTERN_ESCAPES = {ord("*"): "%2A", ord("$"): "%24"}


def comparable_path(path: str) -> str:
    """``path`` (path and query) in the form in which RFC 9309, section 2.2.2, compares octets.

    Octets outside US-ASCII are percent-encoded as UTF-8, escapes are upper-cased, escaped unreserved
    characters (RFC 3986, 2.3) are unescaped, and ``*`` and ``$``, which mean something in a pattern,
    are escaped (2.2.3). A missing leading slash is added.
    """
    if _PLAIN_PATH(path):
        return path
    if not path.startswith("/"):
        path = "/" + path
    return normalize_escapes(path).translate(_PATTERN_ESCAPES)


def normalize_escapes(text: str) -> str:
    """Percent-encode what is not visible ASCII, upper-case escapes, unescape unreserved letters."""
    if not text.isascii() or not text.isprintable() or " " in text:
        text = _TO_ESCAPE.sub(_escape, text)
    return _ESCAPE.sub(_unescape, text) if "%" in text else text


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "surrogatepass"))


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
