"""Canonical URLs: which host a URL belongs to, and which path a rule is compared with.

`split_url` reads a URL as a browser would (WHATWG URL, "basic URL parser", without its error
recovery for hosts), because that is how a page's address reaches a corpus: with white space around
it, backslashes, credentials, ports, upper case, or without any scheme.
`comparable_path` is the one form in which paths and path patterns are compared (RFC 9309, 2.2.2).

Not covered: dot segments (``/a/../b``) stay, as in every robots.txt parser; crawlers resolve them
before they ask.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from filter.errors import MalformedUrl
from filter.hosts import Host, split_authority

_C0_OR_SPACE = "".join(map(chr, range(0x21)))
_DROPPED = {ord(c): None for c in "\t\r\n"}  # WHATWG: removed wherever they stand
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
_PORT_FOLLOWS = re.compile(r"[0-9]{1,5}(?:[/?#\\]|\Z)")
_AUTHORITY_END = re.compile(r"[/\\?#]")
_WEB = frozenset({"http", "https", "ftp", "ws", "wss"})
_NO_AUTHORITY = frozenset({"about", "data", "fax", "javascript", "mailto", "sms", "tel", "urn"})
"""Schemes that may stand before a number: ``intranet:8080`` is a host with a port, ``tel:112`` is not."""
_WEB_PORTS = frozenset({80, 443})
_SLASHES = "/\\"


class SplitUrl(NamedTuple):
    """A URL as far as opt-outs are concerned; the scheme decides nothing and is gone."""

    host: Host
    port: int | None
    """``None`` where the URL names none, 80 or 443 (whatever the scheme), or 21 for ftp."""
    path: str
    """Path and query in `comparable_path` form, starting with ``/``; no fragment."""


def split_url(url: str) -> SplitUrl:
    r"""Split ``url`` into canonical host, port and comparable path.

    A URL without a scheme (``ex.org/a``, ``//ex.org/a``, ``ex.org:8080``) is read as a web address.
    A backslash ends the authority, and where one does, those of the path are slashes, too
    (``https:\\ex.org\a``). Behind a slash they are octets of the path: that is what a crawler asked
    for and what a rule that contains one means.

    Raises:
        MalformedUrl: there is no authority, or the scheme has none (``mailto:``, ``data:``).
        MalformedHost: the authority is not a host.
    """
    scheme, rest = _without_scheme(url.strip(_C0_OR_SPACE).translate(_DROPPED))
    end = _AUTHORITY_END.search(rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    if not authority:
        raise MalformedUrl("A URL names no host: give an http or https address.")
    host, port = split_authority(authority)
    if port in _WEB_PORTS or (scheme == "ftp" and port == 21):
        port = None
    path, question, query = tail.partition("#")[0].partition("?")
    if path.startswith("\\"):
        path = path.replace("\\", "/")
    return SplitUrl(host, port, comparable_path(path + question + query))


def _without_scheme(text: str) -> tuple[str, str]:
    """The scheme, lower-cased or empty, and what follows it, from the authority on."""
    found = _SCHEME.match(text)
    if found is None:
        two_slashes = len(text) > 1 and text[0] in _SLASHES and text[1] in _SLASHES
        return "", text.lstrip(_SLASHES) if two_slashes else text
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme in _WEB:
        return scheme, rest.lstrip(_SLASHES)
    if rest.startswith("//"):
        return scheme, rest[2:]
    if scheme not in _NO_AUTHORITY and _PORT_FOLLOWS.match(rest):
        return "", text
    raise MalformedUrl("A URL names no host: give an http or https address.")


_PLAIN_PATH = re.compile(r"/[!&-)+-;=?-\[\]_a-z~]*+").fullmatch
"""Characters of RFC 3986 without ``%``, ``*``, ``$`` and ``#``: already comparable."""
_NO_URI_CHARACTERS = re.compile(r"[^!#-;=?-\[\]_a-z~]++")
"""What RFC 3986 allows in no URI: controls, space, ``"<>\\^`{|}`` and all beyond US-ASCII."""
_ESCAPES = re.compile(r"(?<!%)(?<!%[0-9A-Fa-f])(?:%[0-9A-Fa-f]{2})++")
"""Escapes in a row, but for those that would complete an unfinished one when undone (``%%37E``)."""
_UNRESERVED = re.compile(r"%(2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])")
"""Escaped letters, digits, ``-``, ``.``, ``_`` and ``~`` (RFC 3986, 2.3)."""
_PERCENT_ENCODED = [f"%{octet:02X}" for octet in range(256)]


def comparable_path(path: str) -> str:
    """``path`` (path and query) in the form in which RFC 9309, section 2.2.2, compares octets.

    `normalize_escapes`, and ``*`` and ``$``, which mean something in a pattern, are escaped, too
    (2.2.3). Tabs and line breaks go, white space and controls at the end as well (WHATWG URL), and a
    missing leading slash is added. The result is visible ASCII; idempotent.
    """
    if _PLAIN_PATH(path):
        return path
    if not path.isprintable():
        path = path.translate(_DROPPED)
    path = path.rstrip(_C0_OR_SPACE)
    if not path.startswith("/"):
        path = "/" + path
    return normalize_escapes(path).replace("*", "%2A").replace("$", "%24")


def normalize_escapes(text: str, encoding: str = "utf-8") -> str:
    """Percent-encode what no URI holds, upper-case escapes, unescape unreserved characters.

    ``%7e`` is ``~`` and ``<`` is ``%3C``, but ``%2F`` is not ``/``: reserved characters differ from
    their escapes (RFC 3986, 2.2 and 2.3). ``encoding`` says which octets a character stands for:
    ``latin-1`` where ``text`` holds one octet a character. Idempotent.
    """

    def percent_encoded(found: re.Match[str]) -> str:
        octets = found[0].encode(encoding, "surrogatepass")
        return "".join(map(_PERCENT_ENCODED.__getitem__, octets))

    text = _NO_URI_CHARACTERS.sub(percent_encoded, text)
    return _ESCAPES.sub(_normalized, text) if "%" in text else text


def _normalized(escapes: re.Match[str]) -> str:
    return _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), escapes[0].upper())
