"""Nine mistakes that gates around a decode loop make: one test, or a few, by name for each."""

from __future__ import annotations

import pytest
import torch
from scripted_model import Scripted

from filter import Bundle, OutputFilter
from filter.candidates.islands import LONGEST
from filter.nv1 import fold
from model_gate.policy import GatePolicy, Mode
from model_gate.sampling import Sampling, drawn, warped
from model_gate.speech import Speech
from model_gate.tokens import Vocabulary

ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
STREET = "Lindenweg 5, 3000 Bern"
RESAMPLE = GatePolicy(mode=Mode.RESAMPLE)


@pytest.fixture(scope="module")
def listing() -> OutputFilter:
    entries = [("email", ADDRESS), ("name", NAME), ("phone", PHONE), ("postal_address", STREET)]
    return OutputFilter(Bundle.build(entries, release="2026.2.0", kdf="testing"))


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: object) -> object:
    return tiny_checkpoint.tokenizer  # type: ignore[attr-defined]


def test_1_bans_come_before_top_p() -> None:
    """Behind it, a ban of all that top-p leaves would leave nothing, and softmax of nothing is NaN."""
    logits = torch.tensor([[9.0, 1.0, 0.5, 0.0]])
    sampling = Sampling(temperature=1, top_p=0.5)
    behind = warped(logits, sampling, None)
    behind[0, 0] = -torch.inf
    assert behind.softmax(-1).isnan().all()  # the mistake
    logits[0, 0] = -torch.inf
    scores = warped(logits, sampling, None)
    assert not scores.softmax(-1).isnan().any()
    assert drawn(scores, sampling, torch.Generator().manual_seed(1)).item() == 1


def test_1_in_the_loop_too(tiny_checkpoint: object) -> None:
    from model_gate.decode import Decoder, PlainSequence

    model = tiny_checkpoint.model  # type: ignore[attr-defined]

    class Banned(PlainSequence):
        def forbidden(self) -> torch.Tensor | None:
            mask = torch.ones(model.config.vocab_size, dtype=torch.bool)
            mask[300:302] = False
            return mask

    sequence = Banned([1, 300], Sampling(top_p=0.01, seed=3, max_new_tokens=5), [2])
    decoder = Decoder(model, eos=[2])
    decoder.admit(sequence)
    while decoder.active:
        decoder.step()
    assert set(sequence.tokens) <= {300, 301}


@pytest.mark.parametrize("before", ["Write to", "Write to ", "Write to:\n", "(", ""])
def test_2_whole_tokens_only_are_released_where_one_may_be_taken_back(
    listing: OutputFilter, tokenizer: object, before: str
) -> None:
    """Of a token such as " con" the space is decided before the rest: it must not go out twice."""

    def script(text: str, asked: int) -> str:
        first = f"{before} {ADDRESS} today. And that was it."
        then = f"{before} nobody at all today. And that was it."
        whole = first if asked == 1 and not text else then
        return whole[len(text) :] if whole.startswith(text) else " today. And that was it."

    talk = Scripted(tokenizer, listing, script, policy=RESAMPLE)
    talk.run()
    assert talk.rewinds
    assert talk.said() == "".join(talk.heard)
    assert talk.said() == f"{before} nobody at all today. And that was it."


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("value", [ADDRESS, NAME, PHONE, STREET])
def test_3_max_tokens_shows_nothing_of_an_identifier(
    listing: OutputFilter, tokenizer: object, value: str, mode: Mode
) -> None:
    text = f"Here it is: {value}. That was it."
    size = len(Scripted(tokenizer, listing, text).ids(text))
    for limit in range(1, size + 1):
        talk = Scripted(
            tokenizer, listing, text, policy=GatePolicy(mode=mode), max_new_tokens=limit
        )
        talk.run()
        shown = talk.said().removeprefix("Here it is:").strip()
        assert fold(value)[:4] not in fold(shown), (limit, shown)
        assert talk.sequence.finish_reason in ("length", "stop", "content_filter")


@pytest.mark.parametrize("stop", ["-hs", "77@", "example", "Hoch", "668", "3000", "a", "1"])
def test_3_a_stop_sequence_shows_nothing_of_an_identifier(
    listing: OutputFilter, tokenizer: object, stop: str
) -> None:
    for value in (ADDRESS, NAME, PHONE, STREET):
        talk = Scripted(tokenizer, listing, f"Hier: {value}. Punkt.", stop=[stop])
        talk.run()
        assert talk.said() in (
            "Hier: [email removed]. Punkt.",
            "Hier: [name removed]. Punkt.",
            "Hier: [phone removed]. Punkt.",
            "Hier: [postal address removed]. Punkt.",
            "Hier: [post",  # the stop sequence "a" is met in the marker itself
            "Hier: [em",
            "Hier: [n",
        )


