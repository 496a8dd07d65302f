"""The texts of messages: all there in each language, with every value, polite, folded, without leftovers."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import filter_service.messages.texts as texts_package
from filter_service.messages import LANGUAGES, NAMES, Channel, Message, UnusableText, render
from filter_service.messages.texts import codes, values_of
from filter_service.messages.texts.layout import WIDTH, folded

HERE = Path(texts_package.__file__).parent
NUMBER = "2026-000017"
LINK = "https://registry.example/" + "x" * 90
VALUES: dict[str, Any] = {
    "registry": "Musterregister",
    "contact": "https://registry.example/help",
    "identifier": "j…@e….org",
    "identifiers": ["j…@e….org", "+41…21"],
    "link": LINK,
    "valid_until": date(2026, 8, 17),
    "code": "1234 5678",
    "minutes": 15,
    "number": NUMBER,
    "page": "https://registry.example/code",
    "deadline": date(2026, 9, 2),
    "status_link": "https://registry.example/status/abc",
    "files": ["public", "operators"],
    "release": "2027.1.0",
    "release_day": date(2027, 1, 1),
    "letter": "Es ging um einen Namen.\nMehr dazu hier.\n\nUnd ein zweiter Absatz.",
    "authority": "Aufsicht Musterland\nMusterplatz 3\n9999 Musterstadt",
    "appeal_link": "https://registry.example/appeal/def",
    "appeal_until": date(2026, 10, 3),
    "release_page": "https://registry.example/releases",
    "operator": "Muster AG",
}
REASONS = {"extension": "number", "refused": "no_match"}
GREETING = {
    "de": ("Guten Tag", "Freundliche Grüsse"),
    "fr": ("Bonjour,", "Meilleures salutations"),
    "it": ("Buongiorno,", "Cordiali saluti"),
    "rm": ("Bun di", "Cordials salids"),
    "en": ("Good day", "Kind regards"),
}
every = pytest.mark.parametrize(("name", "language"), list(product(NAMES, LANGUAGES)))
in_each = pytest.mark.parametrize("language", LANGUAGES)


def values(name: str) -> dict[str, Any]:
    wanted = values_of(name) | {"registry", "contact"}
    chosen = VALUES | {"reason": REASONS.get(name)}
    return {key: chosen[key] for key in wanted}


def shown(name: str, language: str, **changes: Any) -> str:
    subject, body = render(name, language, **(values(name) | changes))
    return f"{subject}\n{' '.join(body.split())}"


def test_the_texts_of_the_design() -> None:
    assert set(LANGUAGES) == {"de", "fr", "it", "rm", "en"}
    assert set(NAMES) == {
        "confirm", "code_sms", "code_letter", "receipt", "extension", "accepted", "refused", "published",
        "withdrawn", "removed", "appeal_received", "objection", "objection_dismissed", "operator_key",
    }  # fmt: skip


def test_there_is_a_file_for_each_text_and_none_too_many() -> None:
    for language in LANGUAGES:
        files = {path.name for path in (HERE / language).iterdir()}
        assert files == {f"{name}.txt" for name in NAMES} | {"words.json"}


def test_the_words_have_the_same_codes_in_each_language() -> None:
    def shape(words: Any) -> Any:
        return {key: shape(words[key]) for key in words} if isinstance(words, dict) else None

    words = {
        lang: json.loads((HERE / lang / "words.json").read_text("utf-8")) for lang in LANGUAGES
    }
    assert {json.dumps(shape(w), sort_keys=True) for w in words.values()} == {
        json.dumps(shape(words["en"]), sort_keys=True)
    }
    assert set(codes("files")) == set(words["en"]["limits"]) == {"public", "operators", "optouts"}


@every
def test_a_text_is_a_message(name: str, language: str) -> None:
    subject, body = render(name, language, **values(name))
    Message(Channel.EMAIL, "jane@example.org", subject, body, language)
    assert len(subject) <= 72


@every
def test_nothing_is_left_over(name: str, language: str) -> None:
    subject, body = render(name, language, **values(name))
    for part in ("{", "}", "[", "]", "<", ">", "None", "datetime", "&", "  -", "TODO", "XXX", "''"):
        assert part not in subject + body
    assert (
        not re.search(r"\b(reason|identifiers?|status_link|words)\b", subject + body)
        or language == "en"
    )
    assert subject == subject.strip()
    assert "!" not in subject + body
    assert "ß" not in subject + body
    if language == "fr":
        assert not re.search(r"[ \n][:;?]", body)


@every
def test_lines_are_folded(name: str, language: str) -> None:
    _, body = render(name, language, **values(name))
    lines = body.split("\n")
    if name == "code_sms":
        assert len(lines) == 1
        return
    assert body.endswith("\n")
    assert not body.endswith("\n\n")
    assert "\n\n\n" not in body
    for line in lines:
        assert len(line) <= WIDTH or (line.startswith("    ") and " " not in line.strip())
        assert line == line.rstrip()
        assert not re.match(r"[.,:;)]", line)


@every
def test_it_greets_and_signs(name: str, language: str) -> None:
    _, body = render(name, language, **values(name))
    if name == "code_sms":
        assert body.startswith("Musterregister: ")
        return
    greeting, farewell = GREETING[language]
    assert body.startswith(f"{greeting}\n\n")
    assert f"\n\n{farewell}\n\nMusterregister\n\n" in body
    assert "\n    https://registry.example/help\n" in body


@every
def test_links_and_codes_stand_alone_on_a_line(name: str, language: str) -> None:
    _, body = render(name, language, **values(name))
    for key in values_of(name) & {"link", "page", "status_link", "appeal_link", "release_page"}:
        assert f"\n    {VALUES[key]}\n" in body
    if name == "code_letter":
        assert "\n    1234 5678\n" in body


CHANGED: dict[str, Any] = {
    "identifier": ("z…@q….net", "z…@q….net"),
    "identifiers": (["z…@q….net", "W… K…"], "- z…@q….net - W… K…"),
    "link": ("https://other.example/1", "https://other.example/1"),
    "page": ("https://other.example/2", "https://other.example/2"),
    "status_link": ("https://other.example/3", "https://other.example/3"),
    "appeal_link": ("https://other.example/4", "https://other.example/4"),
    "release_page": ("https://other.example/5", "https://other.example/5"),
    "code": ("8765 4321", "8765 4321"),
    "minutes": (37, "37"),
    "number": ("1999-000042", "1999-000042"),
    "release": ("2031.2.7", "2031.2.7"),
    "letter": ("Ganz ein anderer\nGrund.", "Ganz ein anderer Grund."),
    "authority": ("Amt\nGasse 9", "Amt Gasse 9"),
    "operator": ("Andere GmbH", "Andere GmbH"),
    "valid_until": (date(2031, 12, 24), "24.+2031"),
    "deadline": (date(2031, 12, 24), "24.+2031"),
    "release_day": (date(2031, 12, 24), "24.+2031"),
    "appeal_until": (date(2031, 12, 24), "24.+2031"),
}


@every
def test_every_value_is_told(name: str, language: str) -> None:
    before = shown(name, language)
    for key in values_of(name) - {"reason", "files"}:
        value, expected = CHANGED[key]
        after = shown(name, language, **{key: value})
        pattern = expected if isinstance(value, date) else re.escape(expected)
        assert re.search(pattern, after), key
        assert not re.search(pattern, before), key


@in_each
@pytest.mark.parametrize(("name", "group"), [("extension", "extension"), ("refused", "refusal")])
def test_every_reason_has_words_of_its_own(language: str, name: str, group: str) -> None:
    told = {shown(name, language, reason=code) for code in codes(group)}
    assert len(told) == len(codes(group)) >= 2
    assert not any(code in text for code in codes(group) if "_" in code for text in told)


@in_each
def test_accepted_says_what_which_file_can_do(language: str) -> None:
    words = json.loads((HERE / language / "words.json").read_text("utf-8"))
    for files in (["public"], ["operators"], ["optouts"], ["public", "operators", "optouts"]):
        text = shown("accepted", language, files=files)
        for code in codes("files"):
            assert (words["files"][code] in text) == (code in files)
            assert (words["limits"][code] in text) == (code in files)
    only, both = (
        shown("accepted", language, files=f) for f in (["optouts"], ["optouts", "public"])
    )
    assert len(only.split(" - ")) + 5 == len(
        both.split(" - ")
    )  # a file, its limit, three of filters


@pytest.mark.parametrize(
    ("language", "article"),
    [
        ("de", "Artikel 79"),
        ("fr", "article 79"),
        ("it", "articolo 79"),
        ("rm", "artitgel 79"),
        ("en", "Article 79"),
    ],
)
def test_a_refusal_names_the_ways_that_are_open(language: str, article: str) -> None:
    """GDPR 12(4): the reasons, the supervisory authority, the court; beside them our own appeal."""
    _, body = render("refused", language, **values("refused"))
    assert article in " ".join(body.split())
    assert "\n    Aufsicht Musterland\n    Musterplatz 3\n    9999 Musterstadt\n" in body
    order = [body.index(part) for part in ("Es ging um", "appeal/def", "Aufsicht")]
    assert order == sorted(order)


@in_each
def test_the_letter_keeps_its_paragraphs(language: str) -> None:
    _, body = render("refused", language, **values("refused"))
    assert "\n\nEs ging um einen Namen. Mehr dazu hier.\n\nUnd ein zweiter Absatz.\n\n" in body


def test_romansh_is_marked_as_a_draft_at_its_foot() -> None:
    for name in NAMES:
        _, body = render(name, "rm", **values(name))
        if name == "code_sms":
            assert body.endswith("(Sboz/draft)")
        else:
            foot = " ".join(body.split("\n\n")[-1].split())
            assert foot.startswith("Sboz: ")
            assert "Draft: " in foot
        for language in set(LANGUAGES) - {"rm"}:
            assert "raft" not in render(name, language, **values(name))[1]


GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet of 3GPP TS 23.038, section 6.2.1: 160 characters of it are one text message."""


