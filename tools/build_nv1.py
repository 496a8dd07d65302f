"""Build the table of the normaliser nv1 from Python's Unicode data: ``python tools/build_nv1.py``.

The rules are explained in ``docs/nv1.md``. The table is shipped, so that a newer Unicode changes
nothing; running this under another version of Python may give another table, which would be nv2.
"""

from __future__ import annotations

import html.entities
import unicodedata
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "filter" / "data" / "nv1.txt"

VOICING = {0x3099, 0x309A}
"""Combining kana marks that make another syllable: they are letters here."""

VOWELS = {0, 84, 91, 103, 118, 129, 130, 132}
"""Combining classes of signs that spell: those without one, and vowels of Telugu, Thai, Lao, Tibetan."""

IGNORED = {0x034F, 0x0640, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
"""Fillers, the tatweel and the grapheme joiner: seen or not, they spell nothing."""

STROKED = dict(
    pair.split("=")
    for pair in (
        "ø=o đ=d ł=l ħ=h ŧ=t ð=d þ=th æ=ae œ=oe ŋ=n ĸ=k ı=i ə=e ǝ=e ɛ=e ɔ=o ƒ=f ɓ=b ɗ=d ɖ=d ƙ=k ɨ=i "
        "ʉ=u ƀ=b ɑ=a ɡ=g ɩ=i ɪ=i ʀ=r ʏ=y ʜ=h ɴ=n ʟ=l ɢ=g ʙ=b ᴀ=a ᴄ=c ᴅ=d ᴇ=e ᴊ=j ᴋ=k ᴍ=m ᴏ=o ᴘ=p ᴛ=t "
        "ᴜ=u ᴠ=v ᴡ=w ᴢ=z ꜰ=f ꜱ=s"
    ).split()
)
"""Latin letters that Unicode does not decompose, and small capitals."""

LOOKALIKES = dict(
    pair.split("=")
    for pair in (
        # Cyrillic
        "а=a в=b с=c ԁ=d е=e ҽ=e ԍ=g н=h һ=h і=i ӏ=l ј=j к=k м=m о=o р=p ԛ=q ѕ=s т=t ѵ=v ѡ=w ԝ=w х=x "
        "у=y ү=y "
        # Greek; the capitals of ν and υ look like others, see CAPITALS
        "α=a β=b ε=e ζ=z η=h ι=i ϳ=j κ=k μ=m ν=v ο=o ρ=p τ=t υ=u χ=x "
        # Armenian
        "օ=o ս=u հ=h ո=n զ=q ց=g "
        # Cherokee, whose case folding leads to the capitals
        "Ꭺ=a Ᏼ=b Ꮯ=c Ꭰ=d Ꭼ=e Ᏻ=g Ꮋ=h Ꭵ=i Ꭻ=j Ꮶ=k Ꮮ=l Ꮇ=m Ꮲ=p Ꭱ=r Ꮪ=s Ꭲ=t Ꮩ=v Ꮃ=w Ꭹ=y Ꮓ=z "
        # Lisu
        "ꓮ=a ꓐ=b ꓚ=c ꓓ=d ꓰ=e ꓝ=f ꓖ=g ꓧ=h ꓲ=i ꓙ=j ꓗ=k ꓡ=l ꓟ=m ꓠ=n ꓳ=o ꓑ=p ꓣ=r ꓢ=s ꓔ=t ꓴ=u ꓦ=v ꓪ=w "
        "ꓫ=x ꓬ=y ꓜ=z "
        # Coptic
        "ⲥ=c ⲏ=h ⲕ=k ⲓ=i ⲙ=m ⲛ=n ⲟ=o ⲣ=p ⲧ=t ⲭ=x ⲩ=y"
    ).split()
)
"""Letters of other scripts, case-folded, that look like a Latin one in a case (UTS #39, section 4:
single characters only). Digits are never folded."""

CAPITALS = {"Ν": "n", "Υ": "y"}
"""Greek capitals that look like another letter than the small ones; a bundle lists words in which
they occur in capitals too."""

SKELETON = {"‐": "-", "‑": "-", "−": "-", "•": "*", "·": ".", "‧": ".", "・": ".", "。": "."}
"""Separators that stand for an ASCII one and that NFKC leaves alone."""

IOTA_BELOW = "\u0345"
"""A mark that is a letter as soon as it is written in capitals, or case-folded."""

MORE_ENTITIES = (
    "NewLine Tab apos ast bsol colon comma commat dash dollar excl grave hyphen lbrace lowbar lpar "
    "lsqb num percnt period plus quest rbrace rpar rsqb semi sol verbar Abreve abreve Aogon aogon "
    "Cacute cacute Ccaron ccaron Dcaron dcaron Dstrok dstrok Ecaron ecaron Eogon eogon Gbreve gbreve "
    "Idot imath Lstrok lstrok Nacute nacute Ncaron ncaron Odblac odblac Rcaron rcaron Sacute sacute "
    "Scedil scedil Tcaron tcaron Udblac udblac Uring uring Zacute zacute Zcaron zcaron Zdot zdot"
).split()


def category(char: str) -> str:
    return unicodedata.category(char)


def letter(char: str) -> str:
    """What one decomposed, case-folded character becomes: a string, empty where it is dropped."""
    general = category(char)
    code = ord(char)
    if code in IGNORED or general == "Cf":
        return ""
    if general in {"Mn", "Mc", "Me"}:
        spells = code in VOICING or unicodedata.combining(char) in VOWELS
        return char if spells and general != "Me" else ""
    if general == "Nd":
        return str(unicodedata.digit(char))
    if (general[0] == "L" or general == "Nl") and not is_modifier(char):
        return STROKED.get(char) or LOOKALIKES.get(char) or char
    return ""


def is_modifier(char: str) -> bool:
    """Modifier letters that stand for apostrophes, stress and glottal stops."""
    return 0x02B0 <= ord(char) <= 0x02FF and unicodedata.normalize("NFKD", char) == char


def folded(char: str) -> str:
    once = "".join(CAPITALS.get(c, c) for c in unicodedata.normalize("NFKD", char)).casefold()
    return "".join(letter(c) for c in unicodedata.normalize("NFKD", once))


def is_ignored(char: str) -> bool:
    code = ord(char)
    variation = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180D
    if code in IGNORED or variation or category(char) == "Cf":
        return True
    if char == IOTA_BELOW:
        return False
    return category(char) in {"Mn", "Mc", "Me"} and letter(char) == ""


def is_spelling(char: str) -> bool:
    """Whether the character is a letter, a mark that spells, or a digit."""
    general = category(char)
    decomposed = unicodedata.normalize("NFKD", char)
    if is_modifier(char):
        return False
    if general[0] in "LM" or general == "Nd":
        return True
    plain = len(decomposed) == 1 and decomposed.isascii() and decomposed.isalnum()
    kind = unicodedata.decomposition(char).partition(" ")[0]
    # Roman numerals; letters and digits in circles and squares, but no superscripts (footnotes).
    return general == "Nl" or (
        general in {"So", "No"} and plain and kind not in {"<super>", "<sub>"}
    )


def skeleton(char: str) -> str:
    """The ASCII separator that this one stands for, or nothing."""
    if char in "\t\v\f\r":
        return " "
    if ord(char) < 0x80:
        return ""  # ASCII separators show themselves, controls nothing
    if char in SKELETON:
        return SKELETON[char]
    if category(char) == "Pd":
        return "" if char in "—―⸺⸻" else "-"  # these part words, they join none
    if category(char)[0] == "Z" or char == "\x85":
        return "\n" if char in "\u2028\u2029\x85" else " "
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() and not plain.isalnum() else ""


def entry(code: int) -> str | None:
    """The class of a code point, and what belongs to it; ``None`` for a separator without more."""
    char = chr(code)
    general = category(char)
    if 0xAC00 <= code <= 0xD7A3:
        return "hangul"
    if general in {"Cn", "Co", "Cs"}:
        ideographic = code >> 16 in {2, 3} and general == "Cn" and code & 0xFFFE != 0xFFFE
        return "keep" if ideographic else None
    if is_ignored(char):
        return "ignored"
    if is_spelling(char):
        result = folded(char)
        if result == char:
            return "keep"
        if result:
            return "fold " + " ".join(f"{ord(c):04X}" for c in result)
        return None
    plain = skeleton(char)
    return f"separator {ord(plain):04X}" if plain else None


def rows() -> list[str]:
    """Runs of neighbours of one class, folded ones one by one; what is not listed separates."""
    found: list[tuple[int, int, str]] = []
    for code in range(0x110000):
        what = entry(code)
        if what is None:
            continue
        if found and found[-1][1] == code - 1 and found[-1][2] == what and "fold" not in what:
            found[-1] = (found[-1][0], code, what)
        else:
            found.append((code, code, what))
    return [
        (f"{first:04X}" if first == last else f"{first:04X}..{last:04X}") + f" {what}"
        for first, last, what in found
    ]


def entities() -> list[str]:
    """HTML's named characters (HTML 4.01, section 24, and some of HTML 5 that hide delimiters)."""
    named = dict(html.entities.name2codepoint)
    for name in MORE_ENTITIES:
        named[name] = ord(html.entities.html5[f"{name};"])
    return [f"entity {name} {code:04X}" for name, code in sorted(named.items())]


def main() -> None:
    head = [
        "# nv1: how Lethe reads characters. See docs/nv1.md. Code points not listed are separators.",
        f"# Unicode {unicodedata.unidata_version}",
    ]
    TARGET.write_text("\n".join([*head, *rows(), *entities(), ""]), encoding="ascii")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
