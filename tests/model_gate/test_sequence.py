"""One sequence: channels, tool calls, JSON, cuts, and what it tells about itself."""

from __future__ import annotations

import json

import pytest
from scripted_model import Scripted

from filter import Bundle, OutputFilter
from model_gate.channels import Channel
from model_gate.documents import text_of
from model_gate.policy import GatePolicy, Mode

ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
INNER, OUTER = "<|inner_prefix|>", "<|inner_suffix|>"
REFUSED = "content_filter"
CALL = '<|tools_prefix|>[{{"send_mail": {{"to": "{}", "text": "Hello"}}}}]<|tools_suffix|>'


@pytest.fixture(scope="module")
def listing() -> OutputFilter:
    entries = [("email", ADDRESS), ("name", NAME), ("phone", PHONE)]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"))


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: object) -> object:
    return tiny_checkpoint.tokenizer  # type: ignore[attr-defined]


def test_what_nobody_listed_comes_out_as_it_is(listing: OutputFilter, tokenizer: object) -> None:
    text = "Ask contact-hs78@example.org, Zürich 王小明 😀 or call +41 44 668 18 01.\n\nBye"
    for mode in Mode:
        talk = Scripted(tokenizer, listing, text, policy=GatePolicy(mode=mode))
        sequence = talk.run()
        assert talk.said() == text
        assert sequence.finish_reason == "stop"
        assert sequence.completion_tokens == len(sequence.tokens) == len(talk.ids(text)) + 1
        assert not sequence.removed


def test_thoughts_are_a_channel_of_their_own(listing: OutputFilter, tokenizer: object) -> None:
    text = f"<|inner_prefix|>It is {ADDRESS}, I think.<|inner_suffix|>Write to {ADDRESS}."
    talk = Scripted(tokenizer, listing, text)
    talk.run()
    assert talk.said(Channel.REASONING) == "It is [email removed], I think."
    assert talk.said() == "Write to [email removed]."
    assert talk.sequence.removed == {"email": 2}


@pytest.mark.parametrize(
    ("text", "stop", "channel", "said", "reason"),
    [
        (f"{INNER}Ask {NAME}{OUTER}Write to them.", (), Channel.REASONING, "Ask ", REFUSED),
        (f"{INNER}Ask {PHONE}{OUTER}{INNER}Well.{OUTER}", (), Channel.REASONING, "Ask ", REFUSED),
        (f"Ask {NAME}{INNER}Well.{OUTER}Hello.", (), Channel.CONTENT, "Ask ", REFUSED),
        (f"Ask {NAME}{CALL.format('a@example.org')}", (), Channel.CONTENT, "Ask ", REFUSED),
        (
            f"Ask Bettina{CALL.format('a@example.org')}",
            ("Bettina",),
            Channel.CONTENT,
            "Ask ",
            "stop",
        ),
        (f"Ask Bettina{INNER}Well.{OUTER}Hello.", ("Bettina",), Channel.CONTENT, "Ask ", "stop"),
    ],
    ids=[
        "thought, then content",
        "thought, then thought",
        "content, then thought",
        "content, then call",
        "stop, then call",
        "stop, then thought",
    ],
)
def test_what_ends_an_answer_where_a_channel_ends(
    listing: OutputFilter,
    tokenizer: object,
    text: str,
    stop: tuple[str, ...],
    channel: Channel,
    said: str,
    reason: str,
) -> None:
    """Nothing is said in another one, though it was not decided before the channel ended."""
    talk = Scripted(tokenizer, listing, text, stop=stop, policy=GatePolicy(mode=Mode.REFUSE))
    sequence = talk.run()
    assert talk.said(channel) == said
    assert talk.heard == [said]
    assert sequence.calls == []
    assert sequence.finish_reason == reason
    assert sequence.removed.total() == (reason == REFUSED)
    assert sequence.done


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("cut", range(8, 20, 3))
def test_halves_in_two_channels_do_not_add_up(
    listing: OutputFilter, tokenizer: object, mode: Mode, cut: int
) -> None:
    text = f"<|inner_prefix|>{ADDRESS[:cut]}<|inner_suffix|>{ADDRESS[cut:]} is it."
    talk = Scripted(tokenizer, listing, text, policy=GatePolicy(mode=mode))
    talk.run()
    joined = talk.said(Channel.REASONING) + talk.said()
    assert ADDRESS not in joined
    assert not listing.redact(joined).matches


