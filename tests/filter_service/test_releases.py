"""Releases: what is in them, when they may come, and whom they concern."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from registry_life import Life

from filter import Bundle, OutputFilter
from filter_service.errors import NotFound, Unacceptable, WrongState
from filter_service.model import RequestKind
from filter_service.notes import rounded

TEXT = "Ask Jane Doebler-Zgraggen at jane.doe@example.org or John Roe at john.roe@example.org."
JOHN = [("email", "john.roe@example.org", "operators")]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path / "registry")
    yield found
    found.close()


def said(life: Life, release: str, audience: str) -> str:
    path = life.registry.releases.path(release, audience)
    return OutputFilter(Bundle.open(path, verify=True, now=life.clock.now)).redact(TEXT).text


def test_a_release_holds_what_was_accepted_each_in_its_file(life: Life) -> None:
    life.accepted()
    life.accepted(JOHN, "john.roe@example.org")
    release = life.release()
    assert release == "2026.2.0"
    assert said(life, release, "public") == (
        "Ask Jane Doebler-Zgraggen at [email removed] or John Roe at john.roe@example.org."
    )
    assert said(life, release, "operators") == (
        "Ask [name removed] at [email removed] or John Roe at [email removed]."
    )


def test_only_what_was_accepted_is_in_it(life: Life) -> None:
    unverified = life.submit()
    waiting = life.submit(JOHN, "john.roe@example.org")
    life.confirm(waiting)
    release = life.release()
    assert said(life, release, "operators") == TEXT
    assert life.state(unverified) == "unverified"
    assert life.state(waiting) == "in_review"


def test_states_follow_the_releases(life: Life) -> None:
    jane = life.accepted()
    life.release()
    assert life.state(jane) == "published"
    life.registry.withdraw(jane.request_id, jane.secret)
    assert life.state(jane) == "removal_due"
    second = life.release()
    assert second == "2026.2.1"
    assert life.state(jane) == "removed"
    assert said(life, second, "operators") == TEXT
    assert list(life.registry.store.listed()) == []
    told = [template for _, template, _ in life.messages(jane.request_id)]
    assert [t for t in told if t in {"published", "withdrawn", "removed"}] == [
        "published",
        "withdrawn",
        "removed",
    ]


def test_a_namesake_stays_protected(life: Life) -> None:
    one = life.accepted()
    life.clock.forward(days=2)
    other = life.accepted([("name", "Jane Doebler Zgraggen", None)], "j2@example.org")
    life.release()
    life.registry.withdraw(one.request_id, one.secret)
    release = life.release()
    assert life.state(one) == "removed"
    assert life.state(other) == "published"
    assert said(life, release, "operators").startswith("Ask [name removed] at jane.doe@example.org")


def test_withdrawn_between_compiling_and_publishing(life: Life) -> None:
    jane = life.accepted()
    made = life.registry.releases.compile()
    life.registry.withdraw(jane.request_id, jane.secret)
    with pytest.raises(WrongState, match="withdrawn since"):
        life.registry.releases.check_publishable(made.release)
    assert life.registry.releases.compile().release == made.release
    life.registry.releases.check_publishable(made.release)
    life.registry.releases.enter_published(made.release)
    assert said(life, made.release, "operators") == TEXT


def test_accepted_after_compiling_waits_for_the_next(life: Life) -> None:
    made = life.registry.releases.compile()
    jane = life.accepted()
    life.registry.releases.enter_published(made.release)
    assert life.state(jane) == "accepted"
    life.release()
    assert life.state(jane) == "published"


def test_publishing_goes_on_where_it_was_interrupted(life: Life) -> None:
    all_of_them = [
        life.accepted([("email", f"p{n}@example.org", None)], f"p{n}@example.org") for n in range(5)
    ]
    made = life.registry.releases.compile()
    calls = iter((1,))
    tell = life.registry.outgoing.tell

    def failing(*arguments: object, **values: object) -> None:
        next(calls)
        tell(*arguments, **values)  # type: ignore[arg-type]

    life.registry.outgoing.tell = failing  # type: ignore[assignment, method-assign]
    with pytest.raises((RuntimeError, StopIteration)):
        life.registry.releases.enter_published(made.release)
    life.registry.outgoing.tell = tell  # type: ignore[method-assign]
    assert {life.state(one) for one in all_of_them} == {"accepted"}
    assert life.registry.releases.enter_published(made.release) == 5
    assert {life.state(one) for one in all_of_them} == {"published"}
    assert life.registry.releases.enter_published(made.release) == 0


def test_patches_come_seldom_and_for_many(life: Life) -> None:
    life.release()
    for n in range(19):
        life.accepted([("email", f"p{n}@example.org", None)], f"p{n}@example.org")
    life.clock.forward(days=27)
    with pytest.raises(Unacceptable, match="28 days"):
        life.registry.releases.compile()
    life.clock.forward(days=1)
    with pytest.raises(Unacceptable, match="at least 20"):
        life.registry.releases.compile()
    life.accepted([("email", "p19@example.org", None)], "p19@example.org")
    assert life.registry.releases.compile().release == "2026.2.1"


def test_a_full_release_waits_for_nobody(life: Life) -> None:
    life.release()
    life.clock.forward(days=151)
    assert life.registry.releases.coming() == ("2027.2.0", date(2027, 7, 1))
    assert life.registry.releases.compile().release == "2027.1.0"


@pytest.mark.parametrize("release", ["2026.1.0", "2026.2.0", "2026.3.0", "2027.2.0", "nonsense"])
def test_releases_that_cannot_come(life: Life, release: str) -> None:
    life.release("2026.2.0")
    with pytest.raises(Exception, match=r"newer release|not a release|of this half-year"):
        life.registry.releases.compile(release)


def test_the_same_release_is_published_once(life: Life) -> None:
    release = life.release()
    with pytest.raises(WrongState, match="published already"):
        life.registry.releases.check_publishable(release)
    with pytest.raises(NotFound):
        life.registry.releases.enter_published("2026.2.7")


def test_a_file_names_what_came_before_and_the_audit_trail(life: Life) -> None:
    life.accepted()
    first = life.registry.releases.get(life.release())
    head = life.registry.database.head
    second = life.registry.releases.compile(urgent="a test")
    path = life.registry.releases.path(second.release, "public")
    manifest = Bundle.open(path, verify=True, now=life.clock.now).manifest
    assert manifest["previous"] == {
        "release": "2026.2.0",
        "content_sha256": first.digests["public"],
    }
    assert manifest["audit"] == {"length": head.length, "head": head.digest.hex()}
    assert second.previous == "2026.2.0"


def test_hashes_are_taken_from_what_was_computed_on_acceptance(life: Life) -> None:
    """A release of other hashes than were cached would list nobody: so the cache is what is used."""
    life.accepted()
    entry = next(one for one in life.registry.store.listed() if one.kind == "email")
    assert entry.content is not None
    assert len(entry.content["hashes"]) == 1
    life.registry.database.write(
        lambda t: t.write(
            "UPDATE listed SET sealed = ? WHERE listed_id = ?",
            life.registry.store.seal(
                entry.key_id,
                {**entry.content, "hashes": dict.fromkeys(entry.content["hashes"], 7 << 20)},  # type: ignore[dict-item]
                entry.listed_id,
            ),
            entry.listed_id,
        )
    )
    release = life.release()
    assert said(life, release, "public") == TEXT


def test_hashes_made_with_something_else_are_made_again(tmp_path: Path) -> None:
    from dataclasses import replace

    from registry_life import SETTINGS

    life = Life(tmp_path / "registry")
    life.accepted()
    life.registry.close()
    life.settings = replace(SETTINGS, family="another")
    life.reopen()
    release = life.release()
    assert said(life, release, "operators").startswith("Ask [name removed] at [email removed]")
    life.close()


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "under 10"),
        (9, "under 10"),
        (10, "about 10"),
        (99, "about 99"),
        (101, "about 100"),
        (12_345, "about 12,000"),
        (129_999, "about 120,000"),
    ],
)
def test_counts_are_rounded(count: int, words: str) -> None:
    assert rounded(count) == words


def test_notes_hold_no_exact_counts(life: Life) -> None:
    for n in range(12):
        life.accepted([("email", f"p{n}@example.org", None)], f"p{n}@example.org")
    release = life.release()
    notes = life.registry.releases.get(release).notes
    assert notes["public"]["kinds"]["email"]["entries"] == "about 12"
    assert notes["public"]["kinds"]["phone"]["entries"] == "under 10"
    text = (life.registry.releases.folder / release / "notes.md").read_text("utf-8")
    assert "mnemosyne.kanarienvogel@lethe.example" in text
    assert "p1@example.org" not in text


def test_an_optout_reaches_the_corpus(life: Life, tmp_path: Path) -> None:
    """From a rightsholder's request to a policy that drops the pages, and back after withdrawal."""
    from pipeline.optout.agents import resolve
    from pipeline.optout.compile import PolicyCompiler
    from pipeline.optout.policy import OptOutPolicy
    from pipeline.optout.spec import named

    asked = [
        ("subdomains", "Recipes.example.org", None),
        ("url_prefix", "https://blog.example.net/me/", None),
    ]
    asked += [
        ("document_id", "doc-17", None),
        ("dataset", "fineweb-2", None),
        ("url", "https://example.com/a?b=1", None),
    ]
    receipt = life.submit(asked, "site@example.org", RequestKind.RIGHTSHOLDER)
    life.confirm(receipt)
    life.accept(receipt)
    assert life.state(receipt) == "accepted"

    def verdicts() -> list[bool]:
        lines = list(life.registry.releases.optouts())
        path = tmp_path / "optouts.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), life.clock.now.date())
        compiler.add_optouts(path)
        policy = tmp_path / "policy.parquet"
        policy.unlink(missing_ok=True)
        compiler.finish(policy)
        opened = OptOutPolicy.open(policy)
        urls = ["https://www.recipes.example.org/cake", "https://blog.example.net/me/x"]
        urls += [
            "https://example.com/a?b=1",
            "https://example.com/a?b=2",
            "https://blog.example.net/you",
        ]
        return [not opened.verdict(url).keep for url in urls]

    assert verdicts() == [True, True, True, False, False]
    life.release()
    assert life.state(receipt) == "published"
    life.registry.withdraw(receipt.request_id, receipt.secret)
    assert verdicts() == [False] * 5