@pytest.mark.parametrize(
    "text",
    [
        "Write to contact-hs78@example.org, contact-hs7@example.org or contact@example.org.",
        "Bettina Hochstrass, Bettina Hoch and Bettina Hochuli are three others.",
        "Call +41 44 668 18 01 or 044 668 18 0.",
        "Lindenweg 6, 3000 Bern, and Lindenweg 5, 8000 Zürich.",
    ],
)
def test_4_what_only_begins_alike_is_let_out(
    listing: OutputFilter, tokenizer: object, text: str
) -> None:
    """A rule on the first letters alone removes too much: at the end of a text, too."""
    assert Scripted(tokenizer, listing, text).run().text("content") == text  # type: ignore[arg-type]
    ids = Scripted(tokenizer, listing, text).ids(text)
    for limit in range(1, len(ids)):
        talk = Scripted(tokenizer, listing, text, max_new_tokens=limit)
        said = talk.run().text("content")  # type: ignore[arg-type]
        assert text.startswith(said)
        assert len(text) - len(said) <= len(talk.tokenizer.decode(ids[limit:])) + 3  # type: ignore[attr-defined]


def test_5_what_went_out_is_never_opened_again(listing: OutputFilter, tokenizer: object) -> None:
    """After going back the text that is already read still counts, but it cannot be taken back."""

    def script(text: str, asked: int) -> str:
        whole = f"He said: contact, {ADDRESS} and then more words follow here."
        return whole[len(text) :] if asked == 1 else "hs77@example.org and more words."

    talk = Scripted(tokenizer, listing, script, policy=RESAMPLE)
    talk.run()
    heard = ""
    for piece in talk.heard:
        heard += piece
        assert talk.said().startswith(heard)
    assert not listing.redact(talk.said()).matches


@pytest.mark.parametrize("value", [NAME, STREET])
def test_6_a_half_length_checkpoint_bounds_what_a_cut_shows(
    listing: OutputFilter, value: str
) -> None:
    """First letters alone cannot promise that no part of a phrase shows; the checkpoint promises a half."""
    most = 0
    for end in range(1, len(value)):
        speech = Speech(listing, GatePolicy())
        said = speech.push(f"It is {value[:end]}") + speech.finish(truncated=True)
        if "removed]" not in said:
            most = max(most, len(fold(said.removeprefix("It is "))))
    assert 0 < most <= max(8, -(-len(fold(value)) // 2))


def test_7_neither_near_misses_nor_strangers_take_the_place(
    listing: OutputFilter, tokenizer: object
) -> None:
    """A model that cannot say the value says another: tries are bounded, then it is redacted."""
    others = iter(f"person{n}@example.org" for n in range(10_000))

    def script(text: str, asked: int) -> str:
        if not text:
            return f"Mail {ADDRESS} now please. Thank you."
        if text.endswith(".org"):
            return " then. Thank you."
        return f" {next(others)} now please. Thank you."

    # Where "@" is forbidden the model spells it out.
    talk = Scripted(tokenizer, listing, script, policy=RESAMPLE, instead=" (at) example.org")
    talk.run()
    strangers = [("email", f"person{n}@example.org") for n in range(50)]
    everybody = OutputFilter(Bundle.build(strangers, release="2026.2.0", kdf="testing"))
    assert not everybody.redact(talk.said()).matches
    assert talk.said().endswith("Thank you.")
    assert len(talk.rewinds) <= 3 * RESAMPLE.tries


@pytest.mark.parametrize("filling", [". ", "-", " ", "*", "\n", "\u200b", "….!? "])
def test_8_separators_do_not_hold_back_for_ever(listing: OutputFilter, filling: str) -> None:
    for beginning in ("Bettina Hoch", "contact-hs77@", "+41 44 668", "Lindenweg 5, 30"):
        speech = Speech(listing, GatePolicy())
        most = 0
        speech.push(beginning)
        for _ in range(1200 // len(filling)):
            speech.push(filling)
            most = max(most, speech.held)
        assert most <= LONGEST + 160


def test_9_the_whole_family_that_begins_again_is_banned(
    listing: OutputFilter, tokenizer: object
) -> None:
    """Banning the one token that was drawn lets the next spelling of it through."""
    vocabulary = Vocabulary.of(tokenizer)
    family = set(vocabulary.restarting(NAME))
    texts = {vocabulary.octets[token].decode("utf-8", "ignore") for token in family}
    assert {"B", "b", " B", " b"} & texts == {"B", "b", " B", " b"} - (
        {"B", "b", " B", " b"} - {o.decode("utf-8", "ignore") for o in vocabulary.octets}
    )
    assert all(fold(NAME).startswith(fold(text)) for text in texts)

    def script(text: str, asked: int) -> str:
        spelt = ("Bettina", "BETTINA", "bettina", "Be ttina", "B ettina", "be-ttina")
        return f" {spelt[min(asked, len(spelt)) - 1]} Hochstrasser. Well then, good bye."

    talk = Scripted(tokenizer, listing, script, policy=RESAMPLE)
    talk.run()
    assert len(talk.rewinds) == 1
    assert not listing.redact(talk.said()).matches
