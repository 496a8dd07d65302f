"""Token files for Megatron-LM, read back by a reader of our own."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.lock import alone_in
from pipeline.reconstruct.megatron import tokenize

FILES = {"a.parquet": 300, "b/c.parquet": 70, "b/empty.parquet": 0}
PAIRS = ("a", "b/c", "b/empty")
DTYPES = {4: np.dtype("<i4"), 8: np.dtype("<u2")}
"""Codes of the format: 4 is int32, 8 is uint16."""


def read_pair(stem: Path) -> tuple[list[list[int]], np.dtype[Any]]:
    """The sequences of a pair, after looking at everything that the format says of itself."""
    index = stem.with_name(f"{stem.name}.idx").read_bytes()
    tokens = stem.with_name(f"{stem.name}.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, documents = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    kind = DTYPES[code]
    assert documents == sequences + 1
    at = 34
    lengths = np.frombuffer(index, "<i4", sequences, at)
    pointers = np.frombuffer(index, "<i8", sequences, at := at + 4 * sequences)
    ends = np.frombuffer(index, "<i8", documents, at := at + 8 * sequences)
    assert len(index) == at + 8 * documents
    assert ends.tolist() == list(range(documents))
    assert pointers.tolist() == [int(lengths[:n].sum()) * kind.itemsize for n in range(sequences)]
    assert len(tokens) == int(lengths.sum()) * kind.itemsize
    return [
        np.frombuffer(tokens, kind, length, begin).tolist()
        for length, begin in zip(lengths.tolist(), pointers.tolist(), strict=True)
    ], kind


def small_tokenizer(path: Path, *special: str, words: int = 0) -> Path:
    """Bytes as tokens, behind special ones and so many more words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*special, *alphabet, *(f"<{n}>" for n in range(words))]
    made = Tokenizer(models.BPE({name: n for n, name in enumerate(names)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(list(special))
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def made(shared_world: Any) -> Any:
    """A corpus, some of whose documents have no text, and a tokenizer."""
    world = shared_world
    source = world.corpus(FILES)
    rows = world.documents(20, first=9000)
    for row, text in zip(rows, [None, "", "猫 über\n", "</s> inside"], strict=False):
        row["text"], row["url"] = text, "https://open.example/"
    world.write(source / "a.parquet", [*rows, *world.documents(300)])
    world.run(source, world.folder / "out")
    world.tokenizer = small_tokenizer(world.folder / "t.json", "<s>", "</s>")
    return world


def texts(world: Any, name: str) -> list[str]:
    found = pq.read_table(world.folder / f"out/data/{name}.parquet")["text"].to_pylist()
    return [text for text in found if text]


def contents(out: Path) -> dict[str, bytes]:
    files = (p for p in out.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(files)}


@pytest.fixture(scope="module")
def first(made: Any) -> Any:
    made.result = tokenize(str(made.folder / "out"), made.tokenizer, made.folder / "tokens")
    made.expected = contents(made.folder / "tokens")
    return made


def test_the_files_hold_the_texts(first: Any) -> None:
    plain = Tokenizer.from_file(str(first.tokenizer))
    counted = 0
    for name in PAIRS:
        sequences, kind = read_pair(first.folder / "tokens" / name)
        meant = [[*plain.encode(text).ids, 1] for text in texts(first, name)]
        assert sequences == meant
        assert kind == np.dtype("<u2")
        counted += sum(map(len, sequences))
    assert texts(first, "a")[:2] == ["猫 über\n", "</s> inside"]
    result = first.result
    assert (result.files, result.tokens, result.resumed_files) == (3, counted, 0)
    assert result.documents == sum(len(texts(first, name)) for name in PAIRS)
    assert (result.empty, result.unpublished) == (2, False)
    assert sorted(first.expected) == sorted(
        [f"{name}.{e}" for name in PAIRS for e in ("bin", "idx")]
        + [f"state/{name}.parquet.json" for name in PAIRS]
        + ["megatron.json"]
    )


@pytest.mark.parametrize("workers", [2, 9])
def test_any_number_of_workers(first: Any, tmp_path: Path, workers: int) -> None:
    tokenize(str(first.folder / "out"), first.tokenizer, tmp_path / "t", workers=workers)
    assert contents(tmp_path / "t") == first.expected


def test_a_begin_token_and_another_end(made: Any, tmp_path: Path) -> None:
    tokenizer = small_tokenizer(tmp_path / "t.json", "<s>", "<end>")
    out = tmp_path / "tokens"
    tokenize(str(made.folder / "out"), tokenizer, out, bos="<s>", eos="<end>")
    plain = Tokenizer.from_file(str(tokenizer))
    sequences, _ = read_pair(out / "b/c")
    assert sequences == [[0, *plain.encode(text).ids, 1] for text in texts(made, "b/c")]


@pytest.mark.parametrize(("words", "width"), [(65278, 2), (65279, 4)])
def test_large_vocabularies_need_four_octets(
    made: Any, tmp_path: Path, words: int, width: int
) -> None:
    """Up to 65,536 tokens two octets do."""
    tokenizer = small_tokenizer(tmp_path / "t.json", "</s>", "<s>", words=words)
    assert Tokenizer.from_file(str(tokenizer)).get_vocab_size() == 258 + words
    tokenize(str(made.folder / "out"), tokenizer, tmp_path / "tokens")
    sequences, kind = read_pair(tmp_path / "tokens/b/c")
    assert kind.itemsize == width
    assert all(sequence[-1] == 0 for sequence in sequences)


def test_what_a_tokenizer_cuts_and_pads_by_itself_is_left_out(made: Any, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(made.tokenizer))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=50)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)], pair=None
    )
    tokenizer.save(str(tmp_path / "t.json"))
    tokenize(str(made.folder / "out"), tmp_path / "t.json", tmp_path / "tokens")
    plain = Tokenizer.from_file(str(made.tokenizer))
    sequences, _ = read_pair(tmp_path / "tokens/a")
    assert sequences == [[*plain.encode(text).ids, 1] for text in texts(made, "a")]


