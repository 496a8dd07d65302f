"""The certificate of a takedown: what was asked, what went, and the files before and after.

It names sites and documents, never people. Whoever asked can be given it; with the corpus before and after
at hand anybody can check it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.parquet.codec import one_array
from pipeline.parquet.parts import Parts
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.ledger import LedgerLayout
from pipeline.reconstruct.redone import taken_apart
from pipeline.reconstruct.staging import FOLDER, NOTES

CERTIFICATES = "takedowns"
_TOLD = ("id", "url", "host", "row", "signal", "rule", "source", "source_hash", "source_date")


def note(
    root: Path, name: str, ledger: Parts, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Note what changes in a file, before it does: for the certificate, which is written in the end."""
    folder = root / FOLDER
    with taken_apart(folder / "ledger" / name) as new:
        gone, back = _moved(ledger, new)
    path = folder / NOTES / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(gone, path.with_suffix(".gone"), compression="zstd")
    pq.write_table(back, path.with_suffix(".back"), compression="zstd")
    said = {
        "file": name,
        "gone": gone.num_rows,
        "back": back.num_rows,
        "before": before["sha256"],
        "after": after["sha256"],
    }
    path.write_text(json.dumps(said, sort_keys=True), encoding="utf-8")


def notes(root: Path) -> list[dict[str, Any]]:
    """What was noted of all files, in their order."""
    folder = root / FOLDER / NOTES
    paths = sorted(folder.rglob("*.json")) if folder.exists() else []
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def write(
    target: Folder,
    root: Path,
    held: dict[str, Any],
    wanted: dict[str, Any],
    said: Sequence[dict[str, Any]],
) -> str:
    """Write the certificate; returns where it lies."""
    folder = f"{CERTIFICATES}/{wanted['fingerprint'][:16]}"
    tables = {
        part: pa.concat_tables(
            [
                pq.read_table(root / FOLDER / NOTES / f"{one['file']}.{part}").append_column(
                    "file", pa.array([one["file"]] * one[part], pa.string())
                )
                for one in said
            ]
        )
        for part in ("gone", "back")
    }
    for part, table in tables.items():
        with target.writing(f"{folder}/{part}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd")
    content = {
        "format": 1,
        "dataset": wanted["recipe"]["dataset"],
        "recipe": wanted["recipe"]["name"],
        "policy": {part: _policy(one) for part, one in (("before", held), ("after", wanted))},
        "fingerprint": {"before": held["fingerprint"], "after": wanted["fingerprint"]},
        "documents": {part: table.num_rows for part, table in tables.items()},
        "sites": {part: _sites(table) for part, table in tables.items()},
        "files": [{key: one[key] for key in ("file", "before", "after")} for one in said],
        "lists": {part: target.sha256(f"{folder}/{part}.parquet") for part in tables},
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    target.write_text(f"{folder}/certificate.json", text + "\n")
    target.write_text(f"{folder}/certificate.md", _prose(content))
    return f"{folder}/certificate.md"


def _policy(manifest: dict[str, Any]) -> dict[str, Any]:
    policy = manifest["policy"]
    return {key: policy[key] for key in ("name", "version", "as_of", "agent_set")}


def _moved(old: Parts, new: Parts) -> tuple[pa.Table, pa.Table]:
    """Ledger rows, as they are now, of documents that went and of those that came back."""
    layout = LedgerLayout()
    gone, back = [], []
    for one, other in zip(old.groups, new.groups, strict=True):
        before = one_array(layout.reasons(one)["verdict"]).dictionary_decode()
        table = layout.read(other)
        after = one_array(table["verdict"]).dictionary_decode()
        moved = pc.not_equal(before, after)
        if not pc.any(moved).as_py():
            continue
        plain = pa.table(
            {
                name: one_array(table[name]).dictionary_decode()
                if pa.types.is_dictionary(table.schema.field(name).type)
                else table[name]
                for name in _TOLD
            }
        )
        gone.append(plain.filter(pc.and_(moved, pc.equal(after, "drop"))))
        back.append(plain.filter(pc.and_(moved, pc.equal(after, "keep"))))
    return _table(gone), _table(back)


def _table(parts: list[pa.Table]) -> pa.Table:
    kinds = {"row": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _TOLD])
    return pa.concat_tables([*parts, schema.empty_table()])


def _sites(table: pa.Table) -> dict[str, int]:
    """Documents by site."""
    counted = Counter(host for host in table["host"].to_pylist() if host is not None)
    return dict(sorted(counted.items()))


def _prose(content: dict[str, Any]) -> str:
    """The certificate for people."""
    before, after = content["policy"]["before"], content["policy"]["after"]
    counts = content["documents"]
    lines = [
        "# Certificate of a takedown",
        "",
        f"From the corpus made of {content['dataset']} (recipe {content['recipe']}) documents were taken",
        "that had been opted out of training, and documents put back whose opt-out had been withdrawn.",
        "",
        "| | before | after |",
        "|---|---|---|",
        f"| policy | {before['name']}, as of {before['as_of']} | {after['name']}, as of {after['as_of']} |",
        f"| its version | `{before['version']}` | `{after['version']}` |",
        f"| the corpus | `{content['fingerprint']['before']}` | `{content['fingerprint']['after']}` |",
        "",
        f"**{counts['gone']} documents went, {counts['back']} came back**, in {len(content['files'])} files.",
        "",
    ]
    for part, title in (
        ("gone", "Sites whose documents went"),
        ("back", "Sites whose documents came back"),
    ):
        if content["sites"][part]:
            lines += [f"## {title}", "", "| site | documents |", "|---|---|"]
            lines += [f"| {site} | {n} |" for site, n in content["sites"][part].items()]
            lines += ["", f"Which ones: `{part}.parquet`, SHA-256 `{content['lists'][part]}`.", ""]
    lines += ["## Files", "", "| file | SHA-256 before | SHA-256 after |", "|---|---|---|"]
    lines += [
        f"| {one['file']} | `{one['before']['data']}` | `{one['after']['data']}` |"
        for one in content["files"]
    ]
    lines += ["", "Where the two are equal only the reasons in the ledger changed.", ""]
    return "\n".join(lines)
