"""robots.txt by RFC 9309, with the tolerance of Google's open-source parser.

Beyond the RFC, as that parser does: byte order marks are skipped, common misspellings and a missing
colon are obeyed, keys are matched by their beginning, lines are cut at 16,664 octets, a NUL ends its
line, lines that are not understood do not close a group, and an ``Allow`` of ``.../index.htm*`` also
allows the directory.

Where it deviates, it does so towards the person who wrote the file:

- Product tokens keep their digits, so that ``AI2Bot`` is matched whole (the grammar of RFC 9309,
  2.2.1, has no digits; a parser that stops at the digit reads ``AI``).
- UTF-16 is decoded, by its byte order mark or by its NULs.
- Rules and URLs are compared in one normal form (RFC 9309, 2.2.2: ``%7E`` is ``~``, ``%aa`` is
  ``%AA``), where that parser takes the URL as given.
"""

from __future__ import annotations

import re
from functools import lru_cache

from filter.urls import normalize_escapes
from pipeline.optout.robots.model import Group, RankedRule, RobotsFile
from pipeline.optout.rules import Rule

_WHITE = " \t\n\v\f\r"
_MAX_LINE = 2083 * 8 - 1
_BOM = "\xef\xbb\xbf"
_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
_PRODUCT = re.compile(r"([A-Za-z0-9_-]+)(?:/\S*)?$")
_GLOBAL = re.compile(r"\*(?:[ \t\n\v\f\r]|$)")
_FIRST_WHITE = re.compile(r"[ \t]")

_AGENT, _ALLOW, _DISALLOW, _USAGE, _SIGNAL, _LICENSE = range(6)
_KEYS = (
    ("user-agent", _AGENT),
    ("useragent", _AGENT),
    ("user agent", _AGENT),
    ("allow", _ALLOW),
    ("disallow", _DISALLOW),
    ("dissallow", _DISALLOW),
    ("dissalow", _DISALLOW),
    ("disalow", _DISALLOW),
    ("diasllow", _DISALLOW),
    ("disallaw", _DISALLOW),
    ("content-usage", _USAGE),
    ("content-signal", _SIGNAL),
    ("license", _LICENSE),
)
_CACHED_UP_TO = 1 << 16
"""Octets of a file up to which its lines are worth remembering; larger ones would flood the memory."""


def product_token(value: str) -> str:
    """The token that a ``User-agent`` line names: its leading letters, digits, ``_`` and ``-``."""
    if _GLOBAL.match(value):
        return "*"
    found = _TOKEN.match(value)
    return found[0].lower() if found else ""


def own_token(agent: str) -> str:
    """The token an agent answers to: ``CCBot/2.0`` is ``ccbot``, ``*`` is ``*``.

    A name that is not a product token (RFC 9309, 2.2.1), a whole User-Agent header for instance, is
    addressed by no line, so that only the group of ``*`` concerns it.
    """
    found = _PRODUCT.match(agent)
    return found[1].lower() if found else agent if agent == "*" else ""


def parse(body: bytes) -> RobotsFile:
    """Parse the octets of a robots.txt; whatever they are, this gives a file, perhaps an empty one."""
    text = _octets(body)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    read = _read_cached if len(text) <= _CACHED_UP_TO else _read
    groups: list[Group] = []
    tokens: dict[str, list[int]] = {}
    licenses: list[str] = []
    usage = False
    group: Group | None = None
    closed = True
    for number, item in enumerate(map(read, lines), 1):
        if item is None:
            continue
        key, value, priority = item
        if key == _AGENT:
            if closed or group is None:
                group = Group()
                groups.append(group)
                closed = False
            named = tokens.setdefault(value, [])
            if not named or named[-1] != len(groups) - 1:
                named.append(len(groups) - 1)
        elif key == _LICENSE:
            licenses.append(value)
        elif group is None:
            continue
        elif key in {_ALLOW, _DISALLOW}:
            closed = True
            if not priority:  # an empty pattern matches nothing (RFC 9309, 2.2.2)
                continue
            group.rules.append(RankedRule(priority, Rule(value, key == _ALLOW, number)))
            if key == _ALLOW and "/index.htm" in value:
                _allow_directory(group, value, number)
        else:
            usage = True
            (group.usage if key == _USAGE else group.signals).append((number, value))
    return RobotsFile(tuple(groups), tokens, tuple(licenses), tuple(lines), usage)


