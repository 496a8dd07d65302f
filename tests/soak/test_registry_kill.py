"""A registry that is killed while people use it: nothing that was acknowledged is lost or half done."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from filter_service.database import STAGING
from filter_service.errors import WrongState
from filter_service.model import State
from filter_service.registry import Registry
from filter_service.settings import Settings

pytestmark = pytest.mark.soak

RUNS = 40
SETTINGS = Settings(kdf="testing")
USERS = """
import json, os, random, sys, threading, uuid
from pathlib import Path
from filter_service.errors import Refusal
from filter_service.model import Reason, RequestKind
from filter_service.registry import Registry, Submission
from filter_service.review import Outcome
from filter_service.settings import Settings

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
registry = Registry.open(folder, settings=Settings(kdf="testing"))
review = registry.review

def told(request_id, step):
    os.write(1, (json.dumps([str(request_id), step]) + "\\n").encode())

def user(number):
    rng = random.Random(f"{seed} {number}")
    for count in range(10**6):
        request_id = uuid.UUID(int=rng.getrandbits(128), version=4)
        # Few addresses, so that many claim the same entry, also in one transaction.
        texts = rng.sample([f"person{n}@example.org" for n in range(12)], rng.randint(1, 3))
        audience = rng.choice(["public", "operators"])
        identities = [("email", text, audience) for text in texts]
        if rng.random() < 0.3:
            identities.append(("name", f"Jane Doebler-Zgraggen {rng.choice('abc')}", None))
        mail = f"{number}-{count}@example.org"
        receipt = registry.submit(Submission(request_id, RequestKind.ERASURE, identities, mail))
        told(request_id, 0)
        if rng.random() < 0.2:
            if rng.random() < 0.5:
                review.erase(request_id, "admin")
                told(request_id, 9)
            continue
        registry.confirm_contact(request_id, registry.store.token("contact", request_id, 1))
        told(request_id, 1)
        if rng.random() < 0.2:
            no = [Outcome(n, accepted=False, reason=Reason.OTHER) for n in range(len(identities))]
            review.decide(request_id, "ada", no)
            told(request_id, 3)
        else:
            yes = [Outcome(n, accepted=True, seen=True) for n in range(len(identities))]
            if review.decide(request_id, "ada", yes).state == "in_review":
                told(request_id, 2)
                review.decide(request_id, "bob", yes)
            told(request_id, 3)
        if rng.random() < 0.6:
            registry.withdraw(request_id, receipt.secret)
            told(request_id, 4)
            if rng.random() < 0.5:
                review.erase(request_id, "admin")
                told(request_id, 9)

def keeper():
    rng = random.Random(seed)
    for count in range(10**6):
        what = rng.randrange(6)
        if what == 0:
            registry.database.compact()
        elif what == 1:
            registry.database.backup(folder / f"backup-{seed}-{count}.duckdb")
        elif what == 2:
            registry.store.reconcile()
        elif what == 3:
            registry.releases.compile(urgent="always")
        elif what == 4:
            list(registry.releases.optouts())
        else:
            registry.database.verify_audit()

threads = [threading.Thread(target=user, args=(n,)) for n in range(6)]
threads.append(threading.Thread(target=keeper))
told("begun", 0)
for thread in threads:
    thread.start()
