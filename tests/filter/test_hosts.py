"""Canonical hosts: one spelling each, and never lost because IDNA is strict."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError, MalformedHost
from filter.hosts import Host, canonical_host, is_ip_address, parents, split_authority

SAME = {
    "plain": ("www.example.org", "www.example.org"),
    "RFC 4343: case does not matter": ("EXAMPLE.Org", "example.org"),
    "RFC 1034 3.1: a trailing dot is the root": ("example.org.", "example.org"),
    "several trailing dots": ("example.org..", "example.org"),
    "a trailing dot before the port": ("example.org.:443", "example.org"),
    "port": ("example.org:443", "example.org"),
    "RFC 3986 3.2.3: the port may be empty": ("example.org:", "example.org"),
    "userinfo": ("user:secret@example.org", "example.org"),
    "an at-sign in the userinfo": ("a@b@example.org", "example.org"),
    "white space around": (" \texample.org\n", "example.org"),
    "RFC 3986 3.2.2: percent-encoded UTF-8": ("m%C3%BCller.example", "xn--mller-kva.example"),
    "percent-encoded ASCII": ("ex%61mple%2Eorg", "example.org"),
    "U-label": ("müller.example", "xn--mller-kva.example"),
    "decomposed": ("mu\u0308ller.example", "xn--mller-kva.example"),
    "upper-case U-label": ("MÜLLER.example", "xn--mller-kva.example"),
    "A-label": ("xn--mller-kva.example", "xn--mller-kva.example"),
    "upper-case A-label": ("XN--MLLER-KVA.example", "xn--mller-kva.example"),
    "UTS 46 non-transitional keeps ß": ("straße.example", "xn--strae-oqa.example"),
    "UTS 46 non-transitional keeps ς": ("βόλος.example", "xn--nxasmm1c.example"),
    "full-width letters": ("ｅｘａｍｐｌｅ.org", "example.org"),
    "full-width dot": ("example．org", "example.org"),
    "ideographic dot": ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    "soft hyphen is ignored": ("exam\u00adple.org", "example.org"),
    "IDNA 2008 has no emoji, UTS 46 has": ("i❤.example", "xn--i-7iq.example"),
    "emoji presentation": ("i❤\ufe0f.example", "xn--i-7iq.example"),
    "an emoji beside a strict label": ("❤.müller.example", "xn--qei.xn--mller-kva.example"),
    "underscore": ("_dmarc.foo_bar.example", "_dmarc.foo_bar.example"),
    "hyphens in places three and four": ("r3---sn-4g5e.example", "r3---sn-4g5e.example"),
    "IPv4": ("8.8.8.8", "8.8.8.8"),
    "IPv4 with port": ("8.8.8.8:8080", "8.8.8.8"),
    "full-width digits": ("８.8.8.8", "8.8.8.8"),
    "IPv6": ("[2001:4860:4860::8888]", "[2001:4860:4860::8888]"),
    "RFC 5952 4: compressed, lower case": (
        "[2001:4860:4860:0:0:0:0:888A]:443",
        "[2001:4860:4860::888a]",
    ),
    "IPv4-mapped, the same in every Python": ("[::ffff:8.8.8.8]", "[::ffff:808:808]"),
    "one label": ("localhost", "localhost"),
    "63 octets": ("a" * 63 + ".example", "a" * 63 + ".example"),
    "253 octets": (".".join(["a" * 61] * 4) + ".abcde", ".".join(["a" * 61] * 4) + ".abcde"),
}


@pytest.mark.parametrize(("authority", "host"), SAME.values(), ids=SAME)
def test_one_spelling(authority: str, host: str) -> None:
    assert canonical_host(authority) == host


REFUSED = {
    "nothing": "",
    "white space": " ",
    "the root": ".",
    "userinfo alone": "user@",
    "an empty label first": ".example.org",
    "an empty label inside": "example..org",
    "a label of ignored code points": "\u00ad.org",
    "space": "exa mple.org",
    "slash": "example.org/path",
    "percent-encoded slash": "example%2Forg",
    "percent-encoded at-sign": "a%40example.org",
    "full-width at-sign": "a＠example.org",
    "query": "example.org?q",
    "markup": "example<b>.org",
    "backslash": "example.org\\a",
    "wildcard": "*.example.org",
    "control": "exa\x00mple.org",
    "C1 control": "exa\x85mple.org",
    "no-break space": "exa\u00a0mple.org",
    "bidirectional override": "exa\u202emple.org",
    "surrogate": "exa\ud800mple.org",
    "replacement character": "exa\ufffdmple.org",
    "half an escape": "example%4.org",
    "escape of an escape": "ex%2561mple.org",
    "escape that is not UTF-8": "m%FCller.example",
    "64 octets": "a" * 64 + ".example",
    "64 octets once encoded": "ü" * 59 + ".example",
    "254 octets": ".".join(["a" * 61] * 4) + ".abcdef",
    "IPv6 without brackets": "2001:4860:4860::8888",
    "an open bracket": "[2001:4860:4860::8888",
    "a closing bracket": "2001:4860:4860::8888]",
    "text behind the bracket": "[2001:4860:4860::8888]a",
    "no address in brackets": "[example.org]",
    "RFC 6874 zone": "[fe80::1%25eth0]",
    "zone as ipaddress reads it": "[fe80::1%eth0]",
    "port not a number": "example.org:http",
    "port in other digits": "example.org:８０",
    "signed port": "example.org:+80",
    "port too large": "example.org:65536",
    "port of 5,000 digits": "example.org:" + "9" * 5000,
    "a long way round": "\u00ad" * 100_000 + "example.org",
}


@pytest.mark.parametrize("authority", REFUSED.values(), ids=REFUSED)
def test_refused(authority: str) -> None:
    with pytest.raises(MalformedHost) as caught:
        canonical_host(authority)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("authority", ["secret.name@exa mple.org", "secret..name", "secret:port"])
def test_the_message_does_not_show_the_host(authority: str) -> None:
    with pytest.raises(MalformedHost) as caught:
        canonical_host(authority)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


PORTS = {
    "none": ("example.org", ("example.org", None)),
    "empty": ("example.org:", ("example.org", None)),
    "one": ("example.org:8080", ("example.org", 8080)),
    "leading zeros": ("example.org:" + "0" * 5000 + "80", ("example.org", 80)),
    "zero": ("example.org:0", ("example.org", 0)),
    "the last": ("example.org:65535", ("example.org", 65535)),
    "userinfo with a colon": ("u:1@example.org:2", ("example.org", 2)),
    "IPv6": ("[2001:4860:4860::8888]:53", ("[2001:4860:4860::8888]", 53)),
    "IPv6 without": ("[2001:4860:4860::8888]", ("[2001:4860:4860::8888]", None)),
}


@pytest.mark.parametrize(("authority", "parts"), PORTS.values(), ids=PORTS)
def test_split_authority(authority: str, parts: tuple[str, int | None]) -> None:
    assert split_authority(authority) == parts


PARENTS = {
    "three labels": ("a.b.example.org", ["a.b.example.org", "b.example.org", "example.org"]),
    "two labels": ("example.org", ["example.org"]),
    "one label": ("localhost", ["localhost"]),
    "IPv4": ("8.8.8.8", ["8.8.8.8"]),
    "IPv6": ("[2001:4860:4860::8888]", ["[2001:4860:4860::8888]"]),
    "not quite an IPv4 address": ("8.8.8.256", ["8.8.8.256", "8.8.256", "8.256"]),
}


@pytest.mark.parametrize(("host", "expected"), PARENTS.values(), ids=PARENTS)
def test_parents(host: str, expected: list[str]) -> None:
    assert list(parents(Host(host))) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("8.8.8.8", True), ("[::1]", True), ("8.8.8", False), ("8.8.8.08", False), ("a.8", False)],
)
def test_is_ip_address(host: str, expected: bool) -> None:
    assert is_ip_address(Host(host)) is expected


def test_a_plain_host_comes_back_untouched() -> None:
    """The same object: nothing was split, decoded or joined."""
    host = "some-long.sub.domain.example.org"
    assert canonical_host(host) is host


def test_importing_brings_nothing_heavy() -> None:
    script = "import sys, filter.hosts; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"idna", "ipaddress", "urllib.parse"}.isdisjoint(loaded)


LABEL = st.text(
    st.characters(codec="utf-8", categories=["Ll", "Lo", "Nd"], max_codepoint=0x2FFFF),
    min_size=1,
    max_size=12,
)
ASCII_LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
ASCII_HOST = st.lists(ASCII_LABEL, min_size=1, max_size=5).map(".".join)
ANY_HOST = st.lists(LABEL | ASCII_LABEL, min_size=1, max_size=5).map(".".join)


def canonical_or_none(authority: str) -> str | None:
    try:
        return canonical_host(authority)
    except MalformedHost:
        return None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | ANY_HOST)
def test_idempotent_and_nothing_else_is_raised(authority: str) -> None:
    host = canonical_or_none(authority)
    if host is not None:
        assert canonical_host(host) == host
        assert host.isascii()
        assert host == host.lower()


@settings(max_examples=200, deadline=None)
@given(ASCII_HOST, st.randoms(use_true_random=False), st.integers(0, 65535))
def test_case_dot_userinfo_and_port_do_not_matter(host: str, rng: object, port: int) -> None:
    mixed = "".join(c.upper() if rng.random() < 0.5 else c for c in host)  # type: ignore[attr-defined]
    assert canonical_host(f" Me:X@{mixed}.:{port} ") == host
    assert split_authority(f"Me:X@{mixed}.:{port}") == (host, port)


@settings(max_examples=200, deadline=None)
@given(ANY_HOST)
def test_userinfo_port_and_dot_do_not_matter_to_a_u_label(host: str) -> None:
    assert canonical_or_none(f"u@{host}.:1") == canonical_or_none(host)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcäöüéßñçдёж日本語한국", min_size=1, max_size=8), min_size=1, max_size=4))
def test_u_labels_are_never_refused_and_equal_their_a_labels(labels: list[str]) -> None:
    host = canonical_host(".".join(labels))
    encoded = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels
    ]
    assert host == canonical_host(".".join(encoded).upper())


@settings(max_examples=200, deadline=None)
@given(ASCII_HOST)
def test_parents_are_suffixes_with_two_labels_or_more(host: str) -> None:
    canonical = canonical_host(host)
    found = list(parents(canonical))
    assert found[0] == canonical
    if not is_ip_address(canonical) and "." in canonical:
        assert found[-1].count(".") == 1
        assert all(canonical.endswith(f".{parent}") for parent in found[1:])
        assert [canonical_host(parent) for parent in found] == found


HAN = "".join(map(chr, range(0x4E00, 0x9000)))
"""Punycode takes time quadratic in this."""


@pytest.mark.parametrize(
    "authority",
    [
        "a." * 500_000,
        "@" * 1_000_000,
        ":" * 1_000_000,
        "%61" * 400_000,
        "ü" * 500_000,
        "[" * 10**6,
        HAN,
    ],
    ids=["labels", "at-signs", "colons", "escapes", "umlauts", "brackets", "punycode"],
)
def test_hostile_authorities_are_refused_at_once(authority: str) -> None:
    with pytest.raises(MalformedHost):
        canonical_host(authority)
