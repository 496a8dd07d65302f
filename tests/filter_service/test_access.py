"""Keys: what each may do, and that nobody can tell why one may not."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_batch import in_one_batch
from registry_life import Life

from filter_service.access import SCOPES, Access, Role, Scope
from filter_service.errors import NotAllowed, NotFound, Refusal, Unacceptable, WrongState

TERMS = "2026-07"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def created(life: Life, role: Role = Role.REVIEWER, **named: Any) -> tuple[Access, str]:
    return life.registry.access.create(role, "Ada Lovelace", "admin", **named)


def operator(life: Life, email: str = "op@example.org") -> tuple[UUID, str]:
    """The id and the token that stand in the link of a new registration."""
    life.registry.access.register_operator("Example University", email, TERMS, "en")
    links = [
        c["values"]["link"] for _, template, c in life.messages() if template == "operator_key"
    ]
    _, access_id, token = links[-1].rsplit("/", 2)
    return UUID(access_id), token


def refusal(life: Life, key: str, scope: Scope = Scope.REVIEW) -> tuple[str, str, int]:
    with pytest.raises(NotAllowed) as error:
        life.registry.access.allowed(key, scope)
    return error.value.code, str(error.value), error.value.status


# -- keys -----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_nowhere_kept(life: Life) -> None:
    access, key = created(life)
    assert re.fullmatch(r"lethe_[0-9a-f]{32}_[0-9a-f]{32}", key)
    secret = key.rpartition("_")[2]
    octets = b"".join(p.read_bytes() for p in life.folder.rglob("*") if p.is_file())
    assert secret.encode() not in octets
    assert bytes.fromhex(secret) not in octets
    assert b"Lovelace" not in octets
    for thing in (access, life.registry.access.all()):
        assert "Lovelace" not in repr(thing)
        assert access.digest.hex() not in repr(thing)
    assert life.registry.access.authenticated(key).who == "Ada Lovelace"
    life.reopen()
    assert life.registry.access.authenticated(key) == access


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_may_do_what_its_role_may_and_was_given(life: Life, role: Role, scope: Scope) -> None:
    if scope in SCOPES[role]:
        _, key = created(life, role, scopes=[scope])
        for other in Scope:
            if other is scope:
                assert life.registry.access.allowed(key, other).role is role
            else:
                assert refusal(life, key, other)[0] == "scope"
    else:
        with pytest.raises(Unacceptable):
            created(life, role, scopes=[scope])


def test_a_mandate_is_given_only_when_asked_for(life: Life) -> None:
    _, key = created(life, Role.MACHINE)
    assert refusal(life, key, Scope.MANDATE)[0] == "scope"
    assert life.registry.access.allowed(key, Scope.SUBMIT)


def test_all_keys_that_are_none_are_refused_alike(life: Life) -> None:
    access, key = created(life)
    revoked, revoked_key = created(life)
    life.registry.access.revoke(revoked.access_id, "admin")
    _, expired_key = created(life, days=1)
    registered, _ = operator(life)
    life.clock.forward(days=1)
    _, today = created(life, days=0)
    other, other_key = created(life)
    keys = {
        "empty": "",
        "no key": "Bearer",
        "wrong secret": key[:-1] + ("0" if key[-1] != "0" else "1"),
        "another's secret": f"lethe_{access.access_id.hex}_{other_key[-32:]}",
        "unknown": f"lethe_{uuid4().hex}_{key[-32:]}",
        "revoked": revoked_key,
        "expired": expired_key,
        "of no days": today,
        "not confirmed": f"lethe_{registered.hex}_{'0' * 32}",
        "upper case": key.upper(),
        "more behind": key + "\n",
        "other digits": key[:-1] + "٣",
        "half a letter": "\ud83d",
    }
    for _ in range(2):
        assert len({refusal(life, one) for one in keys.values()}) == 1
        for code in keys.values():
            with pytest.raises(NotAllowed) as error:
                life.registry.access.authenticated(code)
            assert not code or code not in str(error.value)
        assert life.registry.access.authenticated(key).access_id == access.access_id
        assert life.registry.access.authenticated(other_key).access_id == other.access_id
        life.reopen()


@given(st.text(max_size=80))
def test_no_text_is_a_key(life_of_module: Life, text: str) -> None:
    with pytest.raises(NotAllowed):
        life_of_module.registry.access.authenticated(text)


@pytest.fixture(scope="module")
def life_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    found = Life(tmp_path_factory.mktemp("registry"))
    yield found
    found.close()


def test_an_unknown_key_takes_as_long_as_a_wrong_one(life: Life) -> None:
    access, _ = created(life)
    wrong = f"lethe_{access.access_id.hex}_{'0' * 32}"
    unknown = f"lethe_{uuid4().hex}_{'0' * 32}"

    def taken(text: str) -> float:
        begin = time.perf_counter()
        with pytest.raises(NotAllowed):
            life.registry.access.authenticated(text)
        return time.perf_counter() - begin

    times: dict[str, list[float]] = {wrong: [], unknown: []}
    for _ in range(400):
        for text, found in times.items():
            found.append(taken(text))
    assert 0.5 < median(times[wrong]) / median(times[unknown]) < 2


def test_a_key_expires_in_its_second(life: Life) -> None:
    _, key = created(life, days=30)
    life.clock.now += timedelta(days=30, seconds=-1)
    assert life.registry.access.authenticated(key)
    life.clock.forward(seconds=1)
    refusal(life, key)


def test_a_revoked_key_stays_revoked(life: Life) -> None:
    access, key = created(life)
    for _ in range(2):
        life.registry.access.revoke(access.access_id, "admin")
    refusal(life, key)
    life.reopen()
    refusal(life, key)
    assert [one.revoked is not None for one in life.registry.access.all()] == [True]
    with pytest.raises(NotFound):
        life.registry.access.revoke(uuid4(), "admin")


# -- operators ------------------------------------------------------------------------------------


def test_an_operator_gets_a_key_by_a_link_that_works_once(life: Life) -> None:
    access_id, token = operator(life)
    assert not life.registry.access.all()[0].confirmed
    for wrong in ("", "é", token[:-1], token.upper() + " "):
        with pytest.raises(NotFound):
            life.registry.access.confirm_operator(access_id, wrong)
    with pytest.raises(NotFound):
        life.registry.access.confirm_operator(uuid4(), token)
    key = life.registry.access.confirm_operator(access_id, token)
    found = life.registry.access.allowed(key, Scope.BUNDLE)
    assert (found.terms, found.email, found.expires) == (TERMS, "op@example.org", None)
    for _ in range(2):
        with pytest.raises(WrongState):
            life.registry.access.confirm_operator(access_id, token)
        life.reopen()
    life.clock.forward(days=5000)
    assert life.registry.access.allowed(key, Scope.BUNDLE)


def test_a_link_of_an_operator_is_good_for_seven_days(life: Life) -> None:
    for late, works in ((-1, True), (0, False)):
        access_id, token = operator(life)
        life.clock.now += timedelta(days=7, seconds=late)
        if works:
            assert life.registry.access.confirm_operator(access_id, token)
        else:
            with pytest.raises(WrongState):
                life.registry.access.confirm_operator(access_id, token)


def test_of_two_confirmations_at_once_one_gets_the_key(life: Life) -> None:
    access_id, token = operator(life)
    confirm = lambda: life.registry.access.confirm_operator(access_id, token)  # noqa: E731
    first, second = in_one_batch(life.registry.database, confirm, confirm)
    assert life.registry.access.authenticated(first)
    assert isinstance(second, WrongState)


@pytest.mark.parametrize("first", ["confirm", "revoke"])
def test_a_key_revoked_while_it_is_confirmed_is_revoked(life: Life, first: str) -> None:
    access_id, token = operator(life)
    calls = {
        "confirm": lambda: life.registry.access.confirm_operator(access_id, token),
        "revoke": lambda: life.registry.access.revoke(access_id, "admin"),
    }
    order = sorted(calls, key=lambda name: name != first)
    results = dict(
        zip(order, in_one_batch(life.registry.database, *map(calls.get, order)), strict=True)  # type: ignore[arg-type]
    )
    for _ in range(2):
        assert life.registry.access.all()[0].revoked is not None
        if isinstance(results["confirm"], str):
            refusal(life, results["confirm"], Scope.BUNDLE)
        life.reopen()


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("terms", {"terms": "2020-01"}),
        ("organisation", {"organisation": "  "}),
        ("organisation", {"organisation": "x" * 201}),
        ("organisation", {"organisation": "a\nb"}),
        ("unknown_language", {"language": "xx"}),
        ("malformed_identity", {"email": "nowhere"}),
        ("malformed_identity", {"email": "a@example.org\nBcc: b@example.org"}),
    ],
)
def test_a_registration_that_cannot_be_used(life: Life, code: str, changed: dict[str, str]) -> None:
    given = {"organisation": "Example", "email": "op@example.org", "terms": TERMS, "language": "en"}
    with pytest.raises(Unacceptable) as error:
        life.registry.access.register_operator(**(given | changed))
    assert error.value.code == code
    assert life.registry.access.all() == []
    assert life.messages() == []


def test_registrations_that_nobody_confirmed_are_forgotten(life: Life) -> None:
    late, late_token = operator(life, "late@example.org")
    used, used_token = operator(life, "used@example.org")
    key = life.registry.access.confirm_operator(used, used_token)
    _, reviewer = created(life, days=3)
    life.clock.now += timedelta(days=7, seconds=-1)
    assert life.registry.access.drop_unconfirmed() == 0
    life.clock.forward(seconds=1)
    assert life.registry.access.drop_unconfirmed() == 1
    assert {one.access_id for one in life.registry.access.all()} >= {used}
    assert late not in {one.access_id for one in life.registry.access.all()}
    with pytest.raises(Refusal):
        life.registry.access.confirm_operator(late, late_token)
    assert [content["to"] for _, _, content in life.messages()] == ["used@example.org"]
    life.reopen()
    assert len(life.registry.access.all()) == 2
    assert life.registry.access.authenticated(key)
    refusal(life, reviewer)
    assert life.registry.store.reconcile() == 0
