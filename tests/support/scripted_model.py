"""A model that says what a script wants, as far as it is let: for driving one `GatedSequence`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from filter.output_filter import OutputFilter
from model_gate.channels import Channel
from model_gate.policy import GatePolicy
from model_gate.prompts import Hearing
from model_gate.sampling import Sampling
from model_gate.sequence import GatedSequence
from model_gate.tokens import Vocabulary

Script = Callable[[str, int], str]
"""What comes behind a text (special tokens are written out), asked for the n-th time there."""


class Scripted:
    """Speaks token by token; where the wanted one is forbidden it takes ``instead``."""

    def __init__(
        self,
        tokenizer: object,
        output_filter: OutputFilter,
        script: Script | str,
        *,
        policy: GatePolicy | None = None,
        contexts: tuple[str, ...] = (),
        instead: str = " well",
        **options: object,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = Vocabulary.of(tokenizer)
        self.eos = tokenizer.convert_tokens_to_ids("</s>")  # type: ignore[attr-defined]
        text = script if isinstance(script, str) else None
        self.script: Script = (
            (lambda before, _: text[len(before) :]) if text is not None else script  # type: ignore[assignment]
        )
        self.instead = instead
        limit = options.pop("max_new_tokens", 400)
        self.sequence = GatedSequence(
            [1],
            Sampling(do_sample=False, max_new_tokens=limit),  # type: ignore[arg-type]
            Hearing((), output_filter, contexts, 0),
            policy or GatePolicy(),
            self.vocabulary,
            eos={self.eos},
            room=1000,
            **options,  # type: ignore[arg-type]
        )
        self.tokens: list[int] = []
        self.drawn = 0
        self.rewinds: list[int] = []
        self.heard: list[str] = []
        """What went out, in order, as it went out."""

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator, no-any-return]

    def run(self) -> GatedSequence:
        sequence = self.sequence
        asked: dict[str, int] = {}
        plan = self._plan(asked)
        while not sequence.done and self.drawn < 3000:
            token = plan.pop(0) if plan else self.eos
            forbidden = sequence.forbidden()
            if forbidden is not None and forbidden[token]:
                first, *plan = self.ids(self.instead)
                allowed = (t for t in range(80, len(forbidden)) if not forbidden[t])
                token = next(allowed) if forbidden[first] else first
            self.drawn += 1
            self.tokens.append(token)
            back = sequence.push(token)
            if back is not None:
                self.rewinds.append(back.keep)
                del self.tokens[back.keep :]
                plan = self._plan(asked)
            elif not plan and token != self.eos and not sequence.done:
                plan = self._plan(asked)
            self.heard += [piece.text for piece in sequence.take()]
        sequence.finish()
        self.heard += [piece.text for piece in sequence.take()]
        return sequence

    def said(self, channel: Channel = Channel.CONTENT) -> str:
        return self.sequence.text(channel)

    def _plan(self, asked: dict[str, int]) -> list[int]:
        before = self.tokenizer.decode(self.tokens)  # type: ignore[attr-defined]
        asked[before] = asked.get(before, 0) + 1
        return [*self.ids(self.script(before, asked[before])), self.eos]


def forbidding(*tokens: int, size: int) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(tokens)] = True
    return mask
