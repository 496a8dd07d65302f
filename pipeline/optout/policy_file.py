"""The compiled policy as a file: one Parquet table of sources, its header in the schema metadata.

A row is one *source*: one signal of one distinct file body, with every host it speaks for and its
rules in order of precedence, grouped by the agents that obey them. The table can be queried with any
Parquet reader::

    SELECT h.host, s.signal, s.sha256 FROM 'policy.parquet' s, UNNEST(s.hosts) AS t(h)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFile, WrongVersion

FORMAT = 1
_KEY = b"lethe.optout.policy"
GROUP = 1 << 13
"""Sources in a row group. Larger ones are read at half the speed, because they outgrow the caches."""
_SAYS_NOTHING = frozenset({"version", "counts", "as_of", "agent_set"})
"""Fields of the header by which no verdict changes."""

HOST = pa.struct(
    [
        pa.field("host", pa.string(), nullable=False),
        pa.field("subdomains", pa.bool_(), nullable=False),
        pa.field("date", pa.string()),
    ]
)
RULE = pa.struct(
    [
        pa.field("pattern", pa.string(), nullable=False),
        pa.field("allow", pa.bool_(), nullable=False),
        pa.field("line", pa.int32(), nullable=False),
        pa.field("text", pa.string()),
    ]
)
RULESET = pa.struct(
    [
        pa.field("agents", pa.int64(), nullable=False),
        pa.field("rules", pa.list_(RULE), nullable=False),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("signal", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("hosts", pa.list_(HOST), nullable=False),
        pa.field("rulesets", pa.list_(RULESET), nullable=False),
        # What `pipeline.optout.sieve` needs to pass over what these rules cannot refuse.
        pa.field("second", pa.uint64(), nullable=False),
        pa.field("third", pa.uint64(), nullable=False),
        pa.field("needs", pa.uint8(), nullable=False),
    ]
)


@dataclass(slots=True)
class Header:
    """What holds for the whole policy."""

    spec: dict[str, Any]
    agents: tuple[str, ...]
    agent_set: str
    as_of: str
    counts: dict[str, int] = field(default_factory=dict)
    """What was read and what could not be: by coded reason."""
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Opted-out document ids -> rule, line, date, file and sha256 of the entry."""
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Opted-out data sets -> the same."""
    tags: dict[str, Any] | None = None
    """The side file with compliance tags: name, rows, digest of what it holds, SHA-256."""
    version: str = ""
    """Digest over everything above and all sources: two policies that decide alike are equal in it."""


def write(path: Path, header: Header, sources: pa.Table) -> Header:
    """Write a policy, whole or not at all; returns the header with its version filled in."""
    from pipeline.atomic import replacing

    header.version = _version(header, sources)
    text = json.dumps({"format": FORMAT, **_plain(header)}, sort_keys=True, ensure_ascii=False)
    table = sources.replace_schema_metadata({_KEY: text.encode()})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=GROUP)
    return header


class PolicyFile:
    """A compiled policy, of which only what is asked for is read."""

    def __init__(self, path: Path) -> None:
        """Open the policy at ``path``.

        Raises:
            UnreadableFile: missing, cut off, or not a policy.
            WrongVersion: written in another format.
        """
        self.path = path
        with self._readable():
            # Not read_table: that loads pyarrow's dataset module, which takes longer than the policy.
            self._file = pq.ParquetFile(path, memory_map=True)
        schema = self._file.schema_arrow
        self.header = header_of(schema.metadata or {}, path)
        if not schema.equals(SCHEMA):
            raise _of_another_version(path)

    def __reduce__(self) -> tuple[object, ...]:
        return PolicyFile, (self.path,)

    def sources(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Its sources in their order: of some row groups, or of all; some columns, or all.

        Raises:
            UnreadableFile: damaged.
        """
        with self._readable():
            if groups is None:
                return self._file.read(columns, use_threads=False)
            return self._file.read_row_groups(groups, columns, use_threads=False)

    def group_rows(self) -> list[int]:
        """How many sources each row group has."""
        metadata = self._file.metadata
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    def group_octets(self) -> list[tuple[object, pa.Buffer]]:
        """What each row group consists of: how it is written, and its octets, which are mapped.

        Raises:
            UnreadableFile: cut off.
        """
        metadata = self._file.metadata
        found: list[tuple[object, pa.Buffer]] = []
        with self._readable(), pa.memory_map(str(self.path)) as octets:
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                columns = [group.column(n) for n in range(group.num_columns)]
                parts = tuple((c.compression, c.total_compressed_size) for c in columns)
                octets.seek(columns[0].dictionary_page_offset or columns[0].data_page_offset)
                content = octets.read_buffer(sum(size for _, size in parts))
                found.append(((group.num_rows, parts), content))
        return found

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise _missing(self.path) from None
        except (pa.ArrowInvalid, OSError):
            raise _cut_off(self.path) from None


def read(path: Path) -> tuple[Header, pa.Table]:
    """Read a policy.

    Raises:
        UnreadableFile: missing, truncated, or not a policy.
        WrongVersion: written in another format.
    """
    policy = PolicyFile(path)
    return policy.header, policy.sources()


def read_header(path: Path) -> Header:
    """The header of a policy, without its sources.

    Raises:
        UnreadableFile: missing, truncated, or not a policy.
        WrongVersion: written in another format.
    """
    return PolicyFile(path).header


def header_of(metadata: dict[bytes, bytes], path: Path) -> Header:
    """The header out of the schema metadata of what was read from ``path``.

    Raises:
        UnreadableFile: there is none, or it is damaged.
        WrongVersion: written in another format.
    """
    text = metadata.get(_KEY)
    if text is None:
        raise UnreadableFile(
            f"{path} is a Parquet file but not a compiled policy: give the output of "
            "`lethe optout compile`, not the snapshot it was made from."
        )
    try:
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise _of_another_version(path)
        return Header(**{**fields, "agents": tuple(fields["agents"])})
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableFile(
            f"The header of {path} is damaged: make it again with `lethe optout compile`."
        ) from None


def _missing(path: Path) -> UnreadableFile:
    return UnreadableFile(f"There is no policy at {path}: make one with `lethe optout compile`.")


def _cut_off(path: Path) -> UnreadableFile:
    return UnreadableFile(
        f"{path} is not a Parquet file or is cut off: make it again with `lethe optout compile`."
    )


def _of_another_version(path: Path) -> WrongVersion:
    return WrongVersion(
        f"{path} was compiled by another version of Lethe: compile the policy again."
    )


def _plain(header: Header) -> dict[str, Any]:
    return {name: getattr(header, name) for name in Header.__slots__}


def _version(header: Header, sources: pa.Table) -> str:
    """A digest of what decides: the header without dates, counts and names, and all sources."""
    digest = hashlib.sha256()
    decisive = {k: v for k, v in _plain(header).items() if k not in _SAYS_NOTHING}
    if header.tags is not None:
        decisive["tags"] = header.tags["content"]
    digest.update(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode())
    for batch in sources.combine_chunks().to_batches():
        for column in batch.columns:
            digest.update(_content(column))
    return digest.hexdigest()[:16]


def _content(column: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("c", column.type)])) as stream:
        stream.write_batch(pa.record_batch([column], names=["c"]))
    return bytes(sink.getvalue())
