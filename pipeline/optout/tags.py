"""Compliance tags: document ids with the agents that disallowed them, as Apertus published them.

There can be hundreds of millions, so they are not held in memory: a side file next to the policy
keeps a 64-bit key and the agents' bits of each refused id, sorted by key, and is memory-mapped; all
workers of a machine share its pages. The key of ``<urn:uuid:...>`` ids mixes the two halves of the
UUID, of any other id it is the first eight octets of its BLAKE2b digest. Two ids with one key would
make the tag of one speak for the other: among 10^9 tags and 10^9 documents that happens 0.05 times,
and it can only drop a document, never keep one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.errors import UnreadableFile, WrongColumns, WrongVersion

Keys = npt.NDArray[np.uint64]
Masks = npt.NDArray[np.int64]

_SCHEMA = pa.schema([pa.field("key", pa.uint64()), pa.field("agents", pa.int64())])
_CONTENT = b"lethe.optout.tags"
"""Key of the schema metadata under which a side file bears the digest of what it holds."""
_BUCKETS = 64
_BATCH = 1 << 16
_URN = "<urn:uuid:"
_URN_LENGTH = 47
_DASHES = (18, 23, 28, 33)
_HEX_AT = np.array([i for i in range(10, 46) if i not in _DASHES], dtype=np.int64)
_HEX_VALUE = np.full(256, 255, dtype=np.uint8)
for _i, _c in enumerate(b"0123456789abcdef"):
    _HEX_VALUE[_c] = _i
# Odd numbers, so that multiplying by one of them loses nothing (2^64 / golden ratio, and two primes).
_HIGH, _LOW, _LAST = map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


@dataclass(frozen=True, slots=True)
class Shards:
    """A compiled side file."""

    path: Path
    rows: int
    """Refused ids."""
    left_out: int
    """Rows of the source that refuse nothing: no id, or no agent of the policy."""
    content: str
    """Digest of keys and agents, which the file bears itself."""
    sha256: str

    def described(self) -> dict[str, Any]:
        """What the policy remembers of it."""
        return {
            "file": self.path.name,
            "rows": self.rows,
            "content": self.content,
            "sha256": self.sha256,
        }


def side_file(policy: Path) -> Path:
    """Where the tags of the policy at ``policy`` live."""
    return policy.with_suffix(".tags.arrow")


def keys_of(ids: pa.Array | pa.ChunkedArray) -> Keys:
    """The 64-bit key of every id (text without nulls), in order."""
    # As octets: an id that is not UTF-8 is an id all the same.
    ids = pc.cast(pc.cast(ids, pa.large_string()), pa.large_binary())
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    keys = np.zeros(len(ids), dtype=np.uint64)
    if not len(ids):
        return keys
    urn = pc.and_(pc.equal(pc.binary_length(ids), _URN_LENGTH), pc.starts_with(ids, _URN)).to_numpy(
        zero_copy_only=False
    )
    if urn.any():
        some = ids.filter(pa.array(urn))
        data = np.frombuffer(some.buffers()[2], dtype=np.uint8)
        start = int(np.frombuffer(some.buffers()[1], dtype=np.int64)[some.offset])
        table = data[start : start + len(some) * _URN_LENGTH].reshape(-1, _URN_LENGTH)
        digits = _HEX_VALUE[table[:, _HEX_AT]]
        # Upper-case or broken UUIDs take the general way, where every spelling is its own id.
        well_formed = (
            (digits < 16).all(axis=1)
            & (table[:, list(_DASHES)] == ord("-")).all(axis=1)
            & (table[:, -1] == ord(">"))
        )
        where = np.flatnonzero(urn)
        keys[where[well_formed]] = _uuid_keys(digits[well_formed])
        urn[where[~well_formed]] = False
    for i in np.flatnonzero(~urn):
        digest = hashlib.blake2b(ids[int(i)].as_py(), digest_size=8).digest()
        keys[i] = int.from_bytes(digest, "big")
    return keys


def _uuid_keys(digits: npt.NDArray[np.uint8]) -> Keys:
    """Keys of UUIDs given as rows of 32 hexadecimal digits.

    Not the halves' sum or difference, of which made-up ids (``1111...``) have many in common.
    """
    high, low = (np.zeros(len(digits), dtype=np.uint64) for _ in range(2))
    for column in range(16):
        high = (high << np.uint64(4)) | digits[:, column]
        low = (low << np.uint64(4)) | digits[:, column + 16]
    mixed = high * _HIGH + low * _LOW
    keys: Keys = (mixed ^ (mixed >> np.uint64(32))) * _LAST
    return keys


def compile_tags(source: Path, out: Path, agents: tuple[str, ...]) -> Shards:
    """Sort the tags at ``source`` (a Parquet file or a folder of them) into the side file ``out``.

    Columns: ``id`` (text) and ``agents``, ``user_agents`` or ``disallowed_agents`` (list of text).
    An id is refused where one of its agents is one of ``agents``, in whatever case (RFC 9309, 2.2.1);
    the others are left out. Memory holds one batch, then one of 64 buckets.

    Raises:
        UnreadableFile: missing, truncated or not Parquet.
        WrongColumns: the columns are not there or of another type.
    """
    files = _parquet_files(source)
    bit: dict[str, int] = {}
    for i, agent in enumerate(agents):
        bit[agent.lower()] = bit.get(agent.lower(), 0) | 1 << i
    seen = 0
    refused = 0
    with tempfile.TemporaryDirectory(prefix=".tags-", dir=_made(out.parent)) as folder:
        buckets = [Path(folder) / f"{i:02d}" for i in range(_BUCKETS)]
        handles = [b.open("wb") for b in buckets]
        try:
            for file in files:
                for count, keys, masks in _refused(file, bit):
                    seen += count
                    refused += len(keys)
                    pairs = np.stack([keys, masks.view(np.uint64)], axis=1)
                    bucket = (keys >> np.uint64(58)).astype(np.int64)
                    for b in np.unique(bucket):
                        handles[b].write(pairs[bucket == b].tobytes())
        finally:
            for handle in handles:
                handle.close()
        rows, content = _sorted(buckets)
        with (
            replacing(out) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, _SCHEMA.with_metadata({_CONTENT: content})) as writer,
        ):
            for b in buckets:
                pairs = np.fromfile(b, dtype=np.uint64).reshape(-1, 2)
                columns = (pairs[:, 0], pairs[:, 1].view(np.int64))
                arrays = [pa.array(np.ascontiguousarray(c)) for c in columns]
                writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
    return Shards(out, rows, seen - refused, content, _digest(out))


class TagIndex:
    """Looks ids up in a side file that stays on the disk."""

    def __init__(self, path: Path, expected: dict[str, Any]) -> None:
        """Open the side file at ``path``.

        Raises:
            UnreadableFile: it is missing or not a side file.
            WrongVersion: it is not the one that the policy was compiled with.
        """
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except FileNotFoundError:
            raise UnreadableFile(
                f"The policy needs its tags in {path}: keep the two files in one folder."
            ) from None
        except (pa.ArrowException, OSError):
            raise UnreadableFile(
                f"The tags in {path} are damaged or cut off: compile the policy again."
            ) from None
        content = (reader.schema.metadata or {}).get(_CONTENT, b"").decode()
        if content != expected["content"] or len(batches) != _BUCKETS:
            raise WrongVersion(f"{path} belongs to another policy: compile the policy again.")
        self._shards: list[tuple[Keys, Masks]] = [
            (b.column(0).to_numpy(), b.column(1).to_numpy()) for b in batches
        ]

    def pairs(self) -> list[tuple[Keys, Masks]]:
        """All keys with their agents' bits, in ranges of ascending keys."""
        return self._shards

    def masks(self, ids: pa.Array) -> Masks:
        """For every id the bits of the agents that its tag names, 0 where it has none."""
        keys = keys_of(ids)
        masks = np.zeros(len(keys), dtype=np.int64)
        bucket = (keys >> np.uint64(58)).astype(np.int64)
        for b in np.unique(bucket):
            known, agents = self._shards[b]
            if not len(known):
                continue
            rows = np.flatnonzero(bucket == b)
            at = np.searchsorted(known, keys[rows])
            at[at == len(known)] = 0
            hit = known[at] == keys[rows]
            masks[rows[hit]] = agents[at[hit]]
        return masks


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sorted(buckets: list[Path]) -> tuple[int, str]:
    """Sort every bucket in place, one row a key; the number of rows, and the digest of them all."""
    rows = 0
    digest = hashlib.sha256()
    for b in buckets:
        pairs = _merged(np.fromfile(b, dtype=np.uint64).reshape(-1, 2))
        rows += len(pairs)
        octets = pairs.tobytes()
        digest.update(octets)
        b.write_bytes(octets)
    return rows, digest.hexdigest()


