"""A polite crawler for opt-out files: a list of domains becomes a snapshot in Parquet.

What is asked, how, and what a row means is written in ``docs/fetch.md``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filter.errors import MissingExtra
from pipeline.errors import UnreadableFile
from pipeline.optout.fetch.domains import read_domains
from pipeline.optout.fetch.options import FILES, FetchOptions

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipeline.optout.fetch.addresses import Network
    from pipeline.optout.fetch.journal import Journal
    from pipeline.optout.fetch.snapshot import Row

__all__ = ["FILES", "FetchOptions", "FetchResult", "fetch"]

_DEFAULTS = FetchOptions()


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a finished crawl found."""

    path: Path
    """The snapshot."""
    domains: int
    resumed: int
    """Domains that an earlier, interrupted run had done."""
    rows: int
    truncated: int
    """Files of which only the first ``max_bytes`` octets were kept."""
    by_class: Mapping[str, int]
    """Rows by class of status: ``2xx``, ``3xx``, ``4xx``, ``5xx``, ``unreachable``."""
    by_error: Mapping[str, int]
    """Rows by coded reason."""
    invalid_lines: tuple[int, ...]
    """1-based numbers of the lines of the list that are no host."""


def fetch(
    domains: Iterable[str] | Path,
    out: Path,
    *,
    options: FetchOptions = _DEFAULTS,
    progress: Callable[[int, int], None] | None = None,
    network: Network | None = None,
    tls: ssl.SSLContext | None = None,
) -> FetchResult:
    """Fetch the opt-out files of ``domains`` and write them to ``out``; go on where a run stopped.

    Runs its own event loop. What is found is kept in ``out`` + ``.journal`` until the snapshot is
    complete, so the same call after a kill, a crash or Ctrl-C asks no finished domain again. A
    snapshot that was at ``out`` is replaced at the end. No domain's failure is an exception: it is
    a row.

    Args:
        domains: a UTF-8 file, or lines: one host, ``host:port`` or URL each, ``#`` comments.
        out: the Parquet file; its folder exists.
        options: what to ask and how politely.
        progress: called with the number of domains done and of all domains.
        network: who resolves names and permits addresses; by default the operating system resolves,
            and ``options.allow_private`` decides.
        tls: the certificates to trust; by default those that httpx brings.

    Raises:
        InputError: the list holds no host.
        UnreadableFile: the list or the folder of ``out`` is missing, or the journal is damaged.
        WrongRun: the journal was begun with other options, or another process writes it.
        MissingExtra: httpx or pyarrow is not installed.
        OSError: the disk is full or cannot be written.

    """
    _require_corpus_extra()
    from pipeline.optout.fetch.addresses import SystemNetwork
    from pipeline.optout.fetch.crawl import crawl
    from pipeline.optout.fetch.journal import Journal
    from pipeline.optout.fetch.snapshot import write_snapshot

    if not out.parent.is_dir():
        raise UnreadableFile(f"There is no folder {out.parent}: create it, or name another output.")
    listed = read_domains(domains)
    binding = options.binding()
    with Journal(out.with_name(out.name + ".journal"), binding) as journal:
        resumed = sum(domain in journal for domain in listed.domains)
        used = network or SystemNetwork(options.concurrency, allow_private=options.allow_private)
        try:
            asyncio.run(
                crawl(listed.domains, journal, options, network=used, tls=tls, progress=progress)
            )
        finally:
            if network is None:
                used.close()
        counts = write_snapshot(_in_order(journal, listed.domains), out, binding)
        journal.remove()
    return FetchResult(
        path=out,
        domains=len(listed.domains),
        resumed=resumed,
        rows=counts.rows,
        truncated=counts.truncated,
        by_class=dict(sorted(counts.by_class.items())),
        by_error=dict(sorted(counts.by_error.items())),
        invalid_lines=listed.invalid_lines,
    )


def _in_order(journal: Journal, domains: Iterable[str]) -> Iterator[Row]:
    for domain in sorted(domains):
        yield from journal.rows(domain)


def _require_corpus_extra() -> None:
    try:
        import httpx  # noqa: F401
        import pyarrow as pa  # noqa: F401
    except ImportError:
        raise MissingExtra("Crawling needs httpx and pyarrow: install lethe-llm[corpus].") from None
