"""Settings: what must not meet the public does not; nothing is guessed and no secret is shown."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from filter_service.errors import UnsafeSettings
from filter_service.settings import (
    MASTER_KEY,
    Controller,
    Settings,
    Smtp,
    check,
    load,
    master_key,
)

PRODUCTION = Settings(
    production=True,
    base_url="https://registry.example",
    controller=Controller(
        id="example",
        name="Example",
        address="Street 1, Bern",
        email="dpo@registry.example",
        privacy_notice="https://registry.example/privacy",
    ),
    smtp=Smtp(host="mail.registry.example", sender="no-reply@registry.example"),
    master_key_file="/run/secrets/master.key",
)
SECRET = "5ec7e7" * 10 + "abcd"


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASTER_KEY, raising=False)


def written(folder: Path, text: str) -> Path:
    (folder / "settings.toml").write_text(text, "utf-8")
    return folder


def test_without_a_file_they_are_those_of_development(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()
    assert load(written(tmp_path, "")) == Settings()


def test_what_the_file_says_is_taken_and_the_rest_stays(tmp_path: Path) -> None:
    text = """
        base_url = "https://x.example"
        regions = ["CH", "LI"]
        callbacks = ["https://callback.example/"]
        [controller]
        name = "Überall"
        [limits]
        identities = 3
        [retention]
        case = 10
    """
    found = load(written(tmp_path, text))
    assert found.regions == ("CH", "LI")
    assert found.controller == replace(Controller(), name="Überall")
    assert (found.limits.identities, found.limits.open_requests) == (3, 1_000_000)
    assert found.retention.case == 10
    assert not found.production


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base_url = ", "cannot be read as TOML"),
        ("colour = 'red'", "unknown setting 'colour': remove it"),
        ("[limits]\ncolour = 1", r"\[limits\] has an unknown setting"),
        ("base_url = 3", "base_url must be a string"),
        ("production = 1", "production must be a boolean"),
        ("[limits]\nidentities = true", "identities must be a number"),
        ("[limits]\nidentities = 1.5", "identities must be a number"),
        ("[limits]\nidentities = '9'", "identities must be a number"),
        ("regions = 'CH'", "regions must be a list"),
        ("limits = 3", "limits must be a table"),
        ("kdf = 'fast'", "no kdf of this name"),
        ("[limits]\nidentities = 0", "numbers from 1 on"),
        ("[retention]\ncase = -1", "numbers from 1 on"),
        ("base_url = 'https://x.example/'", "not end with a slash"),
        ("base_url = 'ftp://x.example'", "base_url must begin with"),
    ],
)
def test_what_is_mistyped_is_refused_with_one_sentence(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(UnsafeSettings, match=words) as error:
        load(written(tmp_path, text))
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UnsafeSettings, match="cannot be read"):
        load(tmp_path)


def test_good_settings_of_production_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(PRODUCTION, tmp_path)
    monkeypatch.setenv(MASTER_KEY, SECRET)
    check(replace(PRODUCTION, master_key_file=""), tmp_path)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("base_url", {"base_url": "http://registry.example"}),
        ("kdf", {"kdf": "testing"}),
        ("smtp", {"smtp": Smtp()}),
        ("smtp", {"smtp": Smtp(host="mail.registry.example")}),
        ("smtp", {"smtp": Smtp(sender="no-reply@registry.example")}),
        ("controller", {"controller": Controller()}),
        ("controller", {"controller": replace(PRODUCTION.controller, address="")}),
        ("controller", {"controller": replace(PRODUCTION.controller, name=Controller.name)}),
        ("controller", {"controller": replace(PRODUCTION.controller, email=Controller.email)}),
        ("controller", {"controller": replace(PRODUCTION.controller, privacy_notice="")}),
        ("master_key_file or the variable", {"master_key_file": ""}),
    ],
)
def test_what_must_not_meet_the_public(
    tmp_path: Path, words: str, changed: dict[str, object]
) -> None:
    settings = replace(PRODUCTION, **changed)  # type: ignore[arg-type]
    with pytest.raises(UnsafeSettings, match=words):
        check(settings, tmp_path)
    check(replace(settings, production=False), tmp_path)


def test_neither_master_key_nor_signing_keys_lie_in_the_folder(tmp_path: Path) -> None:
    inside = replace(PRODUCTION, master_key_file=str(tmp_path / "keys" / "master.key"))
    with pytest.raises(UnsafeSettings, match="outside"):
        check(inside, tmp_path)
    folder = tmp_path / "registry"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "link" / "master.key", tmp_path / "x" / ".." / "registry" / "key"):
        with pytest.raises(UnsafeSettings, match="outside"):
            check(replace(PRODUCTION, master_key_file=str(path)), folder)
    (tmp_path / "offline-keys").mkdir()
    with pytest.raises(UnsafeSettings, match="offline-keys"):
        check(PRODUCTION, tmp_path)


def test_a_development_set_up_makes_a_private_master_key_once(tmp_path: Path) -> None:
    key, path = master_key(Settings(), tmp_path)
    assert path is not None
    assert len(key) == 32
    assert master_key(Settings(), tmp_path) == (key, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_production_makes_none(tmp_path: Path) -> None:
    missing = replace(PRODUCTION, master_key_file=str(tmp_path / "none"))
    with pytest.raises(UnsafeSettings, match="cannot be read"):
        master_key(missing, tmp_path)
    with pytest.raises(UnsafeSettings, match="cannot be read"):
        master_key(replace(PRODUCTION, master_key_file=""), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_master_key_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "master.key"
    settings = replace(Settings(), master_key_file=str(path))
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    assert master_key(settings, tmp_path) == (bytes.fromhex(SECRET), path)
    for mode in (0o640, 0o604, 0o620, 0o601):
        path.chmod(mode)
        with pytest.raises(UnsafeSettings, match="chmod 600"):
            master_key(settings, tmp_path)
    path.chmod(0o600)
    for text in ("", SECRET[:-1], SECRET + "00", SECRET[:-1] + "x"):
        path.write_text(text)
        with pytest.raises(UnsafeSettings) as error:
            master_key(settings, tmp_path)
        assert SECRET[:20] not in str(error.value)
        monkeypatch.setenv(MASTER_KEY, text)
        with pytest.raises(UnsafeSettings, match=f"The variable {MASTER_KEY}") as error:
            master_key(settings, tmp_path)
        assert SECRET[:20] not in str(error.value)
        monkeypatch.delenv(MASTER_KEY)
    monkeypatch.setenv(MASTER_KEY, SECRET.upper())
    assert master_key(settings, tmp_path) == (bytes.fromhex(SECRET), None)
    assert os.environ[MASTER_KEY] == SECRET.upper()
