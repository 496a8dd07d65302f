"""Canonical hosts: two spellings of one host become one string, and a `Host` proves it.

A crawl spells a host in many ways: ``EX.com``, ``ex.com.``, ``ex.com:443``, ``u:p@ex.com``,
``müller.example`` and ``xn--mller-kva.example``. An opt-out that is compared with anything but the
canonical form is missed.

No registry is asked: a host is canonical when it is well-formed, whether or not it resolves.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NewType

from filter.errors import MalformedHost

if TYPE_CHECKING:
    from collections.abc import Iterator

Host = NewType("Host", str)
"""A host as `canonical_host` writes it: lower-case ASCII, no port, userinfo or trailing dot."""

_MAX_HOST = 253
"""Octets of a name without its trailing dot: 255 on the wire (RFC 1035, section 2.3.4)."""
_MAX_LABEL = 63
"""Octets of a label (RFC 1035, section 2.3.4)."""

# Underscores and hyphens at the edges are no host names in the sense of RFC 952, but they resolve
# and are crawled.
_plain = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*+[a-z0-9_-]{1,63}").fullmatch
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ipv4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}").fullmatch
_dots = re.compile("[.\u3002\uff0e\uff61]")
"""The label separators of UTS 46, section 4."""

_BARRED = frozenset(("Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"))
"""General categories that no label may hold, not even one that UTS 46 cannot map."""
_REPLACEMENT = "\ufffd"


def canonical_host(authority: str) -> Host:
    """The one spelling of the host in ``[userinfo@]host[:port]``, as it stands in a URL.

    - userinfo, port, white space around and trailing dots go; ASCII is lower-cased;
    - percent-encoded octets are decoded as UTF-8 (RFC 3986, section 3.2.2);
    - names become A-labels by UTS 46, non-transitional: ``ß`` is kept, full-width letters and dots
      are folded. A label that IDNA 2008 refuses (an emoji, hyphens in places three and four) is
      encoded as UTS 46 mapped it; one that even UTS 46 cannot map as NFKC and lower case give it.
      A label that is an A-label already stays as it is;
    - an IPv4 address stays as it is, an IPv6 address keeps its brackets around the compressed form
      of RFC 5952, in hexadecimal throughout.

    Idempotent. A plain lower-case ASCII host costs one regular expression.

    Raises `MalformedHost` for nothing, an empty label, a character that no host name holds (not a
    letter, digit, hyphen or underscore), more than 63 octets in a label or 253 in all, unbalanced
    brackets, an IPv6 zone, an impossible port. The message never shows the host.
    """
    if _plain(authority) and len(authority) <= _MAX_HOST:
        return Host(authority)
    return split_authority(authority)[0]


def split_authority(authority: str) -> tuple[Host, int | None]:
    """`canonical_host` and the port, which is ``None`` where none is written or it is empty.

    Raises `MalformedHost` as `canonical_host` does, also for a port that is no number to 65535.
    """
    rest = authority.strip().rpartition("@")[2]
    if rest.startswith("["):
        inside, closed, after = rest[1:].partition("]")
        if not closed or (after and not after.startswith(":")):
            raise MalformedHost(
                "The brackets of this IPv6 host do not close: write [address]:port."
            )
        return _ipv6(inside), _port(after[1:])
    name, colon, port = rest.partition(":")
    if colon and ":" in port:
        raise MalformedHost("This host has several colons: write an IPv6 address in brackets.")
    return _name(name), _port(port)


def parents(host: Host) -> Iterator[Host]:
    """The host, then each parent down to its last two labels; an IP address has no parents."""
    yield host
    if is_ip_address(host):
        return
    dot = host.find(".")
    while dot >= 0 and host.find(".", dot + 1) >= 0:
        yield Host(host[dot + 1 :])
        dot = host.find(".", dot + 1)


def is_ip_address(host: Host) -> bool:
    """Whether the host is an IPv4 address in four decimal octets or an IPv6 address in brackets."""
    return host.startswith("[") or _ipv4(host) is not None


def _port(digits: str) -> int | None:
    if not digits:
        return None
    # Cut before int(): it refuses more than 4,300 digits with an error of its own.
    if digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) <= 5:
        port = int(digits[-5:])
        if port <= 65535:
            return port
    raise MalformedHost("The port of this host is not a number from 0 to 65535.")


def _ipv6(text: str) -> Host:
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(text)
    except ValueError:
        raise MalformedHost("There is no IPv6 address between the brackets of this host.") from None
    if address.scope_id is not None:
        raise MalformedHost("An IPv6 zone means nothing on another machine: leave %zone away.")
    if address.ipv4_mapped is not None:
        # Python writes these with dots from 3.13 on and without them before.
        low = int(address.ipv4_mapped)
        return Host(f"[::ffff:{low >> 16:x}:{low & 0xFFFF:x}]")
    return Host(f"[{address.compressed}]")


def _name(text: str) -> Host:
    if "%" in text:
        text = _percent_decoded(text)
    if not text.isascii():
        text = ".".join(map(_mapped, _dots.split(text)))
    labels = text.lower().rstrip(".").split(".")
    if not all(labels):
        raise MalformedHost("This host is empty or has an empty label: look for two dots in a row.")
    host = ".".join(map(_a_label, labels))
    if len(host) > _MAX_HOST:
        raise MalformedHost("This host is longer than 253 octets.")
    if not _plain(host):
        if any(len(label) > _MAX_LABEL for label in host.split(".")):
            raise MalformedHost("A label of this host is longer than 63 octets.")
        raise MalformedHost("This host holds a character that no host name can hold.")
    return Host(host)


def _percent_decoded(text: str) -> str:
    from urllib.parse import unquote_to_bytes

    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise MalformedHost("The percent-encoding of this host is not UTF-8.") from None


def _mapped(label: str) -> str:
    """The label as UTS 46 maps it, or NFKC and lower case where UTS 46 knows no mapping."""
    from idna import IDNAError, uts46_remap

    try:
        return uts46_remap(label, std3_rules=False)
    except IDNAError:
        pass  # an unassigned or barred code point: the tables of the package are older than it
    if any(c == _REPLACEMENT or unicodedata.category(c) in _BARRED for c in label):
        raise MalformedHost("This host holds a character that no host name can hold.")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).lower())


def _a_label(label: str) -> str:
    """The ASCII form of a mapped label."""
    if label.isascii():
        return label
    # Punycode writes no code point in less than one octet, and takes quadratic time.
    if len(label) > _MAX_LABEL:
        raise MalformedHost("A label of this host is longer than 63 octets.")
    from idna import IDNAError, alabel

    try:
        return alabel(label).decode("ascii")
    except IDNAError:
        return f"xn--{label.encode('punycode').decode('ascii')}"
