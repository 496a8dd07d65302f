"""Every recipe of Apertus' corpus beside the web datasets, on a small sample of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import apertus_samples as samples
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UnknownName, WrongColumns
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named
from pipeline.reconstruct import Options, run, takedown
from pipeline.reconstruct.recipes import recipe, recipes

WEB = {
    "fineweb", "fineweb-2", "fineweb-hq", "fineweb-2-hq", "fineweb-edu", "fineweb-edu-score-2",
    "dclm-edu",
}  # fmt: skip
NAMES = sorted(samples.SAMPLE_OF)
MAIL = samples.MAIL
EXPECTED = {
    "europarl-forward": [
        "de: Die Sitzung ist eröffnet.\nen: The session is open.",
        "de: Schreiben Sie an <email-pii>.\nen: Write to <email-pii>.",
        None,
        None,
    ],
    "europarl-backward": [
        "en: The session is open.\nde: Die Sitzung ist eröffnet.",
        "en: Write to <email-pii>.\nde: Schreiben Sie an <email-pii>.",
        None,
        None,
    ],
    "euroblocks": [
        "system: Be brief.\nuser: Wie heisst der Fluss?\nassistant: Die Aare.\nSie fliesst durch Bern.",
        "user: Mail <email-pii>",
        "",
        None,
        None,
    ],
    "flan": [
        "User:\n2 + 2?\nAssistant:\n4",
        f"User:\nWho has {MAIL}?\nAssistant:\nNobody.",
        None,
    ],
    "gutenberg-probes": [f"Call me {MAIL}, or 8.8.213.77.", " spaces \r\n stay\t"],
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """closed.example is closed; one repository, one owner's, one document and one dataset opted out."""
    folder = tmp_path_factory.mktemp("policy")
    robots = pa.table({"domain": ["closed.example"], "content": ["User-agent: *\nDisallow: /\n"]})
    pq.write_table(robots, folder / "robots.parquet")
    entries = [
        ("url_prefix", "https://github.com/muster-test/gone/"),
        ("document_id", "starcoder-7"),
        ("dataset", "HuggingFaceFW/clean-wikipedia"),
        ("dataset", "DataProvenanceInitiative/Commercial-Flan-Collection"),
    ]
    common = {"effective": "2025-01-01", "origin": "test", "request_id": "r-1"}
    lines = (json.dumps({"scope": s, "value": v, **common}) + "\n" for s, v in entries[:2])
    (folder / "optouts.jsonl").write_text("".join(lines))
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(folder / "robots.parquet")
    compiler.add_optouts(folder / "optouts.jsonl")
    compiler.finish(folder / "policy.parquet")
    (folder / "datasets.jsonl").write_text(
        "".join(json.dumps({"scope": s, "value": v, **common}) + "\n" for s, v in entries[2:])
    )
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_optouts(folder / "datasets.jsonl")
    compiler.finish(folder / "datasets.parquet")
    return folder / "policy.parquet"


def data(out: Path) -> pa.Table:
    return pq.read_table(out / "data/a.parquet")


