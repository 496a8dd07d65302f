"""The client for strangers' servers: what it refuses to ask, and what it refuses to read."""

from __future__ import annotations

import asyncio
import gzip
import time
from ipaddress import ip_network
from typing import Any

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter.hosts import canonical_host
from filter_service.errors import UnsafeSettings
from filter_service.evidence.addresses import is_public
from filter_service.evidence.names import Names, NoAnswer, NoSuchRecord
from filter_service.safe_http import SafeHttp, Target, Unreached, UnusableUrl

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
PUBLIC, INSIDE = "127.0.0.2", "127.0.0.1"


def get(client: SafeHttp, url: str = "https://example.org/x") -> Any:
    return asyncio.run(client.get(url))


def code(client: SafeHttp, url: str = "https://example.org/x") -> str:
    with pytest.raises(Unreached) as caught:
        get(client, url)
    return caught.value.code


# -- what is never asked ------------------------------------------------------------------------

HOSTILE = [
    # not https
    "http://example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "//example.org/",
    "example.org",
    "javascript:alert(1)",
    "https:/example.org",
    "https:example.org",
    "https://",
    "",
    # addresses, in every spelling
    "https://127.0.0.1/",
    "https://8.8.8.8/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://example.0x/",
    "https://example.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1%25eth0]/",
    "https://[2606:4700::1111]/",
    "https://[::1",
    "https://①②⑦.⓪.⓪.①/",
    "https://%31%32%37.0.0.1/",
    # names of one label
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://intranet/",
    # what readers do not agree on
    "https://example.org@127.0.0.1/",
    "https://user:secret@example.org/",
    "https://@example.org/",
    "https://example.org\\@127.0.0.1/",
    "https://example.org\\.evil.example/",
    "https://example.org/\r\nHost: evil.example",
    "https://example.org/a b",
    " https://example.org/",
    "https://exa\tmple.org/",
    "https://example.org/#fragment",
    "https://müller.example/",
    "https://example..org/",
    "https://.example.org/",
    "https://-/",
    # ports
    "https://example.org:8443/",
    "https://example.org:22/",
    "https://example.org:80/",
    "https://example.org:0/",
    "https://example.org:65536/",
    "https://example.org:+443/",
    "https://example.org/" + "a" * 2048,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses_are_refused_before_anything_is_asked(world: Any, url: str) -> None:
    with pytest.raises(UnusableUrl) as caught:
        get(world.client(permitted=[ip_network("127.0.0.0/8")]), url)
    assert not world.names.asked
    assert not world.web.connections
    assert caught.value.code == "unusable_url"
    for part in ("example", "127", "secret", "intranet", "müller"):
        assert part not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTPS://EXAMPLE.org:443/A?b=C", "https://example.org/A?b=C"),
        ("https://example.org./", "https://example.org/"),
        ("https://xn--mller-kva.example/", "https://xn--mller-kva.example/"),
        ("https://example.org:/%20", "https://example.org/%20"),
        ("https://1.example/", "https://1.example/"),
        ("https://127.0.0.1.example/", "https://127.0.0.1.example/"),
        ("https://0x7f.example/", "https://0x7f.example/"),
        ("https://example.org/" + "a" * 2028, "https://example.org/" + "a" * 2028),
    ],
)
def test_near_misses_are_addresses(url: str, canonical: str) -> None:
    assert str(Target.parse(url)) == canonical
    assert str(Target.parse(canonical)) == canonical


@pytest.mark.parametrize("url", ["https://[::1]/", "https://127.0.0.1/", "https://0x7f.1/"])
def test_an_address_is_called_one(url: str) -> None:
    with pytest.raises(UnusableUrl, match="An IP address cannot be used"):
        Target.parse(url)


@given(
    st.text(max_size=60) | st.from_regex(r"https://[a-z0-9.:@\[\]%/?#\\-]{1,40}", fullmatch=True)
)
def test_an_address_is_refused_or_has_a_canonical_host(text: str) -> None:
    try:
        target = Target.parse(text)
    except UnusableUrl:
        return
    assert canonical_host(target.host) == target.host
    assert "." in target.host
    assert Target.parse(str(target)) == target


