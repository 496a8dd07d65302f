"""The reading of a stream: the same characters as `filter.reading` gives for the whole text."""

from __future__ import annotations

import re

from filter.nv1 import BREAK, nv1
from filter.reading import ENCODED_MARKS, IGNORED_RUN, decoded_character, encoded, unfinished

_ENCODED_MARK = re.compile(f"[{re.escape(ENCODED_MARKS)}]")


class StreamReading:
    """Characters of a reading with the raw text they come from; the oldest are forgotten.

    Characters are numbered from the beginning of the stream (of its context, if it has one).
    """

    def __init__(self) -> None:
        self.context = 0
        """Code points before the stream proper."""
        self.base = 0
        """Number of the first character that is kept."""
        self.text = ""
        """The characters kept."""
        self._starts: list[int] = []
        """Raw offset of each."""
        self._raw = ""
        self._raw_base = 0
        self._pending = ""
        self._ignored = 0
        self._table = nv1().table

    @property
    def size(self) -> int:
        """How many characters there were."""
        return self.base + len(self.text)

    @property
    def raw_end(self) -> int:
        """Raw offset behind everything that came."""
        return self._raw_base + len(self._raw)

    def push(self, text: str) -> int:
        """Take raw text; returns the number of the first new character."""
        first = self.base + len(self.text)
        if not self._pending and text.isascii() and not _ENCODED_MARK.search(text):
            # The most frequent case: every character reads as one.
            begin = self._raw_base + len(self._raw)
            self._raw += text
            self.text += text.translate(self._table)
            self._starts += range(begin, begin + len(text))
            self._ignored = 0
            return first
        self._raw += text
        pending = self._pending + text
        begin = self.raw_end - len(pending)
        if self._pending or _ENCODED_MARK.search(text):
            tail = unfinished().search(pending, max(0, len(pending) - 40))
            cut = tail.start() if tail is not None else len(pending)
            self._pending = pending[cut:]
            self._decode(pending[:cut], begin)
        else:
            self._read(pending, begin)
        return first

    def finish(self) -> int:
        """Take what might have become an encoded character and did not."""
        first = self.size
        pending, self._pending = self._pending, ""
        self._decode(pending, self.raw_end - len(pending))
        return first

    def _decode(self, text: str, begin: int) -> None:
        done = 0
        for match in encoded().finditer(text):
            char = decoded_character(match)
            if char is not None:
                self._read(text[done : match.start()], begin + done)
                self._read(char, begin + match.start())
                done = match.end()
        self._read(text[done:], begin + done)

    def _read(self, text: str, begin: int) -> None:
        """Read decoded text whose characters stand at ``begin`` and on."""
        table = self._table
        reading = text.translate(table)
        if len(reading) == len(text) and (text.isascii() or all(map(table.get, map(ord, text)))):
            if text:
                self._ignored = 0
                self.text += reading
                self._starts += range(begin, begin + len(text))
            return
        found: list[str] = []
        for start, char in enumerate(text, begin):
            read_as = table[ord(char)]
            if read_as:
                self._ignored = 0
            else:
                self._ignored += 1
                if self._ignored % (IGNORED_RUN + 1) == 0:
                    read_as = BREAK
            found.append(read_as)
            self._starts += [start] * len(read_as)
        self.text += "".join(found)

    def start_of(self, number: int) -> int:
        """Raw offset of a character; that of the undecoded rest behind the last."""
        at = number - self.base
        if at < len(self._starts):
            return self._starts[at]
        return self.raw_end - len(self._pending)

    def end_after(self, number: int) -> int:
        """Raw offset behind a character and what is ignored behind it."""
        return self.start_of(number + 1)

    def raw(self, start: int, end: int) -> str:
        """Raw text between two offsets."""
        return self._raw[max(0, start - self._raw_base) : max(0, end - self._raw_base)]

    def forget(self, number: int, raw: int) -> None:
        """Forget characters before ``number`` and raw text before ``raw``."""
        cut = number - self.base
        if cut > 0:
            self.text = self.text[cut:]
            del self._starts[:cut]
            self.base = number
        if raw > self._raw_base:
            self._raw = self._raw[raw - self._raw_base :]
            self._raw_base = raw
