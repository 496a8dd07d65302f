"""The pages for keepers and counsel say what the code does: settings, commands, states, errors, terms."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import filter_service
from filter_service import outgoing, retention, workflow
from filter_service.access import SCOPES
from filter_service.api import metrics
from filter_service.backup import KEY_FILES
from filter_service.evidence import domain_control
from filter_service.model import Evidence, Reason, State
from filter_service.pages import sessions
from filter_service.publishing import layout
from filter_service.releases import LEAST_PERSONS, PATCH_DAYS
from filter_service.settings import MASTER_KEY, Retention, Settings, load
from lethe.registry import app

ROOT = Path(__file__).parents[2]
CODE = Path(filter_service.__file__).parent
REGISTRY = (ROOT / "docs" / "registry.md").read_text("utf-8")
LEGAL = (ROOT / "docs" / "legal.md").read_text("utf-8")
COMMANDS = frozenset(get_command(app).commands)  # type: ignore[attr-defined]
REFUSED = {"UnusableFolder", "UnsafeSettings"}


def rows(page: str) -> dict[str, list[str]]:
    """Rows of tables whose first cell begins with a word in code, by that word."""
    found = re.findall(r"^\| `([^`]+)`[^|]*\|(.*)\|$", page, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in found}


def settings(of: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Names and defaults, of tables with a dot."""
    of = of or Settings()
    for one in fields(of):
        default = getattr(of, one.name)
        if is_dataclass(default):
            yield from settings(default, f"{one.name}.")
        else:
            yield before + one.name, default


def toml(value: Any) -> str:
    """A default as it stands in a settings file."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("name", "default"), list(settings()))
def test_every_setting_is_there_with_its_default(name: str, default: Any) -> None:
    assert rows(REGISTRY)[name][0] == f"`{toml(default)}`"


def test_no_setting_is_made_up() -> None:
    section = REGISTRY.partition("## Settings")[2].partition("\n## ")[0]
    known = {name for name, _ in settings()} | {MASTER_KEY, "LETHE_SMTP_PASSWORD"}
    assert set(rows(section)) - {"LETHE_KEY_PASSPHRASE"} == known


def test_the_settings_of_production_are_taken(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", REGISTRY, re.DOTALL)
    assert example is not None
    (tmp_path / "settings.toml").write_text(example[1])
    assert load(tmp_path).production


def test_every_command_is_there_and_no_other() -> None:
    named = set(re.findall(r"lethe registry ([a-z-]+)", REGISTRY))
    assert named <= COMMANDS
    table = REGISTRY.partition("| command | what it does |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`(?:lethe registry )?([a-z-]+)`", table))
    assert listed >= COMMANDS


def test_options_in_examples_exist() -> None:
    for line in re.findall(r"^lethe registry (.*)$", REGISTRY, re.MULTILINE):
        name, *rest = line.partition("#")[0].split()
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line


@pytest.mark.parametrize("word", [*State, *Reason, *Evidence])
def test_states_reasons_and_evidence_are_there(word: str) -> None:
    assert f"`{word}`" in REGISTRY


@pytest.mark.parametrize("role", SCOPES)
def test_roles_have_their_scopes(role: str) -> None:
    (scopes, *_), expected = rows(REGISTRY)[role], SCOPES[role]  # type: ignore[index]
    assert set(re.findall(r"`([a-z]+)`", scopes)) == set(expected)


@pytest.mark.parametrize("name", KEY_FILES)
def test_every_key_is_there_and_backed_up(name: str) -> None:
    assert "with `backup-keys`" in rows(REGISTRY)[f"keys/{name}"][2]


def test_metrics_are_there() -> None:
    for name, _ in metrics._GAUGES.values():
        assert f"`{name}`" in REGISTRY
    assert "`lethe_writer_alive`" in REGISTRY


def sentences() -> Iterator[str]:
    """What a folder or its settings are refused with: the longest piece of each sentence that never changes."""
    for name in ("settings.py", "database.py", "keyring.py", "backup.py"):
        for node in ast.walk(ast.parse((CODE / name).read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSED:
                yield from _fixed(node.args[0])
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    yield from _fixed(key)


def _fixed(node: ast.AST | None) -> Iterator[str]:
    parts = [
        one.value
        for one in getattr(node, "values", [node])
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    longest = words(max(parts, key=len, default=""))
    if len(longest) > 12:
        yield longest


@pytest.mark.parametrize("sentence", sorted(set(sentences())))
def test_every_refusal_is_explained(sentence: str) -> None:
    table = words(REGISTRY.partition("## Troubleshooting")[2])
    assert sentence in table or "cannot be written (" in sentence


@pytest.mark.parametrize("name", [one.name for one in fields(Retention)])
def test_terms_of_retention_agree(name: str) -> None:
    days = getattr(Retention(), name)
    assert rows(LEGAL)[f"retention.{name}"][0] == str(days)
    assert rows(REGISTRY)[f"retention.{name}"][0] == f"`{days}`"


def test_other_terms_agree() -> None:
    legal, registry = words(LEGAL), words(REGISTRY)
    assert Retention().unverified == workflow.UNVERIFIED_DAYS
    assert f"| appeal | {workflow.APPEAL_DAYS} days |" in legal
    assert f"within {workflow.APPEAL_DAYS} days" in registry
    assert workflow.EXTENSION_MONTHS == 2
    link, code, letter = (
        outgoing.VALID[one] for one in (Evidence.LINK, Evidence.TEXT_MESSAGE, Evidence.LETTER)
    )
    minutes = f"{code.total_seconds() / 60:.0f} minutes"
    assert f"{link.days} days; {minutes}; {letter.days} days |" in legal
    assert [rows(REGISTRY)[one][2] for one in ("link", "text_message", "letter")] == [
        f"{link.days} days",
        minutes,
        f"{letter.days} days",
    ]
    assert (
        f"| deleted rows in the file of the database | {retention.COMPACT_DAYS} days, then" in legal
    )
    assert f"{layout.KEPT.total_seconds() / 3600:.0f} hours, and until" in legal
    assert f"at most every {PATCH_DAYS} days and for at least {LEAST_PERSONS} requests" in registry
    assert f"`{domain_control.LABEL}.HOST`" in REGISTRY
    assert domain_control.PATH in REGISTRY
    assert f"after {sessions.IDLE.seconds // 60} minutes without use" in registry
    assert f"after {sessions.LONGEST.seconds // 3600} hours" in registry


@pytest.mark.parametrize("page", [REGISTRY, LEGAL], ids=["registry", "legal"])
def test_places_within_pages_exist(page: str) -> None:
    for name, anchor in re.findall(r"\]\(([a-z-]*(?:\.md)?)#([^)]+)\)", page):
        text = (ROOT / "docs" / name).read_text("utf-8") if name else page
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in titles}
        assert anchor in slugs, f"{name}#{anchor}"
