"""IBANs: the registry's own examples for every country, and what stands beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.checksums import mod97
from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import iban

# SWIFT, IBAN registry: "IBAN print format example" of each country.
REGISTRY = """
AD12 0001 2030 2003 5910 0100
AE07 0331 2345 6789 0123 456
AL47 2121 1009 0000 0002 3569 8741
AT61 1904 3002 3457 3201
AZ21 NABZ 0000 0000 1370 1000 1944
BA39 1290 0794 0102 8494
BE68 5390 0754 7034
BG80 BNBG 9661 1020 3456 78
BH67 BMAG 0000 1299 1234 56
BI42 1000 0100 0100 0033 2045 181
BR18 0036 0305 0000 1000 9795 493C 1
BY13 NBRB 3600 9000 0000 2Z00 AB00
CH93 0076 2011 6238 5295 7
CR05 0152 0200 1026 2840 66
CY17 0020 0128 0000 0012 0052 7600
CZ65 0800 0000 1920 0014 5399
DE89 3704 0044 0532 0130 00
DJ21 0001 0000 0001 5400 0100 186
DK50 0040 0440 1162 43
DO28 BAGR 0000 0001 2124 5361 1324
EE38 2200 2210 2014 5685
EG38 0019 0005 0000 0000 2631 8000 2
ES91 2100 0418 4502 0005 1332
FI21 1234 5600 0007 85
FK88 SC12 3456 7890 12
FO62 6460 0001 6316 34
FR14 2004 1010 0505 0001 3M02 606
GB29 NWBK 6016 1331 9268 19
GE29 NB00 0000 0101 9049 17
GI75 NWBK 0000 0000 7099 453
GL89 6471 0001 0002 06
GR16 0110 1250 0000 0001 2300 695
GT82 TRAJ 0102 0000 0012 1002 9690
HN88 CABF 0000 0000 0002 5000 5469
HR12 1001 0051 8630 0016 0
HU42 1177 3016 1111 1018 0000 0000
IE29 AIBK 9311 5212 3456 78
IL62 0108 0000 0009 9999 999
IQ98 NBIQ 8501 2345 6789 012
IS14 0159 2600 7654 5510 7303 39
IT60 X054 2811 1010 0000 0123 456
JO94 CBJO 0010 0000 0000 0131 0003 02
KW81 CBKU 0000 0000 0000 1234 5601 01
KZ86 125K ZT50 0410 0100
LB62 0999 0000 0001 0019 0122 9114
LC55 HEMM 0001 0001 0012 0012 0002 3015
LI21 0881 0000 2324 013A A
LT12 1000 0111 0100 1000
LU28 0019 4006 4475 0000
LV80 BANK 0000 4351 9500 1
LY83 0020 4800 0020 1001 2036 1
MC58 1122 2000 0101 2345 6789 030
MD24 AG00 0225 1000 1310 4168
ME25 5050 0001 2345 6789 51
MK07 2501 2000 0058 984
MN12 1234 1234 5678 9123
MR13 0002 0001 0100 0012 3456 753
MT84 MALT 0110 0001 2345 MTLC AST0 01S
MU17 BOMM 0101 1010 3030 0200 000M UR
NI45 BAPR 0000 0013 0000 0355 8124
NL91 ABNA 0417 1643 00
NO93 8601 1117 947
OM81 0180 0000 0129 9123 456
PK36 SCBL 0000 0011 2345 6702
PL61 1090 1014 0000 0712 1981 2874
PS92 PALS 0000 0000 0400 1234 5670 2
PT50 0002 0123 1234 5678 9015 4
QA58 DOHB 0000 1234 5678 90AB CDEF G
RO49 AAAA 1B31 0075 9384 0000
RS35 2600 0560 1001 6113 79
RU03 0445 2522 5408 1781 0538 0913 1041 9
SA03 8000 0000 6080 1016 7519
SC18 SSCB 1101 0000 0000 0000 1497 USD
SD88 1112 3456 7890 12
SE45 5000 0000 0583 9825 7466
SI56 2633 0001 2039 086
SK31 1200 0000 1987 4263 7541
SM86 U032 2509 8000 0000 0270 100
SO21 1000 0010 0100 0100 141
ST23 0001 0001 0051 8453 1014 6
SV62 CENR 0000 0000 0000 0070 0025
TL38 0080 0123 4567 8910 157
TN59 1000 6035 1835 9847 8831
TR33 0006 1005 1978 6457 8413 26
UA21 3223 1300 0002 6007 2335 6600 1
VA59 0011 2300 0012 3456 78
VG96 VPVG 0000 0123 4567 8901
XK05 1212 0123 4567 8906
YE15 CBYE 0001 0188 6123 4567 8912 34
""".strip().splitlines()
COMPACT = [line.replace(" ", "") for line in REGISTRY]


@pytest.mark.parametrize("printed", REGISTRY, ids=[line[:2] for line in REGISTRY])
def test_every_country_of_the_registry(printed: str) -> None:
    compact = printed.replace(" ", "")
    for written in (printed, compact, printed.lower()):
        text = f"IBAN: {written}, thanks"
        (span,) = iban.find(text)
        assert text[span.start : span.end] == written
        assert span.value == compact
        assert span.kind is IdentifierKind.IBAN


def test_no_country_is_without_an_example() -> None:
    assert set(iban._structures()) == {line[:2] for line in REGISTRY}


DE = "DE89370400440532013000"
HITS = {
    "words behind": ("FR14 2004 1010 0505 0001 3M02 606 und", "FR1420041010050500013M02606"),
    "digits behind": ("NO93 8601 1117 947 12", "NO9386011117947"),
    "no-break spaces": ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", DE),
    "narrow no-break spaces": ("DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00", DE),
    "thin spaces": ("DE89\u20093704\u20090044\u20090532\u20090130\u200900", DE),
    "hyphens": ("DE89-3704-0044-0532-0130-00", DE),
    "no-break hyphens": ("DE89\u20113704\u20110044\u20110532\u20110130\u201100", DE),
    "groups of other sizes": ("DE 89 370 400 440 532 013 000", DE),
    "every character apart": (" ".join(DE), DE),
    "full stop": (f"{DE}.", DE),
    "brackets": (f"({DE})", DE),
    "Chinese around": (f"账号{DE}谢谢", DE),
    "mixed case": ("De89370400440532013000", DE),
}


@pytest.mark.parametrize(("text", "value"), HITS.values(), ids=HITS)
def test_found(text: str, value: str) -> None:
    assert [span.value for span in iban.find(text)] == [value]


MISSES = {
    "wrong check digits": "DE88 3704 0044 0532 0130 00",
    "wrong digit": "DE89 3704 0044 0532 0130 01",
    "two digits swapped": "DE89 3704 0044 0532 0103 00",
    "too short": "DE89 3704 0044 0532 0130 0",
    "one digit more": "DE89 3704 0044 0532 0130 000",
    "a letter more": f"{DE}und",
    "an underscore more": f"{DE}_1",
    "a letter before": f"X{DE}",
    "a digit before": f"1{DE}",
    "two spaces": "DE89  3704 0044 0532 0130 00",
    "line break": "DE89 3704 0044\n0532 0130 00",
    "dots": "DE89.3704.0044.0532.0130.00",
    "country without IBANs": "US64 3704 0044 0532 0130 00",
    "a letter where the country has digits": "DE68 3704 0044 0532 0130 0A",
    "words": "it 20 minutes later at the station of Bern",
}


@pytest.mark.parametrize("text", MISSES.values(), ids=MISSES)
def test_not_found(text: str) -> None:
    assert list(iban.find(text)) == []


def test_two_in_a_row() -> None:
    text = f"{REGISTRY[16]} {REGISTRY[27]}"
    assert [span.value for span in iban.find(text)] == [DE, "GB29NWBK60161331926819"]


def test_one_inside_another() -> None:
    bban = "ABCD 12345 NO93 8601 1117 947 0000"
    compact = bban.replace(" ", "")
    check = next(n for n in range(2, 99) if mod97(f"LC{n:02}{compact}"))
    assert [s.value for s in iban.find(f"LC{check:02} {bban}")] == [f"LC{check:02}{compact}"]


def test_letters_throughout_are_no_account() -> None:
    """Moldova's structure would allow it: without digits early on it is not looked at."""
    for bban, expected in (("ABCDEFGHIJKLMNOPQRST", 0), ("ABCDEFGHIJK12345OPQR", 1)):
        check = next(n for n in range(2, 99) if mod97(f"MD{n:02}{bban}"))
        assert len(list(iban.find(f"MD{check:02}{bban}"))) == expected


