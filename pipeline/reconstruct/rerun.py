"""Making a corpus again from its input, to compare what comes out."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filter.errors import InputError
from pipeline.errors import WrongVersion
from pipeline.reconstruct.folder import Folder, inputs
from pipeline.reconstruct.manifest import ENGINE_VERSION, Options, recipe_of
from pipeline.reconstruct.steps.write import STATE


def other_inputs(files: Sequence[dict[str, Any]], source: str, *, limited: bool) -> list[str]:
    """What is wrong with the files at ``source`` as the input of a run over ``files``; sentences.

    Compared are names, sizes and the last 64 KiB. A limited run need not have read all of them.

    Raises:
        UnreadableFile: there is nothing, or it cannot be read.
    """
    folder, found = inputs(source, lambda _schema, _name: None)
    held = {file.name: file for file in found}
    faults = []
    for file in files:
        mine = held.pop(file["name"], None)
        if mine is None:
            faults.append(f"{file['name']} is not in {folder.root}: give the whole input.")
        elif (mine.bytes, mine.tail) != (file["bytes"], file["tail"]) or mine.rows < file["rows"]:
            faults.append(f"{folder.root}/{file['name']} is another file than the run has read.")
    if not limited:
        faults += [f"{folder.root}/{name} is no file of this run." for name in held]
    return faults


def rerun(
    content: dict[str, Any],
    source: str,
    policy: Path,
    *,
    bundle: Path | None,
    workers: int,
    files: int | None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Run what a manifest describes in a temporary folder; names of files and the digests of their parts.

    With ``files`` only so many of them, drawn by the fingerprint of the run.

    Raises:
        WrongVersion: another version made the corpus.
        InputError: it cannot be made again: stock blocks stood in it, or a bundle is missing.
    """
    from pipeline.reconstruct.engine import run

    _check_repeatable(content, bundle)
    recipe, options = recipe_of(content), Options(**content["options"])
    with tempfile.TemporaryDirectory(prefix="lethe-") as scratch:
        chosen = source
        if files is not None and options.limit is None:
            names = [file["name"] for file in content["input"]["files"]]
            drawn = sorted(
                random.Random(content["fingerprint"]).sample(names, min(files, len(names)))  # noqa: S311
            )
            chosen = str(_linked(source, drawn, Path(scratch) / "input"))
        out = Path(scratch) / "out"
        run(
            recipe, chosen, policy, out,
            bundle=bundle if "bundle" in content else None, options=options, workers=workers,
        )  # fmt: skip
        made = Folder(str(out))
        for path in made.names(STATE, ".json"):
            state = made.read_json(path)
            assert state is not None
            yield state["file"], state["sha256"]


def _check_repeatable(content: dict[str, Any], bundle: Path | None) -> None:
    if content["engine_version"] != ENGINE_VERSION:
        raise WrongVersion(
            f"This corpus was made by engine version {content['engine_version']}, this is "
            f"{ENGINE_VERSION}: make it again with that one."
        )
    if content["steps"]:
        raise InputError(
            "Stock blocks stood in this run, which a manifest only names: run it again yourself, into "
            "another folder, and compare the states."
        )
    if content.get("selection"):
        raise InputError(
            "Documents were judged by heads in this run, which a manifest names by their content: run it "
            "again yourself, into another folder, and compare the states."
        )
    if "bundle" in content and bundle is None:
        raise InputError("A bundle was applied in this run: give --bundle, too.")


def _linked(source: str, names: Sequence[str], into: Path) -> Path:
    """A folder with links to some files of a local input.

    Raises:
        InputError: the input is remote.
    """
    folder, _ = inputs(source, lambda _schema, _name: None)
    if folder.local is None:
        raise InputError(
            "A sample of files can be made again from a local input only: leave --files out."
        )
    for name in names:
        link = into / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((folder.local / name).resolve())
    return into
