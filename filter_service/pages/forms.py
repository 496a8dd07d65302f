"""Forms as they come in: read with a limit, and only from our own pages.

Nobody who is not signed in has any rights that a foreign page could abuse; still a form is refused unless the
browser says that it comes from here (Fetch Metadata, or RFC 6454). Reviewers' forms need a token besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, HTTPException, Request

from filter_service.pages.site import site_of

MOST_OCTETS = 1 << 18
MOST_FIELDS = 400
_TYPE = "application/x-www-form-urlencoded"


class Form:
    """The fields of a form, in their order."""

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self.fields = [(name, value.replace("\r\n", "\n")) for name, value in fields]

    def one(self, name: str) -> str:
        """The first value of a field without blanks around it; empty where there is none."""
        return next((value.strip() for known, value in self.fields if known == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value.strip() for known, value in self.fields if known == name]


def from_here(request: Request, base_url: str) -> bool:
    """Whether a browser says that a request comes from one of our pages."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    if origin is None:
        return False
    return origin in {
        _origin(base_url),
        f"{request.url.scheme}://{request.headers.get('host', '')}",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def sent(request: Request) -> Form:
    """The form that was sent.

    Raises:
        HTTPException: it comes from elsewhere (403), is too large (413), or is no form (400, 415).
    """
    if not from_here(request, site_of(request).settings.base_url):
        raise HTTPException(403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise HTTPException(415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_OCTETS:
            raise HTTPException(413)
    try:
        fields = parse_qsl(
            bytes(body).decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise HTTPException(400) from None
    return Form(fields)


CHECKED = Depends(sent)
"""For forms that say nothing but that a button was pressed."""
Sent = Annotated[Form, CHECKED]
