"""The opt-out list: JSON Lines that carry requested opt-outs from the registry to the pipeline.

One object a line, format 1::

    {"scope": "url_prefix", "value": "https://example.org/blog/", "effective": "2026-07-01",
     "withdrawn": null, "origin": "registry", "request_id": "7f0c..."}

`Scope` says what a value is. ``effective`` and ``withdrawn`` (optional) are dates, or RFC 3339
times, of which the day in UTC counts. ``origin`` and ``request_id`` lead back to the request; no
name of a person belongs into this file, and no message here repeats what stands in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from filter.errors import InputError
from filter.hosts import Host, canonical_host
from filter.urls import split_url
from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Scope(StrEnum):
    """What an opt-out covers."""

    DOMAIN = "domain"
    """Exactly this host; not ``www.`` before it, not what lies below it."""
    SUBDOMAINS = "subdomains"
    """This host and every host below it."""
    URL_PREFIX = "url_prefix"
    """Every address that begins so, whatever its scheme: ``/a`` covers ``/a/b`` and ``/ab``."""
    URL = "url"
    """Exactly this page, query included, whatever its scheme."""
    DOCUMENT_ID = "document_id"
    """The document with this id, in every data set."""
    DATASET = "dataset"
    """All documents of the data set with this name."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """One line of the list."""

    scope: Scope
    value: str
    effective: date
    withdrawn: date | None
    origin: str
    request_id: str
    line: int
    """1-based."""
    sha256: str
    """Of the line's octets, white space around it left out. Not of the list: one that grows says of the
    others what it said before."""


REQUIRED = ("scope", "value", "effective", "origin", "request_id")
OPTIONAL = ("withdrawn",)
MAX_CHARACTERS = 1 << 16
"""Of a line; an address longer than this is not one."""

_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2}))?"
)
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\s|\s\Z")
"""Control characters, line separators, half characters, white space at the edges."""


def read(lines: Iterable[str], *, name: str) -> Iterator[OptOut]:
    """The entries of a list; ``name`` is the file's, for messages. Empty lines are skipped.

    Raises `UnreadableSource` at the first line that is not in the format, with its number.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _entry(line, number, _Place(name, number))


def in_force(entry: OptOut, as_of: date) -> bool:
    """Whether ``entry`` holds on a day: since it took effect, and no more once it is withdrawn."""
    return entry.effective <= as_of and (entry.withdrawn is None or as_of < entry.withdrawn)


def target(entry: OptOut) -> tuple[Host, Rule] | None:
    """Host and rule of an entry about a host or an address, ``None`` for the other scopes.

    For ``subdomains`` the rule holds for the host and every host below it. The path is in the form
    of `filter.urls.comparable_path`, in which ``*`` and ``$`` are escaped in rules and in the
    addresses of documents alike, so that they match literally. Rules know no port: an address with
    one covers the path on every port of its host.
    """
    if entry.scope in {Scope.DOMAIN, Scope.SUBDOMAINS}:
        return canonical_host(entry.value), Rule("/", allow=False, line=entry.line)
    if entry.scope in {Scope.URL_PREFIX, Scope.URL}:
        url = split_url(entry.value)
        anchor = "$" if entry.scope is Scope.URL else ""
        return url.host, Rule(url.path + anchor, allow=False, line=entry.line)
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    line: int

    def fail(self, what: str) -> NoReturn:
        # Whatever is being handled may hold the line itself.
        raise UnreadableSource(f"{self.name}, line {self.line}: {what}.") from None


def _entry(line: str, number: int, place: _Place) -> OptOut:
    given = _object(line, place)
    scope = given["scope"]
    if scope not in set(Scope):
        place.fail(f"the scope is unknown, give one of {', '.join(Scope)}")
    entry = OptOut(
        scope=Scope(scope),
        value=given["value"],
        effective=_day(given["effective"], "effective", place),
        withdrawn=_day(given["withdrawn"], "withdrawn", place) if "withdrawn" in given else None,
        origin=given["origin"],
        request_id=given["request_id"],
        line=number,
        sha256=hashlib.sha256(line.strip().encode()).hexdigest(),
    )
    _check_value(entry, place)
    return entry


def _object(line: str, place: _Place) -> dict[str, str]:
    """The fields of a line, checked but for their meaning; ``withdrawn`` only where it is given."""
    if len(line) > MAX_CHARACTERS:
        place.fail(f"it has more than {MAX_CHARACTERS} characters, write one entry a line")
    try:
        pairs = json.loads(line, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        place.fail("it is not JSON, write one JSON object a line")
    if not line.lstrip().startswith("{"):
        place.fail("it is not an object, write one JSON object a line")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        place.fail("a field stands there twice, keep one of them")
    if not set(fields) <= {*REQUIRED, *OPTIONAL}:
        place.fail(f"a field is unknown, keep only {', '.join((*REQUIRED, *OPTIONAL))}")
    if fields.get("withdrawn", "") is None:
        del fields["withdrawn"]
    for key in REQUIRED:
        if key not in fields:
            place.fail(f"{key} is missing, add it")
    for key, value in fields.items():
        if not isinstance(value, str) or not value:
            place.fail(f"{key} is not a text or is empty, give a non-empty string")
        if _UNFIT.search(value):
            place.fail(f"{key} has control characters or white space at an edge, remove them")
    return fields


def _day(text: str, key: str, place: _Place) -> date:
    wanted = f"{key} is no date, write it as 2026-07-01 or 2026-07-01T12:00:00Z"
    if not _DATE.fullmatch(text):
        place.fail(wanted)
    try:
        if len(text) == len("2026-07-01"):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text.upper()).astimezone(UTC).date()
    except (ValueError, OverflowError):
        place.fail(wanted)


def _check_value(entry: OptOut, place: _Place) -> None:
    if entry.scope in {Scope.DOMAIN, Scope.SUBDOMAINS}:
        _check_host(entry, place)
    elif entry.scope in {Scope.URL_PREFIX, Scope.URL}:
        try:
            split_url(entry.value)
        except InputError:
            place.fail(f"the value is no address, give scope {entry.scope} one with a host")
        if entry.scope is Scope.URL_PREFIX and entry.value.endswith("*"):
            place.fail("the value ends in a wildcard, leave it away: a prefix needs none")


def _check_host(entry: OptOut, place: _Place) -> None:
    value = entry.value
    has_port = ":" in (value.rpartition("]")[2] if value.startswith("[") else value)
    if has_port or set(value) & set("/\\?#@*"):
        place.fail(
            f"the value is more than a host, give scope {entry.scope} a bare host like "
            "example.org, or use scope url_prefix"
        )
    try:
        host = canonical_host(value)
    except InputError:
        place.fail(f"the value is no host, give scope {entry.scope} one like example.org")
    if entry.scope is Scope.SUBDOMAINS and "." not in host and ":" not in host:
        place.fail("the value is a whole top-level domain, give scope subdomains a host below one")
