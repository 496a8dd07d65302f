"""What is told before a person chooses agrees with the documents and with the filter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from filter.errors import UnknownKind
from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter.widths import WIDTHS
from filter_service.limits_explained import COSTS, LIMITS, Limit, explain, sentence
from filter_service.model import Audience
from filter_service.preview import How, preview

THREAT_MODEL = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"


def test_every_kind_is_explained() -> None:
    assert LIMITS.keys() == set(IdentifierKind)
    for kind in IdentifierKind:
        found = explain(kind)
        assert len(set(found.limits)) == len(found.limits) > 8
        assert found.cost.endswith(".")


def test_every_limit_is_told_of_some_kind() -> None:
    assert {limit for kind in IdentifierKind for limit in explain(kind).limits} == set(Limit)


def test_every_limit_has_a_sentence() -> None:
    sentences = [sentence(limit) for limit in Limit]
    assert len(set(sentences)) == len(Limit)
    assert all(s.endswith(".") and s[0].isupper() for s in sentences)


def test_unknown_kind() -> None:
    with pytest.raises(UnknownKind):
        explain("nickname")


@pytest.mark.parametrize("kind", RECOGNISED)
def test_recognised_kinds_go_into_both_files(kind: IdentifierKind) -> None:
    assert explain(kind).files == (Audience.PUBLIC, Audience.OPERATORS)


@pytest.mark.parametrize("kind", PHRASES)
def test_phrases_go_to_operators_only(kind: IdentifierKind) -> None:
    assert explain(kind).files == (Audience.OPERATORS,)
    assert "about a cent" in explain(kind).cost


def dollars(cell: str) -> float:
    found = re.match(r"\$([0-9.]+)", cell)
    assert found is not None
    return float(found[1])


def test_costs_are_those_of_the_threat_model() -> None:
    text = THREAT_MODEL.read_text("utf-8")
    table = text.partition("| kind | dictionary N |")[2].partition("\n\n")[0]
    told = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`"):
            prices = dollars(cells[5]), dollars(cells[6])
            told[cells[0].strip("`")] = (int(cells[1].replace(",", "")), *prices, float(cells[3]))
    assert told == {kind.value: tuple(cost) for kind, cost in COSTS.items()}


def test_dictionaries_are_those_of_the_filter() -> None:
    assert {kind: cost.dictionary for kind, cost in COSTS.items()} == {
        kind: WIDTHS[kind].dictionary for kind in RECOGNISED
    }


NOT_CAUGHT = [
    ("name", "Jürg Müller", How.INITIAL, Limit.INITIALS),
    ("name", "Jürg Müller", How.LAST_PART, Limit.PARTS_OF_A_NAME),
    ("name", "Jürg Müller", How.WORD_BETWEEN, Limit.WORDS_BETWEEN),
    ("name", "Jürg Müller", How.TYPING_ERROR, Limit.TYPING_ERRORS),
    ("email", "jane.doe@example.org", How.AT_IN_WORDS, Limit.MARKS_IN_WORDS),
    ("phone", "044 668 18 00", How.DIGITS_IN_WORDS, Limit.NUMBERS_IN_WORDS),
    ("phone", "044 668 18 00", How.LAST_DIGITS, Limit.LAST_DIGITS),
    ("postal_address", "Seestrasse 5, 8001 Zürich", How.NO_TOWN, Limit.INCOMPLETE_ADDRESSES),
    ("postal_address", "Seestrasse 5, 8001 Zürich", How.ANOTHER_ORDER, Limit.CHANGED_ORDER),
    ("handle", "@jane_doe", How.NO_AT_SIGN, Limit.NO_AT_SIGN),
    ("text", "kein Wort davon ist wahr", How.ONE_WORD_CHANGED, Limit.OTHER_WORDS),
]


@pytest.mark.parametrize(("kind", "text", "how", "limit"), NOT_CAUGHT)
def test_a_limit_is_one_of_the_filter_too(kind: str, text: str, how: How, limit: Limit) -> None:
    assert how in {one.how for one in preview(kind, text).missed}
    assert limit in explain(kind).limits
