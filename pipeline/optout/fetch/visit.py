"""One domain: which addresses are asked, in which order, and what becomes a row."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.optout.fetch.options import AI_TXT, FILES, ROBOTS, RSL, TDMREP
from pipeline.optout.fetch.snapshot import Row
from pipeline.optout.fetch.target import BadUrl, Target
from pipeline.optout.robots import rfc9309

if TYPE_CHECKING:
    from pipeline.optout.fetch.client import Answer, Client
    from pipeline.optout.fetch.options import FetchOptions

PLACES = {
    ROBOTS: ("/robots.txt",),  # RFC 9309, section 2.3
    TDMREP: ("/.well-known/tdmrep.json",),  # TDM Reservation Protocol, section 6.1
    AI_TXT: ("/ai.txt", "/.well-known/ai.txt"),
}
LICENSES = 3
"""License files asked for on behalf of one domain."""
_CONSIDERED = 32
"""``License`` lines looked at: a hostile file spells one address in a hundred thousand ways."""
_REMEMBERED = 256
_HOPELESS = frozenset({"dns", "private-address", "bad-url"})
"""Failures that the other scheme would share."""


class SharedFiles:
    """Licence files that many domains name (a collective's, say) are asked for once a crawl.

    The last few hundred are remembered, with requests under way among them.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[str, asyncio.Task[Answer]] = {}

    async def get(self, url: str) -> Answer:
        """The answer of ``url``, perhaps one given before."""
        task = self._asked.pop(url, None)
        if task is None:
            task = asyncio.create_task(self._client.get(url, foreign=True))
        self._asked[url] = task
        oldest = next(iter(self._asked))
        if len(self._asked) > _REMEMBERED and self._asked[oldest].done():
            del self._asked[oldest]
        return await asyncio.shield(task)


async def visit(
    domain: str, client: Client, shared: SharedFiles, options: FetchOptions
) -> list[Row]:
    """Everything a snapshot says of ``domain``, sorted by file and address.

    The domain's own files first; where the first request finds no host at all, the others are not
    asked and share its failure.
    """
    schemes = ["https", "http"] if options.https_first else ["http", "https"]
    found: dict[tuple[str, str], Answer] = {}
    down: Answer | None = None
    for file in FILES:
        if file not in options.files or file == RSL:
            continue
        for place in PLACES[file]:
            if down is None:
                answer = await _ask(domain, place, client, schemes)
                down = None if answer.reached else answer
            else:
                url = f"{down.url.partition('://')[0]}://{domain}{place}"
                answer = down._replace(url=url, final_url=url)
            if not _missing(answer):
                break
        found[file, answer.url] = answer
        if file == ROBOTS and RSL in options.files:
            for url in _license_urls(answer):
                found[RSL, url] = await shared.get(url)
    return [_row(domain, file, url, answer) for (file, url), answer in sorted(found.items())]


def _row(domain: str, file: str, url: str, answer: Answer) -> Row:
    return Row(
        domain=domain,
        file=file,
        url=url,
        final_url=answer.final_url,
        content=answer.content,
        status=answer.status,
        fetched_at=answer.fetched_at,
        truncated=answer.truncated,
        content_type=answer.content_type,
        redirects=answer.redirects,
        error=answer.error,
    )


async def _ask(domain: str, place: str, client: Client, schemes: list[str]) -> Answer:
    """Ask the schemes in turn until one connects; that one is the only one from then on."""
    first: Answer | None = None
    for scheme in tuple(schemes):
        answer = await client.get(f"{scheme}://{domain}{place}")
        if answer.reached:
            schemes[:] = [scheme]
            return answer
        first = first or answer
        if answer.error in _HOPELESS:
            break
    assert first is not None
    return first


def _missing(answer: Answer) -> bool:
    """Whether the file does not exist there (RFC 9309, 2.3.1.3), which a 429 does not say."""
    return 400 <= answer.status < 500 and answer.status != 429


def _license_urls(robots: Answer) -> list[str]:
    """Addresses of the first distinct licence files that a robots.txt names (RSL 1.0)."""
    if robots.content is None or b"license" not in robots.content.replace(b"\0", b"").lower():
        return []
    base = Target.parse(robots.final_url)
    urls: dict[str, None] = {}
    named = dict.fromkeys(filter(None, rfc9309.parse(robots.content).licenses))
    for value in islice(named, _CONSIDERED):
        try:
            urls[str(Target.parse(value, base))] = None
        except BadUrl:
            urls[value[:256]] = None
        if len(urls) == LICENSES:
            break
    return list(urls)
