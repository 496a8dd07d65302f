"""``lethe reconstruct`` as people and scripts meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command_line import ended as lethe

from pipeline.reconstruct.recipes import recipes


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A process, once for each command; `lethe` is the same without one."""
    command = [sys.executable, "-m", "lethe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(
    world: Any, source: Path, out: Path, *more: object, command: Any = process
) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = command(*world.command(source, out)[3:], *more)
    return done


def test_recipes_are_listed_and_shown() -> None:
    listed = process("reconstruct", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(recipes())
    as_json = json.loads(lethe("reconstruct", "list", "--json").stdout)
    assert [r["name"] for r in as_json] == list(recipes())
    shown = process("reconstruct", "show", "dclm-edu").stdout
    assert "metadata:url|WARC-Target-URI" in shown
    assert "optout -> pii" in shown
    missing = lethe("reconstruct", "show", "wine")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith(
        "lethe: There is no recipe 'wine': `lethe reconstruct list` shows"
    )


def test_a_run_says_what_it_did_and_so_does_the_next(world: Any) -> None:
    source = world.corpus({"a.parquet": 3000, "b.parquet": 30})
    out = world.folder / "out"
    first = run(world, source, out)
    assert (first.returncode, first.stderr) == (0, "")
    kept = sum(pq.read_metadata(p).num_rows for p in (out / "data").iterdir())
    said = first.stdout.replace("\u202f", "")
    assert f"3030 documents came in, {kept} stayed, {3030 - kept} opted out (" in said
    assert "Personal data replaced: " in said
    assert f"Corpus: {out}/data" in said
    assert "had been finished before" not in said
    second = run(world, source, out)
    assert second.returncode == 0
    assert "2 of 2 files had been finished before." in second.stdout
    assert second.stdout.splitlines()[0] == first.stdout.splitlines()[0]
    as_json = run(world, source, out, "--json")
    found = json.loads(as_json.stdout)
    assert (found["documents_in"], found["documents_out"]) == (3030, kept)
    assert (found["files"], found["resumed_files"]) == (2, 2)


def test_options_reach_the_engine(world: Any) -> None:
    source = world.corpus({"a.parquet": 300})
    out = world.folder / "out"
    options = ("--limit", 100, "--pii", "apertus", "--removed", "verbatim", "--workers", 2)
    assert run(world, source, out, *options).returncode == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["options"] == {"limit": 100, "pii": "apertus", "removed": "verbatim"}
    assert pq.read_metadata(out / "ledger/a.parquet").num_rows == 100
    assert (out / "removed/a.parquet").exists()


def test_the_bundle_reaches_the_engine(world: Any) -> None:
    from filter import Bundle

    listed = [("name", "Mountain Lakewood"), ("text", "mountain lakes of paper")]
    bundle = Bundle.build(listed, release="2026.2.0", kdf="testing", valid_until=date(2999, 12, 31))
    bundle.write(world.folder / "filter.safetensors")
    rows = world.documents(2)
    for row, text in zip(rows, ("Mountain Lakewood!", "Mountain lakes of paper!"), strict=True):
        row |= {"text": text, "url": "https://open.example/"}
    source = world.write(world.folder / "corpus/a.parquet", rows).parent
    out = world.folder / "out"
    options = ("--bundle", world.folder / "filter.safetensors", "--unpublished")
    done = run(world, source, out, *options)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "This bundle has cheap hashes: it is for tests and hides nobody.",
        "Listed names are removed, too: what comes out must not be published.",
    ]
    assert pq.read_table(out / "data")["text"].to_pylist() == ["<email-pii>!"] * 2
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["options"]["unpublished"] is True
    assert manifest["bundle"]["release"] == "2026.2.0"


def test_a_recipe_without_the_stage_scrubs_nothing_unless_asked(world: Any) -> None:
    source = world.corpus({"a.parquet": 60})
    arguments = ["--input", source, "--policy", world.policy]
    lethe("reconstruct", "run", "finemath", *arguments, "--out", world.folder / "math")
    lethe("reconstruct", "run", "fineweb", *arguments, "--out", world.folder / "web")
    modes = [
        json.loads((world.folder / o / "manifest.json").read_text())["options"]["pii"]
        for o in ("math", "web")
    ]
    assert modes == ["none", "strict"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("--limit", "0"), "--limit is a number of documents: give at least 1."),
        (("--pii", "lax"), "There is no way of scrubbing 'lax': use strict, apertus, none."),
        (("--removed", "all"), "Removed documents can be none, scrubbed, verbatim, not 'all'."),
        (("--unpublished",), "--unpublished applies the names of a bundle: give --bundle, too."),
        (("--bundle", "nowhere.safetensors"), "nowhere.safetensors cannot be read (No such file"),
        (("--policy", "nowhere.parquet"), "There is no policy at nowhere.parquet: make one with"),
        (
            ("--input", "nowhere"),
            "nowhere does not exist: give a Parquet file or a folder of them.",
        ),
        (("--workers", "0"), "Invalid value for '--workers'"),
        (("--limit", "many"), "Invalid value for '--limit'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    world: Any, change: tuple[str, ...], match: str
) -> None:
    source = world.corpus({"a.parquet": 3})
    said = run(world, source, world.folder / "out", *change, command=lethe)
    assert (said.returncode, said.stdout) == (2, "")
    assert match in said.stderr
    assert "Traceback" not in said.stderr
    if not match.startswith("Invalid"):  # typer draws a box around its own
        assert said.stderr.startswith("lethe: ")
        assert len(said.stderr.splitlines()) == 1
    assert not (world.folder / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_file_is_one_sentence_from_any_worker(world: Any, workers: int) -> None:
    source = world.corpus({"a.parquet": 3, "b.parquet": 3000, "c.parquet": 3})
    path = source / "b.parquet"
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)
    said = run(world, source, world.folder / "out", "--workers", workers)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "lethe: b.parquet is damaged behind row 0: fetch it again.\n"


def test_report_and_its_errors(world: Any) -> None:
    out = world.folder / "out"
    run(world, world.corpus({"a.parquet": 300}), out, command=lethe)
    assert process("reconstruct", "report", out, "--format", "md").returncode == 0
    for form, start in (("html", "<!doctype html>"), ("md", "#"), ("json", "{")):
        said = lethe("reconstruct", "report", out, "--format", form)
        assert said.returncode == 0
        assert said.stdout.lower().startswith(start)
    file = world.folder / "deep/report.html"
    assert lethe("reconstruct", "report", out, "--out", file).returncode == 0
    assert file.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    for arguments, match in (
        ((world.folder,), "holds no manifest.json"),
        ((out, "--format", "pdf"), "There is no report format 'pdf': use html, md, json"),
        ((out, "--out", world.folder), "cannot be written"),
        ((out, "--out", file / "below"), "cannot be written"),
    ):
        said = lethe("reconstruct", "report", *arguments)
        assert (said.returncode, said.stdout) == (2, "")
        assert said.stderr.startswith("lethe: ")
        assert match in said.stderr
        assert len(said.stderr.splitlines()) == 1
