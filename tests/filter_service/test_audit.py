"""The audit trail: whatever is done to it afterwards is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter_service.audit import GENESIS, Entry, Head, chained, verified
from filter_service.errors import UnusableFolder

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.builds(
    Entry,
    st.just(0),
    st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
    words,
    words,
    words,
    st.dictionaries(words, words | st.integers(-(2**53), 2**53), max_size=3),
)


def chain(some: list[Entry]) -> list[tuple[Entry, bytes]]:
    """Entries as they are written, one behind the other."""
    head, made = GENESIS, []
    for number, one in enumerate(some, 1):
        entry = one._replace(number=number)
        head = chained(head, entry)
        made.append((entry, head))
    return made


chains = st.lists(entries, min_size=1, max_size=8).map(chain)


def head_of(trail: list[tuple[Entry, bytes]]) -> Head:
    return Head(trail[-1][0].number, trail[-1][1])


@given(chains)
def test_what_was_written_holds_and_has_grown_from_each_of_its_heads(
    trail: list[tuple[Entry, bytes]],
) -> None:
    assert verified(trail) == head_of(trail)
    heads = [head_of(trail[: n + 1]) for n in range(len(trail))]
    assert verified(trail, heads) == heads[-1]
    assert verified([]) == Head(0, GENESIS)


@given(chains, st.data())
def test_a_changed_entry_is_found(trail: list[tuple[Entry, bytes]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(trail) - 1))
    entry, digest = trail[at]
    field = data.draw(st.sampled_from(["moment", "actor", "action", "subject", "details"]))
    changed = {
        "moment": entry.moment + timedelta(microseconds=1)
        if entry.moment.year < 9999
        else entry.moment - timedelta(microseconds=1),
        "actor": entry.actor + "x",
        "action": "x" + entry.action,
        "subject": entry.subject + " ",
        "details": {**entry.details, "new": 1},
    }[field]
    trail[at] = (entry._replace(**{field: changed}), digest)
    with pytest.raises(UnusableFolder, match=f"from entry {at + 1} on"):
        verified(trail)


@given(chains, st.data())
def test_a_removed_repeated_or_moved_entry_is_found(
    trail: list[tuple[Entry, bytes]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(trail) - 1))
    removed = trail[:at] + trail[at + 1 :]
    if removed[at:]:
        with pytest.raises(UnusableFolder):
            verified(removed)
    with pytest.raises(UnusableFolder, match="removed"):
        verified(removed[:at], [head_of(trail)])
    with pytest.raises(UnusableFolder):
        verified([*trail[: at + 1], trail[at], *trail[at + 1 :]])
    if len(trail) > 1:
        other = data.draw(st.integers(0, len(trail) - 1).filter(lambda n: n != at))
        moved = list(trail)
        moved[at], moved[other] = moved[other], moved[at]
        with pytest.raises(UnusableFolder):
            verified(moved)


@given(chains, entries, st.data())
def test_an_inserted_entry_is_found(
    trail: list[tuple[Entry, bytes]], new: Entry, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(trail) - 1))
    before = trail[at - 1][1] if at else GENESIS
    entry = new._replace(number=at + 1)
    with pytest.raises(UnusableFolder):
        verified([*trail[:at], (entry, chained(before, entry)), *trail[at:]])


@given(chains, entries, st.data())
def test_a_trail_that_was_written_anew_does_not_pass_for_the_old_one(
    trail: list[tuple[Entry, bytes]], new: Entry, data: st.DataObject
) -> None:
    """Somebody who may write can make a trail that holds; a head that others have gives it away."""
    at = data.draw(st.integers(0, len(trail) - 1))
    some = [entry for entry, _ in trail]
    some[at] = new._replace(number=at + 1, subject=some[at].subject + "x")
    forged = chain(some)
    assert verified(forged).length == len(trail)
    with pytest.raises(UnusableFolder, match="rewritten"):
        verified(forged, [head_of(trail)])


@given(chains, entries)
def test_a_number_that_was_left_out_is_found(trail: list[tuple[Entry, bytes]], new: Entry) -> None:
    """Also where the hashes were made to fit."""
    entry = new._replace(number=len(trail) + 2)
    with pytest.raises(UnusableFolder, match=f"from entry {len(trail) + 1} on"):
        verified([*trail, (entry, chained(trail[-1][1], entry))])


@given(entries, st.integers(-12, 14))
def test_a_moment_is_the_same_in_any_time_zone(entry: Entry, hours: int) -> None:
    there = timezone(timedelta(hours=hours))
    try:
        elsewhere = entry._replace(moment=entry.moment.astimezone(there))
    except OverflowError:
        return
    assert chained(GENESIS, elsewhere) == chained(GENESIS, entry)


def test_the_hash_is_that_of_the_format() -> None:
    """Golden: others may check a trail by its description."""
    moment = datetime(2026, 8, 3, 9, 0, 0, 5, tzinfo=UTC)
    entry = Entry(1, moment, "reviewer:ö", "decided", "s", {"b": 2, "a": "x"})
    assert (
        chained(GENESIS, entry).hex()
        == "1a0257e94a6fa8b68ed26bcf48f988b3b231bf61b539c748f3a9a590becc0fd0"
    )
