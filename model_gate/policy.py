"""How a gate behaves: frozen, made at the edge, handed down whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from filter import FilterPolicy
from filter.errors import InputError


class Mode(StrEnum):
    """What happens where a listed identifier is about to be said."""

    REDACT = "redact"
    """A marker stands in its place."""
    REFUSE = "refuse"
    """The answer ends before it, with ``content_filter``."""
    RESAMPLE = "resample"
    """The model goes back to where it began and has to go on without any value of its kind up to
    the end of the sentence; after some tries it is redacted. Only in the own decode loop, and only
    for kinds of which a stranger's value can be kept out; elsewhere as ``redact``."""


class NamedPrompt(StrEnum):
    """What happens to a prompt in which a listed name, address or other phrase stands.

    Each of them tells the asker that somebody of this name is listed, so they are counted and
    limited for each client.
    """

    ANSWER = "answer"
    """The model sees the prompt as it is; what it says is filtered."""
    REDACT = "redact"
    """The model sees a marker in the place of the phrase."""
    REFUSE = "refuse"
    """The request is refused."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a gate does, and how much it may cost."""

    mode: Mode = Mode.REDACT
    filter: FilterPolicy = field(default_factory=FilterPolicy)
    """Markers, kinds, and the budget of slow hashes of one answer, and of one prompt."""
    on_named_prompt: NamedPrompt = NamedPrompt.REDACT
    named_prompts_per_hour: int = 30
    """For one client."""
    exempt_at_most: int = 16
    """Identifiers that a prompt may exempt by saying them itself."""
    tries: int = 4
    """Resamplings of one sentence."""
    look_ahead: int = 64
    """Tokens decoded unseen behind a cut, to decide about what stands before it."""

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            InputError: a name that is none, a negative number, or generic kinds, which need whole
                texts.
        """
        for name, names in (("mode", Mode), ("on_named_prompt", NamedPrompt)):
            try:
                object.__setattr__(self, name, names(getattr(self, name)))
            except ValueError:
                raise InputError(f"{name} must be one of {', '.join(names)}.") from None
        if self.named_prompts_per_hour < 1:
            raise InputError("named_prompts_per_hour must be 1 or more: with 0 nobody is answered.")
        for name in ("exempt_at_most", "tries", "look_ahead"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} cannot be negative: give 0 or more.")
        if self.filter.generic:
            raise InputError("Generic kinds need whole texts: use a filter policy without them.")
