"""W3C TDMRep: ``/.well-known/tdmrep.json``, the header and the meta element ``tdm-reservation``.

Specification: TDM Reservation Protocol, Final Community Group Report (W3C, 10 May 2024); it
declares the reservation of Article 4(3) of Directive (EU) 2019/790. ``1`` reserves, ``0`` does not,
any other value counts as unset. A reservation with a ``tdm-policy`` is one, too: nobody has
acquired a license.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule
from pipeline.optout.signals import MAX_OCTETS, is_absent, path_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_IN_FORMAT = (
    "tdmrep.json is not a list of objects with location and tdm-reservation (W3C TDMRep): read it "
    "by hand and put what it reserves into the opt-out list."
)
_BLANK = " \t\r\n"
_decode_value = json.JSONDecoder().raw_decode


def file_rules(body: bytes) -> tuple[Rule, ...]:
    """Rules of a tdmrep.json, in the order of the file: the first match in sequence decides.

    Beyond the report, a single object, a comma too many and ``"1"`` or ``true`` for ``1`` are read.

    Raises `UnreadableSource` where the file is not JSON, not in the format, or larger than
    `MAX_OCTETS`.
    """
    if is_absent(body):
        return ()
    if len(body) > MAX_OCTETS:
        raise UnreadableSource(
            f"tdmrep.json has more than {MAX_OCTETS} octets: read it by hand and put what it "
            "reserves into the opt-out list."
        )
    rules = []
    try:
        for line, entry in _entries(body.decode(json.detect_encoding(body))):
            if not isinstance(entry, dict):
                raise UnreadableSource(_NOT_IN_FORMAT)
            location = entry.get("location")
            if not isinstance(location, str) or "tdm-reservation" not in entry:
                raise UnreadableSource(_NOT_IN_FORMAT)
            reserved = _reserved(entry["tdm-reservation"])
            if reserved is not None:
                rules.append(Rule(path_pattern(location), not reserved, line))
    except (ValueError, RecursionError):  # not JSON, nested too deep, a number too long
        raise UnreadableSource(_NOT_IN_FORMAT) from None
    return tuple(rules)


def value(text: str) -> bool | None:
    """What a header or meta element ``tdm-reservation`` says; of several values, 1 holds.

    ``True``: reserved; ``False``: not reserved; ``None``: unset.
    """
    stated = {_reserved(part.strip()) for part in text.split(",")}
    return True if True in stated else False if False in stated else None


def _reserved(given: object) -> bool | None:
    if isinstance(given, str):
        return {"1": True, "0": False}.get(given.strip())
    # 1 == 1.0 == True, as in the file.
    return bool(given) if isinstance(given, int | float) and given in {0, 1} else None


def _entries(text: str) -> Iterator[tuple[int, object]]:
    """The objects of the file with the lines they begin on; `ValueError` where it is not JSON."""
    at = _past_blank(text, 0)
    is_list = text.startswith("[", at)
    at = _past_blank(text, at + 1) if is_list else at
    line, counted = 1, 0
    while not (is_list and text.startswith("]", at)):
        line += text.count("\n", counted, at)
        counted = at
        entry, at = _decode_value(text, at)
        yield line, entry
        at = _past_blank(text, at)
        if not is_list:
            break
        if text.startswith(",", at):
            at = _past_blank(text, at + 1)
        elif not text.startswith("]", at):
            raise ValueError
    if text[at + is_list :].strip(_BLANK):
        raise ValueError


def _past_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
