"""Rules for the fields of a request, and lists of those that server and proxy have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from model_gate.web.requests import Form, Refused, Rule, wrong

STOPS = 16
"""Stop sequences at most; OpenAI takes four."""
CHOICES = 16
"""``n`` at most."""
_LONGEST_STOP = 1024
_SHOWS = "it would show text before it is filtered"
_STEERS = "it would steer the model round the filter"
_GRAMMAR = 'only response_format {"type": "json_object"} is'
_SAMPLING = "there is no such sampling here"


def flag(value: object, place: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        wrong(place, "true or false")
    return value


def whole(low: int, high: int) -> Rule:
    """A whole number."""

    def read(value: object, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            wrong(place, f"a whole number from {low} to {high}")
        return value

    return read


def number(low: float, high: float, *, above: bool = False) -> Rule:
    """A number; ``above``: greater than ``low``."""

    def read(value: object, place: str) -> float:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        found = float(value) if known and abs(value) < 1e18 else math.nan  # type: ignore[arg-type]
        if not low <= found <= high or (above and found == low):
            wrong(
                place,
                f"a number {'above' if above else 'from'} {low:g} {'and up ' * above}to {high:g}",
            )
        return found

    return read


def text(longest: int | None = None, shortest: int = 0) -> Rule:
    """A string, of so many characters at most."""

    def read(value: object, place: str) -> str:
        if not isinstance(value, str):
            wrong(place, "a string")
        if longest is not None and not shortest <= len(value) <= longest:
            wrong(place, f"a string of {shortest} to {longest} characters")
        return value

    return read


def one_of(*values: str) -> Rule:
    """One of these words."""

    def read(value: object, place: str) -> str:
        if not isinstance(value, str) or value not in values:
            wrong(place, " or ".join(f'"{one}"' for one in values))
        return value

    return read


def each(rule: Rule, at_most: int | None = None, at_least: int = 0) -> Rule:
    """A list."""

    def read(value: object, place: str) -> list[Any]:
        if not isinstance(value, list):
            wrong(place, "a list")
        if len(value) < at_least or (at_most is not None and len(value) > at_most):
            wrong(
                place,
                f"a list of {at_least} to {at_most} elements"
                if at_most
                else "a list with elements",
            )
        return [rule(one, f"{place}[{number}]") for number, one in enumerate(value)]

    return read


def one_or_each(rule: Rule, at_most: int | None = None, at_least: int = 0) -> Rule:
    """A string, or a list; always read as a list."""
    several = each(rule, at_most, at_least)

    def read(value: object, place: str) -> list[Any]:
        return [rule(value, place)] if isinstance(value, str) else list(several(value, place))

    return read


def json_object(value: object, place: str) -> dict[str, Any]:
    """Any JSON object."""
    if not isinstance(value, dict):
        wrong(place, "a JSON object")
    return value


def ignored(value: object, place: str) -> None:
    """Whatever it is, it changes nothing here."""


STREAM_OPTIONS = Form({"include_usage": flag, "include_obfuscation": flag})

COMMON: Mapping[str, Rule] = MappingProxyType(
    {
        "model": text(256),
        "n": whole(1, CHOICES),
        "stream": flag,
        "stream_options": STREAM_OPTIONS,
        "stop": one_or_each(text(_LONGEST_STOP, 1), STOPS),
        "max_tokens": whole(1, 1 << 20),
        "temperature": number(0, 2),
        "top_p": number(0, 1, above=True),
        "top_k": whole(-1, 1 << 20),
        "repetition_penalty": number(0, 10, above=True),
        "seed": whole(-(1 << 63), (1 << 63) - 1),
        "user": ignored,
        "metadata": ignored,
        "safety_identifier": ignored,
        "prompt_cache_key": ignored,
        "service_tier": ignored,
    }
)
"""Fields of both routes that generate. ``top_k`` 0 and -1 mean off."""

REFUSED: Mapping[str, Refused] = MappingProxyType(
    {
        # What shows tokens or how likely they were.
        "logprobs": Refused(_SHOWS),
        "top_logprobs": Refused(_SHOWS, (0,)),
        "prompt_logprobs": Refused(_SHOWS),
        "n_probs": Refused(_SHOWS, (0,)),
        "return_token_ids": Refused(_SHOWS),
        "return_tokens": Refused(_SHOWS),
        "return_tokens_as_token_ids": Refused(_SHOWS),
        "echo": Refused(_SHOWS),
        "suffix": Refused("text cannot be filled in before a given end", ("",)),
        "return_hidden_states": Refused(_SHOWS),
        "kv_transfer_params": Refused(_SHOWS),
        # What changes which tokens come, or where they end.
        "logit_bias": Refused(_STEERS),
        "logits_processors": Refused(_STEERS),
        "custom_logit_processor": Refused(_STEERS),
        "bad_words": Refused(_STEERS),
        "allowed_token_ids": Refused(_STEERS),
        "stop_token_ids": Refused("stop sequences are looked for in filtered text: use stop"),
        "no_stop_trim": Refused("a stop sequence never goes out"),
        "include_stop_str_in_output": Refused("a stop sequence never goes out"),
        "skip_special_tokens": Refused("special tokens never go out", (True,)),
        "spaces_between_special_tokens": Refused("special tokens never go out", (True,)),
        "ignore_eos": Refused(_STEERS),
        "min_tokens": Refused(_STEERS, (0,)),
        "presence_penalty": Refused(_SAMPLING, (0, 0.0)),
        "frequency_penalty": Refused(_SAMPLING, (0, 0.0)),
        "min_p": Refused(_SAMPLING, (0, 0.0)),
        "typical_p": Refused(_SAMPLING, (1, 1.0)),
        "length_penalty": Refused(_SAMPLING, (1, 1.0)),
        "use_beam_search": Refused(_SAMPLING),
        "early_stopping": Refused(_SAMPLING),
        "mirostat": Refused(_SAMPLING, (0,)),
        # Forms of answers.
        "guided_json": Refused(_GRAMMAR),
        "guided_regex": Refused(_GRAMMAR),
        "guided_choice": Refused(_GRAMMAR),
        "guided_grammar": Refused(_GRAMMAR),
        "guided_decoding_backend": Refused(_GRAMMAR),
        "structured_outputs": Refused(_GRAMMAR),
        "json_schema": Refused(_GRAMMAR),
        "grammar": Refused(_GRAMMAR),
        "regex": Refused(_GRAMMAR),
        "ebnf": Refused(_GRAMMAR),
        "prediction": Refused("answers are not predicted"),
        "functions": Refused("use tools"),
        "function_call": Refused("use tool_choice", ("none", "auto")),
        # What is no text.
        "prompt_embeds": Refused("prompts are text"),
        "audio": Refused("only text is spoken here"),
        "modalities": Refused("only text is spoken here", (["text"],)),
        "mm_processor_kwargs": Refused("only text is read here"),
        "web_search_options": Refused("nothing is searched for here"),
        "store": Refused("nothing is kept here"),
        "lora_path": Refused("one model is served here"),
        # What changes how a prompt is read.
        "chat_template": Refused("the checkpoint's own template is used"),
        "chat_template_kwargs": Refused("the checkpoint's own template is used"),
        "documents": Refused("write them into a message"),
        "truncate_prompt_tokens": Refused("a prompt is read whole"),
        "reasoning_effort": Refused("this model has no such setting"),
        "verbosity": Refused("this model has no such setting"),
    }
)
"""Names that OpenAI, vLLM, SGLang or llama.cpp know, and why they are not served."""


def refused_but(*served: str) -> dict[str, Refused]:
    """`REFUSED` without the fields that a route serves after all."""
    return {name: why for name, why in REFUSED.items() if name not in served}
