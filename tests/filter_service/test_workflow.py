"""Where a request may go from where it stands: all steps from all states, and any sequence of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from filter_service import workflow
from filter_service.errors import NotAllowed, Refusal, WrongState
from filter_service.model import FINAL, OPEN, Reason, Standing, State
from filter_service.workflow import months_later

NOW = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WAITING = OPEN | {State.UNVERIFIED, State.REJECTED}
days = st.floats(0, 3000).map(lambda d: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=d))

STEPS: dict[str, Callable[[Standing], Standing]] = {
    "verify": lambda s: workflow.verified(s, NOW),
    "expire": lambda s: workflow.expired(replace(s, due=NOW), NOW),
    "extend": lambda s: workflow.extended(s, NOW),
    "accept": lambda s: workflow.accepted(s, "cleo", two=False),
    "approve": lambda s: workflow.accepted(s, "cleo", two=True),
    "reject": lambda s: workflow.rejected(s, "cleo", Reason.NO_MATCH, NOW),
    "appeal": lambda s: workflow.appealed(s, NOW),
    "object": lambda s: workflow.objected(s, NOW),
    "uphold": lambda s: workflow.objection_decided(s, "cleo", upheld=True),
    "dismiss": lambda s: workflow.objection_decided(s, "cleo", upheld=False),
    "withdraw": workflow.withdrawn,
    "release": workflow.released,
}
TABLE = """
             verify    expire  extend    accept   approve   reject   appeal   object   uphold      dismiss   withdraw    release
