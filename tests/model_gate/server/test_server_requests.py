"""Whatever is asked for is answered or refused in one sentence; and a prompt that is too long is not heard."""

from __future__ import annotations

from typing import Any

import pytest
from gate_server import Served, serving
from held_hashes import held, until
from hypothesis import HealthCheck, given, settings
from odd_requests import GOOD, odd_requests

from model_gate.errors import PromptTooLong
from model_gate.guard import Guard
from model_gate.model import GatedModel
from model_gate.policy import GatePolicy, NamedPrompt
from model_gate.server import asks
from model_gate.server.prompter import Prompter
from model_gate.web.limits import NamedPrompts
from model_gate.web.metrics import Metrics

ROUTES = ("/v1/chat/completions", "/v1/completions")


def test_good_requests_are_answered(served: Served) -> None:
    for path in ROUTES:
        found = served.http.post(path, json=GOOD[path])
        assert found.status_code == 200, found.text


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(odd_requests(*ROUTES))
def test_whatever_is_asked_for_nothing_breaks(served: Served, request_: tuple[str, bytes]) -> None:
    path, body = request_
    found = served.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == 200 or 400 <= found.status_code < 500, (found.text, body[:2000])
    assert served.server.engine.alive()


@pytest.mark.parametrize("length", [5_000, 500_000])
@pytest.mark.parametrize("path", ROUTES)
def test_a_prompt_that_does_not_fit_is_not_heard(
    loaded: GatedModel, people: Any, path: str, length: int
) -> None:
    """Hearing it would take long; what it says of somebody is not even looked at."""
    guard = Guard.open(people.bundle, GatePolicy(on_named_prompt=NamedPrompt.REFUSE))
    model = GatedModel(
        loaded.model, loaded.tokenizer, guard, eos=loaded.eos, rows=1, context=loaded.context
    )
    prompter = Prompter(model, Metrics(guard), NamedPrompts(3))
    text = f"{people.listed.name} " * (length // 10)
    with pytest.raises(PromptTooLong):
        prompter.sequences(_ask(path, text), "client", model.background.lane())


def _ask(path: str, text: str) -> asks.Ask:
    if path.endswith("chat/completions"):
        return asks.chat({"messages": [{"role": "user", "content": text}]})
    return asks.completion({"prompt": ["short", text]})


def test_when_a_client_leaves_its_hashes_are_forgotten(loaded: GatedModel, people: Any) -> None:
    with serving(loaded, queue=4) as found, held(loaded.background) as waiting:
        body = {
            "messages": [{"role": "user", "content": people.ask(people.free)}],
            "stream": True,
            "temperature": 0,
            "max_tokens": 80,
        }
        with found.http.stream("POST", "/v1/chat/completions", json=body):
            until(lambda: waiting() > 0)
        until(lambda: waiting() == 0)
        until(lambda: found.active == 0)


def test_a_model_that_is_closed_computes_no_hashes(loaded: GatedModel) -> None:
    model = GatedModel(loaded.model, loaded.tokenizer, loaded.guard, eos=loaded.eos, rows=1)
    lane = model.background.lane()
    assert lane.submit(str, 1).result(30) == "1"
    model.close()
    assert lane.submit(str, 2).cancelled()
