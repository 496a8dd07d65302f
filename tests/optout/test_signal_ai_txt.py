"""ai.txt in the format of Spawning's generator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableSource
from pipeline.optout.rules import Rule, RuleSet
from pipeline.optout.signals import MAX_OCTETS, ai_txt

# What the generator writes for each medium.
TEXT = "txt pdf doc docx odt rtf tex wks wpd wps html"
OTHER = (
    "bmp gif ico jpeg jpg png svg tif tiff webp aac aiff amr flac m4a mp3 oga opus wav wma "
    "mp4 webm ogg avi mov wmv flv mkv py js java c cpp cs h css php swift go rb pl sh sql"
)


def generated(*extensions: str) -> str:
    head = (
        "# Spawning AI\n# Prevent datasets from using the following file types\n\nUser-Agent: *\n"
    )
    return head + "".join(f"Disallow: *.{e}\n" for e in extensions)


FILES = {
    "everything": (generated() + "Disallow: /\nDisallow: *\n", (Rule("/", False, 5),)),
    "all types, then the site": (
        generated(*TEXT.split(), *OTHER.split()) + "Disallow: /\nDisallow: *\n",
        (Rule("/", False, 5),),
    ),
    "texts": (generated(*TEXT.split()), (Rule("/", False, 5),)),
    "everything but texts": (generated(*OTHER.split()), ()),
    "a path": ("User-Agent: *\nDisallow: /art/\n", (Rule("/art/", False, 2),)),
    "a path below types of other media": (
        "User-Agent: *\nDisallow: *.jpg\nDisallow: /blog/\nAllow: /blog/open/\n",
        (Rule("/blog/open/", True, 4), Rule("/blog/", False, 3)),
    ),
    "texts refused beside an allowed site": (
        "User-Agent: *\nAllow: /\nDisallow: *.txt\n",
        (Rule("/", False, 3),),
    ),
    "texts refused but for a path": (
        "User-Agent: *\nAllow: /press/\nDisallow: *.txt\n",
        (Rule("/press/", True, 2), Rule("/", False, 3)),
    ),
    "all allowed": ("User-Agent: *\nAllow: /\n", (Rule("/", True, 2),)),
    "texts allowed, images not": (
        "User-Agent: *\nAllow: *.html\nDisallow: *.png\n",
        (Rule("/", True, 2),),
    ),
    "nothing disallowed": ("User-Agent: *\nDisallow:\n", ()),
    "media by their names": (
        "User-Agent: *\nDisallow: images\nDisallow: Text\nAllow: video\n",
        (Rule("/", False, 3),),
    ),
    "other media by their names": ("User-Agent: *\nDisallow: images\nDisallow: audio\n", ()),
    "types with slash and anchor": ("User-Agent: *\nDisallow: /*.pdf$\n", (Rule("/", False, 2),)),
    "a type without star": ("User-Agent: *\nDisallow: .HTML\n", (Rule("/", False, 2),)),
    "a hidden folder is no type": ("User-Agent: *\nDisallow: /.txt\n", (Rule("/.txt", False, 2),)),
    "a type below a path is a path": (
        "User-Agent: *\nDisallow: /docs/*.pdf\n",
        (Rule("/docs/*.pdf", False, 2),),
    ),
    # RFC 9309, 2.2.1: groups
    "named agents are not everybody": ("User-Agent: GPTBot\nDisallow: /\n", ()),
    "several agents of a group": (
        "User-Agent: GPTBot\nUser-Agent: *\nDisallow: /\n",
        (Rule("/", False, 3),),
    ),
    "several agents of a group, the other way": (
        "User-Agent: *\nUser-Agent: GPTBot\nDisallow: /\n",
        (Rule("/", False, 3),),
    ),
    "only the group of everybody": (
        "User-Agent: *\nDisallow: /a\n\nUser-Agent: GPTBot\nDisallow: /\n",
        (Rule("/a", False, 2),),
    ),
    "two groups of everybody": (
        "User-Agent: *\nDisallow: /a\nUser-Agent: *\nDisallow: /bb\n",
        (Rule("/bb", False, 4), Rule("/a", False, 2)),
    ),
    "no agent at all": ("Disallow: /\n", (Rule("/", False, 1),)),
    "case, blanks, comments, other lines": (
        "  USER-AGENT :  *  # all\nSitemap: https://example.org/training.xml\ndisallow:/  # all\n",
        (Rule("/", False, 3),),
    ),
    "an address with the word": (
        "User-Agent: *\nContact: training@example.org\nDisallow: /a\n",
        (Rule("/a", False, 3),),
    ),
    "carriage returns": (
        "User-Agent: *\rDisallow: /a\r\nDisallow: /bb",
        (Rule("/bb", False, 3), Rule("/a", False, 2)),
    ),
    "outside of ASCII": ("User-Agent: *\nDisallow: /é\n", (Rule("/%C3%A9", False, 2),)),
    "empty": ("", ()),
    "blank": ("\n\n", ()),
    "an HTML page": ("<!DOCTYPE html><html></html>", ()),
}

BROKEN = {
    "prose": "We do not want our texts to be used for AI.",
    "comments only": "# No training please\n",
    "Markdown": "# ai.txt\n\n## Not allowed\n\n- training of language models\n",
    "prose beside rules": "User-Agent: *\nAllow: /\nPlease do not train on our texts\n",
    "a field of another format": "User-Agent: *\nAllow: /\nAllow-Training: no\n",
    "a value of another format": "User-Agent: *\nAllow: /\nPermission: deny-training\n",
    "another vocabulary": "User-Agent: *\nAllow: /\nContent-Usage: train-ai=n\n",
    "a use instead of a path": "User-Agent: *\nDisallow: train-ai\n",
    "fields without rules": "User-Agent: *\nContact: mail@example.org\n",
    "JSON": '{"training": false}',
    "too large": "User-Agent: *\nDisallow: /\n" + "#" * MAX_OCTETS,
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES)
def test_a_file(text: str, expected: tuple[Rule, ...]) -> None:
    assert ai_txt.file_rules(text.encode()) == expected


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"], ids=["utf-8", "utf-16"])
def test_byte_order_marks(mark: bytes) -> None:
    text = "User-Agent: *\nDisallow: /a\n"
    body = mark + text.encode("utf-8" if len(mark) == 3 else "utf-16-le")
    assert ai_txt.file_rules(body) == (Rule("/a", False, 2),)


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_understood_is_no_permission(text: str) -> None:
    with pytest.raises(UnreadableSource, match=r"^ai\.txt .*opt-out list\.$"):
        ai_txt.file_rules(text.encode())


@pytest.mark.parametrize("extension", TEXT.split())
def test_each_text_type_refuses_texts_whatever_the_address(extension: str) -> None:
    rules = RuleSet(ai_txt.file_rules(generated(extension).encode()))
    assert rules.refuses("/article/1") is not None


@pytest.mark.parametrize("extension", [*OTHER.split(), "txtx", "xtxt", "pdfs"])
def test_no_other_type_has_a_bearing_on_texts(extension: str) -> None:
    assert ai_txt.file_rules(generated(extension).encode()) == ()


@given(st.text("uU*:/ \nADdisalow.txt#-é", max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_rules_or_one_sentence(text: str) -> None:
    try:
        said = repr(ai_txt.file_rules(text.encode()))
    except UnreadableSource as error:
        said = str(error)
    assert said.endswith((")", "opt-out list."))


@pytest.mark.parametrize(
    "text",
    ["User-Agent: *\n" + "Disallow: /a\n" * 70_000, "User-Agent: *\n" * 70_000 + "Disallow: /a"],
    ids=["rules", "agents"],
)
def test_large_files_cost_linear_time(text: str) -> None:
    assert [r.pattern for r in ai_txt.file_rules(text.encode())] == ["/a"]


def test_a_long_line_costs_linear_time() -> None:
    with pytest.raises(UnreadableSource, match="prose in line 3"):
        ai_txt.file_rules(b"User-Agent: *\nDisallow: /a\n" + b"a " * 500_000 + b":")


SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "optouts.jsonl"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared real files are not here")
def test_the_real_file_is_prose() -> None:
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    real = [r["content"].encode() for r in rows if r["kind"] == "ai.txt"]
    assert len(real) == 1
    with pytest.raises(UnreadableSource):
        ai_txt.file_rules(real[0])
