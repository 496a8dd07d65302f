"""One sequence of the decode loop: tokens become text, the text passes the filter, pieces go out.

Where the answer is cut by ``max_new_tokens`` while something stands open the model goes on, unseen,
until it is decided: then nothing is shown that a longer answer would not have shown.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import torch

from filter.output_filter import CONTEXT
from model_gate.channels import SWITCHES, Channel, Piece, ToolCall, read_calls
from model_gate.decode import Rewind
from model_gate.documents import judged_text, removed_from_text, text_of
from model_gate.policy import Mode
from model_gate.resampling import Resampling
from model_gate.speech import CONTENT_FILTER, STOP, Speech

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Executor

    from filter import IdentifierKind
    from model_gate.policy import GatePolicy
    from model_gate.prompts import Hearing
    from model_gate.sampling import Sampling
    from model_gate.tokens import Vocabulary

LENGTH = "length"


class GatedSequence:
    """A sequence whose text passes the filter. See `model_gate.decode.Sequence`.

    The decoder calls `push` and `forbidden`; whoever owns the sequence calls `take` for what may be
    read, and once it is ``done``, `finish`, which may wait for a slow hash.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        hearing: Hearing,
        policy: GatePolicy,
        vocabulary: Vocabulary,
        *,
        eos: Collection[int],
        stop: Sequence[str] = (),
        json_whole: bool = False,
        room: int | None = None,
        background: Executor | None = None,
    ) -> None:
        """Prepare an answer.

        Args:
            prompt: token ids.
            sampling: how to draw, and how many tokens at most.
            hearing: what the prompt means for the filter.
            policy: the gate's.
            vocabulary: the model's.
            eos: ids of tokens that end an answer.
            stop: stop sequences.
            json_whole: the content is one JSON value: it is held until it is whole.
            room: tokens that the context still has behind the prompt.
            background: where slow hashes are computed.
        """
        self.prompt = list(prompt)
        self.sampling = sampling
        self.done = False
        self.finish_reason: str | None = None
        """``stop``, ``length``, ``content_filter`` or ``tool_calls``, after `finish`."""
        self.removed: Counter[str] = Counter()
        self.slow_hashes = 0
        """Distinct slow hashes, and `undecided`: removed beyond the budget; after `finish`."""
        self.undecided = 0
        self.tokens: list[int] = []
        """What was drawn and kept, what was decoded unseen not included."""
        self.calls: list[ToolCall] = []
        self._hearing = hearing
        self._policy = policy
        self._vocabulary = vocabulary
        self._eos = frozenset(eos)
        self._stop = tuple(stop)
        self._json_whole = json_whole
        self._background = background
        room = sampling.max_new_tokens if room is None else room
        self._limit = min(sampling.max_new_tokens, room)
        self._look_ahead = min(policy.look_ahead, room - self._limit)
        self._switches = {
            number: channel
            for name, channel in SWITCHES.items()
            if (number := vocabulary.special.get(name)) is not None
        }
        self._pieces: list[Piece] = []
        self._texts: dict[Channel, list[str]] = {channel: [] for channel in Channel}
        self._last = ""
        """The end of all that was said, in the order in which it was."""
        self._called: list[str] = []
        """Tool calls as the model says them: judged in the end, since that takes slow hashes."""
        self._behind: list[Piece] = []
        """What was said behind them, which one that must not be said ends."""
        self._raw: list[str] = []
        """JSON as the model says it, and as the filter of texts leaves it."""
        self._kept: list[str] = []
        self._whole_ended: str | None = None
        self._whole_removed: Counter[str] = Counter()
        self._ahead = 0
        self._cut = False
        self._truncated = False
        self._ended: str | None = None
        self._bans: dict[int, set[int]] = {}
        self._masks: dict[frozenset[IdentifierKind], torch.Tensor] = {}
        self._open(Channel.CONTENT)

    def _open(self, channel: Channel) -> None:
        """Begin to speak in a channel; what was said last, in whichever, may be continued."""
        self._channel = channel
        self._added_up = False
        self._detokeniser = self._vocabulary.detokeniser()
        self._call: list[str] = []
        """A tool call."""
        self._ends: list[tuple[int, int]] = [(len(self.tokens), 0)]
        """Tokens, and code points of this channel, at ends of whole tokens."""
        self._size = 0
        self._resampling = None
        if self._policy.mode is Mode.RESAMPLE and not self._is_held_whole:
            self._resampling = Resampling(
                self._hearing.output_filter, self._policy.tries, background=self._background
            )
        self._speech = Speech(
            self._hearing.output_filter,
            self._policy,
            contexts=self._contexts(),
            stop=self._stop if channel is Channel.CONTENT else (),
            background=self._background,
            first=self._resampling,
        )

    def _contexts(self) -> tuple[str, ...]:
        """What a text that begins now may continue."""
        said = [self.text(channel)[-CONTEXT:] for channel in Channel]
        found = (self._last, *said, *self._hearing.contexts)
        return tuple(dict.fromkeys(text for text in found if text))

    def take(self) -> list[Piece]:
        """What may be read since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def text(self, channel: Channel) -> str:
        """Everything said in a channel so far."""
        return "".join(self._texts[channel])

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of what was said; `None` where only the text tells, something being removed."""
        return None if self.removed or self._speech.ended else len(self.tokens)

    def forbidden(self) -> torch.Tensor | None:
        """Tokens that must not be drawn next: a mask [vocabulary], or none."""
        kinds = self._resampling.forbidden if self._resampling is not None else frozenset()
        bans = self._bans.get(len(self.tokens))
        if not kinds and not bans:
            return None
        if not bans:
            if kinds not in self._masks:
                self._masks[kinds] = self._mask(kinds)
            return self._masks[kinds]
        mask = self._mask(kinds)
        mask[list(bans)] = True
        return mask

    def _mask(self, kinds: frozenset[IdentifierKind]) -> torch.Tensor:
        mask = torch.zeros(len(self._vocabulary.octets), dtype=torch.bool)
        for kind in kinds:
            mask |= self._vocabulary.holding(kind)
        return mask

    def push(self, token: int) -> Rewind | None:
        """Take the next token; says whether some must be taken back."""
        if self.done:
            return None
        if self._cut:
            self._read_ahead(token)
            return None
        self.tokens.append(token)
        if token in self._eos:
            return self._end(STOP)
        channel = self._switches.get(token)
        back = (
            self._hear(self._detokeniser.push(token)) if channel is None else self._switch(channel)
        )
        if back is None and not self.done and len(self.tokens) >= self._limit:
            self._reach_limit()
        return back

    def _hear(self, text: str) -> Rewind | None:
        """Take text of the open channel."""
        self._size += len(text)
        if self._channel is Channel.TOOL_CALLS:
            self._call.append(text)
            return None
        if self._is_whole_json:
            self._raw.append(text)
        self._say(self._speech.push(text))
        if self._speech.ended:
            self._end(self._speech.ended)
            return None
        if not self._detokeniser.pending:
            self._ends.append((len(self.tokens), self._size))
            if self._resampling is not None:
                self._resampling.whole()
        return self._back()

    @property
    def _is_whole_json(self) -> bool:
        return self._json_whole and self._channel is Channel.CONTENT

    @property
    def _is_held_whole(self) -> bool:
        return self._channel is Channel.TOOL_CALLS or self._is_whole_json

    def _say(self, text: str) -> None:
        if self._is_whole_json:
            self._kept.append(text)
        elif text:
            self._give(self._channel, text)

    def _give(self, channel: Channel, text: str) -> None:
        self._last = (self._last + text)[-CONTEXT:]
        if self._called:
            self._behind.append(Piece(channel, text))
            return
        self._texts[channel].append(text)
        self._pieces.append(Piece(channel, text))

    def _back(self) -> Rewind | None:
        """Go back if the resampling says so."""
        resampling = self._resampling
        if resampling is None or resampling.back is None:
            return None
        back = resampling.back
        while self._ends[-1][1] > back.offset:
            self._ends.pop()
        keep, size = self._ends[-1]
        # What was drawn there, and every other token that begins the same again.
        restarting = (self.tokens[keep], *self._vocabulary.restarting(back.text))
        self._bans = {at: bans for at, bans in self._bans.items() if at <= keep}
        self._bans.setdefault(keep, set()).update(restarting)
        del self.tokens[keep:]
        self._size = size
        self._detokeniser = self._vocabulary.detokeniser()
        resampling.went_back(size)
        return Rewind(keep)

    def _switch(self, channel: Channel) -> Rewind | None:
        """Change to another channel, or end the present one."""
        back = self._close(truncated=False)
        if back is not None or self.done:
            return back
        if self._speech.ended:  # only now was it decided what stood at the channel's end
            return self._end(self._speech.ended)
        self._open(channel)
        return None

    def _close(self, *, truncated: bool) -> Rewind | None:
        """The open channel is over."""
        rest = "" if self._cut else self._detokeniser.finish()
        if self._channel is Channel.TOOL_CALLS:
            text, self._call = "".join([*self._call, rest]), []
            if text and not truncated:
                self._called.append(text)
                self._last = (self._last + text_of(text))[-CONTEXT:]
            return None
        if rest and (back := self._hear(rest)) is not None:
            return back
        if self._speech.ended:
            self._add_up()
            return None
        if self._resampling is not None and not self._cut:
            self._resampling.settle()
            if (back := self._back()) is not None:
                return back
        self._say(self._speech.finish(truncated=truncated))
        self._add_up()
        return None

    def _add_up(self) -> None:
        """What was removed is counted, once for each channel that was opened."""
        if self._added_up:
            return
        self._added_up = True
        self.slow_hashes += self._speech.slow_hashes
        self.undecided += self._speech.undecided
        if self._is_whole_json:
            self._whole_ended = self._whole_ended or self._speech.ended
            self._whole_removed += self._speech.removed
        else:
            self.removed += self._speech.removed

    def _judge_json(self) -> None:
        """The content, if it was held until all of it was there."""
        said, text = "".join(self._kept), "".join(self._raw)
        output_filter = self._hearing.output_filter
        contexts = self._contexts()
        said, removed = judged_text(
            output_filter,
            self._policy,
            text,
            said,
            contexts,
            is_whole=not self._whole_ended,
            hidden=self._whole_removed,
        )
        self.removed += removed
        if self._whole_ended == CONTENT_FILTER:
            said = ""
        elif removed and self._policy.mode is Mode.REFUSE:
            self._ended, said = CONTENT_FILTER, ""
        if said:
            self._give(Channel.CONTENT, said)

    def _judge_calls(self) -> None:
        """Hand out the tool calls, all of them or none."""
        output_filter = self._hearing.output_filter
        contexts, called, behind = self._contexts(), self._called, self._behind
        self._called, self._behind = [], []
        whole = "[" + ",".join(called) + "]"
        if len(called) > 1 and (removed := removed_from_text(output_filter, whole, contexts)):
            self.removed += removed
            self._ended = CONTENT_FILTER
            return
        for text in called:
            found = read_calls(output_filter, text, contexts)
            if found is None:
                # Not a call after all: text like any other, which may end anywhere.
                speech = Speech(output_filter, self._policy, contexts=contexts, stop=self._stop)
                said = speech.push(text) + speech.finish(truncated=True)
                self.removed += speech.removed
                if said:
                    self._give(Channel.CONTENT, said)
                if speech.ended:
                    self._ended = speech.ended
                    return
                continue
            self.removed += found.removed
            if found.removed:
                self._ended = CONTENT_FILTER
                return
            for call in found.calls:
                self.calls.append(call)
                self._pieces.append(Piece(Channel.TOOL_CALLS, json.dumps(call._asdict())))
        for piece in behind:
            self._give(*piece)

    def _end(self, reason: str) -> Rewind | None:
        """The model has come to an end."""
        if reason == STOP and self._resampling is not None and not self._speech.ended:
            # Whether to go back is decided while the row is still there.
            rest = self._detokeniser.finish()
            if rest and (back := self._hear(rest)) is not None:
                return back
            self._resampling.settle()
            if (back := self._back()) is not None:
                return back
        self._ended = reason
        self.done = True
        return None

    def _reach_limit(self) -> None:
        """As many tokens as were asked for: look ahead if something stands open."""
        self._ended = LENGTH
        self._cut = True
        if self._channel is Channel.TOOL_CALLS:
            self.done = self._truncated = True
            return
        if self._speech.ended or not self._speech.look_ahead(""):
            self.done = True
        elif self._look_ahead <= 0:
            self.done = self._truncated = True

    def _read_ahead(self, token: int) -> None:
        self._ahead += 1
        if token in self._eos or token in self._switches:
            self.done = True  # the text ends here by itself
            return
        undecided = self._speech.look_ahead(self._detokeniser.push(token))
        if not undecided or self._ahead >= self._look_ahead:
            self.done = True
            self._truncated = undecided

    def finish(self) -> None:
        """Hand out the rest, and say why the answer ended."""
        if self.finish_reason is not None:
            return
        if self._ended is None:
            self._ended = LENGTH  # stopped from outside
            self._truncated = True
        if self._speech.ended:
            self._add_up()
        elif self._ended != CONTENT_FILTER:
            self._close(truncated=self._truncated)
        if self._raw:
            self._judge_json()
        if self._called and CONTENT_FILTER not in (self._speech.ended, self._ended):
            self._judge_calls()
        reason = (
            CONTENT_FILTER if self._ended == CONTENT_FILTER else self._speech.ended or self._ended
        )
        if reason == STOP and self.calls:
            reason = Channel.TOOL_CALLS.value
        self.finish_reason = reason
        self.done = True
