"""robots.txt by RFC 9309, with the tolerance of Google's open-source parser.

Beyond the RFC, as that parser does: byte order marks are skipped, common misspellings and a missing
colon are obeyed, keys are matched by their beginning, lines are cut at 16,663 octets, a NUL ends its
line, lines that are not understood do not close a group, and an ``Allow`` of ``.../index.htm*`` also
allows the directory.

Where it deviates from that parser, it does so towards the RFC or the person who wrote the file:

- Product tokens keep their digits, so that ``AI2Bot`` is matched whole (the grammar of RFC 9309,
  2.2.1, has no digits; a parser that stops at the digit reads ``AI``).
- An agent whose name is no product token (``bigsur.ai``, ``Kangaroo Bot``) is addressed by a line
  that gives its whole name.
- UTF-16 is decoded, by its byte order mark or by its NULs.
- Rules and URLs are compared in one normal form (RFC 9309, 2.2.2: ``%7E`` is ``~``, ``%aa`` is
  ``%AA``), and patterns are weighed in it; that parser takes the URL as given.
- ``/robots.txt`` itself may always be fetched (RFC 9309, 2.2.2).
"""

from __future__ import annotations

import re
from functools import lru_cache

from filter.urls import comparable_path, normalize_escapes
from pipeline.optout.robots.model import Group, RankedRule, RobotsFile
from pipeline.optout.rules import Rule

_WHITE = " \t\n\v\f\r"
_MAX_LINE = 2083 * 8 - 1
"""Octets of a line that count: eight URLs of the 2,083 characters that browsers once could do."""
_BOM = "\xef\xbb\xbf"
_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
_PRODUCT = re.compile(r"([A-Za-z0-9_-]+)(?:/\S*)?")
_GLOBAL = re.compile(r"\*(?:[ \t\n\v\f\r]|\Z)")

_AGENT, _ALLOW, _DISALLOW, _USAGE, _SIGNAL, _LICENSE = range(6)
_KEYS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), _AGENT),
    "allow": _ALLOW,
    **dict.fromkeys(
        ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), _DISALLOW
    ),
    "content-usage": _USAGE,
    "content-signal": _SIGNAL,
    "license": _LICENSE,
}
"""How keys begin; none is the beginning of another one."""
_KEY = rf"[{_WHITE}]*+({'|'.join(_KEYS)})"
_LINE = re.compile(rf"{_KEY}[^:#\0]*+:([^#\0]*+)", re.IGNORECASE | re.ASCII)
_NO_COLON = re.compile(
    rf"{_KEY}[^ \t:#\0]*+[ \t]++([^ \t:#\0]++)[{_WHITE}]*+(?:[#\0]|\Z)", re.IGNORECASE | re.ASCII
)
"""Without a colon only "key value" is understood, not a sentence."""
_PLAIN_PATTERN = re.compile(r"[!&-;=?-\[\]_a-z~]*+\$?").fullmatch
"""Characters of RFC 3986 without ``%`` and, but for the end, ``$``: already comparable."""
_CACHED_FILE, _CACHED_LINE = 1 << 16, 1 << 8
"""Octets of a file and of its lines up to which lines are remembered; others would flood the memory."""


def line_tokens(value: str) -> tuple[str, ...]:
    """Whom a ``User-agent`` line addresses: ``GPTBot/1.1`` the token ``gptbot``.

    Anything else addresses its leading letters, digits, ``_`` and ``-``, and its whole text:
    ``Kangaroo Bot`` the agents ``kangaroo`` and ``kangaroo bot``. ``*`` may be followed by more.
    """
    if found := _PRODUCT.fullmatch(value):
        return (found[1].lower(),)
    if _GLOBAL.match(value):
        return ("*",)
    leading = _TOKEN.match(value)
    return (leading[0].lower() if leading else ""), _whole_name(value)


def own_token(agent: str) -> str:
    """What addresses an agent: ``CCBot/2.0`` answers to ``ccbot``, ``*`` to ``*``.

    A name that is not a product token (RFC 9309, 2.2.1) with perhaps a version, a whole User-Agent
    header for instance, answers to itself in lower case.
    """
    found = _PRODUCT.fullmatch(agent.strip())
    return found[1].lower() if found else _whole_name(agent)


