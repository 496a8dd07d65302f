"""A corpus verifies if nothing was touched, and does not if anything was."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from command_line import ended
from datatrove.pipeline.filters import RegexFilter

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongRun, WrongVersion
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.spec import named
from pipeline.reconstruct import manifest as manifests
from pipeline.reconstruct import provenance, takedown
from pipeline.reconstruct.counts import Counts
from pipeline.reconstruct.folder import Folder, inputs
from pipeline.reconstruct.recipes import recipe
from pipeline.reconstruct.verify import Against, Finding, verify

SAMPLE = Path(__file__).resolve().parents[2] / "examples/sample"


@pytest.fixture(scope="module")
def whole(shared_world: Any) -> Path:
    """A corpus of two files, with what was removed beside."""
    out = shared_world.folder / "out"
    shared_world.run(
        shared_world.corpus({"a.parquet": 2500, "b/c.parquet": 300}), out, removed="scrubbed"
    )
    return Path(out)


@pytest.fixture
def touched(whole: Path, tmp_path: Path) -> Path:
    """A copy, to be tampered with."""
    return Path(shutil.copytree(whole, tmp_path / "out"))


def wrong(found: list[Finding]) -> dict[str, str]:
    return {f.check: " ".join(f.said) for f in found if not f.ok}


def checked(root: Path, **against: Any) -> dict[str, str]:
    """Checks that failed, with what they say."""
    return wrong(list(verify(root, Against(**against))))


def test_an_untouched_corpus_verifies(whole: Path, shared_world: Any) -> None:
    source = str(shared_world.folder / "corpus")
    seen: list[tuple[int, int]] = []
    against = Against(policy=shared_world.policy, source=source, deep=True, workers=2)
    found = list(verify(whole, against, lambda done, total: seen.append((done, total))))
    assert wrong(found) == {}
    assert [f.check for f in found] == [
        "manifest", "states", "files", "no other files", "rows", "decisions", "provenance", "input",
        "made again",
    ]  # fmt: skip
    assert seen == [(1, 2), (2, 2)]
    assert found[4].said[0].startswith("2800 rows, ")
    assert found[8].said[0].startswith("2 files came out the same")
    drawn = list(verify(whole, replace(against, files=1)))
    assert drawn[8].said[0].startswith("1 files came out the same")


def test_pages_of_the_sample_are_decided_again(tmp_path: Path) -> None:
    """What pages say of themselves and what stands in tags and lists is in there."""
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 7, 1))
    compiler.add_snapshot(SAMPLE / "robots.parquet")
    compiler.add_optouts(SAMPLE / "optouts.jsonl")
    compiler.add_tags(SAMPLE / "tags.parquet", tmp_path / "p.parquet")
    compiler.finish(tmp_path / "p.parquet")
    from pipeline.reconstruct.engine import run

    run("fineweb", SAMPLE / "corpus", tmp_path / "p.parquet", tmp_path / "out")
    found = list(verify(tmp_path / "out", Against(policy=tmp_path / "p.parquet")))
    assert wrong(found) == {}
    said = next(f.said[0] for f in found if f.check == "decisions")
    assert "253 rows were decided again, to the same effect, but 4 by what the page says" in said
    names = [
        s["name"]
        for s in json.loads((tmp_path / "out" / provenance.NAME).read_text())["predicate"][
            "buildDefinition"
        ]["resolvedDependencies"]
    ]
    assert names[:2] == ["policy", "policy tags"]


# -- tampering with files -------------------------------------------------------------------------

FILES = [
    *(
        f"{part}/{name}"
        for part in ("data", "ledger", "removed")
        for name in ("a.parquet", "b/c.parquet")
    ),
    *("state/a.parquet.json", "state/b/c.parquet.json"),
    *("manifest.json", "README.md", "provenance.json", "policy.parquet"),
    *("index/hosts.parquet", "index/ids.parquet"),
]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_octet_is_noticed(touched: Path, name: str) -> None:
    """At the beginning, at the end, and at some places in between; in each octet one bit."""
    path = touched / name
    content = path.read_bytes()
    draw = random.Random(name)
    for at in [0, len(content) - 1, *draw.sample(range(len(content)), 12)]:
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        )
        assert checked(touched), f"octet {at} of {name}"
        path.write_bytes(content)
    assert checked(touched) == {}


@pytest.mark.soak
def test_each_bit_of_a_manifest_counts(touched: Path) -> None:
    """None is flipped unnoticed, and none stops the checks with an error of its own."""
    path = touched / manifests.NAME
    content = path.read_bytes()
    every = round(1 / float(os.environ.get("LETHE_SOAK", "1"))) | 1
    for bit in range(0, 8 * len(content), every):
        at = bit // 8
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit % 8]) + content[at + 1 :])
        assert checked(touched), f"bit {bit % 8} of octet {at}"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(touched: Path, name: str) -> None:
    (touched / name).unlink()
    if name == "manifest.json":
        with pytest.raises(UnreadableFile, match=r"holds no manifest\.json"):
            checked(touched)
        return
    said = " ".join(checked(touched).values())
    assert name in said


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_off_is_noticed(touched: Path, name: str) -> None:
    path = touched / name
    path.write_bytes(path.read_bytes()[:-3])
    assert checked(touched)
    path.write_bytes(b"")
    assert checked(touched)


@pytest.mark.parametrize(
    "name",
    [
        "data/more.parquet",
        "ledger/b/more.parquet",
        "removed/x.parquet",
        "state/more.parquet.json",
        "data/notes.txt",
        "index/x.parquet",
    ],
)
def test_a_superfluous_file_is_noticed(touched: Path, name: str) -> None:
    (touched / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(touched / "data/a.parquet", touched / name)
    assert checked(touched) == {
        "no other files": f"{name} does not belong to this run: move it away."
    }


def test_leftovers_and_logs_are_nobodys_business(touched: Path) -> None:
    (touched / "data/.0123.tmp").write_bytes(b"x")
    (touched / "logs/more.log").write_text("x")
    (touched / ".lock").unlink()
    assert checked(touched) == {}


def test_swapped_files_are_noticed(touched: Path) -> None:
    for part in ("data", "ledger"):
        one, other = touched / part / "a.parquet", touched / part / "b/c.parquet"
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
    found = checked(touched)
    assert found.keys() == {"files", "rows"}
    for name in ("data/a.parquet", "data/b/c.parquet", "ledger/a.parquet", "ledger/b/c.parquet"):
        assert f"{name} is not the file that was written" in found["files"]
    assert "rows of another file" in found["rows"]


# -- tampering by somebody who mends the digests --------------------------------------------------


def rewrite(
    root: Path, name: str, change: Callable[[pa.Table], pa.Table], *, provenance_too: bool = False
) -> None:
    """Change a table and the digest in its state, and if asked for everything else that follows from it."""
    path = root / name
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    part, _, file = name.partition("/")
    state = root / "state" / f"{file}.json"
    content = json.loads(state.read_text())
    content["sha256"][part] = hashlib.sha256(path.read_bytes()).hexdigest()
    state.write_text(json.dumps(content, indent=1, sort_keys=True))
    if provenance_too:
        if part == "ledger":
            counts = Counts()
            with suppress(ValueError):  # a verdict that is none
                counts.add(table)
            content["counts"] = counts.described()
            state.write_text(json.dumps(content, indent=1, sort_keys=True))
        held = json.loads((root / provenance.NAME).read_text())
        predicate = held["predicate"]
        digests = {
            d["name"]: d["digest"]
            for d in predicate["buildDefinition"]["resolvedDependencies"]
            if d["name"].startswith("policy")
        }
        made = provenance.statement(
            Folder(str(root)), digests, predicate["runDetails"]["builder"]["version"]
        )
        (root / provenance.NAME).write_text(provenance.text(made))


def without_a_row(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 100), table.slice(101)])


def swapped_rows(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, table.num_rows)])


def column(name: str, change: Callable[[list[Any]], None]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        kind = table.schema.field(at)
        plain = (
            pc.cast(table[name], pa.string()) if pa.types.is_dictionary(kind.type) else table[name]
        )
        values = plain.to_pylist()
        change(values)
        made = pa.array(values, plain.type)
        if pa.types.is_dictionary(kind.type):
            made = made.dictionary_encode().cast(kind.type)
        return table.set_column(at, kind, made)

    return changed


def at_first(value: Any, *, where: Any = ...) -> Callable[[list[Any]], None]:
    """Another value in the first place that has (or, at all, is) the value ``where``."""

    def change(values: list[Any]) -> None:
        at = 0 if where is ... else values.index(where)
        values[at] = value

    return change


def other_id_of_what_stays(table: pa.Table) -> pa.Table:
    at = pc.index(table["verdict"].cast(pa.string()), "keep").as_py()
    return column("id", lambda values: values.__setitem__(at, "doc-9999"))(table)


ROWS = [
    ("data/a.parquet", without_a_row, "documents, its ledger keeps"),
    ("data/a.parquet", swapped_rows, "holds other documents than its ledger keeps, or in another order"),
    ("data/a.parquet", column("id", at_first("doc-9999")), "holds other documents"),
    ("data/a.parquet", column("url", at_first("https://x.example/")), "holds other documents"),
    ("ledger/a.parquet", without_a_row, "or not all of them in order, from row 0 on"),
    ("ledger/a.parquet", swapped_rows, "or not all of them in order"),
    ("ledger/a.parquet", column("row", at_first(7)), "or not all of them in order"),
    ("ledger/a.parquet", column("file", at_first("b/c.parquet")), "has rows of another file"),
    ("ledger/a.parquet", column("verdict", at_first("drop", where="keep")), "rows of which"),
    ("ledger/a.parquet", column("verdict", at_first("perhaps")), "neither kept nor dropped"),
    ("ledger/a.parquet", other_id_of_what_stays, "holds other documents"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "said"),
    ROWS,
    ids=["data row gone", "data rows swapped", "data id", "data url", "ledger row gone", "ledger rows swapped",
         "ledger place", "ledger file", "ledger verdict", "ledger no verdict", "ledger id"],
)  # fmt: skip
def test_rows_are_counted_though_digests_were_mended(
    touched: Path, name: str, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    rewrite(touched, name, change)
    found = checked(touched)
    assert "files" not in found
    assert f"{name} is not the file that provenance.json names" in found["provenance"]
    assert said in found["rows"]
    rewrite(touched, name, lambda table: table, provenance_too=True)
    assert "provenance" not in checked(touched)


def test_sums_of_the_state_are_those_of_its_ledger(touched: Path) -> None:
    """A card is made of them."""
    state = touched / "state/a.parquet.json"
    content = json.loads(state.read_text())
    content["counts"]["everybody"] += 1
    state.write_text(json.dumps(content, indent=1, sort_keys=True))
    assert "ledger/a.parquet sums up to other counts" in checked(touched)["rows"]


DECISIONS = [
    ("rule", at_first("Disallow: /nothing", where="Disallow: /private/"), "rule of 1"),
    ("signal", at_first("tag", where="robots"), "signal of 1"),
    ("source_hash", lambda values: values.__setitem__(next(i for i, v in enumerate(values) if v), "0" * 64), "source_hash of 1"),
    ("line", lambda values: values.__setitem__(next(i for i, v in enumerate(values) if v), 99), "line of 1"),
    ("agents", lambda values: values.__setitem__(next(i for i, v in enumerate(values) if v), ["X"]), "agents of 1"),
    ("signals", lambda values: values.__setitem__(next(i for i, v in enumerate(values) if v), ["robots", "rsl"]), "signals of 1"),
    ("host", at_first("other.example", where="open.example"), "host of 1"),
    ("source_date", lambda values: values.__setitem__(values.index("2025-01-01"), "2024-01-01"), "source_date of 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "said"), DECISIONS, ids=[d[0] for d in DECISIONS])
def test_a_changed_reason_is_noticed(
    touched: Path, policy: Path, name: str, change: Callable[[list[Any]], None], said: str
) -> None:
    rewrite(touched, "ledger/a.parquet", column(name, change), provenance_too=True)
    assert checked(touched) == {}
    found = checked(touched, policy=policy)
    assert found.keys() == {"decisions"}
    assert said in found["decisions"]
    assert "in 1 rows" in found["decisions"]


def test_a_document_that_was_slipped_in_is_noticed(
    touched: Path, policy: Path, shared_world: Any
) -> None:
    """A refused document is made one that stays, in ledger, data, state and provenance alike."""
    ledger = pq.read_table(touched / "ledger/a.parquet")
    at = pc.index(ledger["verdict"].cast(pa.string()), "drop").as_py()
    source = pq.read_table(shared_world.folder / "corpus/a.parquet")
    kept_before = (
        ledger.slice(0, at).filter(pc.equal(ledger["verdict"].slice(0, at), "keep")).num_rows
    )

    def slipped_in(table: pa.Table) -> pa.Table:
        one = source.slice(at, 1).cast(table.schema)
        return pa.concat_tables([table.slice(0, kept_before), one, table.slice(kept_before)])

    def forgiven(table: pa.Table) -> pa.Table:
        for name in (
            "signal",
            "signals",
            "agents",
            "rule",
            "line",
            "source",
            "source_hash",
            "source_date",
        ):
            table = column(name, lambda values: values.__setitem__(at, None))(table)
        return column("verdict", lambda values: values.__setitem__(at, "keep"))(table)

    rewrite(touched, "data/a.parquet", slipped_in)
    rewrite(touched, "ledger/a.parquet", forgiven)
    state = touched / "state/a.parquet.json"
    content = json.loads(state.read_text())
    content["rows_out"] += 1
    state.write_text(json.dumps(content, indent=1, sort_keys=True))
    rewrite(touched, "ledger/a.parquet", lambda table: table, provenance_too=True)
    assert checked(touched) == {}
    assert f"verdict of 1; rows {at})" in checked(touched, policy=policy)["decisions"]
    source_folder = str(shared_world.folder / "corpus")
    deep = checked(touched, policy=policy, source=source_folder, deep=True)
    assert "data/a.parquet comes out otherwise" in deep["made again"]


def test_a_changed_text_is_noticed_by_making_it_again(touched: Path, shared_world: Any) -> None:
    rewrite(
        touched, "data/a.parquet", column("text", at_first("another text")), provenance_too=True
    )
    against = {"policy": shared_world.policy, "source": str(shared_world.folder / "corpus")}
    assert checked(touched, **against) == {}
    assert checked(touched, **against, deep=True) == {
        "made again": "data/a.parquet comes out otherwise when it is made again: it was changed, or other "
        "versions of libraries made it (see provenance.json)."
    }


# -- manifests, other runs, other inputs ----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "checks"),
    [
        ("recipe title", "Another", {"provenance"}),
        ("recipe dataset", "x/y", {"manifest", "provenance"}),
        ("recipe text", "test", {"manifest", "provenance", "rows"}),
        ("recipe url", ["urd"], {"manifest", "provenance", "rows"}),
        ("options pii", "none", {"manifest", "provenance"}),
        ("policy version", "0123456789abcdef", {"manifest", "provenance"}),
        ("policy as_of", "2020-01-01", {"provenance"}),
        ("fingerprint", "0" * 64, {"manifest", "provenance"}),
        ("input root", "elsewhere", {"provenance"}),
    ],
)
def test_a_changed_manifest_is_noticed(
    touched: Path, path: str, value: Any, checks: set[str]
) -> None:
    file = touched / "manifest.json"
    content = json.loads(file.read_text())
    *above, last = path.split()
    holder = content
    for key in above:
        holder = holder[key]
    holder[last] = value
    file.write_text(json.dumps(content, indent=1, sort_keys=True))
    assert checked(touched).keys() == checks


def test_a_file_of_another_run_is_noticed(touched: Path, shared_world: Any, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shared_world.run(shared_world.folder / "corpus", other, pii="none")
    for part in ("data", "ledger"):
        shutil.copy(other / part / "a.parquet", touched / part / "a.parquet")
    shutil.copy(other / "state/a.parquet.json", touched / "state/a.parquet.json")
    found = checked(touched)
    assert {"no other files", "provenance"} == found.keys()
    assert "state/a.parquet.json is not the file" in found["provenance"]
    shutil.copy(other / "manifest.json", touched / "manifest.json")
    assert "provenance.json" in checked(touched)["provenance"]


def test_another_policy_is_noticed(whole: Path, other_policy: Path) -> None:
    found = checked(whole, policy=other_policy)
    assert "give that policy" in found["decisions"]
    assert "names another policy file" in found["provenance"]


def test_another_input_is_noticed(whole: Path, shared_world: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shared_world.folder / "corpus", tmp_path / "in"))
    assert checked(whole, source=str(copy)) == {}
    shared_world.write(copy / "z.parquet", shared_world.documents(3))
    (copy / "a.parquet").write_bytes((copy / "b/c.parquet").read_bytes())
    (copy / "b/c.parquet").unlink()
    found = checked(whole, source=str(copy))
    assert found.keys() == {"input"}
    for sentence in (
        "a.parquet is another file",
        "b/c.parquet is not in",
        "z.parquet is no file of",
    ):
        assert sentence in found["input"]


def test_an_input_of_the_same_length_is_another_one(world: Any) -> None:
    source, out = world.corpus({"a.parquet": 300}), world.folder / "out"
    world.run(source, out)
    world.write(source / "a.parquet", world.documents(300, seed=2))
    assert "a.parquet is another file" in checked(out, source=str(source))["input"]


def test_a_limited_run(world: Any) -> None:
    source, out = world.corpus({"a.parquet": 300, "b.parquet": 300}), world.folder / "out"
    world.run(source, out, limit=200)
    against = {"policy": world.policy, "source": str(source), "deep": True}
    assert checked(out, **against) == {}
    assert checked(out, **against, files=1) == {}


def test_an_unfinished_run_does_not_verify(touched: Path) -> None:
    (touched / "state/b/c.parquet.json").unlink()
    found = checked(touched)
    assert "state/b/c.parquet.json is missing: the file is not finished" in found["states"]
    assert "not finished" in found["provenance"]


def test_a_corpus_after_a_takedown_verifies(world: Any, other_policy: Path) -> None:
    """And it is the one that the newer policy would have made."""
    source, out = world.corpus({"a.parquet": 2300, "b.parquet": 300}), world.folder / "out"
    world.run(source, out, policy=other_policy)
    takedown(out, world.policy)
    assert checked(out, policy=world.policy, source=str(source), deep=True) == {}
    assert checked(out, policy=out / "policy.parquet") == {}
    assert "decisions" in checked(out, policy=other_policy)
    (out / "takedown").mkdir()
    (out / "takedown/journal.json").write_text("{}")
    with pytest.raises(WrongRun, match="was interrupted"):
        checked(out)


def test_what_cannot_be_made_again_says_so(world: Any, policy: Path) -> None:
    source, out = world.corpus({"a.parquet": 100}), world.folder / "out"
    world.run(source, out, steps=[RegexFilter("mountain")])
    assert checked(out, policy=policy) == {}
    against = {"policy": policy, "source": str(source), "deep": True}
    with pytest.raises(InputError, match="Stock blocks stood in this run"):
        checked(out, **against)
    content = json.loads((out / "manifest.json").read_text())
    content |= {"steps": [], "bundle": {"release": "x", "content_sha256": "0"}}
    (out / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="give --bundle"):
        checked(out, **against)
    content |= {"selection": {"quality": {}}}
    (out / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="judged by heads"):
        checked(out, **against)
    content["engine_version"] = 0
    (out / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(WrongVersion, match="engine version 0"):
        checked(out, **against)
    with pytest.raises(InputError, match="give --input and --policy"):
        checked(out, deep=True)


def test_ids_that_are_row_numbers_and_urls_in_metadata(world: Any) -> None:
    rows = world.documents(300)
    table = pa.table(
        {
            "text": [r["text"] for r in rows],
            "metadata": [json.dumps({"url": r["url"]}) for r in rows],
        }
    )
    source = world.folder / "in"
    world.write(source / "a.parquet", table)
    world.run(source, world.folder / "out", recipe=recipe("dclm-edu"))
    assert checked(world.folder / "out", policy=world.policy, source=str(source), deep=True) == {}
    rewrite(world.folder / "out", "data/a.parquet", swapped_rows)
    assert "holds other documents" in checked(world.folder / "out")["rows"]


# -- provenance -----------------------------------------------------------------------------------


def test_the_same_command_writes_the_same_octets(world: Any, policy: Path) -> None:
    source = world.corpus({"a.parquet": 2300, "b/c.parquet": 200})
    for out, workers in (("one", 1), ("two", 2)):
        world.run(source, world.folder / out, workers=workers)
    one, two = ((world.folder / out / provenance.NAME).read_bytes() for out in ("one", "two"))
    assert one == two
    shutil.rmtree(world.folder / "two/data")
    (world.folder / "two" / provenance.NAME).unlink()
    world.run(source, world.folder / "two")
    assert (world.folder / "two" / provenance.NAME).read_bytes() == one
    text = one.decode()
    for secret in (str(world.folder), str(policy), Path.home().name + "/"):
        assert secret not in text


def test_a_statement_is_that_of_in_toto(whole: Path, policy: Path) -> None:
    held = json.loads((whole / provenance.NAME).read_text())
    assert held["_type"] == "https://in-toto.io/Statement/v1"
    assert held["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {s["name"]: s["digest"]["sha256"] for s in held["subject"]}
    written = {n for n in FILES if n != provenance.NAME}
    assert subjects == {n: hashlib.sha256((whole / n).read_bytes()).hexdigest() for n in written}
    materials = {d["name"]: d for d in held["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert materials["policy"]["digest"] == {
        "sha256": hashlib.sha256(policy.read_bytes()).hexdigest()
    }
    assert materials["policy"]["annotations"]["version"] == OptOutPolicy.open(policy).version
    manifest = json.loads((whole / "manifest.json").read_text())
    for file in manifest["input"]["files"]:
        material = materials[f"input/{file['name']}"]
        assert material["digest"] == {provenance.TAIL: file["tail"]}
        assert material["annotations"] == {"bytes": file["bytes"], "rows": file["rows"]}
    definition = held["predicate"]["buildDefinition"]
    assert definition["internalParameters"]["engine_version"] == manifests.ENGINE_VERSION
    assert definition["internalParameters"]["fingerprint"] == manifest["fingerprint"]
    assert held["predicate"]["runDetails"]["metadata"]["invocationId"] == provenance.digest(held)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"pyarrow": "', '"pyarrow": "1'),
        ('"name": "policy"', '"name": "policy tags"'),
        ('"id": "urn:lethe"', '"id": "urn:other"'),
        ('"invocationId": "sha256:', '"invocationId": "sha256:0'),
        ("\n ", "\n  "),
    ],
    ids=["a version", "a material", "the builder", "its digest", "a space"],
)
def test_a_changed_provenance_is_noticed(touched: Path, old: str, new: str) -> None:
    """Also where only its own digest can tell."""
    file = touched / provenance.NAME
    text = file.read_text()
    file.write_text(text.replace(old, new, 1))
    assert checked(touched).keys() == {"provenance"}


def test_another_policy_file_is_noticed_in_the_provenance(touched: Path, policy: Path) -> None:
    digest = hashlib.sha256(policy.read_bytes()).hexdigest()
    file = touched / provenance.NAME
    file.write_text(file.read_text().replace(digest, "0" * 64, 1))
    assert checked(touched).keys() == {"provenance"}


def test_another_policy_beside_the_corpus_is_noticed(touched: Path, other_policy: Path) -> None:
    shutil.copy(other_policy, touched / "policy.parquet")
    rewrite(touched, "ledger/a.parquet", lambda table: table, provenance_too=True)
    assert checked(touched) == {
        "provenance": "policy.parquet is not the policy that provenance.json names: fetch both again."
    }


def test_inputs_can_be_hashed_whole(whole: Path, shared_world: Any) -> None:
    held = json.loads((whole / provenance.NAME).read_text())
    source = shared_world.folder / "corpus"
    made = provenance.with_input_hashes(held, *inputs(str(source), lambda _schema, _name: None))
    found = {
        d["name"]: d["digest"].get("sha256")
        for d in made["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    for name in ("a.parquet", "b/c.parquet"):
        assert found[f"input/{name}"] == hashlib.sha256((source / name).read_bytes()).hexdigest()
    assert made["predicate"]["runDetails"]["metadata"]["invocationId"] == provenance.digest(made)
    with pytest.raises(WrongRun, match="is not the input of this run"):
        provenance.with_input_hashes(
            held, *inputs(str(whole / "data"), lambda _schema, _name: None)
        )


# -- the commands ---------------------------------------------------------------------------------


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A process, once for each command; `lethe` is the same without one."""
    return subprocess.run(
        [sys.executable, "-m", "lethe", "reconstruct", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def lethe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return ended("reconstruct", *arguments)


def test_the_command_says_ok_line_by_line(touched: Path, policy: Path, shared_world: Any) -> None:
    done = lethe(
        "verify",
        touched,
        "--policy",
        policy,
        "--input",
        shared_world.folder / "corpus",
        "--deep",
        "--files",
        1,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("ok ") for line in lines)
    (touched / "data/a.parquet").unlink()
    done = lethe("verify", touched)
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG  files           data/a.parquet is missing: fetch it again" in done.stdout
    done = process("verify", touched, "--json")
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {r["check"] for r in rows if not r["ok"]} == {"files", "rows"}
    (touched / "manifest.json").write_text("{")
    done = lethe("verify", touched)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("WRONG  manifest")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["verify", "NOWHERE"], "holds no manifest.json"),
        (["verify", "CORPUS", "--policy", "NOWHERE"], "There is no policy"),
        (["verify", "CORPUS", "--input", "NOWHERE"], "does not exist"),
        (["verify", "CORPUS", "--deep"], "give --input and --policy"),
        (["verify", "CORPUS", "--files", "1"], "belong to --deep"),
        (["provenance", "NOWHERE"], "holds no provenance.json"),
        (["provenance", "CORPUS", "--hash-inputs"], "belong together"),
        (["provenance", "CORPUS", "--hash-inputs", "--input", "NOWHERE"], "does not exist"),
    ],
    ids=["corpus", "policy", "input", "deep", "files", "provenance", "hash", "hash input"],
)
def test_bad_input_is_one_sentence(
    whole: Path, tmp_path: Path, arguments: list[str], match: str
) -> None:
    places = {"NOWHERE": tmp_path / "nothing", "CORPUS": whole}
    done = lethe(*(places.get(a, a) for a in arguments))
    assert done.returncode == 2
    assert match in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_provenance_is_printed(whole: Path, shared_world: Any, tmp_path: Path) -> None:
    assert process("provenance", whole).stdout == (whole / provenance.NAME).read_text()
    done = lethe(
        "provenance",
        whole,
        "--hash-inputs",
        "--input",
        shared_world.folder / "corpus",
        "--out",
        tmp_path / "p.json",
    )
    assert done.returncode == 0, done.stderr
    assert '"sha256"' in (tmp_path / "p.json").read_text()
