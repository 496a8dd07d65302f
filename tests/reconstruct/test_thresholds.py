"""Thresholds: quantiles of all scores, found before the run and kept in its manifest."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import judged_corpus as corpus
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongRun
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named
from pipeline.reconstruct import Options, run, takedown
from pipeline.reconstruct.head_file import write_head
from pipeline.reconstruct.manifest import fingerprint
from pipeline.reconstruct.recipes import recipe
from pipeline.reconstruct.selection import Selection, fixed
from pipeline.reconstruct.thresholds import quantile

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(SCORES, st.integers(1, 999), st.integers(0, 60), st.randoms())
def test_a_quantile_is_a_score_in_order(
    tmp_path: Path, scores: list[float], thousandths: int, cut: int, random: Any
) -> None:
    """Whatever the order of the scores and however they are spread over files."""
    shuffled = random.sample(scores, len(scores))
    files = [tmp_path / "a", tmp_path / "b"]
    for path, part in zip(files, (shuffled[:cut], shuffled[cut:]), strict=True):
        np.array(part, np.float32).tofile(path)
    rank = math.ceil((1 - Fraction(thousandths, 1000)) * (len(scores) - 1))
    expected = float(np.sort(np.array(scores, np.float32))[rank])
    assert quantile(files, thousandths / 1000) == (expected, len(scores))


@pytest.mark.parametrize("share", [0.1, 0.33, 0.05, 0.5])
def test_quantiles_are_those_of_numpy(tmp_path: Path, share: float) -> None:
    scores = np.random.default_rng(1).random(5003).astype(np.float32)
    scores[:500] = scores[0]
    scores.tofile(tmp_path / "a")
    expected = np.quantile(scores, 1 - share, method="higher")
    assert quantile([tmp_path / "a"], share) == (float(expected), 5003)


def test_a_share_is_the_decimal_fraction_that_it_is_written_as(tmp_path: Path) -> None:
    """The double called 0.3 is a little less: of eleven scores the eighth, not the ninth."""
    np.arange(11, dtype=np.float32).tofile(tmp_path / "a")
    assert quantile([tmp_path / "a"], 0.3) == (7.0, 11)


def test_no_scores_have_no_quantile(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert quantile([tmp_path / "a"], 0.1) == (0.0, 0)
    assert quantile([], 0.1) == (0.0, 0)


class Judged:
    """A corpus of several files, its heads, and runs over it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.source = world.folder / "corpus"
        self.files = {"a.parquet": 2500, "b/c.parquet": 300, "d.parquet": 0}
        self.rows: list[dict[str, Any]] = []
        for name, count in self.files.items():
            rows = corpus.documents(count, first=len(self.rows))
            self.rows += rows
            table = corpus.pa.Table.from_pylist(rows, corpus.SCHEMA)
            world.write(self.source / name, table, row_group=170)
        self.heads = corpus.heads(world.folder / "heads")

    def run(self, out: Path, **arguments: Any) -> Any:
        chosen = arguments.pop("recipe", "fineweb-hq")
        names = ("thresholds", "limit", "quality_head", "toxicity_head")
        given = {name: arguments.pop(name) for name in names if name in arguments}
        policy = arguments.pop("policy", self.world.policy)
        source = arguments.pop("source", self.source)
        options = Options(**(self.heads | given))
        return run(chosen, source, policy, out, options=options, **arguments)

    def manifest(self, out: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((out / "manifest.json").read_text())
        return content

    def threshold(self, rows: list[dict[str, Any]], keep: float = 0.1) -> float:
        """As the documentation says, from the logits."""
        logits = np.array([row["embeddings"][0][0] for row in corpus.open_rows(rows)])
        lowest = np.quantile(logits, 1 - keep, method="higher")
        return float(np.float32(corpus.sigmoid(float(lowest))))


@pytest.fixture(scope="module")
def judged(shared_world: Any) -> Judged:
    found = Judged(shared_world)
    found.run(shared_world.folder / "out")
    return found


def test_estimates_are_over_the_whole_input_that_nobody_opted_out(judged: Judged) -> None:
    out = judged.world.folder / "out"
    assert judged.manifest(out)["estimated"] == {
        "quality": {
            "eng_Latn": {
                "threshold": pytest.approx(judged.threshold(judged.rows), abs=1e-7),
                "n": len(corpus.open_rows(judged.rows)),
                "p": 0.1,
            }
        }
    }
    assert len(corpus.open_rows(judged.rows)) < len(judged.rows)
    selection = judged.manifest(out)["selection"]
    assert selection["quality"]["thresholds"] == "estimated"
    assert "values" not in selection["quality"]
    assert selection["toxicity"]["thresholds"] == "published"
    assert selection["toxicity"]["values"] == {"eng_Latn": 0.99944}


def test_nothing_is_left_of_the_pass_over_the_scores(judged: Judged) -> None:
    assert not (judged.world.folder / "out/logs/estimate").exists()
    assert judged.world.leftovers(judged.world.folder / "out") == []


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_estimates_do_not_depend_on_workers(judged: Judged, tmp_path: Path, workers: int) -> None:
    judged.run(tmp_path, workers=workers)
    world = judged.world
    assert world.contents(tmp_path) == world.contents(world.folder / "out")


def test_estimates_do_not_depend_on_how_the_files_are_cut(judged: Judged, tmp_path: Path) -> None:
    tables = judged.world.tables(judged.source)
    whole = corpus.pa.concat_tables([tables["b/c.parquet"], tables["a.parquet"]])
    for number, start in enumerate(range(0, whole.num_rows, 900)):
        judged.world.write(tmp_path / "in" / f"{number}.parquet", whole.slice(start, 900))
    judged.run(tmp_path / "out", source=tmp_path / "in")
    found = judged.manifest(tmp_path / "out")["estimated"]
    assert found == judged.manifest(judged.world.folder / "out")["estimated"]


def test_of_a_limited_run_they_are_over_what_it_reads(judged: Judged, tmp_path: Path) -> None:
    judged.run(tmp_path, limit=700)
    (found,) = judged.manifest(tmp_path)["estimated"]["quality"].values()
    assert found["threshold"] == pytest.approx(judged.threshold(judged.rows[:700]), abs=1e-7)
    assert found["n"] == len(corpus.open_rows(judged.rows[:700]))


def test_a_run_that_goes_on_takes_its_own_estimates(judged: Judged, tmp_path: Path) -> None:
    judged.run(tmp_path)
    held = judged.manifest(tmp_path)
    held["estimated"]["quality"]["eng_Latn"]["threshold"] = 0.0  # so that it shows
    (tmp_path / "manifest.json").write_text(json.dumps(held))
    (tmp_path / "state/a.parquet.json").unlink()
    judged.run(tmp_path)
    ledger = pq.read_table(tmp_path / "ledger/a.parquet")
    assert "quality" not in ledger["signal"].to_pylist()
    assert judged.manifest(tmp_path) == held


def test_without_its_estimates_it_makes_them_again(judged: Judged, tmp_path: Path) -> None:
    """As after a run that was killed while it made them."""
    judged.run(tmp_path)
    held = judged.manifest(tmp_path)
    stripped = {key: value for key, value in held.items() if key != "estimated"}
    (tmp_path / "manifest.json").write_text(json.dumps(stripped))
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "logs/estimate/scores/quality/eng_Latn").mkdir(parents=True)
    (tmp_path / "logs/estimate/scores/quality/eng_Latn/00099").write_bytes(bytes(4000))
    judged.run(tmp_path)
    assert judged.manifest(tmp_path) == held


