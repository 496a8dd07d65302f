"""Rows and keys, claims, and what the directory knows, against a plain model of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_batch import in_one_batch
from registry_life import Life

from filter_service.database import Transaction
from filter_service.entries import identity
from filter_service.errors import UnusableFolder
from filter_service.model import Identity, RequestKind
from filter_service.store import Case, Directory

NAMES = ["a@example.org", "b@example.org", "c@example.org"]
MAIL = "q@example.org"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def one(text: str, audience: str = "public") -> Identity:
    return identity(RequestKind.ERASURE, "email", text, audience, ("CH",), position=1)


def claim(life: Life, case: Case, text: str, audience: str = "public") -> UUID:
    found = one(text, audience)
    content = {"kind": "email", "text": text, "canonical": found.canonical}
    store = life.registry.store
    return store.database.write(lambda t: store.claim(t, case, found, content))


def case_of(life: Life) -> Case:
    return life.registry.store.case(life.submit([("email", MAIL, None)], MAIL).request_id)


def check(life: Life) -> None:
    """Rows, keys and directory say the same."""
    store, database = life.registry.store, life.registry.database
    listed = {row.listed_id: row for row in store.listed()}
    claimed = {row[0] for row in database.rows("SELECT listed_id FROM claims")}
    assert claimed <= set(listed), "a claim on nothing"
    for row in listed.values():
        assert row.content is not None
        assert (row.listed_id in claimed) != row.due_out
    assert set(store.directory.listed.values()) == set(listed)
    assert len(store.directory.listed) == len(listed)
    rows = database.rows("SELECT key_id FROM requests WHERE sealed IS NOT NULL")
    assert store.keys.durable() == {row[0] for row in rows} | {r.key_id for r in listed.values()}
    unverified = database.row(
        "SELECT count(*) FROM requests WHERE state = 'unverified' AND sealed IS NOT NULL"
    )
    assert unverified == (store.directory.unverified,)


Step = tuple[str, int, int, str]
steps = st.lists(
    st.tuples(
        st.sampled_from(["claim", "claim", "give up", "publish"]),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["public", "operators"]),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(steps=steps, batch=st.booleans())
def test_claims_are_counted_by_reference(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], batch: bool
) -> None:
    """Whoever claims and gives up in whatever order, in one transaction or in many."""
    life = Life(tmp_path_factory.mktemp("claims"))
    store = life.registry.store
    cases = [case_of(life) for _ in range(4)]
    claims: set[tuple[int, str, str]] = set()
    published: set[tuple[str, str]] = set()
    works = []

    def plan(step: Step) -> None:
        what, who, which, audience = step
        case, text = cases[who], NAMES[which]
        if what == "claim":
            found = one(text, audience)
            content = {"kind": "email", "text": text, "canonical": found.canonical}
            claims.add((who, text, audience))
            works.append(lambda t: store.claim(t, case, found, content))
        elif what == "give up":
            claims.difference_update({c for c in claims if c[0] == who})
            works.append(lambda t: store.give_up_claims(t, case.request_id))
        else:
            published.update(there())
            works.append(
                lambda t: t.write("UPDATE listed SET first_release = 'r' WHERE NOT due_out")
            )

    def there() -> set[tuple[str, str]]:
        return {(text, audience) for _, text, audience in claims}

    for step in steps:
        plan(step)
    calls = [lambda w=work: store.database.write(w) for work in works]
    if batch and calls:
        in_one_batch(store.database, *calls)
    else:
        for call in calls:
            call()
    found = {(r.content["text"], r.audience): r.due_out for r in store.listed() if r.content}
    assert {key for key, due in found.items() if not due} == there()
    assert {key for key, due in found.items() if due} == published - there()
    check(life)
    life.reopen()
    assert {
        (r.content["text"], r.audience): r.due_out
        for r in life.registry.store.listed()
        if r.content
    } == found
    check(life)
    life.close()


@pytest.mark.parametrize("there_before", [True, False])
def test_what_one_gives_up_and_another_claims_at_once_is_listed(
    life: Life, there_before: bool
) -> None:
    """In one transaction, in either order: an entry that was just dropped is no entry any more."""
    first, second = case_of(life), case_of(life)
    store = life.registry.store
    calls = [
        lambda: claim(life, first, NAMES[0]),
        lambda: store.database.write(lambda t: store.give_up_claims(t, first.request_id)),
        lambda: claim(life, second, NAMES[0]),
    ]
    if there_before:
        calls.pop(0)()
    results = in_one_batch(store.database, *calls)
    (row,) = store.listed()
    assert row.listed_id == results[-1]
    check(life)


def test_a_namesake_keeps_what_another_gives_up(life: Life) -> None:
    first, second = case_of(life), case_of(life)
    entry = claim(life, first, "Jane@Example.org")
    assert claim(life, second, "jane@example.org") == entry
    assert claim(life, second, "jane@example.org", "operators") != entry
    store = life.registry.store
    store.database.write(lambda t: store.give_up_claims(t, first.request_id))
    assert [row.audience for row in store.listed("WHERE NOT due_out ORDER BY audience DESC")] == [
        "public",
        "operators",
    ]
    store.database.write(lambda t: store.give_up_claims(t, second.request_id))
    assert list(store.listed()) == []
    check(life)


def test_what_a_release_holds_stays_until_it_is_out_of_one(life: Life) -> None:
    case = case_of(life)
    entry = claim(life, case, NAMES[0])
    store = life.registry.store
    store.database.write(lambda t: t.insert("members", release="2026.2.0", listed_id=entry))
    store.database.write(lambda t: store.give_up_claims(t, case.request_id))
    (row,) = store.listed()
    assert row.due_out
    # Somebody claims it again before it is out.
    assert claim(life, case_of(life), NAMES[0]) == entry
    (row,) = store.listed()
    assert not row.due_out
    check(life)


def test_erasing_twice_or_while_unverified_counts_once(life: Life) -> None:
    """Also where the term of an erased request runs out afterwards."""
    from filter_service import workflow

    store = life.registry.store
    one, two = case_of(life), case_of(life)
    assert store.directory.unverified == 2
    for _ in range(2):
        life.registry.review.erase(one.request_id, "admin")
    assert store.directory.unverified == 1
    life.clock.forward(days=8)

    def expire(transaction: Transaction) -> None:
        case = store.case(one.request_id, transaction)
        store.move_case(transaction, case, workflow.expired(case.standing, transaction.now))

    store.database.write(expire)
    assert store.directory.unverified == 1
    check(life)
    assert two.request_id in store.directory.digests


def test_records_whose_key_was_destroyed_are_emptied(life: Life) -> None:
    """An old copy of the database has them still; erasing must come to an end."""
    case = case_of(life)
    store = life.registry.store
    life.registry.database.write(lambda t: t.destroy(case.key_id))
    gone = store.case(case.request_id)
    assert gone.file is None
    store.database.write(lambda t: store.erase_case(t, gone))
    assert store.database.row("SELECT count(*) FROM requests WHERE sealed IS NOT NULL") == (0,)
    assert store.database.row("SELECT count(*) FROM messages WHERE sealed IS NOT NULL") == (0,)


def test_orphan_keys_are_destroyed_and_no_others(life: Life) -> None:
    """As a crash between keys and rows leaves them; also beside keys that are just being made."""
    store = life.registry.store
    case = case_of(life)
    claim(life, case, NAMES[0])
    life.registry.access.register_operator("Example", "op@example.org", "2026-07", "en")
    assert store.reconcile() == 0
    orphans = [store.database.write(lambda t: t.keys.new()) for _ in range(3)]
    assert set(orphans) <= store.keys.durable()
    new, count, another = in_one_batch(
        store.database, lambda: case_of(life), store.reconcile, lambda: case_of(life)
    )
    assert count == 3
    assert not any(orphan in store.keys for orphan in orphans)
    assert new.file is not None
    assert another.file is not None
    assert store.reconcile() == 0
    assert life.registry.access.all()[0].who == "Example"
    trail = [entry.action for entry, _ in life.registry.database.trail()]
    assert trail.count("orphan_keys_destroyed") == 1


def test_an_erasure_that_a_crash_cut_short_is_finished_at_the_start(life: Life) -> None:
    case = case_of(life)
    life.registry.database.write(
        lambda t: t.write("UPDATE requests SET sealed = NULL WHERE request_id = ?", case.request_id)
    )
    life.registry.database.write(lambda t: t.write("UPDATE messages SET sealed = NULL"))
    assert case.key_id in life.registry.keys
    life.reopen()
    assert case.key_id not in life.registry.keys
    assert case.key_id in life.registry.keys.destroyed()


def test_a_key_that_is_missing_but_was_not_destroyed_stops_the_start(life: Life) -> None:
    """With old keys beside a new database every later case would look erased."""
    file = life.folder / "keys" / "data.keys"
    case_of(life)
    old = file.read_bytes()
    kept = case_of(life)
    life.close()
    whole = file.read_bytes()
    file.write_bytes(old)
    with pytest.raises(UnusableFolder, match="1 keys are missing"):
        life.reopen()
    damaged = bytearray(whole)
    damaged[30] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(UnusableFolder, match="1 keys are missing"):
        life.reopen()
    file.write_bytes(whole)
    life.reopen()
    assert life.registry.store.case(kept.request_id).file is not None


def test_keys_without_their_database_do_not_open_another_ones(life: Life, tmp_path: Path) -> None:
    case_of(life)
    other = Life(tmp_path / "other")
    other.close()
    other.folder.joinpath("registry.duckdb").write_bytes(b"")
    life.registry.database.backup(tmp_path / "copy")
    (tmp_path / "copy").replace(other.folder / "registry.duckdb")
    with pytest.raises(UnusableFolder, match="keys are missing"):
        other.reopen()


def test_what_was_mailed_is_forgotten_after_a_day(life: Life) -> None:
    directory = Directory()
    now = life.clock.now
    for number in range(30_000):
        now += timedelta(seconds=10)
        directory.mail(number.to_bytes(8, "big"), now, now)
        assert len(directory.mailed) <= 20_000
        # What is 8639 places back was mailed less than a day ago.
        for recent in (number, number - 4000, number - 8639):
            assert recent < 0 or recent.to_bytes(8, "big") in directory.mailed


def test_half_letters_do_not_cost_others_their_writes(life: Life) -> None:
    """Half of a surrogate pair has no octets; it becomes a question mark."""
    from filter_service.registry import Submission

    submission = Submission(
        uuid4(),
        RequestKind.ERASURE,
        [("email", MAIL, None)],
        MAIL,
        message="before \ud83d after",
    )
    receipt, other = in_one_batch(
        life.registry.database,
        lambda: life.registry.submit(submission),
        lambda: case_of(life),
    )
    assert other.file is not None
    file = life.registry.store.case(receipt.request_id).opened()
    assert file.message == "before ? after"
    assert life.registry.submit(submission).repeated


def test_secrets_compare_with_any_text(life: Life) -> None:
    store = life.registry.store
    token = store.token("status", uuid4())
    for text in ("", "é", "\ud83d", token[:-1], token.upper() + "\0", "x" * 10_000):
        assert not store.is_token(text, "status", "other")
    assert store.is_token(store.token("a", 1), "a", 1)


def test_no_plain_text_reaches_the_database(life: Life) -> None:
    life.accepted()
    life.registry.database.backup(life.folder / "copy")
    with duckdb.connect(str(life.folder / "copy"), read_only=True) as copy:
        tables = [
            row[0] for row in copy.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        ]
        rows = [str(copy.execute(f"SELECT * FROM {name}").fetchall()) for name in tables]
    assert "requests" in tables
    for text in ("jane", "doe", "example.org", "Zgraggen"):
        assert not any(text.lower() in row.lower() for row in rows)
