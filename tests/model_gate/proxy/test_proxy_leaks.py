"""Channels by which an engine tells: each is shown to leak, and then not to leak through the proxy."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from fake_engine import Script, engine
from proxy_talk import (
    ADDRESS,
    CHAT,
    COMPLETIONS,
    NAME,
    PHONE,
    RESPONSES,
    STREET,
    Proxied,
    asked,
    events,
    holds,
    joined,
    proxied,
    reason,
)

from filter import Bundle, OutputFilter
from model_gate.proxy.counts import CHARACTERS

TEXT = f"Ask {NAME} ({ADDRESS}) or call {PHONE}; {STREET}. That is all."
CLEAN = "Ask [name removed] ([email removed]) or call [phone removed]; [postal address removed]. That is all."
LISTED = (NAME, ADDRESS, PHONE, STREET)


def pieces(text: str, size: int = 4) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def compare(
    gate: Proxied, path: str, body: dict[str, Any], *values: str, told: str | None = None
) -> str:
    """The engine tells, streaming; the proxy tells nothing, streaming or not. What the proxy streams."""
    upstream = told or path
    direct = gate.direct(upstream, {**asked(), "prompt": "x", **body, "stream": True})
    for value in values:
        assert holds(direct, value), "the engine does not leak what it should"
    through = gate.through(path, {**body, "stream": True})
    for said in (through, gate.through(path, body)):
        assert "error" not in said[:12], said[:300]
        for value in values:
            assert not holds(said, value)
        for hidden in (
            "fp_engine",
            "vendor",
            "token_ids",
            "matched_stop",
            "prompt_logprobs",
            "chatcmpl-engine",
        ):
            assert hidden not in said
    return through


def test_content(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT))
    said = compare(gate, CHAT, asked(), *LISTED)
    assert joined(said) == CLEAN
    assert reason(said) == "stop"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts(gate: Proxied, name: str) -> None:
    gate.engine.script = Script([*({name: text} for text in pieces(TEXT)), {"content": "Well."}])
    said = compare(gate, CHAT, asked(), *LISTED)
    assert joined(said, name="reasoning_content") == CLEAN
    assert joined(said) == "Well."


def test_halves_in_thoughts_and_content(gate: Proxied) -> None:
    gate.engine.script = Script([{"reasoning_content": ADDRESS[:9]}, {"content": ADDRESS[9:]}])
    said = compare(gate, CHAT, asked())
    whole = joined(said, name="reasoning_content") + joined(said)
    assert ADDRESS not in whole


def test_refusal(gate: Proxied) -> None:
    gate.engine.say(*pieces(f"I will not speak of {ADDRESS}."), field_name="refusal")
    said = compare(gate, CHAT, asked(), ADDRESS)
    assert joined(said) == "I will not speak of [email removed]."


def test_completions(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT), field_name="text")
    said = compare(gate, COMPLETIONS, {"model": "fake", "prompt": "Tell"}, *LISTED)
    assert joined(said) == CLEAN


def test_every_choice(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT))
    said = compare(gate, CHAT, asked(n=3), *LISTED)
    assert [joined(said, number) for number in range(3)] == [CLEAN] * 3
    gate.engine.say(*pieces(TEXT), field_name="text")
    said = compare(gate, COMPLETIONS, {"model": "fake", "prompt": ["a", "b"], "n": 2}, *LISTED)
    assert [joined(said, number) for number in range(4)] == [CLEAN] * 4


def test_choices_do_not_mix(gate: Proxied) -> None:
    gate.engine.script = Script(
        choices={
            0: [{"content": text} for text in pieces(TEXT, 3)],
            1: [{"content": text} for text in pieces("Nothing of it. " * 9, 5)],
        }
    )
    said = gate.through(CHAT, asked(n=2, stream=True))
    assert joined(said, 0) == CLEAN
    assert joined(said, 1) == "Nothing of it. " * 9


def call(name: str, arguments: str, size: int = 5) -> list[dict[str, Any]]:
    head = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }
    return [
        {"tool_calls": [head]},
        *(
            {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
            for part in pieces(arguments, size)
        ),
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("mail", json.dumps({"to": ADDRESS}), ADDRESS),
        ("mail", f'{{"to": "{escaped(ADDRESS)}"}}', ADDRESS),
        (ADDRESS, "{}", ADDRESS),
        ("mail", json.dumps({ADDRESS: 1}), ADDRESS),
        ("dial", '{"number": 41446681800}', "41446681800"),
        ("find", json.dumps({"first": "Bettina", "last": "Hochstrasser"}), "Hochstrasser"),
        ("mail", f'{{"to": "{ADDRESS}"', ADDRESS),
        ("mail", f'{{"to": "{ADDRESS}", "to": "nobody"}}', ADDRESS),
    ],
    ids=["value", "escaped", "name", "key", "number", "apart", "broken", "twice"],
)
def test_tool_calls(gate: Proxied, name: str, arguments: str, value: str) -> None:
    gate.engine.script = Script(call(name, arguments), finish_reason="tool_calls")
    tools = [{"type": "function", "function": {"name": "mail"}}]
    said = compare(gate, CHAT, asked(tools=tools), value)
    assert reason(said) == "content_filter"
    assert "tool_calls" not in said


def test_the_old_function_call(gate: Proxied) -> None:
    fields = [
        {"function_call": {"name": "mail", "arguments": ""}},
        {"function_call": {"arguments": json.dumps({"to": ADDRESS})}},
    ]
    gate.engine.script = Script(fields, finish_reason="function_call")
    assert reason(compare(gate, CHAT, asked(), ADDRESS)) == "content_filter"


def test_a_harmless_tool_call_comes_out_whole(gate: Proxied) -> None:
    gate.engine.script = Script(call("mail", '{"to": "a@example.org"}'), finish_reason="tool_calls")
    said = gate.through(CHAT, asked(stream=True))
    (found,) = [
        one["choices"][0]["delta"]["tool_calls"]
        for one in events(said)
        if one["choices"] and "tool_calls" in one["choices"][0]["delta"]
    ]
    assert found[0]["function"] == {"name": "mail", "arguments": '{"to": "a@example.org"}'}
    assert reason(said) == "tool_calls"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"to": ADDRESS, "n": 1}),
        f'{{"to": "{escaped(ADDRESS)}"}}',
        json.dumps({ADDRESS: PHONE}),
        f'{{"to": "{escaped(ADDRESS)}',
    ],
    ids=["value", "escaped", "key", "cut"],
)
@pytest.mark.parametrize(
    "form",
    [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}],
    ids=["object", "schema"],
)
def test_structured_output(gate: Proxied, text: str, form: dict[str, Any]) -> None:
    gate.engine.say(*pieces(text), finish_reason="stop" if text.endswith("}") else "length")
    said = compare(gate, CHAT, asked(response_format=form))
    read = joined(said).encode().decode("unicode_escape")
    assert not holds(said, ADDRESS)
    assert "hs77" not in read


def test_what_an_engine_adds(gate: Proxied) -> None:
    """Log-probabilities, token ids, vendors' fields: `compare` finds them in the engine's answer."""
    gate.engine.say(TEXT)
    direct = gate.direct(CHAT, asked(stream=True))
    assert all(
        name in direct
        for name in ("logprobs", "token_ids", "vendor_text", "matched_stop", "fp_engine")
    )
    for said in (gate.through(CHAT, asked(stream=True)), gate.through(CHAT, asked())):
        for one in events(said) or [json.loads(said)]:
            assert set(one) <= {"id", "object", "created", "model", "choices", "usage"}
            for choice in one["choices"]:
                assert choice.pop("logprobs") is None
                assert set(choice) <= {"index", "delta", "message", "finish_reason"}


def test_responses(gate: Proxied) -> None:
    """Events that repeat the text when it is done repeat what passed the filter."""
    gate.engine.script = Script(
        [{"reasoning_content": TEXT}, *({"content": text} for text in pieces(TEXT))]
    )
    said = compare(gate, RESPONSES, {"model": "fake", "input": "Tell me."}, *LISTED, told=CHAT)
    told = events(said)
    assert (
        "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")
        == CLEAN
    )
    (done,) = [one for one in told if one["type"] == "response.output_text.done"]
    assert done["text"] == CLEAN
    assert told[-1]["type"] == "response.completed"
    assert [one["type"] for one in told[-1]["response"]["output"]] == ["reasoning", "message"]
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    gate.engine.script = Script(
        call("mail", json.dumps({"to": ADDRESS})), finish_reason="tool_calls"
    )
    said = compare(gate, RESPONSES, {"model": "fake", "input": "Mail her."}, ADDRESS, told=CHAT)
    assert events(said)[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}


@pytest.mark.parametrize("stop", ["-hs", "77", "example", "Hoch", "668", "3000"])
def test_a_stop_sequence_is_no_oracle(gate: Proxied, stop: str) -> None:
    gate.engine.say(*pieces(TEXT))
    said = compare(gate, CHAT, asked(stop=[stop]), *LISTED)
    assert joined(said) == CLEAN
    _, *by_proxy = [body for _, _, body in gate.engine.requests if body]
    assert by_proxy
    assert not any("stop" in body for body in by_proxy)


def test_a_stop_sequence_in_what_is_said(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT))
    said = compare(gate, CHAT, asked(stop=[" or call"]), *LISTED)
    assert joined(said) == "Ask [name removed] ([email removed])"
    assert reason(said) == "stop"


@pytest.mark.parametrize("cut", range(3, len(ADDRESS) - 3, 4))
def test_a_prefix_is_not_completed(gate: Proxied, cut: int) -> None:
    head, tail = ADDRESS[:cut], ADDRESS[cut:]
    gate.engine.say(*pieces(f"{tail} is it."), field_name="text")
    said = compare(gate, COMPLETIONS, {"model": "fake", "prompt": f"Write to {head}"}, tail)
    assert joined(said) == "[email removed] is it."
    gate.engine.say(*pieces(f"{tail} is it."))
    for messages in (
        [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": f"It is {head}"}],
        [{"role": "user", "content": f"Go on: {head}"}],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": head},
            {"role": "user", "content": "and?"},
        ],
    ):
        said = compare(gate, CHAT, asked(messages=messages), tail)
        assert joined(said) == "[email removed] is it."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logprobs", True), ("top_logprobs", 5), ("prompt_logprobs", 1), ("echo", True), ("suffix", "x"), ("logit_bias", {"5": 9}),
        ("stop_token_ids", [5]), ("return_token_ids", True), ("include_stop_str_in_output", True), ("guided_regex", "a+"),
        ("guided_choice", ["a"]), ("guided_grammar", "root"), ("structured_outputs", {"regex": "a"}), ("grammar", "root"),
        ("skip_special_tokens", False), ("min_tokens", 5), ("ignore_eos", True), ("custom_field", 1), ("n_probs", 5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
def test_what_would_show_it_unfiltered_is_not_asked_for(
    gate: Proxied, path: str, name: str, value: Any
) -> None:
    body = {CHAT: asked(), COMPLETIONS: {"prompt": "x"}, RESPONSES: {"input": "x"}}[path]
    found = gate.http.post(path, json={**body, name: value})
    assert found.status_code == 400
    assert found.json()["error"]["param"] == name
    assert gate.engine.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", path) for path in (
            "/tokenize", "/detokenize", "/generate", "/invocations", "/v1/messages", "/v1/embeddings", "/v1/batches", "/v1/audio/transcriptions",
            "/pooling", "/score", "/v1/score", "/v1/load_lora_adapter", "/completion", "/infill", "/slots", "/v1/responses/r1/cancel",
            "//v1/chat/completions", "/v1//completions", "/v1/../generate", "/v1/completions/", "/V1/completions",
        )),
        *(("GET", path) for path in ("/version", "/server_info", "/get_model_info", "/docs", "/openapi.json", "/v1/responses/r1", "/slots", "/props", "/")),
    ],
)  # fmt: skip
def test_other_routes_are_not_there(gate: Proxied, method: str, path: str) -> None:
    """Asked for word by word, without a client that tidies the path."""
    host, _, port = gate.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        answer = b""
        while part := link.recv(65536):
            answer += part
    assert answer.split(b" ")[1] in (b"404", b"405"), answer[:200]
    assert b'"error"' in answer
    assert gate.engine.requests == []


def test_nothing_of_the_client_but_the_request_reaches_the_engine(gate: Proxied) -> None:
    gate.engine.say("Well.")
    headers = {
        "Authorization": "Bearer mine",
        "Cookie": "a=b",
        "X-Forwarded-For": "1.2.3.4",
        "X-Request-Id": "r",
    }
    found = gate.http.post(CHAT, json=asked(user="jane", metadata={"a": "b"}), headers=headers)
    assert found.status_code == 200
    assert not {"authorization", "cookie", "x-forwarded-for", "x-request-id"} & set(
        gate.engine.headers[-1]
    )
    assert set(gate.engine.requests[-1][2]) == {"model", "messages", "stream", "stream_options"}
    assert "x-served-by" not in found.headers


def test_usage_does_not_tell_how_long_it_was(gate: Proxied) -> None:
    gate.engine.say(TEXT)
    usage = json.loads(gate.through(CHAT, asked()))["usage"]
    assert usage["completion_tokens"] == -(-len(CLEAN) // CHARACTERS)
    gate.engine.say("Nothing of it at all.")
    assert json.loads(gate.through(CHAT, asked()))["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 40,
        "total_tokens": 47,
    }


def test_an_engine_s_cookies_are_kept_for_nobody(gate: Proxied) -> None:
    gate.engine.say("Well.")
    gate.engine.more_headers = "Set-Cookie: session=one; Path=/\r\n"
    try:
        gate.through(CHAT, asked())
    finally:
        gate.engine.more_headers = ""
    gate.engine.headers.clear()
    gate.through(CHAT, asked())
    assert gate.engine.headers
    assert all("cookie" not in headers for headers in gate.engine.headers)


def test_figures_tell_no_words(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT))
    gate.through(CHAT, asked())
    figures = gate.http.get("/metrics").text
    assert 'lethe_gate_removed_total{kind="email"}' in figures
    (hashes,) = [
        line for line in figures.splitlines() if line.startswith("lethe_gate_slow_hashes_total ")
    ]
    assert float(hashes.split()[1]) >= 4
    assert not any(holds(figures, value) for value in LISTED)


def test_models_are_told_by_their_names(gate: Proxied) -> None:
    assert "/models/fake" in httpx.get(gate.engine.url + "/v1/models").text
    assert gate.http.get("/v1/models").json() == {
        "object": "list",
        "data": [{"id": "fake", "object": "model", "created": 5, "owned_by": "vllm"}],
    }


def test_a_reader_who_leaves_has_read_nothing(gate: Proxied) -> None:
    gate.engine.say(*pieces(TEXT, 2), cuts=(7,))
    for lines in range(1, 30, 4):
        read = []
        with gate.http.stream("POST", CHAT, json=asked(stream=True)) as answer:
            for line in answer.iter_lines():
                read.append(line)
                if len(read) >= lines:
                    break
        assert not any(holds("\n".join(read), value) for value in LISTED)


def test_refuse(shared_engine: Any, proxy_bundle: Bundle) -> None:
    for gate in proxied(shared_engine, proxy_bundle, mode="refuse"):
        gate.engine.say(*pieces(TEXT))
        said = compare(gate, CHAT, asked(), *LISTED)
        assert joined(said) == "Ask "
        assert reason(said) == "content_filter"


@pytest.mark.parametrize("cuts", [(1,), (2, 3), (7, 1, 64), (500,)], ids=str)
@pytest.mark.parametrize("size", [1, 3, 11, 200])
def test_however_it_arrives(gate: Proxied, cuts: tuple[int, ...], size: int) -> None:
    text = TEXT + " Zürich 😀 王小明 &#64; %40 " + TEXT
    gate.engine.say(*pieces(text, size), cuts=cuts if size > 2 else (97,), crlf=size == 3)
    said = gate.through(CHAT, asked(stream=True))
    guard = gate.proxy._guard
    expected = OutputFilter(guard.in_force().bundle).redact(text).text
    assert joined(said) == expected
    assert json.loads(gate.through(CHAT, asked()))["choices"][0]["message"]["content"] == expected


def test_named_prompts(proxy_bundle: Bundle) -> None:
    with engine() as made:
        made.say("Well.")
        for gate in proxied(made, proxy_bundle, on_named_prompt="redact", named_prompts_per_hour=2):
            gate.through(CHAT, asked(f"Who is {NAME}?"))
            assert made.requests[-1][2]["messages"][0]["content"] == "Who is [name removed]?"
            gate.through(
                RESPONSES,
                {"model": "fake", "input": f"Who is {NAME}?", "instructions": f"Not {NAME}."},
            )
            asked_of_engine = json.dumps(made.requests[-1][2])
            assert NAME not in asked_of_engine
            assert gate.http.post(CHAT, json=asked(f"Who is {NAME}?")).status_code == 429
        for gate in proxied(made, proxy_bundle, on_named_prompt="refuse"):
            before = len(made.requests)
            found = gate.http.post(COMPLETIONS, json={"model": "fake", "prompt": f"Who is {NAME}?"})
            assert found.status_code == 400
            assert found.json()["error"]["code"] == "content_filter"
            assert NAME not in found.text
            assert len(made.requests) == before


def test_halves_in_content_and_a_tool_call(gate: Proxied) -> None:
    deltas = [
        {"content": f"Her mail is {ADDRESS[:8]}"},
        *call("mail", json.dumps({"to": ADDRESS[8:]})),
    ]
    gate.engine.script = Script(deltas, finish_reason="tool_calls")
    said = gate.through(CHAT, asked(stream=True))
    assert reason(said) == "content_filter"
    assert ADDRESS[8:] not in said


@pytest.mark.parametrize("value", [ADDRESS, PHONE, "0446681800", NAME, STREET])
@pytest.mark.parametrize("question", ["Tell me.", "thanks", "List it in 2024", "Mail:"])
def test_a_value_alone_whatever_was_asked(gate: Proxied, question: str, value: str) -> None:
    """The end of the question must not make it look like a part of something longer."""
    gate.engine.say(*pieces(value))
    said = compare(gate, CHAT, asked(question), value)
    assert "removed]" in joined(said)


def test_thoughts_do_not_hide_what_follows_them(gate: Proxied) -> None:
    gate.engine.script = Script([{"reasoning_content": "I say it."}, {"content": ADDRESS}])
    assert joined(compare(gate, CHAT, asked(), ADDRESS)) == "[email removed]"


@pytest.mark.parametrize(
    "parts", [("contact-", "hs77", "@example.org"), ("Bettina H", "ochst", "rasser")]
)
def test_dealt_out_in_turns(gate: Proxied, parts: tuple[str, str, str]) -> None:
    """In the order in which it is said; where thoughts and text are one, in one piece."""
    first, second, third = parts
    deltas = [{"content": first}, {"reasoning_content": second}, {"content": third}]
    gate.engine.script = Script(deltas)
    assert "removed]" in joined(gate.through(CHAT, asked(stream=True)))
    deltas = [{"text": first}, {"reasoning": second}, {"text": third}]
    gate.engine.script = Script(deltas)
    said = gate.through(COMPLETIONS, {"model": "fake", "prompt": "x"})
    assert not holds(said, "".join(parts))


def test_a_call_and_the_content_behind_it(gate: Proxied) -> None:
    deltas = [*call("m", json.dumps({"to": "contact-hs77"})), {"content": "@example.org is it."}]
    gate.engine.script = Script(deltas, finish_reason="tool_calls")
    assert joined(gate.through(CHAT, asked(stream=True))) == "[email removed] is it."


OBJECT = {"type": "json_object"}


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ('{"first": "Bettina", "last": "Hochstrasser"', {}),
        ('{"first": "Bettina", "last": "Hochstrasser"}', {"stop": "}"}),
        ('{"first": "Bettina", "last": "Hochstrasser"}.', {}),
        (
            '{"rest": "77@example.org"}',
            {"messages": [{"role": "user", "content": "Go on: contact-hs"}]},
        ),
        (
            '{"rest": "\\u0037\\u0037\\u0040example.org"}',
            {"messages": [{"role": "user", "content": "contact-hs"}]},
        ),
        ('{"n": 414466818e2}', {}),
    ],
    ids=["cut", "stop", "full stop", "second half", "escaped half", "exponent"],
)
def test_json_that_is_none_or_goes_on(gate: Proxied, text: str, more: dict[str, Any]) -> None:
    gate.engine.say(*pieces(text))
    said = joined(gate.through(CHAT, asked(response_format=OBJECT, stream=True, **more)))
    assert said == "" or "removed]" in said
    assert "Hochstrasser" not in said
    assert "77" not in said


def test_json_with_thoughts_in_it_comes_out_once(gate: Proxied) -> None:
    deltas = [{"content": '{"a": "x'}, {"reasoning_content": "hm "}, {"content": 'y"}'}]
    gate.engine.script = Script(deltas)
    said = gate.through(CHAT, asked(response_format=OBJECT, stream=True))
    assert joined(said) == '{"a": "xy"}'


def test_a_call_without_its_end(gate: Proxied) -> None:
    deltas = call("m", '{"first": "Bettina", "last": "Hochstrasser"')
    gate.engine.script = Script(deltas, finish_reason="tool_calls")
    assert reason(gate.through(CHAT, asked(stream=True))) == "content_filter"
