"""What a client keeps between two runs, beside the bundle itself.

::

    DIR/lethe-public.safetensors     the bundle that a gate watches; replaced whole, never half
    DIR/.lethe-public/root.json      the root of trust that was given with the first run
                      metadata/      tuf's memory: it makes rollbacks visible
                      verified.json  SHA-256 of the bundle that was placed, and of the one before it
                      download       a bundle on its way; left by a killed run, overwritten by the next
                      lock           held by a run
"""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from filter.bundle import Bundle
from filter.errors import InputError
from filter_service.publishing import files
from filter_service.publishing.layout import bundle_name

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
"""Nothing had expired."""
_MODES = {"public": 0o644, "operators": 0o640}


class Cache:
    """The folder of one audience."""

    def __init__(self, folder: Path, audience: str) -> None:
        self.placed = folder / bundle_name(audience)
        self._folder = folder / f".lethe-{audience}"
        self._mode = _MODES[audience]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.metadata = self._folder / "metadata"
        self.metadata.mkdir(exist_ok=True)
        self.root = self._folder / "root.json"
        self.download = self._folder / "download"
        self._record = self._folder / "verified.json"

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; waits for another run."""
        return files.locked(self._folder / "lock")

    def tidy(self) -> None:
        """Remove what killed runs left; tuf's temporary files are ``tmp`` and eight characters."""
        files.remove_leftovers(self._folder)
        for leftover in self.metadata.glob("tmp????????"):
            leftover.unlink(missing_ok=True)

    def bundle(self) -> Bundle | None:
        """The bundle that an earlier run verified and placed, expired or not; none if it was changed."""
        try:
            if _sha256(self.placed) not in self._verified():
                return None
            return Bundle.open(self.placed, verify=True, now=_LONG_AGO)
        except (OSError, InputError):
            return None

    def place(self) -> None:
        """Give the verified download its name."""
        digest = _sha256(self.download)
        # Recorded first, beside the one that lies there: a kill between the two leaves either known.
        here = _sha256(self.placed) if self.placed.exists() else None
        record = [known for known in self._verified() if known == here]
        record.append(digest)
        files.write(self._record, json.dumps(record).encode())
        self.download.chmod(self._mode)
        files.place(self.download, self.placed)

    def _verified(self) -> list[str]:
        try:
            record = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return []
        return [str(digest) for digest in record] if isinstance(record, list) else []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
