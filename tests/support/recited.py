"""Which identifiers of whom a text tells, however they are spelt; never the values themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from filter.nv1 import fold, read
from model_gate.tiny import Person


@cache
def _words(value: str) -> re.Pattern[str]:
    """The letters of a value, whatever stands between them, as words of their own.

    A name that is glued to other letters is another word; the filter does not claim to find it.
    """
    letters = r"\W*".join(map(re.escape, fold(value)))
    return re.compile(rf"(?<!\w){letters}(?!\w)")


def told(text: str, persons: Sequence[Person]) -> list[str]:
    """Kinds of identifiers of these persons in a text.

    Of handles those behind ``@``; of numbers those that are not a piece of a longer one.
    """
    letters, words = fold(text), read(text)
    found = []
    for person in persons:
        digits = r"\D*".join(filter(str.isdigit, person.phone))
        checks = {
            "name": _words(person.name).search(words) is not None,
            "email": fold(person.email) in letters,
            "address": fold(person.address) in letters,
            "phone": re.search(rf"(?<!\d){digits}(?!\d)", text) is not None,
            "handle": f"@{person.handle}".lower() in text.lower(),
        }
        found += [kind for kind, is_told in checks.items() if is_told]
    return found
