"""What may go wrong around a takedown: it is refused or made good, and never silently another corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.pipeline.filters import SamplerFilter
from taken_down import ALL, NONE, compiled, everything, same

from pipeline.errors import UnreadableFile, WrongRun
from pipeline.reconstruct import Options, certificate, engine, run, takedown, takedowns
from pipeline.reconstruct.verify import verify


class Killed(BaseException):
    """Stands for a process that ends at once."""


class Corpus:
    """Two files of documents of three sites, and the policies about them."""

    def __init__(self, world: Any) -> None:
        self.world, folder = world, world.folder
        self.source = folder / "in"
        self.urls = [f"https://{'abc'[n % 3]}.test/{n}" for n in range(60)]
        for name in ("a.parquet", "b.parquet"):
            self.put(name)
        self.none = compiled(folder / "p/none.parquet", {})
        self.b = compiled(folder / "p/b.parquet", {"b.test": ALL})
        self.c = compiled(folder / "p/c.parquet", {"c.test": ALL})
        self.out = folder / "out"

    def put(self, name: str, urls: list[str] | None = None, **columns: list[Any]) -> Path:
        urls = urls or self.urls
        rows = range(len(urls))
        table = pa.table(
            {
                "text": [f"Text {n} of jane{n}@example.org." for n in rows],
                "id": [f"{name}-{n}" for n in rows],
                "url": urls,
                "language": ["de"] * len(urls),
                **columns,
            }
        )
        path: Path = self.world.write(self.source / name, table, 25)
        return path

    def run(self, policy: Path | None = None, **options: Any) -> None:
        self.world.run(self.source, self.out, policy=policy or self.none, **options)

    def is_what_a_run_makes(self, policy: Path, **options: Any) -> None:
        same(self.world, self.source, policy, self.out, **options)


@pytest.fixture
def corpus(world: Any) -> Corpus:
    return Corpus(world)


def killed_at(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int, *given: Any, **more: Any
) -> None:
    """A takedown that ends where ``module.name`` is called for the n-th time."""
    real, calls = getattr(module, name), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, counted)
        with pytest.raises(Killed):
            takedown(*given, **more)


# -- interrupted -----------------------------------------------------------------------------------


def test_another_one_than_the_interrupted_is_refused(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.run()
    killed_at(monkeypatch, takedowns, "redo", 2, corpus.out, corpus.b)
    for other in (corpus.none, corpus.c):
        with pytest.raises(WrongRun, match="that one again first"):
            takedown(corpus.out, other)
    assert takedown(corpus.out, corpus.b).documents_gone == 40
    corpus.is_what_a_run_makes(corpus.b)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_of_an_earlier_one_is_believed(corpus: Corpus, workers: int) -> None:
    """What was left when one was killed while it cleaned up."""
    corpus.run()
    left = corpus.out / "takedown"
    for name in ("logs/completions/00000", "logs/completions/00001", "notes/a.parquet.json"):
        (left / name).parent.mkdir(parents=True, exist_ok=True)
        (left / name).write_text('{"file": "a.parquet", "gone": 7, "back": 0}')
    result = takedown(corpus.out, corpus.b, workers=workers)
    assert (result.documents_gone, result.files) == (40, 2)
    corpus.is_what_a_run_makes(corpus.b)


@pytest.mark.parametrize("call", [1, 2])
def test_a_certificate_tells_what_went_before_it_was_interrupted(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    corpus.run()
    killed_at(monkeypatch, certificate, "note", call, corpus.out, corpus.b)
    result = takedown(corpus.out, corpus.b)
    assert (result.documents_gone, result.files) == (40, 2)
    corpus.is_what_a_run_makes(corpus.b)


def test_a_run_looks_once_more_when_it_is_alone(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.run()
    real = engine.alone_in

    def late(target: Any) -> Any:
        monkeypatch.setattr(engine, "alone_in", real)
        killed_at(monkeypatch, takedowns, "redo", 2, corpus.out, corpus.b)
        return real(target)

    monkeypatch.setattr(engine, "alone_in", late)
    with pytest.raises(WrongRun, match="was interrupted"):
        corpus.run()


def test_a_takedown_looks_when_it_is_alone(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.run()
    real = takedowns.alone_in

    def late(target: Any) -> Any:
        monkeypatch.setattr(takedowns, "alone_in", real)
        takedown(corpus.out, corpus.b)
        return real(target)

    monkeypatch.setattr(takedowns, "alone_in", late)
    assert takedown(corpus.out, corpus.c).documents_back == 40
    corpus.is_what_a_run_makes(corpus.c)


def test_a_failure_behind_the_manifest_is_made_good(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no file changes but what is told of them does."""
    corpus.run()
    more = compiled(corpus.world.folder / "p/more.parquet", {"nobody.test": NONE})
    killed_at(monkeypatch, takedowns, "_say_what_it_is", 1, corpus.out, more)
    assert takedown(corpus.out, more).files == 0
    corpus.is_what_a_run_makes(more)


