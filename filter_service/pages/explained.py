"""What a person is told of each kind before choosing: the price of guessing, the doubts of the compile gate.

The figures are those of `limits_explained`: slow hashes of a whole dictionary on a rented graphics card.
"""

from __future__ import annotations

from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter_service.judgement import Reason
from filter_service.limits_explained import COSTS
from filter_service.model import Audience
from filter_service.notes import CARD_RATE
from filter_service.pages.texts import Texts

GROUPS = {"public": RECOGNISED, "operators": PHRASES}
_DAY = 24

_DOUBTS = {
    Reason.COMMON_WORD: "words",
    Reason.COMMON_PHRASE: "words",
    Reason.ORDINARY_WORDS: "words",
    Reason.SINGLE_WORD: "words",
    Reason.NAME_OF_WORDS: "words",
    Reason.SHORT_TEXT: "too_short",
    Reason.PLACE: "place",
    Reason.DATE: "place",
    Reason.LANGUAGE_NAME: "place",
    Reason.NAME_OF_PLACE: "place",
    Reason.SINGLE_NAME: "single_name",
    Reason.INITIALS: "single_name",
    Reason.GIVEN_NAMES_ONLY: "single_name",
    Reason.INCOMPLETE_ADDRESS: "address",
    Reason.NO_HOUSE_NUMBER: "address",
    Reason.UNKNOWN_TOWN: "address",
    Reason.KNOWN_SITE: "site",
    Reason.BARE_DOMAIN: "site",
    Reason.SHORT_PATH: "site",
    Reason.GENERIC_PAGE: "site",
    Reason.HANDLE_OF_WORDS: "handle",
    Reason.ROLE_ADDRESS: "shared",
    Reason.NO_REPLY: "shared",
    Reason.SHARED_ENDING: "shared",
    Reason.SHORT_NUMBER: "shared",
    Reason.SHARED_NUMBER: "shared",
    Reason.COMPANY_NUMBER: "shared",
    Reason.EXAMPLE_NUMBER: "example",
    Reason.PRIVATE_IP: "example",
    Reason.PUBLIC_RESOLVER: "example",
    Reason.LIKE_A_VERSION: "example",
}
"""Doubts that share their words; the others have some of their own, by the reason's name."""


def price(t: Texts, kind: IdentifierKind) -> str:
    """What guessing costs, in a sentence."""
    cost = COSTS.get(kind)
    if cost is None:
        return t("files.cost_phrase")
    hours = cost.dictionary / CARD_RATE / 3600
    in_days = hours >= 2 * _DAY
    return t(
        "files.cost",
        guesses=t.number(cost.dictionary),
        dollars=round(cost.dollars_card),
        time=t(
            "files.days" if in_days else "files.hours",
            count=round(hours / _DAY if in_days else hours),
        ),
        sharing=round(cost.shared_by),
    )


def doubt(t: Texts, reason: str) -> str:
    """What the compile gate has against an entry, in plain words."""
    try:
        name = _DOUBTS.get(Reason(reason), reason)
    except ValueError:
        name = "other"
    return t.known(f"gate.{name}", "gate.other")


def usual_file(kind: str) -> Audience:
    """The file that an identifier of a kind goes into unless its owner says otherwise."""
    return Audience.OPERATORS if kind in PHRASES else Audience.PUBLIC
