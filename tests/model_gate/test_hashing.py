"""Slow hashes are computed in turns, and not at all for whoever has left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from filter import Bundle, FilterPolicy, OutputFilter
from model_gate.hashing import SlowHashes

ADDRESS = "contact-hs77@example.org"


@pytest.fixture
def hashes() -> Iterator[SlowHashes]:
    made = SlowHashes(1)
    yield made
    made.close()


class Held:
    """Keeps the one thread busy until it is let go."""

    def __init__(self, hashes: SlowHashes) -> None:
        self.go = threading.Event()
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            assert self.go.wait(30)

        self.future = hashes.lane().submit(hold)
        assert begun.wait(30)


def test_many_of_one_do_not_come_before_the_first_of_another(hashes: SlowHashes) -> None:
    held = Held(hashes)
    order: list[str] = []
    many, few = hashes.lane(), hashes.lane()
    futures = [many.submit(order.append, f"many {number}") for number in range(50)]
    futures += [few.submit(order.append, f"few {number}") for number in range(2)]
    assert hashes.waiting == 52
    held.go.set()
    for future in futures:
        future.result(30)
    assert order[:4] == ["many 0", "few 0", "many 1", "few 1"]
    assert order[4:] == [f"many {number}" for number in range(2, 50)]


def test_what_nobody_waits_for_is_not_computed(hashes: SlowHashes) -> None:
    held = Held(hashes)
    order: list[str] = []
    gone, here = hashes.lane(), hashes.lane()
    cancelled = [gone.submit(order.append, "gone") for _ in range(9)]
    wanted = here.submit(order.append, "here")
    gone.close()
    assert hashes.waiting == 1
    held.go.set()
    wanted.result(30)
    assert order == ["here"]
    assert all(future.cancelled() for future in cancelled)
    assert gone.submit(order.append, "later").cancelled()
    assert order == ["here"]


def test_one_that_was_cancelled_alone_is_left_out(hashes: SlowHashes) -> None:
    held = Held(hashes)
    order: list[str] = []
    lane = hashes.lane()
    first, second = (lane.submit(order.append, name) for name in ("first", "second"))
    first.cancel()
    held.go.set()
    second.result(30)
    assert order == ["second"]


def test_a_request_has_a_limit(hashes: SlowHashes) -> None:
    lane = hashes.lane(2)
    futures = [lane.submit(str, number) for number in range(4)]
    assert [future.cancelled() for future in futures] == [False, False, True, True]
    assert [future.result(30) for future in futures[:2]] == ["0", "1"]


def test_an_error_is_raised_where_the_hash_is_asked_for(hashes: SlowHashes) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        hashes.lane().submit(int, "no").result(30)
    assert hashes.lane().submit(int, "7").result(30) == 7


def test_after_closing_nothing_is_computed(hashes: SlowHashes) -> None:
    held = Held(hashes)
    lane = hashes.lane()
    waiting = lane.submit(str, 1)
    hashes.close()
    with pytest.raises(CancelledError):
        waiting.result(30)
    assert lane.submit(str, 2).cancelled()
    assert hashes.lane().submit(str, 3).cancelled()
    held.go.set()
    held.future.result(30)


@pytest.mark.parametrize("way", ["lane", "stream"])
def test_what_is_not_computed_any_more_does_not_go_out(hashes: SlowHashes, way: str) -> None:
    bundle = Bundle.build([("email", ADDRESS)], release="2026.2.0", kdf="testing")
    held = Held(hashes)
    lane = hashes.lane()
    stream = OutputFilter(bundle).stream(background=lane)
    assert stream.push(f"Write to {ADDRESS}, or to somebody@example.org. ") == "Write to "
    if way == "lane":
        lane.close()
    else:
        stream.close()
    said = stream.push("Then ") + stream.push("")
    said += stream.finish()
    assert said == "[email removed], or to [email removed]. Then "
    assert stream.undecided >= 2
    held.go.set()


def test_answers_of_one_request_share_its_hashes(hashes: SlowHashes) -> None:
    bundle = Bundle.build([("email", ADDRESS)], release="2026.2.0", kdf="testing")
    output_filter = OutputFilter(bundle, FilterPolicy(slow_hashes=100))
    lane = hashes.lane(2)
    said = []
    for number in range(4):
        stream = output_filter.stream(background=lane)
        said.append(
            stream.push(f"x{number} at y.example, user@z{number}.example ") + stream.finish()
        )
    assert [one.count("removed]") for one in said] == [0, 0, 1, 1]
