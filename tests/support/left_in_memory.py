"""What of a request stays in memory, once it is answered and before Python looks for cycles."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from model_gate.proxy.answer import Answer
from model_gate.proxy.asks import Ask


def _kept(port: int | None) -> list[str]:
    """Names of their types: the list must not keep them itself."""
    return [
        type(one).__name__
        for one in gc.get_objects()
        if isinstance(one, Ask | Answer)
        or (isinstance(one, httpx.Request) and one.url.port == port and one.method == "POST")
    ]


@contextmanager
def nothing_stays(engine: str) -> Iterator[None]:
    """Of what the block has a proxy ask an engine nothing may be left; collects nothing itself."""
    port = urlsplit(engine).port
    gc.collect()
    gc.disable()
    try:
        assert _kept(port) == []
        yield
        end = time.monotonic() + 5
        while (found := _kept(port)) and time.monotonic() < end:
            time.sleep(0.02)
        assert found == []
    finally:
        gc.enable()
