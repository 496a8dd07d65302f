"""What is kept for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_life import Life

from filter_service import backup, retention


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def test_an_unconfirmed_request_goes_after_seven_days(life: Life) -> None:
    receipt = life.submit()
    life.clock.forward(days=7, seconds=-1)
    assert retention.run(life.registry).expired == 0
    assert life.state(receipt) == "unverified"
    life.clock.forward(seconds=1)
    assert retention.run(life.registry).expired == 1
    view = life.registry.status(receipt.request_id, receipt.secret)
    assert view.standing.state == "expired"
    assert view.erased
    assert life.registry.review.find("email", "jane.doe@example.org", "ada") == []
    assert len(life.registry.keys) == 0
    assert life.registry.store.directory.unverified == 0


def test_a_closed_case_goes_after_three_years_and_its_entry_stays(life: Life) -> None:
    jane = life.accepted()
    refused = life.accepted([("email", "r@example.org", None)], "r@example.org")
    life.registry.withdraw(refused.request_id, refused.secret)
    life.release()
    life.clock.forward(days=3 * 365, seconds=-1)
    assert retention.run(life.registry).erased == 0
    life.clock.forward(days=1)
    assert retention.run(life.registry).erased == 2
    assert life.registry.status(refused.request_id, refused.secret).erased
    # The entry stays apart from its case: it is found, and its owner can still take it back.
    assert life.registry.status(jane.request_id, jane.secret).erased
    assert life.state(jane) == "published"
    assert len(list(life.registry.store.listed())) == 2
    assert life.registry.review.find("email", "jane.doe@example.org", "ada") == [jane.request_id]
    life.registry.withdraw(jane.request_id, jane.secret)
    life.release("2029.2.0")
    assert list(life.registry.store.listed()) == []
    assert life.state(jane) == "removed"


def test_a_rejected_request_waits_for_its_appeal(life: Life) -> None:
    from filter_service.model import Reason
    from filter_service.review import Outcome

    receipt = life.submit([("email", "r@example.org", None)], "r@example.org")
    life.confirm(receipt)
    outcome = Outcome(0, accepted=False, reason=Reason.NO_MATCH)
    life.registry.review.decide(receipt.request_id, "ada", [outcome])
    life.clock.forward(days=29)
    assert retention.run(life.registry).erased == 0
    life.registry.appeal(receipt.request_id, receipt.secret, "Please look again.")
    life.clock.forward(days=5 * 365)
    assert retention.run(life.registry).erased == 0, "an appeal must be decided"


def test_messages_and_key_backups_go(life: Life, tmp_path: Path) -> None:
    life.submit()
    life.registry.database.write(lambda t: t.write("UPDATE messages SET sent = queued"))
    backup.backup_keys(life.registry, tmp_path / "keys")
    life.clock.forward(days=31)
    done = retention.run(life.registry, tmp_path / "keys")
    assert done.messages == 1
    assert done.key_backups == 1


def test_the_database_is_compacted_every_week(life: Life) -> None:
    assert retention.run(life.registry).compacted
    life.clock.forward(days=6)
    assert not retention.run(life.registry).compacted
    life.clock.forward(days=1)
    assert retention.run(life.registry).compacted