def test_killed_while_it_estimates_it_starts_that_again(judged: Judged, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lethe", "reconstruct", "run", "fineweb-hq"]
    command += [
        "--input",
        str(judged.source),
        "--policy",
        str(judged.world.policy),
        "--out",
        str(out),
    ]
    command += ["--quality-head", str(judged.heads["quality_head"])]
    command += ["--toxicity-head", str(judged.heads["toxicity_head"]), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "logs/estimate").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert "estimated" not in judged.manifest(out)
    judged.run(out)
    world = judged.world
    assert world.contents(out) == world.contents(world.folder / "out")
    assert not (out / "logs/estimate").exists()


@pytest.mark.parametrize(
    "broken", ["x", {"quality": {"eng_Latn": {}}}, {"quality": {"eng_Latn": "x"}}], ids=range(3)
)
def test_damaged_estimates_are_refused(judged: Judged, tmp_path: Path, broken: Any) -> None:
    judged.run(tmp_path)
    held = judged.manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({**held, "estimated": broken}))
    (tmp_path / "state/a.parquet.json").unlink()
    with pytest.raises(WrongRun):
        judged.run(tmp_path)


def test_under_another_policy_estimates_move_and_given_ones_do_not(
    judged: Judged, other_policy: Path, tmp_path: Path
) -> None:
    """With given thresholds only documents differ that the policies treat differently."""
    first = judged.world.folder / "out"
    judged.run(tmp_path / "moved", policy=other_policy)
    (moved,) = judged.manifest(tmp_path / "moved")["estimated"]["quality"].values()
    (before,) = judged.manifest(first)["estimated"]["quality"].values()
    assert moved["threshold"] != before["threshold"]
    judged.run(tmp_path / "given", policy=other_policy, thresholds=first)
    held = judged.manifest(tmp_path / "given")
    assert "estimated" not in held
    assert held["selection"]["quality"]["values"] == {"eng_Latn": before["threshold"]}
    open_ids = {row["id"] for row in corpus.open_rows(judged.rows)}
    for name in judged.files:
        old, new = (pq.read_table(out / "ledger" / name) for out in (first, tmp_path / "given"))
        for one, other in zip(old.to_pylist(), new.to_pylist(), strict=True):
            if one["id"] in open_ids:
                assert other["signal"] == one["signal"]


