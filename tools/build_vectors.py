"""Write the test vectors of nv1 and of phrases: ``python tools/build_vectors.py [FOLDER]``.

Texts and what must come of them are said by hand here; where the package disagrees, nothing is written.
The rest (letters, offsets, constants) is what the package gives. ``docs/nv1.md`` and
``docs/bundle-format.md`` say how to use the files. Every person is made up, every host is reserved.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter
from filter.bundle_file import unpack
from filter.errors import InputError
from filter.fuse import Fuse, FuseParameters, mix
from filter.identifiers import PHRASES
from filter.kdf import PROFILES
from filter.nv1 import letters, nv1
from filter.phrases import ANCHOR_OF, checkpoint, gram_length, phrase_key, secret, sums
from filter.reading import decode, read
from filter.release import freshness
from filter.variants import variants

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "vectors"
NOW = datetime(2026, 12, 1, tzinfo=UTC)

# Rule -> texts and their readings. "¦" is a separator that stands for nothing, NUL a break.
READINGS: dict[str, list[tuple[str, str]]] = {
    "case": [
        ("", ""),
        ("Jane DOE 42", "jane doe 42"),
        ("ÀÉÎÕÜ", "aeiou"),
        ("ΑΒΓ αβγ", "abγ abγ"),
        ("Ԁ ԁ Ꭺ ꭺ", "d d a a"),
        ("ᲐᲑ აბ", "აბ აბ"),
        ("ß ẞ", "ss ss"),
        ("İ I ı i", "i i i i"),
        ("ς σ Σ", "σ σ σ"),
    ],
    "marks": [
        ("Jürg Müller", "jurg muller"),
        ("Ju\u0308rg", "jurg"),
        ("u\u0308\u0301\u0323", "u"),
        ("Điện Biên Phủ", "dien bien phu"),
        ("Škoda Žižka Łódź", "skoda zizka lodz"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("أحمد آمنة مؤمن", "احمد امنة مومن"),
        ("й ё Ї", "и e i"),
        ("1\u20e3 a\u20dd", "1 a"),
        ("\u0301", ""),
    ],
    "marks that spell": [
        ("नमस्ते", "नमस\u0924\u0947"),
        ("हिंदी", "हिंदी"),
        ("สวัสดี", "สวัสดี"),
        ("தமிழ்", "தமிழ"),
        ("မြန်မာ", "မြနမာ"),
    ],
    "compatibility": [
        ("ﬁ ﬃ ﬆ", "fi ffi st"),
        ("Ｊａｎｅ　１２", "jane 12"),
        ("𝓙𝓪𝓷𝓮 𝕁𝕒𝕟𝕖 𝙹𝚊𝚗𝚎", "jane jane jane"),
        ("Ⓙⓐⓝⓔ 🅹🅰🅽🅴", "jane ¦¦¦¦"),
        ("Ⅷ ⅷ Ⅻ", "viii viii xii"),
        ("① ❶ ⑽", "1 ¦ ¦"),
        ("ª º", "a o"),
        ("ﷲ", "الله"),
        ("㍿ ㈱ ㎏", "¦ ¦ ¦"),
        ("ℋ ℕ K Å", "h n k a"),
    ],
    "digits": [
        ("0123456789", "0123456789"),
        ("٠١٢ ۳۴۵ ०१२ ๓๔", "012 345 012 34"),
        ("𝟎𝟗 𝟘𝟡 𝟬𝟵 𝟶𝟿 ０９", "09 09 09 09 09"),
        ("߁ 𞥑 ꩑", "1 1 1"),
        ("O0 l1 I1 S5 B8 Z2", "o0 l1 i1 s5 b8 z2"),
        ("З 3 б 6 Ч 4 ౦ 0", "з 3 б 6 ч 4 0 0"),
    ],
    "superscripts and fractions": [
        ("Müller² x³", "muller¦ x¦"),
        ("½ ¼ ₂ ⁵", "¦ ¦ ¦ ¦"),
        ("™ © № ℡", "¦ ¦ ¦ ¦"),
        ("aʰ bⁿ", "ah bn"),
    ],
    "letters that do not decompose": [
        ("Ærøskøbing œuvre", "aeroskobing oeuvre"),
        ("Đorđe Łukasz ħ ŧ", "dorde lukasz h t"),
        ("Þór Guðrún", "thor gudrun"),
        ("ŋ ĸ ə ɛ ɔ ƒ", "n k e e o f"),
        ("ɓ ɗ ƙ ɨ ʉ ɑ ɡ", "b d k i u a g"),
        ("ᴊᴀɴᴇ ꜱᴍɪᴛʜ", "jane smith"),
    ],
    "look-alikes: Cyrillic": [
        ("ВАСЯ вася", "bacя bacя"),
        ("раураl", "paypal"),
        ("Ѕаѕһа Ѵѡԝ", "sasha vww"),
        ("Петров Щука", "пetpob щyka"),
        ("ԛ ј ӏ ү ҽ", "q j l y e"),
    ],
    "look-alikes: Greek": [
        ("Παπαδάκης", "πaπaδakhσ"),
        ("ΝΙΚΟΣ Νίκος νίκος", "nikoσ nikoσ vikoσ"),
        ("Υ υ Ύ ύ", "y u y u"),
        ("Χ χ Ρ ρ Η η Μ μ µ", "x x p p h h m m m"),
        ("Ω ω Λ λ Δ δ", "ω ω λ λ δ δ"),
        ("ά ὰ ᾶ ᾳ", "a a a ai"),
    ],
    "look-alikes: other scripts": [
        ("Օս հո զց", "ou hn qg"),
        ("ᎪᏴᏟ Ꭰ Ꭵ", "abc d i"),
        ("ꓮꓐꓚ ꓡꓲꓢꓴ", "abc lisu"),
        ("ⲥⲏⲕ ⲟⲣ Ⲧ", "chk op t"),
    ],
    "no look-alikes": [
        ("rn m vv w cl d", "rn m vv w cl d"),
        ("ר ו ن ه", "ר ו ن ه"),
        ("日 曰 一 ー", "日 曰 一 ー"),
        ("ɐ ɯ ʇ ƨ", "ɐ ɯ ʇ ƨ"),
        ("🅰 ₐ ⁿ", "¦ a n"),
    ],
    "kana": [
        ("か が は ば ぱ", "か か\u3099 は は\u3099 は\u309a"),
        ("か\u3099 カ\u3099", "か\u3099 カ\u3099"),
        ("ガ ｶﾞ パ ﾊﾟ", "カ\u3099 カ\u3099 ハ\u309a ハ\u309a"),
        ("さとう サトウ", "さとう サトウ"),
        ("ラーメン ﾗｰﾒﾝ", "ラーメン ラーメン"),
        ("ゝ ゞ 々 〆", "ゝ ゝ\u3099 々 〆"),
        ("ッ っ ｯ", "ッ っ ッ"),
    ],
    "Hangul": [
        ("가", "\u1100\u1161"),
        ("각", "\u1100\u1161\u11a8"),
        ("힣", "\u1112\u1175\u11c2"),
        ("김철수", "\u1100\u1175\u11b7\u110e\u1165\u11af\u1109\u116e"),
        ("\u1100\u1175\u11b7", "\u1100\u1175\u11b7"),
        ("ㄱ ㅏ", "\u1100 \u1161"),
        ("ﾡ \uffc2", "\u1100 \u1161"),
    ],
    "Han": [
        ("王小明", "王小明"),
        ("王 小明", "王 小明"),
        ("\uf900 豈", "豈 豈"),
        ("⼀ ⺟", "¦ ¦"),
        ("\U00020000 \U0002fffd \U0003fffd", "\U00020000 \U0002fffd \U0003fffd"),
        ("\U0002fffe \U0002f800", "¦ 丽"),
        ("国 國", "国 國"),
    ],
    "other scripts": [
        ("أَبُو بَكْر", "ابو بكر"),
        ("ﻣﺤﻤﺪ", "محمد"),
        ("საქართველო", "საქართველო"),
        ("Հայաստան", "hայաuտան"),
        ("አማርኛ", "አማርኛ"),
        ("ភាសា", "ភាសា"),
        ("বাংলা", "বাংলা"),
        ("ᠮᠣᠩᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ"),
        ("𐐀 𐐨", "𐐨 𐐨"),
        ("𞤀𞤁 𞤢𞤣", "𞤢𞤣 𞤢𞤣"),
        ("ꯃꯤ ᱥ ⵜ", "ꯃꯤ ᱥ ⵜ"),
    ],
    "separators in ASCII": [
        ("!\"#$%&'()*+,-./", "!\"#$%&'()*+,-./"),
        (":;<=>?@[\\]^_`{|}~", ":;<=>?@[\\]^_`{|}~"),
        ("a b\tc\nd\re\x0bf\x0cg", "a b c\nd e f g"),
        ("\x00\x01\x1b\x7f", "¦¦¦¦"),
    ],
    "separators that stand for ASCII": [
        ("a\u00a0b\u2009c\u3000d\u202fe\u1680f", "a b c d e f"),
        ("a\u0085b\u2028c\u2029d", "a\nb\nc\nd"),
        ("–—‐‑‒―−﹣－", "-¦---¦---"),
        ("֊ 〜 〰", "- - -"),
        ("a＠b．c﹫d", "a@b.c@d"),
        ("· ‧ ・ 。 ． ﹒ •", ". . . . . . *"),
        ("（a）［b］｛c｝＜d＞", "(a)[b]{c}<d>"),
        ("，；：！？／＼｜＿", ",;:!?/\\|_"),
        ("\u037e \u2044 \u2024", "; ¦ ."),
        ("＃＄％＆＋＝～＾｀＊＂＇", "#$%&+=~^`*\"'"),
    ],
    "separators that stand for nothing": [
        ("“a” „b‟ «c» ‹d›", "¦a¦ ¦b¦ ¦c¦ ¦d¦"),
        ("’ ‘ ʼ ′ ʻ ʾ", "¦ ¦ ¦ ¦ ¦ ¦"),
        ("O’Neil Oʼneil", "o¦neil o¦neil"),
        ("€ £ § ° ± × ÷", "¦ ¦ ¦ ¦ ¦ ¦ ¦"),
        ("😀 👨‍👩‍👧 🇨🇭", "¦ ¦¦¦ ¦¦"),
        ("、 「 」 『 … ‥", "¦ ¦ ¦ ¦ ¦ ¦"),
        ("¨ ´ ¸ ˆ ˜", "¦ ¦ ¦ ¦ ¦"),
        ("\ufffd \ue000 \u0378", "¦ ¦ ¦"),
        ("a\ud800b", "a¦b"),
        ("\U0010ffff \U000e0080", "¦ ¦"),
    ],
    "ignored": [
        ("soft\u00adhyphen", "softhyphen"),
        ("ze\u200bro\u200c\u200dwi\u2060dth\ufeff", "zerowidth"),
        ("\u202ajane\u202c \u2066doe\u2069", "jane doe"),
        ("a\ufe0fb\U000e0100c\u180bd", "abcd"),
        ("محـــمد", "محمد"),
        ("a\u034fb\u115fc\u1160d\u3164e\uffa0f", "abcdef"),
        ("\U000e0041\U000e007fz", "z"),
        ("a\u0301\u200b\u0308b", "ab"),
        ("ka\u1cd0 \u0488", "ka "),
    ],
    "runs of ignored characters": [
        ("a" + "\u200b" * 16 + "b", "ab"),
        ("a" + "\u200b" * 17 + "b", "a\x00b"),
        ("a" + "\u200b" * 33 + "b", "a\x00b"),
        ("a" + "\u200b" * 34 + "b", "a\x00\x00b"),
        ("a" + "\u0301" * 17 + "b", "a\x00b"),
        ("\u00ad" * 17, "\x00"),
        ("\u00ad" * 16, ""),
        ("a" + ("\u200b" * 16 + "b") * 2, "abb"),
        ("a" + "\u200b" * 9 + " " + "\u200b" * 9 + "b", "a b"),
        ("a" + "&shy;" * 17 + "b", "a\x00b"),
        ("a" + "%CC%81" * 16 + "b", "ab"),
    ],
    "entities": [
        ("J&uuml;rg M&Uuml;LLER", "jurg muller"),
        ("jane&commat;example&period;org", "jane@example.org"),
        ("a&nbsp;b&NewLine;c&Tab;d", "a b\nc d"),
        ("&AElig;r&oslash; &szlig; &thorn;", "aero ss th"),
        ("&Lstrok;&oacute;d&zacute;", "lodz"),
        ("&lt;a&gt; &amp; &quot;b&quot;", '<a> & "b"'),
        ("&zwj;a&zwnj;b&shy;c", "abc"),
        ("&thetasym; &upsih;", "θ y"),
        ("&Nu;&nu; &Upsilon;&upsilon;", "nv yu"),
        ("&frac12; &sup2; &hellip;", "¦ ¦ ¦"),
    ],
    "numeric references": [
        ("&#74;&#97;&#110;&#101;", "jane"),
        ("&#x4A;&#X61;&#x006e;&#x65;", "jane"),
        ("&#64; &#x40; &#0000064;", "@ @ @"),
        ("&#x1F600; &#0; &#128;", "¦ ¦ ¦"),
        ("&#xFC;&#252;&#x10FFFF;", "uu¦"),
        ("&#44608;", "\u1100\u1175\u11b7"),
    ],
    "references that are none": [
        ("&nosuch; &uuml &;", "&nosuch; &uuml &;"),
        ("&#xD800; &#xDFFF;", "&#xd800; &#xdfff;"),
        ("&#1114112; &#x110000;", "&#1114112; &#x110000;"),
        ("&#00000064; &#x0000040;", "&#00000064; &#x0000040;"),
        ("&amp;#64; &amp;uuml;", "&#64; &uuml;"),
        ("&UUML; &Uuml;", "&uuml; u"),
        ("&#x; &#; &#xzz; & uuml;", "&#x; &#; &#xzz; & uuml;"),
        ("&verylongname; &a;", "&verylongname; &a;"),
        ("AT&T;", "at&t;"),
        ("&&uuml;;", "&u;"),
    ],
    "percent-encoding": [
        ("jane%40example%2Eorg", "jane@example.org"),
        ("%4A%61%6e%65", "jane"),
        ("M%C3%BCller m%c3%9Cller", "muller muller"),
        ("%E2%82%AC %E7%8E%8B %F0%9F%98%80", "¦ 王 ¦"),
        ("%EA%B9%80", "\u1100\u1175\u11b7"),
        ("a%20b%0Ac%00d", "a b\nc¦d"),
        ("%F4%8F%BF%BF %F0%90%80%80", "¦ 𐀀"),
        ("u%CC%88 %EF%BC%A1", "u a"),
    ],
    "percent-encoding that is none": [
        ("100% %zz %4 %", "100% %zz %4 %"),
        ("%C3 %C3%28 %E2%82", "%c3 %c3( %e2%82"),
        ("%ED%A0%80 %ED%BF%BF", "%ed%a0%80 %ed%bf%bf"),
        ("%C0%80 %C1%BF %E0%80%80", "%c0%80 %c1%bf %e0%80%80"),
        ("%F5%80%80%80 %F4%90%80%80 %F0%80%80%80", "%f5%80%80%80 %f4%90%80%80 %f0%80%80%80"),
        ("%80 %BF %FF", "%80 %bf %ff"),
        ("%2540 %25C3%25BC", "%40 %c3%bc"),
        ("%C3%C3%BC", "%c3u"),
    ],
    "bracketed words": [
        ("jane(at)example(dot)org", "jane@example.org"),
        ("jane [at] example [dot] org", "jane @ example . org"),
        ("jane{ AT }example( Punkt )org", "jane@example.org"),
        ("jane(arroba)a[punto]b(arobase)c{point}d(chiocciola)e", "jane@a.b@c.d@e"),
        ("(at] {dot)", "@ ."),
        ("(  at  )", "@"),
    ],
    "bracketed words that are none": [
        ("(   at) (at   )", "(   at) (at   )"),
        ("(atlas) (do) [dots] (a t)", "(atlas) (do) [dots] (a t)"),
        ("at dot <at> /at/", "at dot <at> /at/"),
        ("(at", "(at"),
        ("(\u00a0at) (\tat)", "( at) ( at)"),
        ("(&#97;t) &#40;at)", "(at) (at)"),
        ("((at)) (аt)", "(@) (at)"),
    ],
    "encodings one in another": [
        ("&#37;40 %26uuml;", "%40 &uuml;"),
        ("&lpar;at&rpar;", "(at)"),
        ("%28at%29", "(at)"),
        ("j&#97;ne%20d&ouml;%65", "jane doe"),
        ("&#x25;C3&#x25;BC", "%c3%bc"),
    ],
}


class Person(NamedTuple):
    """A made-up identifier that the bundle lists."""

    kind: str
    text: str


LISTED = [
    Person("name", "Jürg Müller"),
    Person("name", "Ann Lee"),
    Person("name", "Anna van Dam"),
    Person("name", "O’Neil, Siobhán"),
    Person("name", "Øystein Ærøskøbing"),
    Person("name", "Νίκος Παπαδάκης"),
    Person("name", "Анна Петрова"),
    Person("name", "王小明"),
    Person("name", "山田花子"),
    Person("name", "さくら がくと"),
    Person("name", "김철수"),
    Person("name", "محمد الصالحي"),
    Person("name", "דוד לבנוני"),
    Person("name", "สมชาย ใจดี"),
    Person("name", "अनिता वर्मा"),
    Person("name", "გიორგი ბერიძე"),
    Person("name", "Արամ Սարգսյան"),
    Person("name", "አበበ በቀለች"),
    Person("handle", "@jane_doe"),
    Person("handle", "@小明明"),
    Person("handle", "u/lethe-fan"),
    Person("postal_address", "Seestrasse 5, 8001 Zürich"),
    Person("postal_address", "12 Nowhere Lane, Exampleton"),
    Person("postal_address", "東京都架空区一丁目2番"),
    Person("url", "https://www.people.example/jane-doe"),
    Person("url", "http://xn--bcher-kva.example/über-mich"),
    Person("text", "kein Wort davon ist wahr"),
    Person("text", "她在河边等了一整夜"),
    Person("text", "the grey heron of Oberlinden flies only at night"),
]

N, H, A, U, T = (
    "[name removed]",
    "[handle removed]",
    "[postal address removed]",
    "[url removed]",
    "[text removed]",
)
REDACTED: list[tuple[str, str]] = [
    ("", ""),
    ("Nobody is named here.", "Nobody is named here."),
    ("Jürg Müller", N),
    ("Ask Jürg Müller, please.", f"Ask {N}, please."),
    ("JÜRG MÜLLER is jurg muller or Ju\u0308rg Mu\u0308ller", f"{N} is {N} or {N}"),
    ("Müller Jürg and Müller, Jürg", f"{N} and {N}"),
    ("Juerg Mueller", N),
    ("Jürg Müllers Velo", f"{N} Velo"),
    ("J-ü-r-g M.ü.l.l.e.r", N),
    ("J&uuml;rg%20M%C3%BCller", N),
    ("Jü\u200brg Mü\u00adller!", f"{N}!"),
    ("Jürg" + "\u200b" * 17 + "Müller", "Jürg" + "\u200b" * 17 + "Müller"),
    ("Jürg" + " " * 12 + "Müller", N),
    ("Jürg" + " " * 13 + "Müller", "Jürg" + " " * 13 + "Müller"),
    ("Јürg Мüller", N),
    ("Jürg Müllerin", "Jürg Müllerin"),
    ("Hansjürg Müller", "Hansjürg Müller"),
    ("Jürg Müller2", "Jürg Müller2"),
    ("😀Jürg Müller😀", f"😀{N}😀"),
    ("Jürg Müller und Ann Lee.", f"{N} und {N}."),
    ("Jürg Müller Jürg, Jürg Müller; Jürg", f"{N}, {N}"),
    ("Jürg Jürg Müller", f"Jürg {N}"),
    ("Ann Leeds", "Ann Leeds"),
    ("Joann Lee", "Joann Lee"),
    ("Lee, Ann", N),
    ("van Dam Anna", N),
    ("Siobhan O'Neil", N),
    ("Siobhán ONeil", N),
    ("Oystein Aeroskobing", N),
    ("Νίκος Παπαδάκης", N),
    ("ΝΙΚΟΣ ΠΑΠΑΔΑΚΗΣ", N),
    ("Nikos Papadakis", N),
    ("Анна Петрова, Анны Петровы", f"{N}, {N}"),
    ("Anna Petrova", N),
    ("我是王小明。", f"我是{N}。"),
    ("王小明 wang", f"{N} wang"),
    ("王小 明", N),
    ("王小红", "王小红"),
    ("山田花子さん", f"{N}さん"),
    ("さくらがくと", N),
    ("さくらかくと", "さくらかくと"),
    ("김철수는 왔다", f"{N}는 왔다"),
    ("김철순", "김철순"),
    ("مُحَمَّد الصالحي", N),
    ("والمحمد الصالحي", "والمحمد الصالحي"),
    ("דוד לבנוני", N),
    ("คุณสมชาย ใจดีมา", f"คุณ{N}มา"),
    ("अनिता वर्मा", N),
    ("გიორგი ბერიძე", N),
    ("Արամ Սարգսյան", N),
    ("ԱՐԱՄ ՍԱՐԳՍՅԱՆ", N),
    ("አበበ በቀለች", N),
    ("write to @jane_doe now", f"write to @{H} now"),
    ("x.example/jane_doe", f"x.example/{H}"),
    ("jane_doe", "jane_doe"),
    ("@ jane doe", f"@ {H}"),
    ("@jane_doe99", f"@{H}99"),
    ("@小明明好", f"@{H}好"),
    ("@u/lethe-fan", f"@{H}"),
    ("Seestrasse 5, 8001 Zürich", A),
    ("Seestr. 5, 8001 Zürich", A),
    ("SEESTRASSE 5 8001 ZUERICH", A),
    ("Seestrasse 5, 8001 Zürich-West", f"{A}-West"),
    ("Seestrasse 55, 8001 Zürich", "Seestrasse 55, 8001 Zürich"),
    ("112 Nowhere Lane, Exampleton", "112 Nowhere Lane, Exampleton"),
    ("No 12 Nowhere Lane, Exampleton", f"No {A}"),
    ("x12 Nowhere Lane, Exampleton", f"x{A}"),
    ("東京都架空区一丁目2番", A),
    ("see people.example/jane-doe.", f"see {U}."),
    ("https://www.people.example/jane-doe?x=1", f"https://www.{U}?x=1"),
    ("kein Wort davon ist wahr", T),
    ("keinwortdavonistwahrscheinlich", f"{T}scheinlich"),
    ("kein Wort davon ist war", "kein Wort davon ist war"),
    ("她在河边等了一整夜，", f"{T}，"),
    (
        "the grey heron of Oberlinden flies only at night, Ann Lee said",
        f"{T}, {N} said",
    ),
    ("Mnemosyne Kanarienvogel drank from the river Lethe", T),
    ("Mnemosyne Kanarienvogel drank from the river", f"{N} drank from the river"),
    ("Kanarienvogelgasse 99, 9999 Lethe", A),
    ("Kanarienvogelgasse 99, 99991 Lethe", "Kanarienvogelgasse 99, 99991 Lethe"),
]
"""Texts and what is left of them when phrases alone are looked for."""

MOMENTS = [
    ("2027-04-02", "2027-02-01T23:59:59Z", "valid"),
    ("2027-04-02", "2027-02-02T00:00:00Z", "expiring"),
    ("2027-04-02", "2027-04-02T23:59:59Z", "expiring"),
    ("2027-04-02", "2027-04-03T00:00:00Z", "expired"),
    ("2027-04-02", "2027-05-03T09:59:59Z", "expired"),
    ("2027-04-02", "2027-05-03T10:00:00Z", "refused"),
    ("2027-10-02", "2027-11-02T09:59:59Z", "expired"),
    ("2027-10-02", "2027-11-02T10:00:00Z", "refused"),
]
"""Last day, moment, how the one stands to the other. 2 and 3 May 2027 are Sunday and Monday."""


class WrongVector(InputError):
    """The package does not give what a vector says."""


def agree(text: str, wanted: object, found: object) -> None:
    """Raise where the package disagrees with what is said by hand."""
    if wanted != found:
        raise WrongVector(f"{text!r} gives {found!r}, not {wanted!r}: correct one of them.")


def readings() -> dict[str, Any]:
    """The vectors of nv1."""
    rows = []
    for rule, pairs in READINGS.items():
        for text, shown in pairs:
            reading = read(text)
            agree(text, shown, reading.text())
            starts = [reading.span(at, at)[0] for at in range(len(shown))]
            row = {"rule": rule, "text": text, "reading": shown, "letters": letters(shown)}
            rows.append(row | {"decoded": decode(text).text, "starts": starts})
    return {"normaliser": {"name": "nv1", "sha256": nv1().digest}, "vectors": rows}


def example_bundle() -> Bundle:
    """The bundle of the persons above."""
    people = [Identifier(IdentifierKind(kind), text) for kind, text in LISTED]
    return Bundle.build(people, release="2026.2.0", kdf="testing", family="example")


def redactions(bundle: Bundle) -> list[dict[str, Any]]:
    """Texts, what is left of them, and where something was removed."""
    policy = FilterPolicy(kinds=frozenset(PHRASES))
    rows = []
    for text, wanted in REDACTED:
        found = OutputFilter(bundle, policy).redact(text)
        agree(text, wanted, found.text)
        matches = [
            {"start": m.start, "end": m.end, "kind": m.kind, "reason": m.reason}
            for m in found.matches
        ]
        rows.append({"text": text, "redacted": found.text, "matches": matches})
    return rows


def listed_phrases() -> list[dict[str, Any]]:
    """Every listed phrase with the letters of its variants."""
    return [
        {"kind": kind, "text": text, "letters": list(variants(IdentifierKind(kind), text))}
        for kind, text in LISTED
    ]


def arithmetic(bundle: Bundle) -> dict[str, Any]:
    """Intermediate results, for whoever writes a reader step by step."""
    key = phrase_key(bundle.salt)
    words = ["jurgmuller", "王小明", "\u1100\u1175\u11b7\u110e\u1165\u11af\u1109\u116e"]
    maps = bundle.manifest["phrases"]["maps"]
    arrays = unpack(memoryview(bundle.to_bytes()), "The bundle")[1]
    return {
        "phrase_key": key._asdict(),
        "mix": [{"x": x, "mixed": mix(x)} for x in (0, 1, 0x9E3779B9, 0x7FFFFFFF, 0xFFFFFFFF)],
        "sums": [{"letters": word, "sums": sums(key, word)} for word in words],
        "gram_length": [{"letter": c, "gram": gram_length(ord(c))} for c in "aя王が\u1100ก々〇ꀀ"],
        "checkpoint": [
            {"length": n, "gram": g, "checkpoint": checkpoint(n, g)}
            for g in (6, 3)
            for n in (g, g + 1, g + 2, g + 3, 2 * g + 4, 2 * g + 5, 41, 128)
        ],
        "fuse": [
            {
                "map": name,
                "x": x,
                "y": y,
                "value": Fuse(FuseParameters(**about), arrays[name]).get(x, y),
            }
            for name, about in maps.items()
            for x, y in ((0, 0), (1, 2), (0xDEADBEEF, 0xCAFEBABE), (0xFFFFFFFF, 0xFFFFFFFF))
        ],
        "slow_hash": [
            {
                "profile": name,
                "algorithm": kdf.algorithm,
                "memory": kdf.memory_kib,
                "passes": kdf.passes,
                "parallelism": kdf.lanes,
                "secret": text,
                "hash": kdf.hash(bundle.salt, text),
            }
            for name, kdf in PROFILES.items()
            for text in (
                "email\0janedoe@exampleorg",
                secret(ANCHOR_OF[IdentifierKind.NAME], "jurgmuller"),
                secret(ANCHOR_OF[IdentifierKind.HANDLE], "小明明"),
            )
        ],
        "freshness": [
            {
                "valid_until": last,
                "now": moment,
                "state": freshness(date.fromisoformat(last), datetime.fromisoformat(moment)),
            }
            for last, moment, _ in MOMENTS
        ],
    }


def pretty(value: dict[str, Any]) -> str:
    """JSON in ASCII, every item of an outer list on a line of its own."""
    parts = []
    for name, item in value.items():
        if isinstance(item, list):
            lines = ",\n".join(f"  {json.dumps(one)}" for one in item)
            text = f"[\n{lines}\n ]"
        else:
            text = json.dumps(item)
        parts.append(f' "{name}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the test vectors of nv1 and of phrases.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    bundle = example_bundle()
    about = {
        "bundle": "bundle.safetensors",
        "now": NOW.isoformat().replace("+00:00", "Z"),
    }
    steps = arithmetic(bundle)
    for (last, moment, state), row in zip(MOMENTS, steps["freshness"], strict=True):
        agree(f"{last} at {moment}", state, str(row["state"]))
    files = {
        "nv1.json": pretty(readings()).encode("ascii"),
        "phrases.json": pretty(
            about | steps | {"phrases": listed_phrases(), "redactions": redactions(bundle)}
        ).encode("ascii"),
        "bundle.safetensors": bundle.to_bytes(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, octets in files.items():
        (folder / name).write_bytes(octets)
        print(f"{folder / name}: {len(octets)} bytes")


if __name__ == "__main__":
    main()
