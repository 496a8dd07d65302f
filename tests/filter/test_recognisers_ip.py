"""Public IP addresses. Documentation ranges are not public, so well-known resolvers stand in here."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import ip

HITS = {
    "bare": ("8.8.8.8", ["8.8.8.8"]),
    "three digits each": ("208.67.222.222", ["208.67.222.222"]),
    "full stop": ("Ask 9.9.9.9.", ["9.9.9.9"]),
    "comma-separated values": ("9.9.9.9,53,udp", ["9.9.9.9"]),
    "port": ("8.8.8.8:53", ["8.8.8.8"]),
    "RFC 4632: prefix": ("8.8.8.8/24", ["8.8.8.8"]),
    "URL": ("http://208.67.222.222/index", ["208.67.222.222"]),
    "path of a URL": ("https://example.org/whois/208.67.222.222", ["208.67.222.222"]),
    "assignment": ("ip=208.67.222.222;", ["208.67.222.222"]),
    "comparison": ("ip.addr == 208.67.222.222", ["208.67.222.222"]),
    "user": ("root@208.67.222.222", ["208.67.222.222"]),
    "range": ("8.8.8.8-208.67.222.222", ["8.8.8.8", "208.67.222.222"]),
    "two": ("8.8.8.8, 208.67.222.222", ["8.8.8.8", "208.67.222.222"]),
    "lines": ("8.8.8.8\n9.9.9.9", ["8.8.8.8", "9.9.9.9"]),
    "log": ("208.67.222.222 - - [01/Jan/2024:10:00:00]", ["208.67.222.222"]),
    "request": ("208.67.222.222 GET /index", ["208.67.222.222"]),
    "range of small numbers": ("8.8.4.4-8.8.8.4", ["8.8.4.4", "8.8.8.4"]),
    "Chinese around": ("地址是208.67.222.222的", ["208.67.222.222"]),
    "RFC 4291 2.5.5.2: mapped": ("::ffff:208.67.222.222", ["208.67.222.222"]),
    "small numbers, equal": ("8.8.8.8 is one", ["8.8.8.8"]),
    "small numbers, named": ("DNS 8.8.4.4", ["8.8.4.4"]),
    "small numbers, in a list": ("8.8.8.8 and 8.8.4.4", ["8.8.8.8", "8.8.4.4"]),
    "small numbers, with a port": ("to 8.8.4.4:53", ["8.8.4.4"]),
    "small numbers, in a URL": ("https://8.8.4.4/x", ["8.8.4.4"]),
    # IPv6
    "RFC 4291 2.2: eight groups": (
        "2001:4860:4860:0:0:0:0:8888",
        ["2001:4860:4860::8888"],
    ),
    "leading zeros": ("2001:4860:4860:0000:0000:0000:0000:8888", ["2001:4860:4860::8888"]),
    "compressed": ("2001:4860:4860::8888", ["2001:4860:4860::8888"]),
    "compressed at the end": ("2620:fe::", ["2620:fe::"]),
    "upper case": ("2620:FE::FE", ["2620:fe::fe"]),
    "IPv4 in the last four octets": ("2001:4860:4860::8.8.8.8", ["2001:4860:4860::808:808"]),
    "brackets and port": ("[2620:fe::fe]:443", ["2620:fe::fe"]),
    "RFC 4007 11: zone": ("2620:fe::fe%eth0", ["2620:fe::fe"]),
    "IPv6 prefix": ("2620:fe::fe/64", ["2620:fe::fe"]),
    "IPv6 and a full stop": ("Ask 2620:fe::fe.", ["2620:fe::fe"]),
    "IPv6 and a colon": ("2620:fe::fe: up", ["2620:fe::fe"]),
    "both": ("2620:fe::fe or 9.9.9.9", ["2620:fe::fe", "9.9.9.9"]),
}


@pytest.mark.parametrize(("text", "values"), HITS.values(), ids=HITS)
def test_found(text: str, values: list[str]) -> None:
    spans = list(ip.find(text))
    assert [span.value for span in spans] == values
    assert all(span.kind is IdentifierKind.IP for span in spans)
    assert [ip.canonicalize(text[span.start : span.end]) for span in spans] == values


MISSES = {
    "RFC 1918": "10.4.1.12 172.16.40.80 192.168.100.200",
    "RFC 6598": "100.64.77.88",
    "loopback": "127.0.0.53",
    "RFC 3927": "169.254.77.88",
    "RFC 5737": "192.0.2.77 198.51.100.77 203.0.113.77",
    "RFC 2544": "198.18.77.88",
    "multicast": "224.0.0.251 239.255.255.250",
    "class E": "240.77.88.99 255.255.255.255",
    "this network": "0.77.88.99",
    "five numbers": "34.56.78.90.12",
    "five numbers, the first one long": "1234.56.78.90.12",
    "digits before": "1192.168.1.2567",
    "an octet too large": "34.56.78.256",
    "leading zero": "08.56.78.90",
    "three numbers": "34.56.78",
    "letter before": "x34.56.78.90",
    "letter behind": "34.56.78.90a",
    "pre-release": "34.56.78.90-beta",
    "build": "34.56.78.90+build",
    "revision": "34.56.78.90-2",
    "reverse name": "34.56.78.90.in-addr.arpa",
    "host name": "ip-34.56.78.90.example.org",
    "international phone": "+34.56.78.90",
    "v": "v34.56.78.90",
    "V and a space": "V 34.56.78.90",
    "version": "version 34.56.78.90",
    "Version:": "Version: 34.56.78.90",
    "ver.": "ver. 34.56.78.90",
    "versión": "la versión 34.56.78.90",
    "версия": "версия 34.56.78.90",
    "release": "release 34.56.78.90",
    "build number": "Build 34.56.78.90",
    "firmware": "firmware (34.56.78.90)",
    "versions in a list": "versions 34.56.78.90, 34.56.78.91 and 34.56.78.92",
    "user agent": "Mozilla/5.0 Chrome/116.0.0.0 Safari/537.36",
    "pinned package": "example==2.40.1.3",
    "§": "§ 34.56.78.90",
    "Section": "Section 5.6.7.8",
    "Section and a no-break space": "Section\u00a034.56.78.90",
    "Abschnitt": "siehe Abschnitt 34.56.78.90",
    "Figure": "Fig. 34.56.78.90",
    "heading": "12.3.2.1 Scope",
    "heading in Markdown": "## 12.3.2.1. Scope",
    "heading after a line": "end.\n\t12.3.2.1. Область",
    "heading of equal numbers": "1.1.1.1 Introduction",
    "small numbers, nothing else": "see 12.3.2.1 for more",
    "small numbers in a path": "https://example.org/releases/2.0.0.16/",
    # IPv6
    "RFC 3849": "2001:db8::1",
    "RFC 9637": "3fff::1",
    "RFC 4193": "fd00:1234::1",
    "link-local": "fe80::1%eth0",
    "RFC 4380": "2001:0:4860::1",
    "RFC 3056": "2002:808:808::1",
    "loopback, IPv6": "::1",
    "time": "12:30:45",
    "date and time": "2024:11:23 12:30:45",
    "MAC": "00:1a:2b:3c:4d:5e",
    "EUI-64": "2620:fe00:0012:3456",
    "C++": "std::vector a::b",
    "ratio": "2001:2002",
    "verse": "John 3:16",
    "nine groups": "2620:fe:1:2:3:4:5:6:7",
    "one group": "since 2600:: then",
    "two compressions": "2620::fe::1",
    "five digits": "2620:fe::12345",
    "letters behind": "2620:fe::feed_me",
    "digest": "2620fe0000000000000000000000000000fe",
}


@pytest.mark.parametrize("text", MISSES.values(), ids=MISSES)
def test_not_found(text: str) -> None:
    assert list(ip.find(text)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [(" 8.8.4.4\n", "8.8.4.4"), ("12.3.2.1", "12.3.2.1"), ("2620:FE:0::FE", "2620:fe::fe")],
)
def test_canonicalize_needs_no_context(text: str, value: str) -> None:
    assert ip.canonicalize(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "10.4.1.12", "8.8.8.8/24", "8.8.8.8-9.9.9.9", "2001:db8::1", "[2620:fe::fe]", "8.8.8.08"],
)
def test_canonicalize_refuses_without_an_echo(text: str) -> None:
    with pytest.raises(InputError) as caught:
        ip.canonicalize(text)
    assert not text or text not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.ip_addresses(v=4) | st.ip_addresses(v=4, network="192.0.0.0/8"))
def test_ipv4_is_global_as_the_registry_has_it(address: ipaddress.IPv4Address) -> None:
    """As `ipaddress` has it, but for multicast, and what it learnt late (192.0.0.0/24, RFC 7723)."""
    expected = address.is_global and not address.is_multicast
    if address not in ipaddress.ip_network("192.0.0.0/24"):
        found = [span.value for span in ip.find(f"ip {address},")]
        assert found == ([str(address)] if expected else [])


SPECIAL_V6 = [ipaddress.ip_network(n) for n in ("2001::/23", "2002::/16", "3fff::/20")]


@settings(max_examples=200, deadline=None)
@given(
    st.ip_addresses(v=6, network="2000::/3")
    | st.ip_addresses(v=6, network="2001::/28")
    | st.ip_addresses(v=6),
    st.sampled_from(["compressed", "exploded"]),
)
def test_ipv6_is_global_within_2000(address: ipaddress.IPv6Address, form: str) -> None:
    written = getattr(address, form)
    found = [span.value for span in ip.find(f"({written})")]
    # "2600::" is a prefix and names nobody; in text "2019::" is rather a year.
    if any(address in network for network in SPECIAL_V6) or len(written) < 7:
        assert found == []
    elif address in ipaddress.ip_network("2000::/3"):
        assert found == ([address.compressed] if address.is_global else [])
    else:
        assert all("." in value for value in found)  # the IPv4 address in a mapped one


HOSTILE = {
    "numbers": "1.2.3.4." * 100_000,
    "pairs": "1.2." * 150_000,
    "digits": "1" * 500_000,
    "addresses joined": "8.8.8.8-" * 60_000,
    "versions": "version 8.8.8.8 and " * 20_000,
    "groups": "2001:" * 100_000,
    "colons": ":" * 500_000,
    "hexadecimal": "2aaa" * 125_000,
    "short groups": "a:" * 250_000,
    "too long": ("2001:" + "a:" * 50) * 5_000,
    "spaces": " " * 500_000 + "1.2.3.4",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_linear(text: str) -> None:
    """Half a million characters: anything quadratic would not come back."""
    assert len(list(ip.find(text))) <= 1


def test_linear_in_what_is_found() -> None:
    assert len(list(ip.find("8.8.8.8 " * 20_000))) == 20_000
    assert len(list(ip.find("2620:fe::fe " * 10_000))) == 10_000
