"""When and by whom the documents of a corpus were crawled, as far as its columns say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnreadableFile
from pipeline.reconstruct.columns import strings
from pipeline.reconstruct.folder import Folder

_DATES = ("date", "metadata:date", "metadata:WARC-Date")
_DUMPS = ("dump", "metadata:dump")
"""Candidates for a column, in the manner of recipes; the first one that a file has."""
_DAY = r"^(?:19|20)\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:\D|$)"
_COMMON_CRAWL = re.compile(r"CC-MAIN-\d{4}(?:-\d{2,4})?")
"""How Common Crawl calls its crawls: year and week, of the oldest ones years."""
_BATCH = 1 << 14


@dataclass(slots=True)
class Acquired:
    """What the columns of the documents that stayed say."""

    documents: int = 0
    dated: int = 0
    """Documents with a date."""
    first: str | None = None
    """ISO day."""
    last: str | None = None
    crawls: Counter[str] = field(default_factory=Counter)
    """Documents by the crawl of Common Crawl that they are from."""

    @property
    def crawled(self) -> int:
        """Documents that name a crawl."""
        return self.crawls.total()

    def add(self, other: Acquired) -> None:
        """Add what another corpus says."""
        self.documents += other.documents
        self.dated += other.dated
        self._span(other.first, other.last)
        self.crawls.update(other.crawls)

    def _span(self, first: str | None, last: str | None) -> None:
        self.first = min(filter(None, (self.first, first)), default=None)
        self.last = max(filter(None, (self.last, last)), default=None)

    def add_file(self, folder: Folder, name: str) -> None:
        """Add what the data file ``name`` says.

        Raises:
            UnreadableFile: it is missing or damaged.
        """
        try:
            with folder.parquet(name) as parquet:
                schema = parquet.schema_arrow
                date, dump = _first(_DATES, schema), _first(_DUMPS, schema)
                self.documents += parquet.metadata.num_rows
                wanted = sorted({c.partition(":")[0] for c in (date, dump) if c is not None})
                for batch in parquet.iter_batches(_BATCH, columns=wanted) if wanted else ():
                    table = pa.table(batch)
                    self._add_dates(strings(table, date, name, 0))
                    self._add_crawls(strings(table, dump, name, 0))
        except (pa.ArrowInvalid, OSError):
            raise UnreadableFile(
                f"{folder.root}/{name} is damaged: run again, or fetch it again."
            ) from None

    def _add_dates(self, values: pa.Array) -> None:
        days = values.filter(pc.match_substring_regex(values, _DAY), null_selection_behavior="drop")
        days = pc.utf8_slice_codeunits(days, 0, 10)
        self.dated += len(days)
        span = pc.min_max(days).as_py()
        self._span(span["min"], span["max"])

    def _add_crawls(self, values: pa.Array) -> None:
        counts = values.drop_null().value_counts()
        for crawl, number in zip(
            counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True
        ):
            if _COMMON_CRAWL.fullmatch(crawl):
                self.crawls[crawl] += number


def acquired(folder: Folder, names: Sequence[str]) -> Acquired:
    """What the data files of the finished inputs ``names`` say.

    Raises:
        UnreadableFile: one is missing or damaged.
    """
    found = Acquired()
    for name in names:
        found.add_file(folder, f"data/{name}")
    return found


def _first(candidates: Sequence[str], schema: pa.Schema) -> str | None:
    for candidate in candidates:
        holder, _, key = candidate.partition(":")
        if holder in schema.names and _fits(schema.field(holder).type, key):
            return candidate
    return None


def _fits(kind: pa.DataType, key: str) -> bool:
    """Whether a column of this type can hold it: text or a time, or what holds values by key."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return bool(key) and bool(kind.get_field_index(key) >= 0)
    if key:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date(kind)
    )
