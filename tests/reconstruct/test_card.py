from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from pipeline.errors import UnreadableFile
from pipeline.optout.signals import Signal
from pipeline.reconstruct.card import card, size_category
from pipeline.reconstruct.ledger import SCHEMA

REFUSED = {
    "verdict": "drop",
    "signal": "robots",
    "signals": ["robots"],
    "agents": ["GPTBot"],
    "rule": "Disallow: /",
    "source": "robots.txt",
    "source_hash": "0" * 64,
    "source_date": "2025-01-31",
}


def write_run(
    out: Path, files: dict[str, list[tuple[str | None, bool]] | None], **changes: Any
) -> Path:
    """A run of documents given by language and whether they stay; ``None`` for an unfinished file."""
    manifest: dict[str, Any] = {
        "format": 1,
        "engine_version": 1,
        "recipe": {
            "name": "fineweb-2",
            "title": "FineWeb-2 2.0.1",
            "dataset": "HuggingFaceFW/fineweb-2",
            "revision": "v2.0.1",
            "homepage": "https://huggingface.co/datasets/HuggingFaceFW/fineweb-2",
            "license": "odc-by",
        },
        "policy": {
            "name": "rfc9309",
            "version": "0123456789abcdef",
            "as_of": "2026-07-01",
            "agent_set": "apertus",
            "agents": ["CCBot", "GPTBot", "*"],
            "signals": sorted(Signal),
            "counts": {},
        },
        "options": {"pii": "strict", "limit": None, "removed": "none"},
        "fingerprint": "f" * 64,
        "input": {
            "root": "hf://datasets/HuggingFaceFW/fineweb-2",
            "files": [{"name": n, "rows": len(d or []), "bytes": 1} for n, d in files.items()],
        },
    }
    for path, value in changes.items():
        holder, _, key = path.partition("__")
        manifest[holder][key] = value
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name, documents in files.items():
        if documents is not None:
            write_file(out, name, documents)
    return out


def write_file(out: Path, name: str, documents: list[tuple[str | None, bool]]) -> None:
    rows = [
        {f.name: None for f in SCHEMA}
        | {"id": str(i), "file": name, "row_group": 0, "row": i, "host": "a.example"}
        | {"language": language, "tokens": 10, "verdict": "keep"}
        | ({} if stays else REFUSED)
        for i, (language, stays) in enumerate(documents)
    ]
    stayed = [str(i) for i, (_, stays) in enumerate(documents) if stays]
    state = {
        "file": name,
        "rows_in": len(rows),
        "rows_out": len(stayed),
        "pii": {"email": 2},
        "documents_scrubbed": 1,
        "sha256": {"data": "0" * 64, "ledger": "0" * 64},
    }
    for folder in ("ledger", "data", "state"):
        (out / folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), out / "ledger" / name)
    table = pa.table(
        {
            "text": pa.array([f"text {i}" for i in stayed], pa.string()),
            "id": pa.array(stayed, pa.string()),
        }
    )
    # As the engine does: an empty row group would be more than `datasets` can read.
    with pq.ParquetWriter(out / "data" / name, table.schema) as writer:
        if table.num_rows:
            writer.write_table(table)
    (out / "state" / f"{name}.json").write_text(json.dumps(state), encoding="utf-8")


def front_matter(text: str) -> dict[str, Any]:
    """What the Hub's own client reads."""
    return DatasetCard(text).data.to_dict()  # type: ignore[no-any-return]


FILES: dict[str, list[tuple[str | None, bool]] | None] = {
    "deu/0.parquet": [("deu_Latn", True), ("deu_Latn", False), ("deu_Latn", True)],
    "roh/0.parquet": [("roh_Latn", True), (None, True), ("x1", True)],
    "fra/0.parquet": [("fra_Latn", False)],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "out", FILES)


def test_front_matter_is_what_the_hub_expects(run: Path) -> None:
    assert front_matter(card(run)) == {
        "pretty_name": "FineWeb-2 2.0.1, opt-outs respected",
        "license": "odc-by",
        "language": ["deu", "roh"],
        "source_datasets": ["HuggingFaceFW/fineweb-2"],
        "size_categories": ["n<1K"],
        "task_categories": ["text-generation"],
        "tags": ["lethe", "opt-out", "robots-txt", "pretraining", "personal-data-replaced"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/**/*.parquet"}],
            }
        ],
    }


