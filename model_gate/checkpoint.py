"""Loading a checkpoint: Apertus, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from filter.errors import InputError
from model_gate.errors import CheckpointError, NeedsFork, NotApertus, NoTokenizer

_LATER = re.compile(r"apertus[-_. ]?v?(?:1[-_.p]?5|[2-9])", re.IGNORECASE)
"""Apertus 1.5 and later, as they may call themselves."""
_VERSIONS = ("apertus_version", "model_version", "version")
"""Where a config may say it too."""
_FEWEST_TOKENS = 256
"""Of a byte-level vocabulary."""
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Checkpoint(NamedTuple):
    """A model ready to decode."""

    model: Any
    tokenizer: Any
    eos: frozenset[int]
    """Ids of tokens that end an answer."""


def load(path: str | Path, device: str = "auto", dtype: str = "auto") -> Checkpoint:
    """Load an Apertus checkpoint, base or Instruct.

    Args:
        path: a folder, or a name on a model hub.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...; ``auto`` takes a GPU where there is one.
        dtype: ``float32``, ``bfloat16``, ``float16``; ``auto`` is the checkpoint's, on a CPU too:
            in float32 an 8B model would take twice the memory.

    Raises:
        NotApertus: a model of another architecture.
        NeedsFork: Apertus 1.5, which the released libraries cannot run.
        NoTokenizer: none beside the weights.
        CheckpointError: no checkpoint, or unreadable weights.
        InputError: no such device or dtype.
    """
    from transformers import AutoTokenizer
    from transformers.models.apertus import ApertusForCausalLM

    name = str(path)
    place = _device(device)
    kind = _dtype(dtype)
    if Path(name).exists() or name.startswith((".", "/", "~")):
        _check_folder(Path(name).expanduser())
        name = str(Path(name).expanduser())
    elif name.count("/") != 1:
        raise CheckpointError(
            f"There is no folder {name}: name one that holds an Apertus checkpoint, or one on a hub "
            "as owner/name."
        )
    else:
        _check_config(_config_of(name), name)
    # Code that comes with a checkpoint is never run, nor is anybody asked whether it may.
    options: dict[str, Any] = {"trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise NoTokenizer(
            f"{name} has no tokenizer that can be read ({type(error).__name__}): put tokenizer.json "
            "and tokenizer_config.json beside the weights."
        ) from None
    try:
        model, found = ApertusForCausalLM.from_pretrained(
            name, dtype=kind, attn_implementation="sdpa", output_loading_info=True, **options
        )
    except Exception as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        raise CheckpointError(
            f"{name} has no weights that can be read ({type(error).__name__}): download the "
            "checkpoint again."
        ) from None
    # transformers makes up what is missing, and only warns.
    if missing := found["missing_keys"]:
        raise CheckpointError(
            f"{name} lacks {len(missing)} of its weights: download the checkpoint again."
        )
    if not _FEWEST_TOKENS <= len(tokenizer) <= model.config.vocab_size:
        raise NoTokenizer(
            f"{name} has a tokenizer of {len(tokenizer)} tokens and a model of "
            f"{model.config.vocab_size}: put its own tokenizer.json beside the weights."
        )
    return Checkpoint(model.eval().to(place), tokenizer, _eos(model, tokenizer))


def _config_of(name: str) -> dict[str, Any]:
    """The config of a checkpoint on a hub, before anything large is downloaded."""
    from transformers import PretrainedConfig

    try:
        config: dict[str, Any] = PretrainedConfig.get_config_dict(name)[0]
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name} is neither a folder here nor a checkpoint that the hub gives out "
            f"({type(error).__name__}): name a folder, or log in to the hub."
        ) from None
    return config


_ROPE = {
    "rope_theta": 12_000_000.0,
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 8192,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}
"""Apertus' own positions, which transformers 4 takes where it cannot read a config's."""


def reads_positions(config: dict[str, Any], version: str) -> bool:
    """Whether a version of transformers places the tokens of a checkpoint as its config says.

    Version 5 writes ``rope_parameters``, of which version 4 knows nothing, nor does it say so.
    """
    parameters = config.get("rope_parameters")
    if not isinstance(parameters, dict) or not version.startswith("4."):
        return True
    return all(_ROPE.get(name) == value for name, value in parameters.items())


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder: name one that holds an Apertus checkpoint."
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CheckpointError(
            f"{folder} has no config.json that can be read: name a folder that holds an Apertus "
            "checkpoint."
        ) from None
    _check_config(config if isinstance(config, dict) else {}, str(folder))
    # Without it transformers may make one up that knows nothing.
    if not (folder / "tokenizer.json").is_file():
        raise NoTokenizer(
            f"{folder} has no tokenizer: put tokenizer.json and tokenizer_config.json beside the weights."
        )


def _check_config(config: dict[str, Any], name: str) -> None:
    kind = str(config.get("model_type", ""))
    architectures = config.get("architectures") or []
    names = [kind, *map(str, architectures if isinstance(architectures, list) else [])]
    if any(map(_LATER.search, names)) or (
        kind.startswith("apertus") and any(_is_later(config.get(key)) for key in _VERSIONS)
    ):
        raise NeedsFork(
            f"{name} is Apertus 1.5 or later, which needs forks of transformers and vLLM: serve it with "
            "those, and put lethe gate proxy before them."
        )
    if not reads_positions(config, transformers.__version__):
        raise CheckpointError(
            f"{name} was saved by transformers 5 with positions that version 4 cannot read: update "
            "transformers."
        )
    if kind != "apertus":
        raise NotApertus(
            f"{name} is no Apertus checkpoint but {kind or 'of no known kind'}: serve it with another "
            "engine, and put lethe gate proxy before that."
        )


def _is_later(version: object) -> bool:
    """Whether a version is above 1.0, as far as it is one."""
    found = re.match(r"v?(\d+(?:\.\d+)?)", str(version), re.IGNORECASE)
    return found is not None and 1 < float(found[1]) < 100


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):
        raise InputError("There is no such device here: use cpu, cuda or auto.") from None
    return found


def _dtype(dtype: str) -> Any:
    if dtype == "auto":
        return "auto"
    if dtype not in _DTYPES:
        raise InputError(f"There is no such dtype: use {', '.join(_DTYPES)} or auto.")
    return _DTYPES[dtype]


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for ids in (model.generation_config.eos_token_id, model.config.eos_token_id):
        if ids is not None:
            found.update(ids if isinstance(ids, list) else [ids])
    if not found and tokenizer.eos_token_id is not None:
        found.add(tokenizer.eos_token_id)
    return frozenset(found)
