"""What a run is, and whether a folder belongs to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from datatrove.pipeline.base import PipelineStep

from pipeline.errors import WrongRun
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.recipes import Recipe

ENGINE_VERSION = 1
"""Raised whenever the same inputs could give another output; a golden file holds it to its word."""
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may choose beside recipe, policy and input."""

    pii: str = "strict"
    """``strict``, ``apertus`` or ``none``."""
    limit: int | None = None
    """Documents to read in all, from the first file on; ``None`` for all."""
    removed: str = "none"
    """Whether dropped documents are written beside: ``none``, ``scrubbed`` or ``verbatim``."""


def manifest(
    recipe: Recipe,
    policy: OptOutPolicy,
    options: Options,
    root: str,
    files: list[InputFile],
    steps: tuple[PipelineStep, ...],
) -> dict[str, Any]:
    """Everything that determines the output, with its fingerprint."""
    header = policy.header
    content: dict[str, Any] = {
        "format": 1,
        "engine_version": ENGINE_VERSION,
        "chunk_rows": CHUNK_ROWS,
        "recipe": recipe.described(),
        "policy": {
            **header.spec,
            "version": header.version,
            "as_of": header.as_of,
            "agent_set": header.agent_set,
            "agents": list(header.agents),
            "counts": header.counts,
        },
        "options": {"pii": options.pii, "limit": options.limit, "removed": options.removed},
        "steps": [described(step) for step in steps],
        "input": {
            "root": root,
            "files": [{"name": f.name, "rows": f.rows, "bytes": f.bytes} for f in files],
        },
    }
    decisive = {
        **content,
        "policy": header.version,
        "input": content["input"]["files"],
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    return {**content, "fingerprint": digest.hexdigest()}


def described(step: PipelineStep) -> dict[str, Any]:
    """A stock block by its class and its plain settings."""
    simple = (str, int, float, bool, type(None))
    settings = {
        k: v for k, v in sorted(vars(step).items()) if isinstance(v, simple) and k != "stats"
    }
    return {"class": f"{type(step).__module__}.{type(step).__qualname__}", "settings": settings}


def claim(out: Folder, wanted: dict[str, Any]) -> None:
    """Make ``out`` the folder of this run, or find that it already is.

    Raises:
        WrongRun: it holds another run, or something that is no run.
    """
    held = out.read_json(NAME)
    if held is None:
        if out.names("", ""):
            raise WrongRun(
                f"{out.root} holds files that are no run of Lethe: choose an empty folder for --out."
            )
        out.write_text(NAME, json.dumps(wanted, indent=1, sort_keys=True))
        return
    if held.get("fingerprint") != wanted["fingerprint"]:
        raise WrongRun(
            f"{out.root} holds another run ({_difference(held, wanted)}): choose another folder for "
            "--out, or delete this one."
        )


def _difference(held: dict[str, Any], wanted: dict[str, Any]) -> str:
    parts = [
        k
        for k in ("engine_version", "recipe", "options", "steps", "chunk_rows")
        if held.get(k) != wanted[k]
    ]
    if held.get("policy", {}).get("version") != wanted["policy"]["version"]:
        parts.append("policy")
    if held.get("input", {}).get("files") != wanted["input"]["files"]:
        parts.append("input files")
    return "different " + " and ".join(parts) if parts else "damaged manifest"