def _merged(pairs: Keys) -> Keys:
    """Pairs sorted by key, the bits of one key joined."""
    if not len(pairs):
        return pairs
    order = np.argsort(pairs[:, 0], kind="stable")
    keys, masks = pairs[order, 0], pairs[order, 1]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    merged: Keys = np.stack([keys[first], np.bitwise_or.reduceat(masks, first)], axis=1)
    return merged


def _parquet_files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(p for p in source.rglob("*.parquet") if p.is_file())
    else:
        files = [source] if source.exists() else []
    if not files:
        raise UnreadableFile(
            f"There are no compliance tags at {source}: give a Parquet file or folder."
        )
    return files


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError):
        raise UnreadableFile(
            f"{path} is not a Parquet file or is damaged or cut off: get the tags again."
        ) from None


def _refused(file: Path, bit: dict[str, int]) -> Iterator[tuple[int, Keys, Masks]]:
    """Rows read, and keys and bits of the ids among them that are refused."""
    with _opened(file) as parquet:
        column = _agents_column(file, parquet.schema_arrow)
        for batch in parquet.iter_batches(_BATCH, columns=["id", column], use_threads=False):
            lists = batch[column]
            counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
            owners = np.repeat(np.arange(batch.num_rows), counts)
            names = pc.cast(pc.list_flatten(lists), pa.string()).dictionary_encode()
            known = [bit.get((a or "").lower(), 0) for a in names.dictionary.to_pylist()]
            bits = np.array([*known, 0], np.int64)  # the last one for agents that are null
            codes = pc.fill_null(names.indices, len(known)).to_numpy(zero_copy_only=False)
            masks = np.zeros(batch.num_rows, dtype=np.int64)
            np.bitwise_or.at(masks, owners, bits[codes])
            ids = pc.cast(batch["id"], pa.large_string())
            # An empty id names no document, and documents without an id are looked up by it.
            named = pc.fill_null(pc.greater(pc.binary_length(ids), 0), False)
            keep = (masks != 0) & named.to_numpy(zero_copy_only=False)
            yield batch.num_rows, keys_of(ids.filter(pa.array(keep))), masks[keep]


def _agents_column(file: Path, schema: pa.Schema) -> str:
    """The column with the agents."""
    names = schema.names
    column = next((c for c in ("agents", "user_agents", "disallowed_agents") if c in names), None)
    if "id" not in names or column is None:
        raise WrongColumns(
            f"{file} has no compliance tags: it needs the columns id and agents "
            f"(found: {', '.join(map(repr, names)) or 'none'})."
        )
    for name in ("id", column):
        if names.count(name) > 1:
            raise WrongColumns(f"Column {name!r} stands twice in {file}: keep one of them.")
    if not _is_text(schema.field("id").type):
        raise WrongColumns(f"Column 'id' of {file} must hold text.")
    kind = schema.field(column).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not _is_text(kind.value_type):
        raise WrongColumns(f"Column {column!r} of {file} must be a list of user agents.")
    return column


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
