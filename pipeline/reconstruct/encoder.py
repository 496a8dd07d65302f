"""Texts to vectors, by an encoder of transformers. The one place that loads one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from pipeline.errors import UnreadableFile
from pipeline.reconstruct.heads import chosen_device

PIECE = 512
"""Tokens of a piece at most, those included that mark its begin and end."""
_PARTS = (".json", ".safetensors", ".bin", ".model", ".txt")


class Encoder:
    """A model that gives each piece of a text a vector: the mean of its tokens' last hidden states."""

    def __init__(self, path: Path, device: str = "auto") -> None:
        """Load the encoder in the folder ``path``. No code in it is run, nothing is fetched.

        Raises:
            UnreadableFile: there is none, or one without what is needed.
            InputError: no such device.
        """
        self._device = chosen_device(device)
        if not path.is_dir():
            raise UnreadableFile(f"{path} is no folder: give that of a text encoder for --encoder.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            model = AutoModel.from_pretrained(path, local_files_only=True, dtype=torch.float32)
        except Exception as error:  # whatever transformers raises is about this folder
            raise UnreadableFile(
                f"{path} holds no text encoder that transformers can load ({type(error).__name__}): give a "
                "folder with config.json, weights and tokenizer.json."
            ) from error
        if not self._tokenizer.is_fast or self._tokenizer.pad_token_id is None:
            raise UnreadableFile(
                f"The tokenizer in {path} cannot cut texts into pieces: give one with tokenizer.json and "
                "a padding token."
            )
        self._model = model.to(self._device).eval()
        self.dimension = int(model.config.hidden_size)
        self.piece = min(PIECE, self._tokenizer.model_max_length)
        self.digest = _digest(path)

    def encode(self, texts: Sequence[str | None], batch: int) -> list[npt.NDArray[np.float32]]:
        """For each text its vectors [pieces, dimension], none where there is no text.

        Pieces of equal length are computed together, ``batch`` at a time, so none is padded. What comes
        out for a text depends on the others only within the rounding of float32.
        """
        pieces, owners = self._cut(texts)
        vectors = np.zeros((len(pieces), self.dimension), np.float32)
        by_length = sorted(range(len(pieces)), key=lambda n: len(pieces[n]))
        for _, group in groupby(by_length, key=lambda n: len(pieces[n])):
            numbers = list(group)
            for start in range(0, len(numbers), batch):
                some = numbers[start : start + batch]
                vectors[some] = self._means([pieces[n] for n in some])
        ends = np.searchsorted(owners, np.arange(len(texts)), side="right")
        starts = np.searchsorted(owners, np.arange(len(texts)), side="left")
        return [vectors[a:b] for a, b in zip(starts, ends, strict=True)]

    def _cut(self, texts: Sequence[str | None]) -> tuple[list[list[int]], npt.NDArray[np.int64]]:
        """The tokens of all pieces, and which text each is of."""
        there = [n for n, text in enumerate(texts) if text and not text.isspace()]
        if not there:
            return [], np.zeros(0, np.int64)
        found = self._tokenizer(
            [texts[n] for n in there],
            truncation=True,
            max_length=self.piece,
            return_overflowing_tokens=True,
            return_attention_mask=False,
        )
        owners = np.array(there, np.int64)[found["overflow_to_sample_mapping"]]
        return found["input_ids"], owners

    def _means(self, pieces: list[list[int]]) -> npt.NDArray[np.float32]:
        ids = torch.tensor(pieces, device=self._device)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=torch.ones_like(ids))
            means: npt.NDArray[np.float32] = states.last_hidden_state.mean(dim=1).cpu().numpy()
        return means


def _digest(path: Path) -> str:
    """SHA-256 over everything that decides what the encoder computes."""
    digest = hashlib.sha256()
    for part in sorted(p for p in path.iterdir() if p.suffix in _PARTS and p.is_file()):
        with part.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{part.name} {inner}\n".encode())
    return digest.hexdigest()
