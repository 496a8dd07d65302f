"""A takedown under a newer bundle leaves the texts that a run with it would have made."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apertus_samples as samples
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import LambdaFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from taken_down import ALL, MANY, compiled, everything, same

from filter.bundle import Bundle
from filter.errors import BundleError
from filter.identifiers import IdentifierKind
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout.policy_file import read_header
from pipeline.reconstruct import Options, relisting, run, takedown
from pipeline.reconstruct.verify import Against, verify

ENTRIES = [
    (IdentifierKind.NAME, "Anneliese Birdwhistle"),
    (IdentifierKind.POSTAL_ADDRESS, "Nebelgasse 17, 9999 Musterlingen"),
    (IdentifierKind.HANDLE, "@birdwhistle_anne"),
    (IdentifierKind.TEXT, "has owed her neighbours money since August"),
    (IdentifierKind.TEXT, "write to anne@people.example or call"),
    (IdentifierKind.EMAIL, "anne@people.example"),
]
PIECES = [
    *(text for _, text in ENTRIES),
    *("Nebelgasse 17", "9999 Musterlingen", "<email-pii>", "<ip-pii>", "jane@example.org"),
    *("has owed her neighbours", "money since August", "Nothing here.", "x" * 300, "\n\n", ""),
]
SITES = ["a.example.org", "b.test", "open.example"]


def bundle(path: Path, entries: Iterable[tuple[Any, str]], release: str = "2026.2.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    far = date(2999, 12, 31)
    Bundle.build(entries, release=release, kdf="testing", valid_until=far).write(path)
    return path


def table(seed: int, rows: int) -> pa.Table:
    """Documents of all kinds of pieces; every other one says nothing of anybody."""
    dice = random.Random(seed)
    said = [
        " ".join(dice.choices(PIECES, k=dice.randint(1, 5))) if n % 2 else f"Text number {n}."
        for n in range(rows)
    ]
    return pa.table(
        {
            "text": pa.array([text if n % 17 else None for n, text in enumerate(said)]),
            "id": [f"doc-{n}" for n in range(rows)],
            "url": [f"https://{dice.choice(SITES)}/{n}" for n in range(rows)],
            "language": pa.array([dice.choice(["de", "rm"]) for _ in range(rows)]),
        }
    )


def changed(before: Path, after: Path) -> list[str]:
    """Parts in which two corpora differ."""
    first, second = everything(before), everything(after)
    return [name for name in first if first[name] != second.get(name)]


subsets = st.lists(st.sampled_from(range(len(ENTRIES))), unique=True)
steps = st.tuples(st.none() | subsets.filter(bool), st.sets(st.sampled_from(SITES), max_size=1))


def any_bundles(examples: int) -> Any:
    """A test of so many lists of bundles and sites."""

    @settings(max_examples=examples, deadline=None)
    @given(
        every=st.lists(steps, min_size=2, max_size=3),
        seed=st.integers(0, 1000),
        pii=st.sampled_from(["strict", "apertus", "none"]),
        removed=st.sampled_from(["none", "none", "verbatim"]),
        unpublished=st.booleans(),
    )
    def test(
        shared_world: Any, every: list[Any], seed: int, pii: str, removed: str, unpublished: bool
    ) -> None:
        """People come and go, sites too, one after the other or at once."""
        options = Options(
            pii=pii, removed=removed, unpublished=unpublished and every[0][0] is not None
        )
        with TemporaryDirectory() as folder:
            world = type(shared_world)(shared_world.policy, Path(folder))
            source = world.write(world.folder / "in/a.parquet", table(seed, 230), 90).parent
            held, out = None, world.folder / "out"
            for n, (listed, sites) in enumerate(every):
                policy = compiled(world.folder / f"p{n}/policy.parquet", dict.fromkeys(sites, ALL))
                if listed is not None:
                    held = bundle(
                        world.folder / f"b{n}/b", [ENTRIES[i] for i in listed], f"2026.2.{n}"
                    )
                if n == 0:
                    run("fineweb", source, policy, out, bundle=held, options=options)
                    continue
                takedown(out, policy, bundle=held)
                again = world.folder / f"again{n}"
                run("fineweb", source, policy, again, bundle=held, options=options)
                assert changed(out, again) == []

    return test


test_any_bundles = any_bundles(8)
test_many_bundles = pytest.mark.soak(any_bundles(MANY))


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return bundle(tmp_path / "few/b", ENTRIES[:2])


@pytest.fixture
def more(tmp_path: Path) -> Path:
    return bundle(tmp_path / "more/b", ENTRIES, "2026.2.1")


def corpus(world: Any, rows: int = 700) -> Path:
    for name, seed in (("a.parquet", 1), ("b/c.parquet", 2)):
        world.write(world.folder / "in" / name, table(seed, rows), 200)
    return Path(world.folder / "in")


def test_only_what_changes_is_made_anew(world: Any, few: Path, more: Path) -> None:
    """A file in which nobody new is named stays untouched; nothing is asked of the policy."""
    source = corpus(world)
    plain = table(3, 200).set_column(
        0, "text", pa.array([f"Nobody, {n} times." for n in range(200)])
    )
    world.write(source / "plain.parquet", plain, 100)
    out = world.folder / "out"
    world.run(source, out, bundle=few)
    untouched = (out / "data/plain.parquet").stat()
    ledgers = {path: path.stat().st_ino for path in (out / "ledger").rglob("*.parquet")}
    result = takedown(out, bundle=more)
    assert (result.documents_gone, result.documents_back, result.files, result.files_cut) == (
        0,
        0,
        2,
        2,
    )
    assert (out / "data/plain.parquet").stat().st_ino == untouched.st_ino
    assert {path: path.stat().st_ino for path in ledgers} == ledgers
    same(world, source, world.policy, out, bundle=more)
    again = takedown(out, bundle=more)
    assert (again.files, again.certificate) == (0, None)
    for listed, ok in ((more, True), (few, False)):
        against = Against(policy=world.policy, source=str(source), bundle=listed, deep=True)
        found = {one.check: one.ok for one in verify(out, against)}
        assert found.pop("made again") is ok
        assert all(found.values())


def test_a_certificate_names_nobody(world: Any, few: Path, more: Path) -> None:
    source = corpus(world)
    out = world.folder / "out"
    world.run(source, out, bundle=few)
    before = everything(out)
    made = takedown(out, compiled(world.folder / "p/p.parquet", {"b.test": ALL}), bundle=more)
    assert made.certificate is not None
    folder = (out / made.certificate).parent
    said = (folder / "certificate.md").read_text() + (folder / "certificate.json").read_text()
    assert "2026.2.0" in said
    assert "2026.2.1" in said
    for _, text in ENTRIES:
        assert text.lower() not in said.lower()
    gone = pq.read_table(folder / "gone.parquet")
    assert set(gone["host"].to_pylist()) == {"b.test"}
    assert "text" not in gone.schema.names
    assert len(before) == len(everything(out))


def test_made_again_where_many_texts_change(
    world: Any, few: Path, more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = corpus(world)
    out = world.folder / "out"
    world.run(source, out, bundle=few)
    monkeypatch.setattr(relisting, "MANY", 20)
    result = takedown(out, bundle=more)
    assert (result.files, result.files_cut) == (2, 0)
    same(world, source, world.policy, out, bundle=more)


def keeps_most(document: Document) -> bool:
    return "Text number 4" not in document.text


def test_stock_blocks_are_run_again(world: Any, few: Path, more: Path) -> None:
    source = corpus(world, 150)
    out = world.folder / "out"
    world.run(source, out, bundle=few, steps=[LambdaFilter(keeps_most)])
    with pytest.raises(WrongRun, match="the same steps"):
        takedown(out, bundle=more)
    takedown(out, bundle=more, steps=[LambdaFilter(keeps_most)])
    same(world, source, world.policy, out, bundle=more, steps=[LambdaFilter(keeps_most)])


def test_texts_that_a_template_makes(world: Any, few: Path, more: Path) -> None:
    source = samples.written(samples.SAMPLE_OF["flan"], world.folder / "in")
    (path,) = source.rglob("*.parquet")
    texts = pq.read_table(path)
    said = pa.array([f"{PIECES[n % 6]} {n}" for n in range(texts.num_rows)])
    column = texts.schema.get_field_index("inputs")
    pq.write_table(texts.set_column(column, "inputs", said), path)
    out, again = world.folder / "out", world.folder / "again"
    options = Options(pii="strict")
    run("flan", source, world.policy, out, bundle=few, options=options)
    assert takedown(out, bundle=more).files_cut == 1
    run("flan", source, world.policy, again, bundle=more, options=options)
    assert changed(out, again) == []


def test_people_who_withdraw_come_back(world: Any, few: Path, more: Path) -> None:
    source = corpus(world)
    out = world.folder / "out"
    world.run(source, out, bundle=more)
    takedown(out, bundle=few)
    same(world, source, world.policy, out, bundle=few)


def test_killed_at_any_moment(world: Any, few: Path, more: Path) -> None:
    source = corpus(world, 4500)
    out = world.folder / "out"
    world.run(source, out, bundle=few)
    command = [sys.executable, "-m", "lethe", "reconstruct", "takedown", str(out)]
    command += ["--bundle", str(more)]
    hit = 0
    for at in (0, 0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not (out / "takedown").exists() and process.poll() is None:
                time.sleep(0.005)
            process.wait(timeout=at)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hit += 1
    assert hit
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    same(world, source, world.policy, out, bundle=more)


# -- what is wrong ---------------------------------------------------------------------------------


def test_wrong_input_is_one_sentence(world: Any, few: Path, more: Path) -> None:
    source = corpus(world, 150)
    out = world.folder / "out"
    world.run(source, out, bundle=few)
    held = everything(out)
    with pytest.raises(WrongRun, match="give --policy, --bundle, or both"):
        takedown(out)
    public = {"release": "2026.2.2", "kdf": "testing", "audience": "public"}
    Bundle.build(ENTRIES, **public, valid_until=date(2999, 12, 31)).write(world.folder / "public")
    with pytest.raises(BundleError, match="operators"):
        takedown(out, bundle=world.folder / "public")
    damaged = world.folder / "damaged"
    damaged.write_bytes(more.read_bytes()[:-9])
    with pytest.raises(BundleError):
        takedown(out, bundle=damaged)
    shutil.move(source, world.folder / "elsewhere")
    with pytest.raises(UnreadableFile, match="say with --input"):
        takedown(out, bundle=more)
    assert not (out / "takedown").exists()
    assert everything(out) == held
    takedown(out, bundle=more, source=world.folder / "elsewhere")
    shutil.move(world.folder / "elsewhere", source)
    same(world, source, world.policy, out, bundle=more)


def test_texts_that_must_stay_have_no_bundle(world: Any, more: Path) -> None:
    source = samples.written("gutenberg-probes", world.folder / "in")
    out = world.folder / "out"
    run("gutenberg-probes", source, world.policy, out)
    with pytest.raises(UnknownName, match="must stay as they are"):
        takedown(out, bundle=more)


def test_a_policy_whose_tags_are_not_kept_must_be_given(world: Any, few: Path, more: Path) -> None:
    source = corpus(world, 150)
    policy = compiled(world.folder / "p/p.parquet", {}, tags={"doc-3": "GPTBot"})
    assert read_header(policy).tags
    out = world.folder / "out"
    world.run(source, out, policy=policy, bundle=few)
    with pytest.raises(WrongRun, match="with --policy"):
        takedown(out, bundle=more)
    result = takedown(out, policy, bundle=more)
    assert result.documents_gone == 0
    same(world, source, policy, out, bundle=more)


def test_what_comes_back_needs_the_bundle(world: Any, few: Path) -> None:
    source = corpus(world, 150)
    out = world.folder / "out"
    world.run(
        source, out, policy=compiled(world.folder / "p/p.parquet", {"b.test": ALL}), bundle=few
    )
    open_again = compiled(world.folder / "q/p.parquet", {})
    with pytest.raises(WrongRun, match="with --bundle"):
        takedown(out, open_again)
    takedown(out, open_again, bundle=few)
    same(world, source, open_again, out, bundle=few)
