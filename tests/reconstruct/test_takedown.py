"""A takedown leaves what a run with the newer policy would have made, octet by octet."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from taken_down import ALL, MANY, NONE, PRIVATE, compiled, everything, same

from pipeline.errors import UnreadableFile
from pipeline.optout import policy_file
from pipeline.optout.difference import Changed
from pipeline.reconstruct import index, takedown
from pipeline.reconstruct.folder import Folder


@pytest.fixture(autouse=True, scope="module")
def small_groups() -> Iterator[None]:
    """Row groups of a few rows: small policies and the index of a small corpus have several."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(policy_file, "GROUP", 2)
        patched.setattr(index, "ROWS", 3)
        yield


@pytest.fixture
def hosts(world: Any) -> list[str]:
    return sorted(set(world.hosts))


def test_sites_that_opt_out_go(world: Any, hosts: list[str]) -> None:
    source = world.corpus({"a.parquet": 5000, "b/c.parquet": 300, "d.parquet": 0})
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(
        world.folder / "p/new.parquet", {hosts[0]: ALL, hosts[1]: PRIVATE, hosts[2]: ALL}
    )
    out = world.folder / "out"
    before = world.run(source, out, policy=old)
    shutil.move(source, world.folder / "elsewhere")  # it is not needed
    result = takedown(out, new)
    shutil.move(world.folder / "elsewhere", source)
    after = sum(table.num_rows for table in world.tables(out / "data").values())
    assert result.documents_gone == before.documents_out - after > 0
    assert (result.documents_back, result.files, result.files_cut) == (0, 2, 2)
    same(world, source, new, out)
    again = takedown(out, new)
    assert (again.documents_gone, again.files, again.certificate) == (0, 0, None)


def test_what_is_withdrawn_comes_back(world: Any, hosts: list[str]) -> None:
    source = world.corpus()
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL, hosts[1]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL, hosts[2]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    result = takedown(out, new)
    assert result.documents_back > 0
    assert result.documents_gone > 0
    assert result.files_cut == 0
    same(world, source, new, out)


def test_what_comes_back_needs_the_input(world: Any, hosts: list[str]) -> None:
    source = world.corpus()
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    held = everything(out)
    moved = world.folder / "moved"
    shutil.move(source, moved)
    with pytest.raises(UnreadableFile, match=r"a.parquet is not there any more: say with --input"):
        takedown(out, new)
    assert not (out / "takedown").exists()  # nothing had been done, so nothing is under way
    assert everything(out) == held
    with pytest.raises(UnreadableFile, match="is another than that of the run"):
        takedown(out, new, source=world.corpus({"a.parquet": 10}))
    takedown(out, new, source=moved)
    shutil.rmtree(source)
    shutil.move(moved, source)
    same(world, source, new, out)


@pytest.mark.parametrize("removed", ["scrubbed", "verbatim"])
def test_removed_documents_are_written_beside(world: Any, hosts: list[str], removed: str) -> None:
    source = world.corpus({"a.parquet": 3000, "b.parquet": 100})
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old, removed=removed)
    takedown(out, new)
    same(world, source, new, out, removed=removed)


@pytest.mark.parametrize("pii", ["strict", "apertus", "none"])
def test_counts_of_markers_follow(world: Any, hosts: list[str], pii: str) -> None:
    source = world.corpus({"a.parquet": 2500})
    old = compiled(world.folder / "p/old.parquet", {})
    new = compiled(world.folder / "p/new.parquet", dict.fromkeys(hosts[1:], ALL))
    out = world.folder / "out"
    world.run(source, out, policy=old, pii=pii)
    takedown(out, new)
    same(world, source, new, out, pii=pii)


def test_other_agents_concern_everybody(world: Any, hosts: list[str]) -> None:
    source = world.corpus()
    robots = {
        hosts[0]: "User-agent: GPTBot\nDisallow: /\n",
        hosts[1]: "User-agent: CCBot\nDisallow: /\n",
    }
    old = compiled(world.folder / "p/old.parquet", robots, agents="commoncrawl")
    new = compiled(world.folder / "p/new.parquet", robots)
    out = world.folder / "out"
    world.run(source, out, policy=old)
    takedown(out, new)
    same(world, source, new, out)


robots = st.dictionaries(
    st.sampled_from(["a.example.org", "b.test", "open.example", "closed.example", "x.b.test"]),
    st.sampled_from([ALL, NONE, PRIVATE]),
    max_size=4,
)
listed = st.one_of(
    st.builds(
        lambda scope, value: {"scope": scope, "value": value},
        st.sampled_from(["domain", "subdomains"]),
        st.sampled_from(["example.org", "b.test", "a.example.org"]),
    ),
    st.builds(lambda n: {"scope": "document_id", "value": f"doc-{n}"}, st.integers(0, 299)),
    st.just({"scope": "url_prefix", "value": "https://b.test/private/"}),
    st.just({"scope": "dataset", "value": "HuggingFaceFW/fineweb"}),
)
tagged = st.dictionaries(st.integers(0, 299).map("doc-{}".format), st.just("GPTBot"), max_size=3)
policies = st.tuples(robots, st.lists(listed, max_size=3), tagged)