def test_the_corpus_loads_by_its_card_and_as_the_card_says(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole folder is loaded; state, ledger and manifest beside the data must not disturb."""
    text = card(run)
    (run / "README.md").write_text(text, encoding="utf-8")
    cache = str(tmp_path / "cache")
    by_card = datasets.load_dataset(str(run), split="train", cache_dir=cache)
    assert sorted(by_card["text"]) == ["text 0", "text 0", "text 1", "text 2", "text 2"]
    line = next(line for line in text.splitlines() if line.startswith("corpus = "))
    monkeypatch.chdir(run)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", Path(cache))
    names: dict[str, Any] = {"datasets": datasets}
    exec(line, names)
    assert sorted(names["corpus"]["text"]) == sorted(by_card["text"])
    assert names["corpus"].column_names == ["text", "id"]


def test_the_body_says_what_was_done(run: Path) -> None:
    text = card(run).replace("\u202f", " ")
    for words in (
        "`HuggingFaceFW/fineweb-2` at revision `v2.0.1`, rebuilt so that every opt-out",
        "7 documents came in, 5 stayed: 2 opted out (28.6 %).",
        "| `robots` | 2 | 28.6 % | 20 | 0 |",
        "| E-mail address | `<email-pii>` | 6 |",
        "| `text` | `string` |",
        "| `id` | `string` |",
        "5 documents in 3 Parquet files, named as in the source.",
        "## Limitations",
        "`" + "f" * 64 + "`",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("odc-by", {"license": "odc-by"}),
        ("ODC-By-1.0", {"license": "odc-by"}),
        ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
        (None, {"license": "unknown"}),
        (
            "The Stack terms: yes",
            {
                "license": "other",
                "license_name": "The Stack terms: yes",
                "license_link": "https://huggingface.co/datasets/HuggingFaceFW/fineweb-2",
            },
        ),
    ],
)
def test_license(tmp_path: Path, stated: str | None, expected: dict[str, str]) -> None:
    found = front_matter(card(write_run(tmp_path, FILES, recipe__license=stated)))
    assert {k: v for k, v in found.items() if k.startswith("license")} == expected


@pytest.mark.parametrize(
    "title",
    [
        "a: b # c",
        '"quoted" \\ back',
        "- list",
        "{{x}}",
        "!!python/object:os.system",
        "’ü\u2028中🙂\x07",
    ],
)
def test_titles_do_not_become_yaml(tmp_path: Path, title: str) -> None:
    found = front_matter(card(write_run(tmp_path, FILES, recipe__title=title)))
    shown = title.replace("\u2028", "\\u2028").replace("\x07", "\\u0007")
    assert found["pretty_name"] == f"{shown}, opt-outs respected"
    assert len(found) == 8


@pytest.mark.parametrize(
    ("documents", "name"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9_999_999, "1M<n<10M"),
        (10**9, "1B<n<10B"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_size_category(documents: int, name: str) -> None:
    """https://huggingface.co/docs/hub/datasets-cards, the values of ``size_categories``."""
    assert size_category(documents) == name


def test_without_scrubbing_nothing_is_claimed(tmp_path: Path) -> None:
    text = card(write_run(tmp_path, FILES, options__pii="none"))
    assert "personal-data-replaced" not in front_matter(text)["tags"]
    assert "did not look for personal data" in text
    assert "email-pii" not in text


@pytest.mark.parametrize(
    ("files", "changes", "words"),
    [
        ({"a.parquet": [("en", True)], "b.parquet": None}, {}, "This run is not finished: 1 of"),
        (
            {"a.parquet": [("en", True)]},
            {"options__removed": "verbatim"},
            "must never be published",
        ),
        ({"a.parquet": []}, {}, "No documents came in."),
        ({"a.parquet": None}, {}, "There is no data file yet."),
        ({"a.parquet": [("en", False)]}, {}, "1 document came in, none stayed"),
    ],
    ids=["unfinished", "verbatim", "empty", "nothing finished", "all dropped"],
)
def test_odd_runs(tmp_path: Path, files: Any, changes: dict[str, Any], words: str) -> None:
    text = card(write_run(tmp_path, files, **changes))
    assert words in text.replace("\u202f", " ")
    assert front_matter(text)["size_categories"] == ["n<1K"]


def test_missing_data_is_one_sentence(run: Path) -> None:
    shutil.rmtree(run / "data")
    with pytest.raises(UnreadableFile, match=r"data/deu/0\.parquet is missing"):
        card(run)
