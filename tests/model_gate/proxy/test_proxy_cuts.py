"""Answers cut by ``max_tokens`` anywhere in a listed identifier: the most of it that a reader sees.

As a program it prints what it finds as a Markdown table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fake_engine import Engine, Script, engine
from proxy_talk import CHAT, COMPLETIONS, Proxied, asked, joined, proxied, reason

from filter import Bundle
from filter.nv1 import fold

LISTED = {
    "email": ("contact-hs77@example.org", "anna.b@example.org"),
    "phone": ("+41 44 668 18 00", "044 555 01 99"),
    "iban": ("CH93 0076 2011 6238 5295 7",),
    "name": ("Bettina Hochstrasser", "Maximilian von Hohenlinden", "Ann Lee"),
    "postal_address": ("Lindenweg 5, 3000 Bern", "Steinadlerstrasse 303, 9000 St. Gallen"),
    "text": ("kein einziges Wort davon ist jemals wahr gewesen",),
}
UNLISTED = (
    "contact-hs7@example.org",
    "contact-hs77@example.com",
    "+41 44 668 18 01",
    "Bettina Hochwald",
    "Lindenweg 5, 3001 Bern",
    "kein einziges Wort davon ist jemals falsch gewesen",
)
UNRECOGNISED = {"email": "contacths77", "phone": "041", "iban": "ch93007"}
"""Of kinds that are known by their form, the longest beginnings that do not have it yet."""
BEFORE, BEHIND = "You can write to ", " if you like to, any day of the week."


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    entries = [(kind, value) for kind, values in LISTED.items() for value in values]
    return Bundle.build(entries, release="2026.2.0", kdf="testing")


@pytest.fixture(scope="module")
def cut_engine() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def asking(cut_engine: Engine, bundle: Bundle) -> Iterator[Proxied]:
    """It may ask the engine for more."""
    yield from proxied(cut_engine, bundle)


@pytest.fixture(scope="module")
def not_asking(cut_engine: Engine, bundle: Bundle) -> Iterator[Proxied]:
    """It may not."""
    yield from proxied(cut_engine, bundle, may_continue=False)


@pytest.fixture(scope="module")
def elsewhere(cut_engine: Engine, bundle: Bundle) -> Iterator[Proxied]:
    """It may ask an engine that is not known to go on with a chat."""
    yield from proxied(cut_engine, bundle)


def cut_at(gate: Proxied, path: str, value: str, cut: int, owned_by: str = "vllm") -> str:
    """What the reader sees of an answer that is cut within a value."""
    name = "content" if path == CHAT else "text"
    head = BEFORE + value[:cut]
    gate.engine.requests.clear()
    gate.engine.script = Script(
        [{name: head[at : at + 4]} for at in range(0, len(head), 4)],
        finish_reason="length",
        more=value[cut:] + BEHIND,
        owned_by=owned_by,
    )
    body = asked() if path == CHAT else {"model": "fake", "prompt": "x"}
    said = gate.through(path, {**body, "max_tokens": 9, "stream": cut % 2 == 0})
    if cut % 2 == 0:
        assert reason(said) == "length"
        return joined(said)
    (choice,) = json.loads(said)["choices"]
    assert choice["finish_reason"] == "length"
    return str(choice["text"] if path == COMPLETIONS else choice["message"]["content"])


def shown(text: str, value: str) -> int:
    """Letters and digits of the value that the text ends with."""
    seen = fold(text.removeprefix(BEFORE)) if text.startswith(BEFORE) else fold(text)
    whole = fold(value)
    return max(size for size in range(len(whole) + 1) if seen.endswith(whole[:size]))


def most_shown(gate: Proxied, path: str, kind: str, owned_by: str = "vllm") -> list[int]:
    """Of each value of a kind, the most that any cut shows."""
    return [
        max(
            shown(cut_at(gate, path, value, cut, owned_by), value)
            for cut in range(1, len(value) + 1)
        )
        for value in LISTED[kind]
    ]


@pytest.mark.parametrize("kind", LISTED)
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_an_engine_that_can_be_asked_for_more(asking: Proxied, path: str, kind: str) -> None:
    assert most_shown(asking, path, kind) == [0] * len(LISTED[kind])


@pytest.mark.parametrize("kind", LISTED)
@pytest.mark.parametrize("way", ["not asked", "another engine"])
def test_one_that_cannot(elsewhere: Proxied, not_asking: Proxied, way: str, kind: str) -> None:
    """Of phrases less than half their letters is seen, or than eight; of others, what has no form yet."""
    if way == "not asked":
        most = most_shown(not_asking, COMPLETIONS, kind)
    else:
        most = most_shown(elsewhere, CHAT, kind, "somebody")
    for value, size in zip(LISTED[kind], most, strict=True):
        letters = len(fold(value))
        phrase = max(8, letters // 2) if letters > 8 else letters - 1
        assert size <= (len(UNRECOGNISED[kind]) if kind in UNRECOGNISED else phrase)


@pytest.mark.parametrize("value", UNLISTED)
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_what_only_begins_like_it(asking: Proxied, path: str, value: str) -> None:
    """It is cut where the engine was, and nothing is missing."""
    for cut in range(1, len(value) + 1):
        assert cut_at(asking, path, value, cut) == BEFORE + value[:cut]


def test_it_is_asked_for_no_more_than_it_must(asking: Proxied) -> None:
    """Once, by the likeliest tokens, a few of them; and not where nothing stands open."""
    value = LISTED["email"][0]
    cut_at(asking, COMPLETIONS, value, 9)
    first, second = (body for _, _, body in asking.engine.requests if body)
    assert first["max_tokens"] == 9
    assert second["max_tokens"] == asking.proxy._guard.policy.look_ahead
    assert second["temperature"] == 0
    assert second["prompt"] == "x" + BEFORE + value[:9]
    cut_at(asking, CHAT, value, 9)
    *_, last = (body for _, _, body in asking.engine.requests if body)
    assert last["messages"][-1] == {"role": "assistant", "content": BEFORE + value[:9]}
    assert last["continue_final_message"] is True


def table(asking: Proxied, not_asking: Proxied) -> str:
    """What is shown at most, by kind, as Markdown."""
    rows = ["| Kind | Letters of it | Engine asked for more | Not asked |", "|:--|--:|--:|--:|"]
    for kind, values in LISTED.items():
        sizes = ", ".join(str(len(fold(value))) for value in values)
        with_more = max(most_shown(asking, COMPLETIONS, kind) + most_shown(asking, CHAT, kind))
        without = ", ".join(map(str, most_shown(not_asking, COMPLETIONS, kind)))
        rows.append(f"| {kind} | {sizes} | {with_more} | {without} |")
    return "\n".join(rows)


if __name__ == "__main__":
    entries = [(kind, value) for kind, values in LISTED.items() for value in values]
    made_bundle = Bundle.build(entries, release="2026.2.0", kdf="testing")
    with engine() as made:
        for one in proxied(made, made_bundle):
            for other in proxied(made, made_bundle, may_continue=False):
                print(table(one, other))
