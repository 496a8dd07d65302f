"""AIPREF ``Content-Usage``: lines of robots.txt and the HTTP header of the same name.

Specification: draft-ietf-aipref-vocab-07 (vocabulary) and draft-ietf-aipref-attach-05 (where it
stands), August 2026; drafts of an IETF working group, no RFC. A statement is a dictionary of RFC
9651, ``train-ai=n, search=y``; it is parsed completely, because one that does not parse says
nothing (vocab-07, 6.5).

Categories. In vocab-07 they are flat: ``train-ai`` is training of models that generate, ours among
them, and no other category has a bearing on it. Earlier drafts nested them under labels that are
retired since; whoever wrote ``genai=n`` or ``tdm=n`` refused in the words of their day. So a
retired label can refuse and never allow: a narrower one (``train-genai``, ``genai``) refuses beside
any ``train-ai``, a wider one (``ai``, ``tdm``, ``all``, ``bots``) where ``train-ai`` is silent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.optout.rules import Rule
from pipeline.optout.signals import most_specific_first, scoped_value

if TYPE_CHECKING:
    from collections.abc import Iterable

TRAINING = "train-ai"
NARROWER_RETIRED = ("train-genai", "genai")
"""vocab-01 to vocab-03: training of generative models only."""
WIDER_RETIRED = ("ai", "tdm", "all", "bots")
"""vocab-01 to vocab-04: categories of which training was a part."""

# RFC 9651, 4.2: every alternative begins with its own character and every quantifier is possessive,
# so that no input is read twice.
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_TOKEN = r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+"
_BARE = (
    rf"(?:{_TOKEN}"
    r"|-?+(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})"  # integer, decimal
    r'|"(?:[ !#-\[\]-~]|\\["\\])*+"'  # string
    r"|:[A-Za-z0-9+/=]*+:"  # byte sequence
    r"|\?[01]"  # boolean
    r"|@-?+[0-9]{1,15}"  # date
    r'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*+")'  # display string
)
_PARAMETERS = rf"(?:;[ ]*+{_KEY}(?:={_BARE})?+)*+"
_INNER_LIST = rf"\((?:[ ]*+{_BARE}{_PARAMETERS}(?=[ )]))*+[ ]*+\)"
_MEMBER = re.compile(
    rf"(?P<key>{_KEY})(?:=(?:(?P<token>{_TOKEN})|{_BARE}|{_INNER_LIST}))?+{_PARAMETERS}"
)
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")


def header(value: str) -> bool | None:
    """What a ``Content-Usage`` header (several joined by commas) says of training.

    ``True``: refused; ``False``: allowed; ``None``: no opinion, also where it does not parse.
    """
    stated = _dictionary(value.strip(" "))
    if any(stated.get(label) == "n" for label in NARROWER_RETIRED):
        return True
    answer = {"n": True, "y": False}.get(stated.get(TRAINING) or "")
    if answer is None and any(stated.get(label) == "n" for label in WIDER_RETIRED):
        return True
    return answer


def line_rules(lines: Iterable[tuple[int, str]]) -> tuple[Rule, ...]:
    """Rules of the ``Content-Usage`` lines (number, value) of one robots.txt group.

    The most specific path decides and, of equal ones, the refusal (attach-05, 3.1). A line without
    an opinion on training gives no rule: a refusal of the whole site is not lifted by ``/blog
    search=y``.
    """
    rules = []
    for number, value in lines:
        pattern, statement = scoped_value(value)
        refused = header(statement)
        if refused is not None:
            rules.append(Rule(pattern, not refused, number))
    return most_specific_first(rules)


def _dictionary(text: str) -> dict[str, str | None]:
    """Keys with their tokens (``None``: another type), the last of a key; empty if not parsable."""
    stated: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            return {}
        stated[member["key"]] = member["token"]
        at = member.end()
        if at == len(text):
            return stated
        comma = _COMMA.match(text, at)
        if comma is None:
            return {}
        at = comma.end()
    return {}  # empty, or a comma at the end
