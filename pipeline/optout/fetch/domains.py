"""The list of domains: one host, ``host:port`` or URL a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filter.errors import InputError, MalformedHost, MalformedUrl
from filter.urls import split_url
from pipeline.errors import UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_LINE = 1 << 14
"""Characters of a line: no host is longer, and no URL that anybody lists."""


class DomainList(NamedTuple):
    """What a list of domains holds."""

    domains: tuple[str, ...]
    """Canonical, each once, in the order of their first line; ``host:port`` where one is given."""
    invalid_lines: tuple[int, ...]
    """1-based numbers of the lines that are no host."""


def read_domains(source: Iterable[str] | Path) -> DomainList:
    """Read the domains in a UTF-8 file, or in lines that are already text.

    Blank lines and everything from ``#`` on are skipped. The default ports 80 and 443 are no part
    of a domain; both schemes are tried anyway.

    Raises:
        UnreadableFile: there is no such file.
        InputError: no line names a domain.

    """
    if isinstance(source, str):
        raise InputError("Give the domains as a list, or the file that holds them as a Path.")
    domains: dict[str, None] = {}
    invalid: list[int] = []
    for number, line in enumerate(_lines(source), 1):
        text = None if line is None else line.partition("#")[0].strip()
        if text == "":
            continue
        domain = None if text is None else _domain(text)
        if domain is None:
            invalid.append(number)
        else:
            domains[domain] = None
    if not domains:
        what = "only lines that are no host" if invalid else "no line with a host"
        raise InputError(f"The list of domains holds {what}: write one host a line.")
    return DomainList(tuple(domains), tuple(invalid))


def _lines(source: Iterable[str] | Path) -> Iterator[str | None]:
    """The lines; ``None`` for one that is not UTF-8."""
    if not isinstance(source, Path):
        yield from source
        return
    try:
        with source.open("rb") as file:
            for number, raw in enumerate(file):
                try:
                    yield raw.decode("utf-8" if number else "utf-8-sig")
                except UnicodeDecodeError:
                    yield None
    except OSError:
        raise UnreadableFile(
            f"{source} cannot be read: give a text file with one host a line."
        ) from None


def _domain(text: str) -> str | None:
    if len(text) > _MAX_LINE:
        return None
    try:
        host, port, _ = split_url(text)
    except (MalformedHost, MalformedUrl):
        return None
    return host if port is None else f"{host}:{port}"
