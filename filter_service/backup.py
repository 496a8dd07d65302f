"""Backups and restoring: the database apart from the keys, and erasure stronger than both.

A backup of the database holds sealed records only. Keys are backed up on their own, and such a backup
lives for 30 days. Whatever is restored, the log of destroyed keys is replayed over it: a record that was
erased stays erased.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import duckdb

from filter_service.errors import UnusableFolder
from filter_service.keyring import KeyRing, private_folder, sync_folder, write_private
from filter_service.registry import DATABASE, Registry

KEY_FILES = ("data.keys", "index.key", "token.key", "decoys.key", "destroyed.log")
"""What a backup of the keys holds; the master key and signing keys are kept elsewhere."""
_STAMP = "%Y%m%dT%H%M%SZ"


def backup(registry: Registry, folder: Path) -> Path:
    """Copy the database into a folder while it serves; returns the file.

    Raises:
        UnusableFolder: the folder cannot be written, or there is a backup of this second.
    """
    path = folder / f"registry-{registry.now.strftime(_STAMP)}.duckdb"
    try:
        private_folder(folder)
        registry.database.backup(path)
    except OSError as error:
        raise UnusableFolder(
            f"{folder} cannot be written ({error.strerror}): name another."
        ) from None
    registry.database.write(lambda t: t.audit("admin", "backed_up", path.name))
    return path


def backup_keys(registry: Registry, folder: Path) -> Path:
    """Copy the keys into a folder, which must not be where the database's backups are.

    Raises:
        UnusableFolder: the folder cannot be used.
    """
    if any(folder.glob("registry-*.duckdb")):
        raise UnusableFolder(f"{folder} holds backups of the database: keep keys elsewhere.")
    path = folder / f"keys-{registry.now.strftime(_STAMP)}"
    draft = folder / f".{path.name}"
    try:
        private_folder(folder)
        shutil.rmtree(draft, ignore_errors=True)
        private_folder(draft)
        # Between two transactions, so that no key is half written.
        registry.database.write(lambda _: _copied(registry.folder / "keys", draft))
        draft.rename(path)
        sync_folder(folder)
    except OSError as error:
        raise UnusableFolder(
            f"{folder} cannot be written ({error.strerror}): name another."
        ) from None
    registry.database.write(lambda t: t.audit("admin", "keys_backed_up", path.name))
    return path


def drop_old_keys(folder: Path, now: datetime, days: int) -> list[str]:
    """Delete backups of keys that have lived their time; returns their names."""
    dropped = []
    for path in sorted(folder.glob("keys-*")):
        try:
            made = datetime.strptime(f"{path.name[5:]} +0000", f"{_STAMP} %z")
        except ValueError:
            continue  # somebody else's
        if made + timedelta(days=days) <= now:
            shutil.rmtree(path)
            dropped.append(path.name)
    return dropped


def restore(
    folder: Path,
    database: Path,
    keys: Path | None,
    master: bytes,
    logs: Collection[Path] = (),
) -> int:
    """Put a registry folder together from backups; how many records stay erased that were not then.

    Everything is put together beside and checked; only then does it take its place.

    Args:
        folder: the registry's folder; its database must be gone or moved away.
        database: a file that `backup` made.
        keys: a folder that `backup_keys` made; `None` keeps the keys that are in the folder.
        master: the master key.
        logs: every ``destroyed.log`` there is, above all the newest.

    Raises:
        UnusableFolder: something is missing, would be written over, or would be lost.
    """
    target, where = folder / DATABASE, folder / "keys"
    if target.exists():
        raise UnusableFolder(f"{target} is still there: move it away first.")
    if not database.is_file():
        raise UnusableFolder(f"{database} is no backup of a database: name one.")
    for log in logs:
        if not log.is_file():
            raise UnusableFolder(f"{log} is no log of destroyed keys: name a destroyed.log.")
    source = keys or where
    if not (source / "data.keys").is_file():
        raise UnusableFolder(f"{source} holds no keys: name a folder that backup-keys made.")
    found = [*logs, *(one / "destroyed.log" for one in (where, source))]
    lines = {line for path in found if path.exists() for line in path.read_bytes().split(b"\n")}
    private_folder(folder)
    private_folder(where)
    with TemporaryDirectory(prefix=".restoring.", dir=folder) as name:
        draft = Path(name)
        _copied(source, draft)
        whole = b"".join(line + b"\n" for line in sorted(lines) if line)
        write_private(draft / "destroyed.log", whole)
        staged = draft / DATABASE
        shutil.copyfile(database, staged)
        staged.chmod(0o600)
        with KeyRing(draft, master) as ring:
            erased = _without_keys(staged, ring)
        _copied(draft, where)
        staged.rename(target)
    sync_folder(folder)
    return erased


_SEALED = ("requests", "listed", "messages", "access_keys")


def _without_keys(path: Path, ring: KeyRing) -> int:
    """Empty the records whose keys are gone; how many."""
    try:
        connection = duckdb.connect(str(path))
    except duckdb.Error:
        raise UnusableFolder("This backup is damaged: use another one.") from None
    erased = 0
    destroyed = ring.destroyed()
    with connection:
        connection.execute("BEGIN TRANSACTION")
        for table in _SEALED:
            rows = connection.execute(
                f"SELECT DISTINCT key_id FROM {table} WHERE sealed IS NOT NULL"  # noqa: S608
            ).fetchall()
            gone: list[UUID] = [row[0] for row in rows if row[0] not in ring]
            if lost := len([key_id for key_id in gone if key_id not in destroyed]):
                raise UnusableFolder(
                    f"{lost} keys are missing that were never destroyed, so these keys are older than "
                    "the database: name newer ones."
                )
            erased += len(gone)
            if gone:
                connection.execute(
                    f"UPDATE {table} SET sealed = NULL WHERE key_id IN "  # noqa: S608
                    f"({', '.join('?' * len(gone))})",
                    gone,
                )
        connection.execute(
            "DELETE FROM claims WHERE listed_id IN (SELECT listed_id FROM listed WHERE sealed IS NULL)"
        )
        connection.execute("DELETE FROM listed WHERE sealed IS NULL")
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    return erased


def _copied(source: Path, target: Path) -> None:
    for name in KEY_FILES:
        if (source / name).exists():
            write_private(target / name, (source / name).read_bytes())
