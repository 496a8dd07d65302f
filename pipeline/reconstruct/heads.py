"""Heads: small classifiers over the vectors of a document. Multilayer perceptrons, and how they score.

The score of a vector depends on nothing but the vector and the head:
not on the vectors beside it, the number of threads, the processor or the GPU. Sums in floating point depend on
their order, and every matrix library has its own; so each vector and each row of weights is rounded to
whole numbers (times a power of two) that are small enough for their sums to be exact in a double, in
whatever order. What is rounded away is of the size of what float32 loses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from filter.errors import InputError
from pipeline.errors import UnknownName

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""(weight [out, in], bias [out]) in order."""
KINDS = ("quality", "toxicity")
OUTPUTS = ("sigmoid", "softmax")
POOLS = ("first", "mean", "max")
_LAYERS = 6
"""At most: so many cannot leave the range of doubles, whatever finite weights they have."""
_LANGUAGE = re.compile("[a-z]{3}_[A-Z][a-z]{3}")
_MANTISSA = 53
_BLOCK = 4096
"""Vectors that are multiplied at a time; their number changes nothing but the memory it takes."""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What a head is, beside its weights."""

    kind: str
    """One of `KINDS`. The score says how good or how toxic a document is, from 0 to 1."""
    output: str
    """``sigmoid`` of one number, or ``softmax`` of two."""
    vectors: str
    """The score of a document: that of its ``first`` vector, or the ``mean`` or ``max`` of all scores."""
    positive: int = 1
    """With ``softmax``: which of the two numbers speaks for the kind."""
    languages: tuple[str, ...] = ()
    """ISO 639-3 and ISO 15924, such as ``deu_Latn``; empty for any."""

    def __post_init__(self) -> None:
        for value, allowed in (
            (self.kind, KINDS),
            (self.output, OUTPUTS),
            (self.vectors, POOLS),
            (self.positive, (0, 1)),
        ):
            if value not in allowed:
                said = ", ".join(map(str, allowed))
                raise UnknownName(f"A head cannot be described by {value!r}: use one of {said}.")
        for language in self.languages:
            if not _LANGUAGE.fullmatch(language):
                raise UnknownName(f"{language!r} is no language: write it like deu_Latn.")


class Head:
    """A classifier, ready to score."""

    def __init__(self, spec: HeadSpec, layers: Layers) -> None:
        """``layers`` are (weight [out, in], bias [out]) in order, with a ReLU between any two.

        Raises:
            InputError: the layers do not fit each other or the output, or hold what is no number.
        """
        layers = [(weight.float(), bias.float()) for weight, bias in layers]
        _check(spec, layers)
        self.spec = spec
        self.dimension = int(layers[0][0].shape[1])
        self.weights = layers
        self._device = torch.device("cpu")
        self._layers = [_Exact(weight, bias) for weight, bias in layers]

    def to(self, device: str) -> Self:
        """The head on ``cpu``, ``cuda``, or ``auto``: a GPU if there is one. The scores stay the same.

        Raises:
            InputError: there is no GPU.
        """
        self._device = chosen_device(device)
        for layer in self._layers:
            layer.to(self._device)
        return self

    def scores(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """One score for each of ``vectors`` [n, dimension], which must be finite."""
        # One by one: what an array library computes may depend on the place in the array.
        return np.array([_sigmoid(logit) for logit in self.logits(vectors)], np.float32)

    def logits(self, vectors: npt.NDArray[np.float32]) -> list[float]:
        """What `scores` are the sigmoid of; the same to the last bit whatever stands beside a vector."""
        blocks = [self._logits(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return [logit for block in blocks for logit in block]

    def of_documents(
        self, vectors: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """One score for each document, NaN where it has no vector.

        Args:
            vectors: Those of all documents, one after the other.
            counts: How many each document has.
        """
        scores = self.scores(vectors)
        ends = np.cumsum(counts)
        starts = ends - counts
        found = np.full(len(counts), np.nan, np.float32)
        has = counts > 0
        if self.spec.vectors == "first":
            found[has] = scores[starts[has]]
        elif self.spec.vectors == "max" and has.any():
            found[has] = np.maximum.reduceat(scores, starts[has])
        elif has.any():
            values = scores.tolist()
            pairs = zip(starts[has].tolist(), ends[has].tolist(), strict=True)
            found[has] = [math.fsum(values[a:b]) / (b - a) for a, b in pairs]
        return found

    def _logits(self, block: npt.NDArray[np.float32]) -> list[float]:
        with torch.inference_mode():
            values = torch.from_numpy(np.ascontiguousarray(block)).to(self._device, torch.float64)
            for number, layer in enumerate(self._layers):
                values = layer(values.clamp(min=0) if number else values)
            if self.spec.output == "sigmoid":
                logits = values[:, 0]
            else:
                positive = self.spec.positive
                logits = values[:, positive] - values[:, 1 - positive]
            found: list[float] = logits.cpu().tolist()
            return found


class _Exact:
    """A linear layer whose sums are exact."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        weight, self.bias = weight.double(), bias.double()
        # inputs * 2**bits * 2**bits must not pass 2**53, beyond which doubles leave out whole numbers.
        self.bits = (_MANTISSA - math.ceil(math.log2(weight.shape[1]))) // 2
        self.exponent = _exponent(weight).T
        self.weight = _whole(weight, self.bits - self.exponent.T).T.contiguous()

    def to(self, device: torch.device) -> None:
        self.weight, self.exponent, self.bias = (
            part.to(device) for part in (self.weight, self.exponent, self.bias)
        )

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        exponent = _exponent(values)
        sums = _whole(values, self.bits - exponent) @ self.weight
        return sums * _power(exponent + self.exponent - 2 * self.bits) + self.bias


