"""One choice of an engine's answer: its texts pass the filter, its tool calls are held until they are whole.

What an engine sends is read by what is known of it: content, thoughts, refusals, tool calls, the
reason of the end. Whatever else stands in a chunk is dropped.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from filter.output_filter import CONTEXT
from model_gate.channels import Channel, Piece
from model_gate.documents import is_json, judged_text, removed_from_calls, text_of
from model_gate.policy import Mode
from model_gate.proxy.upstream import not_understood
from model_gate.speech import CONTENT_FILTER, Speech

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from model_gate.policy import GatePolicy
    from model_gate.prompts import Hearing

LENGTH = "length"
_REASONS = {
    "stop": "stop",
    "length": LENGTH,
    "max_tokens": LENGTH,
    "content_filter": CONTENT_FILTER,
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_CALLS = 128
_LONGEST_CALL = 1 << 20


class Choice:
    """One choice. Not for several threads at once; `begin`, `finish` and `close` take slow hashes."""

    def __init__(
        self,
        number: int,
        hearing: Hearing,
        policy: GatePolicy,
        *,
        stop: Sequence[str] = (),
        json_whole: bool = False,
        background: Executor | None = None,
    ) -> None:
        self.number = number
        self.reason: str | None = None
        """Why the engine ended it."""
        self.finish_reason: str | None = None
        """Why it ended, for the reader."""
        self.removed: Counter[str] = Counter()
        self.slow_hashes = 0
        """Distinct slow hashes, and `undecided`: removed beyond the budget; after `finish`."""
        self.undecided = 0
        self._heard: dict[Channel, list[str]] = {channel: [] for channel in Channel}
        self._hearing = hearing
        self._policy = policy
        self._stop = tuple(stop)
        self._json_whole = json_whole
        self._background = background
        self._texts: dict[Channel, str] = {}
        self._last = ""
        """The end of all that was said, in the order in which it was."""
        self._calls: dict[int, dict[str, str]] = {}
        self._is_in_call = False
        self._kept: list[str] = []
        self._whole_ended: str | None = None
        self._whole_removed: Counter[str] = Counter()
        """Of content that is held until it is whole: what the filter of texts said to it."""
        self._channel = Channel.CONTENT
        self._speech = self._open(Channel.CONTENT)

    def _open(self, channel: Channel) -> Speech:
        self._channel = channel
        self._added_up = False
        self._speech = Speech(
            self._hearing.output_filter,
            self._policy,
            contexts=self._contexts(),
            stop=self._stop if channel is Channel.CONTENT else (),
            background=self._background,
        )
        return self._speech

    def _contexts(self) -> tuple[str, ...]:
        """What a text that begins now may continue."""
        said = [self._texts[one] for one in Channel if self._texts.get(one)]
        calls = "".join(
            call["name"] + text_of(call["arguments"]) for _, call in sorted(self._calls.items())
        )
        found = (self._last, calls[-CONTEXT:], (self._last + calls)[-CONTEXT:], *said)
        return tuple(dict.fromkeys(text for text in (*found, *self._hearing.contexts) if text))

    @property
    def ended(self) -> bool:
        """Whether nothing more of the engine's is wanted."""
        return self.reason is not None or self._speech.ended is not None

    @property
    def waiting(self) -> bool:
        """Whether a slow hash is computed in the background."""
        return self._speech.waiting

    @property
    def channel(self) -> Channel:
        """What is being said."""
        return self._channel

    @property
    def refuses(self) -> bool:
        """Whether the first match ends it, which waits for what is undecided before it."""
        return self._policy.mode is Mode.REFUSE

    def may_wait(self, fields: Mapping[str, Any]) -> bool:
        """Whether `take` may wait for slow hashes: where a channel ends, or the answer."""
        if self.refuses and self._speech.waiting:
            return True
        return any(text and channel is not self._channel for channel, text in _texts(fields))

    def said_by_engine(self, channel: Channel) -> str:
        """What the engine said: to ask it for more, never for the reader."""
        return "".join(self._heard[channel])

    def take(self, fields: Mapping[str, Any], reason: object) -> list[Piece]:
        """Take one chunk of the engine's: the fields of a delta, and why it ended, if it did.

        See `may_wait`.

        Raises:
            ApiError: they are not what they should be.
        """
        pieces: list[Piece] = []
        for channel, text in _texts(fields):
            pieces += self._take(channel, text)
        for call in _calls(fields):
            self._take_call(call)
        if reason is not None and self.reason is None:
            if not isinstance(reason, str) or reason not in _REASONS:
                raise not_understood()
            self.reason = _REASONS[reason]
        return pieces

    def look(self) -> list[Piece]:
        """What slow hashes have let go since."""
        return [] if self._speech.ended else self._said(self._speech.push(""))

    def _take(self, channel: Channel, text: str) -> Iterator[Piece]:
        if self._speech.ended or not text:
            return
        if channel is not self._channel or self._is_in_call:
            yield from self._finish_speech(truncated=False)
            if self.ended:
                return
            self._open(channel)
        self._is_in_call = False
        self._heard[channel].append(text)
        yield from self._said(self._speech.push(text))

    def _take_call(self, fields: Mapping[str, Any]) -> None:
        index = fields.get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _CALLS:
            raise not_understood()
        call = self._calls.setdefault(index, {"name": "", "arguments": ""})
        function = fields.get("function") or {}
        if not isinstance(function, dict):
            raise not_understood()
        for name in ("name", "arguments"):
            value = function.get(name)
            if value is None:
                continue
            if not isinstance(value, str) or len(call[name]) + len(value) > _LONGEST_CALL:
                raise not_understood()
            call[name] += value
            self._is_in_call |= bool(value)

    def _said(self, text: str) -> list[Piece]:
        if self._is_held_whole:
            self._kept.append(text)
            return []
        if not text:
            return []
        self._remember(text)
        return [Piece(self._channel, text)]

    def _remember(self, text: str) -> None:
        self._texts[self._channel] = (self._texts.get(self._channel, "") + text)[-CONTEXT:]
        self._last = (self._last + text)[-CONTEXT:]

    @property
    def _is_held_whole(self) -> bool:
        return self._json_whole and self._channel is Channel.CONTENT

    def is_undecided(self) -> bool:
        """Whether more of the engine's text would help to decide about the end of a cut answer."""
        if self.reason not in (LENGTH, CONTENT_FILTER) or self._speech.ended or self._is_in_call:
            return False
        return self._speech.look_ahead("")

    def look_ahead(self, text: str) -> bool:
        """Take text behind the cut; returns whether more of it helps."""
        return self._speech.look_ahead(text)

    def finish(self, *, undecided: bool) -> list[Piece]:
        """The rest. ``undecided``: it was cut, and nobody could look behind the cut."""
        if self.finish_reason is not None:
            return []
        pieces = list(self._finish_speech(truncated=undecided))
        if self._json_whole and self._heard[Channel.CONTENT]:
            pieces += self._judged_json()
        if CONTENT_FILTER in (self._speech.ended, self.finish_reason):
            self.finish_reason = CONTENT_FILTER
            return pieces
        if self._speech.ended:
            self.finish_reason = self._speech.ended
            return pieces
        self.finish_reason = self.reason
        if self._calls:
            pieces += self._finish_calls()
        return pieces

    def _finish_speech(self, *, truncated: bool) -> Iterator[Piece]:
        if not self._speech.ended:
            yield from self._said(self._speech.finish(truncated=truncated))
        if self._added_up:
            return
        self._added_up = True  # once for each channel that was opened
        self.removed += self._speech.removed
        self.slow_hashes += self._speech.slow_hashes
        self.undecided += self._speech.undecided
        if self._is_held_whole:
            self._whole_ended = self._whole_ended or self._speech.ended
            self._whole_removed += self._speech.removed

    def _judged_json(self) -> list[Piece]:
        """The content, if it was held until all of it was there."""
        said, text = "".join(self._kept), self.said_by_engine(Channel.CONTENT)
        output_filter = self._hearing.output_filter
        if self._whole_ended == CONTENT_FILTER:
            return []
        self._channel = Channel.CONTENT
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
        if removed and self.refuses:
            self.finish_reason, said = CONTENT_FILTER, ""
        if not said:
            return []
        self._remember(said)
        return [Piece(Channel.CONTENT, said)]

    def _finish_calls(self) -> list[Piece]:
        calls = [self._calls[index] for index in sorted(self._calls)]
        removed = removed_from_calls(
            self._hearing.output_filter,
            [(call["name"], call["arguments"]) for call in calls],
            self._contexts(),
        )
        self.removed += removed
        if removed:
            self.finish_reason = CONTENT_FILTER
            return []
        if self.reason == LENGTH:
            # Half a call helps nobody, and what it breaks off in was not judged.
            calls = [call for call in calls if is_json(call["arguments"])]
        return [Piece(Channel.TOOL_CALLS, json.dumps(call)) for call in calls]


def _texts(fields: Mapping[str, Any]) -> Iterator[tuple[Channel, str]]:
    """What a delta, or a choice of a completion, says."""
    thoughts = fields.get("reasoning_content")
    if thoughts is None:
        thoughts = fields.get("reasoning")
    found = (
        (Channel.REASONING, thoughts),
        (Channel.CONTENT, fields.get("content")),
        (Channel.CONTENT, fields.get("text")),
        (Channel.CONTENT, fields.get("refusal")),
    )
    for channel, text in found:
        if text is None:
            continue
        if not isinstance(text, str):
            raise not_understood()
        yield channel, text


def _calls(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    calls = fields.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise not_understood()
    old = fields.get("function_call")
    if old is not None:
        calls = [*calls, {"index": 0, "function": old}]
    return calls