def ledger(out: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(out / "ledger/a.parquet").read().to_pylist()


def test_every_recipe_has_a_sample() -> None:
    assert set(samples.SAMPLE_OF) | WEB == set(recipes())


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_on_its_sample(name: str, policy: Path, tmp_path: Path) -> None:
    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in")
    chosen, out = recipe(name), tmp_path / "out"
    result = run(name, source, policy, out)
    given, found, told = pq.read_table(source), data(out), ledger(out)
    kept = [row for row in told if row["verdict"] == "keep"]
    assert (result.documents_in, len(told)) == (60, 60)
    assert result.documents_out == found.num_rows == len(kept)
    template = chosen.settings.get("template")
    sources = set(given.column_names) - set(found.column_names)
    assert bool(sources) == (template is not None)
    assert set(found.column_names) - set(given.column_names) <= {chosen.text}
    texts = found[chosen.text].to_pylist()
    mails = sum(MAIL in text for text in texts if text)
    assert (mails == 0) == ("pii" in chosen.stages)
    assert (result.replaced != {}) == ("pii" in chosen.stages)
    if name in EXPECTED:
        assert texts[: len(EXPECTED[name])] == EXPECTED[name]
    urls = [row["url"] for row in told]
    assert (None not in urls) if "optout" in chosen.stages else set(urls) == {None}
    assert run(name, source, policy, out).resumed_files == 1


def test_a_text_does_not_stay_beside_itself(policy: Path, tmp_path: Path) -> None:
    """The columns that the text is made of would hold what was scrubbed from it."""
    for name in ("europarl-forward", "euroblocks"):
        source = samples.written(samples.SAMPLE_OF[name], tmp_path / f"{name}-in")
        run(name, source, policy, tmp_path / name)
        assert MAIL not in json.dumps(data(tmp_path / name).to_pylist())
    again = pytest.raises(WrongColumns, match="no column 'conversations'")
    with again:
        run("euroblocks", tmp_path / "euroblocks/data", policy, tmp_path / "again")


def test_repositories_opt_out_by_their_address(policy: Path, tmp_path: Path) -> None:
    for name, document in (("starcoder", "starcoder-7"), ("stack-v2-edu", None)):
        source = samples.written(samples.SAMPLE_OF[name], tmp_path / f"{name}-in")
        run(name, source, policy, tmp_path / name)
        told = ledger(tmp_path / name)
        prefix = "https://github.com/muster-test/gone/"
        meant = {r["id"] for r in told if r["url"] == prefix or r["id"] == document}
        dropped = {r["id"] for r in told if r["signal"] == "optout"}
        assert meant == dropped
        assert len(meant) > 5
        assert {r["host"] for r in told} == {"github.com"}
        assert "https://github.com/muster-test/kept/" in {
            r["url"] for r in told if r["id"] not in meant
        }


@pytest.mark.parametrize("name", ["clean-wikipedia", "flan"])
def test_a_dataset_opts_out(name: str, policy: Path, tmp_path: Path) -> None:
    """With or without URLs, whatever stages the recipe has."""
    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in")
    result = run(name, source, policy.with_name("datasets.parquet"), tmp_path / "out")
    assert result.documents_out == 0
    assert {row["verdict"] for row in ledger(tmp_path / "out")} == {"drop"}


def test_probes_are_never_altered(policy: Path, tmp_path: Path) -> None:
    source = samples.written("gutenberg-probes", tmp_path / "in")
    out = tmp_path / "out"
    for options in (Options(pii="strict"), Options(pii="apertus")):
        with pytest.raises(UnknownName, match="gutenberg-probes must stay as they are: leave out"):
            run("gutenberg-probes", source, policy, out, options=options)
    with pytest.raises(UnknownName, match="must stay as they are"):
        run(
            "gutenberg-probes",
            source,
            policy,
            out,
            bundle="b.safetensors",
            options=Options(pii="none"),
        )
    assert not out.exists()
    run("gutenberg-probes", source, policy, out)
    assert data(out).equals(pq.read_table(source))


def test_math_without_columns_for_language_and_tokens(policy: Path, tmp_path: Path) -> None:
    """What MegaMath and InfiWebMath may have in a JSON string, the first with other names."""
    url = "https://closed.example/x"
    rows = pa.table({"text": ["x", "y"], "metadata": [json.dumps({"url": url}), '{"url": 1}']})
    (tmp_path / "in").mkdir()
    pq.write_table(rows, tmp_path / "in/a.parquet")
    for name in ("megamath-web", "infiwebmath-3plus"):
        assert run(name, tmp_path / "in", policy, tmp_path / name).documents_out == 1
        assert [r["url"] for r in ledger(tmp_path / name)] == [url, "1"]


# -- wrong columns ---------------------------------------------------------------------------------


def needed(name: str) -> list[str]:
    """Columns without which a recipe cannot be run on its sample."""
    chosen, schema = recipe(name), pa.schema(samples.SCHEMAS[samples.SAMPLE_OF[name]])
    template = chosen.settings.get("template", {})
    found = {template.get("column", chosen.text)} & set(schema.names)
    found |= {"inputs", "labels"} & set(schema.names)
    if "optout" in chosen.stages:
        found |= {"url", "metadata", "max_stars_repo_name"} & set(schema.names)
    if "class" in chosen.stages:
        found |= {"quality", "int_score"} & set(schema.names)
    return sorted(found)


@pytest.mark.parametrize(("name", "column"), [(n, c) for n in NAMES for c in needed(n)])
def test_a_column_that_is_missing(name: str, column: str, policy: Path, tmp_path: Path) -> None:
    other = {"url": ["metadata"], "metadata": ["url"]}.get(column, [])

    def without(table: pa.Table) -> pa.Table:
        return table.drop_columns([column, *(c for c in other if c in table.column_names)])

    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in", change=without)
    with pytest.raises(WrongColumns) as caught:
        run(name, source, policy, tmp_path / "out")
    said = str(caught.value)
    assert said.count(". ") == 0
    assert said.endswith(").")
    assert "a.parquet has no " in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "column"), [(n, c) for n in NAMES for c in needed(n)])
