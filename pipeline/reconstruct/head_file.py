"""The file format of heads: safetensors, with what the head is in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from filter.errors import InputError
from pipeline.atomic import replacing
from pipeline.errors import UnknownName, UnreadableFile, WrongVersion
from pipeline.reconstruct.heads import Head, HeadSpec, Layers

_FORMAT, _VERSION = "lethe-head", "1"
_ACTIVATION = "relu"


def read_head(path: Path) -> Head:
    """Read a head file.

    Raises:
        UnreadableFile: there is none, or it is damaged.
        WrongVersion: it is a head of a newer format.
        InputError: it is no head.
    """
    try:
        with safe_open(path, "pt") as file:
            held = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        raise UnreadableFile(
            f"{path} is no head file: make one with `lethe reconstruct head import`."
        ) from None
    if held.get("format") != _FORMAT:
        raise InputError(
            f"{path} holds weights, but does not say of what: make a head of them with `lethe "
            "reconstruct head import`."
        )
    if held.get("version") != _VERSION:
        raise WrongVersion(
            f"{path} is a head of format {held.get('version')}: this Lethe reads format {_VERSION}."
        )
    try:
        head = Head(_spec(held), _layers(tensors))
        if int(held["dimension"]) != head.dimension:
            raise ValueError("its dimension is another than that of its weights")  # noqa: TRY301
    except (KeyError, ValueError) as error:
        raise UnreadableFile(f"{path} is damaged ({error}): make it again.") from None
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None
    return head


def write_head(head: Head, path: Path) -> None:
    """Write it as a head file; the same head gives the same octets."""
    said = {
        "format": _FORMAT,
        "version": _VERSION,
        "kind": head.spec.kind,
        "dimension": str(head.dimension),
        "activation": _ACTIVATION,
        "output": head.spec.output,
        "positive": str(head.spec.positive),
        "vectors": head.spec.vectors,
        "languages": " ".join(head.spec.languages),
    }
    with replacing(path) as temporary:
        temporary.write_bytes(_octets(head.weights, said))


def _spec(held: dict[str, str]) -> HeadSpec:
    """What the metadata of a head file says.

    Raises:
        KeyError, ValueError: they do not say it.
    """
    if held["activation"] != _ACTIVATION:
        raise UnknownName(
            f"it has {held['activation']!r} between its layers: only {_ACTIVATION} is known."
        )
    return HeadSpec(
        kind=held["kind"],
        output=held["output"],
        vectors=held["vectors"],
        positive=int(held["positive"]),
        languages=tuple(held["languages"].split()),
    )


def _layers(tensors: dict[str, torch.Tensor]) -> Layers:
    if not tensors or len(tensors) % 2:
        raise ValueError("its layers are not pairs of weight and bias")
    count = len(tensors) // 2
    return [(tensors[f"layers.{n}.weight"], tensors[f"layers.{n}.bias"]) for n in range(count)]


def _octets(layers: Layers, said: dict[str, str]) -> bytes:
    """A safetensors file: the library writes the metadata in another order each time."""
    header: dict[str, Any] = {"__metadata__": said}
    parts: list[bytes] = []
    at = 0
    for number, layer in enumerate(layers):
        for name, part in zip(("weight", "bias"), layer, strict=True):
            parts.append(part.contiguous().numpy().astype("<f4").tobytes())
            header[f"layers.{number}.{name}"] = {
                "dtype": "F32",
                "shape": list(part.shape),
                "data_offsets": [at, at + len(parts[-1])],
            }
            at += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])
