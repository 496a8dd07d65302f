"""The server of a small Apertus that knows people, behind a bundle that lists some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gate_server import CONTEXT, Served, serving

from model_gate.model import GatedModel


@pytest.fixture(scope="session")
def loaded(checkpoint: Path, bundle_file: Path) -> GatedModel:
    """The model behind the standard bundle."""
    return GatedModel.from_pretrained(
        checkpoint, bundle=bundle_file, device="cpu", rows=8, context=CONTEXT
    )


@pytest.fixture(scope="module")
def served(loaded: GatedModel) -> Iterator[Served]:
    """A server for tests that only ask."""
    with serving(loaded, queue=16) as found:
        yield found
