"""Compliance tags: document ids with the agents that disallowed them, as Apertus published them.

There can be hundreds of millions, so they are not held in memory: a side file next to the policy
keeps a 64-bit key and the agents' bits of each refused id, sorted by key, and is memory-mapped; all
workers of a machine share its pages. The key of ``<urn:uuid:...>`` ids is the first half of the UUID,
of any other id the first eight octets of its BLAKE2b digest. Two ids with one key would make the
tag of one speak for the other: among 10^9 tags and 10^9 documents that happens 0.05 times, and it
can only drop a document, never keep one.
"""

from __future__ import annotations

import hashlib
import tempfile
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
_BUCKETS = 64
_BATCH = 1 << 16
_URN = "<urn:uuid:"
_URN_LENGTH = 47
_DASHES = (18, 23, 28, 33)
_HEX_AT = np.array([i for i in range(10, 46) if i not in _DASHES], dtype=np.int64)
_HEX_VALUE = np.full(256, 255, dtype=np.uint8)
for _i, _c in enumerate(b"0123456789abcdef"):
    _HEX_VALUE[_c] = _i


@dataclass(frozen=True, slots=True)
class Shards:
    """A compiled side file."""

    path: Path
    rows: int
    sha256: str

    def described(self) -> dict[str, Any]:
        """What the policy remembers of it."""
        return {"file": self.path.name, "rows": self.rows, "sha256": self.sha256}


def side_file(policy: Path) -> Path:
    """Where the tags of the policy at ``policy`` live."""
    return policy.with_suffix(".tags.arrow")


def keys_of(ids: pa.Array) -> Keys:
    """The 64-bit key of every id (a string array without nulls), in order."""
    ids = pc.cast(ids, pa.large_string())
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
        well_formed = (digits < 16).all(axis=1) & (table[:, list(_DASHES)] == ord("-")).all(axis=1)
        halves = np.zeros(len(some), dtype=np.uint64)
        for column in range(16):
            folded = (digits[:, column] ^ digits[:, column + 16]).astype(np.uint64)
            halves = (halves << np.uint64(4)) | folded
        where = np.flatnonzero(urn)
        keys[where[well_formed]] = halves[well_formed]
        urn[where[~well_formed]] = False
    for i in np.flatnonzero(~urn):
        digest = hashlib.blake2b(ids[int(i)].as_py().encode(), digest_size=8).digest()
        keys[i] = int.from_bytes(digest, "big")
    return keys


def compile_tags(source: Path, out: Path, agents: tuple[str, ...]) -> Shards:
    """Sort the tags at ``source`` (a Parquet file or a folder of them) into the side file ``out``.

    Columns: ``id`` (string) and ``agents``, ``user_agents`` or ``disallowed_agents`` (list of string).
    An id is refused where one of its agents is one of ``agents``; the others are left out. Memory
    holds one batch, then one of 64 buckets.

    Raises:
        UnreadableFile: missing, truncated or not Parquet.
        WrongColumns: the columns are not there or of another type.
    """
    files = sorted(source.rglob("*.parquet")) if source.is_dir() else [source]
    if not files or not source.exists():
        raise UnreadableFile(
            f"There are no compliance tags at {source}: give a Parquet file or folder."
        )
    bit = {agent: 1 << i for i, agent in enumerate(agents)}
    with tempfile.TemporaryDirectory(prefix=".tags-", dir=_made(out.parent)) as folder:
        buckets = [Path(folder) / f"{i:02d}" for i in range(_BUCKETS)]
        handles = [b.open("wb") for b in buckets]
        try:
            for file in files:
                for keys, masks in _refused(file, bit):
                    pairs = np.stack([keys, masks.view(np.uint64)], axis=1)
                    bucket = (keys >> np.uint64(58)).astype(np.int64)
                    for b in np.unique(bucket):
                        handles[b].write(pairs[bucket == b].tobytes())
        finally:
            for handle in handles:
                handle.close()
        rows = 0
        with (
            replacing(out) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, _SCHEMA) as writer,
        ):
            for b in buckets:
                keys, masks = _merged(np.fromfile(b, dtype=np.uint64).reshape(-1, 2))
                rows += len(keys)
                columns = [pa.array(keys), pa.array(masks)]
                writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
    return Shards(out, rows, _digest(out))


class TagIndex:
    """Looks ids up in a side file that stays on the disk."""

    def __init__(self, path: Path, expected: dict[str, Any]) -> None:
        """Open the side file at ``path``.

        Raises:
            UnreadableFile: it is missing or not a side file.
            WrongVersion: it is not the one that the policy was compiled with.
        """
        try:
            source = pa.memory_map(str(path))
            reader = pa.ipc.open_file(source)
        except (FileNotFoundError, pa.ArrowInvalid, OSError):
            raise UnreadableFile(
                f"The policy needs its tags in {path}: keep the two files in one folder."
            ) from None
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        if sum(b.num_rows for b in batches) != expected["rows"]:
            raise WrongVersion(f"{path} belongs to another policy: compile the policy again.")
        self._shards: list[tuple[Keys, Masks]] = [
            (b.column(0).to_numpy(), b.column(1).to_numpy()) for b in batches
        ]

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


def _merged(pairs: Keys) -> tuple[Keys, Masks]:
    """Pairs sorted by key, the bits of one key joined."""
    order = np.argsort(pairs[:, 0], kind="stable")
    keys, masks = pairs[order, 0], pairs[order, 1]
    if not len(keys):
        return keys, masks.view(np.int64)
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    joined = np.bitwise_or.reduceat(masks, first)
    return np.ascontiguousarray(keys[first]), joined.view(np.int64)


def _refused(file: Path, bit: dict[str, int]) -> Any:
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError):
        raise UnreadableFile(f"{file} is not a Parquet file or is cut off.") from None
    with parquet:
        names = parquet.schema_arrow.names
        column = next(
            (c for c in ("agents", "user_agents", "disallowed_agents") if c in names), None
        )
        if "id" not in names or column is None:
            raise WrongColumns(
                f"{file} has no compliance tags: it needs the columns id and agents "
                f"(found: {', '.join(names)})."
            )
        kind = parquet.schema_arrow.field(column).type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise WrongColumns(f"Column {column!r} of {file} must be a list of user agents.")
        for batch in parquet.iter_batches(_BATCH, columns=["id", column], use_threads=False):
            agents = batch[column]
            owners = pc.list_parent_indices(agents).to_numpy(zero_copy_only=False)
            names_in = pc.cast(pc.list_flatten(agents), pa.string()).dictionary_encode()
            bits = np.array(
                [bit.get(a, 0) for a in names_in.dictionary.to_pylist()] or [0], np.int64
            )
            codes = pc.fill_null(names_in.indices, 0).to_numpy(zero_copy_only=False)
            masks = np.zeros(batch.num_rows, dtype=np.int64)
            if len(codes):
                np.bitwise_or.at(masks, owners, bits[codes])
            keep = (masks != 0) & pc.is_valid(batch["id"]).to_numpy(zero_copy_only=False)
            yield keys_of(batch["id"].filter(pa.array(keep))), masks[keep]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
