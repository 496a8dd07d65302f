"""Telephone numbers. Those of people are from ranges reserved for fiction, or the usual dummies."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import phone

EXAMPLES = Path(__file__).resolve().parents[2] / ".." / "shared" / "data/pii/phone_examples.csv"
CH = "+41446681800"

HITS = {
    "E.123": ("+41 44 668 18 00", CH),
    "E.164": ("+41446681800", CH),
    "a space behind the plus": ("+ 41 44 668 18 00", CH),
    "hyphens": ("+41-44-668-18-00", CH),
    "dots": ("+41.44.668.18.00", CH),
    "no-break spaces": ("+41\u00a044\u00a0668\u00a018\u00a000", CH),
    "narrow no-break spaces": ("+41\u202f44\u202f668\u202f18\u202f00", CH),
    "dashes": ("+41–44–668–18–00", CH),
    "no-break hyphens": ("+41\u201144\u2011668\u201118\u201100", CH),
    "trunk prefix in brackets": ("+41 (0)44 668 18 00", CH),
    "trunk prefix": ("+41 044 668 18 00", CH),
    "area code in brackets": ("+1 (212) 555-0123", "+12125550123"),
    "slash": ("+49 (0) 30 / 23125-014", "+493023125014"),
    "Italy keeps its zero": ("+39 (0)6 1234 5678", "+390612345678"),
    "a zero where there is none": ("+45 (0) 32 12 34 56", "+4532123456"),
    "British drama": ("+44 20 7946 0958", "+442079460958"),
    "French drama": ("+33 1 99 00 12 34", "+33199001234"),
    "00": ("0041 44 668 18 00", CH),
    "00 apart": ("00 41 44 668 18 00", CH),
    "00 without any space, to a region at home": ("0041446681800", CH),
    "00 to another region": ("0044 20 7946 0958", "+442079460958"),
    "national": ("044 668 18 00", CH),
    "national, mobile": ("079 123 45 67", "+41791234567"),
    "national, two groups": ("044 6681800", CH),
    "national, area code in brackets": ("(044) 668 18 00", CH),
    "national, slash": ("044/668 18 00", CH),
    "national, spaced slash": ("044 / 668 18 00", CH),
    "national, dots": ("044.668.18.00", CH),
    "national, hyphens": ("044-668-18-00", CH),
    "national, toll-free": ("0800 123 456", "+41800123456"),
}


@pytest.mark.parametrize(("written", "value"), HITS.values(), ids=HITS)
@pytest.mark.parametrize(
    "around", ["{}", "Tel. {}.", "call {}, please", "|{}|", "Tel:{}\nFax", "电话{}", "“{}”"]
)
def test_found(written: str, value: str, around: str) -> None:
    text = around.format(written)
    (span,) = phone.find(text)
    assert text[span.start : span.end] == written
    assert span.value == value
    assert span.kind is IdentifierKind.PHONE
    assert phone.canonicalize(written) == value


def test_canonicalize_takes_what_find_found() -> None:
    for text in ("(+41) 44 668 18 00", "+41) 44 668 18 00"):
        assert phone.canonicalize(text) == CH
    # The digits alone would be a Swiss number, too.
    assert phone.canonicalize("02 46 94 12 34", ("CH", "FR")) == "+33246941234"
    assert phone.canonicalize("0246941234", ("CH", "FR")) == "+41246941234"


IN_CONTEXT = {
    "RFC 3966": ("tel:+41-44-668-18-00", ["+41-44-668-18-00"]),
    "a link to 00": ("(tel:00442079460958)", ["00442079460958"]),
    "brackets around": ("(044 668 18 00)", ["044 668 18 00"]),
    "country code in brackets": ("(+41) 44 668 18 00", ["+41) 44 668 18 00"]),
    "extension": ("+41 44 668 18 00x12", ["+41 44 668 18 00"]),
    "two": ("+41 44 668 18 00 044 668 18 01", ["+41 44 668 18 00", "044 668 18 01"]),
    "two, slash": ("044 668 18 00 / 079 123 45 67", ["044 668 18 00", "079 123 45 67"]),
    "last digits of another": ("044 668 18 00/01", ["044 668 18 00"]),
    "a year behind": ("+41 44 668 18 00 2024", ["+41 44 668 18 00"]),
    "a town behind": ("044 668 18 00 8000 Zürich", ["044 668 18 00"]),
    "a town before": ("8000 044 668 18 00", ["044 668 18 00"]),
    "lines": ("044 668 18 00\n044 668 18 01", ["044 668 18 00", "044 668 18 01"]),
    "an account behind": (
        "044 668 18 00 CH93 0076 2011 6238 5295 7",
        ["044 668 18 00"],
    ),
}


@pytest.mark.parametrize(("text", "written"), IN_CONTEXT.values(), ids=IN_CONTEXT)
def test_found_in_context(text: str, written: list[str]) -> None:
    assert [text[s.start : s.end] for s in phone.find(text)] == written


MISSES = {
    "a number nobody can have": "+41 00 000 00 00",
    "a country nobody has": "+999 44 668 18 00",
    "too short": "+41 44 668",
    "too long": "+41 44 668 18 00 00 00 00",
    "a digit before the plus": "1+41446681800",
    "C++": "C++41446681800",
    "country code in two": "+4 1 44 668 18 00",
    "letters behind": "+41446681800abc",
    "underscore behind": "+41 44 668 18 00_1",
    "national without groups": "0446681800",
    "national without zero": "44 668 18 00",
    "national in one more group": "044 668 18 00 01",
    "national of another region": "020 7946 0958",
    "area code cut": "04 4668 18 00",
    "longer digits": "1044 668 18 00",
    "word before": "a044 668 18 00",
    "hyphenated": "12-044-668-18-00",
    "00 without groups": "00442079460958",
    "00 in a table": "12 00 33 44 55 66 77 88",
    "00 in a dump": "00 33 44 55 66 77 88 99 aa",
    "date": "01.02.2024",
    "date and time": "01.02.2024 12:30",
    "ISO 8601": "2024-01-02 10:00:00 +0100",
    "RFC 3339": "2024-01-02T10:00:00+01:00",
    "time stamp": "20240102100000",
    "epoch": "1704189600000",
    "opening hours": "08.00-12.00 13.30-17.00",
    "period": "01.02.2023-03.04.2024",
    "ISBN-10": "ISBN 0-306-40615-2",
    "ISBN-10 that could be a number": "ISBN 044 668 18 00",
    "ISBN-13": "978-0-306-40615-7",
    "ISSN": "ISSN 0317-8471",
    "EAN": "EAN: 0044 668 18 00",
    "price": "CHF 1'044.668 / 0.79 123 45",
    "decimal": "0.446681800",
    "padded decimal": "076.1234567",
    "thousands": "1,044 668 18 00",
    "percent": "+41 446 681 800%",
    "coordinates": "N 47.3769 E 008.5417, 047.376900 008.541700",
    "version": "1.04.46.68.18.00",
    "order": "Order 0012345678901",
    "DOI": "doi:10.1097/0000000000000138",
    "ESR reference": "21 00000 00003 13947 14300 09017",
    "company number": "0713.629.988",
    "sum": "(357526 + 81936) / 26821559",
    "IBAN": "CH93 0076 2011 6238 5295 7",
    "IBAN, wrong": "CH94 0076 2011 6238 5295 7",
    "IBAN with a mobile inside": "GB33 BUKB 2020 1555 5555 55",
    "AHV": "756.9217.0769.85",
}


@pytest.mark.parametrize("text", MISSES.values(), ids=MISSES)
def test_not_found(text: str) -> None:
    assert [text[s.start : s.end] for s in phone.find(text)] == []


REGIONS = {
    "Germany": ("DE", "030 23125-014", "+493023125014"),
    "France": ("FR", "01 99 00 12 34", "+33199001234"),
    "France, in threes": ("FR", "01 99 001 234", "+33199001234"),
    "United Kingdom": ("GB", "020 7946 0958", "+442079460958"),
    "as Londoners write it": ("GB", "0207 946 0958", "+442079460958"),
    "Austria": ("AT", "01 234567890", "+431234567890"),
    "Italy": ("IT", "06 1234 5678", "+390612345678"),
}


@pytest.mark.parametrize(("region", "written", "value"), REGIONS.values(), ids=REGIONS)
def test_regions(region: str, written: str, value: str) -> None:
    assert list(phone.find(written)) == []
    for regions in ((region,), ("CH", region), {region}):
        assert [span.value for span in phone.find(written, regions)] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "12 01 99 00 12 34 56",
        "01 99 00 12 34 56",
        "le 01.02.2024 12 34",
        "le 01/02/2024 1234",
        "08.00-12.00 13.30-17.00",
    ],
)
def test_rows_and_dates_are_no_french_numbers(text: str) -> None:
    assert list(phone.find(text, ("FR",))) == []


@pytest.mark.parametrize("regions", [("XX",), ("ch",), "CH", ("CH", "")])
def test_unknown_regions_are_refused(regions: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        list(phone.find("no number here", regions))
    with pytest.raises(InputError):
        phone.canonicalize("044 668 18 00", regions)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 0446681800\n", CH),
        ("44 668 18 00", CH),
        ("00442079460958", "+442079460958"),
        ("0045 (0) 32 12 34 56", "+4532123456"),
    ],
)
def test_canonicalize_is_more_tolerant(text: str, value: str) -> None:
    assert phone.canonicalize(text) == value


@pytest.mark.parametrize(
    "text", ["", "secret", "+", "+999 44 668 18 00", "1", "+41 44 668 18 00 secret", "9" * 5000]
)
def test_canonicalize_refuses_without_an_echo(text: str) -> None:
    with pytest.raises(InputError) as caught:
        phone.canonicalize(text)
    assert "secret" not in str(caught.value)


def test_recall_over_all_regions() -> None:
    """International forms of every region and type that `phonenumbers` has an example of."""
    if not EXAMPLES.exists():
        pytest.skip("the examples of phone numbers are not here")
    with EXAMPLES.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["format"] != "NATIONAL"]
    assert len(rows) > 700
    missed = []
    for row in rows:
        text = f"Call {row['text']} today."
        spans = list(phone.find(text))
        if [span.value for span in spans] != [row["e164"]]:
            missed.append((row["region"], row["format"]))
    assert len(missed) <= 0.01 * len(rows), missed


def test_recall_of_national_forms() -> None:
    """Those that begin with a zero and have groups; the rest is not looked for."""
    if not EXAMPLES.exists():
        pytest.skip("the examples of phone numbers are not here")
    with EXAMPLES.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["format"] == "NATIONAL"]
    rows = [row for row in rows if row["text"].startswith(("0", "(0"))]
    assert len(rows) > 100
    found = [
        [span.value for span in phone.find(row["text"], (row["region"],))] == [row["e164"]]
        for row in rows
    ]
    assert sum(found) >= 0.95 * len(rows)


GAPS = st.sampled_from(["", " ", "-", ".", "\u00a0", " (", ") ", "/", " - "])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["+41446681800", "+442079460958", "+12125550123", "+493023125014"]),
    st.lists(GAPS, min_size=9, max_size=9),
)
def test_any_separators_behind_the_country_code(number: str, gaps: list[str]) -> None:
    code = 2 if number.startswith("+1") else 3
    digits = number[code:]
    written = number[:code] + "".join(g + d for g, d in zip(gaps, digits, strict=False))
    written += digits[len(gaps) :]
    (span,) = phone.find(f"<{written}>")
    assert span.value == number
    assert phone.canonicalize(written) == number
    assert phone.canonicalize(span.value) == number


HOSTILE = {
    "country codes": "+41 " * 125_000,
    "zeros": "0 " * 250_000,
    "double zeros": "00 " * 150_000,
    "pluses": "+" * 500_000,
    "brackets": "(0" * 250_000,
    "digits": "0" * 500_000,
    "one digit at a time": "+999 1 1 1 1 1 1 1 " * 20_000,
    "cut short": "+41 44 668 18 " * 20_000,
    "separators": "+41" + " .-/" * 120_000,
    "pairs": "01 23 45 67 89 " * 20_000,
    "area codes": "044 04 " * 3_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_linear(text: str) -> None:
    """Up to half a million characters: anything quadratic would not come back."""
    assert list(phone.find(text)) == []


def test_linear_in_what_is_found() -> None:
    """Numbers beside accounts: each is compared with its neighbours, not with all."""
    text = "+41 44 668 18 00 DE89 3704 0044 0532 0130 00, " * 8_000
    assert len(list(phone.find(text))) == 8_000


def test_phonenumbers_is_imported_at_first_use_only() -> None:
    script = "import sys, filter.recognisers; print('phonenumbers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
