"""Heads: the same vector has the same score, whatever stands beside it."""

from __future__ import annotations

import json
import math
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import judged_corpus
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongColumns, WrongVersion
from pipeline.reconstruct.head_file import read_head, write_head
from pipeline.reconstruct.head_import import imported
from pipeline.reconstruct.heads import Head, HeadSpec, Layers, one_thread
from pipeline.reconstruct.vectors import check_vectors, read_vectors

SIGMOID = HeadSpec("quality", "sigmoid", "first")
SOFTMAX = HeadSpec("toxicity", "softmax", "max")


def layers(*sizes: int, seed: int = 1) -> Layers:
    """Random linear layers between so many numbers."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(b, a, generator=generator) / math.sqrt(a),
            torch.randn(b, generator=generator),
        )
        for a, b in pairwise(sizes)
    ]


def vectors(count: int, dimension: int, seed: int, spread: float = 1.0) -> np.ndarray[Any, Any]:
    """As encoders make them: a few numbers are far larger than the others."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, dimension)) * spread
    found[:, :2] *= 50
    return found.astype(np.float32)


HEAD = Head(SIGMOID, layers(768, 64, 1))
SMALL = Head(HeadSpec("quality", "sigmoid", "mean"), layers(24, 8, 8, 1))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 9), st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_a_score_does_not_depend_on_the_others(
    count: int, exponent: int, seed: int, threads: int
) -> None:
    values = vectors(count, 768, seed, 10.0 ** (exponent - 4))
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    cut = int(random.integers(0, count + 1))
    whole = HEAD.logits(values)
    with one_thread():
        alone = [HEAD.logits(values[n : n + 1])[0] for n in order[:10]]
        parts = HEAD.logits(values[order[:cut]]) + HEAD.logits(values[order[cut:]])
    assert alone == [whole[n] for n in order[:10]]
    assert parts == [whole[n] for n in order]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert HEAD.logits(values) == whole
    finally:
        torch.set_num_threads(before)


@settings(max_examples=50, deadline=None)
@given(st.permutations(list(range(24))), st.integers(0, 1000))
def test_sums_are_exact_so_their_order_does_not_matter(order: list[int], seed: int) -> None:
    """With the columns of vectors and weights in another order any library sums in another order."""
    (weight, bias), *rest = layers(24, 8, 8, 1)
    other = Head(SMALL.spec, [(weight[:, order], bias), *rest])
    values = vectors(20, 24, seed)
    assert other.logits(values[:, order]) == SMALL.logits(values)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sums_of_many_numbers_are_exact(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(768)
    (weight, bias), *rest = HEAD.weights
    other = Head(HEAD.spec, [(weight[:, order], bias), *rest])
    values = vectors(20, 768, seed)
    assert other.logits(values[:, order]) == HEAD.logits(values)


def test_more_vectors_than_are_multiplied_at_a_time() -> None:
    values = vectors(9000, 24, 5)
    whole = SMALL.scores(values)
    assert whole[4090:4100].tolist() == SMALL.scores(values[4090:4100]).tolist()
    assert len(whole) == 9000


@pytest.mark.parametrize("sizes", [(768, 1), (768, 256, 1), (24, 8, 8, 8, 1), (1, 1)], ids=str)
def test_scores_are_those_of_the_same_layers_in_torch(sizes: tuple[int, ...]) -> None:
    made = layers(*sizes)
    values = vectors(200, sizes[0], 3)
    expected = torch.from_numpy(values).double()
    for number, (weight, bias) in enumerate(made):
        expected = torch.relu(expected) if number else expected
        expected = expected @ weight.double().T + bias.double()
    scores = Head(SIGMOID, made).scores(values)
    assert np.abs(scores - torch.sigmoid(expected[:, 0]).numpy()).max() < 1e-5
    assert len(set(scores.tolist())) > 10


@pytest.mark.parametrize("positive", [0, 1])
def test_softmax_of_two(positive: int) -> None:
    made = layers(24, 8, 2)
    spec = HeadSpec("toxicity", "softmax", "first", positive)
    values = vectors(50, 24, 4)
    hidden = torch.relu(torch.from_numpy(values) @ made[0][0].T + made[0][1])
    expected = torch.softmax(hidden @ made[1][0].T + made[1][1], dim=1)[:, positive]
    assert np.abs(Head(spec, made).scores(values) - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("first", [0.25, math.nan, 0.5, math.nan]),
        ("max", [0.75, math.nan, 0.5, math.nan]),
        ("mean", [0.5, math.nan, 0.5, math.nan]),
    ],
)
def test_the_score_of_a_document(pool: str, expected: list[float]) -> None:
    head = Head(HeadSpec("toxicity", "sigmoid", pool), [(torch.ones(1, 1), torch.zeros(1))])
    logits = np.array([[-math.log(3)], [math.log(3)], [0.0]], np.float32)
    found = head.of_documents(logits, np.array([2, 0, 1, 0]))
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert head.of_documents(logits[:0], np.array([0, 0])).tolist() == pytest.approx(
        [math.nan, math.nan], nan_ok=True
    )
    assert head.of_documents(logits[:0], np.array([], np.int64)).tolist() == []


