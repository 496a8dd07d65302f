"""A server over time: many clients, clients who leave, releases, the calendar, failures, the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gate_server import behind, serving

from filter import Bundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy, Mode, NamedPrompt
from model_gate.web.limits import ApiKeys
from model_gate.web.running import Keeper

NEWER = "2027.1.0"
KEYS = ("first-key-0123456789", "second-key-0123456789")


def eventually(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    pause = threading.Event()
    for _ in range(1000):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError


def test_many_clients_at_once(served: Any, people: Any) -> None:
    """Rows come and go while others speak; nobody gets another's answer."""
    questions = [people.ask(one) for one in people.all] * 4
    alone = {one: served.chat(one).choices[0].message.content for one in set(questions)}

    def ask(number: int) -> bool:
        question = questions[number]
        if number % 2:
            text: str = served.chat(question).choices[0].message.content
        else:
            parts = served.chat(question, stream=True)
            text = "".join(part.choices[0].delta.content or "" for part in parts)
        return text == alone[question]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(len(questions))))
    assert served.active == 0


def test_a_full_queue_is_said_at_once(loaded: Any) -> None:
    model = behind(loaded, loaded.guard, rows=2)
    with serving(model, queue=1) as served, ThreadPoolExecutor(3) as pool:
        model.paced.goes.clear()
        waiting = [pool.submit(served.complete, "The", max_tokens=3) for _ in range(3)]
        model.paced.stands.acquire()
        eventually(lambda: served.figure("queue_length") + served.figure("active_sequences") == 3)
        with pytest.raises(openai.RateLimitError) as raised:
            served.complete("The")
        assert raised.value.code == "queue_full"
        assert int(raised.value.response.headers["retry-after"]) > 0
        model.paced.goes.set()
        for one in waiting:
            assert one.result().choices[0].finish_reason == "length"
        assert served.complete("The", max_tokens=3).choices


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_who_leaves_makes_room(loaded: Any, stream: bool) -> None:
    model = behind(loaded, loaded.guard)
    with serving(model) as served:
        body = {"prompt": "The", "max_tokens": 500, "temperature": 2, "stream": stream, "n": 3}
        model.paced.goes.clear()
        with httpx.Client(base_url=served.url) as client:
            if stream:
                with client.stream("POST", "/v1/completions", json=body):
                    model.paced.stands.acquire()
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post("/v1/completions", json=body, timeout=0.5)
        eventually(lambda: '"/v1/completions"' in served.http.get("/metrics").text)
        model.paced.goes.set()
        eventually(lambda: served.active == 0)
        assert model.paced.removed == 3
        assert served.complete("The", max_tokens=3).choices


def test_a_failure_of_the_engine_ends_every_answer_with_an_error(loaded: Any, people: Any) -> None:
    model = behind(loaded, loaded.guard, rows=2)
    with serving(model) as served:
        model.paced.goes.clear()
        streams = [served.chat(people.ask(people.listed), stream=True) for _ in range(3)]
        model.paced.stands.acquire()
        model.paced.fails = True
        model.paced.goes.set()
        for stream in streams:
            with pytest.raises(openai.APIError) as raised:
                list(stream)
            assert raised.value.code == "unexpected"
            assert "example.org" not in str(raised.value)
        with pytest.raises(openai.InternalServerError) as refused:
            served.complete("The")
        assert refused.value.status_code == 503
        health = served.http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        assert served.http.get("/livez").status_code == 503


def test_a_failure_while_answers_join_leaves_none_without_an_end(loaded: Any, people: Any) -> None:
    model = behind(loaded, loaded.guard, rows=2)
    with serving(model) as served:
        model.paced.admits = False
        with pytest.raises(openai.InternalServerError) as raised:
            served.chat(people.ask(people.free), n=2, timeout=20)
        assert raised.value.status_code == 500
        assert served.http.get("/livez").status_code == 503


