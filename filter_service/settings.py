"""Settings of a registry: one TOML file in its folder, checked before anybody is let in."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from filter.kdf import PROFILES
from filter_service.errors import UnsafeSettings
from filter_service.keyring import KEY_BYTES, private_folder, write_private
from filter_service.workflow import UNVERIFIED_DAYS

FILE = "settings.toml"
MASTER_KEY = "LETHE_MASTER_KEY"
"""Environment variable with the master key, 64 hexadecimal digits."""


@dataclass(frozen=True)
class Controller:
    """Who decides about the requests; named in every answer (GDPR 13, FADP 19)."""

    id: str = "lethe-development"
    name: str = "Development registry"
    address: str = ""
    email: str = "registry@lethe.example"
    authority: str = "Federal Data Protection and Information Commissioner, Bern"
    """To whom a person may complain (GDPR 77)."""
    privacy_notice: str = ""
    """URL."""


@dataclass(frozen=True)
class Smtp:
    """How e-mail leaves; without a host it goes to the outbox folder."""

    host: str = ""
    port: int = 0
    """0 is the usual one of ``security``."""
    security: str = "starttls"
    """``starttls``, ``tls``, or ``none`` for a relay on this machine."""
    user: str = ""
    password_variable: str = "LETHE_SMTP_PASSWORD"
    sender: str = ""


@dataclass(frozen=True)
class Limits:
    """How often somebody may do something."""

    requests_an_hour_by_address: int = 20
    """By IP address (IPv6: by /64 network)."""
    reads_a_minute_by_address: int = 120
    requests_a_minute_by_key: int = 12_000
    identities: int = 50
    """Of one request."""
    open_requests: int = 1_000_000
    """Unverified ones; beyond it new ones are refused."""


@dataclass(frozen=True)
class Retention:
    """For how long what is kept; days."""

    @property
    def unverified(self) -> int:
        """Requests that nobody confirmed; no setting, since links are valid as long."""
        return UNVERIFIED_DAYS

    case: int = 3 * 365
    """After a request is closed."""
    messages: int = 30
    key_backups: int = 30


@dataclass(frozen=True)
class Settings:
    """All of them; the defaults are those of a development set-up on this machine."""

    production: bool = False
    base_url: str = "http://127.0.0.1:8000"
    controller: Controller = field(default_factory=Controller)
    smtp: Smtp = field(default_factory=Smtp)
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose ``X-Forwarded-For`` is believed."""
    callbacks: tuple[str, ...] = ()
    """Addresses that status callbacks may go to."""
    regions: tuple[str, ...] = ("CH",)
    family: str = "lethe"
    kdf: str = "standard"
    master_key_file: str = ""
    clean_sample: str = ""
    """Text in which an entry must not be found often; the built-in sample by default."""
    terms: str = "2026-07"
    """Version of the terms that operators accept."""


def load(folder: Path) -> Settings:
    """The settings of a registry folder, defaults where there are none.

    Raises:
        UnsafeSettings: unknown or mistyped settings, or some that must not meet the public.
    """
    path = folder / FILE
    if not path.exists():
        return Settings()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise UnsafeSettings(f"{path} cannot be read as TOML: mend it.") from None
    settings: Settings = _filled(Settings, content, str(path))
    check(settings, folder)
    return settings


def check(settings: Settings, folder: Path) -> None:
    """Refuse settings that would put people at risk.

    Raises:
        UnsafeSettings: says which, and what to do.
    """
    if settings.kdf not in PROFILES:
        raise UnsafeSettings(f"There is no kdf of this name: use {' or '.join(PROFILES)}.")
    if not settings.base_url.startswith(("http://", "https://")) or settings.base_url.endswith("/"):
        raise UnsafeSettings("base_url must begin with https:// and not end with a slash.")
    if any(
        value < 1 for part in (settings.limits, settings.retention) for value in vars(part).values()
    ):
        raise UnsafeSettings("Limits and retention are numbers from 1 on: raise the lower ones.")
    if not settings.production:
        return
    where = Path(settings.master_key_file).resolve() if settings.master_key_file else None
    wrong = {
        "base_url must begin with https:// in production.": not settings.base_url.startswith(
            "https://"
        ),
        "kdf must be standard in production.": settings.kdf != "standard",
        "smtp.host and smtp.sender must be set in production.": not (
            settings.smtp.host and settings.smtp.sender
        ),
        "controller must name who you are in production: id, name, address, email, privacy_notice.": (
            settings.controller.id == Controller.id
            or settings.controller.name == Controller.name
            or settings.controller.email == Controller.email
            or not settings.controller.address
            or not settings.controller.privacy_notice
        ),
        f"master_key_file or the variable {MASTER_KEY} must be set in production.": (
            where is None and MASTER_KEY not in os.environ
        ),
        "master_key_file must lie outside of the registry folder.": (
            where is not None and where.is_relative_to(folder.resolve())
        ),
        "The folder offline-keys must be moved off this machine in production.": (
            folder / "offline-keys"
        ).exists(),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise UnsafeSettings(message)


def master_key(settings: Settings, folder: Path) -> tuple[bytes, Path | None]:
    """The master key, and the file that it is in; a development set-up makes one.

    Raises:
        UnsafeSettings: it is missing, readable by others, or no key.
    """
    if MASTER_KEY in os.environ:
        return _hexadecimal(os.environ[MASTER_KEY], f"The variable {MASTER_KEY}"), None
    if settings.master_key_file:
        path = Path(settings.master_key_file)
    else:
        path = folder / "keys" / "master.key"
        fresh = not (folder / "keys" / "data.keys").exists()
        if fresh and not path.exists() and not settings.production:
            private_folder(path.parent)
            write_private(path, os.urandom(KEY_BYTES).hex().encode() + b"\n")
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise UnsafeSettings(f"The master key {path} cannot be read: make it available.") from None
    if mode & 0o077:
        raise UnsafeSettings(f"Others may read the master key {path}: chmod 600 it.")
    return _hexadecimal(text.strip(), str(path)), path


_TOML = {bool: "boolean", int: "number", str: "string", tuple: "list"}


def _hexadecimal(text: str, name: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UnsafeSettings(
            f"{name} is not a key of {2 * KEY_BYTES} hexadecimal digits: make one."
        )
    return key


def _filled(made: Any, content: dict[str, Any], where: str) -> Any:
    known = {one.name: one for one in fields(made)}
    values: dict[str, Any] = {}
    default = made()
    for name, value in content.items():
        if name not in known:
            raise UnsafeSettings(f"{where} has an unknown setting {name!r}: remove it.")
        expected = getattr(default, name)
        if hasattr(expected, "__dataclass_fields__") and isinstance(value, dict):
            values[name] = _filled(type(expected), value, f"{where}, [{name}]")
            continue
        given = tuple(value) if isinstance(value, list) else value
        if type(given) is not type(expected):
            raise UnsafeSettings(
                f"{where}: {name} must be a {_TOML.get(type(expected), 'table')}: mend it."
            )
        values[name] = given
    return made(**values)
