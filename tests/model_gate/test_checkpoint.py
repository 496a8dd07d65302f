"""Apertus is loaded whole, and anything else refused in one sentence that says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import random_apertus
import torch
from random_apertus import EOS
from safetensors.torch import load_file, save_file

from filter.errors import InputError
from model_gate.checkpoint import load
from model_gate.errors import CheckpointError, NeedsFork, NotApertus, NoTokenizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apertus")
    model = random_apertus.model().to(torch.bfloat16)
    model.generation_config.eos_token_id = [EOS, 7]
    model.save_pretrained(folder)
    random_apertus.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def change(folder: Path, name: str = "config.json", **values: Any) -> None:
    config = json.loads((folder / name).read_text())
    config.update(values)
    (folder / name).write_text(json.dumps(config))


def refused(folder: Path | str, kind: type[InputError], *words: str, **options: str) -> None:
    with pytest.raises(InputError) as found:
        load(folder, **options)
    assert found.type is kind
    message = str(found.value)
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_it_is_loaded_as_it_was_saved(whole: Path) -> None:
    found = load(whole)
    assert found.model.dtype == torch.bfloat16
    assert not found.model.training
    assert found.model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert found.eos == {EOS, 7}
    saved = random_apertus.model().state_dict()
    for name, weights in found.model.state_dict().items():
        assert weights.float().cpu().equal(saved[name].to(torch.bfloat16).float())
    assert found.tokenizer.get_vocab() == random_apertus.tokenizer().get_vocab()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes(whole: Path, dtype: str) -> None:
    assert load(str(whole), "cpu", dtype).model.dtype == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("generation", "config", "eos"),
    [(None, 2, {2}), ([2, 9], [5], {2, 5, 9}), (6, None, {6}), (None, None, {EOS})],
    ids=["config", "both", "generation", "tokenizer"],
)
def test_ends(folder: Path, generation: Any, config: Any, eos: set[int]) -> None:
    change(folder, eos_token_id=config)
    change(folder, "generation_config.json", eos_token_id=generation)
    assert load(folder, "cpu").eos == eos


def test_tied_weights_lack_nothing(tmp_path: Path) -> None:
    random_apertus.model(tie_word_embeddings=True).save_pretrained(tmp_path)
    random_apertus.tokenizer().save_pretrained(tmp_path)
    model = load(tmp_path, "cpu").model
    assert model.lm_head.weight.equal(model.get_input_embeddings().weight)


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [
        ("llama", "LlamaForCausalLM"),
        ("mistral", "MistralForCausalLM"),
        ("", ""),
        ("apertus2509x", ""),
    ],
)
def test_other_models(folder: Path, model_type: str, architecture: str) -> None:
    change(folder, model_type=model_type, architectures=[architecture])
    kind = NeedsFork if model_type.startswith("apertus") else NotApertus
    refused(folder, kind, "lethe gate proxy", model_type if kind is NotApertus else "forks")


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "apertus1_5"},
        {"model_type": "apertus_v1.5"},
        {"model_type": "apertus15"},
        {"model_type": "apertus-1p5"},
        {"model_type": "apertus2"},
        {"architectures": ["ApertusV15ForCausalLM"]},
        {"architectures": ["Apertus1_5ForConditionalGeneration"]},
        {"apertus_version": "1.5"},
        {"model_version": 1.5},
        {"version": "v2.0"},
    ],
    ids=str,
)
def test_apertus_of_another_generation(folder: Path, values: dict[str, Any]) -> None:
    change(folder, **values)
    refused(folder, NeedsFork, "Apertus 1.5", "forks of transformers and vLLM", "lethe gate proxy")


@pytest.mark.parametrize(
    "values", [{"version": "1.0"}, {"version": "2509"}, {"version": None}], ids=str
)
def test_other_versions_are_no_reason(folder: Path, values: dict[str, Any]) -> None:
    change(folder, **values)
    load(folder, "cpu")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_a_weight(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, {"format": "pt"})


def change_a_shape(folder: Path) -> None:
    change(folder, hidden_size=32)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "model.safetensors").unlink(), ("weights", "download")),
        (lambda f: cut(f / "model.safetensors"), ("weights", "download")),
        (lambda f: (f / "model.safetensors").write_bytes(b""), ("weights", "download")),
        (drop_a_weight, ("lacks 1 of its weights", "download")),
        (change_a_shape, ("weights", "download")),
        (lambda f: (f / "config.json").unlink(), ("config.json", "name a folder")),
        (lambda f: (f / "config.json").write_text("{"), ("config.json", "name a folder")),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), ("config.json", "name a folder")),
    ],
    ids=["none", "cut", "empty", "one missing", "shape", "no config", "half a config", "no text"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_whole(
    folder: Path, spoil: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    spoil(folder)
    refused(folder, CheckpointError, *words)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: [path.unlink() for path in f.glob("tokenizer*")],
        lambda f: (f / "tokenizer.json").unlink(),
        lambda f: cut(f / "tokenizer.json"),
        lambda f: (f / "tokenizer.json").write_text("{}"),
        lambda f: (f / "tokenizer_config.json").write_text("["),
    ],
    ids=["none", "only its config", "cut", "empty", "its config cut"],
)
def test_tokenizers_that_cannot_be_read(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder)
    refused(folder, NoTokenizer, "tokenizer.json", "beside the weights")


def test_no_tokenizer_is_made_up(folder: Path) -> None:
    """transformers makes one of four tokens where it knows the class and finds no file."""
    (folder / "tokenizer.json").unlink()
    change(folder, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    refused(folder, NoTokenizer, "has no tokenizer")


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    """Its ids would be none of the model's."""
    tokenizer = random_apertus.tokenizer()
    tokenizer.add_tokens([f"word{number}" for number in range(10)])
    tokenizer.save_pretrained(folder)
    refused(folder, NoTokenizer, str(len(tokenizer)), str(random_apertus.VOCABULARY))
    change(folder, "tokenizer.json", added_tokens=[])
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    model["vocab"] = {token: n for token, n in model["vocab"].items() if n < 200}
    change(folder, "tokenizer.json", model={**model, "merges": []})
    refused(folder, NoTokenizer, "tokens and a model of 420")


