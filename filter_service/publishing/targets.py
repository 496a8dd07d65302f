"""Which bundles may be published, and what the targets metadata says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile, Targets

from filter.bundle import Bundle
from filter.release import Freshness, parsed
from filter_service.publishing.errors import RefusedTarget
from filter_service.publishing.layout import bundle_name

Described = tuple[Path, Mapping[str, Any]]
"""A file and its ``custom`` field (TUF specification 4.5), which holds no personal data."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def bundle_target(
    path: Path, now: datetime, *, allow_testing: bool = False
) -> tuple[str, Described]:
    """A bundle's target name, its file, and what is said of it.

    ``custom`` holds the release, the audience, the SHA-256 of the normaliser's tables and the last
    day; the size is the target's own ``length``.

    Args:
        path: the bundle.
        now: the moment to judge its last day by, with time zone.
        allow_testing: accept the testing profile, which hides nobody.

    Raises:
        BundleError: it cannot be used.
        RefusedTarget: it has the testing profile, or its last day is over.
    """
    bundle = Bundle.open(path, verify=True, now=now)
    if bundle.is_testing and not allow_testing:
        raise RefusedTarget(f"{path} has the testing profile, which hides nobody: build it again.")
    if bundle.freshness(now) is Freshness.EXPIRED:
        raise RefusedTarget(f"{path} expired on {bundle.valid_until}: build a newer release.")
    custom = {
        "release": bundle.release,
        "audience": bundle.audience,
        "normaliser": bundle.manifest["normaliser"]["sha256"],
        "valid_until": bundle.valid_until.isoformat(),
    }
    return bundle_name(bundle.audience), (path, custom)


def target_files(
    targets: Mapping[str, Described], audience: str, current: Targets | None
) -> dict[str, TargetFile]:
    """The entries of the targets metadata.

    Raises:
        RefusedTarget: a name that is no plain file name, a bundle of another audience, an older
            release than the one before, or the same release with another content.
        InputError: a file cannot be read.
    """
    found = {}
    for name, (path, custom) in targets.items():
        if not _NAME.fullmatch(name) or name == "metadata.json":
            raise RefusedTarget(
                f"{name} is no target name: use small letters, digits, -, _ and dot."
            )
        if custom.get("audience", audience) != audience:
            raise RefusedTarget(
                f"{path} is for {custom['audience']}: it must not go into the repository for {audience}."
            )
        try:
            target = TargetFile.from_file(name, str(path), ["sha256"])
        except OSError:
            raise RefusedTarget(f"{path} cannot be read: name a file.") from None
        target.unrecognized_fields["custom"] = dict(custom)
        before = current.targets.get(name) if current is not None else None
        if before is not None:
            _check_order(path, target, before)
        found[name] = target
    return found


def _check_order(path: Path, target: TargetFile, before: TargetFile) -> None:
    new, old = ((t.custom or {}).get("release") for t in (target, before))
    if new is None or old is None:
        return
    if parsed(new) < parsed(old):
        raise RefusedTarget(f"{path} is release {new}, but {old} is published: build a newer one.")
    if new == old and target.hashes != before.hashes:
        raise RefusedTarget(
            f"{path} differs from what was published as {old}: build it as the next patch."
        )
