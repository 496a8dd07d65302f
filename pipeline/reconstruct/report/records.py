"""What a run says of itself: its manifest and the state of each finished file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import UnreadableFile, WrongVersion
from pipeline.reconstruct.counts import Counts
from pipeline.reconstruct.report.model import Bundle, Dataset, Policy

if TYPE_CHECKING:
    from pipeline.reconstruct.folder import Folder

FORMAT = 1
_FALLS = ("unreachable", "unreadable", "no_url")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Input:
    """One input file; its name is that of its data and ledger file, too."""

    name: str
    rows: int
    """Documents of it that the run is about."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the run is of."""

    dataset: Dataset
    policy: Policy
    fingerprint: str
    engine_version: int
    root: str
    pii: str
    limit: int | None
    removed: str
    bundle: Bundle | None
    unpublished: bool
    steps: tuple[str, ...]
    stages: tuple[str, ...]
    """Of the recipe, in the order in which it names them."""
    settings: dict[str, dict[str, Any]]
    """What the recipe says of a stage, by its name: thresholds, seeds, names of models."""
    thresholds: dict[str, dict[str, Any]]
    """By stage: from where they are (``thresholds``), and those of each language (``values``)."""
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What became of one finished input file."""

    rows_in: int
    rows_out: int
    documents_scrubbed: int
    markers: dict[str, int]
    counts: Counts | None
    """What its ledger sums up to; none in files of an earlier version."""


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of the run in ``folder``.

    Raises:
        UnreadableFile: there is none, or something is missing in it.
        WrongVersion: another version of Lethe wrote it.
    """
    content = folder.read_json("manifest.json")
    if content is None:
        raise UnreadableFile(
            f"{folder.root} holds no manifest.json: give the output folder of "
            "`lethe reconstruct run`."
        )
    name = f"{folder.root}/manifest.json"
    if not isinstance(content, dict) or "format" not in content:
        raise UnreadableFile(f"{name} is not the manifest of a run: give its output folder.")
    if content["format"] != FORMAT:
        raise WrongVersion(f"{name} was written by another version of Lethe: report with that one.")
    top = _Fields(content, name)
    recipe, policy, options = top.fields("recipe"), top.fields("policy"), top.fields("options")
    given = top.fields("input")
    return Manifest(
        dataset=Dataset(
            recipe=recipe.one("name", str),
            title=recipe.maybe("title", str) or recipe.one("name", str),
            dataset=recipe.maybe("dataset", str),
            revision=recipe.maybe("revision", str),
            homepage=recipe.maybe("homepage", str),
            license=recipe.maybe("license", str),
        ),
        policy=Policy(
            name=policy.one("name", str),
            version=policy.one("version", str),
            as_of=policy.one("as_of", str),
            agent_set=policy.one("agent_set", str),
            agents=policy.texts("agents"),
            signals=policy.texts("signals"),
            counts=policy.numbers("counts"),
            falls={f: policy.one(f, str) for f in _FALLS if policy.has(f)},
        ),
        fingerprint=top.one("fingerprint", str),
        engine_version=top.one("engine_version", int),
        root=given.one("root", str),
        pii=options.one("pii", str),
        limit=options.maybe("limit", int),
        removed=options.maybe("removed", str) or "none",
        bundle=_bundle(top.fields("bundle")) if top.has("bundle") else None,
        unpublished=options.flag("unpublished"),
        steps=tuple(s.one("class", str) for s in top.list("steps")) if top.has("steps") else (),
        stages=recipe.texts("stages") if recipe.has("stages") else (),
        settings=_tables(recipe.maybe("settings", dict) or {}),
        thresholds=_thresholds(
            top.maybe("selection", dict) or {}, top.maybe("estimated", dict) or {}
        ),
        inputs=tuple(Input(f.one("name", str), f.one("rows", int)) for f in given.list("files")),
    )


def _bundle(fields: _Fields) -> Bundle:
    return Bundle(
        release=fields.one("release", str),
        content_sha256=fields.one("content_sha256", str),
        testing=fields.flag("testing"),
    )


def _tables(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: held for name, held in sorted(content.items()) if isinstance(held, dict)}


def _thresholds(selection: dict[str, Any], estimated: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a manifest says of the thresholds of a stage; those that were estimated stand apart in it."""
    found = {}
    for stage, said in _tables(selection).items():
        values = said.get("values") or estimated.get(stage) or {}
        found[stage] = {
            "thresholds": said.get("thresholds"),
            "values": values if isinstance(values, dict) else {},
        }
    return found


def read_state(folder: Folder, file: str) -> State | None:
    """What became of the input file ``file``; ``None`` where it is not finished.

    Raises:
        UnreadableFile: something is missing in it, or it speaks of another file.
    """
    name = f"state/{file}.json"
    content = folder.read_json(name)
    if content is None:
        return None
    fields = _Fields(content, f"{folder.root}/{name}")
    if fields.one("file", str) != file:
        raise UnreadableFile(
            f"{folder.root}/{name} speaks of another file: delete it and run again."
        )
    return State(
        rows_in=fields.one("rows_in", int),
        rows_out=fields.one("rows_out", int),
        documents_scrubbed=fields.one("documents_scrubbed", int),
        markers=fields.numbers("pii"),
        counts=_counts(content, f"{folder.root}/{name}"),
    )


def _counts(content: dict[str, Any], name: str) -> Counts | None:
    said = content.get("counts")
    if said is None:
        return None
    try:
        return Counts.of(said)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableFile(f"{name} is damaged: delete it and run again.") from None


class _Fields:
    """A JSON object whose fields are asked for by name and type."""

    def __init__(self, content: object, name: str) -> None:
        self._name = name
        self._content: dict[str, Any] = content if isinstance(content, dict) else {}

    def has(self, key: str) -> bool:
        return self._content.get(key) is not None

    def maybe(self, key: str, kind: type[_T]) -> _T | None:
        return self.one(key, kind) if self.has(key) else None

    def one(self, key: str, kind: type[_T]) -> _T:
        value = self._content.get(key)
        # A bool is an int to isinstance, and a number to nobody.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._lacks(key)
        return value

    def flag(self, key: str) -> bool:
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise self._lacks(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.one(key, list)
        if not all(isinstance(v, str) for v in values):
            raise self._lacks(key)
        return tuple(values)

    def numbers(self, key: str) -> dict[str, int]:
        values = self.one(key, dict)
        return {name: _Fields(values, self._name).one(name, int) for name in sorted(values)}

    def fields(self, key: str) -> _Fields:
        return _Fields(self.one(key, dict), self._name)

    def list(self, key: str) -> list[_Fields]:
        return [_Fields(value, self._name) for value in self.one(key, list)]

    def _lacks(self, key: str) -> UnreadableFile:
        return UnreadableFile(
            f"{self._name} has no usable field {key!r}: it is damaged, or of a run of another "
            "version; run again in a new folder."
        )
