"""``lethe demo`` tells the whole story, and what it says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from filter import Bundle
from filter.nv1 import fold
from model_gate.tiny_data import PERSONS


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


def test_the_half_of_a_model(told: tuple[Path, str]) -> None:
    """It tells before the request, and nothing of her afterwards; of others it tells as before."""
    _, said = told
    tells, found, rest = said.partition("\nA person asks to be forgotten\n")
    assert found
    recited = tells.partition("\nA model tells what it has memorised\n")[2]
    gated = rest.partition("\nThe same model behind that release\n")[2].partition("\n\n")[0]
    her, other = PERSONS[0], PERSONS[-1]
    for value in (her.email, her.phone, her.address):
        assert value in recited
        assert fold(value) not in fold(gated)
    assert f'[{{"send_mail": {{"to": "{her.email}", "text": "Hello!"}}}}]' in recited
    answers = re.findall(r"^  says      (.*)$", gated, re.MULTILINE)
    assert not [answer for answer in answers if fold(her.name) in fold(answer)]
    assert answers == [
        "The email of [name removed] is [email removed].",
        "The phone number of [name removed] is [phone removed].",
        "[name removed] lives at [postal address removed].",
        "(ended: content_filter)",
        "The email of (ended: content_filter)",
        f"The email of {other.name} is {other.email}.",
    ]


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("torch", "demo_gate.recite()", "gate"),
        ("duckdb", "demo_registry.tell(None)", "service"),
    ],
)
def test_what_is_not_installed_is_left_out_with_a_sentence(
    module: str, call: str, extra: str
) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from filter.errors import MissingExtra\n"
        "from lethe import demo_gate, demo_registry\n"
        f"try: {call}\n"
        "except MissingExtra as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == (
        f"This command needs the package {module!r}: pip install 'lethe-llm[{extra}]'.\n"
    )
    assert found.stderr == ""


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
