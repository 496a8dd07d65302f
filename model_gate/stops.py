"""Stop sequences, looked for in text that has passed the filter.

Behind it, because whoever chooses a stop sequence must not learn from where an answer ends whether
it stood in what was removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopMatcher:
    """Hands text on until a stop sequence is met; holds back what may be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(dict.fromkeys(s for s in stop if s))
        self._held = ""
        self.met = False
        """Whether one was met: it and what follows is never handed on."""

    def push(self, text: str) -> str:
        """Take the next piece; returns what may go on."""
        if not self._stop:
            return text
        if self.met:
            return ""
        text = self._held + text
        first = min((at for s in self._stop if (at := text.find(s)) >= 0), default=-1)
        if first >= 0:
            self.met, self._held = True, ""
            return text[:first]
        keep = max(map(len, self._stop)) - 1
        for size in range(min(keep, len(text)), 0, -1):
            tail = text[-size:]
            if any(s.startswith(tail) for s in self._stop):
                self._held = tail
                return text[:-size]
        self._held = ""
        return text

    def finish(self) -> str:
        """The rest."""
        rest, self._held = self._held, ""
        return rest
