"""Mixtures as files, and what is there of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apertus_samples as samples
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongVersion
from pipeline.reconstruct import holdings
from pipeline.reconstruct.mixture import Dataset, Mixture, Stage, parsed, read, shipped
from pipeline.reconstruct.recipes import recipe, recipes

SMALL = """\
format = 1
title = "A small mixture"

[[stage]]
name = "first"
span = "0T to 1T"

[[stage.dataset]]
name = "Web"
recipes = ["fineweb"]
billions = 0.000002

[[stage.dataset]]
name = "Tasks"
recipes = ["flan", "euroblocks"]
weight = 3
billions = 0.000001

[[stage]]
name = "second"

[[stage.dataset]]
name = "Code"
recipes = ["starcoder-above-2"]
variant = "the good half"
settings = { class = { min_class = 3 } }
billions = 1
"""


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


# -- the file --------------------------------------------------------------------------------------


def test_a_mixture_is_read() -> None:
    web = Dataset("Web", ("fineweb",), 0.000002)
    tasks = Dataset("Tasks", ("flan", "euroblocks"), 0.000001, 3.0)
    code = Dataset(
        "Code", ("starcoder-above-2",), 1.0, 1.0, "the good half", {"class": {"min_class": 3}}
    )
    assert parsed(SMALL, "m.toml") == Mixture(
        "A small mixture",
        (Stage("first", (web, tasks), "0T to 1T"), Stage("second", (code,))),
    )
    assert (web.planned, tasks.planned, code.planned) == (2000, 3000, 10**9)
    assert parsed(changed('title = "A small mixture"\n', ""), "m.toml").title == "m.toml"


def test_the_shipped_mixture_is_that_of_the_report() -> None:
    """Tokens available in each stage, in billions: Apertus' technical report, table 6."""
    mixture = shipped()
    assert [[d.billions for d in stage.datasets] for stage in mixture.stages] == [
        [4815, 3557, 235, 32, 2],
        [4064, 3557, 1179, 235, 32, 2],
        [4064, 3556, 1179, 235, 32, 19, 260, 1],
        [1619, 986, 234, 32, 19, 15],
        [1619, 986, 182, 68, 32, 19, 15, 33, 21, 1],
    ]
    assert [s.name for s in mixture.stages] == list("12345")
    last = {d.name: d for d in mixture.stages[-1].datasets}
    assert last["Flan and EuroBlocks"].weight == 3
    for stage in mixture.stages:
        for dataset in stage.datasets:
            for name in dataset.recipes:  # settings that are wanted are some that the recipe has
                for of, wanted in dataset.settings.items():
                    assert of in recipe(name).stages
                    assert wanted.keys() <= recipe(name).settings[of].keys()


def test_every_recipe_but_the_collective_ones_is_in_the_mixture() -> None:
    named = {n for s in shipped().stages for d in s.datasets for n in d.recipes}
    unused = {
        "fineweb", "fineweb-2", "finemath", "megamath", "finemath-4plus", "infiwebmath-4plus",
    }  # fmt: skip
    assert named | unused == set(recipes())