def stricter(folder: Path) -> Path:
    """The policy of the tests with one site more that is closed."""
    robots = {
        "open.example": "User-agent: *\nAllow: /\n",
        "closed.example": "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n",
        "unheard.example": "User-agent: GPTBot\nDisallow: /\n",
    }
    snapshot = corpus.pa.table({"domain": list(robots), "content": list(robots.values())})
    pq.write_table(snapshot, folder / "robots.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(folder / "robots.parquet")
    compiler.finish(folder / "stricter.parquet")
    return folder / "stricter.parquet"


def test_a_takedown_makes_what_a_run_with_the_old_thresholds_makes(
    judged: Judged, tmp_path: Path
) -> None:
    first, policy = judged.world.folder / "out", stricter(tmp_path)
    shutil.copytree(first, tmp_path / "taken")
    gone = takedown(tmp_path / "taken", policy).documents_gone
    assert gone > 0
    judged.run(tmp_path / "given", policy=policy, thresholds=first)
    for part in ("data", "ledger"):
        for name in judged.files:
            one, other = (tmp_path / out / part / name for out in ("taken", "given"))
            assert one.read_bytes() == other.read_bytes(), (part, name)
    one, other = (
        Selection.again(recipe("fineweb-hq"), Options(**judged.heads), judged.manifest(out))
        for out in (first, tmp_path / "taken")
    )
    assert one is not None
    assert other is not None
    assert one.by_stage("quality").thresholds == other.by_stage("quality").thresholds


def test_documents_that_come_back_are_judged_by_the_heads_of_the_run(
    judged: Judged, tmp_path: Path
) -> None:
    before, policy = judged.world.folder / "out", stricter(tmp_path)
    taken = tmp_path / "taken"
    shutil.copytree(before, taken)
    takedown(taken, policy)
    with pytest.raises(InputError, match="--quality-head"):
        takedown(taken, judged.world.policy)
    assert not (taken / "takedown").exists()
    assert takedown(taken, judged.world.policy, **judged.heads).documents_back > 0
    for part in ("data", "ledger"):
        for name in judged.files:
            one, other = (out / part / name for out in (taken, before))
            assert one.read_bytes() == other.read_bytes(), (part, name)


def test_thresholds_are_given_by_a_manifest_or_by_whom_they_were_given(
    judged: Judged, tmp_path: Path
) -> None:
    first = judged.world.folder / "out"
    one = judged.run(tmp_path / "one", thresholds=first / "manifest.json")
    other = judged.run(tmp_path / "other", thresholds=str(tmp_path / "one"))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != judged.manifest(first)["fingerprint"]
    data = {name: (first / "data" / name).read_bytes() for name in judged.files}
    assert {n: (tmp_path / "other/data" / n).read_bytes() for n in judged.files} == data


def test_the_fingerprint_covers_given_values_heads_and_shares(
    judged: Judged, tmp_path: Path
) -> None:
    held = judged.manifest(judged.world.folder / "out")
    prints = {held["fingerprint"]}
    held["estimated"]["quality"]["eng_Latn"]["threshold"] = 0.5
    (tmp_path / "manifest.json").write_text(json.dumps(held))
    prints.add(judged.run(tmp_path / "1", thresholds=judged.world.folder / "out").fingerprint)
    prints.add(judged.run(tmp_path / "2", thresholds=tmp_path / "manifest.json").fingerprint)
    prints.add(
        judged.run(
            tmp_path / "3", recipe=recipe("fineweb-hq").changed("quality", keep=0.33)
        ).fingerprint
    )
    prints.add(
        judged.run(
            tmp_path / "4", recipe=recipe("fineweb-hq").changed("toxicity", drop=0.05)
        ).fingerprint
    )
    write_head(corpus.head("quality", "mean"), tmp_path / "mean.safetensors")
    prints.add(judged.run(tmp_path / "5", quality_head=tmp_path / "mean.safetensors").fingerprint)
    assert len(prints) == 6
    with pytest.raises(WrongRun, match="different selection"):
        judged.run(tmp_path / "2", quality_head=tmp_path / "mean.safetensors")


def test_where_heads_lie_and_what_computes_is_no_part_of_the_fingerprint(
    judged: Judged, tmp_path: Path
) -> None:
    shutil.copytree(judged.world.folder / "heads", tmp_path / "heads")
    moved = {name: tmp_path / "heads" / path.name for name, path in judged.heads.items()}
    result = run(
        "fineweb-hq", judged.source, judged.world.policy, tmp_path / "out",
        options=Options(**moved, device="cpu"),
    )  # fmt: skip
    assert result.fingerprint == judged.manifest(judged.world.folder / "out")["fingerprint"]


def test_toxicity_can_be_estimated_too(judged: Judged, tmp_path: Path) -> None:
    judged.run(tmp_path, recipe=recipe("fineweb-hq").changed("toxicity", drop=0.25))
    found = judged.manifest(tmp_path)["estimated"]["toxicity"]["eng_Latn"]
    left = corpus.open_rows(judged.rows)
    logits = np.array([row["embeddings"][0][1] for row in left])
    threshold = float(np.quantile(logits, 0.75, method="higher"))
    assert found["threshold"] == pytest.approx(corpus.sigmoid(threshold), abs=1e-7)
    assert (found["n"], found["p"]) == (len(left), 0.25)
    kept = {r["id"] for t in judged.world.tables(tmp_path / "data").values() for r in t.to_pylist()}
    good = corpus.best(left, 0.1)
    assert kept == {row["id"] for row in good if row["embeddings"][0][1] < threshold}
    assert len(kept) < len(good)


def test_given_thresholds_must_fit(judged: Judged, tmp_path: Path) -> None:
    first = judged.world.folder / "out"
    refused: list[tuple[dict[str, Any], type[InputError], str]] = [
        ({"thresholds": tmp_path}, UnreadableFile, "is no corpus that Lethe made"),
        ({"thresholds": tmp_path / "x.json"}, UnreadableFile, "is no corpus that Lethe made"),
        (
            {"recipe": recipe("fineweb-hq").changed("quality", keep=0.33), "thresholds": first},
            WrongRun,
            "share of 0.1 for quality, and this run wants 0.33",
        ),
        (
            {"recipe": recipe("fineweb-hq").changed("toxicity", drop=0.1), "thresholds": first},
            WrongRun,
            "has no thresholds for toxicity",
        ),
        ({"recipe": "fineweb", "thresholds": first}, InputError, "has no stage quality"),
    ]
    write_head(corpus.head("quality", "mean"), tmp_path / "mean.safetensors")
    refused.append(
        (
            {"thresholds": first, "quality_head": tmp_path / "mean.safetensors"},
            WrongRun,
            "those of another head for quality",
        )
    )
    for arguments, error, match in refused:
        with pytest.raises(error, match=match):
            judged.run(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"selection": 3, "estimated": []}',
        "{",
        '{"estimated": {"quality": {"eng_Latn": {}}}}',
    ],
    ids=range(5),
)
def test_a_manifest_of_another_kind_is_refused(
    judged: Judged, tmp_path: Path, content: str
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError):
        judged.run(tmp_path / "out", thresholds=tmp_path)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
