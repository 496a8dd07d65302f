"""What a server sent where an opt-out file was asked for."""

from __future__ import annotations

import re

from pipeline.optout.robots import RobotsFile

_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<h1", b"<!--")
_BLANK = " \t\n\v\f\r\ufeff\xef\xbb\xbf"
_FIELD = re.compile(
    r"(?:user[- ]?agent|d?is+al+ow|allow|noindex|site-?maps?|crawl[- ]delay|host|clean-param"
    r"|request[- ]rate|visit[- ]time|license|content-usage|content-signal)\s*:",
    re.IGNORECASE,
)
"""What stands before the colon of a line of a robots.txt, also outside of groups."""


def is_robots_txt(body: bytes, parsed: RobotsFile) -> bool:
    """Whether a file without any group is a robots.txt all the same.

    Empty ones are, such as hold comments alone, and such as hold a field that is known. A page, a
    JSON message, a sentence or octets of some other kind that a server sent instead are not.
    """
    if looks_like_html(body):
        return False
    said = [line for raw in parsed.lines if (line := raw.partition("#")[0].strip(_BLANK))]
    return not said or any(map(_FIELD.match, said))


def looks_like_html(body: bytes) -> bool:
    """Whether a page was served where a text file was asked for."""
    head = body[:2048].replace(b"\0", b"").lower()
    head = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return head.startswith(_HTML) or b"<html" in head


def shown_lines(body: bytes) -> list[str]:
    """The lines of a file other than robots.txt, as its line numbers count them."""
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = body.decode("utf-16" if utf16 else "utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