WRONG = {
    "not TOML": ("format = 1\n[[stage]\n", "m.toml is not TOML: .*line 2"),
    "no format": (changed("format = 1\n", ""), "m.toml has no 'format = 1'"),
    "other format": (changed("format = 1", "format = 2"), "m.toml has no 'format = 1'"),
    "true as format": (changed("format = 1", "format = true"), "line 1: 'format' must be a number"),
    "title": (changed('"A small mixture"', "3"), "m.toml, line 2: 'title' must be a text"),
    "unknown key": (changed("weight = 3", "wieght = 3"), "line 16: a dataset has no 'wieght': it has"),
    "unknown in stage": (changed('span = "0T', 'spam = "0T'), "line 6: a stage has no 'spam'"),
    "no name": (changed('name = "Tasks"\n', ""), "line 13: a dataset needs 'name'"),
    "no stage name": (changed('name = "second"\n', ""), "line 19: a stage needs 'name'"),
    "no tokens": (changed("billions = 1\n", ""), "line 22: a dataset needs 'billions'"),
    "text as tokens": (changed("billions = 1\n", 'billions = "1"'), "line 27: 'billions' must be a num"),
    "truth as tokens": (changed("billions = 1\n", "billions = true"), "line 27: 'billions' must be"),
    "no tokens at all": (changed("billions = 1\n", "billions = 0"), "line 27: 'billions' must be above 0"),
    "nan": (changed("weight = 3", "weight = nan"), "line 16: 'weight' must be above 0"),
    "negative": (changed("weight = 3", "weight = -1"), "line 16: 'weight' must be above 0"),
    "unknown recipe": (changed('"euroblocks"', '"wine"'), "line 15: there is no recipe 'wine'"),
    "list as recipe": (changed('"euroblocks"', "[]"), r"line 15: there is no recipe \[\]"),
    "number as recipe": (changed('"euroblocks"', "3"), "line 15: there is no recipe 3"),
    "no recipe": (changed('["fineweb"]', "[]"), "line 10: a dataset has no recipe"),
    "text as recipes": (changed('["fineweb"]', '"fineweb"'), "line 10: 'recipes' must be a list"),
    "flat settings": (changed("{ class = { min_class = 3 } }", "{ a = 1 }"), "line 26: 'settings' must be"),
    "settings": (changed("{ class = { min_class = 3 } }", "1"), "line 26: 'settings' must be a table"),
    "same stage": (changed('"second"', '"first"'), "line 19: there are two stages 'first'"),
    "no stage": ("format = 1\nstage = []\n", "line 1: there must be tables like"),
    "stage of numbers": ("format = 1\nstage = [1]\n", "line 1: there must be tables like"),
    "nothing": ("", "m.toml has no 'format = 1'"),
    "no stages": ("format = 1\n", "line 1: the file needs 'stage'"),
    "stage without datasets": (
        'format = 1\n\n[[stage]]\nname = "1"\n', "line 3: a stage needs 'dataset'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG))
def test_errors_name_the_line(name: str) -> None:
    text, match = WRONG[name]
    with pytest.raises((UnreadableFile, WrongVersion), match=match) as caught:
        parsed(text, "m.toml")
    assert "\n" not in str(caught.value)


def test_inline_tables_are_tables(tmp_path: Path) -> None:
    inline = '{ name = "Web", recipes = ["fineweb"], billions = 1 }'
    text = f'format = 1\n[[stage]]\nname = "1"\ndataset = [{inline}]\n' + SMALL.partition("\n")[2]
    text = text.replace('title = "A small mixture"\n', "")
    assert [len(s.datasets) for s in parsed(text, "m").stages] == [1, 2, 1]
    with pytest.raises(UnreadableFile, match="m, line 2: there is no recipe 'x'"):
        parsed(text.replace('["fineweb"], billions = 1', '["x"], billions = 1'), "m")
    with pytest.raises(UnreadableFile, match="m, line 18: a dataset has no 'wieght'"):
        parsed(text.replace("weight", "wieght"), "m")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "m.toml").write_bytes(b"\xff")
    with pytest.raises(UnreadableFile, match="cannot be read: it is not UTF-8"):
        read(tmp_path / "m.toml")


# -- what is there ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(shared_world: Any) -> Any:
    """Four corpora: web pages with counts, tasks without, code of two classes."""
    source = shared_world.corpus({"a.parquet": 300, "b/c.parquet": 50})
    shared_world.run(source, shared_world.folder / "web")
    shared_world.web = pa.concat_tables(
        shared_world.tables(shared_world.folder / "web/data").values()
    )["token_count"].to_pylist()
    for name in ("flan", "euroblocks"):
        where = samples.written(name, shared_world.folder / f"{name}-in")
        shared_world.run(where, shared_world.folder / name, recipe=name)
    code = samples.written("starcoder-classes", shared_world.folder / "code-in")
    for least in (2, 3):
        chosen = recipe("starcoder-above-2").changed("class", min_class=least)
        shared_world.run(code, shared_world.folder / f"code-{least}", recipe=chosen, pii="none")
    (shared_world.folder / "small.toml").write_text(SMALL)
    return shared_world


def corpora(made: Any, *names: str) -> list[holdings.Corpus]:
    return [holdings.corpus(str(made.folder / name)) for name in names]


def test_a_corpus_is_counted_by_its_ledger(made: Any) -> None:
    web, flan = corpora(made, "web", "flan")
    assert (web.recipe, web.documents, web.tokens) == ("fineweb", len(made.web), sum(made.web))
    assert (web.uncounted, web.missing_files) == (0, 0)
    assert (flan.recipe, flan.documents, flan.tokens, flan.uncounted) == ("flan", 60, 0, 60)


def test_a_dataset_has_its_corpora(made: Any) -> None:
    found = corpora(made, "web", "flan", "code-2", "code-3")
    first, second = parsed(SMALL, "m").stages
    web, tasks = holdings.rows(first, found)
    assert (web.tokens, web.documents, web.missing) == (sum(made.web), len(made.web), ())
    assert (tasks.tokens, tasks.documents, tasks.uncounted) == (0, 60, 60)
    assert tasks.missing == ("euroblocks",)
    (code,) = holdings.rows(second, found)
    assert [Path(c.root).name for c in code.corpora] == ["code-3"]
    assert [Path(c.root).name for c in code.others] == ["code-2"]
    assert code.dataset.differences(code.others[0].settings) == ["class.min_class = 2"]
    assert holdings.unused(Mixture("m", (first,)), found) == found[2:]


def test_tokens_count_as_often_as_the_weight_says(made: Any) -> None:
    (web,) = corpora(made, "web")
    for weight in (1.0, 2.0, 0.5):
        dataset = Dataset("Web", ("fineweb",), 1.0, weight)
        (row,) = holdings.rows(Stage("1", (dataset,)), [web])
        assert (row.tokens, dataset.planned) == (round(sum(made.web) * weight), weight * 10**9)
        assert row.documents == len(made.web)


def test_several_corpora_of_one_recipe_are_summed(made: Any) -> None:
    again = made.folder / "half"
    made.run(made.folder / "corpus", again, limit=100)
    web, half = corpora(made, "web", "half")
    (row,) = holdings.rows(Stage("1", (Dataset("Web", ("fineweb",), 1.0),)), [web, half])
    assert row.tokens == web.tokens + half.tokens
    holdings.check_apart([web, half])
    with pytest.raises(InputError, match=r"holds the same run as .*web: give each corpus once"):
        holdings.check_apart([web, half, web])


def test_a_corpus_that_is_not_complete_says_so(made: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(made.folder / "web", tmp_path / "web")
    (tmp_path / "web/state/b/c.parquet.json").unlink()
    found = holdings.corpus(str(tmp_path / "web"))
    assert found.missing_files == 1
    assert 0 < found.documents < len(made.web)


def test_what_is_no_corpus(made: Any, tmp_path: Path) -> None:
    import shutil

    for root in (tmp_path, tmp_path / "none", made.folder / "corpus"):
        with pytest.raises(
            UnreadableFile, match="is not the output folder of lethe reconstruct run"
        ):
            holdings.corpus(str(root))
    for damaged in ("[]", '{"recipe": 3, "input": {"files": []}}', '{"input": {"files": [{}]}}'):
        (tmp_path / "manifest.json").write_text(damaged)
        with pytest.raises(UnreadableFile, match="is not the output folder"):
            holdings.corpus(str(tmp_path))
    shutil.copytree(made.folder / "web", tmp_path / "web")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "web/ledger/a.parquet")
    with pytest.raises(UnreadableFile, match=r"ledger/a.parquet is damaged, or no ledger"):
        holdings.corpus(str(tmp_path / "web"))


# -- the command -----------------------------------------------------------------------------------


def plan(made: Any, *more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lethe", "reconstruct", "plan", *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=made.folder)


def test_the_command_tells_tables(made: Any) -> None:
    done = plan(made, "--mixture", "small.toml", "web", "flan", "code-2")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.replace("\u202f", "")
    lines = said.splitlines()
    assert lines[0] == "A small mixture"
    assert lines[2] == "Stage first, 0T to 1T"
    assert all(len(line) <= 100 for line in lines)
    tokens = sum(made.web)
    web = next(line for line in lines if line.startswith("  Web"))
    assert web.split() == [
        "Web", str(len(made.web)), f"{tokens / 1000:.1f}k", "2.0k", f"{tokens / 20:.1f}%"
    ]  # fmt: skip
    tasks = next(line for line in lines if line.startswith("  Tasks"))
    assert tasks.split() == ["Tasks", "60", "unknown", "3.0k", "0.0%"]
    assert "    Tasks: missing euroblocks" in lines
    assert "    Tasks: 60 documents have no number of tokens" in lines
    assert "    Code: code-2 is of another run (class.min_class = 2)" in lines
    assert "    Code: meant is the good half" in lines
    assert "    Code: missing starcoder-above-2" in lines
    assert lines[-2].startswith("Of 4 recipes 2 are there; of 1.0G tokens of all stages ")
    assert lines[-1] == "Not counted are 60 documents with an unknown number of tokens."


def test_the_command_as_json(made: Any) -> None:
    done = plan(made, "--mixture", "small.toml", "web", "flan", "--json")
    found = json.loads(done.stdout)
    first, second = found["stages"]
    assert first["tokens"] == sum(made.web)
    assert (first["planned_tokens"], second["planned_tokens"]) == (5000, 10**9)
    assert first["datasets"][0] == {
        "name": "Web", "recipes": ["fineweb"], "variant": "", "weight": 1.0, "corpora": ["web"],
        "other_settings": [], "missing": [], "missing_files": 0, "documents": len(made.web),
        "documents_without_tokens": 0, "tokens": sum(made.web), "planned_tokens": 2000,
    }  # fmt: skip
    assert found["unused"] == []


def test_the_shipped_mixture_without_any_corpus(made: Any) -> None:
    done = plan(made)
    assert done.returncode == 0
    assert done.stdout.count("\nStage ") == 5
    assert done.stdout.rstrip().endswith("(0.0%).")
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
    unused = plan(made, "web")
    assert "\nweb (recipe fineweb) is in no stage.\n" in unused.stdout


def test_bad_input_is_one_sentence(made: Any) -> None:
    (made.folder / "bad.toml").write_text(changed("weight = 3", "weight = 0"))
    for more, match in (
        (["--mixture", "bad.toml"], "lethe: bad.toml, line 16: 'weight' must be above 0"),
        (["corpus"], "lethe: corpus is not the output folder"),
        (["web", "./web"], "lethe: ./web holds the same run as web"),
    ):
        done = plan(made, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(match)
        assert done.stderr.count("\n") == 1
