"""What a prompt means for the filter: what it exempts, whom it names, what the answer may continue.

An identifier of a recognised kind that stands whole in a user's own message is exempt: they learn
nothing from reading it again, and "repeat this" does not tell whether it is listed. Phrases are
never exempt; what is done about those in a prompt is the policy's ``on_named_prompt``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from filter import OutputFilter
from filter.identifiers import PHRASES
from filter.output_filter import CONTEXT
from model_gate.errors import NamedPromptRefused
from model_gate.policy import NamedPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_gate.guard import Guard

_LOOKED_THROUGH = 4096
"""Characters at the end of what the user wrote in which identifiers are exempt: looking for them takes
up to a tenth of a millisecond a character in a text that is made for it."""
USER = "user"
ASSISTANT = "assistant"


class Turn(NamedTuple):
    """One message of a conversation."""

    role: str
    """As in the API: system, developer, user, assistant, tool."""
    text: str


class Hearing(NamedTuple):
    """What a gate makes of a prompt."""

    turns: tuple[Turn, ...]
    """As many and in the same order as were given, listed phrases replaced by markers where the
    policy says so."""
    output_filter: OutputFilter
    """The filter in force, without what this prompt exempts."""
    contexts: tuple[str, ...]
    """Texts that the answer may continue, so that halves do not add up: for `Speech`."""
    named: int
    """Listed phrases in the prompt."""


def hear(guard: Guard, turns: Sequence[Turn], *, continues: bool = False) -> Hearing:
    """Read a prompt. Takes slow hashes: not for an event loop.

    Args:
        guard: the bundle in force.
        turns: the conversation; a prompt of a completion is one turn of the user's.
        continues: the answer continues the text of the last turn.

    Raises:
        NamedPromptRefused: a listed phrase stands in it, and the policy refuses such prompts.
        BundleExpired, FilterFailed: no filter is in force.
    """
    output_filter = guard.in_force()
    policy = guard.policy
    heard, named = _named(output_filter, turns)
    if named and policy.on_named_prompt is NamedPrompt.REFUSE:
        raise NamedPromptRefused(
            "The prompt contains something that this service does not speak about: ask without it."
        )
    if policy.on_named_prompt is NamedPrompt.ANSWER:
        heard = tuple(turns)
    return Hearing(
        heard,
        output_filter.exempting(_own(turns), policy.exempt_at_most),
        _contexts(turns, continues=continues),
        named,
    )


def _own(turns: Sequence[Turn]) -> Iterator[str]:
    """What the user wrote, from the last message backwards, as much as is looked through."""
    left = _LOOKED_THROUGH
    for turn in reversed(turns):
        if turn.role == USER and left > 0:
            yield turn.text[-left:]
            left -= len(turn.text)


def _named(output_filter: OutputFilter, turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], int]:
    """The turns with markers in the place of listed phrases, and how many these are."""
    kinds = output_filter.policy.kinds.intersection(PHRASES)
    if output_filter.bundle.phrase_index is None or not kinds:
        return tuple(turns), 0
    phrases = OutputFilter(output_filter.bundle, replace(output_filter.policy, kinds=kinds))
    # One budget for the whole prompt: whoever writes it chooses how much is to be hashed.
    redactions = phrases.redact_batch([turn.text for turn in turns], one_budget=True)
    heard = tuple(
        turn._replace(text=redaction.text)
        for turn, redaction in zip(turns, redactions, strict=True)
    )
    return heard, sum(len(redaction.matches) for redaction in redactions)


def _contexts(turns: Sequence[Turn], *, continues: bool) -> tuple[str, ...]:
    """The end of the text that is continued, of the model's last turn, the user's, and the others'."""
    found: dict[str, None] = {}
    if continues and turns:
        found[turns[-1].text[-CONTEXT:]] = None
    for role in dict.fromkeys((ASSISTANT, USER, *(turn.role for turn in reversed(turns)))):
        last = next((turn.text for turn in reversed(turns) if turn.role == role), "")
        found[last[-CONTEXT:]] = None
    return tuple(text for text in found if text)
