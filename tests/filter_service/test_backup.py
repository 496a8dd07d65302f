"""Backups and restoring: nothing is lost, and nothing that was erased comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_life import SETTINGS, Life

from filter_service import backup
from filter_service.errors import UnusableFolder
from filter_service.registry import DATABASE, Registry
from filter_service.settings import master_key


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def restored(
    life: Life, database: Path, keys: Path | None = None, logs: tuple[Path, ...] = ()
) -> int:
    """Close the registry, lose its database, put it together again."""
    life.registry.close()
    for path in life.folder.glob(f"{DATABASE}*"):
        path.unlink()
    master, _ = master_key(SETTINGS, life.folder)
    erased = backup.restore(life.folder, database, keys, master, logs)
    life.registry = Registry.open(life.folder, settings=SETTINGS, clock=life.clock)
    return erased


def test_a_restored_backup_serves_the_same(life: Life, tmp_path: Path) -> None:
    jane = life.accepted()
    life.release()
    waiting = life.submit([("email", "w@example.org", None)], "w@example.org")
    path = backup.backup(life.registry, tmp_path / "backups")
    before = [life.state(one) for one in (jane, waiting)]
    assert restored(life, path) == 0
    assert [life.state(one) for one in (jane, waiting)] == before == ["published", "unverified"]
    assert life.registry.review.find("email", "jane.doe@example.org", "ada") == [jane.request_id]
    life.confirm(waiting)
    life.registry.database.verify_audit()
    assert len(list(life.registry.store.listed())) == 2


def test_what_was_erased_since_stays_erased(life: Life, tmp_path: Path) -> None:
    jane = life.accepted()
    path = backup.backup(life.registry, tmp_path / "backups")
    life.registry.withdraw(jane.request_id, jane.secret)
    life.registry.review.erase(jane.request_id, "admin")
    assert restored(life, path) > 0
    assert life.registry.status(jane.request_id, jane.secret).erased
    assert life.registry.review.find("email", "jane.doe@example.org", "ada") == []
    assert list(life.registry.store.listed()) == []


def test_an_old_copy_of_the_keys_with_the_newest_log(life: Life, tmp_path: Path) -> None:
    jane = life.accepted()
    other = life.accepted([("email", "o@example.org", None)], "o@example.org")
    keys = backup.backup_keys(life.registry, tmp_path / "keys")
    path = backup.backup(life.registry, tmp_path / "backups")
    life.registry.withdraw(jane.request_id, jane.secret)
    life.registry.review.erase(jane.request_id, "admin")
    log = tmp_path / "destroyed.log"
    shutil.copy(life.folder / "keys" / "destroyed.log", log)
    (life.folder / "keys" / "data.keys").unlink()
    (life.folder / "keys" / "destroyed.log").unlink()
    assert restored(life, path, keys, (log,)) > 0
    assert life.registry.status(jane.request_id, jane.secret).erased
    assert life.state(other) == "accepted"


def test_keys_and_database_are_not_kept_together(life: Life, tmp_path: Path) -> None:
    backup.backup(life.registry, tmp_path / "backups")
    with pytest.raises(UnusableFolder, match="keep keys elsewhere"):
        backup.backup_keys(life.registry, tmp_path / "backups")


def test_a_backup_of_keys_holds_no_master_key(life: Life, tmp_path: Path) -> None:
    path = backup.backup_keys(life.registry, tmp_path / "keys")
    master, _ = master_key(SETTINGS, life.folder)
    assert sorted(one.name for one in path.iterdir()) == [
        "data.keys",
        "decoys.key",
        "index.key",
        "token.key",
    ]
    assert all(
        master not in one.read_bytes() and master.hex().encode() not in one.read_bytes()
        for one in path.iterdir()
    )
    assert all(one.stat().st_mode & 0o077 == 0 for one in (path, *path.iterdir()))


def test_backups_of_keys_live_thirty_days(life: Life, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    backup.backup_keys(life.registry, folder)
    life.clock.forward(days=1)
    second = backup.backup_keys(life.registry, folder)
    life.clock.forward(days=29)
    dropped = backup.drop_old_keys(folder, life.clock.now, 30)
    assert len(dropped) == 1
    assert [one.name for one in folder.iterdir()] == [second.name]


@pytest.mark.parametrize("what", ["there", "missing", "damaged"])
def test_restoring_what_cannot_be_restored(life: Life, tmp_path: Path, what: str) -> None:
    path = backup.backup(life.registry, tmp_path / "backups")
    master, _ = master_key(SETTINGS, life.folder)
    target = life.folder if what == "there" else tmp_path / "new"
    shutil.copytree(life.folder / "keys", tmp_path / "new" / "keys")
    if what == "missing":
        path = tmp_path / "nothing.duckdb"
    if what == "damaged":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnusableFolder, match=r"move it away|is no backup|damaged"):
        backup.restore(target, path, None, master)
    assert not (tmp_path / "new" / DATABASE).exists()
    life.submit()


def test_a_backup_is_never_written_over(life: Life, tmp_path: Path) -> None:
    backup.backup(life.registry, tmp_path)
    with pytest.raises(UnusableFolder, match="exists already"):
        backup.backup(life.registry, tmp_path)


def test_keys_older_than_the_database_lose_nothing(life: Life, tmp_path: Path) -> None:
    """What was never destroyed is not erased by a mistake."""
    keys = backup.backup_keys(life.registry, tmp_path / "keys")
    jane = life.accepted()
    path = backup.backup(life.registry, tmp_path / "backups")
    before = (life.folder / "keys" / "data.keys").read_bytes()
    with pytest.raises(UnusableFolder, match="older than"):
        restored(life, path, keys)
    assert (life.folder / "keys" / "data.keys").read_bytes() == before
    assert [one.name for one in life.folder.glob(".restoring*")] == []
    assert restored(life, path) == 0
    assert life.state(jane) == "accepted"


def test_keys_of_another_master_key_replace_nothing(life: Life, tmp_path: Path) -> None:
    life.accepted()
    keys = backup.backup_keys(life.registry, tmp_path / "keys")
    path = backup.backup(life.registry, tmp_path / "backups")
    life.registry.close()
    for one in life.folder.glob(f"{DATABASE}*"):
        one.unlink()
    before = (life.folder / "keys" / "data.keys").read_bytes()
    with pytest.raises(UnusableFolder, match="master key"):
        backup.restore(life.folder, path, keys, bytes(32))
    assert (life.folder / "keys" / "data.keys").read_bytes() == before
    assert restored(life, path) == 0


def test_a_log_that_is_not_there_is_not_passed_over(life: Life, tmp_path: Path) -> None:
    path = backup.backup(life.registry, tmp_path / "backups")
    with pytest.raises(UnusableFolder, match=r"name a destroyed\.log"):
        restored(life, path, None, (tmp_path / "mistyped.log",))
    assert restored(life, path) == 0


def test_what_is_not_a_backup_of_keys_is_left_alone(life: Life, tmp_path: Path) -> None:
    (tmp_path / "keys-of-the-house").mkdir()
    assert backup.drop_old_keys(tmp_path, life.clock.now, 30) == []
