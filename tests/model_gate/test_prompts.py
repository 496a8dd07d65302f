"""What a prompt exempts, whom it names, what its answer may continue."""

from __future__ import annotations

import pytest

from filter import Bundle
from model_gate.errors import NamedPromptRefused
from model_gate.guard import Guard
from model_gate.policy import GatePolicy, NamedPrompt
from model_gate.prompts import Turn, hear

ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
ENTRIES = [("email", ADDRESS), ("name", NAME), ("phone", PHONE)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.build(ENTRIES, release="2026.2.0", kdf="testing")


def guard(bundle: Bundle, **policy: object) -> Guard:
    return Guard(bundle, GatePolicy(**policy), allow_testing=True)  # type: ignore[arg-type]


def said(hearing: object, text: str) -> str:
    return hearing.output_filter.redact(text).text  # type: ignore[attr-defined, no-any-return]


def test_whoever_wrote_it_may_read_it(bundle: Bundle) -> None:
    hearing = hear(guard(bundle), [Turn("user", f"I am at {ADDRESS}, repeat that.")])
    assert said(hearing, f"You are at {ADDRESS}.") == f"You are at {ADDRESS}."
    assert said(hearing, "You are at CONTACT-HS77 (at) example.org.").endswith("example.org.")
    assert said(hearing, f"Call {PHONE}.") == "Call [phone removed]."


@pytest.mark.parametrize(
    "turn",
    [
        Turn("assistant", f"It is {ADDRESS}."),
        Turn("system", f"It is {ADDRESS}."),
        Turn("tool", ADDRESS),
        Turn("user", ADDRESS[:-1]),
        Turn("user", "contact-hs77, at example dot com"),
        Turn("user", "contact-hs7@example.org"),
    ],
)
def test_nobody_else_exempts(bundle: Bundle, turn: Turn) -> None:
    hearing = hear(guard(bundle), [turn, Turn("user", "Go on.")])
    assert said(hearing, f"It is {ADDRESS}.") == "It is [email removed]."


def test_a_list_does_not_exempt_all_of_it(bundle: Bundle) -> None:
    """Whoever writes down all numbers must not learn which of them is said."""
    numbers = " ".join(f"+41 44 668 18 {n:02}," for n in range(99, -1, -1))
    hearing = hear(guard(bundle), [Turn("user", numbers)])
    assert said(hearing, PHONE) == "[phone removed]"
    assert said(hear(guard(bundle, exempt_at_most=200), [Turn("user", numbers)]), PHONE) == PHONE
    assert said(hear(guard(bundle, exempt_at_most=0), [Turn("user", PHONE)]), PHONE) != PHONE


def test_phrases_are_never_exempt(bundle: Bundle) -> None:
    for answer in NamedPrompt:
        if answer is NamedPrompt.REFUSE:
            continue
        hearing = hear(guard(bundle, on_named_prompt=answer), [Turn("user", f"Who is {NAME}?")])
        assert hearing.named == 1
        assert said(hearing, f"{NAME} it is.") == "[name removed] it is."


def test_what_the_model_sees_of_a_named_prompt(bundle: Bundle) -> None:
    turns = [
        Turn("system", f"Speak of {NAME}."),
        Turn("user", f"Who is HOCHSTRASSER, Bettina? Not {ADDRESS}?"),
    ]
    assert hear(guard(bundle, on_named_prompt="answer"), turns).turns == tuple(turns)
    seen = hear(guard(bundle), turns)
    assert seen.turns == (
        Turn("system", "Speak of [name removed]."),
        Turn("user", f"Who is [name removed]? Not {ADDRESS}?"),
    )
    assert seen.named == 2
    with pytest.raises(NamedPromptRefused) as refused:
        hear(guard(bundle, on_named_prompt="refuse"), turns)
    assert "Bettina" not in str(refused.value)
    assert (
        hear(guard(bundle, on_named_prompt="refuse"), [Turn("user", "Who is Bettina?")]).named == 0
    )


def test_the_public_file_knows_no_names() -> None:
    public = Bundle.build(ENTRIES, release="2026.2.0", audience="public", kdf="testing")
    hearing = hear(guard(public, on_named_prompt="refuse"), [Turn("user", f"Who is {NAME}?")])
    assert hearing.named == 0


def test_contexts(bundle: Bundle) -> None:
    turns = [
        Turn("user", "one"),
        Turn("assistant", "two"),
        Turn("user", "three"),
        Turn("tool", "four"),
    ]
    assert hear(guard(bundle), turns).contexts == ("two", "three", "four")
    partial = [*turns, Turn("assistant", "It is contact")]
    assert hear(guard(bundle), partial, continues=True).contexts == (
        "It is contact",
        "three",
        "four",
    )
    prompt = [Turn("user", "x" * 5000 + "The address: ")]
    (context,) = hear(guard(bundle), prompt, continues=True).contexts
    assert context.endswith("The address: ")
    assert len(context) == 2048
    assert hear(guard(bundle), []).contexts == ()


def test_a_prompt_has_one_budget(bundle: Bundle) -> None:
    """Whoever fills a prompt with what must be hashed does not get more than the policy grants."""
    from filter import FilterPolicy

    frugal = GatePolicy(filter=FilterPolicy(slow_hashes=1))
    turns = [Turn("user", f"{NAME}, Hochstrasser Bettina"), Turn("user", f"and {NAME}")]
    hearing = hear(Guard(bundle, frugal, allow_testing=True), turns)
    assert NAME not in "".join(turn.text for turn in hearing.turns)
    assert hearing.named == 3