def pages(count: int) -> pa.Table:
    """Documents some of which say themselves that they are not to be used."""
    dice = random.Random(7)
    places = ["a.example.org", "b.test", "x.b.test", "B.test.", "open.example", "b.test:8080"]
    rows = [
        {
            "text": f"Text {n} of jane.doe@example.org." if n % 5 == 0 else f"Text number {n}.",
            "id": f"doc-{n}",
            "url": f"https://{dice.choice(places)}/{dice.choice(['', 'private/'])}{n}",
            "meta_robots": dice.choice([None, None, "noai", "index"]),
            "language": dice.choice(["de", "rm", None]),
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows)


def any_policies(examples: int) -> Any:
    """A test of so many lists of policies."""

    @settings(max_examples=examples, deadline=None)
    @example([({}, [], {}), ({"open.example": NONE}, [], {})], "none")
    @given(st.lists(policies, min_size=2, max_size=3), st.sampled_from(["none", "scrubbed"]))
    def test(shared_world: Any, every: list[Any], removed: str) -> None:
        """One after the other, with everything that may refuse, and pages that refuse themselves."""
        with TemporaryDirectory() as folder:
            world = type(shared_world)(shared_world.policy, Path(folder))
            source = world.write(world.folder / "in/a.parquet", pages(300), 70).parent
            out = world.folder / "out"
            paths = [
                compiled(world.folder / f"p{n}/policy.parquet", *one) for n, one in enumerate(every)
            ]
            world.run(source, out, policy=paths[0], removed=removed)
            for path in paths[1:]:
                takedown(out, path)
                same(world, source, path, out, removed=removed)

    return test


test_any_policies = any_policies(10)
test_many_policies = pytest.mark.soak(any_policies(MANY))


def test_several_workers(world: Any, hosts: list[str]) -> None:
    """Each with files of its own; what one meets is told, and the rest is as it was."""
    source = world.corpus({f"{n}/x.parquet": 400 + n for n in range(5)})
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    moved = source.with_name("elsewhere")
    shutil.move(source, moved)
    with pytest.raises(UnreadableFile, match="say with --input"):
        takedown(out, new, workers=3)
    seen: list[tuple[int, int]] = []
    result = takedown(
        out, new, source=moved, workers=3, progress=lambda done, total: seen.append((done, total))
    )
    assert (result.files, result.files_cut) == (5, 0)
    assert seen[-1] == (5, 5)
    shutil.move(moved, source)
    same(world, source, new, out)


def test_what_is_told_of_a_policy_follows(world: Any, hosts: list[str]) -> None:
    """A policy that decides alike, of a later day and out of more files: nothing goes, and it is said."""
    source = world.corpus({"a.parquet": 300})
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[0]: ALL, "nobody.example": NONE})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    result = takedown(out, new)
    assert (result.documents_gone, result.files, result.certificate) == (0, 0, None)
    assert not (out / "takedown").exists()
    same(world, source, new, out)


def test_killed_at_any_moment(world: Any, hosts: list[str]) -> None:
    """And given again: what comes out is the same, and whoever reads meanwhile meets whole files."""
    files = {f"{n}.parquet": 2100 for n in range(6)}
    source = world.corpus(files)
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL, hosts[2]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    command = [
        sys.executable,
        "-m",
        "lethe",
        "reconstruct",
        "takedown",
        str(out),
        "--policy",
        str(new),
    ]
    hit = 0
    with world.watcher(out / "data"):
        for at in (0, 0.02, 0.05, 0.1, 0.2, 0.3):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                while not (out / "takedown").exists() and process.poll() is None:
                    time.sleep(0.005)
                said, _ = process.communicate(timeout=at)
                assert process.returncode == 0, said.decode()
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                hit += 1
        if (out / "takedown/journal.json").exists():
            again = world.command(source, out)
            said = subprocess.run(again, capture_output=True, text=True, check=False)
            assert said.returncode == 2
            assert "was interrupted" in said.stderr
        last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert hit
    same(world, source, new, out)
    (made,) = (out / "takedowns").iterdir()
    told = json.loads((made / "certificate.json").read_text())
    before = world.folder / "before"
    world.run(source, before, policy=old)
    counts = [
        {
            name: table.filter(pc.equal(table["verdict"].cast(pa.string()), "keep"))[
                "id"
            ].to_pylist()
            for name, table in world.tables(folder / "ledger").items()
        }
        for folder in (before, out)
    ]
    gone = [i for name in files for i in sorted(set(counts[0][name]) - set(counts[1][name]))]
    listed = pq.read_table(made / "gone.parquet")["id"].to_pylist()
    assert sorted(listed) == sorted(gone)
    assert told["documents"]["gone"] == len(gone) > 0
    assert sum(told["sites"]["gone"].values()) == len(gone)
    for one in told["files"]:
        digest = hashlib.sha256((out / "data" / one["file"]).read_bytes()).hexdigest()
        assert one["after"]["data"] == digest