def test_extreme_numbers_have_scores() -> None:
    largest = float(np.finfo(np.float32).max)
    made = [(torch.full((b, a), largest), torch.full((b,), -largest)) for a, b in [(3, 3)] * 5]
    head = Head(SIGMOID, [*made, (torch.full((1, 3), largest), torch.zeros(1))])
    rows = [[largest] * 3, [-largest] * 3, [0.0] * 3, [1e-45, 0.0, 0.0]]
    found = head.scores(np.array(rows, np.float32))
    assert np.isfinite(found).all()
    assert (found[0], found[1]) == (1.0, 0.5)


def test_a_head_file_is_what_the_documentation_says(tmp_path: Path) -> None:
    spec = HeadSpec("toxicity", "softmax", "mean", 0, ("deu_Latn", "fra_Latn"))
    made = Head(spec, layers(24, 8, 2))
    write_head(made, tmp_path / "a.safetensors")
    held = (tmp_path / "a.safetensors").read_bytes()
    header = json.loads(held[8 : 8 + int.from_bytes(held[:8], "little")])
    assert header["__metadata__"] == {
        "format": "lethe-head", "version": "1", "kind": "toxicity", "dimension": "24", "activation": "relu",
        "output": "softmax", "positive": "0", "vectors": "mean", "languages": "deu_Latn fra_Latn",
    }  # fmt: skip
    assert {name: part["shape"] for name, part in header.items() if name != "__metadata__"} == {
        "layers.0.weight": [8, 24], "layers.0.bias": [8],
        "layers.1.weight": [2, 8], "layers.1.bias": [2],
    }  # fmt: skip
    again = read_head(tmp_path / "a.safetensors")
    assert again.spec == spec
    values = vectors(20, 24, 1)
    assert again.scores(values).tolist() == made.scores(values).tolist()
    write_head(again, tmp_path / "b.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes() == held


GOOD = {
    "format": "lethe-head", "version": "1", "kind": "quality", "dimension": "4", "activation": "relu",
    "output": "sigmoid", "positive": "1", "vectors": "first", "languages": "",
}  # fmt: skip


MUST_SAY: dict[str, tuple[dict[str, Any], type[InputError] | None, str]] = {
    "as it is": ({}, None, ""),
    "a language": ({"languages": "deu_Latn"}, None, ""),
    "other format": ({"format": "pt"}, InputError, "does not say of what"),
    "no format": ({"format": None}, InputError, "does not say of what"),
    "newer": ({"version": "2"}, WrongVersion, "head of format 2"),
    "other kind": ({"kind": "beauty"}, UnknownName, "'beauty': use one of quality, toxicity"),
    "no kind": ({"kind": None}, UnreadableFile, "damaged"),
    "activation": ({"activation": "gelu"}, UnknownName, "'gelu' between its layers"),
    "output": ({"output": "softmax"}, InputError, "ends in 2 numbers: this one ends in 1"),
    "vectors": ({"vectors": "last"}, UnknownName, "first, mean, max"),
    "no number": ({"positive": "two"}, UnreadableFile, "damaged"),
    "third number": ({"positive": "2"}, UnknownName, "0, 1"),
    "no such language": ({"languages": "de"}, UnknownName, "write it like deu_Latn"),
    "dimension": ({"dimension": "5"}, UnreadableFile, "dimension"),
}


@pytest.mark.parametrize("name", MUST_SAY)
def test_what_a_head_file_must_say(tmp_path: Path, name: str) -> None:
    change, error, match = MUST_SAY[name]
    said = {k: v for k, v in (GOOD | change).items() if v is not None}
    tensors = {"layers.0.weight": torch.ones(1, 4), "layers.0.bias": torch.ones(1)}
    save_file(tensors, tmp_path / "a.safetensors", said)
    if error is None:
        assert read_head(tmp_path / "a.safetensors").dimension == 4
        return
    with pytest.raises(error, match=match) as raised:
        read_head(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(raised.value)


@pytest.mark.parametrize(
    "names",
    [
        ("layers.0.weight",),
        ("layers.0.weight", "layers.1.bias"),
        ("layers.1.weight", "layers.1.bias"),
        ("weight", "bias"),
        (),
    ],
    ids=str,
)
def test_a_head_file_with_other_weights_is_damaged(tmp_path: Path, names: tuple[str, ...]) -> None:
    save_file({n: torch.ones(1, 4) for n in names}, tmp_path / "a.safetensors", GOOD)
    with pytest.raises(UnreadableFile, match="is damaged"):
        read_head(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"no head", b"\xff" * 100])
def test_what_is_no_head_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    for path in (tmp_path / "a.safetensors", tmp_path / "missing", tmp_path):
        with pytest.raises(UnreadableFile, match="is no head file"):
            read_head(path)


BAD_LAYERS: dict[str, Any] = {
    "none": [],
    "too many": layers(4, 4, 4, 4, 4, 4, 4, 1),
    "do not fit": [*layers(4, 3), *layers(4, 1)],
    "two outputs": layers(4, 2),
    "infinite": [(torch.full((1, 4), math.inf), torch.zeros(1))],
    "not a number": [(torch.ones(1, 4), torch.full((1,), math.nan))],
    "too large for float32": [(torch.full((1, 4), 1e300, dtype=torch.float64), torch.zeros(1))],
    "three dimensions": [(torch.ones(1, 4, 1), torch.zeros(1))],
    "bias of another size": [(torch.ones(1, 4), torch.zeros(2))],
    "empty": [(torch.ones(1, 0), torch.zeros(1))],
}


@pytest.mark.parametrize("name", BAD_LAYERS)
def test_layers_that_are_no_head(name: str) -> None:
    with pytest.raises(InputError):
        Head(SIGMOID, BAD_LAYERS[name])


def test_six_layers_are_a_head() -> None:
    assert Head(SIGMOID, layers(4, 4, 4, 4, 4, 4, 1)).dimension == 4


def state(*sizes: int, **more: Any) -> dict[str, Any]:
    """What a `torch.nn.Sequential` of linear layers, ReLU and dropout says of itself."""
    parts: list[torch.nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [torch.nn.Linear(a, b), torch.nn.ReLU(), torch.nn.Dropout()]
    return {**torch.nn.Sequential(*parts).state_dict(), **more}


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"], ids=str)
def test_weights_are_imported(tmp_path: Path, wrapper: str | None) -> None:
    held = state(24, 8, 1)
    torch.save(held if wrapper is None else {wrapper: held, "epoch": 3}, tmp_path / "a.pt")
    made = imported(tmp_path / "a.pt", SIGMOID)
    values = vectors(10, 24, 2)
    expected = Head(
        SIGMOID, [(held["0.weight"], held["0.bias"]), (held["3.weight"], held["3.bias"])]
    )
    assert made.scores(values).tolist() == expected.scores(values).tolist()


class Runs:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_no_code_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    torch.save(state(4, 1, more=Runs(ran)), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Runs(ran), protocol=2))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(UnreadableFile, match="no file of weights alone"):
            imported(tmp_path / name, SIGMOID)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("held", "match"),
    [
        ({}, "1 to 6 linear layers"),
        ([torch.ones(1)], "other things than weights"),
        ({"epoch": 3}, "other things than weights"),
        ({1: torch.ones(1)}, "other things than weights"),
        (state(24, 8, 2), "ends in 1 number: this one ends in 2"),
        (state(24, 8, 1, scale=torch.ones(1)), "'scale' belongs to no linear layer"),
        ({"0.weight": torch.ones(1, 4)}, "'0.weight' belongs to no linear layer"),
        (torch.nn.Conv1d(2, 1, 3).state_dict(), "each a weight .out, in."),
    ],
    ids=range(8),
)
def test_weights_that_are_no_head(tmp_path: Path, held: Any, match: str) -> None:
    torch.save(held, tmp_path / "a.pt")
    with pytest.raises(InputError, match=match) as raised:
        imported(tmp_path / "a.pt", SIGMOID)
    assert "a.pt" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 nothing"])
