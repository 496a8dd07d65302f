"""The normaliser, against rules written down elsewhere and against itself."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter import reading
from filter.nv1 import BREAK, OTHER, SEPARATORS, fold, nv1, read

ROOT = Path(__file__).resolve().parents[2]

FOLDED = [
    ("Jürg MÜLLER", "jurgmuller"),
    ("J\u0075\u0308rg", "jurg"),
    ("Straße", "strasse"),
    ("Ærøskøbing", "aeroskobing"),
    ("Łódź", "lodz"),
    ("İstanbul ıI", "istanbulii"),
    ("ﬃ ﬁ", "ffifi"),
    ("Ｆｕｌｌ　Ｗｉｄｔｈ １２", "fullwidth12"),
    ("٣٤ १२ 𝟗", "34129"),
    ("𝓕𝓪𝓷𝓬𝔂 Ⓒⓘⓡⓒⓛⓔ ①", "fancycircle1"),
    ("ꜱᴍᴀʟʟ", "small"),
    ("soft\u00adhyphen zero\u200bwidth", "softhyphenzerowidth"),
    ("ВАСЯ", "bacя"),
    ("paypаl", "paypal"),
    ("Ζeus Νina Υves", "zeusninayves"),
    ("νυ", "vu"),
    ("ガ", "カ\u3099"),
    ("ｶﾞ", "カ\u3099"),
    ("김", "\u1100\u1175\u11b7"),
    ("שָׁלוֹם", "שלום"),
    ("مُحَمَّد ـــ", "محمد"),
    ("Müller² ½ ™ №", "muller"),
    ("O’Neil Oʼneil", "oneiloneil"),
    ("王小明", "王小明"),
    ("一〇一", "一〇一"),
    ("กุ้ง บู", "กุงบู"),
    ("\U00020000", "\U00020000"),
]


@pytest.mark.parametrize(("text", "letters"), FOLDED)
def test_folding(text: str, letters: str) -> None:
    assert fold(text) == letters


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a＠b．c", "a@b.c"),
        ("a\u00a0b\u2009c\td\r\n", "a b c d \n"),
        ("a–b—c‐d−e", f"a-b{OTHER}c-d-e"),
        ("（a）", "(a)"),
        ("a“b”€", f"a{OTHER}b{OTHER}{OTHER}"),
        ("\x00", OTHER),
        ("1\u20e3", "1"),
    ],
)
def test_separators(text: str, shown: str) -> None:
    assert read(text) == shown


def test_digits_are_never_looked_alike() -> None:
    assert fold("0O 1lI 5S") == "0o1li5s"
    assert fold("З Ӡ б") != fold("336")


@given(st.text())
def test_reading_twice_changes_nothing(text: str) -> None:
    once = read(text)
    assert read(once) == once


@given(st.text())
def test_a_reading_holds_letters_and_known_separators(text: str) -> None:
    for char in read(text):
        assert (
            char in SEPARATORS
            or unicodedata.category(char)[0] in "LMN"
            or ord(char) >= 0x20000  # ideographs to come
        )


@given(st.text())
@example("ᾳ ᾼ ὖ ᾧ")
def test_case_and_composition_do_not_matter(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert fold(composed) == fold(unicodedata.normalize("NFD", composed))


def test_every_pair_of_cases_but_two_folds_alike() -> None:
    """Greek Ν and Υ look like N and Y, ν and υ like v and u; their words are listed in both."""
    different = {
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) == "Lu" and len(c.lower()) == 1 and fold(c) != fold(c.lower())
    }
    assert {unicodedata.normalize("NFD", c)[0] for c in different} == {"Ν", "Υ"}


def test_the_table_is_what_the_script_builds(tmp_path: Path) -> None:
    if unicodedata.unidata_version != "14.0.0":
        pytest.skip("this Python has another Unicode than the table was made with")
    code = (
        "import sys, pathlib; sys.path.insert(0, 'tools'); import build_nv1 as b; "
        f"b.TARGET = pathlib.Path({str(tmp_path / 'nv1.txt')!r}); b.main()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "nv1.txt").read_bytes() == (ROOT / "filter/data/nv1.txt").read_bytes()


@given(
    st.text(st.characters(codec=None))
    | st.text("aü&#6;%C3BC@(at) [dot]김ﬃ\u200b\u0301ß", max_size=60)
)
def test_arrays_read_as_the_table_does(text: str) -> None:
    """The vectorised reading against `str.translate`, with offsets that lead back."""
    whole = reading.read(text)
    decoded = reading.decode(text).text
    assert whole.text().replace(BREAK, "") == decoded.translate(nv1().table)
    assert len(whole.codes) == len(whole.text())
    last = 0
    for at in range(len(whole.codes)):
        start, end = whole.span(at, at)
        assert last <= start < end <= len(text)
        last = start


DECODED = [
    ("&#64;&#x40;&commat;", "@@@"),
    ("J&uuml;rg&nbsp;M&Uuml;ller", "Jürg\xa0MÜller"),
    ("&nosuch; &#xD800; &#1114112; &; &amp", "&nosuch; &#xD800; &#1114112; &; &amp"),
    ("&amp;#64;", "&#64;"),
    ("a%40b%2Ec", "a@b.c"),
    ("%C3%BC %E2%82%AC %F0%9F%98%80", "ü € 😀"),
    (
        "%C3 %C3%28 %E2%82 %ED%A0%80 %F5%80%80%80 %zz 100%",
        "%C3 %C3( %E2%82 %ED%A0%80 %F5%80%80%80 %zz 100%",
    ),
    ("jane (at) example [dot] org", "jane @ example . org"),
    ("jane{AT}example(Punkt)org", "jane@example.org"),
    ("(atlas) (do) [dots]", "(atlas) (do) [dots]"),
    ("(arobaſe) (chıocciola)", "(arobaſe) (chıocciola)"),
]


@pytest.mark.parametrize(("text", "decoded"), DECODED)
def test_decoding(text: str, decoded: str) -> None:
    assert reading.decode(text).text == decoded


@given(st.text("&#x6;4%C3BCa(t)[do] {pun}k;", max_size=30), st.integers(0, 30))
def test_what_is_unfinished_is_held(text: str, at: int) -> None:
    """Whatever could become an encoded character is recognised as such at the end of a piece."""
    head = text[:at]
    for match in reading.encoded().finditer(text):
        if match.start() < len(head) < match.end():
            tail = reading.unfinished().search(head)
            assert tail is not None
            assert tail.start() <= match.start()


def test_ignored_runs_break() -> None:
    assert reading.read("a" + "\u200b" * 16 + "b").text() == "ab"
    assert reading.read("a" + "\u200b" * 17 + "b").text() == f"a{BREAK}b"
    assert reading.read("a" + "\u200b" * 34 + "b").text() == f"a{BREAK}{BREAK}b"
