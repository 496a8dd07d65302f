"""Argon2id in memory that is used again."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw, verify_secret
from hypothesis import given
from hypothesis import strategies as st

from filter import argon2id as module
from filter.argon2id import argon2id

SALT = b"salt of a family"
KIB = 64


def of(secret: bytes, memory_kib: int = KIB) -> bytes:
    return argon2id(secret, SALT, passes=1, memory_kib=memory_kib, lanes=1, length=4)


@given(
    st.binary(max_size=200),
    st.binary(min_size=8, max_size=40),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 70),
    st.integers(4, 40),
)
def test_it_is_what_the_library_says(
    secret: bytes, salt: bytes, passes: int, lanes: int, more: int, length: int
) -> None:
    memory = 8 * lanes + more
    found = argon2id(secret, salt, passes=passes, memory_kib=memory, lanes=lanes, length=length)
    assert found == hash_secret_raw(secret, salt, passes, memory, lanes, length, Type.ID)


def test_it_verifies() -> None:
    assert verify_secret(
        b"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        b"password",
        Type.ID,
    )  # a vector of the reference implementation's
    found = argon2id(b"password", b"somesalt", passes=2, memory_kib=1 << 16, lanes=1, length=32)
    assert found.hex() == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"


def test_threads_at_once_do_not_share_memory() -> None:
    secrets = [b"%d" % n for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(of, secrets))
    assert found == [hash_secret_raw(s, SALT, 1, KIB, 1, 4, Type.ID) for s in secrets]


def test_as_many_blocks_stay_as_there_are_processors() -> None:
    memory, threads = 1025, 2 * (os.cpu_count() or 1) + 2
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda n: of(b"%d" % n, memory), range(200)))
    assert 1 <= len(module._free[1024 * memory]) <= (os.cpu_count() or 1)


def _in_a_child(queue: multiprocessing.Queue[list[bytes]]) -> None:
    queue.put([of(b"child %d" % n, 1024) for n in range(200)])


def test_a_forked_process_does_not_hash_in_its_parents_memory() -> None:
    of(b"so that a block is free", 1024)
    fork = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[bytes]] = fork.Queue()
    child = fork.Process(target=_in_a_child, args=(queue,))
    child.start()
    here = [of(b"parent %d" % n, 1024) for n in range(200)]
    there = queue.get(timeout=60)
    child.join(30)
    for who, found in (("parent", here), ("child", there)):
        assert found == [
            hash_secret_raw(b"%s %d" % (who.encode(), n), SALT, 1, 1024, 1, 4, Type.ID)
            for n in range(200)
        ]


@pytest.mark.parametrize(
    "wrong",
    [{"passes": 0}, {"lanes": 0}, {"memory_kib": 7}, {"length": 3}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_it_cannot_do_it_says(wrong: dict[str, int]) -> None:
    with pytest.raises(HashingError):
        argon2id(b"x", SALT, **{"passes": 1, "memory_kib": 8, "lanes": 1, "length": 4} | wrong)
    with pytest.raises(HashingError):
        argon2id(b"x", b"short", passes=1, memory_kib=8, lanes=1, length=4)


def test_without_memory_it_says_so_and_prints_nothing() -> None:
    code = f"""
import resource
from argon2.exceptions import HashingError
from filter.argon2id import argon2id
argon2id(b"x", {SALT!r}, passes=1, memory_kib=8, lanes=1, length=4)
resource.setrlimit(resource.RLIMIT_AS, ({1 << 31}, {1 << 31}))
try:
    argon2id(b"x", {SALT!r}, passes=1, memory_kib=1 << 22, lanes=1, length=4)
except HashingError as error:
    print(error)
print(argon2id(b"x", {SALT!r}, passes=1, memory_kib=8, lanes=1, length=4).hex())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = hash_secret_raw(b"x", SALT, 1, 8, 1, 4, Type.ID).hex()
    assert run.stdout.splitlines() == ["Memory allocation error", said]
    assert run.stderr == ""


def test_where_a_process_may_not_make_functions() -> None:
    """prctl(2), PR_SET_MDWE, as systemd's MemoryDenyWriteExecute; since Linux 6.3."""
    code = f"""
import ctypes
from filter.argon2id import argon2id
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    raise SystemExit("not here")
print(argon2id(b"x", {SALT!r}, passes=1, memory_kib=8, lanes=1, length=4).hex())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.stderr == "not here\n":
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert run.stdout.strip() == hash_secret_raw(b"x", SALT, 1, 8, 1, 4, Type.ID).hex()


def test_an_interrupt_is_raised_and_the_next_hash_is_right() -> None:
    """Also where it arrives while the interpreter is asked for memory from within Argon2."""
    block = module._taken(1024 * 48)
    block.interrupted.append(KeyboardInterrupt())
    module._free[1024 * 48].append(block)
    with pytest.raises(KeyboardInterrupt):
        of(b"x", 48)
    assert of(b"x", 48) == hash_secret_raw(b"x", SALT, 1, 48, 1, 4, Type.ID)


def test_memory_does_not_grow_with_threads_that_have_hashed() -> None:
    """Each keeps its arena; without blocks of our own, 19 MiB in each of them."""
    code = """
import sys, threading
from pathlib import Path
from filter.kdf import profile
standard = profile("standard")
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
done, end = threading.Semaphore(0), threading.Event()
def hashes(n):
    standard.hash(b"salt of a family", f"secret {n}")
    done.release()
    end.wait()
def one(n):
    threading.Thread(target=hashes, args=(n,)).start()
    done.acquire()
one(0)
before = resident()
for n in range(12):
    one(n)
print(resident() - before)
end.set()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 19
