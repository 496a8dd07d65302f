"""A tiny Apertus that has memorised people, and bundles that list half of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from filter import Bundle
from model_gate import tiny
from model_gate.checkpoint import Checkpoint, load
from model_gate.tiny import PERSONS, Person

RELEASE = "2026.2.0"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """For a model this small more threads are slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_path() -> Path:
    """The folder of the checkpoint; trained once, then cached."""
    return tiny.cached()


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_path: Path) -> Checkpoint:
    """The model loaded, for all tests: nobody may change it."""
    return load(tiny_path, "cpu")


@pytest.fixture(scope="session")
def listed() -> tuple[Person, ...]:
    """Whom the bundles list."""
    return PERSONS[:4]


@pytest.fixture(scope="session")
def unlisted() -> tuple[Person, ...]:
    """Whom the model knows too, and the bundles do not list."""
    return PERSONS[4:]


@pytest.fixture(scope="session")
def bundle_path(listed: tuple[Person, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operators' bundle with slow hashes; built once, also for several workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / "gate-operators.safetensors"
    with (shared / "gate-operators.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            Bundle.build(entries(listed), release=RELEASE).write(path)
    return path


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    """The same, opened."""
    return Bundle.open(bundle_path, verify=True)


@pytest.fixture(scope="session")
def cheap_bundle(listed: tuple[Person, ...]) -> Bundle:
    """The same entries with hashes that cost nothing."""
    return Bundle.build(entries(listed), release=RELEASE, kdf="testing")


def entries(persons: tuple[Person, ...]) -> list[tuple[str, str]]:
    """Kind and value of everything about them."""
    return [
        entry
        for person in persons
        for entry in (
            ("name", person.name),
            ("email", person.email),
            ("phone", person.phone),
            ("postal_address", person.address),
            ("handle", person.handle),
        )
    ]
