"""Many domains at a time: workers, the journal's heartbeat, and the end of both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.optout.fetch.client import Client
from pipeline.optout.fetch.limits import HostGate
from pipeline.optout.fetch.visit import SharedFiles, visit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.optout.fetch.addresses import Network
    from pipeline.optout.fetch.journal import Journal
    from pipeline.optout.fetch.options import FetchOptions

_VISITS_PER_CONNECTION = 8
"""A domain spends most of its visit waiting for the delay, without a connection."""
_SYNC_EVERY_S = 0.5


async def crawl(
    domains: Sequence[str],
    journal: Journal,
    options: FetchOptions,
    *,
    network: Network,
    tls: ssl.SSLContext | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Visit every domain that is not in ``journal`` and add it there.

    ``progress`` is called with the number of domains done and of all domains.

    Raises:
        OSError: the journal cannot be written.

    """
    todo = [domain for domain in domains if domain not in journal]
    done = len(domains) - len(todo)
    client = Client(options, HostGate(options.delay_s), network, tls)
    shared = SharedFiles(client)
    if progress:
        progress(done, len(domains))

    async def work(rest: Iterator[str]) -> None:
        nonlocal done
        for domain in rest:
            journal.add(domain, await visit(domain, client, shared, options))
            done += 1
            if progress:
                progress(done, len(domains))

    rest = iter(todo)
    try:
        async with asyncio.TaskGroup() as beside:
            heartbeat = beside.create_task(_sync_often(journal))
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(len(todo), options.concurrency * _VISITS_PER_CONNECTION)):
                        workers.create_task(work(rest))
            finally:
                heartbeat.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def _sync_often(journal: Journal) -> None:
    while True:
        await asyncio.sleep(_SYNC_EVERY_S)
        await asyncio.to_thread(journal.sync)


def _first(error: BaseException) -> BaseException:
    """What really happened: the task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
