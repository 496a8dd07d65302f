"""Who controls a domain: challenges in the domain name system and in a file."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.rcode
import pytest

from filter.hosts import canonical_host
from filter_service.evidence.domain_control import (
    Confirmed,
    DomainControl,
    Method,
    NotFound,
    Result,
    Unreachable,
    UnusableDomain,
    controllable,
)

WANTED = "lethe-verification=0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FILE = "/.well-known/lethe-verification.txt"


def check(world: Any, method: Method, domain: str = "example.org", **changes: Any) -> Result:
    control = DomainControl(world.resolver(1.0), world.client(**changes), allow_reserved=True)
    return asyncio.run(control.check(method, domain, WANTED))


# -- domains ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain",
    """
    com localhost localhost. intranet 127.0.0.1 2130706433 0x7f.1 0177.0.0.1 127.1 [::1] [::ffff:127.0.0.1]
    http://a.ch a.ch/ a.ch:443 user@a.ch %61.ch a..ch .a.ch a.test www.a.test test a.example example
    example.org www.example.org example.com example.net a.invalid a.localhost printer.local a.onion a.internal
    a.alt 1.0.0.127.in-addr.arpa home.arpa EXAMPLE.ORG. a.TEST ①②⑦.0.0.1 a.ｔｅｓｔ
    """.split(),
)
def test_nobody_controls(domain: str) -> None:
    refused(domain)


@pytest.mark.parametrize("domain", ["", " ", "a b.ch", f"{'a.' * 121}aaaa.ch", "a" * 64 + ".ch"])
def test_what_is_no_domain(domain: str) -> None:
    refused(domain)


def refused(domain: str) -> None:
    with pytest.raises(UnusableDomain) as caught:
        controllable(domain)
    assert caught.value.code == "unusable_domain"
    assert "127" not in str(caught.value)
    assert "printer" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("a.ch", "a.ch"),
        ("WWW.A.ch.", "www.a.ch"),
        (" a.ch\n", "a.ch"),
        ("müller.ch", "xn--mller-kva.ch"),
        ("1.ch", "1.ch"),
        ("test.ch", "test.ch"),
        ("example.ch", "example.ch"),
        ("myexample.org", "myexample.org"),
        ("example.org.ch", "example.org.ch"),
        ("mytest.latest", "mytest.latest"),
        (f"{'a.' * 120}aaa.ch", f"{'a.' * 120}aaa.ch"),
    ],
)
def test_somebody_controls(domain: str, host: str) -> None:
    assert controllable(domain) == host == canonical_host(host)


@pytest.mark.parametrize("domain", ["a.test", "www.example.org", "a.local"])
def test_reserved_names_are_allowed_by_a_flag(domain: str) -> None:
    assert controllable(domain, allow_reserved=True) == domain


@pytest.mark.parametrize("domain", ["test", "localhost", "127.0.0.1"])
def test_the_flag_allows_no_more(domain: str) -> None:
    with pytest.raises(UnusableDomain):
        controllable(domain, allow_reserved=True)


def test_reserved_names_are_not_looked_for(world: Any) -> None:
    control = DomainControl(world.resolver(), world.client())
    for method in Method:
        with pytest.raises(UnusableDomain):
            asyncio.run(control.check(method, "example.org", WANTED))
    assert not world.names.asked


# -- TXT records --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "result"),
    [
        ([f'"{WANTED}"'], Confirmed(Method.DNS)),
        ([f'"{WANTED[:7]}" "{WANTED[7:]}"'], Confirmed(Method.DNS)),
        ([f'" {WANTED} "'], Confirmed(Method.DNS)),
        (['"v=spf1 -all"', f'"{WANTED}"', '"other"'], Confirmed(Method.DNS)),
        ([f'"{WANTED[:7]}" " {WANTED[7:]}"'], NotFound(Method.DNS, "different")),
        ([f'"{WANTED[:7]}"', f'"{WANTED[7:]}"'], NotFound(Method.DNS, "different")),
        ([f'"{WANTED.upper()}"'], NotFound(Method.DNS, "different")),
        ([f'"{WANTED}x"'], NotFound(Method.DNS, "different")),
        ([f'"x {WANTED}"'], NotFound(Method.DNS, "different")),
        (['"lethe-verification="'], NotFound(Method.DNS, "different")),
        (['""'], NotFound(Method.DNS, "different")),
    ],
)
def test_text_records(world: Any, records: list[str], result: Result) -> None:
    world.names.zone["_lethe.example.org", "TXT"] = [records]
    assert check(world, Method.DNS) == result


@pytest.mark.parametrize(
    "name", ["example.org", "_lethe.org", "lethe.example.org", "_lethe.www.example.org"]
)
def test_no_other_name_will_do(world: Any, name: str) -> None:
    world.names.zone[name, "TXT"] = [[f'"{WANTED}"']]
    assert check(world, Method.DNS) == NotFound(Method.DNS, "no-record")


def test_parents_are_not_climbed_to(world: Any) -> None:
    world.names.zone["_lethe.example.org", "TXT"] = [[f'"{WANTED}"']]
    assert check(world, Method.DNS, "www.example.org") == NotFound(Method.DNS, "no-record")


def test_a_name_without_text_records(world: Any) -> None:
    world.names.zone["_lethe.example.org", "A"] = [["127.0.0.2"]]
    assert check(world, Method.DNS) == NotFound(Method.DNS, "no-record")


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_failing_name_servers(world: Any, rcode: dns.rcode.Rcode) -> None:
    world.names.zone["_lethe.example.org", "TXT"] = [rcode]
    assert check(world, Method.DNS) == Unreachable(Method.DNS, "dns")


def test_silent_name_servers(world: Any) -> None:
    world.names.silent.add("_lethe.example.org")
    assert check(world, Method.DNS) == Unreachable(Method.DNS, "dns")


def test_the_domain_is_looked_for_in_its_canonical_form(world: Any) -> None:
    world.names.zone["_lethe.xn--mller-kva.example", "TXT"] = [[f'"{WANTED}"']]
    assert check(world, Method.DNS, "MÜLLER.example.") == Confirmed(Method.DNS)


# -- files --------------------------------------------------------------------------------------


def answered(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


TEXT = WANTED.encode()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (answered(200, TEXT), Confirmed(Method.FILE)),
        (answered(200, TEXT + b"\r\n"), Confirmed(Method.FILE)),
        (answered(200, b"lethe-verification=other\n" + TEXT + b"\n"), Confirmed(Method.FILE)),
        (answered(200, b"  " + TEXT + b"\t\n"), Confirmed(Method.FILE)),
        (answered(200, b""), NotFound(Method.FILE, "different")),
        (answered(200, b"\xff\xfe\x00"), NotFound(Method.FILE, "different")),
        (answered(200, b"<html>" + TEXT + b"</html>"), NotFound(Method.FILE, "different")),
        (answered(200, TEXT[:-1]), NotFound(Method.FILE, "different")),
        (answered(200, TEXT.upper()), NotFound(Method.FILE, "different")),
        (answered(200, TEXT + b"\n" + b"a" * 4096), NotFound(Method.FILE, "too-large")),
        (answered(200, TEXT, "Content-Encoding: gzip"), NotFound(Method.FILE, "encoding")),
        (answered(302, TEXT, "Location: /y"), NotFound(Method.FILE, "redirect")),
        (answered(204, b""), NotFound(Method.FILE, "no-file")),
        (answered(403, TEXT), NotFound(Method.FILE, "no-file")),
        (answered(404, TEXT), NotFound(Method.FILE, "no-file")),
        (answered(410, TEXT), NotFound(Method.FILE, "no-file")),
        (answered(429, TEXT), Unreachable(Method.FILE, "server-error")),
        (answered(500, TEXT), Unreachable(Method.FILE, "server-error")),
        (answered(503, TEXT), Unreachable(Method.FILE, "server-error")),
    ],
)
def test_files(world: Any, answer: bytes, result: Result) -> None:
    world.web.routes[FILE] = answer
    world.web.routes["/y"] = answered(200, TEXT)
    assert check(world, Method.FILE) == result
    assert [(r.method, r.path) for r in world.web.requests] == [("GET", FILE)]


@pytest.mark.parametrize(
    ("addresses", "code"),
    [(["127.0.0.1"], "not-public"), (["10.0.0.1", "127.0.0.2"], "not-public"), ([], "no-address")],
)
def test_files_out_of_reach(world: Any, addresses: list[str], code: str) -> None:
    world.web.routes[FILE] = answered(200, TEXT)
    world.names.zone["example.org", "A"] = [addresses]
    assert check(world, Method.FILE) == Unreachable(Method.FILE, code)
    assert not world.web.connections


def test_a_file_under_a_wrong_certificate(world: Any) -> None:
    world.web.routes[FILE] = answered(200, TEXT)
    assert check(world, Method.FILE, "other.example") == Unreachable(Method.FILE, "tls")


def test_a_file_of_an_international_name(world: Any) -> None:
    world.web.routes[FILE] = answered(200, TEXT)
    assert check(world, Method.FILE, "Müller.example") == Confirmed(Method.FILE)
    assert world.web.requests[0].headers["host"] == "xn--mller-kva.example"
