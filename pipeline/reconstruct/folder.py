"""Folders of Parquet files: local ones, and through fsspec remote ones."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.errors import UnreadableFile
from pipeline.reconstruct.local_files import LocalFiles, is_local, local_path


@dataclass(frozen=True, slots=True)
class InputFile:
    """One Parquet file of the input."""

    name: str
    """Path below the root, with forward slashes; the name of the output file, too."""
    rows: int
    bytes: int
    tail: str
    """SHA-256 of its last 64 KiB, where the footer is: tells files of one size apart."""


_TAIL = 1 << 16
_BUFFER = 1 << 20
_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "hf"})
"""File systems without folders: to make one there is to make a bucket, which nobody asked for."""
_AT_ONCE = 16
"""Files of the input that are looked at at the same time: a remote one answers in a second or so."""


class Folder:
    """A root below which files are named by relative paths with forward slashes."""

    def __init__(self, root: str) -> None:
        """Open ``root``: a local path, or a URL that fsspec knows (``hf://``, ``s3://``, ...).

        Raises:
            UnreadableFile: no such protocol, or its package is not installed.
        """
        self._fs, path = _opened(root)
        self.root = root
        self._path = str(path).rstrip("/")
        self.local = Path(self._path or "/") if "file" in _protocols(self._fs) else None

    def __reduce__(self) -> tuple[object, ...]:
        # Where it is opened again, a relative path may lead elsewhere; messages name it as it was given.
        where = self.root if self.local is None else str(self.local)
        return (_reopened, (where, self.root))

    def path(self, name: str) -> str:
        """The full path of ``name`` as the file system knows it."""
        return f"{self._path}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is something called ``name``; with an empty name, the folder itself."""
        return bool(self._fs.exists(self.path(name) if name else self._path or "/"))

    def is_file(self) -> bool:
        """Whether the root is a file, and no folder at all."""
        return bool(self._fs.isfile(self._path or "/"))

    def probe(self) -> None:
        """Raise whatever the file system has against the root, but that it is not there.

        `exists` and `is_file` take a broken network or a missing permission for an absence.
        """
        with suppress(FileNotFoundError):
            self._fs.info(self._path or "/")

    def check(self) -> None:
        """Look whether the file system answers, be there something at the root or not.

        Raises:
            UnreadableFile: it does not, or not to this user.
        """
        try:
            self.probe()
        except Exception as error:  # what a remote file system raises is its own affair
            raise _unreachable(self.root, "reached", error) from error

    def refresh(self) -> None:
        """Forget what was listed: other processes write here, too."""
        self._fs.invalidate_cache()

    def names(self, below: str, ending: str) -> list[str]:
        """Relative paths of all files below ``below`` that end like that, sorted; hidden ones left out."""
        base = self.path(below) if below else self._path or "/"
        if not self._fs.exists(base):
            return []
        found = (self._name(path) for path in self._fs.find(base))
        return sorted(name for name in found if name.endswith(ending) and not hidden(name))

    def empty(self) -> bool:
        """Whether no file is here, hidden ones left out; stops at the first that is met."""
        for folder, _, files in self._fs.walk(self._path or "/"):
            below = self._name(folder)
            if any(not hidden(f"{below}/{name}" if below else name) for name in files):
                return False
        return True

    def _name(self, path: str) -> str:
        """The relative path of a full one."""
        return path.rstrip("/").removeprefix(self._path).removeprefix("/")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The JSON object in ``name``, ``None`` where there is no such file."""
        try:
            with self._fs.open(self.path(name), "rb") as f:
                content: dict[str, Any] = json.load(f)
        except (FileNotFoundError, NotADirectoryError):
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

    def remove(self, name: str) -> None:
        """Delete the file ``name``, if there is one."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self.path(name))

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
            try:
                if not _STORES.intersection(_protocols(self._fs)):
                    self._fs.makedirs(str(PurePosixPath(self.path(name)).parent), exist_ok=True)
                self._fs.put_file(str(temporary), self.path(name))
            except Exception as error:  # what a remote file system raises is its own affair
                raise _unreachable(self.root, "written to", error) from error

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """The Parquet file ``name``, opened for reading.

        Raises:
            UnreadableFile: it is not Parquet, or cut off.
        """
        with ExitStack() as opened:
            try:
                if self.local is not None:
                    # Neither mapped nor read ahead: either keeps more and more of the file in memory.
                    source: Any = self.local / name
                    options: dict[str, Any] = {"buffer_size": _BUFFER, "pre_buffer": False}
                else:
                    source = opened.enter_context(self._fs.open(self.path(name), "rb"))
                    options = {"pre_buffer": True}
                parquet = opened.enter_context(
                    pq.ParquetFile(source, page_checksum_verification=True, **options)
                )
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(f"{self.root}/{name}", error) from None
            yield parquet

    def batches(
        self, parquet: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of an opened file in their order, at most ``rows`` at a time; some ``columns``, or all.

        A local file is read in pieces of a megabyte a column. Of a remote one a row group is fetched
        at once, in few requests; then the next.
        """
        if self.local is not None:
            yield from parquet.iter_batches(rows, columns=columns, use_threads=False)
            return
        for group in range(parquet.num_row_groups):
            yield from parquet.iter_batches(
                rows, row_groups=[group], columns=columns, use_threads=False
            )

    def size(self, name: str) -> int:
        """Octets of the file ``name``."""
        return int(self._fs.size(self.path(name)))

    def sha256(self, name: str) -> str:
        """SHA-256 of the file ``name``, read in pieces.

        Raises:
            UnreadableFile: it cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with self._fs.open(self.path(name), "rb") as f:
                while piece := f.read(_BUFFER):
                    digest.update(piece)
        except OSError as error:
            raise _unreadable(f"{self.root}/{name}", error) from None
        return digest.hexdigest()

    def described(self, name: str, look: Callable[[pa.Schema, str], object]) -> InputFile:
        """What tells the file ``name`` from others; ``look`` is shown its columns."""
        size = self.size(name)
        with self.parquet(name) as parquet:
            look(parquet.schema_arrow, name)
            rows = parquet.metadata.num_rows
        tail = self._fs.cat_file(self.path(name), start=max(0, size - _TAIL), end=size)
        return InputFile(name, rows, size, hashlib.sha256(tail).hexdigest())


def _opened(root: str) -> tuple[Any, str]:
    """The file system that knows ``root``, and its path there."""
    if is_local(root):
        return LocalFiles(), local_path(root)
    import fsspec

    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError):
        raise UnreadableFile(
            f"{root} cannot be opened: use a local path, hf://datasets/..., s3://... or install "
            "the fsspec package of that protocol."
        ) from None
    return found


def _reopened(where: str, root: str) -> Folder:
    folder = Folder(where)
    folder.root = root
    return folder


def inputs(root: str, look: Callable[[pa.Schema, str], object]) -> tuple[Folder, list[InputFile]]:
    """The Parquet files at ``root``, which is a folder of them or a single one.

    ``look`` is called with the columns and the name of each, and raises where they are of no use.

    Raises:
        UnreadableFile: nothing there, no Parquet file in it, or one that cannot be opened.
    """
    folder, names = _listed(Folder(root))
    if not names:
        found = "holds no Parquet file" if folder.exists("") else "does not exist"
        raise UnreadableFile(f"{root} {found}: give a Parquet file or a folder of them.")
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        return folder, list(pool.map(lambda name: folder.described(name, look), names))


def _listed(folder: Folder) -> tuple[Folder, list[str]]:
    """The folder that holds the files, and their names; none where there is nothing."""
    root = folder.root
    try:
        folder.probe()
        if not folder.is_file():
            return folder, folder.names("", ".parquet")
    except Exception as error:  # what a remote file system raises is its own affair
        raise _unreachable(root, "listed", error) from error
    protocol, separator, path = root.rpartition("://")
    parent, slash, name = path.rpartition("/")
    if hidden(name) or not name.endswith(".parquet"):
        raise UnreadableFile(
            f"{root} is not called *.parquet, or begins with a dot or an underscore, so readers of "
            "Parquet folders would not find what comes out: rename it."
        )
    return Folder(protocol + separator + (parent or slash) or "."), [name]


def hidden(name: str) -> bool:
    """Whether readers of Parquet folders pass over a file: a part begins with a dot or underscore."""
    return any(part[:1] in {".", "_"} for part in name.split("/"))


def _unreachable(root: str, what: str, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{root} cannot be {what} ({type(error).__name__}): check the address, your access to it and the "
        "network."
    )


def _unreadable(name: str, error: Exception) -> UnreadableFile:
    if isinstance(error, OSError) and error.errno:
        return UnreadableFile(f"{name} cannot be opened: {error.strerror}.")
    return UnreadableFile(f"{name} is not a Parquet file or is cut off: fetch it again.")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
