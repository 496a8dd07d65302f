"""Going back: where to, what must not follow, and what is handed on meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import Bundle, OutputFilter
from filter.stream import Piece
from model_gate.resampling import Resampling

ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"


@pytest.fixture(scope="module")
def listing() -> OutputFilter:
    entries = [
        ("email", ADDRESS),
        ("name", NAME),
        ("phone", PHONE),
        ("postal_address", "Lindenweg 5, 3000 Bern"),
        ("name", "山田太郎"),
        ("text", "the secret of the old mill"),
    ]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"))


Model = Callable[[str, int], str]
"""What a model says from a text on; the number counts how often it was asked there."""


class Talk:
    """Lets a scripted model speak, token by token, the way `GatedSequence` does."""

    def __init__(
        self,
        listing: OutputFilter,
        model: Model,
        *,
        tries: int = 4,
        size: int = 3,
        context: str = "",
    ) -> None:
        self.stage = Resampling(listing, tries, context)
        self.model = model
        self.size = size
        self.backs: list[tuple[int, str]] = []
        self.tokens: list[str] = []
        self.said: list[str] = []
        self.most_said_before_back = True

    def run(self, *, cut: int | None = None, ahead: int = 0) -> str:
        asked: dict[str, int] = {}
        plan = self._plan(asked)
        while True:
            if not plan:
                self.stage.settle()
                if self.stage.back is None:
                    break
                self._back()
                plan = self._plan(asked)
                continue
            token = plan.pop(0)
            self.tokens.append(token)
            self._read(self.stage.pieces(token))
            if self.stage.back is None:
                self.stage.whole()
            else:
                self._back()
                plan = self._plan(asked)
            if cut is not None and len(self.tokens) >= cut:
                while self.stage.look_ahead("".join(plan[:1])) and plan and ahead:
                    plan.pop(0)
                    ahead -= 1
                self._read(self.stage.last_pieces(truncated=True))
                return "".join(self.said)
        self._read(self.stage.last_pieces())
        return "".join(self.said)

    def _plan(self, asked: dict[str, int]) -> list[str]:
        prefix = "".join(self.tokens)
        asked[prefix] = asked.get(prefix, 0) + 1
        rest = self.model(prefix, asked[prefix])
        return [rest[i : i + self.size] for i in range(0, len(rest), self.size)]

    def _read(self, pieces: list[Piece]) -> None:
        self.said += [p if isinstance(p, str) else f"<{p.kind}>" for p in pieces]

    def _back(self) -> None:
        back = self.stage.back
        assert back is not None
        self.backs.append((back.offset, back.text))
        while len("".join(self.tokens)) > back.offset:
            self.tokens.pop()
        prefix = "".join(self.tokens)
        assert prefix.startswith("".join(self.said)) or "<" in "".join(self.said)
        self.stage.went_back(len(prefix))


def instead(first: str, then: str) -> Model:
    """Says one thing, and another once it has gone back."""

    def model(prefix: str, asked: int) -> str:
        if prefix == "" and asked == 1:
            return first
        return then.removeprefix(prefix)

    return model


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 40])
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (f"Write to {ADDRESS} today. Bye.", "Write to nobody, please. Bye."),
        (f"Write to {ADDRESS}", "Write to nobody"),
        (f"Call {PHONE}. Bye.", "Call me never. Bye."),
        (f"She is {NAME}, I think. Bye.", "She is somebody, I think. Bye."),
    ],
)
def test_it_goes_back_and_says_something_else(
    listing: OutputFilter, first: str, then: str, size: int
) -> None:
    talk = Talk(listing, instead(first, then), size=size)
    assert talk.run() == then
    assert len(talk.backs) == 1
    offset, text = talk.backs[0]
    assert first[offset:].startswith(text[:5])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_strangers_value_does_not_take_its_place(listing: OutputFilter, size: int) -> None:
    model = instead(f"Write to {ADDRESS} today. Bye.", "Write to stranger@example.org today. Bye.")
    talk = Talk(listing, model, size=size)
    assert talk.run() == "Write to <email> today. Bye."
    assert len(talk.backs) == 4
    assert {text for _, text in talk.backs} == {ADDRESS, "stranger@example.org"}


def test_only_up_to_the_end_of_the_sentence(listing: OutputFilter) -> None:
    model = instead(f"Ask {ADDRESS}. Bye.", "Ask nobody. Or ask stranger@example.org. Bye.")
    assert Talk(listing, model).run() == "Ask nobody. Or ask stranger@example.org. Bye."


def test_a_stubborn_model_is_redacted(listing: OutputFilter) -> None:
    text = f"Ask {ADDRESS} or {PHONE}. And {ADDRESS}."
    talk = Talk(listing, lambda prefix, _: text[len(prefix) :], tries=3)
    assert talk.run() == "Ask <email> or <phone>. And <email>."
    assert 3 <= len(talk.backs) <= 6


def test_no_tries(listing: OutputFilter) -> None:
    talk = Talk(listing, instead(f"Ask {ADDRESS}.", "never"), tries=0)
    assert talk.run() == "Ask <email>."
    assert talk.backs == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "彼は山田太郎です。",
            "彼は<name>です。",
        ),  # no capital letters: strangers' names could not be kept out
        ("I know the secret of the old mill, ha.", "I know <text>, ha."),
    ],
)
def test_where_strangers_cannot_be_kept_out_it_is_redacted(
    listing: OutputFilter, text: str, said: str
) -> None:
    talk = Talk(listing, lambda prefix, _: text[len(prefix) :], size=1)
    assert talk.run() == said
    assert talk.backs == []


def test_what_began_in_the_context_is_redacted(listing: OutputFilter) -> None:
    talk = Talk(
        listing,
        lambda prefix, _: "hs77@example.org is it. Bye."[len(prefix) :],
        context="It is contact-",
    )
    assert talk.run() == "<email> is it. Bye."
    assert talk.backs == []


def test_kinds_are_forbidden_in_the_stretch_only(listing: OutputFilter) -> None:
    stage = Resampling(listing, 4)
    assert stage.pieces(f"To {ADDRESS}, and that is it then. ") == []
    assert stage.back is not None
    assert stage.forbidden == {"email"}
    stage.went_back(0)
    said = stage.pieces("To nobody. ")
    stage.whole()
    said += stage.pieces("Bye bye, my dear. ")
    stage.whole()
    assert stage.forbidden == frozenset()
    assert "".join(map(str, said)).startswith("To nobody. ")


@pytest.mark.parametrize("cut", range(4, 24))
def test_a_cut_in_the_middle(listing: OutputFilter, cut: int) -> None:
    text = f"Ask {ADDRESS}. Bye."
    said = Talk(listing, lambda prefix, _: text[len(prefix) :], size=1).run(cut=cut, ahead=30)
    assert said in ("Ask ", "Ask <email>"), said


SAFE = ["Ask ", "her ", "now. ", "Well, ", "be so kind\n", "it is 5. "]
LISTED = [ADDRESS, PHONE, NAME, "Lindenweg 5, 3000 Bern"]


@given(
    words=st.lists(
        st.sampled_from([*SAFE, *(f"{one} " for one in LISTED), "other@example.org "]), max_size=12
    ),
    again=st.lists(st.sampled_from([*SAFE, *(f"{one}. " for one in LISTED)]), max_size=4),
    size=st.integers(1, 9),
    tries=st.integers(0, 3),
)
@settings(max_examples=80, deadline=None)
def test_whatever_a_model_says(
    listing: OutputFilter, words: list[str], again: list[str], size: int, tries: int
) -> None:
    """Nothing listed goes out, what went out is never taken back, and it comes to an end."""
    text = "".join(words)

    def model(prefix: str, asked: int) -> str:
        if asked == 1 and text.startswith(prefix):
            return text[len(prefix) :]
        return "".join(again) if asked < 8 and len(prefix) < 300 else ""

    talk = Talk(listing, model, tries=tries, size=size)
    said = talk.run()
    assert not listing.redact(said).matches
    assert len(talk.backs) <= 300


@given(text=st.text(st.sampled_from("ab @.+4\n"), max_size=60), size=st.integers(1, 7))
def test_what_loses_nothing_is_what_was_said(listing: OutputFilter, text: str, size: int) -> None:
    assert Talk(listing, lambda prefix, _: text[len(prefix) :], size=size).run() == text


def test_the_first_part_of_an_address_alone_does_not_take_its_place() -> None:
    bundle = Bundle.build(
        [("email", "jane.doe@bundesverwaltung.admin.example")], release="2026.2.0", kdf="testing"
    )
    first = "Write to jane.doe@bundesverwaltung.admin.example today. Bye."
    talk = Talk(
        OutputFilter(bundle), instead(first, "Write to jane.doe at her office. Bye."), tries=2
    )
    assert "doe" not in talk.run()
