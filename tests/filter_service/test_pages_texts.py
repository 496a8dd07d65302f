"""The catalogues: complete, alike in all languages, and used."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

import filter_service.pages
from filter.identifiers import IdentifierKind
from filter_service.judgement import Reason as GateReason
from filter_service.model import LANGUAGES, Evidence, EvidenceState, OptOutScope, Reason, State
from filter_service.pages import explained, following, operating
from filter_service.pages.languages import of_path, preferred
from filter_service.pages.texts import NAMES, Texts, catalogue, read

FOLDER = Path(filter_service.pages.__file__).parent
OTHERS = [language for language in LANGUAGES if language != "en"]


def entries(language: str) -> dict[str, str | list[str]]:
    """The public texts of a language."""
    return {
        key: text
        for key, text in catalogue(language).entries.items()
        if not key.startswith("review.")
    }


def parts(text: str | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else text


def placeholders(text: str | list[str]) -> list[list[str]]:
    return [
        sorted({name for _, name, _, _ in string.Formatter().parse(one) if name})
        for one in parts(text)
    ]


def test_a_catalogue_for_each_language_and_no_other() -> None:
    found = {path.stem for path in (FOLDER / "texts").glob("*.toml")}
    assert found == {*LANGUAGES, "review"}
    assert set(NAMES) == set(LANGUAGES)


@pytest.mark.parametrize("language", OTHERS)
def test_keys_and_placeholders_agree_with_the_english_ones(language: str) -> None:
    english, other = entries("en"), entries(language)
    assert set(other) == set(english)
    for key, text in english.items():
        assert type(other[key]) is type(text), key
        assert placeholders(other[key]) == placeholders(text), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_empty_but_what_must_be(language: str) -> None:
    empty = [key for key, text in entries(language).items() if not all(parts(text))]
    assert empty == ([] if language == "rm" else ["site.draft"])


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_was_left_in_english(language: str) -> None:
    same = {
        key
        for key, text in entries(language).items()
        if text == catalogue("en").entries[key] and len(" ".join(parts(text))) > 12
    }
    assert same == set()


def test_swiss_spelling() -> None:
    assert "ß" not in "".join("".join(parts(text)) for text in entries("de").values())


def test_romansh_says_that_it_is_a_draft() -> None:
    assert catalogue("rm")("site.draft").startswith("Sboz")


def test_formal_address() -> None:
    """Nobody is called du, tu or ti."""
    informal = {
        "de": r"\b[Dd](u|ein|eine|ich|ir)\b",
        "fr": r"\b[Tt](u|on|a|es|oi)\b",
        "it": r"\b[Tt](u|uo|ua|i)\b",
    }
    for language, pattern in informal.items():
        for key, text in entries(language).items():
            assert not re.search(pattern, " ".join(parts(text))), (language, key)


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("states", State),
        ("reasons", Reason),
        ("evidence", Evidence),
        ("evidence", EvidenceState),
        ("scopes", OptOutScope),
        ("scope_hints", OptOutScope),
    ],
)
def test_every_word_of_the_registry_has_a_text(table: str, names: Iterable[str]) -> None:
    for name in names:
        assert f"{table}.{name}" in catalogue("en").entries


@pytest.mark.parametrize("kind", IdentifierKind)
def test_every_kind_is_explained(kind: IdentifierKind) -> None:
    t = catalogue("en")
    for part in ("name", "hint", "caught", "missed"):
        assert t(f"kinds.{kind}.{part}")
    assert "costs" in explained.price(t, kind)


def test_prices_are_those_of_the_threat_model() -> None:
    """The second table of its figures: $65 and 7 days for addresses, $6.54 and 16 hours for phones."""
    page = (FOLDER.parents[1] / "docs" / "threat-model.md").read_text("utf-8")
    assert (
        "| `email` | 1,000,000,000 | 26 | 15.9 | 13,421 | $196 (4,903 core hours) | $65 (7 days)"
        in page
    )
    t = catalogue("en")
    said = explained.price(t, IdentifierKind.EMAIL)
    assert "1,000,000,000" in said
    assert "65 US dollars" in said
    assert "(7 days)" in said
    assert "about 16 of them" in said
    assert "7 US dollars" in explained.price(t, IdentifierKind.PHONE)
    assert "(16 hours)" in explained.price(t, IdentifierKind.PHONE)


@pytest.mark.parametrize("reason", GateReason)
def test_every_doubt_of_the_compile_gate_has_plain_words(reason: GateReason) -> None:
    t = catalogue("en")
    assert explained.doubt(t, reason) != t("gate.other")


def test_a_doubt_that_nobody_knows_is_still_said() -> None:
    t = catalogue("en")
    assert explained.doubt(t, "of_tomorrow") == t("gate.other")


def test_every_text_is_used() -> None:
    """Each key stands in a template or module: whole, or as the beginning or end of one put together."""
    paths = [*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.html")]
    sources = "".join(path.read_text("utf-8") for path in paths)
    whole = set(re.findall(r"""["']([a-z_]+(?:\.[a-z0-9_]+)+)["']""", sources))
    beginnings = set(re.findall(r"""["']([a-z_.]+[._])["'] ~""", sources))
    beginnings |= set(re.findall(r"""f["']([a-z_]+\.[a-z_.]*){""", sources))
    ends = set(re.findall(r"""table ~ ["'](\.[a-z_]+)["']""", sources)) | {".title"}
    used = whole | {f"{table}{end}" for table in ("request", "rightsholders") for end in ends}
    unused = [
        key
        for key in catalogue("en").entries
        if key not in used and not key.startswith(tuple(beginnings))
    ]
    assert unused == []


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_timeline(state: State) -> None:
    done, now, later = following._TIMELINES[state]
    for name in (*done, *later, *([now] if now else [])):
        assert f"steps.{name}" in catalogue("en").entries


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_to_look_for_stand_in_our_mail(language: str) -> None:
    mail = FOLDER.parent / "messages" / "texts" / language / "receipt.txt"
    assert catalogue(language)("find.words") in " ".join(mail.read_text("utf-8").split())


def test_terms_have_as_many_points_in_every_language() -> None:
    assert {len(catalogue(language).list("terms.points")) for language in LANGUAGES} == {9}
    assert operating.TERMS == "2026-07"


@pytest.mark.parametrize(
    ("language", "day", "shown"),
    [
        ("de", date(2026, 7, 1), "1. Juli 2026"),
        ("fr", date(2026, 7, 1), "1er juillet 2026"),
        ("fr", date(2026, 7, 11), "11 juillet 2026"),
        ("it", date(2026, 7, 1), "1º luglio 2026"),
        ("rm", date(2026, 7, 3), "3 da fanadur 2026"),
        ("en", date(2026, 7, 1), "1 July 2026"),
    ],
)
def test_days_in_words(language: str, day: date, shown: str) -> None:
    assert catalogue(language).day(day) == shown


def test_a_value_is_not_a_format() -> None:
    """What a person wrote can name no other value."""
    t = Texts("en", {"a.b": "It is {x}."})
    assert t("a.b", x="{y} {0.__class__}") == "It is {y} {0.__class__}."


def test_files_hold_nothing_but_text() -> None:
    for language in LANGUAGES:
        for text in entries(language).values():
            assert not re.search("[<>]|&[a-z]+;", " ".join(parts(text)))
    assert "title_sign_in" in read("review")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "de"),
        ("fr", "fr"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7", "fr"),
        ("en;q=0.1, it;q=0.9", "it"),
        ("pt, es;q=0.9, rm;q=0.3", "rm"),
        ("ja, zh", "de"),
        ("*", "de"),
        ("it;q=0, fr;q=0.1", "fr"),
        ("IT-ch", "it"),
        ("fr;q=no, en", "en"),
        ("fr;q=7, en", "en"),
        (";;;,,,q=", "de"),
        ("de;q=0.5, fr;q=0.5", "de"),
        ("x" * 100_000 + ", fr", "de"),
    ],
)
def test_which_language_a_browser_asks_for(header: str, language: str) -> None:
    assert preferred(header) == language


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/de/", ("de", "/")),
        ("/de", ("de", "/")),
        ("/fr/status/1/2", ("fr", "/status/1/2")),
        ("/", None),
        ("/xx/request", None),
        ("/review", None),
        ("/deutsch/", None),
    ],
)
def test_which_language_a_path_has(path: str, found: tuple[str, str] | None) -> None:
    assert of_path(path) == found