def _exponent(rows: torch.Tensor) -> torch.Tensor:
    """For each row [n, m] the least e [n, 1] with all values below 2**e."""
    return torch.frexp(rows.abs().amax(dim=1, keepdim=True)).exponent.long()


def _whole(values: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return torch.round(values * _power(shift))


def _power(exponent: torch.Tensor) -> torch.Tensor:
    """2**exponent, made of its bits: `pow` is not exact everywhere."""
    return ((exponent.clamp(-1022, 1023) + 1023) << 52).view(torch.float64)


def _sigmoid(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    small = math.exp(logit)
    return small / (1 + small)


@contextmanager
def one_thread() -> Iterator[None]:
    """Multiply in one thread of the processor while the block runs: runs use processes instead."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(spec: HeadSpec, layers: Layers) -> None:
    shapes = [(tuple(weight.shape), tuple(bias.shape)) for weight, bias in layers]
    if not 0 < len(shapes) <= _LAYERS or any(
        len(w) != 2 or len(b) != 1 or w[0] != b[0] or 0 in w for w, b in shapes
    ):
        raise InputError(
            f"A head has 1 to {_LAYERS} linear layers, each a weight [out, in] and a bias [out]: "
            "these are not."
        )
    if any(first[0] != then[1] for (first, _), (then, _) in pairwise(shapes)):
        raise InputError("The layers of a head must fit each other: one gives what the next takes.")
    wanted = 1 if spec.output == "sigmoid" else 2
    if shapes[-1][1] != (wanted,):
        raise InputError(
            f"A head with {spec.output} ends in {wanted} number{'s' * (wanted > 1)}: this one ends in "
            f"{shapes[-1][1][0]}."
        )
    if not all(torch.isfinite(part).all() for layer in layers for part in layer):
        raise InputError("The weights of a head must be finite float32 numbers: some are not.")


def chosen_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: no such device, here or at all.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise UnknownName(f"There is no device {name!r}: use auto, cpu or cuda.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("No GPU can be used here: leave out --device, or give --device cpu.")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
