"""Whether a corpus is what its manifest, states and provenance say it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filter.errors import InputError
from pipeline.errors import UnreadableFile
from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct import index, provenance, staging
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct.attested import attested
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.manifest import recipe_of
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.recount import recounted
from pipeline.reconstruct.redecide import COLUMNS, Redecided
from pipeline.reconstruct.report.records import read_manifest
from pipeline.reconstruct.rerun import other_inputs, rerun
from pipeline.reconstruct.steps.write import DATA, LEDGER, REMOVED, STATE

Progress = Callable[[int, int], None]
_NAMED = 10
"""Faults of one kind that are named one by one."""
_PARTS = (DATA, LEDGER, REMOVED)
_FOLDERS = (*_PARTS, STATE, "index")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    said: tuple[str, ...]
    """What is so, or every fault: what is wrong with which file, and what to do."""


@dataclass(frozen=True, slots=True)
class Against:
    """What a corpus is compared with, beside itself."""

    policy: Path | None = None
    """Every row of the ledger is decided again."""
    source: str | None = None
    """The input: its files are those of the manifest."""
    deep: bool = False
    """Run everything again and compare; needs both of the above."""
    files: int | None = None
    """With ``deep``: only so many files, drawn by the fingerprint."""
    bundle: Path | None = None
    """With ``deep``: the bundle that was applied."""
    workers: int = 1


@dataclass(slots=True)
class _Held:
    """A corpus as far as it can be read."""

    folder: Folder
    content: dict[str, Any]
    recipe: Recipe
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By input file, of those that are finished."""

    @property
    def names(self) -> list[str]:
        """Input files of the run."""
        return [file["name"] for file in self.content["input"]["files"]]


_ALONE = Against()


def verify(
    root: str | Path, against: Against = _ALONE, progress: Progress | None = None
) -> Iterator[Finding]:
    """The findings over the corpus in the folder ``root``, as they are made.

    ``progress`` is called with (files looked at, files in all).

    Raises:
        InputError: there is no corpus, or what it shall be compared with cannot be read.
    """
    folder = Folder(str(root))
    if not folder.exists(manifests.NAME):
        raise UnreadableFile(
            f"{folder.root} holds no {manifests.NAME}: give the output folder of "
            "`lethe reconstruct run`."
        )
    staging.check_none(folder)
    if against.deep and (against.policy is None or against.source is None):
        raise InputError("--deep runs everything again: give --input and --policy, too.")
    policy = None if against.policy is None else OptOutPolicy.open(against.policy)
    try:
        held = _held(folder)
    except InputError as error:
        yield Finding("manifest", ok=False, said=(str(error),))
        return
    yield _manifest(held)
    yield _states(held)
    yield _digests(held, progress)
    yield _superfluous(held)
    yield from _rows(held, policy)
    yield _provenance(held, policy)
    if against.source is not None:
        yield _inputs(held, against.source)
    if against.deep:
        yield _again(held, against)


def _held(folder: Folder) -> _Held:
    read_manifest(folder)  # raises where something is missing in it
    content = folder.read_json(manifests.NAME)
    assert content is not None
    try:
        manifests.fingerprint(content)
        return _Held(folder, content, recipe_of(content))
    except (AttributeError, KeyError, TypeError):
        raise UnreadableFile(
            f"{folder.root}/{manifests.NAME} is damaged: fetch it again, or run again in a new folder."
        ) from None


def _manifest(held: _Held) -> Finding:
    if manifests.fingerprint(held.content) == (said := held.content["fingerprint"]):
        return Finding(
            "manifest", ok=True, said=(f"its fingerprint is that of its content, {said}",)
        )
    return _wrong(
        "manifest",
        [
            f"{manifests.NAME} was changed: its fingerprint is not that of its content. Fetch it again."
        ],
    )


def _states(held: _Held) -> Finding:
    faults = []
    for file in held.content["input"]["files"]:
        name, path = file["name"], f"{STATE}/{file['name']}.json"
        try:
            state = held.folder.read_json(path)
        except InputError as error:
            faults.append(str(error))
            continue
        if state is None:
            faults.append(
                f"{path} is missing: the file is not finished; run the same command again."
            )
        elif not _whole(state):
            faults.append(f"{path} is damaged: delete it and run again.")
        elif state["file"] != name or state["rows_in"] != file["rows"]:
            faults.append(f"{path} is of another file or run: delete it and run again.")
        else:
            held.states[name] = state
    return _found("states", faults, f"{len(held.states)} files are finished")


def _whole(state: dict[str, Any]) -> bool:
    rows = (state.get("rows_in"), state.get("rows_out")) if isinstance(state, dict) else (None,)
    digests = state.get("sha256") if isinstance(state, dict) else None
    return (
        all(type(n) is int for n in rows)
        and isinstance(digests, dict)
        and {DATA, LEDGER} <= digests.keys()
        and all(isinstance(value, str) for value in digests.values())
    )


