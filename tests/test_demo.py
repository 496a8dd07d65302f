"""``lethe demo`` tells the whole story, and what it says is so."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from filter import Bundle
from filter.nv1 import fold
from lethe import demo_takedown
from lethe.demo import _emptied
from model_gate.tiny_data import PERSONS

ROOT = Path(__file__).parent.parent


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


def test_a_takedown(told: tuple[Path, str]) -> None:
    """What went is gone, the certificate has the hashes that were printed, and the report is of the end."""
    out, said = told
    data, site = out / "rebuilt" / "data", demo_takedown.SITE
    part = said.partition("\nA site opts out the day after\n")[2].partition("\n\n")[0]
    shown = dict(re.findall(r"^  (\w+(?: in)?) {2,}(.*)$", part, re.MULTILINE))
    assert list(shown) == ["asked", "gone", "sha256", "verify", "told in"]

    left = [url.split("/")[2] for url in ds.dataset(data).to_table(["url"])["url"].to_pylist()]
    assert len(left) == 142
    assert site not in left
    ledger = ds.dataset(out / "rebuilt" / "ledger").to_table(filter=ds.field("host") == site)
    assert ledger["verdict"].to_pylist() == ["drop"] * 4
    assert f"{site}, " in shown["asked"]
    assert shown["gone"] == "4 documents, from 2 of 3 files"

    certificate = Path(shown["told in"])
    (line,) = [
        one for one in certificate.read_text(encoding="utf-8").splitlines() if f"`{site}`" in one
    ]
    assert line.endswith("| 4 |")
    told_of = json.loads(certificate.with_suffix(".json").read_text(encoding="utf-8"))
    hashes = {
        one["file"]: (one["before"]["data"], one["after"]["data"]) for one in told_of["files"]
    }
    before, after, name = re.fullmatch(  # type: ignore[union-attr]
        r"(\w{12}) before, (\w{12}) after, of data/(.*)", shown["sha256"]
    ).groups()
    assert before != after
    assert tuple(one[:12] for one in hashes[name]) == (before, after)
    assert hashlib.sha256((data / name).read_bytes()).hexdigest() == hashes[name][1]
    assert re.search(r"\b142\b", (out / "report.html").read_text(encoding="utf-8"))


def test_readme_shows_what_the_demo_prints(told: tuple[Path, str]) -> None:
    out, said = told
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("What the demo prints:\n\n```\n")[2].partition("\n```")[0]
    lines = [line for line in shown.splitlines() if line.strip() not in {"", "..."}]
    printed = iter(said.replace(str(out), "demo-out").splitlines())
    assert len(lines) > 20
    assert [line for line in lines if line not in printed] == []  # each after the one before


def test_a_demo_replaces_an_earlier_one(told: tuple[Path, str], tmp_path: Path) -> None:
    for left in told[0].iterdir():
        (tmp_path / left.name).touch()
    _emptied(tmp_path)
    assert list(tmp_path.iterdir()) == []


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
