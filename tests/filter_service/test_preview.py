"""Previews: what a person is shown before an identifier is listed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import people
import pytest

from filter.errors import InputError, PhraseTooShort
from filter.identifiers import IdentifierKind
from filter_service.clean_sample import (
    AROUND,
    CONTEXTS,
    LARGEST,
    CleanSample,
    UnusableSample,
    builtin,
    filter_of,
)
from filter_service.preview import How, Preview, preview

EXAMPLES = {
    "name": "Jürg Müller",
    "email": "jane.doe@example.org",
    "phone": "044 668 18 00",
    "iban": "CH44 3199 9123 0008 8901 2",
    "ahv": "756.9217.0769.85",
    "credit_card": "4111 1111 1111 1111",
    "ip": "85.195.23.7",
    "postal_address": "Seestrasse 5, 8001 Zürich",
    "handle": "@jane_doe",
    "url": "https://example.org/jane-quibble",
    "text": "kein Wort davon ist wahr",
}

CAUGHT = """
name | as_given upper_case lower_case no_diacritics umlauts_spelt_out line_break markup html_entities hidden_characters last_first last_in_capitals genitive
email | as_given upper_case markup html_entities hidden_characters at_in_brackets at_and_dot_in_brackets link no_dots
phone | as_given line_break markup html_entities hidden_characters international international_00 e164 optional_zero dots dashes unspaced
iban | as_given lower_case line_break markup html_entities hidden_characters dashes unspaced dots spaced
ahv | as_given markup html_entities hidden_characters groups dashes unspaced
credit_card | as_given line_break markup html_entities hidden_characters dashes unspaced dots spaced
ip | as_given markup html_entities hidden_characters with_port
postal_address | as_given upper_case lower_case no_diacritics umlauts_spelt_out line_break markup html_entities hidden_characters street_shortened
handle | as_given upper_case markup html_entities hidden_characters in_a_path with_more_behind
url | as_given upper_case markup html_entities hidden_characters no_scheme link with_more_behind
text | as_given upper_case lower_case line_break markup html_entities hidden_characters
"""
MISSED = """
name | typing_error initial word_between first_part last_part
email | typing_error at_in_words local_part
phone | typing_error digits_in_words last_digits
iban | typing_error last_digits
ahv | typing_error last_digits
credit_card | typing_error last_digits
ip | typing_error last_digits
postal_address | typing_error no_town another_order
handle | typing_error no_at_sign
url | typing_error host_only
text | typing_error one_word_changed another_order
"""


def rows(table: str) -> list[tuple[str, set[How]]]:
    lines = [line.split(" | ") for line in table.strip().splitlines()]
    return [(kind, set(map(How, hows.split()))) for kind, hows in lines]


@pytest.mark.parametrize(("kind", "expected"), rows(CAUGHT), ids=EXAMPLES)
def test_what_is_caught(kind: str, expected: set[How]) -> None:
    assert expected <= {one.how for one in preview(kind, EXAMPLES[kind]).caught}


@pytest.mark.parametrize(("kind", "expected"), rows(MISSED), ids=EXAMPLES)
def test_what_is_missed(kind: str, expected: set[How]) -> None:
    assert expected <= {one.how for one in preview(kind, EXAMPLES[kind]).missed}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_spelling_is_shown_once(kind: str) -> None:
    found = preview(kind, EXAMPLES[kind])
    texts = [one.text for one in found.spellings]
    assert len(texts) == len(set(texts))
    assert found.spellings[0].how is How.AS_GIVEN
    assert {*found.caught, *found.missed} == {*found.spellings}


def test_every_way_to_write_occurs() -> None:
    shown = {one.how for k, t in EXAMPLES.items() for one in preview(k, t).spellings}
    shown |= {one.how for one in preview("ip", "2a02:1200::7").spellings}
    shown |= {one.how for one in preview("postal_address", "Seestr. 5, 8001 Zürich").spellings}
    shown |= {one.how for one in preview("phone", "+41446681800").spellings}
    assert shown == set(How)


@pytest.mark.parametrize("group", people.GROUPS)
def test_what_was_given_is_caught(group: str) -> None:
    """Whatever the kind and script, the spelling that the person gave is removed."""
    for kind, text in people.GROUPS[group](5, seed=3):
        shown = preview(kind, text, people.HOME).spellings[0]
        assert shown.caught, kind


def test_caught_means_the_whole_of_it() -> None:
    """A listed name within a longer one is removed, but the longer one is not caught."""
    output_filter = filter_of(IdentifierKind.NAME, "Ursina Caduff", ("CH",))
    from filter_service.preview import _is_caught

    assert _is_caught(output_filter, "Ursina Caduff", "Ursina Caduff")
    assert not _is_caught(output_filter, "Flurina Ursina Caduff", "Flurina Ursina Caduff")
    assert _is_caught(output_filter, "Flurina Ursina Caduff", "Ursina Caduff")


def test_a_preview_shows_nothing_in_a_log() -> None:
    found = preview("name", "Ursina Caduff", sample=CleanSample(("Ursina Caduff came.",)))
    shown = f"{found!r} {found} {found.harm!r}".casefold()
    assert "caduff" not in shown
    assert "ursina" not in shown


def test_errors_show_nothing() -> None:
    with pytest.raises(PhraseTooShort) as raised:
        preview("name", "Quib")
    assert "quib" not in str(raised.value).casefold()
    with pytest.raises(InputError) as malformed:
        preview("email", "quibble")
    assert "quibble" not in str(malformed.value).casefold()


def test_as_json() -> None:
    found = preview("name", "Ursina Caduff", sample=CleanSample(("Ursina Caduff came.",)))
    told = json.loads(json.dumps(found.as_dict()))
    assert told["spellings"][0] == {"how": "as_given", "text": "Ursina Caduff", "caught": True}
    assert [one["text"] for one in told["spellings"]] == [one.text for one in found.spellings]
    assert {one["caught"] for one in told["spellings"]} == {True, False}
    assert told["harm"] == {
        "count": 1,
        "characters": 19,
        "per_million": 1e6 / 19,
        "contexts": ["Ursina Caduff came."],
    }


# Harm


def test_no_harm() -> None:
    harm = preview("name", "Ursina Caduff").harm
    assert (harm.count, harm.per_million, harm.contexts) == (0, 0.0, ())
    assert harm.characters == builtin().characters > 15_000


def test_harm_is_counted_and_shown() -> None:
    sample = CleanSample(("x" * 499_988, f"{'a ' * 60}Ursina\nCaduff b", "Caduff, Ursina" * 1))
    harm = preview("name", "Ursina Caduff", sample=sample).harm
    assert harm.count == 2
    assert harm.per_million == pytest.approx(2e6 / sample.characters)
    first, second = harm.contexts
    assert first == f"{'a ' * (AROUND // 2)}Ursina Caduff b"
    assert second == "Caduff, Ursina"


def test_contexts_are_few_and_distinct() -> None:
    sample = CleanSample(tuple(f"{'and ' * n}Ursina Caduff" for n in range(9)) * 2)
    harm = preview("name", "Ursina Caduff", sample=sample).harm
    assert harm.count == 18
    assert len(set(harm.contexts)) == len(harm.contexts) == CONTEXTS


def test_a_common_phrase_does_harm() -> None:
    found: Preview = preview("text", "die Kinder gehen")
    assert found.harm.count == 1
    assert "um acht Uhr" in found.harm.contexts[0]


# Samples


def test_a_sample_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "sample.txt"
    path.write_text("Grüezi mitenand.\nUrsina Caduff ist da.\n", "utf-8")
    sample = CleanSample.read(path)
    assert "".join(sample.texts) == path.read_text("utf-8")
    assert preview("name", "Ursina Caduff", sample=sample).harm.count == 1


def test_a_long_sample_is_cut_at_line_ends_only(tmp_path: Path) -> None:
    path = tmp_path / "sample.txt"
    path.write_text("Ursina Caduff ist da, und niemand sonst.\n" * 8_000, "utf-8")
    sample = CleanSample.read(path)
    assert len(sample.texts) > 1
    assert all(text.endswith("\n") for text in sample.texts)
    assert preview("name", "Ursina Caduff", sample=sample).harm.count == 8_000


def test_a_sample_of_records(tmp_path: Path) -> None:
    path = tmp_path / "sample.jsonl"
    records = [{"text": "Ursina\u2028Caduff"}, {"text": "nobody", "id": 1}]
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in records) + "\n\n")
    sample = CleanSample.read(path)
    assert sample.texts == ("Ursina\u2028Caduff", "nobody")
    assert preview("name", "Ursina Caduff", sample=sample).harm.count == 1


UNUSABLE = {
    "empty.txt": b"",
    "blank.txt": b" \n ",
    "empty.jsonl": b"\n",
    "latin.txt": "Zürich".encode("latin-1"),
    "broken.jsonl": b'{"text": "a"}\n{"text"',
    "no_text.jsonl": b'{"body": "a"}',
    "number.jsonl": b'{"text": 1}',
    "list.jsonl": b'["text"]',
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_samples(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(UNUSABLE[name])
    with pytest.raises(UnusableSample):
        CleanSample.read(tmp_path / name)


def test_a_missing_sample(tmp_path: Path) -> None:
    with pytest.raises(UnusableSample, match="cannot be read"):
        CleanSample.read(tmp_path / "none.txt")


def test_a_sample_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UnusableSample, match="smaller"):
        CleanSample.read(path)


# Time


def cpu_seconds(kind: str, sample: CleanSample | None = None) -> float:
    before = time.process_time()
    preview(kind, EXAMPLES[kind], sample=sample)
    return time.process_time() - before


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_preview_is_fast(kind: str) -> None:
    """Bound on processor time, which other work on the machine does not stretch much."""
    cpu_seconds(kind)
    assert min(cpu_seconds(kind) for _ in range(3)) < 0.2


@pytest.mark.parametrize("kind", ["name", "phone", "email"])
def test_a_large_sample_is_bounded(kind: str) -> None:
    sample = CleanSample(builtin().texts * 280)
    assert sample.characters > 5_000_000
    assert cpu_seconds(kind, sample) < 3
