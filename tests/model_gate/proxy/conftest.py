"""A proxy before an engine that says what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_engine import Engine, engine
from proxy_talk import ENTRIES, Proxied, proxied

from filter import Bundle


@pytest.fixture(scope="session")
def proxy_bundle() -> Bundle:
    return Bundle.build(ENTRIES, release="2026.2.0", kdf="testing")


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="session")
def shared_proxy(shared_engine: Engine, proxy_bundle: Bundle) -> Iterator[Proxied]:
    yield from proxied(shared_engine, proxy_bundle)


@pytest.fixture
def gate(shared_proxy: Proxied) -> Proxied:
    shared_proxy.engine.requests.clear()
    shared_proxy.engine.headers.clear()
    return shared_proxy