# -- which addresses are public -----------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.171 192.0.2.1 192.88.99.1
    192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255
    :: ::1 ::7f00:1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1
    64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1
    2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1 fc00::1 fd12::1 fe80::1
    fe80::1%eth0 2606:4700::1%eth0 fec0::1 ff02::1 ff0e::1
    localhost 2130706433 0177.0.0.1 1.2.3 1.2.3.4.5 01.1.1.1 [::1] 8.8.8.8/32
    """.split(),
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
    169.253.0.1 172.15.255.255 172.32.0.0 192.0.1.1 192.88.98.1 192.88.100.1 192.167.0.1 192.169.0.1
    198.17.0.1 198.20.0.0 223.255.255.255
    2001:200::1 2001:4860:4860::8888 2001:db7::1 2001:db9::1 2003::1 2606:4700:4700::1111 2a00::1
    """.split(),
)
def test_public(address: str) -> None:
    assert is_public(address)


# -- the names ----------------------------------------------------------------------------------


def test_a_request_goes_to_the_checked_address_under_the_name(world: Any) -> None:
    world.web.routes["/x"] = OK
    reply = get(world.client())
    assert (reply.status, reply.body) == (200, b"hi")
    (request,) = world.web.requests
    assert (request.address, request.server_name) == (PUBLIC, "example.org")
    assert request.headers == {
        "host": "example.org",
        "user-agent": "lethe-registry",
        "accept-encoding": "identity",
        "connection": "close",
    }
    assert world.names.asked == {("example.org", "A"): 1, ("example.org", "AAAA"): 1}


def test_a_name_that_answers_differently_the_second_time_gains_nothing(world: Any) -> None:
    world.web.routes["/x"] = OK
    world.names.zone["example.org", "A"] = [[PUBLIC], [INSIDE]]
    assert get(world.client()).body == b"hi"
    assert world.names.asked["example.org", "A"] == 1
    assert world.web.connections == {PUBLIC: 1}
    assert code(world.client()) == "not-public"
    assert world.web.connections == {PUBLIC: 1}


@pytest.mark.parametrize(
    ("a", "aaaa"),
    [
        ([INSIDE], []),
        ([PUBLIC, INSIDE], []),
        ([PUBLIC, "169.254.169.254"], []),
        ([PUBLIC], ["::1"]),
        ([PUBLIC], ["::ffff:127.0.0.1"]),
        ([], ["64:ff9b::7f00:1"]),
        ([PUBLIC], ["fe80::1"]),
    ],
)
def test_one_address_that_is_not_public_is_enough(
    world: Any, a: list[str], aaaa: list[str]
) -> None:
    world.names.zone["example.org", "A"] = [a]
    world.names.zone["example.org", "AAAA"] = [aaaa]
    assert code(world.client()) == "not-public"
    assert not world.web.connections


def test_nothing_is_permitted_by_default(world: Any) -> None:
    client = SafeHttp(world.resolver(), ca_file=world.authority.file, port=world.web.port)
    assert code(client) == "not-public"
    assert not world.web.connections


def test_a_name_without_addresses(world: Any) -> None:
    assert code(world.client(), "https://missing.example/") == "no-address"
    world.names.zone["bare.example", "TXT"] = [['"x"']]
    assert code(world.client(), "https://bare.example/") == "no-address"


def test_name_servers_that_fail(world: Any) -> None:
    world.names.zone["broken.example", "A"] = [dns.rcode.SERVFAIL]
    assert code(world.client(), "https://broken.example/") == "dns"


def test_one_kind_of_address_is_enough_where_the_other_fails(world: Any) -> None:
    world.web.routes["/x"] = OK
    world.names.zone["example.org", "AAAA"] = [dns.rcode.SERVFAIL]
    assert get(world.client()).body == b"hi"


def test_silent_name_servers_take_no_longer_than_the_deadline(world: Any) -> None:
    world.names.silent.add("example.org")
    begin = time.monotonic()
    assert code(world.client(deadline_s=0.5)) == "timeout"
    assert time.monotonic() - begin < 2


def test_silence_is_no_answer(world: Any) -> None:
    world.names.silent.add("example.org")
    with pytest.raises(NoAnswer):
        asyncio.run(world.resolver(0.3).addresses(canonical_host("example.org")))


def test_text_records_are_joined_also_when_they_need_tcp(world: Any) -> None:
    long = '"' + "a" * 250 + '" "' + "b" * 250 + '"'
    world.names.zone["t.example", "TXT"] = [[long, '"c" "d"']]
    found = asyncio.run(world.resolver().texts("t.example"))
    assert sorted(found) == [b"a" * 250 + b"b" * 250, b"cd"]
    assert world.names.over_tcp == 1


def test_missing_text_records(world: Any) -> None:
    for name in ("nowhere.example", "example.org"):
        with pytest.raises(NoSuchRecord):
            asyncio.run(world.resolver().texts(name))


def test_name_servers_are_addresses() -> None:
    with pytest.raises(UnsafeSettings):
        Names(["ns.example.org"])