def test_an_unfinished_corpus_is_run_first(corpus: Corpus) -> None:
    corpus.run()
    (corpus.out / "state/b.parquet.json").unlink()
    with pytest.raises(UnreadableFile, match="not complete: run it again first"):
        takedown(corpus.out, corpus.b)
    corpus.run()
    takedown(corpus.out, corpus.b)
    corpus.is_what_a_run_makes(corpus.b)


def test_a_damaged_journal_is_no_reason_to_go_on(corpus: Corpus) -> None:
    corpus.run()
    (corpus.out / "takedown").mkdir()
    for text in ("{", "[]", "{}"):
        (corpus.out / "takedown/journal.json").write_text(text)
        with pytest.raises(UnreadableFile, match="in another folder"):
            takedown(corpus.out, corpus.b)


# -- another corpus than a run makes ---------------------------------------------------------------


def test_pages_are_heard_by_whoever_listens_now(corpus: Corpus) -> None:
    corpus.put("a.parquet", meta_robots=["noai" if n % 5 == 0 else None for n in range(60)])
    corpus.put(
        "b.parquet", x_robots_tag=["gptbot: noai" if n % 5 == 0 else None for n in range(60)]
    )
    folder = corpus.world.folder
    for n, deaf in enumerate(
        (
            compiled(folder / "p/deaf.parquet", {}, signals="robots,optout"),
            compiled(folder / "p/other.parquet", {}, agents="commoncrawl"),
        )
    ):
        shutil.rmtree(corpus.out, ignore_errors=True)
        corpus.run(deaf)
        assert takedown(corpus.out, corpus.none).documents_gone == (24, 12)[n]
        corpus.is_what_a_run_makes(corpus.none)


def test_stock_blocks_see_what_they_would_have_seen(corpus: Corpus) -> None:
    """A block with a state chooses otherwise where other documents come before."""
    blocks = [SamplerFilter(rate=0.5, seed=1)]
    corpus.run(steps=blocks)
    with pytest.raises(WrongRun, match="the same steps"):
        takedown(corpus.out, corpus.b)
    takedown(corpus.out, corpus.b, steps=blocks)
    corpus.is_what_a_run_makes(corpus.b, steps=blocks)


def test_what_a_stage_dropped_is_written_beside_when_it_is_refused(
    world: Any, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    rows = {"content": ["a", "b"], "id": ["x", "y"], "repo_name": ["u/r"] * 2, "int_score": [0, 4]}
    pq.write_table(pa.table(rows), source / "a.parquet")
    none = compiled(tmp_path / "p/none.parquet", {})
    listed = compiled(tmp_path / "p/listed.parquet", {}, [{"scope": "document_id", "value": "x"}])
    options = Options(pii="none", removed="verbatim")
    run("starcoder-above-2", source, none, tmp_path / "out", options=options)
    takedown(tmp_path / "out", listed)
    run("starcoder-above-2", source, listed, tmp_path / "again", options=options)
    assert everything(tmp_path / "out") == everything(tmp_path / "again")
    assert (tmp_path / "out/removed/a.parquet").exists()


@pytest.mark.parametrize(
    ("url", "domain", "options"),
    [
        ("https://www.www.x.test/1", "www.x.test", {"www": True}),
        ("https://www.x.test/1", "x.test", {"www": True}),
        ("https://x.test/1", "www.x.test", {"www": True}),
        ("https://b..test/1", "b..test", {"spec": "apertus-2025-01"}),
    ],
)
def test_names_of_sites(corpus: Corpus, url: str, domain: str, options: dict[str, Any]) -> None:
    corpus.put("a.parquet", [url, "https://a.test/"])
    folder = corpus.world.folder
    old = compiled(folder / "p/old.parquet", {"q.test": ALL}, **options)
    new = compiled(folder / "p/new.parquet", {"q.test": ALL, domain: ALL}, **options)
    corpus.run(old)
    assert takedown(corpus.out, new).documents_gone == 1
    corpus.is_what_a_run_makes(new)


# -- files that are not what they say --------------------------------------------------------------


@pytest.mark.parametrize("part", ["data", "ledger"])
def test_a_file_that_was_changed_is_not_carried_over(corpus: Corpus, part: str) -> None:
    """Nobody may get a fresh digest for octets that somebody else put there."""
    corpus.run()
    path = corpus.out / part / "a.parquet"
    table = pq.read_table(path)
    held = path.read_bytes()
    name = "language"
    other = table.set_column(
        table.schema.get_field_index(name), name, pa.array(["fr"] * table.num_rows)
    )
    pq.write_table(other if part == "ledger" else table, path, row_group_size=2000)
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        takedown(corpus.out, corpus.b)
    path.write_bytes(held[:400] + bytes([held[400] ^ 1]) + held[401:])
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        takedown(corpus.out, corpus.b)
    path.write_bytes(held)
    takedown(corpus.out, corpus.b)
    corpus.is_what_a_run_makes(corpus.b)


@pytest.mark.parametrize("name", ["hosts", "ids"])
@pytest.mark.parametrize("how", ["missing", "of another corpus", "cut", "flipped", "without proof"])
def test_an_index_is_believed_only_where_it_is_attested(
    corpus: Corpus, name: str, how: str
) -> None:
    corpus.run()
    path = corpus.out / f"index/{name}.parquet"
    held = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "of another corpus":
        stranger = corpus.world.write(
            corpus.world.folder / "x/a.parquet", corpus.world.documents(3)
        )
        corpus.world.run(stranger.parent, corpus.world.folder / "other", policy=corpus.none)
        shutil.copyfile(corpus.world.folder / f"other/index/{name}.parquet", path)
    elif how == "cut":
        path.write_bytes(held[:-9])
    elif how == "flipped":
        path.write_bytes(held[:60] + bytes([held[60] ^ 255]) + held[61:])
    else:
        (corpus.out / "provenance.json").unlink()
    assert takedown(corpus.out, corpus.b).documents_gone == 40
    corpus.is_what_a_run_makes(corpus.b)


def test_other_tables_of_hosts_decide_otherwise(corpus: Corpus) -> None:
    corpus.run()
    path = corpus.out / "manifest.json"
    held = json.loads(path.read_text())
    held["libraries"]["idna"] = "1.0"
    path.write_text(json.dumps(held))
    with pytest.raises(WrongRun, match=r"install idna==1\.0"):
        takedown(corpus.out, corpus.b)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.json", "[]"),
        ("state/a.parquet.json", "[]"),
        ("state/a.parquet.json", '{"sha256": {}, "counts": {}}'),
    ],
)
def test_json_that_is_something_else(corpus: Corpus, name: str, text: str) -> None:
    corpus.run()
    (corpus.out / name).write_text(text)
    with pytest.raises((UnreadableFile, WrongRun)):
        takedown(corpus.out, corpus.b)
    assert not (corpus.out / "takedown").exists()


