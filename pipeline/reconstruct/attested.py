"""Whether the provenance of a corpus is that of its files."""

from __future__ import annotations

import json
from typing import Any

from filter.errors import InputError
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct import policies
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.provenance import NAME, policy_digests, sha256, statement


def attested(folder: Folder, policy: OptOutPolicy | None) -> tuple[list[str], str]:
    """What is wrong with `provenance.json` (sentences), and the SHA-256 that it has or should have.

    It is made again from manifest and states; what they do not know (the policy's file, versions of
    libraries) is covered by the digest that it holds of itself, and by ``policy`` where there is one.
    """
    if not folder.exists(NAME):
        return [f"{NAME} is missing: fetch it again, or run the same command again."], ""
    try:
        said = folder.read_json(NAME)
        assert said is not None
        dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
        held = {d["name"]: d["digest"] for d in dependencies if d["name"].startswith("policy")}
        versions = said["predicate"]["runDetails"]["builder"]["version"]
        subjects = {subject["name"]: subject["digest"] for subject in said["subject"]}
        wanted = statement(folder, held, versions)
    except InputError as error:
        return [str(error)], ""
    except (AttributeError, KeyError, TypeError):
        return [f"{NAME} is damaged: fetch it again."], ""
    faults = _differences(said, subjects, wanted)
    if not faults and folder.sha256(NAME) != sha256(wanted):
        faults.append(f"{NAME} is not written as Lethe writes it: fetch it again.")
    if subjects.get(policies.NAME) != held.get("policy"):
        faults.append(f"{policies.NAME} is not the policy that {NAME} names: fetch both again.")
    if policy is not None and held != policy_digests(policy.path, policy.header):
        faults.append(f"{NAME} names another policy file than {policy.path}: give that one.")
    return faults, sha256(wanted)


def _differences(
    said: dict[str, Any], subjects: dict[str, Any], wanted: dict[str, Any]
) -> list[str]:
    """Files that are named with another digest, and whether anything else differs."""
    held = {subject["name"]: subject["digest"] for subject in wanted["subject"]}
    faults = [
        f"{name} is not the file that {NAME} names: fetch both again."
        for name in sorted(held.keys() | subjects.keys())
        if held.get(name) != subjects.get(name)
    ]
    if not faults and json.dumps(said, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        faults.append(
            f"{NAME} was changed, or is of another run: fetch it and {manifests.NAME} again."
        )
    return faults
