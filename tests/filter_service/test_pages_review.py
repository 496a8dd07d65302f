"""Reviewers' pages: who gets in, for how long, and what they can do there."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from filter_service.access import Role
from filter_service.model import Reason, RequestKind, State
from filter_service.pages.sessions import MOST, Sessions

FORM = {"content-type": "application/x-www-form-urlencoded"}
ONE = [("email", "ann.lee@example.org", None)]
PHRASE = [("name", "Jane Doebler-Zgraggen", None)]


class Reviewer:
    """A reviewer's browser."""

    def __init__(self, pages: Any, who: str = "Rita") -> None:
        self.pages = pages
        self.id, self.key = pages.reviewer(who)
        self.client = TestClient(
            pages.app, base_url="http://127.0.0.1:8000", follow_redirects=False
        )
        self.client.headers.update({"accept": "text/html", "sec-fetch-site": "same-origin"})

    def sign_in(self) -> Any:
        return self.send("/review/sign-in", key=self.key)

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def send(self, path: str, **fields: str) -> Any:
        """Send a form."""
        return self.client.post(
            path,
            content=urlencode({k.replace("_", "-"): v for k, v in fields.items()}),
            headers=FORM,
        )

    def token(self, path: str = "/review") -> str:
        return re.findall('name="token" value="([0-9a-f]+)"', self.get(path).text)[0]

    def version(self, path: str) -> str:
        return re.findall('name="version" value="([0-9]+)"', self.get(path).text)[0]

    def decide(self, receipt: Any, **fields: str) -> Any:
        path = f"/review/cases/{receipt.request_id}"
        common = {"token": self.token(path), "version": self.version(path)}
        return self.send(f"{path}/decide", **(common | fields))

    def is_in(self) -> bool:
        answer = self.get("/review")
        assert answer.status_code in {200, 303}
        return bool(answer.status_code == 200)


@pytest.fixture
def rita(pages: Any) -> Reviewer:
    one = Reviewer(pages)
    one.sign_in()
    return one


def state(pages: Any, receipt: Any) -> State:
    found: State = pages.registry.store.case(receipt.request_id).standing.state
    return found


# -- sessions --------------------------------------------------------------------------------------


def test_signing_in_and_out(pages: Any) -> None:
    rita = Reviewer(pages)
    assert not rita.is_in()
    answer = rita.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        "lethe-review=[0-9a-f]{64}[.][0-9a-f]{64}; HttpOnly; Path=/; SameSite=strict", cookie
    )
    assert rita.key.rsplit("_", 1)[1] not in cookie
    assert rita.is_in()
    old = dict(rita.client.cookies)
    assert (
        rita.send("/review/sign-out", token=rita.token()).headers["location"] == "/review/sign-in"
    )
    assert not rita.is_in()
    rita.client.cookies.update(old)  # kept by somebody
    assert not rita.is_in()


def test_with_https_the_cookie_is_bound_to_it(tmp_path: Any) -> None:
    from dataclasses import replace

    from filter_service.registry import Registry
    from filter_service.settings import Settings

    settings = replace(Settings(kdf="testing"), base_url="https://registry.example")
    with Registry.open(tmp_path / "r", settings=settings) as registry:
        sessions = Sessions(registry)
        assert (sessions.secure, sessions.cookie) == (True, "__Host-lethe-review")


@pytest.mark.parametrize(
    "key", ["", "x", "lethe_", f"lethe_{'0' * 32}_{'0' * 32}", "é" * 70, "\x00"]
)
def test_wrong_keys(pages: Any, key: str) -> None:
    rita = Reviewer(pages)
    answer = rita.send("/review/sign-in", key=key)
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers
    assert "opens nothing here" in answer.text
    assert 'value=""' in answer.text  # the key is not given back
    assert len(key) < 10 or key not in answer.text


def test_keys_of_others(pages: Any) -> None:
    rita = Reviewer(pages)
    for role in (Role.MACHINE, Role.OPERATOR):
        _, key = pages.registry.access.create(role, "somebody", "admin")
        assert rita.send("/review/sign-in", key=key).status_code == 422
    assert not rita.is_in()


