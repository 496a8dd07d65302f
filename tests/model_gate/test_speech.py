"""Text of one choice on its way to the reader."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import Bundle, OutputFilter
from filter.errors import LetheError
from filter.nv1 import fold
from model_gate.policy import GatePolicy, Mode
from model_gate.speech import Speech

ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
STREET = "Lindenweg 5, 3000 Bern"
REFUSE = GatePolicy(mode=Mode.REFUSE)


@pytest.fixture(scope="module")
def listing() -> OutputFilter:
    entries = [("email", ADDRESS), ("name", NAME), ("phone", PHONE), ("postal_address", STREET)]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"))


def spoken(speech: Speech, pieces: Iterator[str] | list[str] | str, **how: bool) -> str:
    return "".join(map(speech.push, pieces)) + speech.finish(**how)


def pieces_of(text: str) -> st.SearchStrategy[list[str]]:
    cuts = st.lists(st.integers(0, len(text)), max_size=12).map(sorted)
    return cuts.map(lambda at: [text[a:b] for a, b in itertools.pairwise([0, *at, len(text)])])


TEXT = f"Ask {NAME} ({ADDRESS}) or call {PHONE}. She lives at {STREET}. Ask Bettina Hoch, too."
CLEAN = "Ask [name removed] ([email removed]) or call [phone removed]. She lives at [postal address removed]. Ask Bettina Hoch, too."


@given(
    pieces=pieces_of(TEXT),
    contexts=st.lists(st.sampled_from(["", "a b", "Call +41", "x" * 3000]), max_size=3),
)
@settings(max_examples=60)
def test_however_it_is_cut(listing: OutputFilter, pieces: list[str], contexts: list[str]) -> None:
    speech = Speech(listing, GatePolicy(), contexts=[*contexts])
    assert spoken(speech, pieces) == CLEAN
    assert speech.removed == {"name": 1, "email": 1, "phone": 1, "postal_address": 1}
    assert speech.ended is None


def test_refuse_ends_before_it(listing: OutputFilter) -> None:
    speech = Speech(listing, REFUSE)
    said = spoken(speech, TEXT)
    assert said == "Ask "
    assert speech.ended == "content_filter"
    assert speech.push("more") == ""
    assert speech.finish() == ""


def test_refuse_at_the_very_end(listing: OutputFilter) -> None:
    speech = Speech(listing, REFUSE)
    assert spoken(speech, f"Write to {ADDRESS}") == "Write to "
    assert speech.ended == "content_filter"


@pytest.mark.parametrize("first", range(1, len(ADDRESS)))
def test_halves_in_two_texts_do_not_add_up(listing: OutputFilter, first: int) -> None:
    """The reader has the first half, from the turn before or as they wrote it."""
    head, tail = ADDRESS[:first], ADDRESS[first:]
    for contexts in ([head], ["something else", f"Go on: {head}"], [f"Go on: {head}", "else"]):
        said = spoken(Speech(listing, GatePolicy(), contexts=contexts), tail + " is it.")
        assert said == "[email removed] is it.", contexts
        refused = Speech(listing, REFUSE, contexts=contexts)
        assert spoken(refused, tail + " is it.") == ""
        assert refused.ended == "content_filter"
    assert spoken(Speech(listing, GatePolicy()), tail + " is it.") == tail + " is it."


def test_seams_are_taken_out(listing: OutputFilter) -> None:
    speech = Speech(listing, GatePolicy(), contexts=["one", "two", "three"])
    assert speech._seams
    speech.push("A sentence that continues none of them. ")
    assert not speech._seams


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ([" or call"], "Ask [name removed] ([email removed])"),
        (["ct-hs7"], CLEAN),  # a stop sequence tells nothing about what was removed
        (["18 0"], CLEAN),
        (["contact-hs77@example.or"], CLEAN),
        (["[email"], "Ask [name removed] ("),
    ],
)
def test_stop_sequences_act_behind_the_filter(
    listing: OutputFilter, stop: list[str], said: str
) -> None:
    speech = Speech(listing, GatePolicy(), stop=stop)
    assert spoken(speech, TEXT) == said
    assert speech.ended == (None if said == CLEAN else "stop")


@pytest.mark.parametrize("value", [ADDRESS, NAME, PHONE, STREET])
def test_a_cut_shows_nothing_when_the_rest_is_looked_at(listing: OutputFilter, value: str) -> None:
    text = f"It is this: {value}. Well."
    for end in range(len("It is this: ") + 1, len(text) + 1):
        for contexts in ([], ["other", "words"]):
            speech = Speech(listing, GatePolicy(), contexts=contexts)
            said = speech.push(text[:end])
            undecided = speech.look_ahead("")
            for char in text[end:]:
                if not undecided:
                    break
                undecided = speech.look_ahead(char)
            else:
                undecided = False  # the model came to its end
            said += speech.finish(truncated=undecided)
            assert said.startswith("It is this: [") or said == "It is this: ", (end, said)
            assert "Well" not in said or end > len(text) - 5


def test_what_is_not_listed_is_cut_where_it_was_cut(listing: OutputFilter) -> None:
    text = "It is contact-hs78@example.org, not Bettina Hochstrosser of Lindenweg 6. Well."
    for end in range(1, len(text)):
        speech = Speech(listing, GatePolicy())
        said = speech.push(text[:end])
        undecided = speech.look_ahead("")
        for char in text[end:]:
            if not undecided:
                break
            undecided = speech.look_ahead(char)
        else:
            undecided = False
        assert said + speech.finish(truncated=undecided) == text[:end]


@pytest.mark.parametrize("value", [ADDRESS, PHONE, NAME, STREET])
def test_a_cut_that_nobody_can_look_behind(listing: OutputFilter, value: str) -> None:
    """Of recognised kinds nothing that tells; of phrases at most half, or all but one letter of short ones."""
    for end in range(1, len(value)):
        said = spoken(Speech(listing, GatePolicy()), "Here: " + value[:end], truncated=True)
        letters = len(fold(said.removeprefix("Here: ")))
        if "removed]" in said:
            continue
        limit = {ADDRESS: len(fold("contact-hs77")), PHONE: 4}.get(
            value, max(8, len(fold(value)) // 2)
        )
        assert letters <= limit, said


def test_look_ahead_reaches_the_seams(listing: OutputFilter) -> None:
    speech = Speech(listing, GatePolicy(), contexts=["earlier", "It is contact-"])
    said = speech.push("hs7")
    assert speech.look_ahead("7@example.org. ")
    assert not speech.look_ahead("And so it goes on.")
    assert said + speech.finish() == "[email removed]"


@pytest.mark.parametrize("value", [ADDRESS, PHONE, "0446681800", NAME, STREET])
@pytest.mark.parametrize(
    "context", ["Tell me.", "thanks", "in 2024", "Mail:", "contact.", "+41 44", "x", "-"]
)
@pytest.mark.parametrize("pieces", [1, 3, 99])
def test_a_value_at_the_beginning_stands_alone_whatever_was_said_before(
    listing: OutputFilter, context: str, value: str, pieces: int
) -> None:
    speech = Speech(listing, GatePolicy(), contexts=[context])
    said = "".join(speech.push(value[at : at + pieces]) for at in range(0, len(value), pieces))
    said += speech.finish()
    assert "removed]" in said
    assert value not in said


class _Held(Executor):
    """Computes when it is told to."""

    def __init__(self) -> None:
        self.work: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.work.append((future, fn, args))
        return future

    def run(self) -> None:
        for future, fn, args in self.work:
            future.set_result(fn(*args))
        self.work.clear()


def test_a_slow_hash_in_the_background_holds_only_what_depends_on_it(listing: OutputFilter) -> None:
    held = _Held()
    speech = Speech(listing, GatePolicy(), background=held)
    assert speech.push(f"Write to {ADDRESS} and then go on. ") == "Write to "
    assert speech.waiting
    assert speech.push("More. ") == ""
    held.run()
    said = speech.push("")
    assert said.startswith("[email removed] and then go")
    assert not speech.waiting
    assert said + speech.finish() == "[email removed] and then go on. More. "


def test_with_threads(listing: OutputFilter) -> None:
    with ThreadPoolExecutor(2) as pool:
        speech = Speech(listing, GatePolicy(), contexts=["a", "b"], background=pool)
        assert spoken(speech, TEXT) == CLEAN


def test_after_an_error_nothing_goes_out(listing: OutputFilter) -> None:
    held = _Held()
    speech = Speech(listing, GatePolicy(), background=held)
    speech.push(f"Write to {ADDRESS} and then go on. ")
    held.work[0][0].set_exception(MemoryError())
    with pytest.raises(MemoryError):
        speech.push("")
    with pytest.raises(LetheError):
        speech.push("more")
    with pytest.raises(LetheError):
        speech.finish()


def test_slow_hashes_are_counted_of_all_filters(listing: OutputFilter) -> None:
    from filter import FilterPolicy

    speech = Speech(listing, GatePolicy(), contexts=["a", "b"])
    spoken(speech, TEXT)
    assert speech.slow_hashes >= 4
    assert speech.undecided == 0
    frugal = OutputFilter(listing.bundle, FilterPolicy(slow_hashes=1))
    speech = Speech(frugal, GatePolicy(filter=FilterPolicy(slow_hashes=1)))
    said = spoken(speech, TEXT)
    assert speech.slow_hashes == 1
    assert speech.undecided >= 3
    assert ADDRESS not in said
