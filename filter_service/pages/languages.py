"""Paths: their language, which is their first part or what the browser asks for, and their secrets."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

from filter_service.model import LANGUAGES

PLACES = (
    "request",
    "rightsholders",
    "status",
    "releases",
    "operators",
    "figures",
    "privacy",
    "code",
)
"""Pages that everybody may begin with."""
DEFAULT = "de"
"""For browsers that ask for none of ours."""


class _Language(Convertor[str]):
    regex = "|".join(LANGUAGES)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Secret(_Language):
    regex = "[0-9a-f]{32}"


class _Place(_Language):
    regex = "|".join(PLACES)


# Whatever else stands in such a place belongs to no route, and gets the page of any unknown path.
register_url_convertor("language", _Language())
register_url_convertor("secret", _Secret())
register_url_convertor("place", _Place())


def preferred(accept_language: str) -> str:
    """The best of our languages for an ``Accept-Language`` header (RFC 9110, section 12.5.4).

    Lookup as in RFC 4647, section 3.4: ``de-CH`` is content with ``de``. Of equal weights the first one
    wins; what cannot be read is passed over.
    """
    best, most = DEFAULT, 0.0
    for part in accept_language[:1000].split(","):
        tag, _, parameter = part.strip().partition(";")
        name, found, weight = parameter.strip().partition("=")
        try:
            quality = float(weight) if found and name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES and most < quality <= 1:
            best, most = language, quality
    return best


def of_path(path: str) -> tuple[str, str] | None:
    """The language of a path and what follows it, if it has one."""
    _, first, *rest = [*path.split("/", 2), ""][:3]
    if first not in LANGUAGES:
        return None
    return first, "/" + (rest[0] if rest else "")
