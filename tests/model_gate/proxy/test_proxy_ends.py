"""How answers end: cut beside tool calls, by the engine's own filter, in JSON; what an engine says when asked for more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import httpx
import pytest
from failing_engine import FailingEngine, Talk, failing_engine
from fake_engine import Engine, Script
from proxy_talk import ADDRESS, CHAT, COMPLETIONS, NAME, Proxied, asked, joined, proxied, reason

from filter import Bundle, OutputFilter
from filter.nv1 import fold
from model_gate.channels import Channel, Piece
from model_gate.documents import unescaped
from model_gate.guard import Guard
from model_gate.policy import GatePolicy, Mode
from model_gate.prompts import Hearing
from model_gate.proxy import Proxy
from model_gate.proxy.choice import Choice
from model_gate.proxy.upstream import Upstream
from model_gate.web import running

CUT = NAME[:16]
REFUSED = "content_filter"
MAIL = {"index": 0, "function": {"name": "mail", "arguments": "{}"}}
JSON = {"response_format": {"type": "json_object"}}


@pytest.fixture(scope="module")
def alone(shared_engine: Engine, proxy_bundle: Bundle) -> Iterator[Proxied]:
    """It does not ask the engine for more."""
    yield from proxied(shared_engine, proxy_bundle, may_continue=False)


def said(gate: Proxied, **options: Any) -> tuple[str, str | None]:
    """The content, whole and streamed alike, and why it ended."""
    streamed = gate.through(CHAT, asked(stream=True, **options))
    (choice,) = json.loads(gate.through(CHAT, asked(**options)))["choices"]
    found = joined(streamed), reason(streamed)
    assert found == (choice["message"]["content"] or "", choice["finish_reason"])
    return found


@pytest.mark.parametrize(
    "deltas",
    [
        [{"tool_calls": [MAIL]}, {"content": f"Ask {CUT}"}],
        [{"content": f"Ask {CUT}", "tool_calls": [{"index": 0}]}],
        [{"content": f"Ask {CUT}"}, {"tool_calls": [{"index": 0, "function": {}}]}],
    ],
    ids=["behind a call", "beside an empty call", "before an empty call"],
)
def test_a_cut_with_calls(alone: Proxied, deltas: Any) -> None:
    alone.engine.script = Script(deltas, finish_reason="length")
    assert said(alone) == ("Ask [name removed]", "length")


@pytest.mark.parametrize(
    ("deltas", "stop", "channel", "reason"),
    [
        ([{"reasoning": f"Ask {NAME}"}, {"content": "Write."}], (), Channel.REASONING, REFUSED),
        ([{"content": f"Ask {NAME}"}, {"reasoning": "Well."}], (), Channel.CONTENT, REFUSED),
        ([{"content": f"Ask {NAME}"}, {"tool_calls": [MAIL]}], (), Channel.CONTENT, REFUSED),
        (
            [{"content": "Ask Bettina"}, {"tool_calls": [MAIL]}],
            ("Bettina",),
            Channel.CONTENT,
            "stop",
        ),
        ([{"content": "Ask Bettina"}, {"reasoning": "Hm."}], ("Bettina",), Channel.CONTENT, "stop"),
    ],
    ids=["thought", "content, then thought", "call", "stop, then call", "stop, then thought"],
)
def test_what_ends_an_answer_where_a_channel_ends(
    proxy_bundle: Bundle, deltas: Any, stop: tuple[str, ...], channel: Channel, reason: str
) -> None:
    """Nothing is said in another one, and what was removed is counted once."""
    hearing = Hearing((), OutputFilter(proxy_bundle), (), 0)
    choice = Choice(0, hearing, GatePolicy(mode=Mode.REFUSE), stop=stop)
    said = [piece for delta in deltas for piece in choice.take(delta, None)]
    said += choice.take({}, "stop") + choice.finish(undecided=False)
    assert said == [Piece(channel, "Ask ")]
    assert choice.finish_reason == reason
    assert choice.removed.total() == choice.slow_hashes == (reason == REFUSED)


def test_the_engines_own_filter_cuts_too(gate: Proxied) -> None:
    """Nobody asks it for more: it will not say more."""
    gate.engine.say(f"Ask {CUT}", finish_reason="content_filter")
    assert said(gate) == ("Ask [name removed]", "content_filter")
    assert sum(path == CHAT for _, path, _ in gate.engine.requests) == 2


@pytest.mark.parametrize("cut", range(2, len(NAME)))
@pytest.mark.parametrize("escaped", [" ", "H", "B"])
def test_json_cut_within_a_name_with_escapes(alone: Proxied, escaped: str, cut: int) -> None:
    text = "".join(f"\\u{ord(one):04x}" if one == escaped else one for one in NAME[:cut])
    alone.engine.say('{"to": "Ask ', text, finish_reason="length")
    content, _ = said(alone, **JSON)
    read, whole = fold(unescaped(content)), fold(NAME)
    assert max(size for size in range(cut) if read.endswith(whole[:size])) <= len(whole) // 2


def test_json_that_is_cut_and_refused(shared_engine: Engine, proxy_bundle: Bundle) -> None:
    text = "".join(f"\\u{ord(one):04x}" for one in ADDRESS).replace("\\u002d", "-")
    for gate in proxied(shared_engine, proxy_bundle, mode="refuse", may_continue=False):
        gate.engine.say('{"to": "', text, '" and', finish_reason="stop")
        assert said(gate, **JSON) == ("", "content_filter")


@pytest.fixture(scope="module")
def odd() -> Iterator[FailingEngine]:
    with failing_engine() as made:
        yield made


@pytest.mark.parametrize(
    ("ends", "seen"),
    [("stop", True), ("content_filter", False), ("abort", False), (5, False)],
    ids=str,
)
def test_the_end_of_what_it_says_unseen(
    odd: FailingEngine, proxy_bundle: Bundle, ends: Any, seen: bool
) -> None:
    """Only an answer that would have ended there by itself is whole as it is."""

    def behave(talk: Talk) -> None:
        talk.begin()
        if talk.body.get("temperature") == 0:
            talk.say("", ends)
        else:
            talk.say(f"Ask {CUT}", "length")
        talk.done()

    odd.behave = behave
    guard = Guard(proxy_bundle, GatePolicy(), allow_testing=True)
    with running.running(Proxy(Upstream(odd.url), guard).app, guard=guard) as url:
        for path, body in ((CHAT, asked()), (COMPLETIONS, {"model": "fake", "prompt": "x"})):
            (choice,) = httpx.post(url + path, json=body).json()["choices"]
            text = choice["text"] if path == COMPLETIONS else choice["message"]["content"]
            assert text == (f"Ask {CUT}" if seen else "Ask [name removed]")
            assert choice["finish_reason"] == "length"


def test_usage_where_a_stop_sequence_is_met(gate: Proxied) -> None:
    """The engine is hung up on before its last count, so it is asked to count as it goes."""
    gate.engine.say("One ", "two ", "three ", "four ", "five ")
    for options in ({}, {"n": 2}):
        usage = json.loads(gate.through(CHAT, asked(stop=["three"], **options)))["usage"]
        assert usage["prompt_tokens"] == 7
        assert 0 < usage["completion_tokens"] <= 4 * options.get("n", 1)
    gate.engine.script.owned_by = "somebody"
    assert gate.engine.requests[-1][2]["stream_options"]["continuous_usage_stats"] is True
    gate.through(CHAT, asked())
    assert gate.engine.requests[-1][2]["stream_options"] == {"include_usage": True}


def test_more_than_may_be_answered_at_once(odd: FailingEngine, proxy_bundle: Bundle) -> None:
    """Those whose prompts are still being heard count too."""
    guard = Guard(proxy_bundle, allow_testing=True)
    refused, reached = threading.Event(), threading.Semaphore(0)

    def behave(talk: Talk) -> None:
        reached.release()
        refused.wait(20)
        talk.begin()
        talk.say("Well.", "stop")
        talk.done()

    odd.behave = behave
    with (
        running.running(Proxy(Upstream(odd.url), guard, streams=2).app, guard=guard) as url,
        httpx.Client(base_url=url, timeout=30) as http,
        ThreadPoolExecutor(12) as pool,
    ):
        prompt = "A long prompt to be heard. " * 2000
        asking = [pool.submit(http.post, CHAT, json=asked(prompt)) for _ in range(12)]
        over = [found.result() for found in islice(as_completed(asking), 10)]
        assert [found.status_code for found in over] == [429] * 10
        assert over[0].headers["Retry-After"] == "5"
        assert all(reached.acquire(timeout=20) for _ in range(2))
        assert not reached.acquire(blocking=False)
        refused.set()
        found = [one.result().status_code for one in asking]
        assert sorted(found) == [200] * 2 + [429] * 10
        assert http.post(CHAT, json=asked()).status_code == 200