@in_each
def test_a_text_message_is_a_single_one(language: str) -> None:
    _, body = render("code_sms", language, **values("code_sms"))
    assert not set(body) - set(GSM)
    assert len(body) <= 160
    assert "1234 5678" in body


@pytest.mark.parametrize(
    ("language", "first", "other"),
    [
        ("de", "1. Januar 2027", "17. August 2026"),
        ("fr", "1er janvier 2027", "17 août 2026"),
        ("it", "1º gennaio 2027", "17 agosto 2026"),
        ("rm", "1 da schaner 2027", "17 d’avust 2026"),
        ("en", "1 January 2027", "17 August 2026"),
    ],
)
def test_days(language: str, first: str, other: str) -> None:
    assert first in shown("accepted", language)
    assert other in shown("confirm", language)


# -- what cannot be rendered --------------------------------------------------------------------


@every
def test_every_value_is_needed_and_no_other(name: str, language: str) -> None:
    whole = values(name)
    for key in whole:
        with pytest.raises(UnusableText, match=key):
            render(name, language, **{k: v for k, v in whole.items() if k != key})
    with pytest.raises(UnusableText, match="surplus"):
        render(name, language, **whole, surplus="x")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("confirm", {"identifier": ""}),
        ("confirm", {"identifier": "  "}),
        ("confirm", {"identifier": None}),
        ("confirm", {"identifier": "secret\nvalue"}),
        ("confirm", {"identifier": "secret\rvalue"}),
        ("confirm", {"identifier": "secret\x1b[2J"}),
        ("confirm", {"identifier": "secret\u202e"}),
        ("confirm", {"identifier": "secret\ud800"}),
        ("confirm", {"identifier": "secret\u2028value"}),
        ("confirm", {"valid_until": "secret"}),
        ("confirm", {"valid_until": datetime(2026, 8, 1, tzinfo=UTC)}),
        ("code_sms", {"minutes": True}),
        ("code_sms", {"minutes": 1.5}),
        ("refused", {"letter": "secret\x00"}),
        ("refused", {"letter": "\n\n"}),
        ("refused", {"reason": "secret"}),
        ("refused", {"reason": 7}),
        ("refused", {"identifiers": []}),
        ("refused", {"identifiers": ["secret\nvalue"]}),
        ("refused", {"identifiers": [["secret"]]}),
        ("refused", {"identifiers": "secret"}),
        ("confirm", {"identifier": ["secret"]}),
        ("extension", {"reason": "no_match"}),
        ("accepted", {"files": []}),
        ("accepted", {"files": ["secret"]}),
        ("accepted", {"files": "public"}),
    ],
)
def test_values_that_cannot_be_used(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(UnusableText) as caught:
        render(name, "de", **(values(name) | changes))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("confirm", "es"),
        ("confirm", ""),
        ("confirm", "../en"),
        ("words", "de"),
        ("../frame", "de"),
        ("", "de"),
    ],
)
def test_texts_that_do_not_exist(name: str, language: str) -> None:
    with pytest.raises(UnusableText, match="There is no such"):
        render(name, language, **values("confirm"))