def score(token: str, agent: str) -> int:
    """How well a line for ``token`` fits ``agent``: by name (2), as everybody (1), or not at all."""
    return 2 if token and token == own_token(agent) else int(token == "*")


def shown(line: str) -> str:
    """One of `RobotsFile.lines` as text for people."""
    return line.encode("latin-1").decode("utf-8", "replace").strip(_WHITE)


def _octets(body: bytes) -> str:
    """The octets of the file as UTF-8, one character each, without a byte order mark."""
    utf16 = _utf16(body)
    if utf16:
        body = body.decode(utf16, "replace").encode()
    text = body.decode("latin-1")
    skipped = 0
    while skipped < 3 and text[skipped : skipped + 1] == _BOM[skipped]:
        skipped += 1  # a part of a mark is skipped, too, as Google's parser does
    return text[skipped:]


def _utf16(body: bytes) -> str | None:
    if body.startswith(b"\xff\xfe"):
        return "utf-16"
    if body.startswith(b"\xfe\xff"):
        return "utf-16"
    head = body[:64]
    if len(head) >= 8 and b"\0" in head:
        half = len(head) // 2
        if head[1::2].count(0) == half and 0 not in head[::2]:
            return "utf-16-le"
        if head[::2].count(0) == len(head) - half and 0 not in head[1::2]:
            return "utf-16-be"
    return None


def _read(line: str) -> tuple[int, str, int] | None:
    """Key, value and octets of the pattern of one line, or ``None`` where it says nothing known."""
    line = line[:_MAX_LINE]
    for end in ("\0", "#"):
        cut = line.find(end)
        if cut >= 0:
            line = line[:cut]
    line = line.strip(_WHITE)
    separator = line.find(":")
    if separator < 0:
        white = _FIRST_WHITE.search(line)
        if white is None:
            return None
        separator = white.start()
        # Without a colon only "key value" is understood, not a sentence.
        if _FIRST_WHITE.search(line[separator:].lstrip(" \t")):
            return None
    name = line[:separator].strip(_WHITE).lower()
    key = next((k for prefix, k in _KEYS if name.startswith(prefix)), None)
    if key is None:
        return None
    value = line[separator + 1 :].strip(_WHITE)
    if key == _AGENT:
        return key, product_token(value), 0
    if key in {_ALLOW, _DISALLOW}:
        return key, _pattern(value), len(value) + 2 * sum(c > "\x7f" for c in value)
    return key, value.encode("latin-1").decode("utf-8", "replace"), 0


_read_cached = lru_cache(maxsize=1 << 15)(_read)


def _pattern(value: str) -> str:
    """A rule's value (octets) in comparable form; ``*`` and a final ``$`` keep their meaning."""
    if value.isascii() and "%" not in value and "$" not in value[:-1] and value.isprintable():
        return value
    text = value.encode("latin-1").decode("utf-8", "surrogateescape")
    anchor = text.endswith("$")
    text = _bytewise(text[:-1] if anchor else text).replace("$", "%24")
    return normalize_escapes(text) + ("$" if anchor else "")


def _bytewise(text: str) -> str:
    """Escape octets that are not UTF-8 as they stand: they can only match the same escapes."""
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def _allow_directory(group: Group, pattern: str, line: int) -> None:
    """``Allow: /a/index.html`` also allows ``/a/`` (an extension of Google's parser)."""
    slash = pattern.rfind("/")
    if pattern.startswith("/index.htm", slash):
        directory = pattern[: slash + 1] + "$"
        group.rules.append(RankedRule(len(directory), Rule(directory, allow=True, line=line)))
