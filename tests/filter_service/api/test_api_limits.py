"""How often a client may ask, and who it is taken for."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from filter_service.access import Role, Scope
from filter_service.api.clients import Clients
from filter_service.api.limiting import Rate
from filter_service.errors import UnsafeSettings


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("most", "period_s"), [(20, 3600), (120, 60), (7, 60), (1, 10), (12_000, 60)]
)
def test_a_whole_allowance_may_be_spent_at_once_and_comes_back_evenly(most, period_s):
    watch = Watch()
    rate = Rate("some", most, period_s, watch)
    for left in range(most - 1, -1, -1):
        taken = rate.take("a")
        assert (taken.taken, taken.left) == (True, left)
    refused = rate.take("a")
    assert (refused.taken, refused.left) == (False, 0)
    assert refused.wait_s == pytest.approx(period_s / most)
    assert refused.full_s == pytest.approx(period_s)
    assert rate.take("b").taken
    watch.now += refused.wait_s * 0.99
    assert not rate.take("a").taken
    watch.now += refused.wait_s * 0.02
    assert rate.take("a").taken
    assert not rate.take("a").taken
    watch.now += period_s
    assert rate.take("a").left == most - 1


def test_whoever_was_refused_has_spent_nothing():
    watch = Watch()
    rate = Rate("some", 2, 10, watch)
    for _ in range(100):
        rate.take("a")
    watch.now += 5.1
    assert rate.take("a").taken


def test_what_is_kept_of_clients_is_bounded(monkeypatch):
    monkeypatch.setattr("filter_service.api.limiting._MOST_KNOWN", 1000)
    watch = Watch()
    rate = Rate("some", 3, 1000, watch)
    for number in range(10_000):
        watch.now += 0.001
        rate.take(str(number))
    assert len(rate._full_at) <= 1000
    for _ in range(3):
        rate.take("busy")
    for number in range(400):
        rate.take(f"other {number}")
    assert not rate.take("busy").taken


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted_as", "shown_as", "direct"),
    [
        ("203.0.113.7", [], "203.0.113.7", "203.0.113.0/24", True),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7", "203.0.113.0/24", False),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1", "198.51.100.0/24", False),
        ("10.0.0.1", ["192.0.2.9, 198.51.100.1"], "198.51.100.1", "198.51.100.0/24", False),
        (
            "10.0.0.1",
            ["192.0.2.9", "198.51.100.1, 10.1.1.1"],
            "198.51.100.1",
            "198.51.100.0/24",
            False,
        ),
        ("10.0.0.1", ["192.0.2.9, nonsense"], "10.0.0.1", "10.0.0.0/24", False),
        ("10.0.0.1", ["192.0.2.9, "], "10.0.0.1", "10.0.0.0/24", False),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2", "10.0.0.0/24", False),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1", "198.51.100.0/24", False),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64", "2001:db8:1::/48", False),
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64", "2001:db8:1::/48", True),
        ("2001:db8:1:2:bbbb::1", [], "2001:db8:1:2::/64", "2001:db8:1::/48", True),
        ("fe80::1%eth0", [], "fe80::/64", "fe80::/48", True),
        ("::ffff:203.0.113.7", [], "203.0.113.7", "203.0.113.0/24", True),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1", "198.51.100.0/24", False),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1", "198.51.100.0/24", False),
        (None, [], "local", "local", True),
        (None, ["192.0.2.9, 198.51.100.1"], "198.51.100.1", "198.51.100.0/24", False),
    ],
)
def test_who_is_taken_for_the_client(peer, forwarded, counted_as, shown_as, direct):
    clients = Clients(["10.0.0.0/8", "fd00::/8"])
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    found = clients.of({"type": "http", "client": (peer, 1) if peer else None, "headers": headers})
    assert (found.counted_as, found.shown_as, found.direct) == (counted_as, shown_as, direct)


def test_a_limit_lets_somebody_through():
    with pytest.raises(UnsafeSettings, match="All limits must be 1 or more"):
        Rate("some", 0, 60)


def test_proxies_are_networks():
    with pytest.raises(UnsafeSettings, match="trusted_proxies must be networks"):
        Clients(["proxy.example"])


def ask(lethe, method="GET", path="/v1/discovery", via=None, **options):
    """A request through a trusted proxy, which has `via` from its client."""
    headers = {"X-Forwarded-For": via} if via else {}
    return httpx.request(
        method, lethe.url + path, headers=headers | options.pop("headers", {}), **options
    )


def test_reads_and_writes_are_counted_apart_and_by_address(serving, tmp_path, limited):
    with serving(tmp_path / "registry", limited) as lethe:
        first = [ask(lethe, via="198.51.100.1") for _ in range(5)]
        assert [one.status_code for one in first] == [200] * 4 + [429]
        assert first[0].headers["ratelimit-policy"] == '"reads";q=4;w=60'
        assert first[0].headers["ratelimit"] == '"reads";r=3;t=15'
        refused = first[-1]
        assert refused.json()["type"] == "/problems/too_often"
        assert refused.headers["ratelimit"].startswith('"reads";r=0;t=')
        assert 1 <= int(refused.headers["retry-after"]) <= 15
        assert ask(lethe, via="198.51.100.2").status_code == 200
        writes = [
            ask(lethe, "POST", "/v1/requests", via="198.51.100.1", json={}).status_code
            for _ in range(4)
        ]
        assert writes == [400] * 3 + [429]
        assert ask(lethe, "DELETE", "/v1/requests", via="198.51.100.1").status_code == 429
        assert ask(lethe, "POST", "/v1/requests", via="2001:db8::1", json={}).status_code == 400


def test_a_forged_address_helps_nobody(serving, tmp_path, limited):
    with serving(tmp_path / "registry", limited) as lethe:
        found = [
            ask(lethe, via=f"192.0.2.{number}, 198.51.100.1").status_code for number in range(6)
        ]
        assert found == [200] * 4 + [429] * 2
        victim = ask(lethe, via="192.0.2.0")
        assert victim.status_code == 200
    with serving(tmp_path / "direct", replace(limited, trusted_proxies=())) as lethe:
        found = [ask(lethe, via=f"192.0.2.{number}").status_code for number in range(6)]
        assert found == [200] * 4 + [429] * 2


def test_a_key_has_a_limit_of_its_own(serving, tmp_path, limited):
    few = replace(limited, limits=replace(limited.limits, requests_a_minute_by_key=6))
    with serving(tmp_path / "registry", few) as lethe:
        key = lethe.key(Role.MACHINE, Scope.SUBMIT)
        found = [ask(lethe, headers=key) for _ in range(7)]
        assert [one.status_code for one in found] == [200] * 6 + [429]
        assert found[0].headers["ratelimit-policy"] == '"key";q=6;w=60'
        assert ask(lethe, headers=lethe.key(Role.MACHINE, Scope.SUBMIT)).status_code == 200
        assert ask(lethe).status_code == 200
        false = [
            ask(lethe, headers={"Authorization": f"Bearer lethe_{number:032x}_{'0' * 32}"})
            for number in range(6)
        ]
        assert [one.status_code for one in false] == [200] * 3 + [429] * 3


def test_whoever_signed_in_otherwise_is_counted_by_key(serving, tmp_path, limited):
    with serving(tmp_path / "registry", limited) as lethe:
        access, _ = lethe.registry.access.create(Role.REVIEWER, "A fictitious reviewer", "admin")
        lethe.app.state.known_callers.append(
            lambda scope: (
                access.access_id if (b"cookie", b"signed=in") in scope["headers"] else None
            )
        )
        signed = {"Cookie": "signed=in"}
        assert {ask(lethe, headers=signed).status_code for _ in range(9)} == {200}
        assert [ask(lethe).status_code for _ in range(5)] == [200] * 4 + [429]