@pytest.mark.parametrize(
    ("minutes", "times", "still_in"),
    [(29, 1, True), (30, 1, False), (29, 16, True), (29, 17, False), (31, 1, False)],
)
def test_when_a_session_ends(pages: Any, minutes: int, times: int, still_in: bool) -> None:
    """After 30 minutes without a page, and after 8 hours (16.55 times 29 minutes) whatever happens."""
    rita = Reviewer(pages)
    rita.sign_in()
    for _ in range(times):
        pages.clock.forward(minutes=minutes)
        was_in = rita.is_in()
    assert was_in is still_in
    if not still_in:
        assert "Your session is over" in rita.get("/review/sign-in?over=1").text


def test_a_revoked_key_ends_its_sessions_at_once(pages: Any) -> None:
    rita, otto = Reviewer(pages), Reviewer(pages, "Otto")
    rita.sign_in()
    otto.sign_in()
    from uuid import UUID

    token = rita.token()
    pages.registry.access.revoke(UUID(rita.id), "admin")
    assert not rita.is_in()
    assert rita.send("/review/sign-out", token=token).status_code == 303
    assert rita.sign_in().status_code == 422
    assert otto.is_in()


def test_an_expired_key_ends_its_sessions(pages: Any) -> None:
    rita = Reviewer(pages)
    _, rita.key = pages.registry.access.create(Role.REVIEWER, "Rita", "admin", days=1)
    pages.clock.forward(hours=23, minutes=50)
    rita.sign_in()
    assert rita.is_in()
    pages.clock.forward(minutes=11)
    assert not rita.is_in()


@pytest.mark.parametrize(
    "forged",
    [
        lambda value: value[:-1] + ("0" if value[-1] != "0" else "1"),
        lambda value: value[:64],
        lambda value: value[:64] + ".",
        lambda value: "0" * 64 + value[64:],
        lambda value: "." + value.partition(".")[2],
        lambda _: ".",
        lambda _: "",
        lambda _: "x" * 4000,
    ],
)
def test_forged_cookies(pages: Any, forged: Any) -> None:
    rita = Reviewer(pages)
    rita.sign_in()
    value = rita.client.cookies["lethe-review"]
    rita.client.cookies.clear()
    rita.client.cookies.set("lethe-review", forged(value))
    assert not rita.is_in()


def test_a_cookie_that_was_prepared_for_somebody_is_not_taken(pages: Any) -> None:
    """Fixation: whoever signs in gets a new session, and the prepared one ends."""
    mallory, rita = Reviewer(pages, "Mallory"), Reviewer(pages)
    mallory.sign_in()
    prepared = mallory.client.cookies["lethe-review"]
    rita.client.cookies.set("lethe-review", prepared)
    rita.sign_in()
    assert not mallory.is_in()
    assert "Signed in as Rita" in rita.get("/review").text


def test_a_restart_ends_all_sessions(pages: Any) -> None:
    rita = Reviewer(pages)
    rita.sign_in()
    assert Sessions(pages.registry).of(rita.client.cookies) is None


def test_a_key_has_a_bounded_number_of_sessions(pages: Any) -> None:
    rita = Reviewer(pages)
    rita.sign_in()
    for _ in range(MOST - 1):
        pages.site.sessions.begin(rita.key)
    assert rita.is_in()
    pages.site.sessions.begin(rita.key)
    assert not rita.is_in()
    assert len(pages.site.sessions._known) == MOST


def test_who_is_signed_in_for_those_who_count(pages: Any, rita: Reviewer) -> None:
    value = rita.client.cookies["lethe-review"]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"cookie", f"lethe-review={value}".encode())],
    }
    assert str(pages.site.reviewer(scope)) == rita.id
    assert pages.site.reviewer(scope | {"headers": []}) is None


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["decide", "extend", "object", "objection", "erase"])
@pytest.mark.parametrize("forged", ["none", "wrong", "another session's"])
def test_forms_need_the_token_of_the_session(
    pages: Any, rita: Reviewer, path: str, forged: str
) -> None:
    receipt = pages.submitted(ONE)
    before = pages.registry.store.case(receipt.request_id)
    otto = Reviewer(pages, "Otto")
    otto.sign_in()
    token = {
        "none": {},
        "wrong": {"token": "0" * 64},
        "another session's": {"token": otto.token()},
    }[forged]
    fields = {
        "decision_0": "accept",
        "seen_0": "yes",
        "version": str(before.version),
        "text": "x",
        "decision": "upheld",
    }
    answer = rita.send(f"/review/cases/{receipt.request_id}/{path}", **fields, **token)
    assert answer.status_code == 403
    assert pages.registry.store.case(receipt.request_id) == before


