r"""JSON through the filter: tool calls and structured output, whole and parsed.

A parsed value has no escapes (``\u0040``) any more; its keys are texts like any other; a number may
be a telephone number; and an identifier may be dealt out to several strings, so they are looked at
apart and joined.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filter import OutputFilter

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_AS_WRITTEN: dict[str, Any] = {"object_pairs_hook": list, "parse_float": str, "parse_int": str}
"""Reads a key that stands twice twice, and numbers as they are written: 4E-400 is not 0."""
_SEAM = 512
"""Characters of a context that are looked at: an identifier has at most 128 letters."""
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def removed_from(
    output_filter: OutputFilter, document: object, contexts: Sequence[str] = ()
) -> Counter[str]:
    """What a JSON value would lose, by kind.

    Args:
        output_filter: the filter.
        document: what `json.loads` gives: dicts (or lists of pairs, as tuples), lists, strings,
            numbers, Booleans, None.
        contexts: what the reader may have before it, each of which any of its texts may continue.
    """
    leaves = list(_leaves(document))
    texts = [text for text, _ in leaves]
    values = [text for text, is_key in leaves if not is_key]
    several = [some for some in (texts, values) if len(some) > 1]
    joined = [between.join(some) for some in several for between in ("", " ")]
    for looked_at in (texts, joined):
        if found := _removed(output_filter, looked_at, contexts):
            return found
    return Counter()


def _removed(
    output_filter: OutputFilter, texts: list[str], contexts: Sequence[str]
) -> Counter[str]:
    """What these texts lose by themselves; else what they lose behind a context."""
    for context in ("", *(context[-_SEAM:] for context in contexts)):
        found = Counter(
            str(match.kind)
            for said in output_filter.redact_batch(texts, [context] * len(texts))
            for match in said.matches
        )
        if found:
            return found
    return Counter()


def removed_from_text(
    output_filter: OutputFilter, text: str, contexts: Sequence[str] = ()
) -> Counter[str]:
    """The same for JSON text, a key that stands twice included.

    What is no JSON is looked at as it stands, and with its escapes read.
    """
    try:
        return removed_from(output_filter, json.loads(text, **_AS_WRITTEN), contexts)
    except (ValueError, RecursionError):
        return removed_from(output_filter, [text], contexts) or removed_from(
            output_filter, unescaped(text), contexts
        )


def removed_from_calls(
    output_filter: OutputFilter, calls: Sequence[tuple[str, str]], contexts: Sequence[str] = ()
) -> Counter[str]:
    """What tool calls would lose: names and arguments (JSON texts), apart and all of them joined."""
    read: list[object] = []
    for name, arguments in calls:
        try:
            read.append((name, json.loads(arguments, **_AS_WRITTEN)))
        except (ValueError, RecursionError):
            read.append((name, [arguments]))
            if removed := removed_from(output_filter, unescaped(arguments), contexts):
                return removed
    return removed_from(output_filter, read, contexts)


def redacted_text(output_filter: OutputFilter, text: str) -> tuple[str, Counter[str]]:
    """JSON text with markers in its strings and keys, and what was removed.

    Where nothing is, it is the text that was given, to the letter. What is no JSON, or lost an
    identifier that was dealt out to several strings, becomes empty as a whole.
    """
    removed = removed_from_text(output_filter, text)
    if not removed:
        return text, removed
    try:
        changed = redacted(output_filter, json.loads(text))
    except (ValueError, RecursionError):
        return "", removed
    return "" if changed is None else json.dumps(changed, ensure_ascii=False), removed


def redacted(output_filter: OutputFilter, document: object) -> object:
    """The JSON value with markers in its strings and keys, and in the place of numbers.

    `None` where an identifier was dealt out to several strings, so that none of them may stay.
    """
    changed = _redacted(output_filter, document)
    return None if removed_from(output_filter, changed) else changed


def unescaped(text: str) -> str:
    """A piece of JSON text with the escapes of its strings read."""

    def one(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 16))
        return _SHORT.get(match[2], match[2])

    joined = _ESCAPE.sub(one, text)
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _leaves(document: object) -> Iterator[tuple[str, bool]]:
    """Whatever in a value can say something, in order, and whether it is a key.

    Not recursive, so any depth will do.
    """
    stack: list[tuple[object, bool]] = [(document, False)]
    while stack:
        value, is_key = stack.pop()
        if isinstance(value, dict):
            stack += ((pair, False) for pair in reversed(value.items()))
        elif isinstance(value, tuple):
            stack += ((value[1], False), (value[0], True))
        elif isinstance(value, list):
            stack += ((item, False) for item in reversed(value))
        elif isinstance(value, str):
            yield value, is_key
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield str(value), is_key


def _redacted(output_filter: OutputFilter, value: object) -> object:
    if isinstance(value, dict):
        return {
            str(_redacted(output_filter, key)): _redacted(output_filter, item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_redacted(output_filter, item) for item in value]
    if isinstance(value, str):
        return output_filter.redact(value).text
    if isinstance(value, int | float) and not isinstance(value, bool):
        said = output_filter.redact(str(value))
        return said.text if said.matches else value
    return value
