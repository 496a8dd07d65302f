"""robots.txt as the published corpora read it: the semantics of Protego 0.7.0, with line numbers.

Written for comparison with those corpora and held equal to Protego, release 0.7.0, by the tests, on
real files and on generated ones. The text is the body decoded as plain UTF-8, so a byte order mark
costs the file its first group, as it did there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlparse, urlsplit

from pipeline.optout.robots.model import Group, RankedRule, RobotsFile
from pipeline.optout.rules import Rule

_AGENT, _ALLOW, _DISALLOW, _SITE_WIDE, _OTHER = range(5)
_FIELDS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), _AGENT),
    "allow": _ALLOW,
    **dict.fromkeys(
        ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), _DISALLOW
    ),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map", "host"), _SITE_WIDE),
    **dict.fromkeys(("crawl-delay", "crawl delay", "request-rate", "request rate"), _OTHER),
    **dict.fromkeys(("visit-time", "visit time"), _OTHER),
}
_MAX_WORDS = 2
_CACHED_FILE, _CACHED_LINE = 1 << 16, 1 << 8
"""Octets of a file and characters of its lines up to which lines are remembered."""
_PLAIN_URL = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?(/(?!/)[A-Za-z0-9_.~/=-]*)"
).fullmatch
_PLAIN_QUERY = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._-]*(/(?!/)[A-Za-z0-9_.~/=-]*)\?([A-Za-z0-9_.~/=&+,:;@!-]*)"
).fullmatch
_QUOTED = {ord(c): f"%{ord(c):02X}" for c in "&+,:;@!"}
_PLAIN_PATTERN = re.compile(r"[A-Za-z0-9_.~/=*-]+\$?").fullmatch


def parse(body: bytes) -> RobotsFile:
    """Parse the octets of a robots.txt, decoded as UTF-8 with replacement characters."""
    text = body.decode("utf-8", "replace")
    lines = text.splitlines()
    short = len(body) <= _CACHED_FILE and max(map(len, lines), default=0) <= _CACHED_LINE
    read = _read_cached if short else _read
    groups: list[Group] = []
    tokens: dict[str, list[int]] = {}
    group: Group | None = None
    previous: int | None = None
    for number, line in enumerate(lines, 1):
        item = read(line) if line else None
        if item is None:
            continue
        field, value, rules = item
        if field == _AGENT and previous is not None and previous != _AGENT:
            group = None
        if field != _SITE_WIDE:
            previous = field
        if not value:
            continue
        if field == _AGENT:
            if group is None:
                group = Group()
                groups.append(group)
            # Wildcards in a token are dropped, and the group answers to both spellings.
            _name(tokens, value, len(groups) - 1)
            if "*" in value:
                _name(tokens, value.replace("*", ""), len(groups) - 1)
        elif group is not None:
            for pattern in rules:
                rule = Rule(pattern, field == _ALLOW, number)
                group.rules.append(RankedRule(len(pattern), rule))
    return RobotsFile(tuple(groups), tokens, lines=tuple(lines))


def _name(tokens: dict[str, list[int]], token: str, group: int) -> None:
    """Let ``token`` name ``group``, once."""
    if token:
        named = tokens.setdefault(token, [])
        if not named or named[-1] != group:
            named.append(group)


def score(token: str, agent: str) -> int:
    """How well ``token`` fits: its length where it stands in the name at the start of a word."""
    if token == "*":
        return 1
    name = agent.strip().lower()
    at = name.find(token) if token else -1
    while at >= 0:
        if at == 0 or not (name[at - 1].isalnum() or name[at - 1] in "-_"):
            return len(token)
        at = name.find(token, at + 1)
    return 0


def url_path(url: str) -> str | None:
    """Path and query of ``url`` in the form that patterns are compared with.

    ``None`` for the robots.txt itself, which may always be fetched. Raises `ValueError` where the
    standard library cannot split the URL.
    """
    if "/robots.txt" in url and urlparse(url).path == "/robots.txt":
        return None
    if plain := _PLAIN_URL(url):
        return plain[1]
    if simple := _PLAIN_QUERY(url):
        return f"{simple[1]}%3F{simple[2].translate(_QUOTED)}"
    url = url.partition("#")[0]
    parts = urlsplit(url)
    path = parts.path
    if "?" in url:
        path += f"?{parts.query}"
    path = _requoted(path, _PATH)
    return path if path.startswith("/") else "/" + path


def shown(line: str) -> str:
    """One of `RobotsFile.lines` as text for people."""
    return line.strip()


def _read(line: str) -> tuple[int, str, tuple[str, ...]] | None:
    """Field, value and, for a rule, its patterns."""
    comment = line.find("#")
    line = (line if comment < 0 else line[:comment]).strip()
    if not line:
        return None
    found = _field(line)
    if found is None:
        return None
    field, value = found
    if field == _AGENT:
        return field, value.strip().lower(), ()
    if field in {_ALLOW, _DISALLOW} and value:
        return field, value, tuple(_patterns(value, allow=field == _ALLOW))
    return field, value, ()


_read_cached = lru_cache(maxsize=1 << 15)(_read)


def _field(line: str) -> tuple[int, str] | None:
    unknown: str | None = None
    if ":" in line:
        name, raw = line.split(":", 1)
        name, value = name.strip().lower(), raw.strip()
        if name in _FIELDS:
            return _FIELDS[name], value
        unknown = value
        if not raw or raw[0].isspace():
            return _OTHER, value
    words = line.split()
    for count in range(1, _MAX_WORDS + 1):
        name = " ".join(words[:count]).lower()
        if name in _FIELDS:
            return _FIELDS[name], " ".join(words[count:])
    return None if unknown is None else (_OTHER, unknown)


def _patterns(value: str, *, allow: bool) -> list[str]:
    """The patterns a value stands for: a ``$`` may be literal, an index page its directory."""
    patterns = _patterns(value.replace("$", "%24"), allow=allow) if "$" in value else []
    pattern = value if _PLAIN_PATTERN(value) else _quoted_pattern(value)
    if pattern:
        patterns.append(pattern)
        if allow and pattern.endswith("/index.html"):
            patterns.append(pattern.removesuffix("index.html") + "$")
    return patterns


def _quoted_pattern(value: str) -> str:
    if value.startswith(("https://", "http://")):
        value = "/" + value
    anchor = "$" if value.endswith("$") else ""
    return _requoted(value.removesuffix("$"), _PATTERN) + anchor


class _Quoting(NamedTuple):
    """Which octets one side of a comparison spells out, and which escapes it leaves as they are."""

    spelt: list[str]
    undone: re.Pattern[bytes]
    """Runs of escapes that are undone."""


def _quoting(kept: str) -> _Quoting:
    """Decode escapes except those of ``kept``; encode all but ``kept``, ``=`` and the unreserved."""
    codes = "|".join(f"{ord(c):02X}" for c in kept)
    return _Quoting(
        [quote(bytes([octet]), safe=f"{kept}=") for octet in range(256)],
        re.compile(rf"(?:%(?!{codes})[0-9A-F]{{2}})++".encode(), re.IGNORECASE),
    )


_PATH, _PATTERN = _quoting("/%"), _quoting("/%*")
_KEPT_IN_LOWER_CASE = re.compile(rb"%2[af]")


def _requoted(value: str, quoting: _Quoting) -> str:
    """Both sides of a comparison in one spelling; raises `ValueError` for a lone surrogate."""
    octets = value.encode()
    if b"%" in octets:
        # Only "%2a" of a path is undone, so raising its case first changes nothing.
        octets = _KEPT_IN_LOWER_CASE.sub(lambda kept: kept[0].upper(), octets)
        octets = quoting.undone.sub(
            lambda run: bytes.fromhex(run[0][1:].replace(b"%", b"").decode()), octets
        )
        octets = octets.decode("utf-8", "replace").encode()
    return "".join(map(quoting.spelt.__getitem__, octets))