@pytest.mark.parametrize("path", ["/review/find", "/review/open", "/review/sign-out"])
def test_so_do_the_others(rita: Reviewer, path: str) -> None:
    assert (
        rita.send(path, kind="email", value="a@example.org", number=str(uuid4())).status_code == 403
    )
    assert rita.is_in()


def test_a_form_from_another_site_does_nothing(pages: Any, rita: Reviewer) -> None:
    token = rita.token()
    rita.client.headers["sec-fetch-site"] = "cross-site"
    assert rita.send("/review/sign-out", token=token).status_code == 403
    assert rita.is_in()


def test_nobody_else_sees_anything(pages: Any) -> None:
    receipt = pages.submitted()
    stranger = Reviewer(pages)
    for path in (
        "",
        f"/cases/{receipt.request_id}",
        f"/cases/{receipt.request_id}/erase",
        f"/cases/{uuid4()}",
    ):
        answer = stranger.get(f"/review{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/review/sign-in?over=1")
        assert answer.headers["cache-control"] == "no-store"
    for path in ("decide", "extend", "object", "objection", "erase"):
        assert (
            stranger.send(f"/review/cases/{receipt.request_id}/{path}", token="x").status_code
            == 303
        )
    assert (
        stranger.send("/review/find", kind="email", value="jane.doe@example.org").status_code == 303
    )


# -- the queue -------------------------------------------------------------------------------------


def test_the_queue_says_what_is_due_and_nothing_personal(pages: Any, rita: Reviewer) -> None:
    assert "Nothing waits" in rita.get("/review").text
    late = pages.submitted()
    pages.clock.forward(days=33)
    rita.sign_in()
    today = pages.submitted()
    pages.submitted(confirmed=False)
    text = rita.get("/review").text
    rows = re.findall("/review/cases/([0-9a-f-]{36})", text)
    assert rows == [str(late.request_id), str(today.request_id)]
    assert "overdue by 2 days" in text
    assert re.search("31 days left|30 days left", text)
    for hidden in ("jane", "Doebler", "Seestrasse", "668", "@example.org"):
        assert hidden not in text.replace("registry@lethe.example", "")


def test_the_queue_in_pages(pages: Any, rita: Reviewer) -> None:
    made = []
    for _ in range(27):
        made.append(str(pages.submitted(ONE).request_id))
        pages.clock.forward(minutes=1)
    text = rita.get("/review").text
    assert re.findall("/review/cases/([0-9a-f-]{36})", text) == made[:25]
    more = re.findall('href="(/review[?]after=[^"]+)"', text)[0]
    second = rita.get(more).text
    assert re.findall("/review/cases/([0-9a-f-]{36})", second) == made[25:]
    assert "Next page" not in second
    assert "Back to the first page" in second
    for nonsense in ("x", "20260101T000000.000000_x", "_", "%00", "a" * 5000):
        assert rita.get(f"/review?after={nonsense}").status_code == 200


