"""Where a corpus comes from, as an in-toto statement with SLSA's predicate: `provenance.json`.

One deterministic document over the whole folder: the same command over the same input writes the same
octets. It holds no time, no machine and no path. It is no signature: whoever can rewrite all files can
rewrite this one, too, so keep it, or its digest, elsewhere.

https://github.com/in-toto/attestation (statement v1), https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.policy_file import Header
from pipeline.reconstruct import index, policies
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.steps.write import STATE

NAME = "provenance.json"
CARD = "README.md"
TAIL = "sha256_last_64_KiB"
"""How the digest of an input's end is called."""
_BUILD = "urn:lethe:reconstruct:1"
_LIBRARIES = ("lethe-llm", "datatrove", "hyperscan", "idna", "numpy", "phonenumbers", "pyarrow")
"""What the octets of the output may depend on."""


def write(folder: Folder, policy: dict[str, dict[str, str]]) -> None:
    """Write the provenance of the finished run in ``folder``; ``policy`` are digests of what decided.

    Raises:
        UnreadableFile: the run is not finished, or a file of it cannot be read.
    """
    folder.write_text(NAME, text(statement(folder, policy, versions())))


def digests(folder: Folder) -> dict[str, str]:
    """SHA-256 of the files of a corpus by name, as its provenance has them; none where that is damaged."""
    try:
        said = folder.read_json(NAME)
        return {one["name"]: one["digest"]["sha256"] for one in (said or {})["subject"]}
    except (AttributeError, KeyError, TypeError, UnreadableFile):
        return {}


def text(said: dict[str, Any]) -> str:
    """The statement as it is written."""
    return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def statement(
    folder: Folder, policy: dict[str, dict[str, str]], built_with: dict[str, str]
) -> dict[str, Any]:
    """What the manifest and the states in ``folder`` say, with what they do not know.

    ``policy`` are digests of the policy's files, ``built_with`` the versions of what ran.

    Raises:
        UnreadableFile: the run is not finished, or a file of it cannot be read.
    """
    content = folder.read_json(manifests.NAME)
    if content is None:
        raise UnreadableFile(f"{folder.root} holds no {manifests.NAME}: give the folder of a run.")
    try:
        predicate: dict[str, Any] = {
            "buildDefinition": {
                "buildType": _BUILD,
                "externalParameters": _chosen(content),
                "internalParameters": _given(content),
                "resolvedDependencies": [
                    *_policy(content, policy),
                    *_bundle(content),
                    *_inputs(content),
                ],
            },
            "runDetails": {"builder": {"id": "urn:lethe", "version": built_with}},
        }
        names = [file["name"] for file in content["input"]["files"]]
    except (AttributeError, KeyError, TypeError):
        raise UnreadableFile(
            f"{folder.root}/{manifests.NAME} is damaged: run again in a new folder."
        ) from None
    said: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": predicate,
        "subject": _subjects(folder, names),
    }
    predicate["runDetails"]["metadata"] = {"invocationId": digest(said)}
    return said


def sha256(said: dict[str, Any]) -> str:
    """SHA-256 of the statement as it is written."""
    return hashlib.sha256(text(said).encode()).hexdigest()


def digest(said: dict[str, Any]) -> str:
    """``sha256:`` of everything that a statement says but this."""
    predicate = said["predicate"]
    details = {k: v for k, v in predicate["runDetails"].items() if k != "metadata"}
    bare = {**said, "predicate": {**predicate, "runDetails": details}}
    return f"sha256:{hashlib.sha256(text(bare).encode()).hexdigest()}"


def policy_digests(path: Path, header: Header) -> dict[str, dict[str, str]]:
    """SHA-256 of the files of the policy at ``path``, by what they are."""
    files = {"policy": path}
    if header.tags:
        files["policy tags"] = path.with_name(header.tags["file"])
    return {name: {"sha256": _sha256(path)} for name, path in files.items()}


def versions() -> dict[str, str]:
    """Versions of what runs here."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # optional on some machines
            found[name] = "not installed"
    return found


def with_input_hashes(
    said: dict[str, Any], folder: Folder, files: list[InputFile]
) -> dict[str, Any]:
    """The statement with SHA-256 of every input file, which are read for it from end to end.

    Raises:
        WrongRun: the files are not those of the run.
        UnreadableFile: one cannot be read.
    """
    found = {f"input/{file.name}": file for file in files}
    definition = said["predicate"]["buildDefinition"]
    materials = []
    for material in definition["resolvedDependencies"]:
        name = material["name"]
        if name.startswith("input/"):
            file = found.get(name)
            if file is None or material["digest"][TAIL] != file.tail:
                raise WrongRun(
                    f"{folder.root} is not the input of this run ({name} is missing or another file): "
                    "give the folder that it was made from."
                )
            sha256 = folder.sha256(name.removeprefix("input/"))
            material = {**material, "digest": {**material["digest"], "sha256": sha256}}  # noqa: PLW2901
        materials.append(material)
    predicate = {
        **said["predicate"],
        "buildDefinition": {**definition, "resolvedDependencies": materials},
    }
    hashed = {**said, "predicate": predicate}
    details = {**predicate["runDetails"], "metadata": {"invocationId": digest(hashed)}}
    return {**hashed, "predicate": {**predicate, "runDetails": details}}


# -- what the manifest says --------------------------------------------------------------------


def _chosen(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": content["recipe"],
        "options": content["options"],
        "steps": content["steps"],
    }


def _given(content: dict[str, Any]) -> dict[str, Any]:
    """All the rest that decides; fields of later versions included."""
    elsewhere = {"recipe", "options", "steps", "policy", "bundle", "input"}
    return {key: value for key, value in content.items() if key not in elsewhere}


def _policy(content: dict[str, Any], digests: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    policy = content["policy"]
    told = {key: policy[key] for key in ("name", "version", "as_of", "agent_set")}
    return [
        {"name": name, "digest": held, **({"annotations": told} if name == "policy" else {})}
        for name, held in sorted(digests.items())
    ]


def _bundle(content: dict[str, Any]) -> list[dict[str, Any]]:
    bundle = content.get("bundle")
    if bundle is None:
        return []
    told = {key: value for key, value in bundle.items() if key != "content_sha256"}
    return [
        {
            "name": "output filter",
            "digest": {"content_sha256": bundle["content_sha256"]},
            "annotations": told,
        }
    ]


def _inputs(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": f"input/{file['name']}",
            "digest": {TAIL: file["tail"]},
            "annotations": {"bytes": file["bytes"], "rows": file["rows"]},
        }
        for file in content["input"]["files"]
    ]


# -- what was written --------------------------------------------------------------------------


def _subjects(folder: Folder, names: list[str]) -> list[dict[str, Any]]:
    """Every file of the corpus with its SHA-256: of tables from the states, of the rest from here."""
    found: dict[str, str] = {}
    for name in names:
        path = f"{STATE}/{name}.json"
        state = folder.read_json(path)
        if state is None:
            raise UnreadableFile(
                f"{folder.root} is not finished ({path} is missing): run the same command again."
            )
        try:
            found |= {f"{part}/{name}": held for part, held in state["sha256"].items()}
        except (AttributeError, KeyError, TypeError):
            raise UnreadableFile(
                f"{folder.root}/{path} is damaged: delete it and run again."
            ) from None
        found[path] = folder.sha256(path)
    for path in (manifests.NAME, CARD, policies.NAME, index.HOSTS, index.IDS):
        found[path] = folder.sha256(path)
    return [{"name": name, "digest": {"sha256": held}} for name, held in sorted(found.items())]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from None
