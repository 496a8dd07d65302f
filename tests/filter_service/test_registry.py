"""From a submission to its end, as the asker sees it; and as somebody sees it who has no business there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_batch import in_one_batch
from registry_life import JANE, SETTINGS, Life

from filter_service import workflow
from filter_service.access import Role
from filter_service.errors import (
    Conflict,
    NotFound,
    Refusal,
    TooMany,
    Unacceptable,
    UnusableFolder,
    WrongState,
)
from filter_service.model import Evidence, Reason, RequestKind, State
from filter_service.registry import ATTEMPTS, Receipt, Registry, Submission
from filter_service.review import Outcome
from filter_service.settings import Limits

MAIL = "jane.doe@example.org"
PHONE = ("phone", "044 668 18 00", None)
SECOND = timedelta(seconds=1)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def submission(**changed: Any) -> Submission:
    return replace(Submission(uuid4(), RequestKind.ERASURE, JANE, MAIL), **changed)


def sent(life: Life, receipt: Receipt, template: str, channel: str | None = None) -> list[Any]:
    return [
        content
        for where, name, content in life.messages(receipt.request_id)
        if name == template and channel in (None, where)
    ]


def token(content: Any) -> str:
    link: str = content["values"]["link"]
    return link.rpartition("/")[2]


def view(life: Life, receipt: Receipt) -> Any:
    return life.registry.status(receipt.request_id, receipt.secret)


def count(life: Life, what: str) -> int:
    row = life.registry.database.row(f"SELECT count(*) FROM {what}")
    assert row is not None
    return int(row[0])


# -- handing in -----------------------------------------------------------------------------------


def test_a_repeated_submission_is_the_same_request(life: Life) -> None:
    one = submission()
    first = life.registry.submit(one)
    life.clock.forward(days=1)
    again = life.registry.submit(one)
    assert not first.repeated
    assert again == replace(first, repeated=True)
    life.confirm(first)
    life.reopen()
    assert life.registry.submit(one) == again
    assert count(life, "requests") == 1
    assert len(sent(life, first, "confirm")) == 1
    assert first.expected == workflow.months_later(first.received, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": RequestKind.RIGHTSHOLDER, "identities": [("domain", "example.org", None)]},
        {"identities": [*JANE, PHONE]},
        {"identities": JANE[:1]},
        {"identities": [("email", MAIL, "operators"), JANE[1]]},
        {"email": "j.doe@example.org"},
        {"language": "de"},
        {"regulation": "ccpa"},
        {"message": "Please."},
        {"source": "somebody else"},
        {"callbacks": ("https://callback.example/",)},
    ],
)
def test_an_id_is_used_for_one_content_only(tmp_path: Path, changed: dict[str, Any]) -> None:
    life = Life(tmp_path, replace(SETTINGS, callbacks=("https://callback.example/",)))
    one = submission()
    life.registry.submit(one)
    for _ in range(2):
        with pytest.raises(Conflict):
            life.registry.submit(replace(one, **changed))
        life.reopen()
    fresh = submission()
    together = in_one_batch(
        life.registry.database,
        lambda: life.registry.submit(replace(fresh, **changed)),
        lambda: life.registry.submit(fresh),
    )
    assert isinstance(together[0], Receipt)
    assert isinstance(together[1], Conflict)
    life.close()


def test_one_submission_from_many_threads_is_one_request(life: Life) -> None:
    one = submission()
    barrier = Barrier(8)
    receipts: list[Receipt] = []

    def submit() -> None:
        barrier.wait()
        receipts.append(life.registry.submit(one))

    threads = [Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(r.received, r.secret) for r in receipts}) == 1
    assert sorted(r.repeated for r in receipts) == [False] + [True] * 7
    assert count(life, "requests") == 1
    assert count(life, "messages") == 1
    assert len(life.registry.keys) == 1


def test_one_submission_twice_in_one_transaction_is_one_request(life: Life) -> None:
    one = submission()
    first, second = in_one_batch(
        life.registry.database,
        lambda: life.registry.submit(one),
        lambda: life.registry.submit(one),
    )
    assert second == replace(first, repeated=True)
    assert count(life, "requests") == 1


def test_an_erased_request_is_not_submitted_again_by_its_id(life: Life) -> None:
    one = submission()
    receipt = life.registry.submit(one)
    life.registry.review.erase(receipt.request_id, "admin")
    for _ in range(2):
        with pytest.raises(Conflict):
            life.registry.submit(one)
        life.reopen()
    assert view(life, receipt).erased


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("no_identity", {"identities": []}),
        ("too_many_identities", {"identities": [("email", f"a{n}@example.org", None) for n in range(51)]}),
        ("unknown_language", {"language": "xx"}),
        ("no_contact", {"email": None, "identities": [PHONE]}),
        ("malformed_identity", {"email": "nowhere"}),
        ("malformed_identity", {"identities": [("email", "nowhere", None)]}),
        ("malformed_identity", {"identities": [("email", "a\0b@example.org", None)]}),
        ("malformed_identity", {"identities": [("name", "x" * 3000, None)]}),
        ("unknown_kind", {"identities": [("shoe_size", "43", None)]}),
        ("unknown_audience", {"identities": [("email", MAIL, "corpus")]}),
        ("phrases_for_operators", {"identities": [("name", "Jane Doebler-Zgraggen", "public")]}),
        ("callback_not_registered", {"callbacks": ("https://evil.example/",)}),
        ("message_too_long", {"message": "x" * 4001}),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_without_repeating_it(
    life: Life, code: str, changed: dict[str, Any]
) -> None:
    with pytest.raises(Unacceptable) as error:
        life.registry.submit(submission(**changed))
    assert error.value.code == code
    for text in ("nowhere", "jane", "evil", "shoe", "43", "Zgraggen"):
        assert text not in str(error.value)
    assert count(life, "requests") == 0
    assert len(life.registry.keys) == 0


def test_two_spellings_of_one_identifier_are_one_identity(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None), ("email", "JANE.DOE@Example.ORG", None), PHONE])
    assert [one["kind"] for one in view(life, receipt).identities] == ["email", "phone"]


def test_without_a_contact_address_the_answer_goes_to_the_first_one_named(life: Life) -> None:
    receipt = life.registry.submit(submission(email=None, identities=[PHONE, *JANE]))
    assert [content["to"] for content in sent(life, receipt, "confirm")] == [MAIL]
    life.confirm(receipt)
    assert view(life, receipt).contact_confirmed


def test_too_many_unconfirmed_requests_are_refused_until_some_go(tmp_path: Path) -> None:
    life = Life(tmp_path, replace(SETTINGS, limits=replace(Limits(), open_requests=2)))
    first = life.submit()
    life.submit()
    with pytest.raises(TooMany):
        life.submit()
    life.reopen()
    with pytest.raises(TooMany):
        life.submit()
    life.confirm(first)
    life.submit()
    life.close()


def test_reprs_hold_nothing_personal(life: Life) -> None:
    receipt = life.submit()
    case = life.registry.store.case(receipt.request_id)
    for thing in (submission(), receipt, case, case.file, view(life, receipt)):
        text = repr(thing).lower()
        assert "jane" not in text
        assert "example" not in text
        assert receipt.secret not in text


# -- confirming -----------------------------------------------------------------------------------


def test_the_contact_link_confirms_the_request_and_the_same_address(life: Life) -> None:
    receipt = life.submit(
        [("email", "JANE.doe@example.org", None), ("email", "j@example.org", None)]
    )
    assert view(life, receipt).identities[0]["evidence_state"] == "needed"
    life.confirm(receipt)
    found = view(life, receipt)
    assert found.standing.state is State.IN_REVIEW
    assert found.contact_confirmed
    assert [one["evidence_state"] for one in found.identities] == ["confirmed", "sent"]


@pytest.mark.parametrize("alike", ["janedoe@example.org", "jane.doe@exämple.org", "j.ane.doe@example.org"])  # fmt: skip
def test_an_address_that_only_looks_alike_is_no_evidence(life: Life, alike: str) -> None:
    """The filter takes them for one; who reads one of them need not read the other."""
    receipt = life.submit([("email", MAIL, None)], alike)
    life.confirm(receipt)
    assert view(life, receipt).identities[0]["evidence_state"] == "sent"


def test_confirming_in_any_order_and_again_comes_to_the_same(life: Life) -> None:
    identities = [("email", MAIL, None), ("email", "j@example.org", None), PHONE]
    ends = []
    for order in permutations(["contact", "link", "code"]):
        life.clock.forward(days=2)
        receipt = life.submit(identities)
        life.confirm(receipt)
        (link,) = [c for c in sent(life, receipt, "confirm") if c["to"] == "j@example.org"]
        (code,) = sent(life, receipt, "code")
        steps: dict[str, Callable[[], Any]] = {
            "contact": lambda r=receipt: life.confirm(r),
            "link": lambda r=receipt, c=link: life.registry.confirm_identity(r.request_id, 1, token(c)),
            "code": lambda r=receipt, c=code: life.registry.confirm_identity(
                r.request_id, 2, c["values"]["code"]
            ),
        }  # fmt: skip
        for name in (*order, *order):
            steps[name]()
        ends.append(view(life, receipt).identities)
        assert len(sent(life, receipt, "receipt")) == 1
    assert all(end == ends[0] for end in ends)
    assert {one["evidence_state"] for one in ends[0]} == {"confirmed"}


def test_wrong_tokens_are_like_requests_that_are_not_there(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None), ("email", "j@example.org", None)])
    other = life.submit([("email", "o@example.org", None)], "o@example.org")
    good = token(sent(life, receipt, "confirm")[0])
    wrong = ["", "é", "\ud83d", "0" * 32, good[:-1], receipt.secret[:-1] + "g", good.upper() + " ", token(sent(life, other, "confirm")[0])]  # fmt: skip
    refused = []
    for text in wrong:
        for request_id in (receipt.request_id, uuid4()):
            for call in (
                lambda i=request_id, t=text: life.registry.confirm_contact(i, t),
                lambda i=request_id, t=text: life.registry.status(i, t),
                lambda i=request_id, t=text: life.registry.withdraw(i, t),
                lambda i=request_id, t=text: life.registry.appeal(i, t, "x"),
                lambda i=request_id, t=text: life.registry.answer(i, t, "x"),
                lambda i=request_id, t=text: life.registry.send_again(i, t),
            ):
                with pytest.raises(NotFound) as error:
                    call()
                refused.append((error.value.code, str(error.value)))
    assert len(set(refused)) == 1
    assert view(life, receipt).standing.state is State.UNVERIFIED
    # The contact's token is not good for an identity; and however many wrong ones come, the right is.
    life.confirm(receipt)
    for text in wrong:
        with pytest.raises(NotFound):
            life.registry.confirm_identity(receipt.request_id, 1, text)
    (link,) = [one for one in sent(life, receipt, "confirm") if one["to"] == "j@example.org"]
    found = life.registry.confirm_identity(receipt.request_id, 1, token(link))
    assert found.identities[1]["evidence_state"] == "confirmed"
    for position in (-1, 2, 99):
        with pytest.raises(NotFound):
            life.registry.confirm_identity(receipt.request_id, position, good)


def test_a_request_can_be_confirmed_until_its_last_second(life: Life) -> None:
    for late, works in ((-SECOND, True), (timedelta(0), False)):
        receipt = life.submit()
        life.clock.now += timedelta(days=7) + late
        if works:
            life.confirm(receipt)
        else:
            with pytest.raises(WrongState):
                life.confirm(receipt)


def test_a_code_is_good_for_fifteen_minutes_and_five_attempts(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None), PHONE])
    with pytest.raises(WrongState):
        life.registry.confirm_identity(receipt.request_id, 1, "0000 0000")
    life.confirm(receipt)
    code = sent(life, receipt, "code")[0]["values"]["code"]
    wrong = "0000 0000" if code != "0000 0000" else "0000 0001"

    def attempt(text: str) -> Any:
        return life.registry.confirm_identity(receipt.request_id, 1, text)

    life.clock.forward(minutes=15)
    with pytest.raises(WrongState, match="too old"):
        attempt(code)
    with pytest.raises(TooMany, match="short while"):
        life.registry.send_again(receipt.request_id, receipt.secret, 1)
    life.clock.forward(days=1)
    life.registry.send_again(receipt.request_id, receipt.secret, 1)
    codes = [content["values"]["code"] for content in sent(life, receipt, "code")]
    assert len(set(codes)) == 2
    with pytest.raises(NotFound):
        attempt(codes[0])  # an old code is a wrong one
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(NotFound):
            attempt(wrong)
    with pytest.raises(TooMany, match="wrong codes"):
        attempt(codes[1])
    life.reopen()
    with pytest.raises(TooMany, match="wrong codes"):
        attempt(codes[1])
    life.clock.forward(days=1)
    life.registry.send_again(receipt.request_id, receipt.secret, 1)
    life.clock.forward(minutes=15)
    life.clock.now -= SECOND
    code = sent(life, receipt, "code")[-1]["values"]["code"].replace(" ", "")
    assert attempt(f" {code[:2]} {code[2:]}\n").identities[1]["evidence_state"] == "confirmed"
    assert attempt(code).identities[1]["evidence_state"] == "confirmed"
    with pytest.raises(NotFound):
        attempt(wrong)  # who does not know it learns nothing


def test_attempts_at_a_code_count_though_they_come_at_once(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None), PHONE])
    life.confirm(receipt)
    code = sent(life, receipt, "code")[0]["values"]["code"]
    guesses = [f"{n:08}" for n in range(20) if f"{n:08}" != code.replace(" ", "")]
    calls = [
        lambda g=guess: life.registry.confirm_identity(receipt.request_id, 1, g) for guess in guesses
    ]  # fmt: skip
    results = in_one_batch(life.registry.database, *calls)
    assert [type(one) for one in results] == [NotFound] * ATTEMPTS + [TooMany] * (len(calls) - ATTEMPTS)  # fmt: skip


def test_nothing_is_sent_for_a_request_that_has_ended(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None), PHONE])
    link = token(sent(life, receipt, "confirm")[0])
    life.registry.withdraw(receipt.request_id, receipt.secret)
    with pytest.raises(WrongState):
        life.registry.confirm_contact(receipt.request_id, link)
    life.clock.forward(days=2)
    with pytest.raises(WrongState):
        life.registry.send_again(receipt.request_id, receipt.secret)
    assert [template for _, template, _ in life.messages()] == ["confirm"]


# -- mail -----------------------------------------------------------------------------------------


def test_an_unconfirmed_address_gets_one_mail_a_day_however_it_is_spelt(life: Life) -> None:
    for spelling in (MAIL, "JANE.DOE@EXAMPLE.ORG", "Jane.Doe@example.org", "janedoe@example.org"):
        life.submit([("email", "other@example.org", None)], spelling)
    life.reopen()
    life.submit()
    rows = life.registry.database.rows("SELECT try_at FROM messages ORDER BY try_at")
    days = [(one - rows[0][0]).days for (one,) in rows]
    assert days == [0, 1, 2, 3, 4]


def test_the_limit_holds_after_a_restart_also_for_what_was_sent(life: Life) -> None:
    """What was sent has no recipient any more."""
    life.submit([("email", "other@example.org", None), PHONE])
    life.registry.access.register_operator("Example", "op@example.org", "2026-07", "en")
    life.registry.database.write(
        lambda t: t.write("UPDATE messages SET sent = queued, sealed = NULL")
    )
    life.clock.forward(hours=23)
    life.reopen()
    life.submit()
    life.registry.access.register_operator("Example", "op@example.org", "2026-07", "en")
    later = "messages WHERE sealed IS NOT NULL AND try_at > queued"
    assert count(life, later) == 2
    life.clock.forward(days=2)
    life.reopen()
    life.submit([("email", "new@example.org", None)], "new@example.org")
    assert count(life, later) == 2


def test_a_link_is_sent_again_once_a_day(life: Life) -> None:
    receipt = life.submit()
    for _ in range(3):
        with pytest.raises(TooMany):
            life.registry.send_again(receipt.request_id, receipt.secret)
    life.clock.forward(days=1)
    life.registry.send_again(receipt.request_id, receipt.secret)
    with pytest.raises(TooMany):
        life.registry.send_again(receipt.request_id, receipt.secret)
    old, new = map(token, sent(life, receipt, "confirm"))
    with pytest.raises(NotFound):
        life.registry.confirm_contact(receipt.request_id, old)
    life.registry.confirm_contact(receipt.request_id, new)
    with pytest.raises(WrongState):
        life.registry.send_again(receipt.request_id, receipt.secret)


# -- strangers ------------------------------------------------------------------------------------


def test_a_strangers_request_neither_blocks_nor_lists_mine(life: Life) -> None:
    """Somebody hands in my address, and my number, under an address of theirs."""
    mine = [("email", MAIL, None), PHONE]
    theirs = life.submit(mine, "mallory@example.net")
    life.confirm(theirs)
    listing = [Outcome(0, accepted=True), Outcome(1, accepted=True)]
    with pytest.raises(Unacceptable, match="not shown"):
        life.registry.review.decide(theirs.request_id, "ada", listing)
    assert list(life.registry.store.listed()) == []
    life.clock.forward(days=1)
    receipt = life.submit(mine)
    life.confirm(receipt)
    life.registry.confirm_identity(
        receipt.request_id, 1, sent(life, receipt, "code")[0]["values"]["code"]
    )
    assert life.registry.review.decide(receipt.request_id, "ada", listing).state is State.ACCEPTED
    assert {row.kind for row in life.registry.store.listed()} == {"email", "phone"}
    # What they take back is theirs only.
    life.registry.withdraw(theirs.request_id, theirs.secret)
    assert len(list(life.registry.store.listed("WHERE NOT due_out"))) == 2


def test_agents_may_leave_out_the_address_and_need_a_mandate_seen(life: Life) -> None:
    receipt = life.registry.submit(
        submission(email=None, mandated=True, source="machine-1", identities=[JANE[1], PHONE])
    )
    found = view(life, receipt)
    assert found.standing.state is State.IN_REVIEW
    assert [one["evidence"] for one in found.identities] == ["mandate", "text_message"]
    accept = [Outcome(0, accepted=True), Outcome(1, accepted=True)]
    with pytest.raises(Unacceptable, match="not shown"):
        life.registry.review.decide(receipt.request_id, "ada", accept)
    with pytest.raises(WrongState):
        life.registry.send_again(receipt.request_id, receipt.secret)
    seen = [replace(one, seen=True) for one in accept]
    assert life.registry.review.decide(receipt.request_id, "ada", seen).state is State.IN_REVIEW
    assert life.registry.review.decide(receipt.request_id, "bob", seen).state is State.ACCEPTED
    assert next(entry.actor for entry, _ in life.registry.database.trail()) == "agent:machine-1"


# -- rightsholders --------------------------------------------------------------------------------

SITES = [
    ("domain", "example.org", None),
    ("url", "https://example.org/a", None),
    ("url_prefix", "https://other.example/b/", None),
    ("document_id", "doc-17", None),
]


def test_a_domain_confirms_what_the_request_names_there(life: Life) -> None:
    receipt = life.submit(SITES, kind=RequestKind.RIGHTSHOLDER)
    life.confirm(receipt)
    host, secret = life.registry.domain_challenge(receipt.request_id, 1) or ("", "")
    assert host == "example.org"
    assert life.registry.domain_challenge(receipt.request_id, 0) == (host, secret)
    other = life.registry.domain_challenge(receipt.request_id, 2)
    assert other is not None
    assert other[0] == "other.example"
    assert other[1] != secret
    assert life.registry.domain_challenge(receipt.request_id, 3) is None
    found = life.registry.domain_confirmed(receipt.request_id, 1, Evidence.WELL_KNOWN)
    states = [(one["evidence"], one["evidence_state"]) for one in found.identities]
    assert states == [
        ("well_known", "confirmed"),
        ("well_known", "confirmed"),
        ("dns", "needed"),
        ("two_reviewers", "needed"),
    ]


def test_a_confirmed_domain_needs_one_reviewer_everything_else_two(life: Life) -> None:
    """Also where a reviewer says to have seen something, and says it twice."""
    for which, confirmed, reviewers in (
        ([0], True, 1),
        ([1], True, 1),
        ([0], False, 2),
        ([2], False, 2),
        ([3], False, 2),
        ([0, 3], True, 2),
    ):
        receipt = life.submit([SITES[n] for n in which], kind=RequestKind.RIGHTSHOLDER)
        life.confirm(receipt)
        if confirmed:
            life.registry.domain_confirmed(receipt.request_id, 0, Evidence.DNS)
        outcomes = [Outcome(n, accepted=True, seen=True) for n in range(len(which))]
        standing = life.registry.review.decide(receipt.request_id, "ada", outcomes)
        assert standing.state is (State.ACCEPTED if reviewers == 1 else State.IN_REVIEW)
        if reviewers == 2:
            with pytest.raises(Refusal):
                life.registry.review.decide(receipt.request_id, "ada", outcomes)
            again = life.registry.review.decide(receipt.request_id, "bob", outcomes)
            assert again.state is State.ACCEPTED
        life.clock.forward(days=1)
    # Nor does something seen by who refused count for one who accepts on appeal.
    receipt = life.submit(SITES[2:3], kind=RequestKind.RIGHTSHOLDER)
    life.confirm(receipt)
    no = Outcome(0, accepted=False, reason=Reason.OTHER, seen=True)
    life.registry.review.decide(receipt.request_id, "ada", [no])
    life.registry.appeal(receipt.request_id, receipt.secret, "Please.")
    yes = [Outcome(0, accepted=True, seen=True)]
    assert life.registry.review.decide(receipt.request_id, "bob", yes).state is State.APPEALED


# -- the end of it --------------------------------------------------------------------------------


def test_withdrawn_before_a_release_it_is_gone_at_once_and_after_one_with_the_next(
    life: Life,
) -> None:
    early = life.accepted([("email", "e@example.org", None)], "e@example.org")
    assert life.registry.withdraw(early.request_id, early.secret).standing.state == "withdrawn"
    assert list(life.registry.store.listed()) == []
    with pytest.raises(WrongState):
        life.registry.withdraw(early.request_id, early.secret)
    late = life.accepted()
    life.release("2026.2.0")
    assert life.state(late) == "published"
    assert life.registry.withdraw(late.request_id, late.secret).standing.state == "removal_due"
    assert [row.due_out for row in life.registry.store.listed()] == [True, True]
    life.release("2026.2.1")
    assert life.state(late) == "removed"
    assert list(life.registry.store.listed()) == []


def test_who_withdraws_what_a_namesake_has_published_waits_for_the_next_release(life: Life) -> None:
    first = life.accepted([("email", MAIL, None)])
    life.release("2026.2.0")
    life.clock.forward(days=2)
    second = life.accepted([("email", MAIL, None)])
    life.registry.withdraw(first.request_id, first.secret)
    assert [row.due_out for row in life.registry.store.listed()] == [False]
    # It is in the release that is out, whoever had it listed first.
    found = life.registry.withdraw(second.request_id, second.secret)
    assert found.standing.state is State.REMOVAL_DUE
    life.release("2026.2.1")
    assert life.state(first) == life.state(second) == "removed"
    assert list(life.registry.store.listed()) == []


@pytest.mark.parametrize("by", ["asker", "reviewer"])
def test_who_withdraws_from_a_release_that_is_being_signed_is_in_it_until_the_next(
    life: Life, by: str
) -> None:
    receipt = life.accepted([("email", MAIL, None)])
    releases = life.registry.releases
    releases.compile("2026.2.0", urgent="a test")
    if by == "asker":
        life.registry.withdraw(receipt.request_id, receipt.secret)
    else:
        life.registry.review.withdraw(receipt.request_id, "reviewer:ada")
    assert life.state(receipt) == "removal_due"
    with pytest.raises(WrongState):
        releases.check_publishable("2026.2.0")
    # Compiled again, it is not in it.
    life.clock.forward(minutes=1)
    life.release("2026.2.0")
    assert life.state(receipt) == "removed"
    assert list(life.registry.store.listed()) == []


def test_what_is_objected_to_while_a_release_goes_out_is_taken_out_of_the_next(life: Life) -> None:
    receipt = life.accepted([("email", MAIL, None)])
    life.registry.review.object(receipt.request_id, "A public role.", "reviewer:cleo")
    life.release("2026.2.0")
    standing = life.registry.review.decide_objection(receipt.request_id, "cleo", upheld=True)
    assert standing.state is State.REMOVAL_DUE
    life.release("2026.2.1")
    assert life.state(receipt) == "removed"


def test_an_appeal_and_its_words(life: Life) -> None:
    receipt = life.submit([("email", MAIL, None)])
    life.confirm(receipt)
    no = [Outcome(0, accepted=False, reason=Reason.EXPRESSION)]
    life.registry.review.decide(receipt.request_id, "ada", no, "A public role.")
    assert view(life, receipt).letter == "A public role."
    assert view(life, receipt).standing.reason == "gdpr_17_3_a"
    life.clock.now += timedelta(days=30) - SECOND
    life.registry.appeal(receipt.request_id, receipt.secret, "x" * 9000)
    assert len(life.registry.store.case(receipt.request_id).opened().appeal) == 4000
    with pytest.raises(WrongState):
        life.registry.appeal(receipt.request_id, receipt.secret, "Again.")
    with pytest.raises(Refusal):
        life.registry.review.decide(receipt.request_id, "ada", no)
    yes = [Outcome(0, accepted=True)]
    assert life.registry.review.decide(receipt.request_id, "bob", yes).state is State.ACCEPTED


def test_an_answer_to_an_objection_and_only_to_one(life: Life) -> None:
    receipt = life.accepted([("email", MAIL, None)])
    with pytest.raises(WrongState):
        life.registry.answer(receipt.request_id, receipt.secret, "No.")
    life.registry.review.object(receipt.request_id, "Mine.", "reviewer:ada")
    assert view(life, receipt).letter == "Mine."
    life.registry.answer(receipt.request_id, receipt.secret, "No, mine.")
    assert life.registry.store.case(receipt.request_id).opened().answer == "No, mine."


def test_two_ends_at_once_are_one(life: Life) -> None:
    receipt = life.accepted([("email", MAIL, None)])
    withdraw = lambda: life.registry.withdraw(receipt.request_id, receipt.secret)  # noqa: E731
    first, second = in_one_batch(life.registry.database, withdraw, withdraw)
    assert first.standing.state is State.WITHDRAWN
    assert isinstance(second, WrongState)
    assert len(sent(life, receipt, "withdrawn")) == 1


def test_a_folder_is_open_once(life: Life) -> None:
    with pytest.raises(UnusableFolder, match="in use"):
        Registry.open(life.folder, settings=SETTINGS)


# -- restart --------------------------------------------------------------------------------------


class World:
    """A registry and whatever people do with it, by a seed."""

    def __init__(self, folder: Path) -> None:
        self.life = Life(folder)
        self.receipts: list[Receipt] = []
        self.keys: list[str] = []

    def step(self, rng: random.Random) -> None:
        registry = self.life.registry
        self.life.clock.forward(hours=rng.choice([0, 1, 30]))
        receipt = rng.choice(self.receipts) if self.receipts else None
        what = rng.randrange(12)
        try:
            if what < 3 or receipt is None:
                who = rng.randrange(4)
                identities = [
                    ("email", f"p{who}@example.org", rng.choice([None, "operators"])),
                    PHONE,
                ]
                self.receipts.append(self.life.submit(identities[: rng.randint(1, 2)], f"p{who}@example.org"))  # fmt: skip
            elif what == 3 and sent(self.life, receipt, "confirm"):
                self.life.confirm(receipt)
            elif what < 6:
                outcomes = [
                    Outcome(n, accepted=rng.random() < 0.7, reason=Reason.GRANTED, seen=True)
                    for n in range(len(view(self.life, receipt).identities))
                ]
                outcomes = [o if o.accepted else replace(o, reason=Reason.OTHER) for o in outcomes]
                registry.review.decide(receipt.request_id, rng.choice("ab"), outcomes, "Words.")
            elif what == 6:
                registry.withdraw(receipt.request_id, receipt.secret)
            elif what == 7:
                registry.appeal(receipt.request_id, receipt.secret, "No.")
            elif what == 8:
                registry.review.object(receipt.request_id, "Mine.", "reviewer:a")
            elif what == 9:
                registry.review.erase(receipt.request_id, "admin")
            elif what == 10:
                access, key = registry.access.create(rng.choice(list(Role)[:2]), "who", "admin", days=rng.choice([1, None]))  # fmt: skip
                self.keys.append(key)
                if rng.random() < 0.3:
                    registry.access.revoke(access.access_id, "admin")
            else:
                registry.review.extend(receipt.request_id, "a", Reason.COMPLEX)
        except Refusal:
            return

    def answers(self) -> dict[str, Any]:
        """What can be asked of the registry."""
        registry = self.life.registry
        found: dict[str, Any] = {}
        for receipt in self.receipts:
            found[str(receipt.request_id)] = vars(view(self.life, receipt))
        found["queue"] = [case.request_id for case in registry.review.queue()]
        found["find"] = [
            registry.review.find("email", f"P{n}@example.org", "admin") for n in range(4)
        ]
        found["keys"] = []
        for key in self.keys:
            try:
                found["keys"].append(registry.access.authenticated(key).access_id)
            except Refusal as refusal:
                found["keys"].append(refusal.code)
        found["listed"] = sorted((row.listed_id, row.due_out) for row in registry.store.listed())
        directory = registry.store.directory
        found["directory"] = (
            directory.digests, dict(directory.cases), directory.listed, directory.unverified
        )  # fmt: skip
        now = self.life.clock.now - timedelta(days=1)
        found["mailed"] = {tag: at for tag, at in directory.mailed.items() if at > now}
        return found


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_restart_changes_no_answer(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = random.Random(seed)
    world = World(tmp_path_factory.mktemp("world"))
    for _ in range(rng.randint(5, 40)):
        world.step(rng)
    before = world.answers()
    world.life.reopen()
    after = world.answers()
    mailed, remembered = before.pop("mailed"), after.pop("mailed")
    if not any(row["erased"] for name, row in before.items() if "-" in name):
        assert mailed.items() <= remembered.items(), "more may be taken for mailed, but not less"
    assert after == before
    assert world.life.registry.store.reconcile() == 0
    world.life.registry.database.verify_audit()
    world.life.close()
