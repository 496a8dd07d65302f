"""RSL 1.0, Really Simple Licensing: the XML files that ``License:`` lines of robots.txt point at.

Specification: RSL 1.0 (RSL-SPEC-1.0, Recommendation of the RSL Technical Steering Committee, 10
December 2025, with errata to August 2026), https://rslstandard.org/rsl; sections are cited as §.
Tokens and commas of the 0.9 draft are read, too.

Training is granted only by a license that asks for nothing: it covers training, or names no usage
at all (§3.5), is free (§3.7), restricts neither users nor countries, demands no reports (§3.12),
and holds nothing we do not know. The licenses of one content are alternatives, except that an
outright prohibition of training in any of them stands (§3.1.1). Whatever has to be paid, asked for
at a license server (§3.3) or fulfilled has not been acquired by anybody who compiles a corpus: it
is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule
from pipeline.optout.signals import MAX_OCTETS, is_absent, most_specific_first, path_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACES = frozenset({"", "https://rslstandard.org/rsl", "http://rslstandard.org/rsl"})
"""Of RSL 1.0; none at all is tolerated. A later version has another (§1.3) and is not guessed."""
TRAINING = frozenset({"all", "ai-all", "ai-train", "train-ai", "train-genai", "ai-training"})
"""Usages that cover training (§3.4.1.1), among them the names of the drafts."""
OTHER_USAGES = frozenset({"ai-input", "ai-index", "search", "ai-use", "ai-summarize"})
"""Usages that do not, so that a license that prohibits only these leaves training alone."""
ASKS_FOR_NOTHING = frozenset({"free", "attribution"})
"""Payment types (§3.7)."""
METADATA = frozenset({"alternate", "copyright", "schema", "terms"})
"""Of a content, beside its licenses (§3.14 to §3.17)."""

_URL = re.compile(r"(?:https?:/)?/[^\s<>\"]+", re.IGNORECASE)
_TOKENS = re.compile(r"[^\s,]+")
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")


def license_urls(values: Iterable[str]) -> tuple[str, ...]:
    """Addresses among the values of ``License`` lines, each once, in their order.

    A value that is no address (``none (public domain)``) points at nothing. A path
    (``/license.xml``) is to be resolved against the address of the robots.txt; §4.4 wants absolute
    addresses.
    """
    found = (_URL.match(value.strip().removeprefix("<")) for value in values)
    return tuple(dict.fromkeys(match[0] for match in found if match))


def file_rules(body: bytes) -> tuple[Rule, ...]:
    """Rules of an RSL file: the most specific content first, at equal length refusals first.

    Raises `UnreadableSource` where the file is not well-formed, not RSL 1.0, larger than
    `MAX_OCTETS`, or has a document type: no entity is ever expanded or fetched.
    """
    if is_absent(body):
        return ()
    if len(body) > MAX_OCTETS:
        raise _unreadable(f"has more than {MAX_OCTETS} octets")
    xml = body.lstrip(b" \t\r\n")
    skipped = len(_LINE_ENDS.findall(body[: len(body) - len(xml)]))
    reader = _Reader()
    try:
        reader.parse(xml)
    except (expat.ExpatError, LookupError, ValueError):  # the latter two: its encoding is unknown
        raise _unreadable("is not well-formed XML") from None
    return most_specific_first(
        Rule(content.pattern, allow, content.line + skipped)
        for content in reader.contents
        if (allow := content.grants_training()) is not None
    )


@dataclass(slots=True)
class _License:
    permits: set[str] | None = None
    """Usages; ``None`` where none are listed, which permits all (§3.5)."""
    prohibits: set[str] = field(default_factory=set)
    asks: bool = False
    """Whether it asks for something: payment, a kind of user or country, reports, the unknown."""

    def grants_training(self) -> bool:
        understood = self.prohibits <= OTHER_USAGES
        listed = self.permits is None or bool(self.permits & TRAINING)
        return understood and listed and not self.asks


@dataclass(slots=True)
class _Content:
    pattern: str
    line: int
    behind_server: bool
    licenses: list[_License] = field(default_factory=list)

    def grants_training(self) -> bool | None:
        """``None``: no license is given, so nothing is said."""
        if self.behind_server or any(one.prohibits & TRAINING for one in self.licenses):
            return False
        if not self.licenses:
            return None
        return any(one.grants_training() for one in self.licenses)


class _Reader:
    """Collects the contents of a file from the events of expat."""

    def __init__(self) -> None:
        self.contents: list[_Content] = []
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._depth = 0
        self._foreign = 0  # the depth at which an element of no concern began
        self._usages: set[str] | None = None
        self._words: list[str] = []

    def parse(self, xml: bytes) -> None:
        self._parser.Parse(xml, True)

    def _doctype(self, *_: object) -> None:
        raise _unreadable("has a document type declaration")

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._foreign:
            return
        namespace, _, name = qualified.rpartition(" ")
        known = namespace.rstrip("/") in NAMESPACES
        if self._depth == 1:
            if name != "rsl" or not known:
                raise _unreadable("is not an RSL 1.0 file")
        elif not known:  # extensions are ignored with all they hold (§1.2)
            self._foreign = self._depth
        elif self._depth == 2 and name == "content":
            self._content(attributes)
        elif self._depth == 3 and name == "license":
            self.contents[-1].licenses.append(_License())
        elif self._depth == 4:
            self._term(self.contents[-1].licenses[-1], name, attributes)
        elif self._detail(name):
            self._foreign = self._depth
        else:  # §3: not conformant; it may be a refusal in the wrong place
            raise _unreadable("holds an element that RSL 1.0 does not know")

    def _detail(self, name: str) -> bool:
        """Whether an element says nothing of usage: metadata of a content, details of a term."""
        return name in METADATA if self._depth == 3 else self._depth > 4 and self._usages is None

    def _content(self, attributes: dict[str, str]) -> None:
        url = attributes.get("url")
        if url is None:
            raise _unreadable("has a content without url")
        server = attributes.get("server", "").strip()
        encrypted = attributes.get("encrypted", "").strip().lower() == "true"
        line = self._parser.CurrentLineNumber
        self.contents.append(_Content(path_pattern(url), line, bool(server) or encrypted))

    def _term(self, given: _License, name: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "").strip().lower()
        if name in {"permits", "prohibits"} and kind in {"usage", ""}:
            if name == "permits" and given.permits is None:
                given.permits = set()
            self._usages = given.permits if name == "permits" else given.prohibits
            self._words = []
        elif name == "payment":
            given.asks |= kind not in ASKS_FOR_NOTHING
        elif name != "legal":
            given.asks = True

    def _text(self, text: str) -> None:
        if self._usages is not None and not self._foreign:
            self._words.append(text)

    def _end(self, _qualified: str) -> None:
        if self._foreign == self._depth:
            self._foreign = 0
        elif self._depth == 4 and not self._foreign and self._usages is not None:
            self._usages.update(_TOKENS.findall("".join(self._words).lower()))
            self._usages = None
        self._depth -= 1


def _unreadable(why: str) -> UnreadableSource:
    return UnreadableSource(
        f"The RSL file {why}: read it by hand and put what it refuses into the opt-out list."
    )