unverified   in_review expired -         -        -         -        -        -        -           -         withdrawn   -
in_review    -         -       in_review accepted in_review rejected -        -        -           -         withdrawn   -
accepted     -         -       -         -        -         -        -        objected -           -         withdrawn   published
rejected     -         -       -         -        -         -        appealed -        -           -         withdrawn   -
appealed     -         -       appealed  accepted appealed  rejected -        -        -           -         withdrawn   -
published    -         -       -         -        -         -        -        objected -           -         removal_due -
objected     -         -       objected  -        -         -        -        -        withdrawn   accepted  withdrawn   -
objected*    -         -       objected  -        -         -        -        -        removal_due published removal_due -
removal_due  -         -       -         -        -         -        -        -        -           -         -           removed
removed      -         -       -         -        -         -        -        -        -           -         -           -
withdrawn    -         -       -         -        -         -        -        -        -           -         -           -
expired      -         -       -         -        -         -        -        -        -           -         -           -
"""
"""State and step -> the next state; ``*`` marks what is published."""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
CASES = [(row[0], step, word) for row in _ROWS for step, word in zip(_HEAD, row[1:], strict=True)]


def standing(state: str) -> Standing:
    """As a request stands that has come to a state; a star means that it is published."""
    published = state.endswith("*") or state in ("published", "removal_due")
    return Standing(
        State(state.rstrip("*")),
        received=NOW - timedelta(days=1),
        due=NOW + timedelta(days=1) if State(state.rstrip("*")) in WAITING else None,
        decided_by=None if state in ("unverified", "in_review") else "ada",
        published=published,
    )


def test_the_table_has_every_state_and_step() -> None:
    assert {row[0].rstrip("*") for row in _ROWS} == set(State)
    assert list(STEPS) == _HEAD


@pytest.mark.parametrize(("state", "step", "expected"), CASES)
def test_every_step_from_every_state(state: str, step: str, expected: str) -> None:
    if expected == "-":
        with pytest.raises(WrongState):
            STEPS[step](standing(state))
        return
    after = STEPS[step](standing(state))
    assert after.state == expected
    assert after.received == standing(state).received
    if after.state in FINAL:
        assert after.due is None
        assert not after.published


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-03-31", 1, "2026-04-30"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-11-30", 1, "2026-12-30"),
        ("2026-12-01", 1, "2027-01-01"),
        ("2026-02-28", 1, "2026-03-28"),
    ],
)
def test_a_month_ends_on_the_same_day_or_the_last(day: str, months: int, expected: str) -> None:
    assert months_later(datetime.fromisoformat(day), months).date().isoformat() == expected


@given(days, st.integers(0, 30))
def test_later_months_are_later_and_never_skip_one(moment: datetime, months: int) -> None:
    later = months_later(moment, months)
    assert (later.year * 12 + later.month) - (moment.year * 12 + moment.month) == months
    assert later.day <= moment.day
    assert later.time() == moment.time()
    if later.day < moment.day:
        assert (later + timedelta(days=1)).day == 1


def test_terms_to_the_second() -> None:
    new = workflow.received(NOW)
    assert new.due == NOW + timedelta(days=7)
    last = new.due - SECOND
    with pytest.raises(WrongState, match="still"):
        workflow.expired(new, last)
    assert workflow.verified(new, last).due == datetime(2026, 9, 3, 9, 0, tzinfo=UTC)
    with pytest.raises(WrongState, match="expired"):
        workflow.verified(new, new.due)
    assert workflow.expired(new, new.due).state is State.EXPIRED


def test_a_term_is_extended_once_and_before_its_end() -> None:
    open_case = workflow.verified(workflow.received(NOW), NOW)
    assert open_case.due is not None
    with pytest.raises(WrongState, match="over"):
        workflow.extended(open_case, open_case.due)
    longer = workflow.extended(open_case, open_case.due - SECOND)
    assert longer.due == datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
    with pytest.raises(WrongState, match="once"):
        workflow.extended(longer, NOW)


def test_an_appeal_is_in_time_and_once() -> None:
    refused = workflow.rejected(standing("in_review"), "ada", Reason.NO_MATCH, NOW)
    assert refused.due == NOW + timedelta(days=30)
    with pytest.raises(WrongState, match="final"):
        workflow.appealed(refused, refused.due)
    again = workflow.appealed(refused, refused.due - SECOND)
    with pytest.raises(NotAllowed):
        workflow.accepted(again, "ada", two=False)
    with pytest.raises(NotAllowed):
        workflow.rejected(again, "ada", Reason.NO_MATCH, NOW)
    final = workflow.rejected(again, "bob", Reason.NO_MATCH, NOW)
    with pytest.raises(WrongState, match="final"):
        workflow.appealed(final, NOW)


def test_who_approved_first_does_not_approve_again_in_any_way() -> None:
    first = workflow.accepted(standing("in_review"), "ada", two=True)
    assert first.state is State.IN_REVIEW
    for two in (True, False):
        with pytest.raises(NotAllowed):
            workflow.accepted(first, "ada", two=two)
        assert workflow.accepted(first, "bob", two=two).state is State.ACCEPTED


def test_neither_of_two_who_accepted_decides_about_an_objection() -> None:
    accepted = workflow.accepted(
        workflow.accepted(standing("in_review"), "ada", two=True), "bob", two=True
    )
    case = workflow.objected(accepted, NOW)
    for reviewer in ("ada", "bob"):
        with pytest.raises(NotAllowed):
            workflow.objection_decided(case, reviewer, upheld=False)
    assert workflow.objection_decided(case, "cleo", upheld=False).state is State.ACCEPTED


class Request(RuleBasedStateMachine):
    """Any sequence of steps by any of three reviewers at any time."""

    reviewers = st.sampled_from(["ada", "bob", "cleo"])

    @initialize(day=days)
    def begin(self, day: datetime) -> None:
        self.now = day
        self.standing = workflow.received(self.now)
        self.in_release = False
        self.extensions = 0
        self.appeals = 0
        self.approvals: set[str] = set()
        self.decided: set[str] = set()

    def step(self, function: Callable[..., Standing], *arguments: object, **named: object) -> bool:
        before = self.standing
        try:
            self.standing = function(before, *arguments, **named)
        except Refusal:
            return False
        assert before.state not in FINAL, "nothing leaves a final state"
        assert self.standing.received == before.received
        return True

    @rule(days=st.floats(0, 40))
    def wait(self, days: float) -> None:
        self.now += timedelta(days=days)

    @rule()
    def go_on(self) -> None:
        """What usually comes next, or else chance seldom comes to an end."""
        state = self.standing.state
        if state is State.UNVERIFIED:
            self.verify()
        elif state in {State.IN_REVIEW, State.APPEALED}:
            self.accept(reviewer="dan", two=False)
        elif state in {State.ACCEPTED, State.REMOVAL_DUE}:
            self.release()

    @rule()
    def verify(self) -> None:
        due = self.standing.due
        if self.step(workflow.verified, self.now):
            assert due is not None
            assert self.now < due
            assert self.standing.due == months_later(self.standing.received, 1)

    @rule()
    def expire(self) -> None:
        due = self.standing.due
        if self.step(workflow.expired, self.now):
            assert due is not None
            assert self.now >= due

    @rule()
    def extend(self) -> None:
        due = self.standing.due
        if self.step(workflow.extended, self.now):
            self.extensions += 1
            assert due is not None
            assert self.now < due
            assert self.standing.due == months_later(due, 2)
            assert self.extensions == 1, "once a term"

    @rule(reviewer=reviewers, two=st.booleans())
    def accept(self, reviewer: str, two: bool) -> None:
        was = self.standing.state
        if self.step(workflow.accepted, reviewer, two=two):
            self.approvals.add(reviewer)
            if self.standing.state is State.ACCEPTED:
                if two:
                    assert len(self.approvals) > 1, "never one alone"
                if was is State.APPEALED:
                    assert reviewer not in self.decided, "another one than before"
                self.decided = set(self.approvals)

    @rule(reviewer=reviewers)
    def reject(self, reviewer: str) -> None:
        was = self.standing.state
        if self.step(workflow.rejected, reviewer, Reason.OTHER, self.now):
            if was is State.APPEALED:
                assert reviewer not in self.decided
            self.approvals, self.decided = set(), {reviewer}

    @rule()
    def appeal(self) -> None:
        due = self.standing.due
        if self.step(workflow.appealed, self.now):
            self.appeals += 1
            self.extensions = 0
            assert due is not None
            assert self.now < due
            assert self.appeals == 1, "once"

    @rule()
    def object(self) -> None:
        if self.step(workflow.objected, self.now):
            self.extensions = 0

    @rule(reviewer=reviewers, upheld=st.booleans())
    def decide_objection(self, reviewer: str, upheld: bool) -> None:
        if self.step(workflow.objection_decided, reviewer, upheld=upheld):
            assert reviewer not in self.decided, "not one of those who accepted"
            if upheld:
                final = State.REMOVAL_DUE if self.in_release else State.WITHDRAWN
                assert self.standing.state is final

    @rule()
    def withdraw(self) -> None:
        if self.step(workflow.withdrawn):
            final = State.REMOVAL_DUE if self.in_release else State.WITHDRAWN
            assert self.standing.state is final

    @rule()
    def release(self) -> None:
        if self.step(workflow.released):
            self.in_release = self.standing.state is State.PUBLISHED

    @invariant()
    def flags(self) -> None:
        if not hasattr(self, "standing"):
            return
        now = self.standing
        assert now.published == self.in_release
        if now.state in {State.PUBLISHED, State.REMOVAL_DUE}:
            assert now.published
        if now.state in FINAL:
            assert not now.published
            assert now.due is None
        if now.state in OPEN | {State.UNVERIFIED}:
            assert now.due is not None


TestRequest = Request.TestCase
TestRequest.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
