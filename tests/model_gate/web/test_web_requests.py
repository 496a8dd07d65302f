"""Requests are read against lists of fields; what is not understood is refused, without an echo."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_gate.web import fields
from model_gate.web.problems import ApiError
from model_gate.web.requests import Form, parsed

FORM = Form({**fields.COMMON, "inner": Form({"deep": fields.text(5)})}, ("model",), fields.REFUSED)


def refused(body: object) -> ApiError:
    with pytest.raises(ApiError) as raised:
        FORM(body)
    assert raised.value.status == 400
    return raised.value


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, {}),
        ({"n": None, "stop": None}, {}),
        ({"stop": "\n"}, {"stop": ["\n"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 2}, {"temperature": 2.0}),
        ({"top_k": -1}, {"top_k": -1}),
        ({"user": "anybody", "metadata": {"a": "b"}}, {"user": None, "metadata": None}),
        ({"stream_options": {"include_usage": True}}, {"stream_options": {"include_usage": True}}),
        ({"logprobs": False, "top_logprobs": 0, "logit_bias": {}, "store": False}, {}),
        ({"presence_penalty": 0, "frequency_penalty": 0.0, "min_p": 0}, {}),
        ({"skip_special_tokens": True, "length_penalty": 1.0}, {}),
        ({"suffix": "", "echo": None, "bad_words": [], "modalities": ["text"]}, {}),
    ],
    ids=json.dumps,
)
def test_read(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert FORM({"model": "m", **given}) == {"model": "m", **read}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 1),
        ("model", "m" * 257),
        ("n", 0),
        ("n", 17),
        ("n", True),
        ("n", 1.0),
        ("n", "1"),
        ("stream", 1),
        ("stream", "true"),
        ("stop", ""),
        ("stop", 5),
        ("stop", ["x"] * 17),
        ("stop[0]", [1]),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "1"),
        ("temperature", True),
        ("temperature", 10**400),
        ("top_p", 0),
        ("top_p", 1.1),
        ("repetition_penalty", 0),
        ("seed", 1.5),
        ("stream_options", []),
        ("stream_options.include_usage", {"include_usage": 1}),
        ("inner.deep", {"deep": "too long"}),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_wrong_values_are_named_by_their_place(field: str, value: object) -> None:
    error = refused(
        {"model": "m", field.split("[", maxsplit=1)[0].split(".", maxsplit=1)[0]: value}
    )
    assert error.param == field
    assert str(error).startswith(f"{field} must be ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", 0),  # of the drawn token alone, and so its text
        ("logprobs", True),
        ("top_logprobs", 5),
        ("prompt_logprobs", 0),
        ("echo", True),
        ("suffix", "end"),
        ("logit_bias", {"50256": -100}),
        ("stop_token_ids", [2]),
        ("return_token_ids", True),
        ("return_tokens_as_token_ids", True),
        ("include_stop_str_in_output", True),
        ("skip_special_tokens", False),
        ("presence_penalty", 0.5),
        ("guided_regex", ".*"),
        ("structured_outputs", {"regex": ".*"}),
        ("functions", [{}]),
        ("store", True),
        ("use_beam_search", True),
        ("prompt_embeds", "AAAA"),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_known_fields_that_are_not_served_say_why(field: str, value: object) -> None:
    error = refused({"model": "m", field: value})
    assert error.param == field
    assert error.code == "unsupported_parameter"
    assert "is not supported: " in str(error)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m", "frobnicate": 1}, "frobnicate"),
        ({"model": "m", "Jane Doe": 1}, None),
        ({"model": "m", "x" * 41: 1}, None),
        ({"model": "m", "jane.doe@example.org": None}, None),
        ({"model": "m", "stream_options": {"jane@example.org": 1}}, None),
        ({"model": "m", "stream_options": {"chunks": 1}}, "stream_options.chunks"),
    ],
    ids=["plain", "name", "long", "address", "inside", "plain-inside"],
)
def test_unknown_fields(body: dict[str, Any], param: str | None) -> None:
    error = refused(body)
    assert error.code == "unknown_parameter"
    assert error.param == param
    assert "Doe" not in str(error)
    assert "@" not in str(error)


def test_required_fields() -> None:
    for body in ({}, {"model": None}):
        error = refused(body)
        assert (error.code, error.param) == ("missing_required_parameter", "model")


@pytest.mark.parametrize("body", [[], "text", 1, None], ids=repr)
def test_a_body_is_an_object(body: object) -> None:
    assert "a JSON object" in str(refused(body))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b"1" * 5000,
    ],
    ids=lambda octets: repr(octets[:16]),
)
def test_what_is_no_json(octets: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        parsed(octets)
    assert raised.value.status == 400


def test_surrogates_in_pairs_are_text() -> None:
    assert parsed(b'{"a": "\\ud83e\\udd89"}') == {"a": "\N{OWL}"}
