"""From a compiled release to signed repositories, and back into the registry.

Where all keys are at hand (a development set-up) one step does it. In production the keys of root and
targets never meet this machine: `prepare` writes what is to be signed, custodians sign it elsewhere, and
`finish` checks their signatures and adds those of the online keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from filter.compile import AUDIENCES
from filter_service.errors import UnsafeSettings, WrongState
from filter_service.publishing import files, keys, roots, signing
from filter_service.publishing.errors import UnusableKey
from filter_service.publishing.repository import Repository
from filter_service.publishing.targets import Described, bundle_target
from filter_service.registry import Registry
from filter_service.releases import Release

OFFLINE = "offline-keys"
ROOT = "root.json"
"""A copy of the root metadata of version 1, for clients to begin with."""


class Publisher(Protocol):
    """What publishing needs of a service."""

    @property
    def registry(self) -> Registry:
        """The open registry."""
        ...

    @property
    def published(self) -> Path:
        """The folder of the repositories."""
        ...


def publish(service: Publisher, release: str | None, folders: Sequence[Path]) -> dict[str, Any]:
    """Sign and publish a compiled release in one step.

    Args:
        service: an open one.
        release: which; the newest that was compiled by default.
        folders: where the keys of the custodians are, on media say; a development set-up makes its own.

    Raises:
        UnsafeSettings: no keys were named in production.
        WrongState, NotFound: nothing to publish, or not as it is.
    """
    found = _chosen(service, release)
    where = list(folders) or [_development_keys(service)]
    repositories = _repositories(service, where)
    signers = keys.load_offline_keys("targets", where, keys.passphrase())
    online = _online(service)
    for audience, repository in repositories.items():
        repository.publish(
            _targets(service, found, audience), signers, online, service.registry.now
        )
    return _entered(service, found)


def prepare(service: Publisher, release: str | None, out: Path) -> dict[str, Any]:
    """Write what custodians sign into ``out/public`` and ``out/operators``.

    Raises:
        WrongState, NotFound: as `publish`.
    """
    found = _chosen(service, release)
    repositories = _repositories(service, [])
    for audience, repository in repositories.items():
        repository.prepare(out / audience, _targets(service, found, audience), service.registry.now)
    return {"release": found.release, "folder": str(out), "to_sign": list(repositories)}


def sign(proposal: Path, key: Path) -> dict[str, Any]:
    """Add a custodian's signature to both proposals; done where the key is, needs no registry."""
    signer = keys.load_key(key, keys.passphrase())
    return {
        audience: str(signing.sign(proposal / audience, signer))
        for audience in AUDIENCES
        if (proposal / audience).is_dir()
    }


def finish(service: Publisher, release: str | None, proposal: Path) -> dict[str, Any]:
    """Publish signed proposals.

    Raises:
        TooFewSignatures: fewer than two custodians signed.
        WrongState, NotFound: as `publish`.
    """
    found = _chosen(service, release, signed=True)
    online = _online(service)
    for audience, repository in _repositories(service, []).items():
        repository.finish(proposal / audience, online, service.registry.now)
    return _entered(service, found)


def make_root(folders: Sequence[Path], now: datetime) -> bytes:
    """Root metadata of version 1, signed; done where the custodians' root keys are, needs no registry.

    Args:
        folders: hold the public halves of all keys, and two private root keys at least.
        now: the moment from which it is valid, with time zone.

    Raises:
        UnusableKey, UnusableProposal: keys are missing.
    """
    public = {
        role: keys.load_public_keys(role, folders)
        for role in ("root", "targets", "snapshot", "timestamp")
    }
    if not public["snapshot"] or not public["timestamp"]:
        raise UnusableKey("The public online keys are missing: name the folder of *.pub.pem files.")
    root = roots.first_root(
        public["root"], public["targets"], public["snapshot"][0], public["timestamp"][0], now
    )
    return signing.signed(root, keys.load_offline_keys("root", folders, keys.passphrase()))


def create(service: Publisher, folders: Sequence[Path], root: Path | None) -> dict[str, Any]:
    """Make the repositories: with a signed root, or with the custodians' keys in some folders.

    Raises:
        UnusableKey, UnusableRepository: keys are missing, or there is a repository already.
        UnusableProposal: no signed root of version 1.
        UnsafeSettings: the registry is in production, and keys of root are to be read here.
    """
    if root is None and service.registry.settings.production:
        raise UnsafeSettings(
            "Signing keys do not belong on this machine: use make-root elsewhere, then --root."
        )
    if (service.published / ROOT).exists():
        raise WrongState("repository", "There are repositories already; roots are rotated.")
    _create(service, folders, root.read_bytes() if root is not None else None)
    return {"published": str(service.published), "root": str(service.published / ROOT)}


def refresh(service: Publisher) -> dict[str, Any]:
    """Sign snapshot and timestamp for 14 days more; to be done weekly, and done daily by `serve`."""
    online = _online(service)
    done = []
    for audience in AUDIENCES:
        if (service.published / audience / "metadata" / "timestamp.json").exists():
            Repository(service.published, audience).refresh(online, service.registry.now)
            done.append(audience)
    return {"refreshed": done}


def _chosen(service: Publisher, release: str | None, *, signed: bool = False) -> Release:
    releases = service.registry.releases
    if release is None:
        waiting = [one for one in releases.all() if one.published is None]
        if not waiting:
            raise WrongState("nothing", "There is no compiled release: lethe registry compile.")
        release = waiting[0].release
    return releases.check_publishable(release, signed=signed)


def _targets(service: Publisher, found: Release, audience: str) -> dict[str, Described]:
    allow = service.registry.settings.kdf == "testing" and not service.registry.settings.production
    path = service.registry.releases.path(found.release, audience)
    name, described = bundle_target(path, service.registry.now, allow_testing=allow)
    return {name: described}


def _repositories(service: Publisher, folders: Sequence[Path]) -> dict[str, Repository]:
    if not (service.published / ROOT).exists():
        if not folders:
            raise WrongState(
                "no_repository",
                "There is no repository yet: make it with lethe registry create-repository.",
            )
        _create(service, folders)
    return {audience: Repository(service.published, audience) for audience in AUDIENCES}


def _create(service: Publisher, folders: Sequence[Path], root: bytes | None = None) -> None:
    where = service.registry.folder / "keys" / "online"
    if not where.exists():
        keys.make_online_keys(where)
    signed = root or make_root([where, *folders], service.registry.now)
    for audience in AUDIENCES:
        if not (service.published / audience / "metadata" / "1.root.json").exists():
            Repository.create(service.published, audience, signed)
    files.write(service.published / ROOT, signed)
    service.registry.database.write(
        lambda transaction: transaction.audit("admin", "repository_created", "-")
    )


def _development_keys(service: Publisher) -> Path:
    if service.registry.settings.production:
        raise UnsafeSettings(
            "Signing keys do not belong on this machine: use prepare, sign elsewhere, finish."
        )
    folder = service.registry.folder / OFFLINE
    if not folder.exists():
        keys.make_offline_keys(folder)
    return folder


def _online(service: Publisher) -> Any:
    return keys.load_online_keys(service.registry.folder / "keys" / "online", keys.passphrase())


def _entered(service: Publisher, found: Release) -> dict[str, Any]:
    told = service.registry.releases.enter_published(found.release)
    return {
        "release": found.release,
        "published": str(service.published),
        "root": str(service.published / ROOT),
        "requests": told,
    }