def _digests(held: _Held, progress: Progress | None) -> Finding:
    faults = []
    count = 0
    for done, (name, state) in enumerate(held.states.items(), 1):
        for part, digest in state["sha256"].items():
            path = f"{part}/{name}"
            count += 1
            if not held.folder.exists(path):
                faults.append(f"{path} is missing: fetch it again, or run the same command again.")
            elif held.folder.sha256(path) != digest:
                faults.append(
                    f"{path} is not the file that was written (its SHA-256 is not that of its state): "
                    "fetch it again, or delete its state and run again."
                )
        if progress is not None:
            progress(done, len(held.states))
    return _found("files", faults, f"{count} files have the SHA-256 of their states")


def _superfluous(held: _Held) -> Finding:
    wanted = {f"{STATE}/{name}.json" for name in held.names} | {index.HOSTS, index.IDS}
    for name in held.names:
        parts = held.states[name]["sha256"] if name in held.states else _PARTS
        wanted |= {f"{part}/{name}" for part in parts}
    found = {n for part in _FOLDERS for n in held.folder.names(part, "")}
    faults = [
        f"{name} does not belong to this run: move it away." for name in sorted(found - wanted)
    ]
    return _found("no other files", faults, f"nothing else is in {', '.join(_FOLDERS)}")


def _rows(held: _Held, policy: OptOutPolicy | None) -> Iterator[Finding]:
    faults: list[str] = []
    decided: list[tuple[str, Redecided]] = []
    usable = policy is not None and policy.version == held.content["policy"]["version"]
    for name, state in held.states.items():
        each: Callable[[Any], None] | None = None
        columns: tuple[str, ...] = ()
        if policy is not None and usable:
            again = Redecided()
            decided.append((name, again))
            each, columns = _decider(again, policy, held.recipe.dataset), COLUMNS
        faults += recounted(held.folder, name, state, held.recipe, columns, each)
    rows = sum(state["rows_in"] for state in held.states.values())
    kept = sum(state["rows_out"] for state in held.states.values())
    yield _found("rows", faults, f"{rows} rows, {kept} documents, each in its place")
    if policy is not None:
        yield (
            _decisions(decided)
            if usable
            else _wrong(
                "decisions",
                [
                    (
                        f"{policy.path} has version {policy.version}, the corpus was made under "
                        f"{held.content['policy']['version']}: give that policy."
                    )
                ],
            )
        )


def _decider(again: Redecided, policy: OptOutPolicy, dataset: str) -> Callable[[Any], None]:
    return lambda table: again.add(policy, table, dataset)


def _decisions(decided: Sequence[tuple[str, Redecided]]) -> Finding:
    faults = []
    for name, again in decided:
        if again.wrong:
            what = ", ".join(f"{column} of {n}" for column, n in again.wrong.most_common())
            faults.append(
                f"{LEDGER}/{name} says otherwise than the policy in {again.wrong.total()} rows ({what}; "
                f"rows {', '.join(map(str, again.first))}): fetch it again, or run again."
            )
    rows = sum(again.rows for _, again in decided)
    by_page = sum(again.by_page for _, again in decided)
    left = f", but {by_page} by what the page says, which takes --deep" if by_page else ""
    return _found("decisions", faults, f"{rows} rows were decided again, to the same effect{left}")


def _provenance(held: _Held, policy: OptOutPolicy | None) -> Finding:
    faults, digest = attested(held.folder, policy)
    return _found(
        "provenance", faults, f"it names every file with its SHA-256; its own is {digest}"
    )


def _inputs(held: _Held, source: str) -> Finding:
    files = held.content["input"]["files"]
    limited = held.content["options"].get("limit") is not None
    faults = other_inputs(files, source, limited=limited)
    return _found("input", faults, f"{len(files)} files are those that were read")


def _again(held: _Held, against: Against) -> Finding:
    assert against.policy is not None
    assert against.source is not None
    made = rerun(
        held.content,
        against.source,
        against.policy,
        bundle=against.bundle,
        workers=against.workers,
        files=against.files,
    )
    faults = []
    count = 0
    for name, digests in made:
        count += 1
        mine = held.states.get(name, {}).get("sha256", {})
        faults += [
            f"{part}/{name} comes out otherwise when it is made again: it was changed, or other "
            f"versions of libraries made it (see {provenance.NAME})."
            for part in sorted(digests.keys() | mine.keys())
            if digests.get(part) != mine.get(part)
        ]
    return _found("made again", faults, f"{count} files came out the same when made again")


def _found(check: str, faults: Sequence[str], said: str) -> Finding:
    return _wrong(check, faults) if faults else Finding(check, ok=True, said=(said,))


def _wrong(check: str, faults: Sequence[str]) -> Finding:
    more = [f"... and {len(faults) - _NAMED} more."] if len(faults) > _NAMED else []
    return Finding(check, ok=False, said=(*faults[:_NAMED], *more))
