"""IP addresses on the public Internet: IPv4 in four decimal octets, IPv6 as RFC 4291 writes it.

Private, reserved and documentation addresses name nobody and are left alone; so are the many
four-part numbers that are versions or section numbers. `docs/recognisers.md` says what that costs.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from filter.errors import InputError
from filter.identifiers import IdentifierKind, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIGGER = (
    r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
    r"|[23][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:"
)

_NOT_GLOBAL_V4 = (
    ("0.0.0.0", 8),  # noqa: S104 -- a table of networks, nothing listens
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 3),
)
"""IANA's IPv4 special-purpose registry (RFC 6890), with multicast and class E at the end.

Written out, because `ipaddress.is_global` changed its mind between versions of Python.
"""
_NOT_GLOBAL_V6 = (
    ("2001::", 23),
    ("2001:db8::", 32),
    ("2002::", 16),
    ("3fff::", 20),
)
"""The part of IANA's IPv6 special-purpose registry that lies in 2000::/3 (RFC 6890, RFC 9637)."""

_NUMBERED = """
v ver vers version versions versión versões versão versione versioni versionen versie wersja verze
версия 版本 버전 バージョン release releases rel build rev revision update patch firmware fw driver
kernel ausgabe fassung
section sections sect sec subsection chapter chap ch clause clauses article articles art paragraph
paragraphs paragraphe para par appendix annex table tables tab figure figures fig equation eq rule
item step theorem lemma definition oid no nos num nr n § §§ №
abschnitt kapitel kap ziffer ziff absatz abs artikel anhang tabelle abbildung abb chapitre alinéa
annexe tableau sezione capitolo articolo allegato sección capítulo artículo anexo seção artigo
hoofdstuk paragraaf rozdział раздел глава пункт статья п ст
"""
"""Words before a four-part number that make it a version, a section, a figure ..."""
_BETWEEN = " \u00a0\t\n:=#(\"'*.°"
"""What may stand between such a word and its number."""
_MARKUP = " \u00a0\t#*>|_-"
"""What may stand before a heading."""
_SMALL = 29
"""Four numbers up to this are a section or a version, unless something speaks for an address.

One address in 5,000 is made of such numbers; in web pages nearly all such numbers are no addresses.
"""


class _Patterns(NamedTuple):
    v4: re.Pattern[str]
    v6: re.Pattern[str]
    word: re.Pattern[str]
    product: re.Pattern[str]
    """A user agent's product token (RFC 9110, section 10.1.5): Browser/120.0.1.2."""
    listed: re.Pattern[str]
    """Between two numbers of one list."""
    heading: re.Pattern[str]
    """Behind the number of a section."""
    address: re.Pattern[str]
    """Behind an address: a port, the length of a prefix."""
    network: re.Pattern[str]
    """Before an address."""


@cache
def _numbered() -> frozenset[str]:
    return frozenset(_NUMBERED.split())


@cache
def _patterns() -> _Patterns:
    """Compiled at first use, so that importing stays cheap."""
    octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    v4 = rf"{octet}(?:\.{octet}){{3}}"
    return _Patterns(
        v4=re.compile(
            rf"(?<![0-9A-Za-z_\u00c0-\u024f.+\-~])({v4})"
            # Not in a longer number, name or version; but 8.8.8.8-8.8.8.15 is a range.
            rf"(?![0-9A-Za-z_\u00c0-\u024f+~]|\.[0-9A-Za-z]|-(?!{v4})[0-9A-Za-z])"
            rf"(?:-({v4})(?![0-9A-Za-z_+~-]|\.[0-9A-Za-z]))?"
        ),
        # 2000::/3 leaves no leading zero to write, so that the first group has four digits.
        v6=re.compile(
            r"(?<![0-9A-Za-z_:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{2,41}+(?![0-9A-Za-z_:])"
        ),
        word=re.compile(r"(?:[^\W\d_]+|§+|№)\Z"),
        product=re.compile(r"(?:\A|[\s\"'(,;])[A-Za-z][\w+-]{0,30}/\Z"),
        listed=re.compile(
            r"\s?(?:[,;/&–-]|and|or|to|und|oder|bis|et|ou|à|e|y|o|и|или)\s?(?:v\.?)?", re.IGNORECASE
        ),
        heading=re.compile(r"[.:)]?[*_]{0,3}[ \t\u00a0]+[^\W\da-z]"),
        address=re.compile("[:/][0-9]"),
        network=re.compile(
            r"(?:\b(?:ip|ips|ipv4|dns|addr|address|addresses|adresse|adressen|adresses|indirizzo"
            r"|dirección|endereço|host|server|serveur|servidor|resolver|nameserver|gateway|ping)\b"
            r"|ip4:|地址|адрес|://)[^\n]{0,16}\Z",
            re.IGNORECASE,
        ),
    )