def test_what_is_no_file_of_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    for path in (tmp_path / "a.pt", tmp_path / "missing.pt", tmp_path):
        with pytest.raises(UnreadableFile):
            imported(path, SIGMOID)


def test_devices() -> None:
    head = Head(SIGMOID, layers(4, 1))
    assert head.to("auto") is head
    with pytest.raises(UnknownName, match="no device 'tpu'"):
        head.to("tpu")
    if torch.cuda.is_available():
        values = vectors(5000, 768, 1)
        expected = HEAD.to("cpu").scores(values).tolist()
        assert HEAD.to("cuda").scores(values).tolist() == expected
        HEAD.to("cpu")
    else:
        with pytest.raises(InputError, match="No GPU"):
            head.to("cuda")


NESTED = [[[1, 2], [3, 4]], None, [], [[5, 6], None], [[math.nan, 1]], [[7, 8]], [[]]]
FLAT = [[1, 2], None, [3, 4], [], [None, 1], [1e300, 1], [5, 6]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32())),
        pa.list_(pa.list_(pa.float64())),
        pa.list_(pa.list_(pa.float16())),
        pa.large_list(pa.large_list(pa.float32())),
    ],
    ids=str,
)
@pytest.mark.parametrize("pieces", [1, 3])
def test_vectors_are_read_from_lists_of_lists(kind: pa.DataType, pieces: int) -> None:
    cuts = [NESTED] if pieces == 1 else [NESTED[:2], [], NESTED[2:]]
    column = pa.chunked_array([pa.array(cut, kind) for cut in cuts])
    check_vectors(pa.schema({"v": kind}), "v", "a.parquet", "r")
    rows = np.arange(len(NESTED))
    found = read_vectors(column, 2, "a.parquet", rows, first=False)
    assert found.counts.tolist() == [2, 0, 0, 0, 0, 1, 0]
    assert found.values.tolist() == [[1, 2], [3, 4], [7, 8]]
    found = read_vectors(column, 2, "a.parquet", rows, first=True)
    assert found.counts.tolist() == [1, 0, 0, 1, 0, 1, 0]
    assert found.values.tolist() == [[1, 2], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float64()), pa.list_(pa.float32())], ids=str
)
def test_one_vector_for_each_document(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array(FLAT, pa.list_(pa.float64())).cast(kind)])
    found = read_vectors(column, 2, "a.parquet", np.arange(len(FLAT)), first=False)
    assert found.counts.tolist() == [1, 0, 1, 0, 0, 0, 1]
    assert found.values.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_lists_of_fixed_size() -> None:
    flat = pa.chunked_array(
        [pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.float32(), 2))]
    )
    found = read_vectors(flat, 2, "a.parquet", np.arange(4), first=True)
    assert (found.counts.tolist(), found.values.tolist()) == ([1, 0, 0, 1], [[1, 2], [4, 5]])
    kind = pa.list_(pa.list_(pa.float32(), 2), 2)
    deep = pa.chunked_array([pa.array([None, [[1, 2], [3, 4]], [[1, 2], None]], kind)])
    found = read_vectors(deep, 2, "a.parquet", np.arange(3), first=False)
    assert (found.counts.tolist(), found.values.tolist()) == ([0, 2, 0], [[1, 2], [3, 4]])
    assert read_vectors(deep.slice(1), 2, "a.parquet", np.arange(2), first=False).counts.tolist() == [
        2, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.float32(), pa.list_(pa.int8()), pa.list_(pa.string()),
        pa.list_(pa.list_(pa.list_(pa.float32()))), pa.binary(), pa.null(),
    ],
    ids=str,
)  # fmt: skip
def test_columns_that_hold_no_vectors(kind: pa.DataType) -> None:
    with pytest.raises(WrongColumns, match=r"Column 'v' of a.parquet is .*: it must hold vectors"):
        check_vectors(pa.schema({"v": kind}), "v", "a.parquet", "r")


def test_a_vector_of_another_size_is_told_with_its_row() -> None:
    column = pa.chunked_array([pa.array([[[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]]])])
    with pytest.raises(
        WrongColumns, match=r"a.parquet has a vector of 3 numbers in row 70, .* takes 2"
    ):
        read_vectors(column, 2, "a.parquet", np.array([4, 70]), first=False)
    assert read_vectors(column, 2, "a", np.array([4, 70]), first=True).counts.tolist() == [1, 1]


def test_the_heads_of_the_tests_read_what_is_planted() -> None:
    rows = judged_corpus.documents(50)
    values = np.array([row["embeddings"][0] for row in rows], np.float32)
    for at, kind in enumerate(("quality", "toxicity")):
        expected = [np.float32(judged_corpus.sigmoid(v)) for v in values[:, at].tolist()]
        assert judged_corpus.head(kind).scores(values).tolist() == pytest.approx(expected, abs=1e-6)