"""


def killed_midway(folder: Path, seed: int, after: float) -> list[tuple[str, int]]:
    """Let users at the registry and kill it; what they were told was done."""
    process = subprocess.Popen(
        [sys.executable, "-c", USERS, str(folder), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert b"begun" in first, (process.stderr or process.stdout).read().decode()
    time.sleep(after)
    process.kill()
    said, wrong = process.communicate()
    assert process.returncode == -signal.SIGKILL, wrong.decode()
    assert wrong == b"", wrong.decode()
    # The last line may be cut short: then its user was not told.
    return [tuple(json.loads(line)) for line in said.split(b"\n")[:-1]]


def reached(registry: Registry, request_id: UUID) -> int:
    """How far a request came, in the numbers of the users."""
    case = registry.store.case(request_id)
    if case.file is None:
        return 9
    if case.standing.state is State.IN_REVIEW and case.standing.first_reviewer:
        return 2
    return {
        State.UNVERIFIED: 0,
        State.IN_REVIEW: 1,
        State.ACCEPTED: 3,
        State.REJECTED: 3,
        State.WITHDRAWN: 4,
        State.REMOVAL_DUE: 4,  # a compiled release holds it
    }[case.standing.state]


NEXT = {0: {1, 9}, 1: {2, 3}, 2: {3}, 3: {4}, 4: {9}, 9: set()}
"""What may have been done, but not told any more."""


def nothing_is_half(registry: Registry) -> None:
    """Rows, keys, claims and what stands in memory agree."""
    database, store = registry.database, registry.store
    database.verify_audit()
    for table, owner in (
        ("requests", "request_id"),
        ("listed", "listed_id"),
        ("messages", "message_id"),
    ):
        rows = database.rows(f"SELECT {owner}, key_id, sealed FROM {table}")
        for one, key_id, sealed in rows:
            assert (store.unseal(key_id, sealed, one) is None) == (sealed is None), table
    erased = database.rows("SELECT key_id FROM requests WHERE sealed IS NULL")
    assert not any(key_id in store.keys for (key_id,) in erased)
    due_out = dict(database.rows("SELECT listed_id, due_out FROM listed"))
    claims = database.rows("SELECT listed_id, request_id FROM claims")
    claimed = {listed_id for listed_id, _ in claims}
    assert claimed <= set(due_out)
    assert all(due_out[one] or one in claimed for one in due_out)
    holders = {request_id for _, request_id in claims}
    states = dict(database.rows("SELECT request_id, state FROM requests"))
    assert holders == {one for one, state in states.items() if state == State.ACCEPTED}
    directory = store.directory
    cases: dict[bytes, set[UUID]] = defaultdict(set)
    digests: dict[UUID, Any] = {}
    for case in store.cases(""):
        digests[case.request_id] = case.file.digest if case.file else None
        for tag in store.tags(case.file) if case.file else ():
            cases[tag].add(case.request_id)
    assert directory.digests == digests
    assert directory.cases == cases
    assert len(directory.listed) == len(due_out)
    assert set(directory.listed.values()) == set(due_out)
    waiting = sum(state == State.UNVERIFIED and digests[one] is not None for one, state in states.items())  # fmt: skip
    assert directory.unverified == waiting
    # Each acknowledged change is in the trail; each request there has its row.
    submitted = database.rows("SELECT subject FROM audit WHERE action = 'submitted'")
    assert sorted(row[0] for row in submitted) == sorted(map(str, states))
    orphans = store.reconcile()
    assert orphans <= 200, "as many as one transaction may leave"
    assert store.reconcile() == 0
    needed = {key_id for (key_id,) in database.rows("SELECT key_id FROM requests WHERE sealed IS NOT NULL")}  # fmt: skip
    needed |= {key_id for (key_id,) in database.rows("SELECT key_id FROM listed")}
    assert store.keys.durable() == needed


def backups_are_whole(folder: Path) -> int:
    count = 0
    for path in folder.glob("backup-*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as copy:
            row = copy.execute(
                "SELECT (SELECT count(*) FROM requests), "
                "(SELECT count(*) FROM audit WHERE action = 'submitted')"
            ).fetchone()
            assert row is not None
            assert row[0] == row[1]
        path.unlink()
        count += 1
    return count


def releases_are_whole(registry: Registry) -> None:
    """A release that is written down has the files that it says, or is not published."""
    for one in registry.releases.all():
        if not registry.releases.files_fit(one):
            with pytest.raises(WrongState, match="compile it again"):
                registry.releases.check_publishable(one.release)


def test_a_registry_killed_over_and_over(tmp_path: Path, scale: float) -> None:
    rng = random.Random(11)
    folder = tmp_path / "registry"
    done: dict[UUID, int] = {}
    told = backups = 0
    for seed in range(max(2, round(RUNS * scale))):
        said = killed_midway(folder, seed, rng.uniform(0.05, 2.5))
        told += len(said)
        fresh: dict[UUID, int] = {}
        for request_id, step in said:
            fresh[UUID(request_id)] = step
        with Registry.open(folder, settings=SETTINGS) as registry:
            nothing_is_half(registry)
            for request_id, step in fresh.items():
                assert reached(registry, request_id) in {step, *NEXT[step]}, (seed, step)
            for request_id, step in done.items():
                assert reached(registry, request_id) == step, "an older one has changed"
            done |= {one: reached(registry, one) for one in fresh}
            releases_are_whole(registry)
        assert list((folder / STAGING).iterdir()) == []
        backups += backups_are_whole(folder)
        # And after a clean end the same again.
        with Registry.open(folder, settings=SETTINGS) as registry:
            nothing_is_half(registry)
    print(f"{told} steps told, {len(done)} requests, {backups} backups")
    assert told > 100
