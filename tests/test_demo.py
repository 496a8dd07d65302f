"""``lethe demo`` tells the whole story, and what it says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from filter import Bundle


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "lethe", "demo", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_corpus_half(told: tuple[Path, str]) -> None:
    out, said = told
    assert "253 documents came in, 146 stayed: 107 opted out (42.3%)." in said.replace(
        "\u202f", " "
    )
    assert (out / "report.html").is_file()


def test_the_half_of_a_person(told: tuple[Path, str]) -> None:
    out, said = told
    assert re.search(r"first-reviewer +in_review\n +second-reviewer +accepted\n", said)
    assert (
        "after     [name removed] wrote it; ask [name removed] ([email removed]), "
        "not Mirabelle Tschanz." in said
    )
    assert "10 of 10 canaries stopped" in said
    bundle = Bundle.open(out / "operator" / "lethe-operators.safetensors", verify=True)
    assert f"release {bundle.release}, valid until {bundle.valid_until}" in said
    assert not bundle.is_testing


def test_the_registry_of_the_demo_can_be_used(told: tuple[Path, str]) -> None:
    out, _ = told
    shown = subprocess.run(
        [sys.executable, "-m", "lethe", "registry", "verify-audit", "--folder", out / "registry"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"entries +\d+\nhead +[0-9a-f]{64}\n", shown.stdout)


def test_only_an_earlier_demo_is_replaced(told: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = subprocess.run(
        [sys.executable, "-m", "lethe", "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"
