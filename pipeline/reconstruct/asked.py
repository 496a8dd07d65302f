"""What a takedown is asked to do: the corpus as it is, and the run that it stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.optout.difference import Changed, changed
from pipeline.optout.policy_file import Header, PolicyFile
from pipeline.optout.tags import TagIndex
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct import policies
from pipeline.reconstruct.folder import Folder, InputFile
from pipeline.reconstruct.manifest import Options, recipe_of
from pipeline.reconstruct.newer import Newer
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.redo import Work
from pipeline.reconstruct.report.records import read_manifest
from pipeline.reconstruct.selection import fixed

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

    from pipeline.reconstruct.pii.listed import ListedPhrases


def prepared(
    target: Folder,
    root: Path,
    policy: str | Path | None,
    bundle: str | Path | None,
    source: str | Path | None,
    steps: Sequence[PipelineStep],
    heads: Mapping[str, Any],
) -> Work:
    """What is to be done to the corpus in ``target``, which lies at ``root``; see `takedowns.takedown`.

    Raises:
        InputError: anything that is wrong with what was handed in.
    """
    held = manifest_of(target)
    recipe, options = recipe_of(held), _options(held, heads)
    path = _policy(root, held, policy)
    file = PolicyFile(path)
    listed = _bundle(recipe, options, bundle)
    return Work(
        target=target,
        root=root,
        recipe=recipe,
        options=options,
        newer=Newer(
            file=file,
            changed=_difference(root, held, file),
            hosts=frozenset(),
            dataset=recipe.dataset,
        ),
        listed=listed,
        files=[InputFile(**one) for one in held["input"]["files"]],
        held=held,
        wanted=_wanted(held, file.header, listed),
        source=_source(source, held),
        steps=steps,
    )


def manifest_of(target: Folder) -> dict[str, Any]:
    """The manifest of a corpus that can be taken down from here.

    Raises:
        UnreadableFile: it is damaged.
        WrongRun: there is none, or this machine would decide otherwise.
    """
    held = target.read_json(manifests.NAME)
    if held is None:
        raise WrongRun(f"{target.root} holds no {manifests.NAME}: give the folder of a run.")
    read_manifest(target)  # raises where something is missing in it
    if held.get("engine_version") != manifests.ENGINE_VERSION or "recipe" not in held:
        raise WrongRun(
            f"{target.root} was made by another version of Lethe, whose files are laid out otherwise: run "
            "it again from the input once; from then on opt-outs can be taken down."
        )
    here = manifests.libraries()
    for name, version in held.get("libraries", {}).items():
        if here.get(name) != version:
            raise WrongRun(
                f"{target.root} was made with {name} {version}, here is {here.get(name)}, which may decide "
                f"otherwise: install {name}=={version}, or run it again from the input."
            )
    return held


def _options(held: dict[str, Any], heads: Mapping[str, Any]) -> Options:
    try:
        return Options(**held["options"], **heads)
    except TypeError:
        raise WrongRun(
            "The options in the manifest are damaged, or of another version of Lethe: run the corpus again."
        ) from None


def _source(given: str | Path | None, held: dict[str, Any]) -> str:
    """The folder of the input: of a single file the one it lies in, as a run has it."""
    if given is None:
        return str(held["input"]["root"])
    path = Path(given)
    return (
        str((path.parent if path.is_file() else path).absolute()) if path.exists() else str(given)
    )


def _wanted(held: dict[str, Any], policy: Header, listed: ListedPhrases | None) -> dict[str, Any]:
    """The manifest of the run that a takedown stands for."""
    wanted = {**held, "policy": manifests.policy_fields(policy)}
    if policy.version != held["policy"]["version"]:
        wanted = fixed(wanted)
    if listed is not None:
        wanted["bundle"] = listed.described()
    wanted["fingerprint"] = manifests.fingerprint(wanted)
    return dict(json.loads(json.dumps(wanted)))


def _policy(root: Path, held: dict[str, Any], given: str | Path | None) -> Path:
    """The policy that is to hold: what was given, or what the corpus has."""
    if given is not None:
        return Path(given).resolve()
    file = _kept(root, held)
    if file is None or file.header.tags:
        raise WrongRun(
            f"The policy of {root} is not kept with it, or not its compliance tags: give it, or a newer "
            "one, with --policy."
        )
    return root / policies.NAME


def _kept(root: Path, held: dict[str, Any]) -> PolicyFile | None:
    """The policy that is kept with the corpus, if it is the one that decided."""
    try:
        file = PolicyFile(root / policies.NAME)
    except UnreadableFile:
        return None
    return file if file.header.version == held["policy"]["version"] else None


def _difference(root: Path, held: dict[str, Any], newer: PolicyFile) -> Changed:
    """What the newer policy treats in another way; anything, where the older one is not there to compare."""
    header = newer.header
    if header.version == held["policy"]["version"]:
        return Changed()
    older = _kept(root, held)
    if older is None:
        return Changed(everything="the policy of the corpus is not kept with it")
    if header.tags:  # they must be there, even if the older ones are not
        TagIndex(newer.path.with_name(header.tags["file"]), header.tags)
    try:
        return changed(older, newer)
    except UnreadableFile:
        return Changed(everything="the policy of the corpus, or its tags, cannot be read")


def _bundle(recipe: Recipe, options: Options, bundle: str | Path | None) -> ListedPhrases | None:
    if bundle is None:
        return None
    from pipeline.reconstruct.pii.listed import ListedPhrases
    from pipeline.reconstruct.stages import check_recipe

    check_recipe(recipe, options, bundle=True)
    return ListedPhrases.open(bundle, names=options.unpublished)
