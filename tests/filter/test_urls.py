r"""Splitting URLs (WHATWG URL, basic URL parser) and the comparable form of paths (RFC 9309, 2.2.2)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filter.errors import InputError, MalformedHost, MalformedUrl
from filter.urls import comparable_path, normalize_escapes, split_url

# -- split_url: what is read ------------------------------------------------------------------------

SPLIT = {
    # name: (URL, host, port, path)
    "plain": ("https://example.org/a", "example.org", None, "/a"),
    "no path is the root": ("https://example.org", "example.org", None, "/"),
    "host is lower-cased, path is not": ("HTTP://EXAMPLE.org/A", "example.org", None, "/A"),
    "trailing dot": ("http://example.org./a", "example.org", None, "/a"),
    # Schemes
    "ftp": ("ftp://example.org/a", "example.org", None, "/a"),
    "a scheme nobody knows, with an authority": (
        "gopher://example.org/a",
        "example.org",
        None,
        "/a",
    ),
    "no scheme": ("example.org/a", "example.org", None, "/a"),
    "no scheme, no path": ("example.org", "example.org", None, "/"),
    "no scheme, a colon in the path": ("example.org/a:b", "example.org", None, "/a:b"),
    "scheme-relative": ("//example.org/a", "example.org", None, "/a"),
    "one slash after a web scheme": ("http:/example.org/a", "example.org", None, "/a"),
    "no slash after a web scheme": ("https:example.org/a", "example.org", None, "/a"),
    "many slashes after a web scheme": ("http:////example.org/a", "example.org", None, "/a"),
    # Backslashes
    "backslashes for slashes": (r"https:\\example.org\a\b", "example.org", None, "/a/b"),
    "a backslash ends the authority": (
        r"http://example.org\@other.example/",
        "example.org",
        None,
        "/@other.example/",
    ),
    "mixed slashes without a scheme": (r"/\example.org/a", "example.org", None, "/a"),
    "a backslash behind a slash is an octet": (
        r"https://example.org/a\b",
        "example.org",
        None,
        "/a%5Cb",
    ),
    "a backslash in the query is an octet": (
        r"https:\\example.org\a?b\c",
        "example.org",
        None,
        "/a?b%5Cc",
    ),
    # White space and controls
    "white space around": (" \t\nhttps://example.org/a\r\n \x00", "example.org", None, "/a"),
    "tabs and line breaks inside": ("ht\ttps://exam\nple.org/a\r\nb", "example.org", None, "/ab"),
    "an escaped space at the end": ("https://example.org/a%20 ", "example.org", None, "/a%20"),
    "a control inside the path": ("https://example.org/a\x00b", "example.org", None, "/a%00b"),
    "a space inside the path": ("https://example.org/a b", "example.org", None, "/a%20b"),
    # Userinfo
    "userinfo": ("https://user:pass@example.org/a", "example.org", None, "/a"),
    "several at signs": ("https://a@b@example.org/", "example.org", None, "/"),
    "an at sign in the path": ("https://example.org/@a", "example.org", None, "/@a"),
    # Ports
    "default port of http": ("http://example.org:80/a", "example.org", None, "/a"),
    "default port of https": ("https://example.org:443/a", "example.org", None, "/a"),
    "web port of the other scheme": ("http://example.org:443/a", "example.org", None, "/a"),
    "default port of ftp": ("ftp://example.org:21/a", "example.org", None, "/a"),
    "21 is nothing special elsewhere": ("http://example.org:21/a", "example.org", 21, "/a"),
    "another port": ("https://example.org:8080/a", "example.org", 8080, "/a"),
    "leading zeros": ("https://example.org:00080/a", "example.org", None, "/a"),
    "empty port": ("https://example.org:/a", "example.org", None, "/a"),
    "port without a scheme": ("example.org:8080/a", "example.org", 8080, "/a"),
    "port without a scheme or a path": ("example.org:8080", "example.org", 8080, "/"),
    "port without a scheme, query": ("example.org:8080?a", "example.org", 8080, "/?a"),
    "one label and a port": ("intranet:8080/a", "intranet", 8080, "/a"),
    "an address and a port": ("192.0.2.7:8080/a", "192.0.2.7", 8080, "/a"),
    # IP addresses
    "IPv4": ("http://192.0.2.7/a", "192.0.2.7", None, "/a"),
    "IPv6": ("http://[2001:DB8:0:0::7]/a", "[2001:db8::7]", None, "/a"),
    "IPv6 with a port": ("http://[2001:db8::7]:8080/a", "[2001:db8::7]", 8080, "/a"),
    # Names beyond ASCII
    "IDN": ("https://Müller.example/a", "xn--mller-kva.example", None, "/a"),
    "IDN in punycode": ("https://xn--mller-kva.example/a", "xn--mller-kva.example", None, "/a"),
    "percent-encoded host": ("https://ex%61mple.org/a", "example.org", None, "/a"),
    "percent-encoded IDN": ("https://m%C3%BCller.example/a", "xn--mller-kva.example", None, "/a"),
    "ideographic full stop": ("https://example\u3002org/a", "example.org", None, "/a"),
    # Fragments and queries
    "fragment": ("https://example.org/a#b/c?d", "example.org", None, "/a"),
    "fragment without a path": ("https://example.org#/a", "example.org", None, "/"),
    "fragment after the query": ("https://example.org/a?b#c", "example.org", None, "/a?b"),
    "query": ("https://example.org/a?b=/c?d", "example.org", None, "/a?b=/c?d"),
    "query without a slash": ("https://example.org?a/b", "example.org", None, "/?a/b"),
    "empty query": ("https://example.org/a?", "example.org", None, "/a?"),
    "dot segments stay": ("https://example.org/a/../b/.", "example.org", None, "/a/../b/."),
}


@pytest.mark.parametrize(("url", "host", "port", "path"), SPLIT.values(), ids=SPLIT.keys())
def test_split(url, host, port, path):
    assert split_url(url) == (host, port, path)


NO_HOST = {
    "nothing": "",
    "white space": " \t ",
    "a scheme alone": "https://",
    "slashes alone": "///",
    "a path": "/a/b",
    "a query": "?a",
    "a fragment": "#a",
    "mailto": "mailto:somebody@example.org",
    "data": "data:text/html,<p>",
    "data that looks like a port": "data:80",
    "javascript": "javascript:void(0)",
    "javascript that looks like a port": "javascript:1",
    "urn": "urn:isbn:9780000000000",
    "telephone": "tel:112",
    "telephone, international": "tel:+41000000000",
    "about": "about:blank",
    "blob": "blob:https://example.org/1",
    "a file": "file:///etc/hosts",
    "the opaque path of a scheme nobody knows": "x-scheme:/a",
    "a host with a port that is none": "example.org:80a/",
    "a host with a port of six digits": "example.org:800000/",
}


@pytest.mark.parametrize("url", NO_HOST.values(), ids=NO_HOST.keys())
def test_no_host(url):
    with pytest.raises(MalformedUrl):
        split_url(url)


NOT_A_HOST = {
    "white space in the host": "https://exa mple.org/",
    "an empty label": "https://example..org/",
    "only userinfo": "https://user@/",
    "only a port": "https://:80/",
    "an open bracket": "http://[2001:db8::7/a",
    "IPv6 without brackets": "http://2001:db8::7/a",
    "a port above 65535": "https://example.org:65536/",
    "a port that is none": "https://example.org:80a/",
    "a lone surrogate": "https://\ud800.example/",
    "a label of 64 octets": f"https://{'a' * 64}.example/",
}


@pytest.mark.parametrize("url", NOT_A_HOST.values(), ids=NOT_A_HOST.keys())
def test_not_a_host(url):
    with pytest.raises(MalformedHost):
        split_url(url)


def test_errors_never_show_the_url():
    for url in ("mailto:somebody@example.org", "https://somebody@exa mple.org/"):
        with pytest.raises(InputError) as raised:
            split_url(url)
        assert "somebody" not in str(raised.value)


# -- comparable_path --------------------------------------------------------------------------------

COMPARABLE = {
    # RFC 9309, 2.2.2: octets outside US-ASCII MUST be percent-encoded ...
    "two octets": ("/é", "/%C3%A9"),
    "four octets": ("/💩", "/%F0%9F%92%A9"),
    "a lone surrogate, as its octets": ("/\udc80", "/%ED%B2%80"),
    # ... a percent-encoded US-ASCII octet MUST be unencoded ...
    "letters": ("/%66oo/%62%61%7A", "/foo/baz"),
    "digits": ("/%30%39", "/09"),
    "the other unreserved characters": ("/%2D%2E%5F%7E", "/-._~"),
    # ... unless it is reserved or outside the unreserved range.
    "a slash stays escaped": ("/a%2fb", "/a%2Fb"),
    "a plus stays escaped": ("/a%2bb", "/a%2Bb"),
    "a percent sign stays escaped": ("/100%25", "/100%25"),
    "an escaped percent sign starts no escape": ("/%2541", "/%2541"),
    "a space stays escaped": ("/a%20b", "/a%20b"),
    "octets beyond ASCII stay escaped": ("/%e3%83%84", "/%E3%83%84"),
    # RFC 3986, 2.2: reserved characters differ from their escapes
    "reserved characters stay": ("/:?[]@!&'()+,;=", "/:?[]@!&'()+,;="),
    # RFC 3986, 2: what no URI may hold has but one spelling
    "no URI characters": ('/ "<>\\^`{|}\x7f', "/%20%22%3C%3E%5C%5E%60%7B%7C%7D%7F"),
    "a control inside": ("/a\x00b", "/a%00b"),
    # RFC 9309, 2.2.3
    "a star of a URL is no wildcard": ("/a*b", "/a%2Ab"),
    "a dollar of a URL is no anchor": ("/a$", "/a%24"),
    "escaped specials stay": ("/%2a%24", "/%2A%24"),
    # Unfinished escapes
    "a bare percent sign": ("/100%", "/100%"),
    "an escape of one digit": ("/%a", "/%a"),
    "no hexadecimal digits": ("/%zz", "/%zz"),
    "an escape that would finish another one": ("/%%37E", "/%%37E"),
    "an escape that would half finish another one": ("/%7%45", "/%7%45"),
    # WHATWG URL
    "tabs and line breaks go": ("/a\tb\r\nc", "/abc"),
    "white space and controls at the end go": ("/a \x00 \t", "/a"),
    "an escaped space at the end stays": ("/a%20", "/a%20"),
    "a leading slash is added": ("?a", "/?a"),
    "nothing": ("", "/"),
}


@pytest.mark.parametrize(("path", "expected"), COMPARABLE.values(), ids=COMPARABLE.keys())
def test_comparable(path, expected):
    assert comparable_path(path) == expected


def test_octets_and_text_have_one_form():
    for text in ("/é%c3%a9", "/%7e 💩", "/plain"):
        octets = text.encode().decode("latin-1")
        assert normalize_escapes(octets, "latin-1") == normalize_escapes(text)


odd = st.text(st.sampled_from("%0123456789aAeEfFgé~/?*$#<\\ \t\n\x00+=\udc80"), max_size=24)
texts = st.one_of(odd, st.text(max_size=40))


@given(texts)
@example("/%%37E")
@example("/%7%45")
@example("/%*A1")
@example("/a\t ")
@settings(max_examples=200, deadline=None)
def test_comparable_is_idempotent_visible_ascii(path):
    once = comparable_path(path)
    assert once.startswith("/")
    assert all("!" <= c <= "~" for c in once)
    assert "*" not in once
    assert "$" not in once
    assert comparable_path(once) == once


@given(texts)
@settings(max_examples=200, deadline=None)
def test_normalize_is_idempotent(text):
    once = normalize_escapes(text)
    assert normalize_escapes(once) == once


labels = st.text(st.sampled_from("abzABZ019-_éßあ%6"), min_size=1, max_size=8)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
urls = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            ["", "http://", "HTTPS:", "//", r"\\", "ftp://", "x:", "mailto:", " http:/"]
        ),
        st.sampled_from(["", "u:p@", "@"]),
        st.one_of(hosts, st.sampled_from(["example.org", "[::1]", "192.0.2.7", "", "[", "a b"])),
        st.sampled_from(["", ":", ":80", ":8080", ":99999", ":x"]),
        st.one_of(st.just(""), st.sampled_from("/\\?#").flatmap(lambda c: odd.map(c.__add__))),
    ),
)


@given(st.one_of(urls, st.text(max_size=60)))
@example("https://\ud800/")
@example("http://[::1]:80:80/")
@settings(max_examples=200, deadline=None)
def test_split_raises_nothing_else_and_is_stable(url):
    try:
        host, port, path = split_url(url)
    except InputError:
        return
    assert host.isascii()
    assert port is None or (0 <= port <= 65535 and port not in {80, 443})
    assert comparable_path(path) == path
    rebuilt = f"https://{host}{'' if port is None else f':{port}'}{path}"
    assert split_url(rebuilt) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/" + "%41" * 1_000_000,
        "https://example.org/" + "%" * 3_000_000,
        "https://example.org/" + "é" * 1_000_000,
        "https://example.org/" + "\t " * 1_000_000,
        "a" * 3_000_000 + ":",
        "+" * 3_000_000,
        "/" * 3_000_000,
        "u@" * 1_000_000 + "example.org",
    ],
    ids=["escapes", "percent signs", "octets", "white space", "scheme", "plus", "slashes", "users"],
)
def test_megabytes_take_linear_time(url):
    with contextlib.suppress(InputError):
        split_url(url)  # would take minutes if anything here were quadratic
