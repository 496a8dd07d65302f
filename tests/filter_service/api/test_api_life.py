"""The life of a request over HTTP."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from filter_service.access import Role, Scope

JANE = ("email", "jane.doe@example.org")
NAME = ("name", "Jane Doebler-Zgraggen")
PHONE = ("phone", "044 668 18 00")


def accept(*positions, **more):
    one = {"outcome": "accepted", "seen": True, "note": "Checked.", **more}
    outcomes = [{"position": p, **one} for p in positions]
    return {"outcomes": outcomes}


def state(lethe, request_id, secret):
    answer = lethe.http.get(f"/v1/requests/{request_id}", headers=secret)
    assert answer.status_code == 200
    return answer.json()["request_status"], answer.json()["extensions"]["lethe"]


def test_a_person_asks_is_heard_and_withdraws(lethe, request_form):
    form = request_form(
        JANE, NAME, PHONE, lethe={"email": JANE[1], "audiences": [None, None, "operators"]}
    )
    url = f"/v1/requests/{form['subject_request_id']}"
    first = lethe.http.post("/v1/requests", json=form)
    assert first.status_code == 201
    assert first.headers["location"] == url
    again = lethe.http.post("/v1/requests", json=form)
    assert (again.status_code, again.content) == (200, first.content)
    receipt = first.json()
    assert receipt["controller_id"] == "lethe-development"
    assert receipt["expected_completion_time"] > receipt["received_time"]
    secret = {"Authorization": f"Bearer {receipt['extensions']['lethe']['secret']}"}

    assert state(lethe, form["subject_request_id"], secret)[0] == "pending"
    token = {"token": lethe.token(form["subject_request_id"])}
    confirmed = lethe.http.post(f"{url}/confirmations", json=token)
    assert confirmed.json()["request_status"] == "in_progress"
    assert lethe.http.post(f"{url}/confirmations", json=token).json() == confirmed.json()

    _, told = state(lethe, form["subject_request_id"], secret)
    assert [one["evidence_state"] for one in told["identities"]] == ["confirmed", "needed", "sent"]
    assert told["identities"][0]["masked"] == "j…@e….org"
    assert told["identities"][2]["audience"] == "operators"
    code = {"secret": lethe.code(form["subject_request_id"])}
    done = lethe.http.post(f"{url}/identities/2/confirmations", json=code, headers=secret)
    assert done.json()["evidence_state"] == "confirmed"

    first_reviewer, second_reviewer = lethe.reviewer(), lethe.reviewer()
    queue = lethe.http.get("/v1/review/queue", headers=first_reviewer).json()
    assert [one["subject_request_id"] for one in queue["items"]] == [form["subject_request_id"]]
    assert queue["items"][0]["days_left"] in (28, 29, 30, 31)
    assert queue["items"][0]["confirmed"] == 2

    case = f"/v1/review{url.removeprefix('/v1')}"
    seen = lethe.version(form["subject_request_id"], first_reviewer)
    one = lethe.http.post(f"{case}/decisions", json=accept(0, 1, 2), headers=seen)
    assert one.json()["state"] == "in_review"
    assert one.json()["first_reviewer"] is not None
    waiting = lethe.http.get("/v1/review/queue", headers=second_reviewer).json()["items"][0]
    assert waiting["first_reviewer"] == one.json()["first_reviewer"]
    same = lethe.http.post(
        f"{case}/decisions",
        json=accept(0, 1, 2),
        headers=first_reviewer | {"If-Match": one.headers["etag"]},
    )
    assert (same.status_code, same.json()["type"]) == (403, "/problems/four_eyes")
    two = lethe.http.post(
        f"{case}/decisions",
        json=accept(0, 1, 2),
        headers=second_reviewer | {"If-Match": one.headers["etag"]},
    )
    assert two.json()["state"] == "accepted"
    assert len(list(lethe.registry.store.listed())) == 3

    gone = lethe.http.delete(url, headers=secret)
    assert (gone.status_code, gone.json()["request_status"]) == (202, "cancelled")
    assert lethe.http.delete(url, headers=secret).status_code == 409
    assert list(lethe.registry.store.listed()) == []
    assert lethe.http.post(f"{case}/erasures", headers=first_reviewer).status_code == 204
    assert state(lethe, form["subject_request_id"], secret)[1]["erased"] is True
    assert (
        lethe.http.get(case, headers=first_reviewer).json().items()
        >= {
            "erased": True,
            "email": None,
            "identities": [],
        }.items()
    )
    lethe.registry.database.verify_audit()


def test_another_request_under_the_same_id_is_a_conflict(lethe, request_form):
    form = request_form(JANE)
    assert lethe.http.post("/v1/requests", json=form).status_code == 201
    form["subject_identities"][0]["identity_value"] = "john.doe@example.org"
    answer = lethe.http.post("/v1/requests", json=form)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/id_used")


def test_the_same_request_sixteen_times_at_once_is_taken_once(lethe, request_form):
    form = request_form(JANE)
    answers = []

    def send():
        answers.append(httpx.post(f"{lethe.url}/v1/requests", json=form))

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.status_code for one in answers) == [200] * 15 + [201]
    assert len({one.content for one in answers}) == 1
    assert len(lethe.messages()) == 1


def test_a_code_needs_the_secret_of_the_request_beside_it(lethe):
    request_id, secret = lethe.confirmed(PHONE)
    url = f"/v1/requests/{request_id}/identities/0/confirmations"
    code = {"secret": lethe.code(request_id).replace(" ", "")}
    assert lethe.http.post(url, json=code).status_code == 404
    wrong = {"Authorization": f"Bearer {'0' * 32}"}
    assert lethe.http.post(url, json=code, headers=wrong).status_code == 404
    refused = lethe.http.post(url, json={"secret": "0000 0000"}, headers=secret)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/wrong_secret")
    assert lethe.http.post(url, json=code, headers=secret).status_code == 200
    assert lethe.http.post(url, json=code, headers=secret).status_code == 200
    assert lethe.http.post(url, json=code).status_code == 404


def test_wrong_codes_are_counted_and_a_new_one_can_be_sent_on_another_day(lethe):
    request_id, secret = lethe.confirmed(PHONE)
    url = f"/v1/requests/{request_id}/identities/0"
    for _ in range(5):
        assert (
            lethe.http.post(
                f"{url}/confirmations", json={"secret": "0000 0000"}, headers=secret
            ).status_code
            == 422
        )
    right = {"secret": lethe.code(request_id)}
    assert lethe.http.post(f"{url}/confirmations", json=right, headers=secret).status_code == 429
    assert lethe.http.post(f"{url}/secrets", headers=secret).status_code == 429
    lethe.clock.ahead = timedelta(days=1, minutes=1)
    assert lethe.http.post(f"{url}/secrets", headers=secret).status_code == 202
    again = {"secret": lethe.code(request_id)}
    assert lethe.http.post(f"{url}/confirmations", json=again, headers=secret).status_code == 200


def test_the_link_to_another_address_tells_nothing_of_the_request(lethe):
    request_id, _ = lethe.confirmed(JANE, NAME)
    url = f"/v1/requests/{request_id}/identities"
    token = {"secret": lethe.token(request_id, 1)}
    assert lethe.http.post(f"{url}/1/confirmations", json=token).status_code == 404
    assert lethe.http.post(f"{url}/7/confirmations", json=token).status_code == 404
    assert lethe.http.post(f"{url}/0/confirmations", json={"secret": "0" * 32}).status_code == 404
    answer = lethe.http.post(f"{url}/0/confirmations", json=token)
    assert answer.json() == {
        "subject_request_id": request_id,
        "position": 0,
        "evidence_state": "confirmed",
    }
    assert lethe.http.post(f"{url}/0/confirmations", json=token).json() == answer.json()
    other = {"secret": "0" * 32}
    assert lethe.http.post(f"{url}/0/confirmations", json=other).status_code == 404


def test_an_identity_cannot_be_confirmed_before_the_request(lethe):
    request_id, secret = lethe.submit(PHONE)
    url = f"/v1/requests/{request_id}/identities/0"
    answer = lethe.http.post(f"{url}/confirmations", json={"secret": "1234 5678"}, headers=secret)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/nothing_sent")
    assert (
        lethe.http.post(f"{url}/secrets", headers=secret).json()["type"] == "/problems/wrong_state"
    )
    again = f"/v1/requests/{request_id}/secrets"
    assert lethe.http.post(again, headers=secret).status_code == 429
    lethe.clock.ahead = timedelta(days=1, minutes=1)
    assert lethe.http.post(again, headers=secret).status_code == 202
    assert len(lethe.messages(request_id)) == 2


def test_a_link_that_is_too_old_confirms_nothing(lethe):
    request_id, _ = lethe.submit(JANE)
    lethe.clock.ahead = timedelta(days=8)
    token = {"token": lethe.token(request_id)}
    answer = lethe.http.post(f"/v1/requests/{request_id}/confirmations", json=token)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/expired")


def test_a_rightsholder_shows_control_of_a_domain(lethe):
    request_id, secret = lethe.submit(
        ("subdomains", "news.example.net"),
        ("url", "https://news.example.net/a"),
        kind="rightsholder",
    )
    token = {"token": lethe.token(request_id)}
    assert (
        lethe.http.post(f"/v1/requests/{request_id}/confirmations", json=token).status_code == 200
    )
    url = f"/v1/requests/{request_id}/identities/1"
    assert lethe.http.get(f"{url}/domain-challenge").status_code == 401
    challenge = lethe.http.get(f"{url}/domain-challenge", headers=secret).json()
    assert challenge["dns"]["name"] == "_lethe.news.example.net"
    assert challenge["file"] == {
        "url": "https://news.example.net/.well-known/lethe-verification.txt",
        "content": challenge["dns"]["value"],
    }
    early = lethe.http.post(f"{url}/domain-checks", headers=secret)
    assert (early.status_code, early.json()["type"]) == (409, "/problems/domain_no_record")
    lethe.service.zone[challenge["dns"]["name"]] = challenge["dns"]["value"]
    found = lethe.http.post(f"{url}/domain-checks", headers=secret).json()
    identities = found["extensions"]["lethe"]["identities"]
    assert [one["evidence_state"] for one in identities] == ["confirmed", "confirmed"]
    assert identities[0]["masked"] == "news.example.net"
    seen = lethe.version(request_id, lethe.reviewer())
    decided = lethe.http.post(
        f"/v1/review/requests/{request_id}/decisions", json=accept(0, 1), headers=seen
    )
    assert decided.json()["state"] == "accepted"
    person, own = lethe.confirmed(JANE)
    none = lethe.http.get(f"/v1/requests/{person}/identities/0/domain-challenge", headers=own)
    assert (none.status_code, none.json()["type"]) == (409, "/problems/no_challenge")


def test_an_agent_with_a_mandate_hands_in_and_follows_with_its_key(lethe, request_form):
    agent = lethe.key(Role.MACHINE, Scope.SUBMIT, Scope.MANDATE)
    other = lethe.key(Role.MACHINE, Scope.SUBMIT, Scope.MANDATE)
    form = request_form(NAME, lethe={"mandate": True, "email": None})
    form["status_callback_urls"] = ["https://agent.example.org/told"]
    url = f"/v1/requests/{form['subject_request_id']}"
    assert lethe.http.post("/v1/requests", json=form).status_code == 401
    submitter = lethe.key(Role.MACHINE, Scope.SUBMIT)
    assert lethe.http.post("/v1/requests", json=form, headers=submitter).status_code == 403
    assert lethe.http.post("/v1/requests", json=form, headers=agent).status_code == 201
    answer = lethe.http.get(url, headers=agent)
    assert answer.json()["extensions"]["lethe"]["identities"][0]["evidence"] == "mandate"
    assert answer.json()["request_status"] == "in_progress"
    assert lethe.http.get(url, headers=other).status_code == 404
    assert lethe.http.get(url, headers=lethe.reviewer()).status_code == 403
    assert lethe.http.get(url, headers={"Authorization": "Bearer lethe_no_key"}).status_code == 401
    assert lethe.http.delete(url, headers=other).status_code == 404
    assert lethe.http.delete(url, headers=agent).status_code == 202
    assert [m[0] for m in lethe.messages(form["subject_request_id"])] == ["callback"]
    form = request_form(NAME) | {"status_callback_urls": ["https://elsewhere.example.org/"]}
    refused = lethe.http.post("/v1/requests", json=form)
    assert (refused.status_code, refused.json()["type"]) == (
        422,
        "/problems/callback_not_registered",
    )


def test_a_refusal_an_appeal_and_an_extension(lethe):
    request_id, secret = lethe.confirmed(JANE)
    case, url = f"/v1/review/requests/{request_id}", f"/v1/requests/{request_id}"
    first, second = lethe.reviewer(), lethe.reviewer()
    before = state(lethe, request_id, secret)[1]["due"]
    longer = lethe.http.post(f"{case}/extensions", json={"words": "Many."}, headers=first)
    assert longer.json()["extended"] is True
    assert longer.json()["due"] > before
    told = lethe.http.get(url, headers=secret).json()
    assert told["expected_completion_time"] == longer.json()["due"]
    assert (
        lethe.http.post(f"{case}/extensions", json={}, headers=first).json()["type"]
        == "/problems/extended_before"
    )
    refusal = {
        "outcomes": [{"position": 0, "outcome": "refused", "reason": "no_match"}],
        "letter": "We found nothing.",
    }
    decided = lethe.http.post(
        f"{case}/decisions", json=refusal, headers=lethe.version(request_id, first)
    )
    assert decided.json()["state"] == "rejected"
    status, told = state(lethe, request_id, secret)
    assert (status, told["reason"], told["letter"]) == (
        "completed",
        "no_match",
        "We found nothing.",
    )
    assert lethe.http.post(f"{url}/appeals", json={"text": "Look again."}).status_code == 401
    appealed = lethe.http.post(f"{url}/appeals", json={"text": "Look again."}, headers=secret)
    assert (appealed.status_code, appealed.json()["request_status"]) == (202, "in_progress")
    assert lethe.http.get(case, headers=second).json()["appeal"] == "Look again."
    same = lethe.http.post(
        f"{case}/decisions", json=refusal, headers=lethe.version(request_id, first)
    )
    assert (same.status_code, same.json()["type"]) == (403, "/problems/another_reviewer")
    other = lethe.http.post(
        f"{case}/decisions", json=accept(0), headers=lethe.version(request_id, second)
    )
    assert other.json()["state"] == "accepted"

    objection = lethe.http.post(f"{case}/objections", json={"text": "Mine."}, headers=second)
    assert objection.json()["state"] == "objected"
    said = lethe.http.post(f"{url}/answers", json={"text": "It is mine."}, headers=secret)
    assert (said.status_code, said.json()["request_status"]) == (202, "in_progress")
    whole = lethe.http.get(case, headers=first).json()
    assert (whole["objections"], whole["answer"]) == (["Mine."], "It is mine.")
    upheld = {"upheld": True, "letter": "It is another one's."}
    assert (
        lethe.http.post(f"{case}/objection-decisions", json=upheld, headers=second).status_code
        == 403
    )
    over = lethe.http.post(f"{case}/objection-decisions", json=upheld, headers=first)
    assert over.json()["state"] == "withdrawn"
    late = lethe.http.post(f"{url}/answers", json={"text": "But."}, headers=secret)
    assert (late.status_code, late.json()["type"]) == (409, "/problems/no_objection")


def test_a_reviewer_takes_back_what_somebody_has_lost_the_secret_of(lethe):
    request_id, secret = lethe.confirmed(JANE)
    url, reviewer = f"/v1/review/requests/{request_id}/withdrawals", lethe.reviewer()
    assert lethe.http.post(url).status_code == 401
    assert lethe.http.post(url, headers=reviewer).json()["state"] == "withdrawn"
    assert lethe.http.post(url, headers=reviewer).status_code == 409
    assert state(lethe, request_id, secret)[0] == "cancelled"


def test_two_reviewers_who_decide_at_once(lethe):
    request_id, _ = lethe.confirmed(JANE)
    headers = [lethe.version(request_id, lethe.reviewer()) for _ in range(2)]
    barrier, answers = threading.Barrier(2), []

    def decide(mine):
        barrier.wait()
        answers.append(
            httpx.post(
                f"{lethe.url}/v1/review/requests/{request_id}/decisions",
                json=accept(0),
                headers=mine,
            )
        )

    threads = [threading.Thread(target=decide, args=(mine,)) for mine in headers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.status_code for one in answers) == [200, 412]
    assert len(list(lethe.registry.store.listed())) == 1


def test_a_decision_names_the_version_that_was_read(lethe):
    request_id, _ = lethe.confirmed(JANE)
    url, reviewer = f"/v1/review/requests/{request_id}/decisions", lethe.reviewer()
    seen = lethe.version(request_id, reviewer)
    assert lethe.http.post(url, json=accept(0), headers=reviewer).status_code == 428
    for wrong in ("*", "1", 'W/"1"'):
        assert (
            lethe.http.post(url, json=accept(0), headers=reviewer | {"If-Match": wrong}).status_code
            == 400
        )
    late = reviewer | {"If-Match": '"99"'}
    assert lethe.http.post(url, json=accept(0), headers=late).status_code == 412
    done = lethe.http.post(url, json=accept(0.0), headers=seen)  # an integer by JSON Schema
    assert done.status_code == 200
    assert done.headers["etag"] == lethe.version(request_id, reviewer)["If-Match"]


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (accept(0, 1), "incomplete"),
        ({"outcomes": [{"position": 0, "outcome": "accepted"}]}, "not_verified"),
    ],
)
def test_what_cannot_be_decided_so(lethe, form, problem):
    request_id, _ = lethe.confirmed(NAME)
    seen = lethe.version(request_id, lethe.reviewer())
    answer = lethe.http.post(f"/v1/review/requests/{request_id}/decisions", json=form, headers=seen)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{problem}")


def test_the_gate_keeps_words_out(lethe):
    request_id, _ = lethe.confirmed(("text", "St. Gallen"))
    seen = lethe.version(request_id, lethe.reviewer())
    answer = lethe.http.post(
        f"/v1/review/requests/{request_id}/decisions", json=accept(0), headers=seen
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/compile_gate")


def test_the_queue_is_read_page_by_page(lethe):
    mine = [lethe.confirmed()[0] for _ in range(7)]
    reviewer = lethe.reviewer()
    found, cursor, pages = [], None, 0
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = lethe.http.get("/v1/review/queue", params=query, headers=reviewer).json()
        found += [one["subject_request_id"] for one in page["items"]]
        cursor, pages = page["next"], pages + 1
        if cursor is None:
            break
        forged = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
        answer = lethe.http.get("/v1/review/queue", params={"cursor": forged}, headers=reviewer)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown_cursor")
    assert pages == 3
    assert sorted(found) == sorted(mine)


def test_reading_and_looking_up_are_written_down(lethe):
    request_id, _ = lethe.confirmed(JANE)
    reviewer = lethe.reviewer()
    lethe.http.get(f"/v1/review/requests/{request_id}", headers=reviewer)
    found = lethe.http.post(
        "/v1/review/lookups",
        json={"identity_type": "email", "identity_value": "JANE.DOE@EXAMPLE.ORG"},
        headers=reviewer,
    )
    assert found.json() == {"requests": [request_id]}
    head = lethe.http.get("/v1/audit/head", headers=reviewer).json()
    trail = [entry for entry, _ in lethe.registry.database.trail()]
    assert [(one.action, one.subject) for one in trail[-2:]] == [
        ("read", request_id),
        ("looked_up", "-"),
    ]
    assert trail[-1].actor.startswith("reviewer:")
    assert head == {
        "length": len(trail),
        "digest": lethe.registry.database.verify_audit().digest.hex(),
    }


def test_a_preview_shows_what_would_be_caught(lethe):
    reviewer = lethe.reviewer()
    form = {"identity_type": "phone", "identity_value": "044 668 18 00"}
    answer = lethe.http.post("/v1/review/previews", json=form, headers=reviewer)
    assert any("+41446681800" in str(one) for one in answer.json()["spellings"])
    unusable = {"identity_type": "phone", "identity_value": "no number"}
    refused = lethe.http.post("/v1/review/previews", json=unusable, headers=reviewer)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/malformed_identity")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/review/queue"),
        ("GET", "/v1/review/requests/0b0f6a34-5d0e-4b5e-9a86-8f3b8f9f2c11"),
        ("POST", "/v1/review/requests/0b0f6a34-5d0e-4b5e-9a86-8f3b8f9f2c11/erasures"),
        ("GET", "/v1/audit/head"),
    ],
)
def test_only_reviewers_review(shared, method, path):
    machine = shared.key(Role.MACHINE, Scope.SUBMIT)
    assert shared.http.request(method, path).status_code == 401
    assert shared.http.request(method, path).headers["www-authenticate"] == "Bearer"
    assert shared.http.request(method, path, headers=machine).status_code == 403
    reviewer = shared.reviewer()
    assert shared.http.request(method, path, headers=reviewer).status_code in (200, 404)
    access_id = UUID(reviewer["Authorization"].split("_")[1])
    shared.registry.access.revoke(access_id, "admin")
    assert shared.http.request(method, path, headers=reviewer).status_code == 401


def test_an_operator_registers_and_takes_a_key_once(lethe):
    form = {"organisation": "Example Models", "email": "ops@example.org", "terms": "2026-07"}
    answer = lethe.http.post("/v1/operators", json=form)
    assert (answer.status_code, answer.json()) == (202, {"status": "link_sent"})
    old = lethe.http.post("/v1/operators", json=form | {"terms": "2020-01"})
    assert (old.status_code, old.json()["type"]) == (422, "/problems/terms")
    link = lethe.messages()[0][2]["values"]["link"]
    access_id, token = link.rsplit("/", 2)[1:]
    url = f"/v1/operators/{access_id}/confirmations"
    assert lethe.http.post(url, json={"token": "0" * 32}).status_code == 404
    key = lethe.http.post(url, json={"token": token})
    assert (key.status_code, key.headers["cache-control"]) == (201, "no-store")
    assert lethe.registry.access.allowed(key.json()["key"], Scope.BUNDLE)
    assert lethe.http.post(url, json={"token": token}).status_code == 409


def test_discovery_says_what_is_taken(shared):
    answer = shared.http.get("/v1/discovery")
    assert answer.headers["cache-control"] == "public, max-age=300"
    told = answer.json()
    assert {"identity_type": "email", "identity_format": "raw"} in told["supported_identities"]
    assert told["supported_subject_request_types"] == ["erasure", "rightsholder"]
    assert told["extensions"]["lethe"]["most_identities"] == 50


@pytest.mark.parametrize("hashed", ["sha1", "md5", "sha256"])
def test_a_hash_cannot_be_listed(shared, request_form, hashed):
    form = request_form(JANE)
    form["subject_identities"][0]["identity_format"] = hashed
    answer = shared.http.post("/v1/requests", json=form)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/hashed_identity")


def test_releases_and_figures_are_public(lethe):
    assert lethe.http.get("/v1/releases").json() == {"releases": []}
    assert lethe.http.get("/v1/releases/2026.2.0").status_code == 404
    assert lethe.http.get("/v1/releases/newest").status_code == 404
    for _ in range(3):
        lethe.submit()
    figures = lethe.http.get("/v1/figures").json()
    assert figures["states"] == {"unverified": None}
    release = lethe.registry.releases.compile()
    assert lethe.http.get("/v1/releases").json() == {"releases": []}
    lethe.registry.releases.enter_published(release.release)
    one = lethe.http.get(f"/v1/releases/{release.release}").json()
    assert one["digests"] == release.digests
    assert lethe.http.get("/v1/releases").json()["releases"] == [one]
    patch = lethe.registry.releases.compile(urgent="a test").release
    lethe.registry.releases.enter_published(patch)
    assert lethe.http.get(f"/v1/releases/{release.release}").json() == one
    newest = lethe.http.get("/v1/releases").json()["releases"]
    assert [each["release"] for each in newest] == [patch, release.release]
