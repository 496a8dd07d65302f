r"""JSON through the filter: tool calls and structured output, whole and parsed.

A parsed value has no escapes (``\u0040``) any more; its keys are texts like any other; a number may
be a telephone number; and an identifier may be dealt out to several strings, so they are looked at
apart and joined.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from model_gate.speech import Speech

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filter import OutputFilter
    from model_gate.policy import GatePolicy

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"(\s*:)?|\\?$)|(-?\d[\d.eE+-]*)', re.DOTALL)
"""A string of JSON text, perhaps a key, perhaps cut off; or a number."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


class _Number(str):
    """A number as it is written: 4E-400 is not 0."""

    __slots__ = ()


_AS_WRITTEN: dict[str, Any] = {
    "object_pairs_hook": list,
    "parse_float": _Number,
    "parse_int": _Number,
}
"""Reads a key that stands twice twice."""
_MOST_ZEROS = 64
_SLOW_HASHES = 256
"""Of one document, however its texts are joined; what is beyond that counts as listed."""
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
    plain = [text for leaf in texts if (text := _plain(leaf)) != leaf]
    ways = [texts, values, *([_plain(leaf) for leaf in way] for way in (texts, values) if plain)]
    joined = {between.join(way) for way in ways if len(way) > 1 for between in ("", " ")}
    looks = [
        (text, context[-_SEAM:], number)
        for number, (context, some) in enumerate(
            (context, some) for context in ("", *contexts) for some in ([*texts, *plain], joined)
        )
        for text in some
    ]
    said = output_filter.within(min(output_filter.policy.slow_hashes, _SLOW_HASHES)).redact_batch(
        [text for text, _, _ in looks], [context for _, context, _ in looks], one_budget=True
    )
    removed: dict[int, Counter[str]] = {}
    for (_, _, number), redaction in zip(looks, said, strict=True):
        if redaction.matches:
            kinds = removed.setdefault(number, Counter())
            kinds.update(str(match.kind) for match in redaction.matches)
    return removed[min(removed)] if removed else Counter()


def removed_from_text(
    output_filter: OutputFilter, text: str, contexts: Sequence[str] = ()
) -> Counter[str]:
    """The same for JSON text, a key that stands twice included.

    What is no JSON is looked at as it stands, with its escapes read, and by the strings in it.
    """
    try:
        return removed_from(output_filter, json.loads(text, **_AS_WRITTEN), contexts)
    except (ValueError, RecursionError):
        for document in (text, unescaped(text), _strings(text)):
            if found := removed_from(output_filter, document, contexts):
                return found
        return Counter()


def removed_from_calls(
    output_filter: OutputFilter, calls: Sequence[tuple[str, str]], contexts: Sequence[str] = ()
) -> Counter[str]:
    """What tool calls would lose: names and arguments (JSON texts), apart and all of them joined."""
    read: list[object] = []
    for name, arguments in calls:
        try:
            read.append((name, json.loads(arguments, **_AS_WRITTEN)))
        except (ValueError, RecursionError):
            read.append((name, _strings(arguments)))
            if removed := removed_from_text(output_filter, arguments, contexts):
                return removed
    return removed_from(output_filter, read, contexts)


def redacted_text(
    output_filter: OutputFilter, text: str, contexts: Sequence[str] = ()
) -> tuple[str, Counter[str]]:
    """JSON text with markers in its strings and keys, and what was removed.

    Where nothing is, it is the text that was given, to the letter. What is no JSON, or lost an
    identifier that was dealt out to several strings or begins in a context, becomes empty as a whole.
    """
    removed = removed_from_text(output_filter, text)
    if not removed:
        removed = removed_from_text(output_filter, text, contexts) if contexts else removed
        return ("" if removed else text), removed
    try:
        changed = redacted(output_filter, json.loads(text))
    except (ValueError, RecursionError):
        return "", removed
    return "" if changed is None else json.dumps(changed, ensure_ascii=False), removed


def judged_text(
    output_filter: OutputFilter,
    policy: GatePolicy,
    text: str,
    kept: str,
    contexts: Sequence[str],
    *,
    is_whole: bool,
    hidden: Counter[str],
) -> tuple[str, Counter[str]]:
    """JSON that was held until all of it was there, as it may go out, and what was removed from it.

    ``text`` is what the model said, ``kept`` what the filter of plain text has left of it, from which it
    removed ``hidden``. Where it breaks off, or is no JSON, nothing goes out if anything in it is listed or
    may become so.
    """
    if is_whole and is_json(text):
        said, removed = redacted_text(output_filter, text, contexts)
        # Where only the plain text met something: listed only together with what the reader has already.
        return ("", hidden) if hidden and not removed else (said, removed)
    found = removed_from_text(output_filter, kept, contexts)
    stays = not found and not _may_go_on(output_filter, policy, unescaped(kept))
    return (kept if stays else ""), hidden + found


def is_json(text: str) -> bool:
    """Whether a text is one JSON document."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _may_go_on(output_filter: OutputFilter, policy: GatePolicy, read: str) -> bool:
    """Whether JSON text, its escapes read, is cut within what may be listed."""
    speech = Speech(output_filter, policy)
    return speech.push(read) + speech.finish(truncated=True) != read


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


def text_of(text: str) -> str:
    """What JSON text says, whole or cut off, its strings joined: for whoever goes on behind it."""
    try:
        document = json.loads(text, **_AS_WRITTEN)
    except (ValueError, RecursionError):
        document = _strings(text)
    return "".join(leaf for leaf, _ in _leaves(document))


def _strings(text: str) -> list[object]:
    """The strings and numbers of what may be JSON, as a document."""
    found: list[object] = []
    for match in _STRING.finditer(text):
        if match[3] is not None:
            found.append(_Number(match[3]))
        elif match[2] is not None:
            found.append((unescaped(match[1]), []))
        else:
            found.append(unescaped(match[1]))
    return found


def _plain(text: str) -> str:
    """A number without an exponent, any other text as it is."""
    if not isinstance(text, _Number) or not {"e", "E", "."} & set(text):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > _MOST_ZEROS or len(digits) > _MOST_ZEROS:
        return text
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


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
            yield _Number(value), is_key


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
        said = output_filter.redact(_plain(_Number(value)))
        return said.text if said.matches else value
    return value
