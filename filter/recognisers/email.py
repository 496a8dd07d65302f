"""E-mail addresses: dot-atoms (RFC 5322, section 3.4.1) of any script (RFC 6531) at a domain.

Every ``@`` is looked at once, with a bounded window on both sides, so that the work is linear in
the text. What is not found is listed in ``docs/recognisers.md``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from filter.errors import InputError, MalformedHost
from filter.hosts import canonical_host, is_ip_address
from filter.identifiers import IdentifierKind, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIGGER = r"[^\x00-\x20](?:@|＠)(?:\[|[^\x00-\x20@]+\.[^\x00-\x20])"
"""A full-width ``＠`` is common in Japanese pages; every engine reads its three octets alike."""

_MAX_LOCAL = 64
"""Octets (RFC 5321, section 4.5.3.1.1)."""
_MAX_DOMAIN = 253

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Scripts whose words stand without spaces: there an address touches the text around it."""
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u0900-\u0963\u0971-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u102b-\u103e\u17b4-\u17d3"
)
r"""Combining marks that spell words, and that ``\w`` leaves out: Devanagari vowel signs, say."""
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"

# Of atext (RFC 5322, section 3.2.3) without = / ? { | } ` * ! # ^: next to an address these are
# nearly always a query, a path, a table or mark-up, and what follows them is the address.
# Text made from Markdown keeps the backslash of \_ (read backwards here).
_LOCAL = rf"(?:[\w{_MARKS}$%&'+~-]|(?<=_)\\)"

_FILE_TYPES = (
    "aspx?|avif?|bmp|cfg|conf|cpp|css|csv|dll|docx?|eot|eps|exe|flac|gif|gz|heic|hpp|html?|ico|ini"
    "|jpe?g|jsx?|json|jsp|log|mjs|mkv|mpe?g|odt|ogg|otf|pdf|php|png|pptx?|psd|rar|scss|sql|svg|tar"
    "|tgz|tiff?|tmp|tsx?|ttf|txt|wav|webp|wmv|woff|xhtml|xlsx?|xml|ya?ml"
)
"""Last labels of file names (``logo@2x.png``) that are no top-level domains."""


