"""What reviewers may do, alone, one after the other, and at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from one_batch import in_one_batch
from registry_life import Life

from filter_service.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    Refusal,
    TooMany,
    Unacceptable,
    WrongState,
)
from filter_service.model import Reason, State
from filter_service.registry import Receipt, Registry
from filter_service.review import MOST_OBJECTIONS, Outcome

MAIL = "jane.doe@example.org"
EMAIL = ("email", MAIL, None)
NAME = ("name", "Jane Doebler-Zgraggen", None)
YES = Outcome(0, accepted=True, note="Seen.", seen=True)
NO = Outcome(0, accepted=False, reason=Reason.NO_MATCH)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def waiting(life: Life, *identities: Any, mail: str = MAIL) -> Receipt:
    """A confirmed request."""
    life.clock.forward(days=1)
    receipt = life.submit(list(identities) or [EMAIL], mail)
    life.confirm(receipt)
    return receipt


def trail(life: Life) -> list[tuple[str, str, dict[str, Any]]]:
    return [(e.actor, e.action, dict(e.details)) for e, _ in life.registry.database.trail()]


# -- deciding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcomes"),
    [
        ("incomplete", []),
        ("incomplete", [YES]),
        ("incomplete", [YES, YES]),
        ("incomplete", [YES, replace(YES, position=2)]),
        ("incomplete", [YES, replace(YES, position=-1)]),
        ("incomplete", [YES, replace(YES, position=1), replace(NO, position=1)]),
        ("not_verified", [YES, Outcome(1, accepted=True)]),
        ("no_reason", [YES, Outcome(1, accepted=False)]),
    ],
)
def test_a_decision_is_about_each_identity_once(
    life: Life, code: str, outcomes: list[Outcome]
) -> None:
    receipt = waiting(life, EMAIL, NAME)
    before = life.registry.store.case(receipt.request_id).version
    with pytest.raises(Unacceptable) as error:
        life.registry.review.decide(receipt.request_id, "ada", outcomes)
    assert error.value.code == code
    assert "Jane" not in str(error.value)
    assert life.registry.store.case(receipt.request_id).version == before


def test_what_is_not_confirmed_is_not_decided(life: Life) -> None:
    receipt = life.submit([EMAIL])
    for outcome in (YES, NO):
        with pytest.raises(WrongState):
            life.registry.review.decide(receipt.request_id, "ada", [outcome])
    with pytest.raises(NotFound):
        life.registry.review.decide(uuid4(), "ada", [YES])


def test_some_identities_are_accepted_and_others_not(life: Life) -> None:
    receipt = waiting(life, EMAIL, ("phone", "044 668 18 00", "operators"))
    no = Outcome(1, accepted=False, reason=Reason.INSUFFICIENT_VERIFICATION, note="x" * 9000)
    standing = life.registry.review.decide(receipt.request_id, "ada", [no, YES], "Words.")
    assert standing.state is State.ACCEPTED
    assert standing.decided_by == "ada"
    (row,) = life.registry.store.listed()
    assert (row.kind, row.audience) == ("email", "public")
    assert row.content is not None
    assert len(row.content["hashes"]) == 1
    file = life.registry.store.case(receipt.request_id).opened()
    assert [(one.outcome, one.reason, len(one.note)) for one in file.identities] == [
        ("accepted", "granted", 5),
        ("refused", "insuf_verification", 4000),
    ]
    assert file.letter == "Words."
    assert trail(life)[-1][2] == {
        "state": "accepted",
        "reason": "granted",
        "accepted": 1,
        "refused": 1,
    }


def test_phrases_need_two_reviewers_and_they_must_agree(life: Life) -> None:
    receipt = waiting(life, EMAIL, NAME)
    both = [YES, replace(YES, position=1)]
    name_refused = [YES, replace(NO, position=1)]
    decide = life.registry.review.decide
    first = decide(receipt.request_id, "ada", both)
    assert (first.state, first.first_reviewer) == (State.IN_REVIEW, "ada")
    assert list(life.registry.store.listed()) == []
    for outcomes in (both, name_refused):
        with pytest.raises(Refusal):
            decide(receipt.request_id, "ada", outcomes)
    with pytest.raises(Conflict, match="agree"):
        decide(receipt.request_id, "bob", name_refused)
    assert life.state(receipt) == "in_review"
    assert decide(receipt.request_id, "bob", both).state is State.ACCEPTED
    assert [row.kind for row in life.registry.store.listed("ORDER BY kind")] == ["email", "name"]
    assert [(actor, action) for actor, action, _ in trail(life)][-2:] == [
        ("reviewer:ada", "approved_first"),
        ("reviewer:bob", "decided"),
    ]
    # One alone may refuse it all, or accept what is no phrase.
    for outcomes, state in (
        ([NO, replace(NO, position=1)], State.REJECTED),
        (name_refused, State.ACCEPTED),
    ):
        other = waiting(life, EMAIL, NAME)
        assert decide(other.request_id, "ada", outcomes).state is state


def test_the_second_of_two_may_refuse_the_whole(life: Life) -> None:
    receipt = waiting(life, NAME)
    life.registry.review.decide(receipt.request_id, "ada", [YES])
    standing = life.registry.review.decide(receipt.request_id, "bob", [NO])
    assert (standing.state, standing.decided_by) == (State.REJECTED, "bob")
    assert standing.reason == Reason.NO_MATCH
    file = life.registry.store.case(receipt.request_id).opened()
    assert file.identities[0].outcome == "refused"
    # On appeal nothing of the first approval counts any more.
    life.registry.appeal(receipt.request_id, receipt.secret, "Please.")
    with pytest.raises(NotAllowed):
        life.registry.review.decide(receipt.request_id, "bob", [YES])
    first = life.registry.review.decide(receipt.request_id, "ada", [YES])
    assert first.state is State.APPEALED
    with pytest.raises(NotAllowed):
        life.registry.review.decide(receipt.request_id, "ada", [YES])
    last = life.registry.review.decide(receipt.request_id, "cleo", [YES])
    assert last.state is State.ACCEPTED


def test_the_gate_may_forbid_an_entry_or_ask_for_a_reason(tmp_path: Path) -> None:
    said = {"email": ("refused", "It is too short."), "phone": ("warned", "Many have it.")}
    life = Life(tmp_path)
    life.registry.close()
    life.registry = Registry.open(
        tmp_path, settings=life.settings, clock=life.clock, gate=lambda kind, _: said.get(kind)
    )
    email = waiting(life, EMAIL)
    with pytest.raises(Unacceptable) as error:
        life.registry.review.decide(email.request_id, "ada", [YES])
    assert error.value.code == "compile_gate"
    phone = waiting(life, ("phone", "044 668 18 00", None))
    for note in ("", "  "):
        with pytest.raises(Unacceptable, match="Many have it"):
            life.registry.review.decide(phone.request_id, "ada", [replace(YES, note=note)])
    standing = life.registry.review.decide(phone.request_id, "ada", [YES])
    assert standing.state is State.ACCEPTED
    # What is refused is not looked at.
    standing = life.registry.review.decide(email.request_id, "ada", [NO])
    assert standing.state is State.REJECTED
    life.close()


def test_a_case_that_changed_meanwhile_must_be_read_again(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    seen = life.registry.review.read_case(receipt.request_id, "reviewer:ada")
    life.registry.review.extend(receipt.request_id, "bob", Reason.COMPLEX)
    with pytest.raises(Conflict, match="read it again"):
        life.registry.review.decide(receipt.request_id, "ada", [YES], version=seen.version)
    seen = life.registry.review.read_case(receipt.request_id, "reviewer:ada")
    standing = life.registry.review.decide(receipt.request_id, "ada", [YES], version=seen.version)
    assert standing.state is State.ACCEPTED
    assert life.registry.store.case(receipt.request_id).version == seen.version + 1


@pytest.mark.parametrize("identity", [EMAIL, NAME])
def test_decisions_at_the_same_moment_end_in_exactly_one(life: Life, identity: Any) -> None:
    for _ in range(3):
        receipt = waiting(life, identity)
        barrier = Barrier(6)

        def decide(
            number: int, receipt: Receipt = receipt, barrier: Barrier = barrier
        ) -> State | None:
            outcome = YES if number % 2 else NO
            barrier.wait()
            try:
                return life.registry.review.decide(
                    receipt.request_id, f"r{number}", [outcome]
                ).state
            except Refusal:
                return None

        before = len(trail(life))
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(decide, range(6)))
        ends = [one for one in results if one not in {None, State.IN_REVIEW}]
        assert len(ends) == 1
        assert life.state(receipt) == ends[0]
        decided = [action for _, action, _ in trail(life)[before:]]
        assert decided.count("decided") == 1
        assert decided.count("approved_first") <= 1
        claims = life.registry.database.row(
            "SELECT count(*) FROM claims WHERE request_id = ?", receipt.request_id
        )
        assert claims == (int(ends[0] is State.ACCEPTED),)


def test_two_approvals_in_one_transaction_list_a_name_once(life: Life) -> None:
    receipt = waiting(life, NAME)
    results = in_one_batch(
        life.registry.database,
        *(
            lambda r=reviewer: life.registry.review.decide(receipt.request_id, r, [YES])
            for reviewer in ("ada", "bob", "cleo")
        ),
    )
    assert [one.state for one in results[:2]] == [State.IN_REVIEW, State.ACCEPTED]
    assert isinstance(results[2], WrongState)
    assert len(list(life.registry.store.listed())) == 1


def test_a_withdrawal_and_an_acceptance_at_once_leave_nothing_listed(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    review = life.registry.review
    withdraw = lambda: life.registry.withdraw(receipt.request_id, receipt.secret)  # noqa: E731
    decide = lambda: review.decide(receipt.request_id, "ada", [YES])  # noqa: E731
    decided, withdrawn = in_one_batch(life.registry.database, decide, withdraw)
    assert decided.state is State.ACCEPTED
    assert withdrawn.standing.state is State.WITHDRAWN
    assert list(life.registry.store.listed()) == []
    receipt = waiting(life, EMAIL)
    withdrawn, decided = in_one_batch(life.registry.database, withdraw, decide)
    assert withdrawn.standing.state is State.WITHDRAWN
    assert isinstance(decided, WrongState)
    assert list(life.registry.store.listed()) == []


# -- the rest of it -------------------------------------------------------------------------------


def test_the_queue_is_by_due_day_and_goes_on_where_it_was_left(life: Life) -> None:
    receipts = [waiting(life, ("email", f"p{n}@example.org", None), mail=f"p{n}@example.org") for n in range(7)]  # fmt: skip
    life.registry.review.extend(receipts[0].request_id, "ada", Reason.COMPLEX)
    life.registry.review.decide(receipts[3].request_id, "ada", [NO])
    life.clock.forward(hours=1)
    life.registry.appeal(receipts[3].request_id, receipts[3].secret, "No.")
    life.submit()  # not confirmed: nobody needs to decide
    expected = [r.request_id for r in (*receipts[1:3], *receipts[4:], receipts[3], receipts[0])]
    assert [case.request_id for case in life.registry.review.queue()] == expected
    for size in (1, 2, 3):
        found, after = [], None
        while page := life.registry.review.queue(size, after):
            assert len(page) <= size
            found += [case.request_id for case in page]
            assert page[-1].standing.due is not None
            after = (page[-1].standing.due, page[-1].request_id)
        assert found == expected


def test_looking_for_an_identifier_leaves_a_count_and_no_more(life: Life) -> None:
    receipts = [life.submit([("phone", "044 668 18 00", None)]) for _ in range(2)]
    life.registry.review.erase(receipts[0].request_id, "admin")
    for text in ("+41 44 668 18 00", "0446681800"):
        found = life.registry.review.find("phone", text, "reviewer:ada")
        assert found == [receipts[1].request_id]
    assert life.registry.review.find("phone", "044 668 18 01", "reviewer:ada") == []
    looked = [line for line in trail(life) if line[1] == "looked_up"]
    assert looked == [("reviewer:ada", "looked_up", {"found": n}) for n in (1, 1, 0)]
    everything = str(life.registry.database.rows("SELECT * FROM audit"))
    assert "6681800" not in everything.replace(" ", "")
    with pytest.raises(Unacceptable):
        life.registry.review.find("phone", "nothing", "reviewer:ada")


def test_reading_a_case_is_written_down(life: Life) -> None:
    receipt = life.submit()
    assert life.registry.review.read_case(receipt.request_id, "reviewer:ada").file is not None
    assert trail(life)[-1][:2] == ("reviewer:ada", "read")
    with pytest.raises(NotFound):
        life.registry.review.read_case(uuid4(), "reviewer:ada")
    assert len(trail(life)) == 2


def test_an_extension_tells_the_asker_why(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    standing = life.registry.review.extend(receipt.request_id, "ada", Reason.COMPLEX, "Many sites.")
    (told,) = [c for _, template, c in life.messages(receipt.request_id) if template == "extension"]
    assert standing.due is not None
    assert told["values"]["due"] == standing.due.date().isoformat()
    assert trail(life)[-1] == ("reviewer:ada", "extended", {"reason": "complex_or_numerous"})
    with pytest.raises(WrongState):
        life.registry.review.extend(receipt.request_id, "ada", Reason.COMPLEX)


def test_objections_are_decided_by_neither_of_those_who_accepted(life: Life) -> None:
    receipt = waiting(life, NAME)
    review = life.registry.review
    review.decide(receipt.request_id, "ada", [YES])
    review.decide(receipt.request_id, "bob", [YES])
    review.object(receipt.request_id, "Mine.", "reviewer:ada")
    for reviewer in ("ada", "bob"):
        with pytest.raises(NotAllowed):
            review.decide_objection(receipt.request_id, reviewer, upheld=True)
    assert review.decide_objection(receipt.request_id, "cleo", upheld=False).state is State.ACCEPTED
    for number in range(1, MOST_OBJECTIONS):
        review.object(receipt.request_id, f"Mine {number}.", "reviewer:ada")
        review.decide_objection(receipt.request_id, "cleo", upheld=False)
    with pytest.raises(TooMany):
        review.object(receipt.request_id, "Mine.", "reviewer:ada")
    assert len(list(life.registry.store.listed("WHERE NOT due_out"))) == 1


def test_an_objection_that_is_upheld_takes_the_entry_out(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    life.registry.review.decide(receipt.request_id, "ada", [YES])
    life.registry.review.object(receipt.request_id, "Mine.", "reviewer:ada")
    standing = life.registry.review.decide_objection(receipt.request_id, "bob", upheld=True)
    assert (standing.state, standing.reason) == (State.WITHDRAWN, Reason.OBJECTION_UPHELD)
    assert list(life.registry.store.listed()) == []
    with pytest.raises(WrongState):
        life.registry.review.object(receipt.request_id, "Mine.", "reviewer:ada")


def test_what_waits_for_a_decision_is_not_erased(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    with pytest.raises(WrongState):
        life.registry.review.erase(receipt.request_id, "admin")
    life.registry.review.decide(receipt.request_id, "ada", [YES])
    life.registry.review.erase(receipt.request_id, "admin")
    assert life.registry.status(receipt.request_id, receipt.secret).erased
    assert len(list(life.registry.store.listed())) == 1, (
        "what is listed stays until it is withdrawn"
    )
    life.registry.withdraw(receipt.request_id, receipt.secret)
    assert list(life.registry.store.listed()) == []
    for call in (
        lambda: life.registry.appeal(receipt.request_id, receipt.secret, "x"),
        lambda: life.registry.review.object(receipt.request_id, "x", "reviewer:ada"),
        lambda: life.registry.review.decide(receipt.request_id, "ada", [YES]),
    ):
        with pytest.raises(Refusal):
            call()


def test_the_term_of_an_open_case_passing_does_not_stop_a_decision(life: Life) -> None:
    receipt = waiting(life, EMAIL)
    life.clock.now += timedelta(days=90)
    assert life.registry.review.decide(receipt.request_id, "ada", [YES]).state is State.ACCEPTED
