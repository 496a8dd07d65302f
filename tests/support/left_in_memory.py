"""What of a request stays in memory, once it is answered and before Python looks for cycles."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _there(is_of_a_request: Callable[[object], bool]) -> dict[int, str]:
    """Which there are, and their types; this must not keep them itself."""
    return {id(one): type(one).__name__ for one in gc.get_objects() if is_of_a_request(one)}


@contextmanager
def nothing_stays(is_of_a_request: Callable[[object], bool]) -> Iterator[None]:
    """Of such objects the block may leave no more than there were; collects nothing itself."""
    gc.collect()
    gc.disable()
    try:
        before = _there(is_of_a_request).keys()
        yield
        end = time.monotonic() + 5
        while (found := _there(is_of_a_request)).keys() - before and time.monotonic() < end:
            time.sleep(0.02)
        assert sorted(name for one, name in found.items() if one not in before) == []
    finally:
        gc.enable()
