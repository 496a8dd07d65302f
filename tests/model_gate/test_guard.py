"""The bundle in force: opened, watched, replaced, refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from filter import Bundle, FilterPolicy, IdentifierKind
from filter.errors import BundleExpired, DamagedBundle, InputError, NotABundle
from model_gate.errors import FilterFailed, TestingBundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
ADDRESS = "jane.doe-meier@example.org"


def built(release: str = "2026.2.0", *, entries: bool = True, **options: object) -> Bundle:
    listed = [("email", ADDRESS)] if entries else []
    return Bundle.build(listed, release=release, kdf="testing", **options)  # type: ignore[arg-type]


def opened(path: Path, now: list[datetime] | None = None) -> Guard:
    clock = now or [NOW]
    return Guard.open(path, allow_testing=True, clock=lambda: clock[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    built().write(tmp_path / "filter.safetensors")
    return tmp_path / "filter.safetensors"


def test_opened(path: Path) -> None:
    guard = opened(path)
    assert guard.in_force().redact(f"To {ADDRESS}").text == "To [email removed]"
    health = guard.health()
    assert health.holds
    assert (health.release, health.freshness, health.problems) == ("2026.2.0", "valid", ())
    assert health.canaries == {}
    assert guard.probe()["email"]
    assert all(guard.health().canaries.values())


def test_the_testing_profile_is_refused(path: Path) -> None:
    with pytest.raises(TestingBundle, match="--kdf testing"):
        Guard.open(path, clock=lambda: NOW)
    with pytest.raises(TestingBundle):
        Guard(built())


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda p: p.unlink(), InputError),
        (lambda p: p.write_bytes(b""), NotABundle),
        (lambda p: p.write_bytes(b"no bundle at all, just text"), NotABundle),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), DamagedBundle),
        (
            lambda p: p.write_bytes(p.read_bytes()[:-1] + bytes([p.read_bytes()[-1] ^ 1])),
            DamagedBundle,
        ),
        (
            lambda p: p.write_bytes(p.read_bytes().replace(b'\\"format\\":', b'\\"format\\":9')),
            InputError,
        ),
    ],
    ids=["missing", "empty", "text", "cut", "changed", "format"],
)
def test_what_must_not_be_used(path: Path, spoil: object, error: type[Exception]) -> None:
    guard = opened(path)
    spoil(path)  # type: ignore[operator]
    with pytest.raises(error) as refused:
        opened(path)
    assert str(refused.value).count(".") >= 1
    assert ADDRESS not in str(refused.value)
    # The one in force stays in force, and somebody is told.
    assert guard.refresh() is False
    assert guard.in_force().redact(ADDRESS).text == "[email removed]"
    assert guard.health().holds
    assert "stays in force" in guard.health().problems[0]


def test_a_newer_release_comes_into_force(path: Path) -> None:
    guard = opened(path)
    assert guard.refresh() is False
    before = guard.in_force()
    Bundle.build([("email", "ann.lee@example.org")], release="2026.2.1", kdf="testing").write(path)
    assert guard.refresh() is True
    assert guard.release == "2026.2.1"
    assert guard.in_force().redact("ann.lee@example.org").text == "[email removed]"
    assert before.redact(ADDRESS).text == "[email removed]"  # a stream that began keeps its filter


@pytest.mark.parametrize("release", ["2026.1.9", "2026.2.0"])
def test_no_way_back(path: Path, release: str) -> None:
    guard = opened(path)
    built(release, entries=False).write(path)
    assert guard.refresh() is False
    assert guard.in_force().redact(ADDRESS).text == "[email removed]"
    assert "not newer" in guard.health().problems[0]
    built("2026.2.0").write(path)  # put right
    guard.refresh()
    assert guard.health().problems == ()


def test_a_testing_bundle_does_not_replace_a_real_one(tmp_path: Path) -> None:
    path = tmp_path / "filter.safetensors"
    Bundle.build([("email", ADDRESS)], release="2026.2.0").write(path)
    guard = Guard.open(path, clock=lambda: NOW)
    built("2026.2.1").write(path)
    assert guard.refresh() is False
    assert guard.release == "2026.2.0"


def test_the_calendar(path: Path) -> None:
    """Valid, expiring, expired with an alarm, refused at ten of a working day."""
    now = [NOW]
    guard = opened(path, now)
    last = date(2027, 4, 2)
    assert guard.health().valid_until == last
    for moment, freshness, holds in (
        (datetime(2027, 2, 1, tzinfo=UTC), "valid", True),
        (datetime(2027, 2, 2, tzinfo=UTC), "expiring", True),
        (datetime(2027, 4, 3, tzinfo=UTC), "expired", True),
        (datetime(2027, 5, 3, 9, 59, tzinfo=UTC), "expired", True),
        (datetime(2027, 5, 3, 10, tzinfo=UTC), "refused", False),
    ):
        now[0] = moment
        assert (guard.health().freshness, guard.health().holds) == (freshness, holds), moment
        assert bool(guard.health().problems) is (freshness != "valid")
    with pytest.raises(BundleExpired, match="lethe bundle get"):
        guard.in_force()
    with pytest.raises(BundleExpired):
        opened(path, now)


def test_a_canary_that_gets_through_stops_everything() -> None:
    blind = FilterPolicy(exempt=frozenset({c for c in built().canaries if c.kind == "phone"}))
    policy = GatePolicy(filter=blind)
    guard = Guard(built(), policy, allow_testing=True, clock=lambda: NOW)
    guard.in_force()
    assert guard.probe()["phone"] is False
    assert not guard.health().holds
    assert guard.health().problems == ("Canaries get through: phone.",)
    with pytest.raises(FilterFailed):
        guard.in_force()


def test_kinds_that_are_not_looked_for_have_no_canaries() -> None:
    only = FilterPolicy(kinds=frozenset({IdentifierKind.PHONE}))
    guard = Guard(built(), GatePolicy(filter=only), allow_testing=True, clock=lambda: NOW)
    assert guard.probe() == {"phone": True}


def test_a_file_that_is_overwritten_in_place_does_not_change_the_filter(path: Path) -> None:
    guard = opened(path)
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert guard.in_force().redact(ADDRESS).text == "[email removed]"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "block"},
        {"on_named_prompt": "ignore"},
        {"tries": -1},
        {"named_prompts_per_hour": 0},
        {"filter": FilterPolicy(generic=frozenset({IdentifierKind.EMAIL}))},
    ],
    ids=["mode", "named", "tries", "per hour", "generic"],
)
def test_policies_that_could_not_work(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        GatePolicy(**wrong)  # type: ignore[arg-type]


def test_a_newer_release_is_tried_before_it_comes_into_force(path: Path) -> None:
    """One that lets a canary through, or cannot be tried, leaves the old one where it is."""
    exempt = frozenset({c for c in built().canaries if c.kind == "phone"})
    guard = opened(path)
    guard.policy = GatePolicy(filter=FilterPolicy(exempt=exempt))
    built("2026.2.1").write(path)
    assert guard.refresh() is False
    assert guard.release == "2026.2.0"
    assert "canaries" in guard.health().problems[0]
    guard.in_force()


def test_canaries_that_cannot_be_tried_stop_everything(path: Path) -> None:
    guard = opened(path)
    guard.probe()
    guard.policy = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        guard.probe()
    assert not guard.health().holds
    with pytest.raises(FilterFailed):
        guard.in_force()