def find(text: str) -> Iterator[Span]:
    """The global addresses of a text, ascending; a value is `ipaddress`'s compressed form."""
    spans = [*_v6(text), *_v4(text)]
    spans.sort()
    floor = 0
    for span in spans:
        if span.start >= floor:
            floor = span.end
            yield span


def canonicalize(text: str) -> str:
    """The canonical form of one address, whatever `find` would make of the words around it.

    Raises `InputError` where the text, white space around it aside, is no address on the public
    Internet.
    """
    text = text.strip()
    address = _patterns().v4.fullmatch(text)
    if address is not None and address.group(2) is None and _is_global_v4(text):
        return text
    for span in _v6(text):
        if (span.start, span.end) == (0, len(text)):
            return span.value
    raise InputError("This is not a public IP address: write 4 decimal octets, or IPv6.")


def _v4(text: str) -> Iterator[Span]:
    patterns = _patterns()
    end, numbering = -1, False
    for match in patterns.v4.finditer(text):
        # "versions 4.1.2.3 and 4.1.2.4": a list is all of one kind.
        if not (0 <= end < match.start() <= end + 12) or not patterns.listed.fullmatch(
            text, end, match.start()
        ):
            numbering = _is_numbering(text, match)
        end = match.end()
        if numbering:
            continue
        for group in (1, 2):
            address = match.group(group)
            if address and _is_global_v4(address):
                yield Span(*match.span(group), IdentifierKind.IP, address)


def _is_numbering(text: str, match: re.Match[str]) -> bool:
    """Whether the four numbers are a version or a section, by what stands around them."""
    patterns = _patterns()
    start, end = match.start(), match.end()
    before = text[max(0, start - 40) : start]
    word = patterns.word.search(before[-20:].rstrip(_BETWEEN))
    if word is not None and word.group().lower() in _numbered():
        return True
    if before.endswith("/") and patterns.product.search(before):
        return True
    octets = match.group(1).split(".")
    small = all(int(octet) <= _SMALL for octet in octets)
    first = not before.rpartition("\n")[2].strip(_MARKUP)
    if small and first and patterns.heading.match(text, end):
        return True
    if before.rstrip(" ").endswith(("==", ">=", "<=", "~=")):
        return patterns.network.search(before) is None  # package==2.4.57.1
    if not small or len(set(octets)) == 1 or match.group(2) or patterns.address.match(text, end):
        return False
    return patterns.network.search(before) is None


def _v6(text: str) -> Iterator[Span]:
    from ipaddress import IPv6Address

    for match in _patterns().v6.finditer(text):
        # The longest reading first; a full stop or colon behind it belongs to the sentence.
        for end in (match.end(), match.end() - 1):
            try:
                address = IPv6Address(text[match.start() : end])
            except ValueError:
                if text[end - 1] not in ".:":
                    break
                continue
            if _is_global_v6(int(address)):
                yield Span(match.start(), end, IdentifierKind.IP, address.compressed)
            break


@cache
def _networks(version: int) -> tuple[tuple[int, int], ...]:
    """(first address, mask) of every network that is not global."""
    from ipaddress import ip_network

    table = _NOT_GLOBAL_V4 if version == 4 else _NOT_GLOBAL_V6
    networks = [ip_network(f"{address}/{bits}") for address, bits in table]
    return tuple((int(n.network_address), int(n.netmask)) for n in networks)


def _is_global_v4(address: str) -> bool:
    a, b, c, d = map(int, address.split("."))
    value = a << 24 | b << 16 | c << 8 | d
    return not any(value & mask == first for first, mask in _networks(4))


def _is_global_v6(value: int) -> bool:
    return not any(value & mask == first for first, mask in _networks(6))
