"""The life of a request, as functions of where it stands: no clock, no database.

Every step takes a `Standing` and returns the next one, or refuses. Terms are those of GDPR 12(3): one
month from receipt, extendable once by two months with a reason given in time.
"""

from __future__ import annotations

import calendar
from dataclasses import replace
from datetime import datetime, timedelta

from filter_service.errors import NotAllowed, WrongState
from filter_service.model import FINAL, OPEN, Reason, Standing, State

UNVERIFIED_DAYS = 7
APPEAL_DAYS = 30
EXTENSION_MONTHS = 2


def months_later(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or the last day of a shorter one (Regulation 1182/71, 3(2)(c))."""
    month = moment.month - 1 + months
    year, month = moment.year + month // 12, month % 12 + 1
    return moment.replace(
        year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])
    )


def received(now: datetime) -> Standing:
    """A request that nobody has shown to be theirs."""
    return Standing(State.UNVERIFIED, received=now, due=now + timedelta(days=UNVERIFIED_DAYS))


def verified(standing: Standing, now: datetime) -> Standing:
    """The asker confirmed the request; it waits for a reviewer."""
    _need(standing, State.UNVERIFIED)
    if standing.due is not None and now >= standing.due:
        raise WrongState("expired", "This request has expired: send a new one.")
    return replace(standing, state=State.IN_REVIEW, due=months_later(standing.received, 1))


def expired(standing: Standing, now: datetime) -> Standing:
    """Nobody confirmed it in time."""
    _need(standing, State.UNVERIFIED)
    if standing.due is None or now < standing.due:
        raise WrongState("not_due", "This request may still be confirmed.")
    return _closed(standing, State.EXPIRED, Reason.NOT_VERIFIED_IN_TIME)


def extended(standing: Standing, now: datetime) -> Standing:
    """The decision takes longer; only once, and only before the term is over."""
    _need(standing, *OPEN)
    if standing.extended:
        raise WrongState("extended_before", "A term is extended only once: decide this request.")
    if standing.due is None or now >= standing.due:
        raise WrongState("term_over", "The term is over: decide this request without delay.")
    return replace(standing, extended=True, due=months_later(standing.due, EXTENSION_MONTHS))


def accepted(standing: Standing, reviewer: str, *, two: bool) -> Standing:
    """A reviewer accepts; where two must, the first leaves it in review for another one."""
    _decide(standing, reviewer, State.IN_REVIEW, State.APPEALED)
    if two and standing.first_reviewer is None:
        return replace(standing, first_reviewer=reviewer)
    if standing.first_reviewer == reviewer:
        raise NotAllowed(
            "four_eyes", "You have approved this request before: another reviewer must do it too."
        )
    return replace(
        standing,
        state=State.ACCEPTED,
        due=None,
        decided_by=reviewer,
        reason=Reason.GRANTED,
    )


def rejected(standing: Standing, reviewer: str, reason: Reason, now: datetime) -> Standing:
    """A reviewer refuses; an appeal may follow, once."""
    _decide(standing, reviewer, State.IN_REVIEW, State.APPEALED)
    appealed = standing.state is State.APPEALED
    return replace(
        standing,
        state=State.REJECTED,
        due=None if appealed else now + timedelta(days=APPEAL_DAYS),
        decided_by=reviewer,
        reason=reason,
        first_reviewer=None,
    )


def appealed(standing: Standing, now: datetime) -> Standing:
    """The asker does not accept a refusal; another reviewer decides."""
    _need(standing, State.REJECTED)
    if standing.due is None or now >= standing.due:
        raise WrongState(
            "appeal_over", "This decision is final here: turn to the supervisory authority."
        )
    return replace(
        standing,
        state=State.APPEALED,
        due=months_later(now, 1),
        extended=False,
        first_reviewer=None,
    )


def objected(standing: Standing, now: datetime) -> Standing:
    """A third party objects to what is listed."""
    _need(standing, State.ACCEPTED, State.PUBLISHED)
    published = standing.state is State.PUBLISHED
    return replace(
        standing,
        state=State.OBJECTED,
        due=months_later(now, 1),
        extended=False,
        published=published,
    )


def objection_decided(standing: Standing, reviewer: str, *, upheld: bool) -> Standing:
    """A reviewer other than those who had accepted decides about an objection."""
    _decide(standing, reviewer, State.OBJECTED)
    if not upheld:
        state = State.PUBLISHED if standing.published else State.ACCEPTED
        return replace(standing, state=state, due=None, reason=Reason.OBJECTION_DISMISSED)
    if standing.published:
        return replace(standing, state=State.REMOVAL_DUE, due=None, reason=Reason.OBJECTION_UPHELD)
    return _closed(standing, State.WITHDRAWN, Reason.OBJECTION_UPHELD)


def withdrawn(standing: Standing) -> Standing:
    """The asker takes the request back, at any time; what is published goes with the next release."""
    _need(standing, *(set(State) - FINAL - {State.REMOVAL_DUE}))
    published = standing.state is State.PUBLISHED or standing.published
    if published:
        return replace(standing, state=State.REMOVAL_DUE, due=None, reason=Reason.ASKED_BY_PERSON)
    return _closed(standing, State.WITHDRAWN, Reason.ASKED_BY_PERSON)


def released(standing: Standing) -> Standing:
    """A release was published: what was accepted is in it, what was due to go is not."""
    _need(standing, State.ACCEPTED, State.REMOVAL_DUE)
    if standing.state is State.ACCEPTED:
        return replace(standing, state=State.PUBLISHED, published=True)
    return replace(standing, state=State.REMOVED, published=False)


def _need(standing: Standing, *states: State) -> None:
    if standing.state not in states:
        raise WrongState(
            "wrong_state", f"This cannot be done while the request is {standing.state.value}."
        )


def _decide(standing: Standing, reviewer: str, *states: State) -> None:
    """Whether a reviewer may decide: an appeal or objection is for another one than before."""
    _need(standing, *states)
    before = {
        State.APPEALED: {standing.decided_by},
        State.OBJECTED: {standing.decided_by, standing.first_reviewer},
    }
    if reviewer in before.get(standing.state, ()):
        raise NotAllowed(
            "another_reviewer", "You decided this request before: another reviewer must do it now."
        )


def _closed(standing: Standing, state: State, reason: Reason) -> Standing:
    return replace(standing, state=state, due=None, reason=reason, first_reviewer=None)
