"""Opt-out signals beside robots.txt, one file each, and what all of them agree on.

Every signal answers one question: may this text be used to train a general-purpose language model?
Silence gives no rule. What is scoped by path becomes `pipeline.optout.rules.Rule` tuples in order
of precedence; what belongs to one page becomes ``True`` (refused), ``False`` (allowed) or ``None``.
A file that exists but cannot be understood raises `pipeline.errors.UnreadableSource`.

Here stand the names under which the signals are reported, and the three decisions that must not
differ between them: what is no file at all, how a pattern is written, which of two rules is
stronger.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from filter.urls import normalize_escapes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.optout.rules import Rule

MAX_OCTETS = 1 << 20
"""Octets up to which a signal's file is read: twice what RFC 9309, section 2.5, asks for."""


class Signal(StrEnum):
    """Why a document is refused. Where several refuse, the first in this order is reported."""

    ROBOTS = "robots"
    OPTOUT = "optout"
    TAG = "tag"
    CONTENT_USAGE = "content-usage"
    CONTENT_SIGNAL = "content-signal"
    TDMREP = "tdmrep"
    AI_TXT = "ai-txt"
    RSL = "rsl"
    NOAI = "noai"

    @property
    def title(self) -> str:  # type: ignore[override]  # a report never wants str.title()
        """One line for reports."""
        return _TITLES[self]


_TITLES = {
    Signal.ROBOTS: "robots.txt disallows an agent of the policy (RFC 9309)",
    Signal.OPTOUT: "an opt-out was requested (opt-out list)",
    Signal.TAG: "the published compliance tags of the corpus name the document",
    Signal.CONTENT_USAGE: "Content-Usage says train-ai=n (IETF AI Preferences)",
    Signal.CONTENT_SIGNAL: "Content-Signal says ai-train=no (contentsignals.org)",
    Signal.TDMREP: "text and data mining is reserved (W3C TDMRep)",
    Signal.AI_TXT: "ai.txt disallows text (Spawning)",
    Signal.RSL: "the site's license does not grant training freely (RSL 1.0)",
    Signal.NOAI: "the page says noai (X-Robots-Tag, meta robots)",
}

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_HTML = re.compile(
    rb"<(?:!doctype[ \t\r\n]+html|(?:html|head|script|iframe|h1|div|font|table|a|style|title|b|body"
    rb"|br|p|meta|center)(?=[\s/>]))",
    re.IGNORECASE,
)
"""How an HTML page begins (WHATWG MIME Sniffing, 7.1, and two tags that error pages begin with)."""


def is_absent(body: bytes) -> bool:
    """Whether ``body`` means that there is no such file: it is blank, or an HTML page.

    Many servers answer a request for a missing file with status 200 and their error page.
    """
    if body.startswith(_UTF16_MARKS):
        body = body.decode("utf-16", "replace").encode()
    at = _past_space(body, len(_UTF8_MARK) if body.startswith(_UTF8_MARK) else 0)
    if at == len(body):
        return True
    while True:  # an XML declaration and comments may stand before the first tag
        for opening, closing in ((b"<?", b"?>"), (b"<!--", b"-->")):
            if body.startswith(opening, at):
                end = body.find(closing, at + len(opening))
                if end < 0:
                    return False
                at = _past_space(body, end + len(closing))
                break
        else:
            return _HTML.match(body, at) is not None


_SPACE = re.compile(rb"\s*+")


def _past_space(body: bytes, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at


_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+://[^/?]*+")


def path_pattern(text: str) -> str:
    """``text`` as the pattern of a `Rule`: ASCII, comparable escapes, starting with ``/`` or ``*``.

    ``*`` and a final ``$`` keep their meaning, any other ``$`` is literal (RFC 9309, 2.2.3). Of an
    absolute URL the path counts; no path is the whole site.
    """
    text = text.strip()
    if origin := _ORIGIN.match(text):
        text = text[origin.end() :]
    anchor = "$" if text.endswith("$") else ""
    text = normalize_escapes(text.removesuffix("$").replace("$", "%24"))
    return ("" if text.startswith(("/", "*")) else "/") + text + anchor


def scoped_value(value: str) -> tuple[str, str]:
    """Pattern and statement of a robots.txt line whose value may begin with a path.

    ``/blog/ ai-train=no`` is about ``/blog/``, ``ai-train=no`` about ``/``. A path begins with
    ``/``; ``*.pdf`` is taken for one, too, unless it can be the key of a statement.
    """
    first, _, rest = value.strip().replace("\t", " ").partition(" ")
    is_path = first.startswith("/") or (
        first.startswith("*") and bool(rest) and "=" not in first and "," not in first
    )
    return (path_pattern(first), rest.strip()) if is_path else ("/", value.strip())


def most_specific_first(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Longest pattern (octets) first, at equal length refusals first, each pattern once.

    RFC 9309, 2.2.2, but with ties turned round: of two statements about the use of the same content
    the more restrictive one holds (draft-ietf-aipref-vocab-07, 5.1; RSL 1.0, 3.1.1).
    """
    ordered: dict[str, Rule] = {}
    for rule in sorted(rules, key=lambda r: (-len(r.pattern), r.allow)):
        ordered.setdefault(rule.pattern, rule)
    return tuple(ordered.values())
