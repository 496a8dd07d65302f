"""The selecting recipes of the web data sets, each over a small corpus of its own."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import judged_corpus as corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import ended
from datatrove.pipeline.filters import RegexFilter

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongColumns, WrongRun
from pipeline.reconstruct import Options, run
from pipeline.reconstruct.head_file import write_head
from pipeline.reconstruct.recipes import recipe, recipes
from pipeline.reconstruct.stage_heads import HeadFiles, OpenHeads
from pipeline.reconstruct.steps.select import lot

LANGUAGES = (
    ("deu", "Latn"), ("cmn", "Hani"), ("rus", "Cyrl"), ("jpn", "Jpan"), ("xho", "Latn"),
    ("rus", "Latn"), (None, None),
)  # fmt: skip
Rows = list[dict[str, Any]]


def write(
    world: Any, rows: Rows, name: str = "a.parquet", schema: pa.Schema = corpus.SCHEMA
) -> Path:
    path: Path = world.write(
        world.folder / "corpus" / name, pa.Table.from_pylist(rows, schema), 300
    )
    return path


def kept(out: Path) -> list[str]:
    tables = [pq.ParquetFile(p).read() for p in sorted((out / "data").rglob("*.parquet"))]
    return [i for table in tables for i in table["id"].to_pylist()]


def reasons(out: Path) -> Counter[str | None]:
    tables = [pq.read_table(p) for p in sorted((out / "ledger").rglob("*.parquet"))]
    return Counter(s for table in tables for s in table["signal"].to_pylist())


def english(world: Any, **arguments: Any) -> Any:
    """Run fineweb-hq over what was written."""
    return _run(world, arguments.pop("recipe", "fineweb-hq"), **arguments)


def _run(world: Any, chosen: Any, **arguments: Any) -> Any:
    heads = corpus.heads(world.folder / "heads")
    names = ("quality_head", "toxicity_head", "thresholds", "removed", "drop_embeddings")
    options = heads | {name: arguments.pop(name) for name in names if name in arguments}
    out = arguments.pop("out", world.folder / "out")
    source = arguments.pop("source", world.folder / "corpus")
    return run(chosen, source, world.policy, out, options=Options(**options), **arguments)


@pytest.mark.parametrize("keep", [None, 0.33], ids=["a tenth", "a third"])
def test_fineweb_hq(world: Any, keep: float | None) -> None:
    rows = corpus.documents(4500)
    write(world, rows[:3000])
    write(world, rows[3000:], "b.parquet")
    chosen = recipe("fineweb-hq")
    english(world, recipe=chosen if keep is None else chosen.changed("quality", keep=keep))
    left = corpus.open_rows(rows)
    good = corpus.best(left, keep or 0.1)
    fine = corpus.harmless(good, 0.99944)
    assert kept(world.folder / "out") == [row["id"] for row in fine]
    assert reasons(world.folder / "out") == {
        None: len(fine),
        "robots": len(rows) - len(left),
        "quality": len(left) - len(good),
        "toxicity": len(good) - len(fine),
    }
    assert abs(len(good) / len(left) - (keep or 0.1)) < 0.01
    assert 0 < len(fine) < len(good) < len(left)


def name_of(row: dict[str, Any]) -> str | None:
    return row["language"] and f"{row['language']}_{row['language_script']}"


def expected_of(rows: Rows, keep: str) -> tuple[list[str], Counter[str | None]]:
    """What fineweb-2-hq keeps, and the reasons why not, told from the recipe as it is published."""
    settings = recipe("fineweb-2-hq").settings
    judged, toxic = settings["quality"]["languages"], settings["toxicity"]["below"]
    left = corpus.open_rows(rows)
    good = {
        row["id"]
        for name in judged
        for row in (corpus.best([r for r in left if name_of(r) == name], float(keep)) if any(name_of(r) == name for r in left) else [])
    }  # fmt: skip
    ids, why = [], Counter({"robots": len(rows) - len(left)})
    for row in left:
        name = name_of(row)
        share = Fraction("0.95") if name in judged else Fraction("0.95") * Fraction(keep)
        reason = None
        if name is None:
            reason = "no-language"
        elif name in judged and row["id"] not in good:
            reason = "quality"
        elif name in toxic:
            if not corpus.harmless([row], toxic[name]):
                reason = "toxicity"
        elif lot(42, row["id"]) >= int(share * 2**64):
            reason = "sample"
        why[reason] += 1
        if reason is None:
            ids.append(row["id"])
    return ids, why


@pytest.fixture
def multilingual(world: Any) -> tuple[Any, Rows]:
    rows = corpus.documents(4000, languages=LANGUAGES)
    write(world, rows[:2300])
    write(world, rows[2300:], "b/c.parquet")
    return world, rows


@pytest.mark.parametrize("keep", ["0.1", "0.33"])
def test_fineweb_2_hq(multilingual: tuple[Any, Rows], keep: str) -> None:
    world, rows = multilingual
    _run(world, recipe("fineweb-2-hq").changed("quality", keep=float(keep)))
    ids, why = expected_of(rows, keep)
    assert kept(world.folder / "out") == ids
    assert reasons(world.folder / "out") == why
    assert set(why) == {None, "robots", "quality", "toxicity", "sample", "no-language"}
    estimated = json.loads((world.folder / "out/manifest.json").read_text())["estimated"]
    assert set(estimated["quality"]) == {"deu_Latn", "cmn_Hani", "rus_Cyrl", "jpn_Jpan"}


def test_languages_may_be_one_column(multilingual: tuple[Any, Rows]) -> None:
    world, rows = multilingual
    _run(world, "fineweb-2-hq", out=world.folder / "two")
    joined = [row | {"language": name_of(row)} for row in rows]
    fields = [f for f in corpus.SCHEMA if f.name != "language_script"]
    write(world, joined[:2300], schema=pa.schema(fields))
    write(world, joined[2300:], "b/c.parquet", schema=pa.schema(fields))
    _run(world, "fineweb-2-hq", out=world.folder / "one")
    assert kept(world.folder / "one") == kept(world.folder / "two")


@pytest.mark.soak
def test_the_same_bytes_for_any_number_of_workers(multilingual: tuple[Any, Rows]) -> None:
    world, _ = multilingual
    _run(world, "fineweb-2-hq", out=world.folder / "one")
    _run(world, "fineweb-2-hq", out=world.folder / "two", workers=2)
    assert world.contents(world.folder / "one") == world.contents(world.folder / "two")


def test_a_head_for_each_language(multilingual: tuple[Any, Rows]) -> None:
    world, rows = multilingual
    folder = world.folder / "by language"
    for kind in ("quality", "toxicity"):
        for name in ("deu_Latn", "cmn_Hani", "rus_Cyrl", "jpn_Jpan"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            write_head(corpus.head(kind, languages=(name,)), folder / kind / f"{name}.safetensors")
    (folder / "toxicity/rus_Cyrl.safetensors").write_bytes(b"not for this stage: never opened")
    given = {f"{kind}_head": folder / kind for kind in ("quality", "toxicity")}
    _run(world, "fineweb-2-hq", **given)
    assert kept(world.folder / "out") == expected_of(rows, "0.1")[0]
    held = json.loads((world.folder / "out/manifest.json").read_text())["selection"]
    assert set(held["toxicity"]["heads"]) == {"deu_Latn", "cmn_Hani"}
    (folder / "quality/jpn_Jpan.safetensors").unlink()
    with pytest.raises(InputError, match=r"documents in jpn_Jpan, .* has no head for it"):
        _run(world, "fineweb-2-hq", out=world.folder / "other", **given)
    (folder / "quality/deu_Latn.safetensors").rename(folder / "quality/jpn_Jpan.safetensors")
    with pytest.raises(InputError, match="is a head for deu_Latn: rename it"):
        _run(world, "fineweb-2-hq", out=world.folder / "other", **given)


def test_a_head_for_some_languages_is_not_taken_for_others(multilingual: tuple[Any, Rows]) -> None:
    world, _ = multilingual
    write_head(corpus.head("quality", languages=("deu_Latn",)), world.folder / "q.safetensors")
    with pytest.raises(InputError, match=r"documents in .*, and --quality-head has no head for it"):
        _run(world, "fineweb-2-hq", quality_head=world.folder / "q.safetensors")


def test_given_thresholds_must_cover_the_languages(multilingual: tuple[Any, Rows]) -> None:
    world, rows = multilingual
    german = [row for row in rows if row["language"] == "deu"]
    source = world.write(
        world.folder / "german/a.parquet", pa.Table.from_pylist(german, corpus.SCHEMA)
    )
    _run(world, "fineweb-2-hq", source=source.parent, out=world.folder / "german out")
    with pytest.raises(WrongRun, match="have none for quality there"):
        _run(world, "fineweb-2-hq", thresholds=world.folder / "german out")


@pytest.mark.parametrize("pool", ["first", "mean", "max"])
def test_all_vectors_of_a_document_count_if_the_head_says_so(world: Any, pool: str) -> None:
    rng = random.Random(5)
    rows = corpus.documents(60)
    for row in rows:
        row["url"] = corpus.URLS[0]
        row["embeddings"] = [corpus.vector(9, rng.uniform(0, 14), rng) for _ in range(3)]
    write(world, rows)
    write_head(corpus.head("toxicity", pool), world.folder / "t.safetensors")
    english(world, toxicity_head=world.folder / "t.safetensors")
    scores = {row["id"]: [corpus.sigmoid(v[1]) for v in row["embeddings"]] for row in rows}
    of = {"first": lambda s: s[0], "mean": lambda s: sum(s) / 3, "max": max}[pool]
    assert kept(world.folder / "out") == [i for i, s in scores.items() if of(s) < 0.99944]
    assert 0 < len(kept(world.folder / "out")) < 60


BROKEN: dict[str, Any] = {
    "null": None,
    "no vector": [],
    "an empty vector": [[]],
    "a null vector": [None],
    "a null number": [[None] * corpus.DIMENSION],
    "not a number": [[math.nan] * corpus.DIMENSION],
    "infinite": [[math.inf, *[0.0] * (corpus.DIMENSION - 1)]],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_judged_goes_and_is_counted(world: Any, name: str) -> None:
    rows = corpus.documents(300)
    for row in rows[100:110]:
        row |= {"embeddings": BROKEN[name], "url": corpus.URLS[0]}
    write(world, rows)
    english(world)
    fine = corpus.open_rows(rows[:100] + rows[110:])
    assert reasons(world.folder / "out")["no-embedding"] == 10
    assert kept(world.folder / "out") == [
        row["id"] for row in corpus.harmless(corpus.best(fine, 0.1), 0.99944)
    ]
    estimated = json.loads((world.folder / "out/manifest.json").read_text())["estimated"]
    assert estimated["quality"]["eng_Latn"]["n"] == len(fine)


def test_a_corpus_of_which_nothing_can_be_judged(world: Any) -> None:
    rows = corpus.documents(30)
    write(world, [row | {"embeddings": None} for row in rows])
    write(world, [], "b.parquet")
    english(world)
    assert kept(world.folder / "out") == []
    assert reasons(world.folder / "out")["no-embedding"] == len(corpus.open_rows(rows))
    assert json.loads((world.folder / "out/manifest.json").read_text())["estimated"] == {
        "quality": {}
    }


def test_languages_that_nobody_judges_need_no_vectors(world: Any) -> None:
    rows = [
        row | {"embeddings": None} for row in corpus.documents(400, languages=(("xho", "Latn"),))
    ]
    write(world, rows)
    _run(world, "fineweb-2-hq")
    assert kept(world.folder / "out") == expected_of(rows, "0.1")[0] != []


def test_one_vector_for_each_document(world: Any) -> None:
    rows = corpus.documents(300)
    write(world, rows)
    english(world)
    flat = pa.list_(pa.float64(), corpus.DIMENSION)
    at = corpus.SCHEMA.get_field_index("embeddings")
    schema = corpus.SCHEMA.set(at, pa.field("embeddings", flat))
    first = [row | {"embeddings": row["embeddings"][0]} for row in rows]
    source = world.write(world.folder / "flat/a.parquet", pa.Table.from_pylist(first, schema))
    english(world, source=source.parent, out=world.folder / "flat out")
    assert kept(world.folder / "flat out") == kept(world.folder / "out") != []


def test_the_vectors_stay_as_they_were(world: Any) -> None:
    rows = corpus.documents(300)
    write(world, rows)
    english(world)
    held = {
        row["id"]: row["embeddings"]
        for row in pa.Table.from_pylist(rows, corpus.SCHEMA).to_pylist()
    }
    found = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    assert found.schema == corpus.SCHEMA
    assert found["embeddings"].to_pylist() == [held[i] for i in found["id"].to_pylist()]


def test_the_vectors_can_be_left_out(world: Any) -> None:
    rows = corpus.documents(2300)
    table = pa.Table.from_pylist(rows, corpus.SCHEMA)
    metadata = {"made by": "the tests", "huggingface": "{}"}
    world.write(world.folder / "corpus/a.parquet", table.replace_schema_metadata(metadata))
    english(world, removed="verbatim", out=world.folder / "with")
    english(world, removed="verbatim", drop_embeddings=True)
    for part in ("data", "removed"):
        one, other = (
            pq.ParquetFile(world.folder / f"{o}/{part}/a.parquet").read() for o in ("with", "out")
        )
        assert other.equals(one.drop_columns(["embeddings"])), part
        assert other.schema.metadata == {b"made by": b"the tests"}  # the other names the columns
    held = json.loads((world.folder / "out/manifest.json").read_text())["options"]
    assert held["drop_embeddings"] is True
    with pytest.raises(WrongRun, match="different options"):
        english(world, removed="verbatim")
    with pytest.raises(InputError, match="judges nothing: leave out --drop-embeddings"):
        english(
            world, recipe="fineweb", quality_head=None, toxicity_head=None, drop_embeddings=True
        )


def without(name: str) -> pa.Schema:
    return pa.schema([f for f in corpus.SCHEMA if f.name != name])


def with_type(name: str, kind: pa.DataType) -> pa.Schema:
    return corpus.SCHEMA.set(corpus.SCHEMA.get_field_index(name), pa.field(name, kind))


@pytest.mark.parametrize(
    ("chosen", "schema", "match"),
    [
        (
            "fineweb-hq",
            without("embeddings"),
            r"^a.parquet has no column 'embeddings', .*embed`\.$",
        ),
        ("fineweb-2-hq", without("embeddings"), "no column 'embeddings'"),
        ("fineweb-2-hq", without("language"), r"^a.parquet has no column 'language', by which"),
        (
            "fineweb-hq",
            with_type("embeddings", pa.string()),
            "^Column 'embeddings' of a.parquet is string: it must hold vectors",
        ),
    ],
    ids=["no vectors", "no vectors, by language", "no language", "no lists"],
)
def test_columns_that_are_missing(world: Any, chosen: str, schema: pa.Schema, match: str) -> None:
    rows = [{k: v for k, v in row.items() if k in schema.names} for row in corpus.documents(3)]
    texts = [row | {"embeddings": "x"} if "embeddings" in row else row for row in rows]
    kind = schema.field("embeddings").type if "embeddings" in schema.names else None
    write(world, texts if kind == pa.string() else rows, schema=schema)
    with pytest.raises(WrongColumns, match=match):
        _run(world, chosen)
    assert not (world.folder / "out").exists()


def test_a_file_without_languages_will_do_where_all_are_english(world: Any) -> None:
    write(world, corpus.documents(50), schema=without("language"))
    english(world)
    assert sum(reasons(world.folder / "out").values()) == 50


def test_vectors_of_another_size_are_told_with_file_and_row(world: Any) -> None:
    rows = corpus.documents(2500)
    rows[2100] |= {"embeddings": [[1.0, 2.0]], "url": corpus.URLS[0]}
    write(world, rows)
    match = "a.parquet has a vector of 2 numbers in row 2100, and the head takes 16"
    with pytest.raises(WrongColumns, match=match):
        english(world)


def test_a_language_that_is_no_code_is_told_with_file_and_row(world: Any) -> None:
    rows = corpus.documents(2500, languages=LANGUAGES)
    rows[2100] |= {"language": "German", "url": corpus.URLS[0]}
    write(world, rows)
    with pytest.raises(WrongColumns, match=r"of a.parquet holds no language code in row 2100"):
        _run(world, "fineweb-2-hq")


def test_heads_that_are_missing_or_wrong(world: Any) -> None:
    write(world, corpus.documents(3))
    heads = corpus.heads(world.folder / "heads")
    (world.folder / "empty").mkdir()
    refused: list[tuple[dict[str, Any], type[InputError], str]] = [
        ({"quality_head": None}, InputError, "does not come with Lethe: give one with --quality-head"),
        ({"toxicity_head": None}, InputError, "does not come with Lethe: give one with --toxicity-head"),
        ({"quality_head": heads["toxicity_head"]}, InputError, "is a head for toxicity: give one for quality"),
        ({"quality_head": world.folder / "x"}, UnreadableFile, "cannot be opened"),
        ({"quality_head": world.folder / "empty"}, UnreadableFile, "name them like eng_Latn.safetensors"),
        ({"recipe": "fineweb"}, InputError, "Recipe fineweb has no stage quality: leave out --quality-head"),
        ({"recipe": "fineweb", "quality_head": None}, InputError, "no stage toxicity"),
    ]  # fmt: skip
    for given, error, match in refused:
        with pytest.raises(error, match=match):
            english(world, **given)
    assert not (world.folder / "out").exists()


def test_values_of_documents_that_went_are_nowhere_in_the_data(world: Any) -> None:
    """Parquet writes the dictionary of a column whole, whichever rows are left."""
    rows = corpus.documents(300)
    for row in rows:
        row["text"] = f"secret {row['id']}" if row["embeddings"][0][0] < 0 else "public"
    table = pa.Table.from_pylist(rows, corpus.SCHEMA)
    table = table.append_column("author", table["text"].dictionary_encode())
    world.write(world.folder / "corpus/a.parquet", table)
    english(world, recipe=recipe("fineweb-hq").changed("quality", keep=0.3))
    written = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    assert written["author"].chunk(0).dictionary.to_pylist() == ["public"]


def test_stock_blocks_see_what_was_selected(world: Any) -> None:
    rows = corpus.documents(300)
    for row in rows[::2]:
        row["text"] += " stock"
    write(world, rows)
    english(world, steps=[RegexFilter("stock")])
    fine = corpus.harmless(corpus.best(corpus.open_rows(rows), 0.1), 0.99944)
    assert kept(world.folder / "out") == [r["id"] for r in fine if "stock" not in r["text"]]
    assert (
        reasons(world.folder / "out")["filter:RegexFilter"]
        == sum("stock" in r["text"] for r in fine)
        > 0
    )


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A process, once for each command; `lethe` is the same without one."""
    command = [sys.executable, "-m", "lethe", "reconstruct", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def lethe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return ended("reconstruct", *arguments)


def test_the_commands(world: Any) -> None:
    import torch

    rows = corpus.documents(400)
    write(world, rows)
    for kind in ("quality", "toxicity"):
        layers = corpus.head(kind).weights
        held = {f"fc{n}.{p}": v for n, pair in enumerate(layers) for p, v in zip(("weight", "bias"), pair, strict=True)}  # fmt: skip
        torch.save(held, world.folder / f"{kind}.pt")
        options = ("--kind", kind, "--vectors", "first", "--language", "eng_Latn")
        done = process(
            "head", "import", world.folder / f"{kind}.pt", "--out", world.folder / kind, *options
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"a head for {kind} over vectors of 16 numbers.\n")
    common = ("run", "fineweb-hq", "--input", world.folder / "corpus", "--policy", world.policy)
    heads = (
        "--quality-head",
        world.folder / "quality",
        "--toxicity-head",
        world.folder / "toxicity",
    )
    more = ("--drop-embeddings", "--keep", "0.2", "--drop-toxic", "0.5", "--device", "cpu")
    done = process(*common, "--out", world.folder / "one", *heads, *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert "opted out or were not selected (" in done.stdout
    good = {row["id"] for row in corpus.best(corpus.open_rows(rows), 0.2)}
    assert 0 < len(kept(world.folder / "one")) < len(good)
    assert set(kept(world.folder / "one")) < good
    given = ("--thresholds", world.folder / "one")
    assert lethe(*common, "--out", world.folder / "two", *heads, *more, *given).returncode == 0
    assert kept(world.folder / "two") == kept(world.folder / "one")
    for arguments, match in (
        ((), "give one with --quality-head"),
        ((*heads, "--keep", "2"), "between 0 and 1"),
    ):
        done = lethe(*common, "--out", world.folder / "three", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("lethe: ")
        assert match in done.stderr


def test_nothing_heavy_is_loaded_where_nothing_is_judged() -> None:
    said = "import sys, lethe.cli, pipeline.reconstruct.engine; print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_recipes_say_what_they_need() -> None:
    said = lethe("show", "fineweb-2-hq").stdout
    assert "optout -> quality -> toxicity -> sample -> pii" in said
    assert "--quality-head" in said
    assert "'embeddings'" in said
    assert "deu_Latn" in said
    assert "0.9977" in said
    assert "needs" not in lethe("show", "fineweb").stdout
    assert recipe("fineweb-hq").revision == recipe("fineweb").revision == "v1.3.0"
    assert recipe("fineweb-2-hq").revision == "v2.0.1"
    assert "score 3" in recipe("fineweb-edu").title


CRAWL = {
    "dump": "CC-MAIN-2024-10",
    "file_path": "s3://commoncrawl/x.warc.gz",
    "language_score": 0.9,
}
PLAIN: dict[str, dict[str, Any]] = {
    "fineweb": {**CRAWL, "date": "2024-02-20T00:00:00Z", "language": "en"},
    "fineweb-2": {**CRAWL, "language": "deu", "language_script": "Latn", "minhash_cluster_size": 3},
    "fineweb-edu": {**CRAWL, "language": "en", "score": 3.2, "int_score": 3},
    "fineweb-edu-score-2": {**CRAWL, "language": "en", "score": 2.1, "int_score": 2},
    "dclm-edu": {"language": "en", "edu_score": 3.2, "edu_int_score": 3},
}
"""Columns of the other web data sets beside text, id, URL and tokens, as their cards name them."""


@pytest.mark.parametrize("name", PLAIN)
def test_the_other_web_recipes_respect_opt_outs_and_scrub(world: Any, name: str) -> None:
    rows = [
        {"text": f"Write to eva.muster@example.org, {n}.", "id": f"{n}", "token_count": n}
        | {"url": f"https://{('open', 'closed')[n % 2]}.example/{n}"} | PLAIN[name]
        for n in range(9)
    ]  # fmt: skip
    if name == "dclm-edu":  # URL and id stand in the metadata
        rows = [
            {k: v for k, v in row.items() if k not in {"url", "id"}}
            | {"metadata": {"WARC-Target-URI": row["url"], "WARC-Record-ID": row["id"]}}
            for row in rows
        ]
    world.write(world.folder / "corpus/a.parquet", pa.Table.from_pylist(rows))
    run(name, world.folder / "corpus", world.policy, world.folder / "out")
    left = [
        row | {"text": row["text"].replace("eva.muster@example.org", "<email-pii>")}
        for row in rows[::2]
    ]
    assert pq.ParquetFile(world.folder / "out/data/a.parquet").read().to_pylist() == left
    assert reasons(world.folder / "out") == {None: 5, "robots": 4}
    ledger = pq.read_table(world.folder / "out/ledger/a.parquet")
    assert ledger["id"].to_pylist() == [str(n) for n in range(9)]
    assert ledger["language"].to_pylist() == [PLAIN[name]["language"]] * 9


def test_every_web_recipe_is_run_here() -> None:
    web = {n for n, r in recipes().items() if r.url and r.url[0] == "url" and "pii" in r.stages}
    assert web - {"clean-wikipedia"} == {"fineweb-hq", "fineweb-2-hq", *PLAIN}


def test_without_torch_it_says_what_to_install(world: Any) -> None:
    path = corpus.heads(world.folder)["quality_head"]
    said = "import sys; sys.modules['torch'] = None; sys.argv[0] = 'lethe'; import lethe.cli; lethe.cli.main()"
    arguments = ["reconstruct", "run", "fineweb-hq", "--input", "x", "--policy", "x", "--out", "x"]
    command = [sys.executable, "-c", said, *arguments, "--quality-head", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "lethe: Heads need the package 'torch': pip install 'lethe-llm[heads]'.\n"


def test_a_head_that_changes_during_a_run_ends_it(world: Any) -> None:
    path = corpus.heads(world.folder)["quality_head"]
    files = HeadFiles.open(path, "quality", ("eng_Latn",))
    assert OpenHeads(files, "cpu").of("eng_Latn").dimension == corpus.DIMENSION
    write_head(corpus.head("quality", "mean"), path)
    with pytest.raises(WrongRun, match="has changed since the run began"):
        OpenHeads(files, "cpu").of("eng_Latn")


def test_a_worker_finds_the_heads_wherever_it_stands(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.heads(world.folder)
    monkeypatch.chdir(world.folder)
    files = HeadFiles.open("quality.safetensors", "quality", ("eng_Latn",))
    monkeypatch.chdir("/")
    assert OpenHeads(files, "cpu").of("eng_Latn").dimension == corpus.DIMENSION