TO = '<|tools_prefix|>[{{"mail": {{"to": "{}"}}}}]<|tools_suffix|>'


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "text",
    [
        f"contact-{INNER}hs77{OUTER}@example.org is it.",
        f"+41 44{INNER} 668{OUTER} 18 00 is it.",
        f"Bettina H{INNER}ochst{OUTER}rasser is it.",
        TO.format("contact-hs77") + "@example.org is it.",
        TO.format("Bettina") + TO.format("Hochstrasser"),
        TO.format("contact-hs77") + TO.format("@example.org"),
    ],
    ids=[
        "address",
        "number",
        "name",
        "call and content",
        "name in two calls",
        "address in two calls",
    ],
)
def test_what_is_dealt_out_in_turns_does_not_add_up(
    listing: OutputFilter, tokenizer: object, text: str, mode: Mode
) -> None:
    """In the order in which it is said, whatever it is said in."""
    talk = Scripted(tokenizer, listing, text, policy=GatePolicy(mode=mode))
    talk.run()
    heard = [json.loads(one)["arguments"] if one.startswith("{") else one for one in talk.heard]
    joined = "".join(
        text_of(one).removeprefix("to") if one.startswith("{") else one for one in heard
    )
    assert not listing.redact(joined).matches
    assert talk.sequence.removed or talk.rewinds


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("value", [ADDRESS, PHONE, "0446681800", NAME])
@pytest.mark.parametrize("before", ["Tell me.", "thanks", "in 2024", f"{INNER}I say it.{OUTER}"])
def test_a_value_alone_is_found_whatever_was_said_before(
    listing: OutputFilter, tokenizer: object, before: str, value: str, mode: Mode
) -> None:
    context, said = ("", before) if before.startswith(INNER) else (before, "")
    talk = Scripted(
        tokenizer, listing, said + value, contexts=(context,), policy=GatePolicy(mode=mode)
    )
    talk.run()
    assert not listing.redact(talk.said()).matches
    assert talk.sequence.removed or talk.rewinds


def test_a_tool_call_comes_out_whole(listing: OutputFilter, tokenizer: object) -> None:
    talk = Scripted(tokenizer, listing, "Well. " + CALL.format("a@example.org"))
    sequence = talk.run()
    assert [call._asdict() for call in sequence.calls] == [
        {"name": "send_mail", "arguments": json.dumps({"to": "a@example.org", "text": "Hello"})}
    ]
    assert sequence.finish_reason == "tool_calls"
    assert talk.said() == "Well. "


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "call",
    [
        CALL.format(ADDRESS),
        CALL.format(ADDRESS.replace("@", "\\u0040").replace("c", "\\u0063")),
        f'<|tools_prefix|>[{{"{ADDRESS}": {{}}}}]<|tools_suffix|>',
        f'<|tools_prefix|>[{{"mail": {{"{ADDRESS}": 1}}}}]<|tools_suffix|>',
        '<|tools_prefix|>[{"call": {"number": 41446681800}}]<|tools_suffix|>',
        '<|tools_prefix|>[{"call": {"first": "Bettina", "last": "Hochstrasser"}}]<|tools_suffix|>',
        f"<|tools_prefix|>send_mail to {ADDRESS}<|tools_suffix|>",
        f'<|tools_prefix|>[{{"mail": "{ADDRESS}"',
    ],
    ids=["value", "escaped", "tool", "key", "number", "apart", "prose", "unclosed"],
)
def test_a_match_in_a_tool_call_ends_the_answer(
    listing: OutputFilter, tokenizer: object, call: str, mode: Mode
) -> None:
    talk = Scripted(tokenizer, listing, f"Well. {call} And more.", policy=GatePolicy(mode=mode))
    sequence = talk.run()
    assert sequence.calls == []
    assert sequence.finish_reason == "content_filter"
    assert sequence.removed
    assert "".join(talk.heard) == "Well. "


@pytest.mark.parametrize("limit", range(4, 30))
def test_a_tool_call_that_is_cut_is_no_call(
    listing: OutputFilter, tokenizer: object, limit: int
) -> None:
    talk = Scripted(tokenizer, listing, CALL.format(ADDRESS), max_new_tokens=limit)
    sequence = talk.run()
    assert sequence.calls == []
    assert talk.heard == []
    assert sequence.finish_reason in ("length", "content_filter")


def test_what_is_no_tool_call_is_text(listing: OutputFilter, tokenizer: object) -> None:
    talk = Scripted(tokenizer, listing, "<|tools_prefix|>I have no tools.<|tools_suffix|> Sorry.")
    sequence = talk.run()
    assert talk.said() == "I have no tools. Sorry."
    assert sequence.finish_reason == "stop"
    text = "<|tools_prefix|>I have no tools.<|tools_suffix|> Sorry."
    talk = Scripted(tokenizer, listing, text, stop=[" tools"])
    assert talk.run().finish_reason == "stop"
    assert talk.said() == "I have no"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": "\\u00e9", "b": [1.0]}', '{"a": "\\u00e9", "b": [1.0]}'),
        (json.dumps({"to": ADDRESS, "n": 1}), '{"to": "[email removed]", "n": 1}'),
        ('{"to": "' + ADDRESS.replace("@", "\\u0040") + '"}', '{"to": "[email removed]"}'),
        (json.dumps({ADDRESS: PHONE}), '{"[email removed]": "[phone removed]"}'),
        ('{"a": "Bettina", "b": "Hochstrasser"}', ""),
    ],
    ids=["harmless", "value", "escaped", "keys", "apart"],
)
def test_structured_output(
    listing: OutputFilter, tokenizer: object, text: str, said: str, mode: Mode
) -> None:
    talk = Scripted(tokenizer, listing, text, json_whole=True, policy=GatePolicy(mode=mode))
    sequence = talk.run()
    if mode is Mode.REFUSE and sequence.removed:
        assert sequence.finish_reason == "content_filter"
        assert talk.said() == ""
    else:
        assert talk.said() == said
        assert sequence.finish_reason == "stop"
    for hidden in (ADDRESS, PHONE, "Hochstrasser", "hs77"):
        assert hidden not in talk.said()
        assert hidden not in json.dumps(json.loads(talk.said() or "0"), ensure_ascii=False)


