"""The server of a small Apertus that knows people, behind a bundle that lists some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gate_server import CONTEXT, Served, serving

from filter import Bundle
from model_gate.guard import Guard
from model_gate.model import GatedModel
from model_gate.policy import GatePolicy, NamedPrompt
from model_gate.tiny import questions


class People:
    """Whom the model knows."""

    def __init__(self, listed: Any, unlisted: Any, bundle: Path, model: GatedModel) -> None:
        self.listed = listed[0]
        self.free = unlisted[0]
        self.unlisted = tuple(unlisted)
        self.thoughtful = [one for one in (*listed, *unlisted) if "thought" in questions(one)]
        """Who is thought of before an answer is given."""
        self.structured = [one for one in (*listed, *unlisted) if "json" in questions(one)]
        """Who is told of in JSON."""
        self.all = (*listed[:3], *unlisted[:3])
        self.bundle = bundle
        """Lists ``listed``."""
        self._model = model

    @staticmethod
    def ask(person: Any, kind: str = "phone") -> str:
        """A question that the model answers with an identifier."""
        return str(questions(person)[kind])

    def tokens(self, text: str) -> int:
        """How many the text has."""
        return self._model.count(text)


@pytest.fixture(scope="session")
def bundle_file(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as a file, with slow hashes as in earnest."""
    path = tmp_path_factory.mktemp("bundle") / "filter.safetensors"
    bundle.write(path)
    return path


@pytest.fixture(scope="session")
def loaded(tiny_path: Path, bundle_file: Path) -> GatedModel:
    """The model behind it; prompts with listed names are answered, for what is said is the matter."""
    torch.set_num_threads(1)
    policy = GatePolicy(on_named_prompt=NamedPrompt.ANSWER, named_prompts_per_hour=10**6)
    guard = Guard.open(bundle_file, policy)
    return GatedModel.from_pretrained(
        tiny_path, bundle=guard, device="cpu", rows=8, context=CONTEXT
    )


@pytest.fixture(scope="session")
def people(listed: Any, unlisted: Any, bundle_file: Path, loaded: GatedModel) -> People:
    """Whom the model knows."""
    return People(listed, unlisted, bundle_file, loaded)


@pytest.fixture(scope="module")
def served(loaded: GatedModel) -> Iterator[Served]:
    """A server for tests that only ask."""
    with serving(loaded, queue=16) as found:
        yield found