def test_a_second_reviewer_is_marked(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(PHRASE)
    rita.decide(receipt, decision_0="accept", seen_0="yes")
    assert "waits for another reviewer than you" in rita.get("/review").text
    otto = Reviewer(pages, "Otto")
    otto.sign_in()
    assert "second reviewer needed" in otto.get("/review").text


def test_cases_are_found_by_number_and_by_identifier(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    opened = rita.send("/review/open", token=rita.token(), number=f" {receipt.request_id} ")
    assert opened.headers["location"] == f"/review/cases/{receipt.request_id}"
    for wrong in ("x", "", str(uuid4())):
        assert rita.send("/review/open", token=rita.token(), number=wrong).status_code == 422
    found = rita.send("/review/find", token=rita.token(), kind="email", value="Ann.Lee@example.org")
    assert f"/review/cases/{receipt.request_id}" in found.text
    none = rita.send("/review/find", token=rita.token(), kind="email", value="ann.li@example.org")
    assert "No request names it" in none.text
    assert rita.send("/review/find", token=rita.token(), kind="email", value="x").status_code == 422
    actions = [
        e.action for e, _ in pages.registry.database.trail() if e.actor == f"reviewer:{rita.id}"
    ]
    assert actions.count("looked_up") == 2


# -- a case ----------------------------------------------------------------------------------------


def test_what_a_case_shows(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(
        [("name", "Jane Doebler-Zgraggen", None), ("text", "the wind of the river", None)],
        language="rm",
        message="Per plaschair",
    )
    page = rita.get(f"/review/cases/{receipt.request_id}")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert "jane" not in re.findall("<title>.*?</title>", page.text)[0].lower()
    for shown in (
        "Jane Doebler-Zgraggen",
        "Doebler-Zgraggen, Jane",
        "J. Doebler-Zgraggen",
        "Per plaschair",
        "Rumantsch",
        "hits in",
        "needs two reviewers",
        "contact confirmed",
    ):
        assert shown in page.text, shown
    assert '<blockquote class="words" lang="rm">' in page.text
    read = [e for e, _ in pages.registry.database.trail() if e.action == "read"]
    assert [(e.actor, e.subject) for e in read] == [
        (f"reviewer:{rita.id}", str(receipt.request_id))
    ]


def test_harm_is_shown_with_its_places(pages: Any, rita: Reviewer) -> None:
    """A word of the clean sample: the gate speaks, and its places are shown."""
    from filter_service.clean_sample import builtin

    words = re.findall("[A-Za-z]{9,}", builtin().texts[0])
    receipt = pages.submitted([("text", words[0], None)])
    text = rita.get(f"/review/cases/{receipt.request_id}").text
    count = int(re.findall("([0-9]+) hits in", text)[0])
    assert count >= 1
    assert re.search(f"<li>… .*{words[0]}.* …</li>", text)
    assert "refused</b>" in text or "needs reason</b>" in text


def test_one_reviewer_accepts_an_address(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    assert rita.decide(receipt).status_code == 409  # nothing chosen
    unproven = rita.decide(receipt, decision_0="accept")
    assert unproven.status_code == 409
    assert "not shown to be the asker" in unproven.text
    assert 'value="accept" checked' in unproven.text
    done = rita.decide(receipt, decision_0="accept", seen_0="yes", letter="Welcome.")
    assert done.headers["location"] == f"{path}?done=decided#done"
    assert "The request is now: accepted" in rita.get(f"{path}?done=decided").text
    assert state(pages, receipt) is State.ACCEPTED
    assert len(list(pages.registry.store.listed())) == 1
    assert "Welcome." in rita.get(pages.path(receipt)).text


def test_a_refusal_needs_a_reason(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    for reason in ("", "granted", "nonsense", "asked_by_person"):
        answer = rita.decide(
            receipt, decision_0="refuse", reason_0=reason, letter="Typed <b>text</b>"
        )
        assert answer.status_code == 409
        assert "Give a reason" in answer.text
        assert "Typed &lt;b&gt;text&lt;/b&gt;" in answer.text
    assert rita.decide(receipt, decision_0="refuse", reason_0="no_match").status_code == 303
    assert pages.registry.store.case(receipt.request_id).standing.reason == "no_match"


def test_four_eyes(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(PHRASE)
    path = f"/review/cases/{receipt.request_id}"
    first = rita.decide(receipt, decision_0="accept", seen_0="yes", note_0="passport")
    assert first.headers["location"].startswith(f"{path}?done=approved")
    assert "You approved this first" in rita.get(path).text
    again = rita.decide(receipt, decision_0="accept", seen_0="yes")
    assert again.status_code == 409
    assert "another reviewer must do it too" in again.text
    otto = Reviewer(pages, "Otto")
    otto.sign_in()
    page = otto.get(path).text
    assert "Another reviewer has approved this" in page
    assert "accepted: passport" in page
    assert "Rita" in page  # who did what
    assert " checked" not in page  # decides anew
    other = otto.decide(receipt, decision_0="refuse", reason_0="no_match")
    assert other.status_code == 303
    assert state(pages, receipt) is State.REJECTED


def test_somebody_else_was_faster(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    seen = {"token": rita.token(path), "version": rita.version(path)}
    pages.registry.review.extend(
        receipt.request_id,
        "otto",
        Reason.COMPLEX,
    )
    late = rita.send(
        f"{path}/decide", **seen, decision_0="accept", seen_0="yes", letter="Kept words"
    )
    assert late.status_code == 409
    assert "has changed since you saw it" in late.text
    assert "Kept words" in late.text
    assert state(pages, receipt) is State.IN_REVIEW
    for version in ("", "x", "-1", "٣"):
        assert (
            rita.send(
                f"{path}/decide", **(seen | {"version": version}), decision_0="accept", seen_0="yes"
            ).status_code
            == 409
        )
    assert state(pages, receipt) is State.IN_REVIEW


def test_the_compile_gate_asks_for_a_note(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted([("postal_address", "Bahnhofstrasse, Zürich", None)])
    without = rita.decide(receipt, decision_0="accept", seen_0="yes")
    assert without.status_code == 409
    assert "cannot be listed" in without.text
    assert (
        rita.decide(receipt, decision_0="accept", seen_0="yes", note_0="one house only").status_code
        == 303
    )


def test_a_term_is_extended_once(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    done = rita.send(f"{path}/extend", token=rita.token(), words="Many requests.")
    assert done.headers["location"] == f"{path}?done=extended#done"
    assert "Extended until 6 October 2026" in rita.get(f"{path}?done=extended").text
    assert "Extend by two months" not in rita.get(path).text
    assert rita.send(f"{path}/extend", token=rita.token(), words="").status_code == 409
    asker = rita.get(pages.path(receipt)).text
    assert "extended the term once" in asker
    assert "Many requests." in asker


def test_objections_go_to_another_reviewer(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    rita.decide(receipt, decision_0="accept", seen_0="yes")
    assert rita.send(f"{path}/object", token=rita.token(), text=" ").status_code == 409
    assert (
        rita.send(f"{path}/object", token=rita.token(), text="It is my address.").status_code == 303
    )
    page = rita.get(path).text
    assert "It is my address." in page
    assert "for another reviewer" in page
    assert "Decide about the objection" not in page
    otto = Reviewer(pages, "Otto")
    otto.sign_in()
    assert "Decide about the objection" in otto.get(path).text
    assert otto.send(f"{path}/objection", token=otto.token()).status_code == 409
    assert (
        otto.send(
            f"{path}/objection", token=otto.token(), decision="upheld", letter="So it is."
        ).status_code
        == 303
    )
    assert state(pages, receipt) is State.WITHDRAWN


def test_appeals_go_to_another_reviewer(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    rita.decide(receipt, decision_0="refuse", reason_0="no_match")
    pages.registry.appeal(receipt.request_id, receipt.secret, "Look again.")
    page = rita.get(path).text
    assert "Look again." in page
    assert "You decided this case before" in page
    assert 'id="decide"' not in page


def test_erasing_asks_first(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted(ONE)
    path = f"/review/cases/{receipt.request_id}"
    open_still = rita.send(f"{path}/erase", token=rita.token())
    assert open_still.status_code == 409
    assert "decided or withdrawn first" in open_still.text
    pages.registry.withdraw(receipt.request_id, receipt.secret)
    assert "For good" in rita.get(f"{path}/erase").text
    assert pages.registry.store.case(receipt.request_id).file is not None
    assert rita.send(f"{path}/erase", token=rita.token()).status_code == 303
    assert pages.registry.store.case(receipt.request_id).file is None
    gone = rita.get(path)
    assert gone.status_code == 200
    assert "was erased" in gone.text
    assert "ann.lee" not in gone.text


def test_works_without_proof_need_two(pages: Any, rita: Reviewer) -> None:
    receipt = pages.submitted([("dataset", "author/name", None)], kind=RequestKind.RIGHTSHOLDER)
    page = rita.get(f"/review/cases/{receipt.request_id}").text
    assert "needs two reviewers" in page
    assert "A data set" in page
    assert (
        rita.decide(receipt, decision_0="accept", seen_0="yes")
        .headers["location"]
        .endswith("approved#done")
    )


@pytest.mark.parametrize("path", ["", "/decide", "/erase", "/extend"])
def test_cases_that_do_not_exist(pages: Any, rita: Reviewer, path: str) -> None:
    where = f"/review/cases/{uuid4()}{path}"
    answer = rita.get(where) if path in {"", "/erase"} else rita.send(where, token=rita.token())
    assert answer.status_code == 404


def test_what_reviewers_and_askers_write_is_never_markup(pages: Any, rita: Reviewer) -> None:
    signs = "<img src=x onerror=alert(1)>\"'"
    receipt = pages.submitted([("text", f"{signs} and some more", None)], message=signs)
    pages.decided(receipt, accepted=False)
    pages.registry.appeal(receipt.request_id, receipt.secret, signs)
    _, rita.key = pages.registry.access.create(Role.REVIEWER, signs, "admin")
    rita.sign_in()
    for answer in (
        rita.get(f"/review/cases/{receipt.request_id}"),
        rita.decide(receipt, decision_0="accept", note_0=signs, letter=signs),
        rita.send("/review/find", token=rita.token(), kind=signs, value=signs),
        rita.get("/review"),
    ):
        assert "<img" not in answer.text
        assert "&lt;img src=x" in answer.text
