"""What somebody learns who compares two releases: no more than the threat model says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from registry_life import Life

from filter import Bundle
from filter.widths import rounded_up
from filter_service.settings import Settings


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Life, Bundle, Bundle]]:
    """130 persons; then ten of them leave, and thirty more come."""
    life = Life(tmp_path_factory.mktemp("two") / "registry", Settings(kdf="testing"))
    receipts = [
        life.accepted([("email", f"p{n}@example.org", None)], f"p{n}@example.org")
        for n in range(130)
    ]
    first = life.release()
    kept = life.folder / "first.safetensors"
    shutil.copy(life.registry.releases.path(first, "public"), kept)
    for receipt in receipts[:10]:
        life.registry.withdraw(receipt.request_id, receipt.secret)
    for n in range(130, 160):
        life.accepted([("email", f"p{n}@example.org", None)], f"p{n}@example.org")
    second = life.release()
    newest = life.registry.releases.path(second, "public")
    bundles = [Bundle.open(path, verify=True, now=life.clock.now) for path in (kept, newest)]
    yield life, bundles[0], bundles[1]
    life.close()


def codes(bundle: Bundle) -> set[int]:
    return set(np.asarray(bundle._arrays["codes.email"]).tolist())


def real(bundle: Bundle, numbers: range) -> set[int]:
    from filter.canonical import canonicalize, comparable
    from filter.compile import recognised_secret
    from filter.identifiers import IdentifierKind

    kind = IdentifierKind.EMAIL
    bits = bundle.manifest["kinds"]["email"]["bits"]
    return {
        bundle.kdf.hash(
            bundle.salt,
            recognised_secret(kind, comparable(kind, canonicalize(kind, f"p{n}@example.org"))),
        )
        >> (32 - bits)
        for n in numbers
    }


def test_salt_and_width_stay(two: tuple[Life, Bundle, Bundle]) -> None:
    """Fresh salts would let an attacker intersect candidates (posterior 99.78% after two)."""
    _, first, second = two
    assert first.salt == second.salt
    assert first.manifest["kinds"]["email"]["bits"] == second.manifest["kinds"]["email"]["bits"]
    assert first.manifest["kdf"] == second.manifest["kdf"]


def test_lengths_are_round_and_do_not_tell_the_counts(two: tuple[Life, Bundle, Bundle]) -> None:
    _, first, second = two
    assert [len(codes(one)) for one in (first, second)] == [
        rounded_up(130 + 1),  # one canary
        rounded_up(150 + 1),
    ]
    assert len(codes(first)) > 131


def test_who_stays_cannot_be_told_from_decoys(two: tuple[Life, Bundle, Bundle]) -> None:
    """Decoys are one sequence: most of them stand in both files, as those persons do who stay."""
    _, first, second = two
    shared = codes(first) & codes(second)
    staying = real(second, range(10, 130))
    assert staying <= shared
    decoys_shared = shared - staying
    assert len(decoys_shared) > 1, "or whatever both files share would be a person"


def test_what_a_difference_tells(two: tuple[Life, Bundle, Bundle]) -> None:
    """Which codes came and went: that is said in the threat model; whose they are costs k guesses."""
    _, first, second = two
    came = codes(second) - codes(first)
    went = codes(first) - codes(second)
    assert real(second, range(130, 160)) <= came
    assert real(first, range(10)) <= went
    assert first.manifest["kinds"]["email"]["k"] > 10


def test_manifests_tell_rounded_counts_only(two: tuple[Life, Bundle, Bundle]) -> None:
    life, first, second = two
    for bundle in (first, second):
        assert bundle.manifest["kinds"]["email"]["entries"] == len(codes(bundle))
    notes = [
        one.notes["public"]["kinds"]["email"]["entries"] for one in life.registry.releases.all()
    ]
    assert notes == ["about 150", "about 130"]
