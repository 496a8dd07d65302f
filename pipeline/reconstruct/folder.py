"""Folders of Parquet files, local or remote, through fsspec."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class InputFile:
    """One Parquet file of the input."""

    name: str
    """Path below the root, with forward slashes; the name of the output file, too."""
    rows: int
    bytes: int


class Folder:
    """A root below which files are named by relative paths with forward slashes."""

    def __init__(self, root: str) -> None:
        """Open ``root``: a local path, or a URL that fsspec knows (``hf://``, ``s3://``, ...).

        Raises:
            UnreadableFile: no such protocol, or its package is not installed.
        """
        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError):
            raise UnreadableFile(
                f"{root} cannot be opened: use a local path, hf://datasets/..., s3://... or install "
                "the fsspec package of that protocol."
            ) from None
        self.root = root
        self._path = str(path).rstrip("/") or "/"
        self.local = Path(self._path) if "file" in _protocols(self._fs) else None

    def __reduce__(self) -> tuple[object, ...]:
        return (Folder, (self.root,))

    def path(self, name: str) -> str:
        """The full path of ``name`` as the file system knows it."""
        return f"{self._path}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is a file called ``name``."""
        return bool(self._fs.exists(self.path(name)))

    def names(self, below: str, ending: str) -> list[str]:
        """Relative paths of all files below ``below`` that end like that, sorted; hidden ones left out."""
        base = self.path(below) if below else self._path
        if not self._fs.exists(base):
            return []
        found = []
        for path in self._fs.find(base):
            name = str(PurePosixPath(path).relative_to(self._path))
            if name.endswith(ending) and not any(p[0] in "._" for p in name.split("/")):
                found.append(name)
        return sorted(found)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The JSON object in ``name``, ``None`` where there is no such file."""
        try:
            with self._fs.open(self.path(name), "rb") as f:
                content: dict[str, Any] = json.load(f)
        except FileNotFoundError:
            return None
        except ValueError:
            raise UnreadableFile(
                f"{self.root}/{name} is damaged: delete it and run again."
            ) from None
        return content

    def write_text(self, name: str, text: str) -> None:
        """Put ``text`` into ``name``, whole or not at all."""
        with self.writing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A local temporary file that becomes ``name`` once the block has ended well.

        On a local folder by renaming; on a remote one by one upload, which object stores make visible
        only when it is complete.
        """
        if self.local is not None:
            with replacing(self.local / name) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory(prefix="lethe-") as folder:
            temporary = Path(folder) / PurePosixPath(name).name
            yield temporary
            self._fs.makedirs(str(PurePosixPath(self.path(name)).parent), exist_ok=True)
            self._fs.put_file(str(temporary), self.path(name))

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """The Parquet file ``name``, opened for reading.

        Raises:
            UnreadableFile: it is not Parquet, or cut off.
        """
        try:
            if self.local is not None:
                parquet = pq.ParquetFile(self.local / name, memory_map=True)
            else:
                parquet = pq.ParquetFile(self._fs.open(self.path(name), "rb"), pre_buffer=True)
        except (pa.ArrowInvalid, OSError):
            raise UnreadableFile(
                f"{self.root}/{name} is not a Parquet file or is cut off: fetch it again."
            ) from None
        with parquet:
            yield parquet

    def size(self, name: str) -> int:
        """Octets of the file ``name``."""
        return int(self._fs.size(self.path(name)))


def inputs(root: str) -> tuple[Folder, list[InputFile]]:
    """The Parquet files at ``root``, which is a folder of them or a single one.

    Raises:
        UnreadableFile: nothing there, no Parquet file in it, or one that cannot be opened.
    """
    folder = Folder(root)
    if folder._fs.isfile(folder._path):  # noqa: SLF001  (same module)
        parent, _, name = root.rstrip("/").rpartition("/")
        folder, names = Folder(parent or "."), [name]
    else:
        if not folder._fs.exists(folder._path):  # noqa: SLF001
            raise UnreadableFile(
                f"There is nothing at {root}: give a Parquet file or a folder of them."
            )
        names = folder.names("", ".parquet")
    if not names:
        raise UnreadableFile(
            f"{root} holds no Parquet file: give a Parquet file or a folder of them."
        )
    found = []
    for name in names:
        with folder.parquet(name) as parquet:
            found.append(InputFile(name, parquet.metadata.num_rows, folder.size(name)))
    return folder, found


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