def test_files_elsewhere_cannot_be_renamed_into(corpus: Corpus, tmp_path: Path) -> None:
    here = tmp_path.stat().st_dev
    places = [Path(one) for one in ("/dev/shm", "/var/tmp", gettempdir())]
    other = next((one for one in places if one.exists() and one.stat().st_dev != here), None)
    if other is None:
        pytest.skip("there is no second file system here")
    corpus.run()
    elsewhere = other / f"lethe-{uuid4().hex}"
    shutil.move(corpus.out / "data", elsewhere)
    try:
        (corpus.out / "data").symlink_to(elsewhere)
        with pytest.raises(WrongRun, match="on another file system"):
            takedown(corpus.out, corpus.b)
        assert not (corpus.out / "takedown").exists()
    finally:
        shutil.rmtree(elsewhere)


# -- what is told ----------------------------------------------------------------------------------


def test_a_certificate_stays_what_it_was(corpus: Corpus) -> None:
    """However often a corpus comes back to a policy."""
    corpus.run()
    both = compiled(corpus.world.folder / "p/both.parquet", {"b.test": ALL, "c.test": ALL})
    told = {}
    for policy in (corpus.b, both, corpus.b, corpus.none, corpus.b):
        made = takedown(corpus.out, policy).certificate
        assert made is not None
        for path in (corpus.out / made).parent.iterdir():
            assert told.setdefault(path, path.read_bytes()) == path.read_bytes()
    for path, octets in told.items():
        assert path.read_bytes() == octets
    assert len(told) == 4 * 4  # the first and the last are one


def test_rules_are_shown_as_they_stand_and_do_nothing(corpus: Corpus) -> None:
    rule = "Disallow: /?<script>alert(1)</script>|`x`\u202e"
    corpus.put("a.parquet", ["https://d.test/?<script>alert(1)</script>|`x`%E2%80%AE"])
    hostile = compiled(
        corpus.world.folder / "p/h.parquet", {"d.test": f"User-agent: *\n{rule}\nDisallow: /\n"}
    )
    corpus.run()
    made = takedown(corpus.out, hostile).certificate
    assert made is not None
    text = (corpus.out / made).read_text()
    assert "\u202e" not in text
    (line,) = [line for line in text.splitlines() if "`d.test`" in line]
    assert line.replace("\\|", "").count("|") == 5


def test_an_input_of_one_file(corpus: Corpus, world: Any) -> None:
    """As a run takes it; its folder does as well."""
    path = corpus.put("a.parquet")
    (corpus.source / "b.parquet").unlink()
    world.run(path, corpus.out, policy=corpus.b)
    shutil.copytree(corpus.source, world.folder / "moved")
    path.unlink()
    takedown(corpus.out, corpus.none, source=world.folder / "moved/a.parquet")
    shutil.copyfile(world.folder / "moved/a.parquet", path)
    again = world.folder / "again"
    world.run(path, again, policy=corpus.none)
    assert everything(corpus.out) == everything(again)


def test_after_a_takedown_everything_verifies(corpus: Corpus) -> None:
    corpus.run(corpus.b)
    takedown(corpus.out, corpus.c)
    assert all(one.ok for one in verify(corpus.out))