def score(token: str, agent: str) -> int:
    """How well a line for ``token`` fits ``agent``: by name (2), as everybody (1), or not at all."""
    return 2 if token and token == own_token(agent) else int(token == "*")


def parse(body: bytes) -> RobotsFile:
    """Parse the octets of a robots.txt; whatever they are, this gives a file, perhaps an empty one."""
    text = _octets(body)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    short = len(text) <= _CACHED_FILE and max(map(len, lines)) <= _CACHED_LINE
    read = _read_cached if short else _read
    groups: list[Group] = []
    tokens: dict[str, list[int]] = {}
    licenses: list[str] = []
    usage = False
    group: Group | None = None
    closed = True
    for number, line in enumerate(lines, 1):
        item = read(line) if line else None
        if item is None:
            continue
        key, value, octets = item
        if key == _AGENT:
            if closed or group is None:
                group = Group()
                groups.append(group)
                closed = False
            for token in line_tokens(value):
                named = tokens.setdefault(token, [])
                if not named or named[-1] != len(groups) - 1:
                    named.append(len(groups) - 1)
        elif key == _LICENSE:
            licenses.append(value)
        elif group is None:
            continue
        elif key in {_ALLOW, _DISALLOW}:
            closed = True
            if not octets:  # an empty pattern matches nothing (RFC 9309, 2.2.2)
                continue
            group.rules.append(RankedRule(octets, Rule(value, key == _ALLOW, number)))
            if key == _ALLOW and "/index.htm" in value:
                _allow_directory(group, value, number)
        else:
            usage = True
            (group.usage if key == _USAGE else group.signals).append((number, value))
    return RobotsFile(tuple(groups), tokens, tuple(licenses), tuple(lines), usage)


def shown(line: str) -> str:
    """One of `RobotsFile.lines` as text for people."""
    return _text(line).strip(_WHITE)


def url_path(url: str) -> str | None:
    """Path, parameters and query of a URL, by the rules of Google's open-source matcher.

    Tolerates what is not a URL: a bare path is its own path, no path is ``/``. ``None`` for the
    robots.txt itself, which is implicitly allowed (RFC 9309, 2.2.2).
    """
    start = 2 if url.startswith("//") else 0
    early = _first_of(url, "/?;", start)
    scheme_end = url.find("://", start)
    at = start if scheme_end < 0 or early < scheme_end else scheme_end + 3
    begin = _first_of(url, "/?;", at)
    fragment = url.find("#", start)
    path = comparable_path(url[begin:] if fragment < 0 else url[begin:fragment])
    return None if path == "/robots.txt" or path.startswith("/robots.txt?") else path


def _first_of(text: str, characters: str, start: int) -> int:
    found = [i for c in characters if (i := text.find(c, start)) >= 0]
    return min(found, default=len(text))


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
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
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
    found = _LINE.match(line)
    if found is None:
        found = _NO_COLON.match(line)
        if found is None or " " in found[1] or not found[2].strip(_WHITE):
            return None
    key, value = _KEYS[found[1].lower()], found[2].strip(_WHITE)
    if key in {_ALLOW, _DISALLOW}:
        return key, *_pattern(value)
    return key, _text(value), 0


_read_cached = lru_cache(maxsize=1 << 15)(_read)


def _text(octets: str) -> str:
    return octets if octets.isascii() else octets.encode("latin-1").decode("utf-8", "replace")


def _whole_name(name: str) -> str:
    return " ".join(name.split()).lower()


def _pattern(value: str) -> tuple[str, int]:
    """A rule's value (octets) in comparable form, and the octets it weighs (RFC 9309, 2.2.2).

    ``*`` and a final ``$`` keep their meaning; any other ``$`` is literal and weighs one octet.
    """
    if _PLAIN_PATTERN(value):
        return value, len(value)
    anchor = "$" if value.endswith("$") else ""
    text = normalize_escapes(value.removesuffix("$"), "latin-1")
    return text.replace("$", "%24") + anchor, len(text) + len(anchor)


def _allow_directory(group: Group, pattern: str, line: int) -> None:
    """``Allow: /a/index.html`` also allows ``/a/`` (an extension of Google's parser)."""
    slash = pattern.rfind("/")
    if pattern.startswith("/index.htm", slash):
        directory = pattern[: slash + 1] + "$"
        group.rules.append(RankedRule(len(directory), Rule(directory, allow=True, line=line)))
