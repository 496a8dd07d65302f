"""``from model_gate import ...`` where the packages of its extra are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest


def imported(missing: str, name: str) -> str:
    """The last line of what it says, where there is no such package."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None\nfrom model_gate import {name}\nprint('fine')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return (found.stdout + found.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["GatedModel", "Generation", "Sampling"])
def test_it_says_what_to_install(name: str) -> None:
    said = imported("torch", name)
    assert said.startswith("ImportError: ")
    assert f"{name} needs the package 'torch': pip install 'lethe-llm[gate]'" in said


@pytest.mark.parametrize("name", ["Guard", "GatePolicy", "Speech"])
def test_what_needs_no_torch_does_without(name: str) -> None:
    assert imported("torch", name) == "fine"


def test_a_part_of_our_own_that_is_missing_is_an_error_of_ours() -> None:
    assert "pip install" not in imported("model_gate.guard", "Guard")