class _Patterns(NamedTuple):
    at: re.Pattern[str]
    local: re.Pattern[str]
    """To be matched on reversed text, from the at-sign backwards."""
    domain: re.Pattern[str]
    literal: re.Pattern[str]
    cut: re.Pattern[str]
    file_type: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compiled at first use, so that importing stays cheap."""
    label = rf"[^\W_][\w{_MARKS}-]*+"
    other = rf"(?:(?![{_LATIN}])[^\W\d_]|[{_MARKS}])"
    # A top-level domain is of one script, so an ASCII one ends where another script begins.
    top = rf"(?:[Xx][Nn]--[0-9A-Za-z-]+|[{_LATIN}]{{2,63}}+|{other}{{2,63}}+)"
    whole = rf"(?![0-9@＠]|[{_LATIN}]|\.[^\W\d_])"
    # Text of a spaceless script glued to an ASCII domain is left out; else the longest name counts.
    glued = rf"(?:[0-9A-Za-z][0-9A-Za-z-]*+\.)+[A-Za-z]{{2,63}}+(?=[{_SPACELESS}])"
    return _Patterns(
        at=re.compile("[@＠]"),
        local=re.compile(rf"{_LOCAL}++(?:\.{_LOCAL}++)*+"),
        domain=re.compile(rf"{glued}|(?:{label}\.)+{top}{whole}"),
        literal=re.compile(r"\[(?:IPv6:)?[0-9A-Fa-f:.]{3,45}\]"),
        cut=re.compile(rf"[{_SPACELESS}]|%[0-9A-Fa-f]{{2}}"),
        file_type=re.compile(_FILE_TYPES),
    )


def find(text: str) -> Iterator[Span]:
    """The e-mail addresses of a text, ascending. The domain of a value is a canonical host.

    RFC 5321, section 2.4, leaves the case of a local part to the receiving host. No provider in use
    tells ``Jane@`` from ``jane@``, people write both, and whoever asks for one to be forgotten
    means the other too: the local part of a value is NFKC-normalised and lower-cased.
    """
    patterns = _patterns()
    floor = 0
    for match in patterns.at.finditer(text):
        here = match.start()
        start = _local_start(text, here, floor)
        if start < 0:
            continue
        window = here + _MAX_DOMAIN + 3
        found = patterns.domain.match(text, here + 1, window)
        if found is None:
            found = patterns.literal.match(text, here + 1, window)
        if found is None:
            continue
        domain = found.group()
        if domain[0] == "[":
            canonical = _literal(domain)
        else:
            domain = _without_next_sentence(domain)
            canonical = _domain(domain)
        local = _local(text[start:here])
        if canonical and local:
            floor = here + 1 + len(domain)
            yield Span(start, floor, IdentifierKind.EMAIL, f"{local}@{canonical}")


def canonicalize(text: str) -> str:
    """The canonical form of one address: what `find` gives for it.

    Raises `InputError` where the text, white space around it aside, is not one address as `find`
    sees it.
    """
    text = text.strip()
    for span in find(text):
        if (span.start, span.end) == (0, len(text)):
            return span.value
    raise InputError("This is not an e-mail address: write name@host.tld and nothing else.")


def _local_start(text: str, at: int, floor: int) -> int:
    """Where the local part before ``at`` begins, at ``floor`` or behind; -1 if there is none."""
    backwards = _patterns().local.match(text[max(floor, at - _MAX_LOCAL - 1) : at][::-1])
    if backwards is None:
        return -1
    run = at - backwards.end()
    start = run
    if unicodedata.normalize("NFKC", text[at - 1]).isascii():
        # Glued to text of a spaceless script, or behind a percent-encoded delimiter.
        for cut in _patterns().cut.finditer(text, run, at):
            start = cut.end()
    if start == run and run > floor and text[run - 1] in "@＠":
        return -1  # the handle of another network: @jane@social.example
    # Leading marks are quotes, list bullets and emphasis.
    while start < at and text[start] in "\\_$%&'+~-.":
        start += 1
    return start if start < at else -1


def _local(raw: str) -> str | None:
    raw = raw.replace("\\_", "_")
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).lower())
    # NFKC makes delimiters out of some letter-like signs: what is left must still be read whole.
    if local and _local_start(f"{local}@", len(local), 0) == 0:
        return local if len(local.encode()) <= _MAX_LOCAL else None
    return None


def _domain(raw: str) -> str | None:
    try:
        host = canonical_host(raw)
    except MalformedHost:
        return None
    labels = host.split(".")
    if "_" in host or any(label.endswith("-") for label in labels):
        return None  # no host name (RFC 952), though a web server may have it
    if _patterns().file_type.fullmatch(labels[-1]):
        return None  # logo@2x.png
    if labels[0].isdigit() and labels[1].isdigit():
        return None  # package@1.0.0-beta.next
    # UTS 46 makes digits out of some letter-like signs.
    return host if _patterns().domain.fullmatch(host) else None


def _without_next_sentence(domain: str) -> str:
    """``example.org.Please`` is ``example.org`` and a sentence that lost its space."""
    head, _, last = domain.rpartition(".")
    glued = last[:1].isupper() and last[1:].islower() and head.islower()
    if glued and re.search(r"\.[a-z]{2,63}\Z", head):
        return head
    return domain


def _literal(raw: str) -> str | None:
    """An address literal (RFC 5321, section 4.1.3) in canonical form, with its brackets."""
    inside = raw[1:-1]
    try:
        if inside.startswith("IPv6:"):
            return f"[IPv6:{canonical_host(f'[{inside[5:]}]')[1:]}"
        host = canonical_host(inside)
    except MalformedHost:
        return None
    return f"[{host}]" if is_ip_address(host) else None
