"""What a run is, and whether a folder belongs to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

from pipeline.errors import UnreadableFile, WrongRun, WrongVersion
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.policy_file import Header
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.settings import described

if TYPE_CHECKING:
    from pipeline.reconstruct.pii.listed import ListedPhrases
    from pipeline.reconstruct.selection import Selection

ENGINE_VERSION = 3
"""Raised whenever the same inputs could give another output; a golden file holds it to its word."""
NAME = "manifest.json"
ESTIMATED = "estimated"
"""Under which it has thresholds that follow from the rest: found before the first document is judged."""
_LIBRARIES = ("idna", "phonenumbers")
"""Their tables decide what is a host and what a telephone number, and change with their version."""
_DECIDES = ("name", "dataset", "stages", "text", "id", "url", "language", "tokens", "settings")
"""What of a recipe the output depends on; the rest is told to people."""
_SAME = ("engine_version", "recipe", "options", "steps", "chunk_rows", "libraries")
"""What two manifests of one run have in common, beside policy, input and bundle."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may choose beside recipe, policy and input."""

    pii: str = "strict"
    """``strict``, ``apertus`` or ``none``."""
    limit: int | None = None
    """Documents to read in all, from the first file on; ``None`` for all."""
    removed: str = "none"
    """Whether dropped documents are written beside: ``none``, ``scrubbed`` or ``verbatim``."""
    unpublished: bool = False
    """The corpus stays in the house: names of the bundle are looked for, too."""
    quality_head: str | Path | None = None
    """Head file, or folder with one for each language, of the stage ``quality``."""
    toxicity_head: str | Path | None = None
    """The same of the stage ``toxicity``."""
    thresholds: str | Path | None = None
    """A corpus, or its manifest, of which the thresholds are taken that would be estimated otherwise."""
    drop_embeddings: bool = False
    """Leave the column of vectors out: something of a text can be read back from them."""
    device: str = "auto"
    """Where heads compute: ``cpu``, ``cuda``, or a GPU if there is one. What comes out is the same."""

    def described(self) -> dict[str, Any]:
        """Those that the manifest has as they are, JSON-able; heads and thresholds stand there by content.

        A run that may be published does not mention that it is one.
        """
        said = {"pii": self.pii, "limit": self.limit, "removed": self.removed}
        flags = ("unpublished", "drop_embeddings")
        return said | {name: True for name in flags if getattr(self, name)}


def manifest(
    recipe: Recipe,
    policy: OptOutPolicy,
    options: Options,
    root: str,
    files: list[InputFile],
    steps: tuple[PipelineStep, ...],
    listed: ListedPhrases | None = None,
    selection: Selection | None = None,
) -> dict[str, Any]:
    """Everything that determines the output, with its fingerprint.

    Of a bundle only which one it is. A run without one has the manifest and fingerprint it always had.
    """
    content: dict[str, Any] = {
        "format": 1,
        "engine_version": ENGINE_VERSION,
        "chunk_rows": CHUNK_ROWS,
        "libraries": libraries(),
        "recipe": recipe.described(),
        "policy": policy_fields(policy.header),
        "options": options.described(),
        "steps": [described(step) for step in steps],
        "input": {
            "root": root,
            "files": [asdict(file) for file in files],
        },
    }
    if listed is not None:
        content["bundle"] = listed.described()
    if selection is not None:
        content["selection"] = selection.described()
    return {**content, "fingerprint": fingerprint(content)}


def libraries() -> dict[str, str]:
    """Versions, on this machine, of what decides with tables of its own."""
    return {name: version(name) for name in _LIBRARIES}


def policy_fields(header: Header) -> dict[str, Any]:
    """What a manifest says of a policy."""
    return {
        **header.spec,
        "version": header.version,
        "as_of": header.as_of,
        "agent_set": header.agent_set,
        "agents": list(header.agents),
        "counts": header.counts,
    }


def recipe_fields(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a described recipe the output depends on."""
    return {field: recipe[field] for field in _DECIDES if recipe.get(field, {}) != {}}


def recipe_of(content: dict[str, Any]) -> Recipe:
    """The recipe as a manifest has it.

    Raises:
        WrongVersion: recipes have other fields now.
    """
    known = {field.name for field in fields(Recipe)}
    held: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in content["recipe"].items()
    }
    try:
        return Recipe(**{key: value for key, value in held.items() if key in known})
    except TypeError:
        raise WrongVersion(
            "This corpus was made by another version of Lethe: use that one, or make the corpus again."
        ) from None


def fingerprint(content: dict[str, Any]) -> str:
    """SHA-256 of what the output depends on, of a manifest with or without its own fingerprint."""
    said = {k: v for k, v in content.items() if k not in {"fingerprint", ESTIMATED}}
    recipe = content["recipe"]
    decisive = {
        **said,
        "recipe": {field: recipe[field] for field in _DECIDES if recipe[field] != {}},
        "policy": content["policy"]["version"],
        "input": content["input"]["files"],
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def check(out: Folder, wanted: dict[str, Any]) -> bool:
    """Whether ``out`` is the folder of this run already; if not, it is empty.

    Raises:
        WrongRun: it holds another run, or something that is no run.
    """
    try:
        held = out.read_json(NAME)
    except UnreadableFile:
        held = {}
    if held is None:
        if not out.empty():
            raise WrongRun(
                f"{out.root} holds files that are no run of Lethe: choose an empty folder for --out."
            )
        return False
    if not isinstance(held, dict) or held.get("fingerprint") != wanted["fingerprint"]:
        raise WrongRun(
            f"{out.root} holds another run ({_difference(held, wanted)}): choose another folder for "
            "--out, or delete this one."
        )
    return True


def claim(out: Folder, wanted: dict[str, Any]) -> None:
    """Make ``out`` the folder of this run, or find that it already is.

    Raises:
        WrongRun: it holds another run, or something that is no run.
    """
    if not check(out, wanted):
        out.write_text(NAME, json.dumps(wanted, indent=1, sort_keys=True))


def _difference(held: object, wanted: dict[str, Any]) -> str:
    if not isinstance(held, dict) or not {"policy", "input"} <= held.keys():
        return "its manifest is damaged"
    parts = [k for k in (*_SAME, "bundle", "selection") if held.get(k) != wanted.get(k)]
    if held["policy"].get("version") != wanted["policy"]["version"]:
        parts.append("policy")
    if held["input"].get("files") != wanted["input"]["files"]:
        parts.append("input files")
    return "different " + " and ".join(parts) if parts else "its manifest is damaged"
