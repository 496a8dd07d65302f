"""What arrives at a client of the proxy, read in every way that a client could."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from fake_engine import Engine

from filter import Bundle
from filter.nv1 import fold
from model_gate.documents import unescaped
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.proxy import Proxy
from model_gate.proxy.answer import Answer
from model_gate.proxy.asks import Ask
from model_gate.proxy.upstream import Upstream
from model_gate.web import running

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"


ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
STREET = "Lindenweg 5, 3000 Bern"
ENTRIES = [("email", ADDRESS), ("name", NAME), ("phone", PHONE), ("postal_address", STREET)]


@dataclass
class Proxied:
    """The engine, and the way to it through the proxy."""

    engine: Engine
    url: str
    proxy: Proxy
    http: httpx.Client

    def direct(self, path: str, body: dict[str, Any]) -> str:
        """Everything that the engine says, as it arrives."""
        return httpx.post(self.engine.url + path, json=body).text

    def through(self, path: str, body: dict[str, Any]) -> str:
        """Everything that the proxy says."""
        return self.http.post(path, json=body).text


def proxied(made: Engine, bundle: Bundle, **policy: Any) -> Iterator[Proxied]:
    options = {"may_continue": policy.pop("may_continue", True)}
    policy = {"on_named_prompt": "answer", "named_prompts_per_hour": 10**6, **policy}
    guard = Guard(bundle, GatePolicy(**policy), allow_testing=True)
    proxy = Proxy(Upstream(made.url), guard, **options)
    with (
        running.running(proxy.app, guard=guard) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        yield Proxied(made, url, proxy, http)


def is_prompt(one: object) -> bool:
    """Whether an object of the proxy's holds what was asked of it."""
    if isinstance(one, httpx.Request):
        return one.method == "POST" and one.headers["User-Agent"] == "lethe-gate"
    return isinstance(one, Ask | Answer)


def asked(text: str = "Tell me.", **options: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **options}


def events(said: str) -> list[Any]:
    return [
        json.loads(line[5:])
        for line in said.splitlines()
        if line.startswith("data:") and "[DONE]" not in line
    ]


def joined(said: str, number: int = 0, name: str = "content") -> str:
    """The text of one choice of a stream."""
    parts = []
    for one in events(said):
        for choice in one.get("choices", ()):
            if choice["index"] == number:
                fields = choice if "text" in choice else choice["delta"]
                parts.append(fields.get("text" if "text" in choice else name) or "")
    return "".join(parts)


def reason(said: str, number: int = 0) -> str | None:
    found = [
        choice["finish_reason"]
        for one in events(said)
        for choice in one.get("choices", ())
        if choice["index"] == number and choice["finish_reason"]
    ]
    assert len(found) <= 1
    return found[0] if found else None


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in strings(one)]
    if isinstance(value, list):
        if value and all(isinstance(one, int) for one in value):
            return [bytes(one & 255 for one in value).decode("utf-8", "replace")]
        return [text for one in value for text in strings(one)]
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return [value]
        return [value, *(strings(inner) if not isinstance(inner, int | float | str) else ())]
    return [str(value)]


def everything(said: str) -> str:
    """All that arrived: as it is, decoded, and the deltas of each field joined; folded."""
    found = [json.loads(said)] if said.startswith("{") else events(said)
    texts = [said, *strings(found)]
    by_place: dict[str, list[str]] = {}

    def gather(value: Any, place: str) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                gather(one, f"{place}.{key}")
        elif isinstance(value, list):
            for number, one in enumerate(value):
                gather(
                    one, f"{place}.{one.get('index', number) if isinstance(one, dict) else number}"
                )
        elif isinstance(value, str):
            by_place.setdefault(place, []).append(value)

    for one in found:
        gather(one, str(one.get("type", "")))
    whole = ["".join(parts) for parts in by_place.values()]
    texts += [*whole, *map(unescaped, whole)]
    return "\n".join([*texts, *(fold(text) for text in texts)])


def holds(said: str, value: str) -> bool:
    """Whether a value can be read from what arrived, however it is written."""
    all_ = everything(said) if "data:" in said or said.startswith("{") else said + fold(said)
    return value in all_ or fold(value) in all_
