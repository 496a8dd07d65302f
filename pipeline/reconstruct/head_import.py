"""Making head files of what people have: plain PyTorch state dictionaries."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from filter.errors import InputError
from pipeline.errors import UnreadableFile
from pipeline.reconstruct.heads import Head, HeadSpec, Layers

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which name trainers put the weights beside other things."""


def imported(path: Path, spec: HeadSpec) -> Head:
    """The head whose linear layers the file at ``path`` holds, in their order.

    The file is what ``torch.save(model.state_dict(), path)`` writes: pairs ``NAME.weight``, ``NAME.bias``
    and nothing else. It is loaded with ``weights_only=True``, so no code in it is run.

    Raises:
        UnreadableFile: it is no such file.
        InputError: the layers are not those of a multilayer perceptron.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be opened: {error.strerror}.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        raise UnreadableFile(
            f"{path} is no file of weights alone: write one with torch.save(model.state_dict(), ...)."
        ) from None
    for name in _WRAPPERS:
        if isinstance(held, dict) and isinstance(held.get(name), dict):
            held = held[name]
    if not isinstance(held, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in held.items()
    ):
        raise UnreadableFile(f"{path} holds other things than weights: give a state_dict.")
    try:
        return Head(spec, _linear(held))
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def _linear(held: dict[str, torch.Tensor]) -> Layers:
    layers: Layers = []
    left = dict(held)
    for name in held:
        stem, _, part = name.rpartition(".")
        bias = f"{stem}.bias" if stem else "bias"
        if part == "weight" and bias in held:
            layers.append((left.pop(name), left.pop(bias)))
    if left:
        raise InputError(
            f"{next(iter(left))!r} belongs to no linear layer with a bias, and a head has no others."
        )
    return layers
