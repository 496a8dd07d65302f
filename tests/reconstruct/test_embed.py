"""Vectors for texts, by a tiny XLM-R that knows nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import judged_corpus as corpus
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongColumns, WrongRun
from pipeline.reconstruct import Options, run
from pipeline.reconstruct.embed import embed
from pipeline.reconstruct.encoder import Encoder
from pipeline.reconstruct.head_file import write_head
from pipeline.reconstruct.heads import Head, HeadSpec

HIDDEN = 32
LONGEST = 20
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
CLOSE = 1e-5


def make_encoder(folder: Path, seed: int = 0) -> Path:
    """A random XLM-R of two layers over words, with pieces of at most `LONGEST` tokens."""
    vocabulary = {word: n for n, word in enumerate((*SPECIAL, *corpus.WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        unk_token="<unk>", model_max_length=LONGEST,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=LONGEST + 2, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(encoder_path: Path) -> Encoder:
    return Encoder(encoder_path, "cpu")


def reference(path: Path, text: str) -> np.ndarray[Any, Any]:
    """One piece after the other, as the documentation says it."""
    vocabulary = {word: n for n, word in enumerate((*SPECIAL, *corpus.WORDS))}
    tokens = [vocabulary.get(word, 3) for word in text.split()]
    model = AutoModel.from_pretrained(path).eval()
    found = []
    for start in range(0, max(len(tokens), 1), LONGEST - 2):
        ids = torch.tensor([[0, *tokens[start : start + LONGEST - 2], 2]])
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        found.append(states[0].mean(dim=0).numpy())
    return np.array(found)


TEXTS = st.lists(st.sampled_from(corpus.WORDS), min_size=1, max_size=60).map(" ".join)


@pytest.mark.parametrize("words", [1, 17, 18, 19, 36, 37, 60])
def test_a_text_has_a_vector_for_each_piece(
    encoder: Encoder, encoder_path: Path, words: int
) -> None:
    text = " ".join(corpus.WORDS[n % 7] for n in range(words))
    (found,) = encoder.encode([text], 32)
    expected = reference(encoder_path, text)
    assert found.shape == expected.shape == (-(-words // (LONGEST - 2)), HIDDEN)
    assert np.abs(found - expected).max() < CLOSE
    assert found.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8), st.integers(1, 5), st.randoms())
def test_a_text_has_its_vectors_whatever_the_others_are(
    encoder: Encoder, texts: list[str], batch: int, random: Any
) -> None:
    alone = [encoder.encode([text], 1)[0] for text in texts]
    order = random.sample(range(len(texts)), len(texts))
    together = encoder.encode([texts[n] for n in order], batch)
    for vectors, n in zip(together, order, strict=True):
        assert np.abs(vectors - alone[n]).max() < CLOSE


def test_what_is_no_text_has_no_vector(encoder: Encoder) -> None:
    found = encoder.encode([None, "", "  \n", "lake", "?"], 4)
    assert [vectors.shape for vectors in found] == [(0, 32), (0, 32), (0, 32), (1, 32), (1, 32)]
    assert encoder.encode([], 4) == []
    assert [v.shape for v in encoder.encode([None], 4)] == [(0, 32)]


def bare(rows: list[dict[str, Any]]) -> pa.Table:
    """Documents without vectors."""
    return pa.Table.from_pylist(rows, corpus.SCHEMA).drop_columns(["embeddings"])


def vectors_of(path: Path) -> dict[str, list[Any]]:
    table = pq.ParquetFile(path).read()
    return dict(zip(table["id"].to_pylist(), table["embeddings"].to_pylist(), strict=True))


def test_files_get_a_column_and_stay_what_they_are(
    world: Any, encoder_path: Path, encoder: Encoder
) -> None:
    rows = corpus.documents(2100)
    rows[5]["text"] = None
    table = bare(rows).replace_schema_metadata({"made by": "the tests", "huggingface": "{}"})
    world.write(world.folder / "in/b/a.parquet", table)
    world.write(world.folder / "in/empty.parquet", table.slice(0, 0))
    seen: list[tuple[int, int]] = []
    done = embed(
        str(world.folder / "in"), encoder_path, str(world.folder / "out"),
        progress=lambda n, total: seen.append((n, total)),
    )  # fmt: skip
    assert (done.files, done.documents, done.resumed_files) == (2, 2100, 0)
    assert seen[-1] == (2100, 2100)
    found = pq.ParquetFile(world.folder / "out/b/a.parquet").read()
    assert found.drop_columns(["embeddings"]).equals(table)
    assert found.schema.field("embeddings").type == pa.list_(pa.list_(pa.float32()))
    assert found.schema.metadata[b"made by"] == b"the tests"
    assert b"huggingface" not in found.schema.metadata  # it names the columns that there were
    vectors = found["embeddings"].to_pylist()
    assert vectors[5] == []
    assert done.vectors == sum(map(len, vectors))
    for n in (0, 1999, 2000, 2099):
        (expected,) = encoder.encode([rows[n]["text"]], 1)
        assert np.abs(np.array(vectors[n]) - expected).max() < CLOSE
    empty = pq.ParquetFile(world.folder / "out/empty.parquet").read()
    assert empty.num_rows == 0
    assert empty.schema.names == found.schema.names
    assert world.leftovers(world.folder / "out") == []


def test_it_goes_on_where_it_was(world: Any, encoder_path: Path) -> None:
    for number in range(3):
        rows = corpus.documents(20, first=number * 20)
        world.write(world.folder / f"in/{number}.parquet", bare(rows))
    source, out = str(world.folder / "in"), world.folder / "out"
    embed(source, encoder_path, str(out))
    before = {p.name: p.read_bytes() for p in out.glob("*.parquet")}
    (out / "1.parquet").unlink()
    (out / ".1.tmp").write_bytes(b"of a process that was killed")
    done = embed(source, encoder_path, str(out))
    assert (done.resumed_files, done.documents) == (2, 60)
    assert {p.name: p.read_bytes() for p in out.glob("*.parquet")} == before
    assert world.leftovers(out) == []


def test_vectors_of_another_encoder_or_text_are_not_taken_for_these(
    world: Any, encoder_path: Path, tmp_path: Path
) -> None:
    world.write(world.folder / "in/a.parquet", bare(corpus.documents(5)))
    embed(str(world.folder / "in"), encoder_path, str(world.folder / "out"))
    other = make_encoder(tmp_path / "other", seed=1)
    for encoder, text in ((other, "text"), (encoder_path, "url")):
        with pytest.raises(WrongRun, match="not made of this input by this encoder"):
            embed(str(world.folder / "in"), encoder, str(world.folder / "out"), text=text)
    world.write(world.folder / "in/a.parquet", bare(corpus.documents(5, seed=2)))
    with pytest.raises(WrongRun, match="not made of this input"):
        embed(str(world.folder / "in"), encoder_path, str(world.folder / "out"))


def test_what_cannot_be_embedded(world: Any, encoder_path: Path, tmp_path: Path) -> None:
    rows = corpus.documents(3)
    source = world.folder / "in"
    world.write(source / "a.parquet", bare(rows))
    held = world.folder / "held"
    world.write(held / "a.parquet", pa.Table.from_pylist(rows, corpus.SCHEMA))
    (tmp_path / "nothing").mkdir()
    without = make_encoder(tmp_path / "without")
    (without / "tokenizer.json").write_text("{}")
    (tmp_path / "file").touch()
    refused: list[tuple[Path, Path, Path, dict[str, Any], type[InputError], str]] = [
        (source, tmp_path / "x", tmp_path / "out", {}, UnreadableFile, "is no folder"),
        (source, tmp_path / "nothing", tmp_path / "out", {}, UnreadableFile, "holds no text encoder"),
        (source, without, tmp_path / "out", {}, UnreadableFile, "holds no text encoder"),
        (source, encoder_path, source / "out", {}, WrongRun, "lies in it"),
        (source, encoder_path, tmp_path / "file", {}, WrongRun, "is a file"),
        (source, encoder_path, tmp_path / "out", {"text": "words"}, WrongColumns, "no column 'words'"),
        (source, encoder_path, tmp_path / "out", {"text": "token_count"}, WrongColumns, "with texts"),
        (source, encoder_path, tmp_path / "out", {"device": "tpu"}, InputError, "no device"),
        (held, encoder_path, tmp_path / "out", {}, WrongColumns, "has a column 'embeddings' already"),
        (tmp_path / "x", encoder_path, tmp_path / "out", {}, UnreadableFile, "does not exist"),
    ]  # fmt: skip
    for given_source, encoder, out, more, error, match in refused:
        with pytest.raises(error, match=match):
            embed(str(given_source), encoder, str(out), **more)
    assert not (tmp_path / "out").exists()


def test_a_corpus_is_embedded_and_judged(world: Any, encoder_path: Path) -> None:
    """From texts to a selection by the commands alone."""
    rows = corpus.documents(60)
    world.write(world.folder / "in/a.parquet", bare(rows))
    command = [
        sys.executable,
        "-m",
        "lethe",
        "reconstruct",
        "embed",
        "--input",
        world.folder / "in",
    ]
    command += ["--encoder", encoder_path, "--out", world.folder / "out", "--batch", "7"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == "60 documents in 1 files, 60 vectors added; 0 files had been finished before.\n"
    )
    vectors = vectors_of(world.folder / "out/a.parquet")
    direction = torch.randn(1, HIDDEN, generator=torch.Generator().manual_seed(1))
    options = {}
    for kind in ("quality", "toxicity"):
        made = Head(HeadSpec(kind, "sigmoid", "first"), [(direction, torch.zeros(1))])
        write_head(made, world.folder / kind)
        options[f"{kind}_head"] = world.folder / kind
    out = world.folder / "rebuilt"
    run("fineweb-hq", world.folder / "out", world.policy, out, options=Options(**options))
    kept = set(pq.ParquetFile(out / "data/a.parquet").read()["id"].to_pylist())
    scores = {
        row["id"]: float(np.array(vectors[row["id"]][0]) @ direction[0].numpy())
        for row in corpus.open_rows(rows)
    }
    least = json.loads((out / "manifest.json").read_text())["estimated"]["quality"]["eng_Latn"]
    expected = {i for i, s in scores.items() if 1 / (1 + np.exp(-s)) >= least["threshold"] - 1e-6}
    assert kept == expected
    assert 0 < len(kept) < len(scores) / 4