# -- going on --------------------------------------------------------------------------------------


def test_what_is_done_stays(first: Any, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    shutil.copytree(first.folder / "tokens", out)
    corpus = str(first.folder / "out")
    assert tokenize(corpus, first.tokenizer, out).resumed_files == 3
    (out / "b/c.idx").unlink()
    (out / "a.bin").write_bytes(first.expected["a.bin"][:-2])
    (out / "state/b/empty.parquet.json").write_text("{")
    (out / ".work/left").mkdir(parents=True)
    (out / ".work/left/pair.bin").write_bytes(b"x")
    seen: list[tuple[int, int]] = []
    assert (
        tokenize(corpus, first.tokenizer, out, progress=lambda *p: seen.append(p)).resumed_files
        == 0
    )
    assert contents(out) == first.expected
    assert seen[-1][0] == seen[-1][1] > 100
    assert not (out / ".work").exists()


def test_a_run_that_was_killed_goes_on(first: Any, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    command = [sys.executable, "-m", "lethe", "reconstruct", "megatron", str(first.folder / "out")]
    command += ["--tokenizer", str(first.tokenizer), "--out", str(out)]
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        met = threading.Event()
        while process.poll() is None and not met.is_set():
            if out.is_dir() and any(out.rglob("*.idx")):
                met.set()
            met.wait(0.001)
        process.kill()
        process.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(out) == first.expected


def test_a_file_of_the_corpus_that_changed_is_tokenised_again(first: Any, tmp_path: Path) -> None:
    """As after a takedown."""
    shutil.copytree(first.folder / "out", tmp_path / "out")
    tokenize(str(tmp_path / "out"), first.tokenizer, tmp_path / "tokens")
    data, state = tmp_path / "out/data/b/c.parquet", tmp_path / "out/state/b/c.parquet.json"
    table = pq.read_table(data)
    pq.write_table(table.slice(1), data)
    told = json.loads(state.read_text())
    told["rows_out"] -= 1
    told["sha256"]["data"] = "0" * 64
    state.write_text(json.dumps(told))
    assert tokenize(str(tmp_path / "out"), first.tokenizer, tmp_path / "tokens").resumed_files == 2
    before, _ = read_pair(first.folder / "tokens/b/c")
    after, _ = read_pair(tmp_path / "tokens/b/c")
    assert after == before[1:]


# -- what is wrong ---------------------------------------------------------------------------------


def test_tokenizers_that_cannot_be_used(made: Any, tmp_path: Path) -> None:
    corpus, out = str(made.folder / "out"), tmp_path / "tokens"
    (tmp_path / "x.json").write_text("{}")
    for path in (tmp_path / "x.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(UnreadableFile, match="is not a JSON file of the tokenizers library"):
            tokenize(corpus, path, out)
    with pytest.raises(UnknownName, match="has no token '<e>': give another for --eos or --bos"):
        tokenize(corpus, made.tokenizer, out, eos="<e>")
    with pytest.raises(UnknownName, match="has no token '<b>'"):
        tokenize(corpus, made.tokenizer, out, bos="<b>")
    with pytest.raises(UnknownName, match="has none of the usual end tokens"):
        tokenize(corpus, small_tokenizer(tmp_path / "t.json", "<stop>"), out)
    assert not out.exists()


def test_corpora_that_cannot_be_used(made: Any, tmp_path: Path) -> None:
    for root in (tmp_path / "none", made.folder / "corpus"):
        with pytest.raises(
            UnreadableFile, match="is not the output folder of lethe reconstruct run"
        ):
            tokenize(str(root), made.tokenizer, tmp_path / "tokens")
    shutil.copytree(made.folder / "out", tmp_path / "out")
    (tmp_path / "out/data/b/c.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnreadableFile, match=r"c\.parquet is not a Parquet file or is cut off"):
        tokenize(str(tmp_path / "out"), made.tokenizer, tmp_path / "tokens")
    assert (tmp_path / "tokens/a.idx").exists()
    (tmp_path / "out/takedown").mkdir()
    (tmp_path / "out/takedown/journal.json").write_text("{}")
    with pytest.raises(WrongRun, match=r"takedown of .* was interrupted"):
        tokenize(str(tmp_path / "out"), made.tokenizer, tmp_path / "other")
    (tmp_path / "out/takedown/journal.json").unlink()
    (tmp_path / "out/state/b/c.parquet.json").unlink()
    with pytest.raises(UnreadableFile, match=r"is not complete \(b/c.parquet is not done\)"):
        tokenize(str(tmp_path / "out"), made.tokenizer, tmp_path / "other")
    (tmp_path / "out/manifest.json").write_text("{}")
    with pytest.raises(UnreadableFile, match="no manifest of a run"):
        tokenize(str(tmp_path / "out"), made.tokenizer, tmp_path / "other")


def test_folders_that_cannot_be_used(first: Any, tmp_path: Path) -> None:
    corpus = str(first.folder / "out")
    shutil.copytree(first.folder / "tokens", tmp_path / "tokens")
    other = small_tokenizer(tmp_path / "t.json", "<s>", "</s>", "<x>")
    for tokenizer, bos in ((other, None), (first.tokenizer, "<s>")):
        with pytest.raises(WrongRun, match="another corpus or with another tokenizer"):
            tokenize(corpus, tokenizer, tmp_path / "tokens", bos=bos)
    shutil.copy(tmp_path / "tokens/state/a.parquet.json", tmp_path / "tokens/state/z.parquet.json")
    with pytest.raises(WrongRun, match="another corpus"):
        tokenize(corpus, first.tokenizer, tmp_path / "tokens")
    (tmp_path / "tokens/megatron.json").write_text("{")
    with pytest.raises(WrongRun, match="cannot be used"):
        tokenize(corpus, first.tokenizer, tmp_path / "tokens")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    with pytest.raises(WrongRun, match="holds files that are no token files of Lethe"):
        tokenize(corpus, first.tokenizer, tmp_path / "mine")
    with pytest.raises(WrongRun, match="cannot be used"):
        tokenize(corpus, first.tokenizer, tmp_path / "mine/notes.txt")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with alone_in(Folder(str(tmp_path / "busy"))), pytest.raises(WrongRun, match="Another process"):
        tokenize(corpus, first.tokenizer, tmp_path / "busy")


# -- the command -----------------------------------------------------------------------------------


def test_the_command(first: Any, tmp_path: Path) -> None:
    shutil.copytree(first.folder / "out", tmp_path / "out")
    manifest = tmp_path / "out/manifest.json"
    command = [sys.executable, "-m", "lethe", "reconstruct", "megatron", str(tmp_path / "out")]
    command += ["--tokenizer", str(first.tokenizer)]

    def lethe(*more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, more)], capture_output=True, text=True, check=False
        )

    done = lethe("--out", tmp_path / "a", "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.replace("\u202f", "")
    result = first.result
    assert f"{result.tokens} tokens of {result.documents} documents in 3 pairs of files.\n" in said
    assert "2 documents without text were left out.\n" in said
    assert "3 of 3 pairs had been finished before." in lethe("--out", tmp_path / "a").stdout
    as_json = json.loads(lethe("--out", tmp_path / "a", "--json").stdout)
    assert (as_json["tokens"], as_json["resumed_files"]) == (result.tokens, 3)
    told = json.loads(manifest.read_text())
    told["options"]["unpublished"] = True
    manifest.write_text(json.dumps(told))
    unpublished = lethe("--out", tmp_path / "b")
    assert unpublished.returncode == 0
    assert "neither it nor these files may be published" in unpublished.stderr
    assert json.loads((tmp_path / "b/megatron.json").read_text())["unpublished"] is True
    wrong = lethe("--out", tmp_path / "a", "--eos", "<e>")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1
