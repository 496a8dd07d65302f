"""The bundle as a file: safetensors (a header in JSON, then arrays), memory-mapped.

Only what this format needs is read and written here; any safetensors library opens the file. The
header's ``__metadata__`` holds the manifest, itself JSON, under ``lethe``.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from filter.errors import DamagedBundle, InputError, NotABundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Arrays = Mapping[str, np.ndarray[Any, Any]]

_TYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_HEADER_LIMIT = 1 << 20
"""Octets; a header is a few thousand."""


def content_hash(manifest: Mapping[str, Any], data: bytes | memoryview) -> str:
    """SHA-256 over the manifest without ``content_sha256``, as canonical JSON, and the arrays."""
    rest = {k: v for k, v in manifest.items() if k != "content_sha256"}
    digest = hashlib.sha256(canonical_json(rest))
    digest.update(data)
    return digest.hexdigest()


def canonical_json(value: object) -> bytes:
    """JSON in ASCII with sorted keys and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def pack(manifest: dict[str, Any], arrays: Arrays) -> bytes:
    """The octets of a file; ``arrays`` and ``content_sha256`` are added to the manifest."""
    tensors: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    # Wider ones first, so that each begins at a multiple of its width.
    for name, array in sorted(arrays.items(), key=lambda a: (-a[1].dtype.itemsize, a[0])):
        octets = array.astype(array.dtype.newbyteorder("<")).tobytes()
        tensors[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": [len(array)],
            "data_offsets": [offset, offset + len(octets)],
        }
        parts.append(octets)
        offset += len(octets)
    data = b"".join(parts)
    manifest["arrays"] = tensors
    manifest["content_sha256"] = content_hash(manifest, data)
    text = canonical_json(manifest).decode()
    header = json.dumps({"__metadata__": {"lethe": text}, **tensors}, separators=(",", ":"))
    octets = header.encode("ascii")
    octets += b" " * (-len(octets) % 8)
    return len(octets).to_bytes(8, "little") + octets + data


def write(path: Path, octets: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # noqa: PTH101 -- the name is a string
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108
            raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): choose another place for the bundle."
        ) from None


def load(path: Path) -> memoryview:
    """The octets of a file, memory-mapped.

    Raises:
        InputError: there is no such file, or it cannot be read.
        NotABundle: it is empty.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise NotABundle(f"{path} is empty: download or build the bundle again.")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a regular file"
        raise InputError(
            f"{path} cannot be read ({reason}): name a bundle made by lethe filter build."
        ) from None


def unpack(octets: memoryview, name: str) -> tuple[dict[str, Any], dict[str, Any], memoryview]:
    """Manifest, arrays and the data they lie in; nothing is copied.

    Raises:
        NotABundle: a file of another kind.
        DamagedBundle: cut short, or its header contradicts it.
    """
    size = int.from_bytes(octets[:8], "little") if len(octets) >= 8 else 0
    foreign = NotABundle(
        f"{name} is not a bundle: name a file made by lethe filter build or lethe bundle get."
    )
    if not 2 <= size <= _HEADER_LIMIT:
        raise foreign
    damaged = DamagedBundle(f"{name} is damaged or cut short: download or build it again.")
    if size % 8:
        raise foreign  # and its arrays would not be aligned
    if len(octets) < 8 + size:
        raise damaged if bytes(octets[8:9]) == b"{" else foreign
    try:
        header = json.loads(bytes(octets[8 : 8 + size]))
        text = header.pop("__metadata__")["lethe"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise foreign from None
    try:
        manifest = json.loads(text)
        if not isinstance(manifest, dict) or manifest.get("arrays") != header:
            raise damaged
        data = octets[8 + size :]
        arrays = {}
        end = 0
        for tensor, about in sorted(header.items(), key=lambda t: t[1]["data_offsets"]):
            dtype = _TYPES[about["dtype"]]
            first, last = about["data_offsets"]
            (count,) = about["shape"]
            if first != end or last - first != count * dtype.itemsize or count < 0:
                raise damaged
            arrays[tensor] = (
                np.frombuffer(data, dtype, count, first) if count else np.zeros(0, dtype)
            )
            end = last
        if end != len(data):
            raise damaged
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged from None
    return manifest, arrays, data