def test_the_command(world: Any, hosts: list[str]) -> None:
    source = world.corpus({"a.parquet": 300})
    old = compiled(world.folder / "p/old.parquet", {hosts[0]: ALL})
    new = compiled(world.folder / "p/new.parquet", {hosts[0]: ALL, hosts[1]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old)

    def said(*more: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "lethe", "reconstruct", "takedown", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    assert "no manifest.json" in said(str(source), "--policy", str(new), code=2)
    assert "There is nothing to take down by" in said(str(out), code=2)
    assert "There is no policy" in said(str(out), "--policy", str(world.folder / "x"), code=2)
    assert "No file changed" in said(str(out), "--policy", str(old))
    told = json.loads(said(str(out), "--policy", str(new), "--json"))
    assert told["files"] == told["files_cut"] == 1
    certificate = (out / told["certificate"]).read_text()
    assert f"**{told['documents_gone']} documents went**. 1 file of 1 changed." in certificate
    (line,) = [one for one in certificate.splitlines() if f"`{hosts[1]}`" in one]
    assert line.endswith(f"| {told['documents_gone']} |")
    assert "robots: `Disallow: /`" in line


def test_damage_is_one_sentence(world: Any, hosts: list[str]) -> None:
    source = world.corpus({"a.parquet": 300})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=compiled(world.folder / "p/none.parquet", {}))
    for name in ("ledger/a.parquet", "data/a.parquet"):
        path = out / name
        held = path.read_bytes()
        path.write_bytes(held[: len(held) // 2])
        with pytest.raises(UnreadableFile, match=r"a\.parquet"):
            takedown(out, new)
        path.write_bytes(held)
    takedown(out, new)
    same(world, source, new, out)


def test_killed_behind_the_manifest(world: Any, hosts: list[str]) -> None:
    """When the manifest is the newer one, card, policy and provenance may still be those of the older."""
    source = world.corpus({"a.parquet": 300})
    old = compiled(world.folder / "p/old.parquet", {})
    new = compiled(world.folder / "p/new.parquet", {hosts[1]: ALL})
    out = world.folder / "out"
    world.run(source, out, policy=old)
    held = everything(out)
    done = takedown(out, new)
    first = {k: v for k, v in asdict(done).items() if k not in {"corpus", "fingerprint"}}
    (made,) = (out / "takedowns").iterdir()
    told = (made / "certificate.json").read_bytes()
    for name in ("README.md", "policy.parquet", "provenance.json"):
        (out / name).write_bytes(held[name])
    prints = [
        json.loads(manifest)["fingerprint"]
        for manifest in (held["manifest.json"], (out / "manifest.json").read_bytes())
    ]
    (out / "takedown").mkdir()
    (out / "takedown/journal.json").write_text(json.dumps({"from": prints[0], "to": prints[1]}))
    (out / "takedown/result.json").write_text(json.dumps(first))
    assert takedown(out, new) == done
    same(world, source, new, out)
    assert (made / "certificate.json").read_bytes() == told


names = st.text("ab.-z0", min_size=1, max_size=4)  # canonical hosts are ASCII


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(names, max_size=12), min_size=1, max_size=3), st.sets(names), st.sets(names)
)
def test_the_index_finds_what_a_look_at_everything_finds(
    files: list[list[str]], hosts: set[str], domains: set[str]
) -> None:
    with TemporaryDirectory() as place:
        folder = Folder(place)
        for n, content in enumerate(files):
            (Path(place) / "ledger").mkdir(exist_ok=True)
            table = {
                "host": pa.array(content, pa.string()),
                "id": pa.nulls(len(content), pa.string()),
            }
            pq.write_table(pa.table(table), Path(place) / f"ledger/{n}")
        found = index.found(
            folder,
            Changed(frozenset(hosts), frozenset(domains)),
            [str(n) for n in range(len(files))],
        )
        meant = [
            {
                host
                for host in content
                if host in hosts | domains or any(host.endswith("." + above) for above in domains)
            }
            for content in files
        ]
        assert found.hosts == set().union(*meant)
        assert found.files == [str(n) for n, some in enumerate(meant) if some]


def test_what_is_no_local_folder_is_told_as_it_was_given(tmp_path: Path) -> None:
    policy = compiled(tmp_path / "p/policy.parquet", {})
    line = [sys.executable, "-m", "lethe", "reconstruct", "takedown", "memory://x/corpus"]
    done = subprocess.run(
        [*line, "--policy", str(policy)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "lethe: memory://x/corpus is no local folder: a takedown works where it can rename files. "
        "Fetch it first.\n"
    )