def test_code_in_a_checkpoint_is_not_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    change(folder, auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"})
    change(
        folder,
        "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["own.Own", "own.Own"]},
        tokenizer_class="Own",
    )
    refused(folder, NoTokenizer)
    assert not ran.exists()


def test_what_is_no_folder(tmp_path: Path, whole: Path) -> None:
    refused(tmp_path / "nothing", CheckpointError, "not a folder")
    refused(whole / "config.json", CheckpointError, "not a folder")
    refused(tmp_path, CheckpointError, "config.json")


def test_a_name_that_no_hub_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants
    import transformers.utils.hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(transformers.utils.hub, "is_offline_mode", lambda: True)
    refused("example/no-such-checkpoint", CheckpointError, "neither a folder", "hub")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "toaster"}, ("device", "cpu")),
        ({"device": "cuda:99"}, ("device", "cpu")),
        ({"dtype": "int3"}, ("dtype", "float32")),
    ],
    ids=str,
)
def test_options_that_cannot_be(
    whole: Path, options: dict[str, str], words: tuple[str, ...]
) -> None:
    refused(whole, InputError, *words, **options)


@pytest.mark.parametrize(
    ("config", "version", "reads"),
    [
        ({}, "4.56.2", True),
        ({"rope_theta": 5.0}, "4.56.2", True),
        ({"rope_parameters": {"rope_theta": 12_000_000.0, "rope_type": "llama3", "factor": 8.0}}, "4.56.2", True),
        ({"rope_parameters": {"rope_theta": 500_000.0, "rope_type": "llama3"}}, "4.56.2", False),
        ({"rope_parameters": {"rope_theta": 12_000_000.0, "rope_type": "yarn"}}, "4.57.0", False),
        ({"rope_parameters": {"rope_theta": 500_000.0}}, "5.24.0", True),
    ],
)  # fmt: skip
def test_positions_that_an_older_version_would_misplace(
    config: dict[str, object], version: str, reads: bool
) -> None:
    from model_gate.checkpoint import reads_positions

    assert reads_positions(config, version) is reads