def test_a_column_of_another_type(name: str, column: str, policy: Path, tmp_path: Path) -> None:
    def changed(table: pa.Table) -> pa.Table:
        wrong = pa.array([b"\x00"] * len(table), pa.binary())
        if column == "metadata":
            wrong = pa.array([1] * len(table))
            table = table.drop_columns([c for c in ("url",) if c in table.column_names])
        return table.set_column(table.column_names.index(column), column, wrong)

    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in", change=changed)
    with pytest.raises(WrongColumns) as caught:
        run(name, source, policy, tmp_path / "out")
    assert "a.parquet" in str(caught.value)
    assert str(caught.value).count(". ") == 0
    assert not (tmp_path / "out").exists()


# -- what a corpus must be able to do --------------------------------------------------------------


LATER = ["europarl-forward", "euroblocks", "starcoder-above-2", "stack-v2-edu", "flan"]


@pytest.fixture(scope="module")
def later_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Under which other repositories, and single rows, opted out."""
    folder = tmp_path_factory.mktemp("later")
    entries = [("url_prefix", "https://github.com/acme-test/")]
    entries += [("document_id", f"{d}/{n}") for d in ("a.parquet", "b.parquet") for n in (0, 2, 30)]
    common = {"effective": "2025-01-01", "origin": "test", "request_id": "r-2"}
    lines = (json.dumps({"scope": s, "value": v, **common}) + "\n" for s, v in entries)
    (folder / "optouts.jsonl").write_text("".join(lines))
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 2, 1))
    compiler.add_optouts(folder / "optouts.jsonl")
    compiler.finish(folder / "policy.parquet")
    return folder / "policy.parquet"


@pytest.mark.parametrize("name", LATER)
def test_a_takedown_is_what_a_rerun_gives(
    name: str, policy: Path, later_policy: Path, tmp_path: Path, world: Any
) -> None:
    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in", count=90)
    pq.write_table(samples.sample(samples.SAMPLE_OF[name], 40, seed=2), source / "b.parquet")
    run(name, source, policy, tmp_path / "corpus")
    run(name, source, later_policy, tmp_path / "rerun")
    before = world.tables(tmp_path / "corpus/data")
    takedown(tmp_path / "corpus", later_policy)
    for part in ("data", "ledger", "state"):
        ours, theirs = (
            {
                str(p.relative_to(root / part)): p.read_bytes()
                for p in (root / part).rglob("*")
                if p.is_file()
            }
            for root in (tmp_path / "corpus", tmp_path / "rerun")
        )
        assert ours == theirs
    assert any(
        not before[file].equals(table)
        for file, table in world.tables(tmp_path / "corpus/data").items()
    )


@pytest.mark.parametrize("name", LATER)
def test_any_number_of_workers(name: str, policy: Path, tmp_path: Path, world: Any) -> None:
    """Whatever the chunks: the second file has two."""
    source = samples.written(samples.SAMPLE_OF[name], tmp_path / "in")
    pq.write_table(
        samples.sample(samples.SAMPLE_OF[name], 2100), source / "b.parquet", row_group_size=700
    )
    for workers in (1, 2):
        run(name, source, policy, tmp_path / str(workers), workers=workers)
    one, two = (world.contents(tmp_path / str(workers)) for workers in (1, 2))
    assert one == two
    whole = world.tables(tmp_path / "1/data")["b.parquet"]
    text = recipe(name).text
    with_id = [(row.get("id"), row[text]) for row in whole.to_pylist()]
    assert len(with_id) > 300


def test_recipes_are_listed_in_lines_that_fit() -> None:
    listed = lethe("list").stdout.splitlines()
    assert max(map(len, listed)) <= 100
    columns = {line.index(recipe(line.split()[0]).dataset[:20]) for line in listed}
    assert len(columns) == 1


def test_a_recipe_is_shown() -> None:
    shown = lethe("show", "starcoder-above-2").stdout
    assert shown.startswith("StarCoderData, quality class 3 and 4\n")
    for said in (
        "  dataset    bigcode/starcoderdata @ main\n",
        "  stages     optout -> class\n",
        '    class    columns = ["quality", ',
        "min_class = 3\n",
        "  url        https://github.com/{max_stars_repo_name|repo_name}/\n",
    ):
        assert said in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "nothing is scrubbed from them" in lethe("show", "gutenberg-probes").stdout
    assert json.loads(lethe("show", "flan", "--json").stdout) == recipe("flan").described()
    missing = lethe("show", "wine", "--json")
    assert (missing.returncode, missing.stdout) == (2, "")


def test_a_recipe_like_another_has_its_fields() -> None:
    assert recipe("finemath-4plus").url == recipe("finemath").url
    assert recipe("finemath-4plus").title == "FineMath 4+"
    assert recipe("starcoder-above-3").dataset == recipe("starcoder").dataset
    assert recipe("starcoder-above-3").settings["class"]["min_class"] == 4
    assert recipe("starcoder-above-2").settings["class"]["min_class"] == 3
    assert recipe("starcoder").settings == {}


def lethe(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lethe", "reconstruct", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