def test_files_of_older_releases_are_not_kept(life: Life) -> None:
    """They list people who have withdrawn since."""
    first = life.release()
    second = life.release()
    assert not life.registry.releases.path(first, "operators").exists()
    assert life.registry.releases.path(second, "operators").exists()


def test_sites_do_not_make_a_patch_that_dates_a_person(life: Life) -> None:
    life.release()
    for n in range(19):
        site = life.submit(
            [("domain", f"s{n}.example.org", None)], "s@example.org", RequestKind.RIGHTSHOLDER
        )
        token = life.registry.store.token("contact", site.request_id, 1)
        life.registry.confirm_contact(site.request_id, token)
        life.accept(site)
    life.accepted()
    life.clock.forward(days=28)
    with pytest.raises(Unacceptable, match="at least 20 persons"):
        life.registry.releases.compile()


def test_a_signed_release_goes_out_although_somebody_withdrew(life: Life) -> None:
    jane = life.accepted()
    made = life.registry.releases.compile()
    life.clock.forward(minutes=1)
    life.registry.withdraw(jane.request_id, jane.secret)
    life.registry.releases.check_publishable(made.release, signed=True)
    life.registry.releases.enter_published(made.release)
    assert said(life, made.release, "operators") != TEXT
    assert life.state(jane) == "removal_due", "this release holds it still"
    life.clock.forward(minutes=1)
    assert said(life, life.release(), "operators") == TEXT
    assert life.state(jane) == "removed"


def test_a_trail_whose_end_was_cut_off_is_found_by_a_release(life: Life) -> None:
    from filter_service.errors import UnusableFolder

    life.accepted()
    life.release()
    life.registry.verify_audit()
    life.registry.database.write(lambda t: t.write("DELETE FROM audit WHERE number > 2"))
    life.reopen()
    with pytest.raises(UnusableFolder):
        life.registry.verify_audit()


def test_other_files_than_were_compiled_are_not_published(life: Life) -> None:
    """As a crash leaves them between two compilations."""
    first = life.registry.releases.compile()
    kept = life.registry.releases.path(first.release, "public").read_bytes()
    life.accepted()
    second = life.registry.releases.compile()
    life.registry.releases.path(second.release, "public").write_bytes(kept)
    with pytest.raises(WrongState, match="compile it again"):
        life.registry.releases.check_publishable(second.release)