@pytest.mark.soak
def test_a_newer_release_comes_into_force_under_load(
    loaded: Any, people: Any, tmp_path: Path
) -> None:
    """What is newly listed goes out before and not after, whatever is under way; a damaged file changes nothing."""
    path = tmp_path / "filter.safetensors"
    path.write_bytes(people.bundle.read_bytes())
    guard = Guard.open(path, loaded.guard.policy)
    keeper = Keeper(guard, refresh_s=0.05)
    free, question = people.free, people.ask(people.free)
    newer = Bundle.build([("phone", free.phone)], release=NEWER, family="lethe")
    newer.write(tmp_path / "newer")
    (tmp_path / "damaged").write_bytes((tmp_path / "newer").read_bytes()[:-50])
    with serving(behind(loaded, guard), keeper=keeper) as served, ThreadPoolExecutor(4) as pool:
        said: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                said.append(served.chat(question).choices[0].message.content)

        asking = [pool.submit(ask) for _ in range(4)]
        eventually(lambda: len(said) > 4)
        assert all(free.phone in text for text in said)
        (tmp_path / "newer").replace(path)
        eventually(lambda: served.http.get("/health").json()["release"] == NEWER)
        now = len(said) + 4  # those under way began before
        eventually(lambda: len(said) > now + 4)
        (tmp_path / "damaged").replace(path)
        eventually(lambda: served.http.get("/health").json()["problems"] != [])
        stop.set()
        for one in asking:
            one.result()
        assert all("[phone removed]" in text for text in said[now:])
        health = served.http.get("/health")
        assert (health.status_code, health.json()["release"]) == (200, NEWER)


def test_nothing_is_generated_once_the_release_is_refused(loaded: Any) -> None:
    now = [datetime(2026, 8, 1, tzinfo=UTC)]
    guard = Guard(Bundle.build([], release="2026.2.0"), clock=lambda: now[0])
    model = behind(loaded, guard)
    with serving(model) as served:
        assert served.complete("The", max_tokens=3).choices
        model.paced.goes.clear()
        stream = served.complete("The", max_tokens=900, temperature=2, stream=True)
        model.paced.stands.acquire()
        now[0] = datetime(2027, 7, 1, tzinfo=UTC)
        threading.Timer(1.1, model.paced.goes.set).start()  # the engine looks once a second
        with pytest.raises(openai.APIError) as raised:
            list(stream)
        assert raised.value.code == "filter_not_in_force"
        with pytest.raises(openai.InternalServerError) as refused:
            served.complete("The")
        assert (refused.value.status_code, refused.value.code) == (503, "filter_not_in_force")
        health = served.http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "expired")


def test_named_prompts_are_limited_for_each_key(loaded: Any, people: Any) -> None:
    policy = GatePolicy(named_prompts_per_hour=2)
    guard = Guard.open(people.bundle, policy)
    with serving(behind(loaded, guard), keys=ApiKeys(KEYS), open_health=True) as served:
        first, second = (served.client.with_options(api_key=key) for key in KEYS)

        def ask(client: openai.OpenAI, name: str) -> Any:
            message = {"role": "user", "content": f"What is the phone number of {name}?"}
            return client.chat.completions.create(
                model="tiny",
                messages=[message],  # type: ignore[list-item]
                max_tokens=2,
            )

        for _ in range(2):
            ask(first, people.listed.name)
        for name in (people.listed.name, "nobody"):  # or the refusal would tell
            with pytest.raises(openai.RateLimitError) as raised:
                ask(first, name)
            assert raised.value.code == "named_prompts"
            assert int(raised.value.response.headers["retry-after"]) > 60
        ask(second, people.listed.name)
        with pytest.raises(openai.AuthenticationError):
            served.complete("The")
        assert served.figure('named_prompts_total{outcome="answered"}') == 3


def test_a_prompt_with_a_listed_name_can_be_refused(loaded: Any, people: Any) -> None:
    guard = Guard.open(people.bundle, GatePolicy(on_named_prompt=NamedPrompt.REFUSE))
    with serving(behind(loaded, guard)) as served:
        with pytest.raises(openai.BadRequestError) as raised:
            served.chat(people.ask(people.listed))
        assert raised.value.code == "content_filter"
        assert people.listed.name not in str(raised.value)
        assert served.figure('named_prompts_total{outcome="refused"}') == 1


def test_refusing_ends_with_content_filter(loaded: Any, people: Any) -> None:
    guard = Guard.open(people.bundle, replace(loaded.guard.policy, mode=Mode.REFUSE))
    with serving(behind(loaded, guard)) as served:
        choice = served.chat(people.ask(people.listed)).choices[0]
        assert choice.finish_reason == "content_filter"
        assert people.listed.phone[:7] not in choice.message.content


def test_the_end_of_the_server_ends_its_answers(loaded: Any) -> None:
    model = behind(loaded, loaded.guard)
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(1) as pool:

        def read(url: str) -> str:
            body = {"prompt": "The", "max_tokens": 900, "temperature": 2, "stream": True}
            return client.post(f"{url}/v1/completions", json=body).text

        with serving(model, grace_s=0.3) as served:
            model.paced.goes.clear()
            answer = pool.submit(read, served.url)
            model.paced.stands.acquire()
            threading.Timer(0.8, model.paced.goes.set).start()
        last = answer.result().strip().rpartition("data: ")[2]
    assert json.loads(last)["error"]["code"] == "shutting_down"
