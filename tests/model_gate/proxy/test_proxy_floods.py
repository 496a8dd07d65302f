"""What one client asks for does not keep the others waiting, least of all once it has left."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest
from fake_engine import Engine, Script
from held_hashes import held, until
from proxy_talk import CHAT, COMPLETIONS, NAME, RESPONSES, Proxied, asked, joined, proxied

from filter import Bundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.proxy import Proxy
from model_gate.proxy.upstream import Upstream


def posts(made: Engine) -> int:
    return sum(1 for method, _, _ in made.requests if method == "POST")


def many(text: str) -> list[dict[str, Any]]:
    function = {"name": "a", "parameters": {"enum": [text] * 110_000}}
    return [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, asked(f"{NAME}, " * 20_000)),
        (CHAT, asked(f"Who is {NAME}?", tools=many(""))),
        (COMPLETIONS, {"prompt": ["short", f"{NAME} " * 20_000]}),
        (RESPONSES, {"input": f"{NAME} " * 20_000}),
    ],
    ids=["chat", "many-strings", "completion", "response"],
)
def test_a_prompt_that_is_too_long_is_not_heard(
    shared_engine: Engine, proxy_bundle: Bundle, path: str, body: dict[str, Any]
) -> None:
    """Else it would be refused for the listed name that it holds."""
    shared_engine.requests.clear()
    for gate in proxied(shared_engine, proxy_bundle, on_named_prompt="refuse"):
        found = gate.http.post(path, json=body)
        assert found.status_code == 400
        assert found.json()["error"]["code"] == "context_length_exceeded"
        short = gate.http.post(CHAT, json=asked(f"Who is {NAME}?"))
        assert short.json()["error"]["code"] == "content_filter"
    assert posts(shared_engine) == 0


@pytest.mark.parametrize(("context", "status"), [(4096, 400), (8192, 200), (None, 200), ("x", 200)])
def test_the_engines_context_limits_a_prompt(
    shared_engine: Engine, proxy_bundle: Bundle, context: Any, status: int
) -> None:
    """Where it is known: at sixteen characters a token the first is too short."""
    shared_engine.script = Script([{"content": "Well."}], longest=context)
    for gate in proxied(shared_engine, proxy_bundle):
        assert gate.http.post(CHAT, json=asked("ab cd " * 15_000)).status_code == status
        assert gate.http.post(CHAT, json=asked("ab cd " * 1_000)).status_code == 200


def test_the_limit_can_be_set(shared_engine: Engine, proxy_bundle: Bundle) -> None:
    shared_engine.say("Well.")
    guard = Guard(proxy_bundle, GatePolicy(), allow_testing=True)
    proxy = Proxy(Upstream(shared_engine.url), guard, longest_prompt=2000)
    assert ended(proxy, asked("a" * 1990))[0] == 200
    assert ended(proxy, asked("a" * 2010))[0] == 400


def ended(
    proxy: Proxy, body: dict[str, Any], *, leaves: bool = False, busy: bool = False
) -> tuple[int, bool]:
    """Status of an answer, 0 for none, and whether a prompt was heard.

    ``leaves``: the client does, at once; ``busy``: all threads that hear prompts are.
    """
    status, heard = 0, False
    octets = json.dumps(body).encode()
    messages = [{"type": "http.request", "body": octets, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.05 if leaves else 3600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    async def run() -> None:
        nonlocal heard
        limiter = proxy._threads
        others = [object() for _ in range(int(limiter.total_tokens))] if busy else []
        for one in others:
            limiter.acquire_on_behalf_of_nowait(one)
        scope = {
            "type": "http",
            "method": "POST",
            "path": CHAT,
            "raw_path": CHAT.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("192.0.2.1", 1),
        }
        with anyio.fail_after(30):
            await proxy.app(scope, receive, send)
        heard = limiter.statistics().tasks_waiting > 0
        for one in others:
            limiter.release_on_behalf_of(one)

    asyncio.run(run())
    return status, heard


def test_whoever_has_left_is_not_heard(shared_engine: Engine, proxy_bundle: Bundle) -> None:
    """A prompt that waits to be heard is forgotten with its client."""
    guard = Guard(proxy_bundle, GatePolicy(), allow_testing=True)
    proxy = Proxy(Upstream(shared_engine.url), guard)
    assert ended(proxy, asked(), leaves=True, busy=True) == (0, False)
    assert proxy._under_way == 0


@pytest.mark.parametrize("stream", [True, False])
def test_when_a_client_leaves_its_hashes_are_forgotten(gate: Proxied, stream: bool) -> None:
    said = [{"content": " ".join(f"user{n}@example.org," for n in range(50))}]
    gate.engine.script = Script(said)
    with held(gate.proxy._hashes) as waiting:
        import httpx

        with httpx.Client(base_url=gate.url, timeout=1) as leaving:
            with pytest.raises(httpx.ReadTimeout):
                leaving.post(CHAT, json=asked(n=4, stream=stream))
            until(lambda: waiting() > 0 or gate.proxy._under_way == 0)
        until(lambda: waiting() == 0)
        until(lambda: gate.proxy._under_way == 0)
    gate.engine.say("Write to somebody@example.org today.")
    whole = gate.through(CHAT, asked(stream=True))
    assert joined(whole) == "Write to somebody@example.org today."