@pytest.mark.parametrize("text", ["", "secret", "DE88 3704 0044 0532 0130 00", f"{DE} {DE}"])
def test_canonicalize_refuses_without_an_echo(text: str) -> None:
    with pytest.raises(InputError) as caught:
        iban.canonicalize(text)
    assert not text or text not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(COMPACT),
    st.lists(st.sampled_from(["", " ", "-", "\u00a0", "\u202f"]), min_size=33, max_size=33),
    st.booleans(),
)
def test_any_grouping_and_case(compact: str, gaps: list[str], lower: bool) -> None:
    written = compact[0] + "".join(gap + c for gap, c in zip(gaps, compact[1:], strict=False))
    written = written.lower() if lower else written
    (span,) = iban.find(f"({written})")
    assert (span.start, span.end) == (1, 1 + len(written))
    assert iban.canonicalize(f" {written}\n") == span.value == compact


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(COMPACT), st.integers(2, 30), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(compact: str, at: int, by: int) -> None:
    """ISO 7064 MOD 97-10 detects every single substitution."""
    at = next(i for i in range(min(at, len(compact) - 1), -1, -1) if compact[i].isdigit())
    wrong = compact[:at] + str((int(compact[at]) + by) % 10) + compact[at + 1 :]
    assert not mod97(wrong)
    assert list(iban.find(wrong)) == []


HOSTILE = {
    "heads": "DE12 " * 100_000,
    "heads joined": "DE12DE12 " * 50_000,
    "nearly": "DE89 3704 0044 0532 0130 01 " * 10_000,
    "letters": "d " * 250_000,
    "a long account": "MT12ABCD12345" + "A" * 500_000,
    "a long account, apart": "MT12 " + "A " * 250_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_linear(text: str) -> None:
    """Half a million characters: anything quadratic would not come back."""
    assert list(iban.find(text)) == []