@pytest.mark.parametrize("limit", range(2, 40, 3))
def test_structured_output_that_is_cut(
    listing: OutputFilter, tokenizer: object, limit: int
) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in ADDRESS)
    for value in (ADDRESS, escaped):
        talk = Scripted(
            tokenizer, listing, f'{{"to": "{value}"}}', json_whole=True, max_new_tokens=limit
        )
        talk.run()
        read = talk.said().encode().decode("unicode_escape", "replace")
        assert "contact-hs77" not in read
        assert "example.org" not in read


def test_what_is_behind_the_limit_is_never_shown(listing: OutputFilter, tokenizer: object) -> None:
    text = f"I know {NAME} and many others besides."
    ids = Scripted(tokenizer, listing, text).ids(text)
    decode = tokenizer.decode  # type: ignore[attr-defined]
    size = next(n for n in range(len(ids)) if len(decode(ids[:n])) > len("I know Bettina Hoch"))
    talk = Scripted(tokenizer, listing, text, max_new_tokens=size)
    sequence = talk.run()
    assert talk.said() == "I know [name removed]"
    assert sequence.finish_reason == "length"
    assert len(sequence.tokens) == size
    assert talk.drawn > size


def test_no_look_ahead_is_a_cut_like_any_other(listing: OutputFilter, tokenizer: object) -> None:
    text = f"Write to {ADDRESS} today."
    for look_ahead in (0, 1, 2):
        for limit in range(1, 20):
            talk = Scripted(
                tokenizer,
                listing,
                text,
                max_new_tokens=limit,
                policy=GatePolicy(look_ahead=look_ahead),
            )
            talk.run()
            assert "contact-hs77@" not in talk.said()


def test_the_context_bounds_a_look_ahead(listing: OutputFilter, tokenizer: object) -> None:
    talk = Scripted(tokenizer, listing, f"Write to {ADDRESS} today.", max_new_tokens=12)
    talk.sequence._look_ahead = 2
    talk.run()
    assert talk.drawn <= 14


@pytest.mark.parametrize("mode", Mode)
def test_an_end_right_behind_it(listing: OutputFilter, tokenizer: object, mode: Mode) -> None:
    """The answer ends with the identifier, so that only its end decides."""
    for value in (ADDRESS, NAME, PHONE):
        talk = Scripted(tokenizer, listing, f"It is {value}", policy=GatePolicy(mode=mode))
        sequence = talk.run()
        assert not listing.redact(talk.said()).matches
        if mode is Mode.RESAMPLE:
            assert talk.rewinds
        else:
            assert sequence.removed


def test_a_character_that_is_not_whole_is_not_shown(
    listing: OutputFilter, tokenizer: object
) -> None:
    text = "Zürich 😀 Ende"
    for limit in range(1, 12):
        talk = Scripted(tokenizer, listing, text, max_new_tokens=limit)
        talk.run()
        assert text.startswith(talk.said())


def test_stopped_from_outside(listing: OutputFilter, tokenizer: object) -> None:
    """A reader who goes away in the middle: whatever is finished then shows no open beginning."""
    talk = Scripted(tokenizer, listing, "")
    for token in talk.ids("Write to contact-hs77@exam"):
        talk.sequence.push(token)
    talk.sequence.finish()
    assert talk.said() == "Write to [email removed]"
    assert talk.sequence.finish_reason == "length"


def test_usage_counts_what_was_said(listing: OutputFilter, tokenizer: object) -> None:
    talk = Scripted(tokenizer, listing, f"Write to {ADDRESS}.")
    assert talk.run().completion_tokens is None
    talk = Scripted(tokenizer, listing, "One. Two.", stop=["Two"])
    assert talk.run().completion_tokens is None
    assert talk.said() == "One. "


def test_json_continues_what_the_reader_has(listing: OutputFilter, tokenizer: object) -> None:
    talk = Scripted(tokenizer, listing, "1800", json_whole=True, contexts=("+41 44 668 ",))
    sequence = talk.run()
    assert talk.said() == ""
    assert sequence.removed


@pytest.mark.parametrize("mode", Mode)
def test_halves_in_content_and_a_tool_call(
    listing: OutputFilter, tokenizer: object, mode: Mode
) -> None:
    text = f"Her mail is contact-{CALL.format('hs77@example.org')}"
    talk = Scripted(tokenizer, listing, text, policy=GatePolicy(mode=mode))
    sequence = talk.run()
    assert sequence.calls == []
    assert sequence.finish_reason == "content_filter"