@pytest.mark.parametrize(("stage", "setting"), [("quality", "keep"), ("toxicity", "drop")])
def test_a_share_is_between_nothing_and_all(
    judged: Judged, tmp_path: Path, share: float, stage: str, setting: str
) -> None:
    changed = recipe("fineweb-hq").changed(stage, **{setting: share})
    with pytest.raises(UnknownName, match="between 0 and 1"):
        judged.run(tmp_path, recipe=changed)


def test_a_manifest_says_whether_it_was_changed_whatever_was_estimated(judged: Judged) -> None:
    held = judged.manifest(judged.world.folder / "out")
    assert fingerprint(held) == held["fingerprint"]


def test_what_a_run_selected_by_can_be_had_again(judged: Judged, tmp_path: Path) -> None:
    first = judged.world.folder / "out"
    judged.run(tmp_path / "given", thresholds=first)
    chosen, options = recipe("fineweb-hq"), Options(**judged.heads)
    threshold = judged.manifest(first)["estimated"]["quality"]["eng_Latn"]["threshold"]
    for out, origin in ((first, "estimated"), (tmp_path / "given", "given")):
        held = judged.manifest(out)
        again = Selection.again(chosen, options, held)
        assert again is not None
        assert again.to_estimate() == ()
        assert again.described() == held["selection"]
        assert again.by_stage("quality").origin == origin
        assert again.by_stage("quality").thresholds == {"eng_Latn": threshold}
        assert again.by_stage("toxicity").thresholds == {"eng_Latn": 0.99944}
    write_head(corpus.head("quality", "mean"), tmp_path / "mean.safetensors")
    other = Options(**(judged.heads | {"quality_head": tmp_path / "mean.safetensors"}))
    with pytest.raises(WrongRun, match="had another head for quality"):
        Selection.again(chosen, other, held)
    assert Selection.again(recipe("fineweb"), Options(), {}) is None


def test_estimates_become_given_where_the_policy_changes(
    judged: Judged, other_policy: Path, tmp_path: Path
) -> None:
    first = judged.world.folder / "out"
    judged.run(tmp_path, policy=other_policy, thresholds=first)
    wanted = judged.manifest(tmp_path)
    held = fixed(judged.manifest(first) | {"policy": wanted["policy"]})
    assert held | {"fingerprint": wanted["fingerprint"]} == wanted
    assert fingerprint(held) == wanted["fingerprint"]
    assert fixed(wanted) == wanted
    assert fixed({"format": 1}) == {"format": 1}
