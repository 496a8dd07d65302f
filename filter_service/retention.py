"""What is kept for how long (GDPR 5(1)(e)): run once a day, safe to run at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from filter_service import backup, workflow
from filter_service.database import Transaction, naive
from filter_service.model import FINAL, State
from filter_service.registry import Registry

_STEP = 200
COMPACT_DAYS = 7
"""What was erased leaves the database's file at the latest after so many days."""


@dataclass
class Done:
    """What one run did."""

    expired: int = 0
    erased: int = 0
    messages: int = 0
    operators: int = 0
    keys: int = 0
    key_backups: int = 0
    compacted: bool = False


def run(registry: Registry, key_backups: Path | None = None) -> Done:
    """Expire, erase and delete what has had its time.

    Args:
        registry: an open one.
        key_backups: where `backup.backup_keys` writes, if anywhere on this machine.
    """
    done = Done()
    now = registry.now
    keep = registry.settings.retention
    while some := _unconfirmed(registry, now):
        done.expired += registry.database.write(partial(_expire, registry, some))
    # What is published goes apart from its case: the entry stays, the file does not.
    closed = FINAL | {State.REJECTED, State.PUBLISHED}
    final = ", ".join(f"'{state.value}'" for state in sorted(closed))
    while True:
        some = _ids(
            registry,
            f"SELECT request_id FROM requests WHERE sealed IS NOT NULL AND state IN ({final}) "  # noqa: S608
            f"AND changed < ? AND (due IS NULL OR due < ?) LIMIT {_STEP}",
            naive(now - timedelta(days=keep.case)),
            naive(now),
        )
        if not some:
            break
        done.erased += registry.database.write(partial(_erase, registry, some))
    done.messages = registry.database.write(lambda t: _messages(t, now, keep.messages))
    done.operators = registry.access.drop_unconfirmed()
    done.keys = registry.store.reconcile()
    if key_backups is not None:
        done.key_backups = len(backup.drop_old_keys(key_backups, now, keep.key_backups))
    done.compacted = _compact(registry, now)
    registry.database.write(
        lambda t: t.audit(
            "system", "retention", "-", expired=done.expired, erased=done.erased, keys=done.keys
        )
    )
    return done


def _ids(registry: Registry, sql: str, *parameters: object) -> list[UUID]:
    return [row[0] for row in registry.database.rows(sql, *parameters)]


def _unconfirmed(registry: Registry, now: datetime) -> list[UUID]:
    return _ids(
        registry,
        f"SELECT request_id FROM requests WHERE state = ? AND due <= ? LIMIT {_STEP}",  # noqa: S608
        State.UNVERIFIED.value,
        naive(now),
    )


def _expire(registry: Registry, some: list[UUID], transaction: Transaction) -> int:
    """End requests that nobody confirmed, and erase them at once."""
    done = 0
    for request_id in some:
        case = registry.store.case(request_id, transaction)
        if case.standing.state is not State.UNVERIFIED:
            continue
        standing = workflow.expired(case.standing, transaction.now)
        case = registry.store.move_case(transaction, case, standing)
        registry.store.erase_case(transaction, case)
        transaction.audit("system", "expired", request_id)
        done += 1
    return done


def _erase(registry: Registry, some: list[UUID], transaction: Transaction) -> int:
    for request_id in some:
        registry.store.erase_case(transaction, registry.store.case(request_id, transaction))
        transaction.audit("system", "erased", request_id)
    return len(some)


def _messages(transaction: Transaction, now: datetime, days: int) -> int:
    before = naive(now - timedelta(days=days))
    row = transaction.row(
        "SELECT count(*) FROM messages WHERE (sent IS NOT NULL OR failed) AND queued < ?", before
    )
    transaction.write(
        "DELETE FROM messages WHERE (sent IS NOT NULL OR failed) AND queued < ?", before
    )
    return int(row[0]) if row is not None else 0


def _compact(registry: Registry, now: datetime) -> bool:
    """Rewrite the database's file if something was erased and the last time is a while ago."""
    row = registry.database.row("SELECT content FROM meta WHERE name = 'compacted'")
    last = datetime.fromisoformat(row[0]) if row is not None else None
    if last is not None and now < last + timedelta(days=COMPACT_DAYS):
        return False
    registry.database.compact()

    def noted(transaction: Transaction) -> None:
        transaction.write("DELETE FROM meta WHERE name = 'compacted'")
        transaction.insert("meta", name="compacted", content=now.isoformat())

    registry.database.write(noted)
    return True
