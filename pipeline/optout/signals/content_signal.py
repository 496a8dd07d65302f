"""``Content-Signal`` lines of robots.txt: ``search=yes, ai-input=yes, ai-train=no``.

Specification: the Content Signals Policy (https://contentsignals.org, September 2025; CC0), which
fixes the meaning of three signals but no grammar. ``ai-train`` is training or fine-tuning of
models; a signal that is not given "neither grants nor restricts". Found in the wild and tolerated:
a path in front, upper case, blanks around ``=``, semicolons for commas, signals of other names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.optout.rules import Rule
from pipeline.optout.signals import most_specific_first, scoped_value

if TYPE_CHECKING:
    from collections.abc import Iterable

_TRAINING = re.compile(r"(?<![\w-])ai-train\s*+=\s*+(yes|no)(?![\w-])", re.IGNORECASE)


def line_rules(lines: Iterable[tuple[int, str]]) -> tuple[Rule, ...]:
    """Rules of the ``Content-Signal`` lines (number, value) of one robots.txt group.

    The most specific path decides and, of equal ones, the refusal; a line that says both refuses.
    """
    rules = []
    for number, value in lines:
        pattern, statement = scoped_value(value)
        answers = {answer.lower() for answer in _TRAINING.findall(statement)}
        if answers:
            rules.append(Rule(pattern, "no" not in answers, number))
    return most_specific_first(rules)
