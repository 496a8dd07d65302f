"""What one client may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from filter.errors import InputError
from model_gate.web import limits
from model_gate.web.limits import ApiKeys, NamedPrompts, client_of
from model_gate.web.problems import ApiError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(limit: NamedPrompts, client: str) -> int:
    with pytest.raises(ApiError) as raised:
        limit.check(client)
    assert raised.value.status == 429
    assert raised.value.headers is not None
    return int(raised.value.headers["Retry-After"])


def test_named_prompts_are_counted_for_each_client() -> None:
    clock = Clock()
    limit = NamedPrompts(6, clock)
    for _ in range(6):
        limit.check("a")
        limit.charge("a", 1)
    assert refused(limit, "a") == 600
    limit.check("b")


def test_prompts_that_name_nobody_cost_nothing() -> None:
    limit = NamedPrompts(1, Clock())
    for _ in range(10):
        limit.check("a")
        limit.charge("a", 0)


def test_the_bucket_fills_up_again_and_not_further() -> None:
    clock = Clock()
    limit = NamedPrompts(6, clock)
    limit.charge("a", 6)
    clock.now += refused(limit, "a")
    limit.check("a")
    clock.now += 36_000
    limit.charge("a", 6)
    refused(limit, "a")


def test_one_prompt_cannot_ask_about_many() -> None:
    limit = NamedPrompts(6, Clock())
    limit.charge("a", 4)
    with pytest.raises(ApiError):
        limit.charge("a", 3)
    assert refused(limit, "a") == 600


def test_a_long_text_that_names_more_than_the_limit_passes_once() -> None:
    limit = NamedPrompts(6, Clock())
    limit.charge("a", 40)
    refused(limit, "a")


def test_none_at_all() -> None:
    limit = NamedPrompts(0, Clock())
    assert refused(limit, "a") == 3600


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_CLIENTS", 3)
    limit = NamedPrompts(1, Clock())
    for client in "abcd":
        limit.charge(client, 1)
    limit.check("a")
    refused(limit, "d")


def test_clients_are_keys_or_networks() -> None:
    def of(host: str, key: str = "", *, keyed: bool = False) -> str:
        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        return client_of({"type": "http", "client": (host, 1), "headers": headers}, keyed=keyed)

    assert of("192.0.2.1") == of("192.0.2.1") != of("192.0.2.2")
    assert of("2001:db8::1") == of("2001:db8::ffff") != of("2001:db8:0:1::1")
    assert of("192.0.2.1", "k1") == of("192.0.2.1", "k2")
    assert of("192.0.2.1", "k1", keyed=True) == of("192.0.2.2", "k1", keyed=True)
    assert of("192.0.2.1", "k1", keyed=True) != of("192.0.2.1", "k2", keyed=True)
    assert "192" not in of("192.0.2.1")


def test_a_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n\nfirst-key-0123456789\n  second-key-0123456789  \n")
    keys = ApiKeys.read(path)
    assert keys.knows("first-key-0123456789")
    assert keys.knows("second-key-0123456789")
    assert not keys.knows("# ours")
    assert not keys.knows("")


@pytest.mark.parametrize("content", ["", "# none\n", "short\n", "schlüssel-0123456789\n"], ids=repr)
def test_bad_key_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        ApiKeys.read(path)
    with pytest.raises(InputError, match="--api-key-file"):
        ApiKeys.read(tmp_path / "none")