def test_another_address_is_tried_where_one_refuses(world: Any) -> None:
    world.web.routes["/x"] = OK
    world.names.zone["example.org", "A"] = [["127.0.0.3", PUBLIC]]
    permitted = [ip_network("127.0.0.2/31")]
    assert get(world.client(permitted=permitted)).body == b"hi"
    world.names.zone["example.org", "A"] = [["127.0.0.3"]]
    assert code(world.client(permitted=permitted)) == "refused"


# -- the connection -----------------------------------------------------------------------------


def test_the_certificate_must_be_of_the_name(world: Any) -> None:
    assert code(world.client(), "https://other.example/x") == "tls"
    assert not world.web.requests


def test_the_authority_must_be_known(world: Any) -> None:
    assert code(world.client(ca_file=None)) == "tls"
    assert not world.web.requests


def test_no_proxy_and_no_authority_from_the_environment(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{INSIDE}:{world.web.port}")
    world.web.routes["/x"] = OK
    assert get(world.client()).body == b"hi"
    assert world.web.connections == {PUBLIC: 1}
    monkeypatch.setenv("SSL_CERT_FILE", str(world.authority.file))
    assert code(world.client(ca_file=None)) == "tls"


# -- the answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_redirects_are_not_followed(world: Any, status: int) -> None:
    world.web.routes["/x"] = (
        f"HTTP/1.1 {status} X\r\nLocation: https://example.org/y\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    world.web.routes["/y"] = OK
    assert code(world.client()) == "redirect"
    assert [r.path for r in world.web.requests] == ["/x"]


def test_a_body_may_have_just_the_limit(world: Any) -> None:
    for size in (4096, 4097):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
        world.web.routes[f"/{size}"] = head + b"a" * size
    assert len(get(world.client(), "https://example.org/4096").body) == 4096
    assert code(world.client(), "https://example.org/4097") == "too-large"


def test_an_endless_body_is_left(world: Any) -> None:
    sent = 0

    async def endless(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        nonlocal sent
        sink.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 1000:
            sink.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            await sink.drain()
            sent += 1
            await asyncio.sleep(0)  # else the loop never hears that the other side is gone

    world.web.routes["/x"] = endless
    assert code(world.client()) == "too-large"
    time.sleep(0.2)
    assert sent < 500


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "identity, gzip"])
def test_coded_bodies_are_not_read(world: Any, coding: str) -> None:
    bomb = gzip.compress(bytes(1 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    world.web.routes["/x"] = head.encode() + bomb
    assert code(world.client()) == "encoding"


async def _drip_body(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        sink.write(b"a")
        await sink.drain()
        await asyncio.sleep(0.05)


async def _drip_head(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    sink.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        sink.write(b"X: y\r\n")
        await sink.drain()
        await asyncio.sleep(0.05)


async def _hints(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while True:
        sink.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await sink.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("script", [_drip_body, _drip_head, _hints])
def test_dripping_answers_end_at_the_deadline(world: Any, script: Any) -> None:
    world.web.routes["/x"] = script
    begin = time.monotonic()
    assert code(world.client(deadline_s=0.5)) == "timeout"
    assert 0.4 < time.monotonic() - begin < 2


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http(world: Any, octets: bytes) -> None:
    async def script(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(octets)
        await sink.drain()
        sink.close()

    world.web.routes["/x"] = script
    assert code(world.client()) == "broken"


def test_a_body_that_breaks_off_is_no_body(world: Any) -> None:
    async def script(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi")
        await sink.drain()
        sink.close()

    world.web.routes["/x"] = script
    assert code(world.client()) == "broken"


def test_nothing_is_remembered_between_requests(world: Any) -> None:
    world.web.routes["/x"] = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
    client = world.client()

    async def twice() -> None:
        await client.get("https://example.org/x")
        await client.get("https://example.org/x")

    asyncio.run(twice())
    assert len(world.web.requests) == 2
    assert not any("cookie" in r.headers for r in world.web.requests)
    assert world.web.connections[PUBLIC] == 2


def test_other_answers_have_no_body(world: Any) -> None:
    world.web.routes["/x"] = (
        b"HTTP/1.1 404 X\r\nContent-Length: 6\r\nRetry-After: 120\r\n\r\nsecret"
    )
    reply = get(world.client())
    assert (reply.status, reply.body, reply.retry_after_s) == (404, b"", 120)


def test_what_was_read_is_not_shown(world: Any) -> None:
    world.web.routes["/x"] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
    assert "secret" not in repr(get(world.client()))
