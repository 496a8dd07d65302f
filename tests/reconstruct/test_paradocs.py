"""Sentence pairs of ParaDocs become documents."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from apertus_samples import paradocs_file, paradocs_line
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.paradocs import FIELDS, SCHEMA, Settings, documents, prepare, sources

Sentence = tuple[str, str]


def run_on(*sentences: Sentence, first: int = 0, **other: object) -> list[str]:
    """Lines of sentences that follow each other, a blank between them."""
    at, lines = first, []
    for src, tgt in sentences:
        line = paradocs_line(src, tgt, at, **other)
        lines.append(line)
        at += max(len(src), len(tgt)) + 1
    return lines


def with_end(line: str, end: int) -> str:
    """The same line with both sides ending at another character."""
    fields = line.split("\t")
    for name in ("src_end_index", "tgt_end_index"):
        fields[FIELDS.index(name)] = str(end)
    return "\t".join(fields)


def chained(*sentences: Sentence, **other: object) -> list[str]:
    """Lines each of which begins one character behind the end of the last."""
    return [
        with_end(paradocs_line(src, tgt, 11 * n, **other), 11 * n + 10)
        for n, (src, tgt) in enumerate(sentences)
    ]


def texts(
    lines: list[str], languages: str = "en-de", level: str = "strict", **chosen: Any
) -> list[str]:
    return [str(row["text"]) for row in rows(lines, languages, level, **chosen)]


def rows(
    lines: list[str], languages: str = "en-de", level: str = "strict", **chosen: Any
) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        paradocs_file(Path(folder), f"{languages}/{level}/000.gz", lines)
        (source,) = sources(Path(folder))
        return list(documents(source, Settings(**chosen), lambda _: None))


TWO = chained(("Good morning.", "Guten Morgen."), ("It rains.", "Es regnet."))


def test_sentences_of_a_paragraph_are_one_document_in_each_direction() -> None:
    assert rows(TWO) == [
        {
            "text": "en: Good morning. It rains.\nde: Guten Morgen. Es regnet.",
            "id": "en-de/strict/000/0/en-de", "languages": "en-de", "collection": "test",
            "src_docid": "page-1", "tgt_docid": "seite-1", "sentences": 2,
        },
        {
            "text": "de: Guten Morgen. Es regnet.\nen: Good morning. It rains.",
            "id": "en-de/strict/000/0/de-en", "languages": "de-en", "collection": "test",
            "src_docid": "page-1", "tgt_docid": "seite-1", "sentences": 2,
        },
    ]  # fmt: skip


def second(**other: object) -> list[str]:
    """The first line of `TWO`, and the second one with other fields."""
    fields = dict(zip(FIELDS, TWO[1].split("\t"), strict=True)) | {
        k: str(v) for k, v in other.items()
    }
    return [TWO[0], "\t".join(fields.values())]


@pytest.mark.parametrize(
    ("other", "blocks"),
    [
        ({}, 1),
        ({"src_start_index": 12}, 1),
        ({"src_start_index": 13}, 2),
        ({"tgt_start_index": 12}, 1),
        ({"tgt_start_index": 13}, 2),
        ({"src_docid": "page-2"}, 2),
        ({"tgt_docid": "seite-2"}, 2),
        ({"src_paragraph_id": 1}, 2),
        ({"tgt_paragraph_id": 1}, 1),
        ({"frequency": 3}, 1),
        ({"frequency": 4}, "dropped"),
        ({"src_language_id": 0.5}, 1),
        ({"src_language_id": 0.499}, "dropped"),
        ({"tgt_language_id": 0.499}, "dropped"),
        ({"tgt_language_id": "nan"}, "dropped"),
        ({"src_language_id": "nan"}, "dropped"),
        ({"src": " "}, "dropped"),
        ({"tgt": ""}, "dropped"),
        ({"src_start_index": "None"}, "dropped"),
        ({"tgt_end_index": ""}, "dropped"),
        ({"frequency": "often"}, "dropped"),
        ({"src_paragraph_id": "None"}, "dropped"),
        ({"similarity_one": "None"}, 1),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value),
)  # fmt: skip
def test_what_breaks_a_document(other: dict[str, object], blocks: int | str) -> None:
    found = rows(second(**other))
    if blocks == "dropped":
        assert [row["text"] for row in found][:1] == ["en: Good morning.\nde: Guten Morgen."]
        assert len(found) == 2
    else:
        assert len(found) == 2 * int(blocks)
        assert sum(row["sentences"] for row in found) == 4


def test_a_line_that_is_dropped_breaks_a_document_in_two() -> None:
    lines = chained(("A.", "a."), ("B.", "b."), ("C.", "c."))
    often = lines[1].split("\t")
    often[FIELDS.index("frequency")] = "4"
    found = texts([lines[0], "\t".join(often), lines[2]])
    assert found == ["en: A.\nde: a.", "de: a.\nen: A.", "en: C.\nde: c.", "de: c.\nen: C."]


@pytest.mark.parametrize(("longest", "blocks"), [(40, 1), (39, 2), (1, 2)])
def test_no_document_is_longer_than_allowed(longest: int, blocks: int) -> None:
    """Both sides count, and a blank on each for a join; a sentence alone is never cut."""
    lines = chained(("x" * 10, "y" * 9), ("x" * 9, "y" * 10))
    assert len(rows(lines, longest=longest)) == 2 * blocks


def test_quotes_and_odd_characters_are_text() -> None:
    lines = [paradocs_line("\"Say 'it'\"", "\x85 \u2028 “x”")]
    assert texts(lines)[0] == "en: \"Say 'it'\"\nde: “x”"
    assert texts([f"{paradocs_line()}\r"])[0] == "en: One.\nde: Eins."


MANY = [paradocs_line(f"Number {n}.", f"Nummer {n}.", 0, src_docid=f"p-{n}") for n in range(800)]


def test_a_share_is_drawn_by_id() -> None:
    every = rows(MANY)
    assert len(every) == 1600
    some = rows(MANY, strict=0.25)
    assert 320 < len(some) < 480
    ids = [row["id"] for row in every]
    assert [row["id"] for row in some] == [i for i in ids if i in {row["id"] for row in some}]
    assert {row["id"] for row in rows(MANY, strict=0.1)} < {row["id"] for row in some}
    assert {row["id"] for row in rows(MANY, strict=0.25, seed=7)} != {row["id"] for row in some}
    assert rows(MANY, strict=0.0) == []
    crawled = rows(MANY, level="all/paracrawl")
    assert 320 < len(crawled) < 480
    assert rows(MANY, level="all/paracrawl", paracrawl=1.0, strict=0.0) != []


def test_strict_files_are_read_before_all_others(tmp_path: Path) -> None:
    for name in (
        "en-de/strict/001.gz", "en-de/strict/000.gz", "en-de/all/paracrawl/000.gz", "en-de/raw/000.gz",
        "en-km/all/paracrawl/000.gz", "en-km/all/europarl/000.gz", "files/strict/000.gz",
    ):  # fmt: skip
        paradocs_file(tmp_path, name, [])
    (tmp_path / "en-fr/strict").mkdir(parents=True)
    found = [(s.name, s.languages, s.level) for s in sources(tmp_path)]
    assert found == [
        ("en-de/strict/000", ("en", "de"), "strict"),
        ("en-de/strict/001", ("en", "de"), "strict"),
        ("en-km/all/paracrawl/000", ("en", "km"), "all/paracrawl"),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.booleans()), max_size=25),
    st.integers(1, 80),
)
def test_any_lines(lines: list[tuple[int, int, bool]], longest: int) -> None:
    """Every sentence that is not dropped stands in one document of each direction, in its order."""
    written = [
        paradocs_line(f"s{n}", f"t{n}", 0, src_docid=f"p{page}", frequency=frequency)
        for n, (page, frequency, _) in enumerate(lines)
    ]
    written = [with_end(line, 5) for line in written]
    found = rows(written, longest=longest)
    meant = [f"s{n}" for n, (_, frequency, _) in enumerate(lines) if frequency <= 3]
    forward = [row for row in found if row["languages"] == "en-de"]
    sides = [str(row["text"]).removeprefix("en: ").partition("\nde: ") for row in forward]
    assert " ".join(src for src, _, _ in sides).split() == meant
    assert " ".join(tgt for _, _, tgt in sides).split() == [m.replace("s", "t") for m in meant]
    backward = [row for row in found if row["languages"] == "de-en"]
    assert [f"en: {s}\nde: {t}" for s, _, t in sides] == [row["text"] for row in forward]
    assert [f"de: {t}\nen: {s}" for s, _, t in sides] == [row["text"] for row in backward]
    assert len({row["id"] for row in found}) == len(found)


# -- files -----------------------------------------------------------------------------------------


def dataset(root: Path) -> Path:
    paradocs_file(root, "en-de/strict/000.gz", TWO)
    paradocs_file(root, "en-km/all/paracrawl/000.gz", MANY)
    paradocs_file(root, "en-km/all/paracrawl/001.gz", [])
    return root


def test_files_are_made_and_the_recipe_reads_them(world: Any) -> None:
    root, out = dataset(world.folder / "data"), world.folder / "prepared"
    seen: list[tuple[int, int]] = []
    count = prepare(root, out, progress=lambda done, total: seen.append((done, total)))
    made = world.tables(out)
    assert sorted(made) == [
        "en-de/strict/000.parquet",
        "en-km/all/paracrawl/000.parquet",
        "en-km/all/paracrawl/001.parquet",
    ]
    assert sum(table.num_rows for table in made.values()) == count
    assert all(table.schema.equals(SCHEMA) for table in made.values())
    assert made["en-de/strict/000.parquet"]["text"][0].as_py().startswith("en: Good morning. It")
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    result = world.run(out, world.folder / "out", recipe="paradocs")
    assert result.documents_out == count
    told = world.tables(world.folder / "out/ledger")["en-de/strict/000.parquet"]
    assert told["language"].to_pylist() == ["en-de", "de-en"]


def test_what_is_done_stays_and_what_changed_is_made_again(tmp_path: Path) -> None:
    root, out = dataset(tmp_path / "data"), tmp_path / "out"
    first = prepare(root, out)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*.parquet")}
    assert prepare(root, out) == first
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before
    (out / "en-de/strict/000.parquet").write_bytes(b"PAR1 cut off")
    (out / "en-de/strict/.left.tmp").write_bytes(b"x")
    paradocs_file(root, "en-km/all/paracrawl/001.gz", TWO)
    prepare(root, out)
    assert (out / "en-de/strict/000.parquet").read_bytes() == before[
        out / "en-de/strict/000.parquet"
    ][1]
    assert pq.read_metadata(out / "en-km/all/paracrawl/001.parquet").num_rows > 0
    assert not (out / "en-de/strict/.left.tmp").exists()
    prepare(root, out, Settings(strict=0.0))
    assert pq.read_metadata(out / "en-de/strict/000.parquet").num_rows == 0


def test_an_output_folder_with_other_files(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(
        WrongRun, match=r"out holds other files \(notes.txt\): choose an empty folder"
    ):
        prepare(root, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["notes.txt"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    busy = pytest.raises(WrongRun, match="Another process is working in")
    with alone_in(Folder(str(tmp_path / "out"))), busy:
        prepare(root, tmp_path / "out")
    assert prepare(root, tmp_path / "out") > 0


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    prepare(root, tmp_path / "out", Settings(strict=0.5))
    target = tmp_path / "out/en-de/strict/000.parquet"
    target.unlink()
    target.mkdir()  # where a file has to be
    with pytest.raises(InputError, match=r"could not be read or written \(Is a directory\)"):
        prepare(root, tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WrongRun, match="cannot be written to"):
        prepare(root, tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (gzip.compress(b"a\tb\n"), "has 2 fields in line 1 where ParaDocs has 18"),
        (gzip.compress((TWO[0] + "\n").encode() + b"\xff\n"), "is not UTF-8 in line 2"),
        (gzip.compress("\n".join(MANY).encode())[:-400], "is damaged behind line"),
        (b"no gzip", "is damaged behind line 0"),
        (gzip.compress(TWO[0].encode())[:-8] + bytes(8), "is damaged behind line"),
    ],
    ids=["fields", "utf-8", "cut", "no gzip", "checksum"],
)
def test_files_that_cannot_be_read(content: bytes, match: str, tmp_path: Path) -> None:
    path = paradocs_file(tmp_path / "data", "en-de/strict/000.gz", [])
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=match) as caught:
        prepare(tmp_path / "data", tmp_path / "out")
    assert "Guten" not in str(caught.value)
    assert [p.name for p in (tmp_path / "out").rglob("*.*")] == [".lock"]


@pytest.mark.parametrize("given", ["nothing", "empty"])
def test_a_folder_without_the_dataset(given: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match=r"no file like en-de/strict/000\.gz"):
        prepare(tmp_path / given, tmp_path / "out")


@pytest.mark.parametrize(
    "wrong",
    [{"strict": 1.1}, {"paracrawl": -0.1}, {"confidence": float("nan")}, {"frequency": 0}, {"longest": 0}],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnknownName):
        Settings(**wrong)
    assert issubclass(UnknownName, InputError)


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lethe", "reconstruct", "prepare", "paradocs"]
    command += ["--input", str(dataset(tmp_path / "data")), "--out", str(tmp_path / "out")]

    def lethe(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    done = lethe("--paracrawl", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 documents: lethe reconstruct run paradocs --input ")
    wrong = lethe("--strict", "2")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "lethe: Shares and confidence go from 0 to 1: give such a number.\n"