def test_groups_of_codes_that_do_not_exist() -> None:
    for group in ("greeting", "nothing"):
        with pytest.raises(UnusableText):
            codes(group)


def test_a_value_is_no_template() -> None:
    text = shown("refused", "de", letter="{{ registry }} {% for x in y %} {{ 7 * 7 }}")
    assert "{{ registry }} {% for x in y %} {{ 7 * 7 }}" in text


def test_a_value_is_shown_as_it_is() -> None:
    assert "<b>Müller & Söhne</b>" in shown("operator_key", "de", operator="<b>Müller & Söhne</b>")


# -- folding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", "a b"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\n \t\nb", "a\n\nb"),
        ("- a\nb\n- c", "- a b\n- c"),
        ("a:\n    verbatim  text\nb", "a:\n    verbatim  text\nb"),
        ("\n\na\n", "a"),
        (" \na", "a"),
        ("x" * 80, "x" * 80),
        (f"{'x' * 40} {'y' * 40}", f"{'x' * 40}\n{'y' * 40}"),
        (f"- {'x' * 40} {'y' * 40}", f"- {'x' * 40}\n  {'y' * 40}"),
        (f"    {'x' * 40} {'y' * 40}", f"    {'x' * 40} {'y' * 40}"),
        (f"{'x' * 60} well-known-words", f"{'x' * 60}\nwell-known-words"),
        (f"{'x' * 70} y\u00a0:", f"{'x' * 70}\ny\u00a0:"),
        ("a-b", "a-b"),
    ],
)
def test_folding(text: str, expected: str) -> None:
    assert folded(text) == expected


@given(st.text(alphabet="ab -\n", max_size=300))
def test_folding_keeps_every_word_and_the_width(text: str) -> None:
    done = folded(text)
    assert done.split() == text.split()
    for line in done.split("\n"):
        assert (
            len(line) <= WIDTH
            or line.startswith("    ")
            or " " not in line.removeprefix("- ").strip()
        )
