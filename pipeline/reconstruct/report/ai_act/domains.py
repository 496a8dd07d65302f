"""The domain names that a corpus comes from, by volume."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.report.tally import Tally

_BATCH = 1 << 16
_SUMS = ("documents", "tokens", "counted")
_WWW = r"^www\.(?P<rest>[^.]+\..+)$"
"""``www.`` before a name that is one without it, too."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of all domain names is listed (template, section 2.3)."""

    percent: int
    most: int | None
    said: str

    def of(self, domains: int) -> int:
        """How many of so many; a fraction counts as one more."""
        share = -(-domains * self.percent // 100)
        return share if self.most is None else min(share, self.most)


TOP = Share(10, None, "the top 10 % of all domain names")
TOP_OF_SMALL = Share(
    5, 1000, "the top 5 % of all domain names or 1,000 of them, whichever is fewer"
)
"""What small and medium-sized providers list."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What one domain name holds of what stayed."""

    name: str
    documents: int
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Domains:
    """The domain names with the largest volume."""

    share: Share
    distinct: int
    """Domain names of which some document stayed."""
    documents: int
    """Documents of all of them."""
    nameless: int
    """Documents that stayed and whose URL names no host, or that have none."""
    listed: tuple[Domain, ...]
    """By documents, then tokens, then name; with everybody who is level with the last."""

    @property
    def covered(self) -> int:
        """Documents of the listed ones."""
        return sum(domain.documents for domain in self.listed)

    def as_csv(self) -> str:
        """The list: rank (that of the first of those with equal volume), name, documents, tokens."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(("rank", "domain", "documents", "tokens"))
        for rank, domain in self.ranked():
            tokens = "" if domain.tokens is None else domain.tokens
            writer.writerow((rank, domain.name, domain.documents, tokens))
        return sink.getvalue()

    def ranked(self) -> Iterator[tuple[int, Domain]]:
        """Every listed one with its rank; equal volumes have equal ranks."""
        rank, last = 0, None
        for position, domain in enumerate(self.listed, 1):
            volume = (domain.documents, domain.tokens)
            if volume != last:
                rank, last = position, volume
            yield rank, domain


def gather(corpora: Sequence[tuple[Folder, Sequence[str]]], share: Share) -> Domains:
    """The domain names of the documents that stayed in all of some corpora.

    A corpus is its folder with the names of its finished files. A domain name is the canonical host of
    the ledger without a leading ``www.``; subdomains count for themselves. Memory grows with the number
    of listed names.

    Raises:
        UnreadableFile: a ledger is missing or damaged.
    """
    nameless = documents = 0
    with Tally(("domain",), _SUMS) as tally:
        for folder, names in corpora:
            for name in names:
                with _ledger(folder, f"ledger/{name}") as batches:
                    for batch in batches:
                        table = _kept(batch)
                        held = table.filter(pc.is_valid(table["domain"]))
                        nameless += table.num_rows - held.num_rows
                        documents += held.num_rows
                        tally.add(held)
        top = tally.leading(share.of, ("documents", "tokens"))
    listed = (
        Domain(row["domain"], row["documents"], row["tokens"] if row["counted"] else None)
        for row in top.rows
    )
    return Domains(share, top.positive, documents, nameless, tuple(listed))


@contextmanager
def _ledger(folder: Folder, name: str) -> Iterator[Iterator[pa.RecordBatch]]:
    try:
        with folder.parquet(name) as parquet:
            yield parquet.iter_batches(_BATCH, columns=["host", "tokens", "verdict"])
    except (pa.ArrowInvalid, OSError):
        raise UnreadableFile(
            f"{folder.root}/{name} is damaged: run again, or fetch it again."
        ) from None


def _kept(batch: pa.RecordBatch) -> pa.Table:
    stays = pc.equal(pc.cast(batch.column("verdict"), pa.string()), "keep")
    host, tokens = (batch.column(c).filter(stays) for c in ("host", "tokens"))
    bare = pc.struct_field(pc.extract_regex(host, pattern=_WWW), "rest")
    return pa.table(
        {
            "domain": pc.coalesce(bare, host),
            "documents": pa.repeat(pa.scalar(1, pa.int64()), len(host)),
            "tokens": pc.fill_null(tokens, 0),
            "counted": pc.cast(pc.is_valid(tokens), pa.int64()),
        }
    )
