"""The certificate of a takedown: what was asked, what went, and the files before and after.

It names sites and documents, never people. Whoever asked can be given it; with the corpus before and after
at hand anybody can check it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.atomic import replacing
from pipeline.parquet.codec import one_array
from pipeline.parquet.parts import Parts
from pipeline.reconstruct.certificate_text import prose
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.ledger import LedgerLayout
from pipeline.reconstruct.newer import TOLD, told
from pipeline.reconstruct.staging import FOLDER, NOTES

CERTIFICATES = "takedowns"
NOBODY = pa.schema(
    [(name, pa.int64() if name == "row" else pa.string()) for name in TOLD]
).empty_table()


def note(
    root: Path,
    name: str,
    before: dict[str, Any],
    after: dict[str, Any],
    gone: pa.Table,
    back: pa.Table,
    *,
    remade: bool,
) -> None:
    """Note what changes in a file, before it does: for the certificate, which is written in the end.

    ``before`` and ``after`` are its states, ``gone`` and ``back`` the columns `TOLD` of documents; ``remade``
    is whether the input was read for it.
    """
    path = root / FOLDER / NOTES / f"{name}.json"
    for part, table in (("gone", gone), ("back", back)):
        if table.num_rows:
            with replacing(path.with_suffix(f".{part}")) as temporary:
                pq.write_table(table, temporary, compression="zstd")
    said = {
        "file": name,
        "gone": gone.num_rows,
        "back": back.num_rows,
        "remade": remade,
        "before": before["sha256"],
        "after": after["sha256"],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(said, sort_keys=True), encoding="utf-8")


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
    """Write the certificate; returns where it lies. One of an earlier takedown is left as it is."""
    tables = {part: _listed(root, part, said) for part in ("gone", "back")}
    octets = {part: _octets(table) for part, table in tables.items()}
    content = {
        "format": 1,
        "dataset": wanted["recipe"]["dataset"],
        "recipe": wanted["recipe"]["name"],
        "policy": {part: _policy(one) for part, one in (("before", held), ("after", wanted))},
        "fingerprint": {"before": held["fingerprint"], "after": wanted["fingerprint"]},
        "documents": {part: table.num_rows for part, table in tables.items()},
        "asked": _asked(tables["gone"]),
        "sites": {part: _sites(table) for part, table in tables.items()},
        "files_in_all": len(wanted["input"]["files"]),
        "files": [{key: one[key] for key in ("file", "before", "after")} for one in said],
        "lists": {part: hashlib.sha256(held).hexdigest() for part, held in octets.items()},
    }
    if "bundle" in wanted:
        parts = (("before", held), ("after", wanted))
        content["bundle"] = {part: one.get("bundle") for part, one in parts}
        content["names_removed"] = bool(wanted["options"].get("unpublished"))
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    folder = _free(target, f"{held['fingerprint'][:12]}-{wanted['fingerprint'][:12]}", text)
    for part, held_octets in octets.items():
        with target.writing(f"{folder}/{part}.parquet") as temporary:
            temporary.write_bytes(held_octets)
    target.write_text(f"{folder}/certificate.md", prose(content))
    target.write_text(f"{folder}/certificate.json", text)
    return f"{folder}/certificate.md"


def _free(target: Folder, name: str, text: str) -> str:
    """A folder for a certificate: a new one, or the one that holds the same already."""
    for number in count(1):
        folder = f"{CERTIFICATES}/{name}" if number == 1 else f"{CERTIFICATES}/{name}-{number}"
        path = f"{folder}/certificate.json"
        if not target.exists(path) or target.read_json(path) == json.loads(text):
            return folder
    raise AssertionError


def _octets(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _policy(manifest: dict[str, Any]) -> dict[str, Any]:
    policy = manifest["policy"]
    return {key: policy[key] for key in ("name", "version", "as_of", "agent_set")}


def _listed(root: Path, part: str, said: Sequence[dict[str, Any]]) -> pa.Table:
    """The documents of all files that went, or came back."""
    tables = [
        pq.read_table(root / FOLDER / NOTES / f"{one['file']}.{part}").append_column(
            "file", pa.array([one["file"]] * one[part], pa.string())
        )
        for one in said
        if one[part]
    ]
    return pa.concat_tables([*tables, NOBODY.append_column("file", pa.array([], pa.string()))])


def moved(old: Parts, new: Parts) -> tuple[pa.Table, pa.Table]:
    """The columns `TOLD`, as they are now, of documents that went and of those that came back."""
    layout = LedgerLayout()
    gone, back = [NOBODY], [NOBODY]
    for one, other in zip(old.groups, new.groups, strict=True):
        before = one_array(layout.read(one, ["verdict"])["verdict"]).dictionary_decode()
        after = one_array(layout.read(other, ["verdict"])["verdict"]).dictionary_decode()
        differs = pc.not_equal(before, after)
        if pc.any(differs).as_py():
            table = layout.read(other, TOLD)
            plain = told(table, table)
            gone.append(plain.filter(pc.and_(differs, pc.equal(after, "drop"))))
            back.append(plain.filter(pc.and_(differs, pc.equal(after, "keep"))))
    return pa.concat_tables(gone), pa.concat_tables(back)


def _asked(gone: pa.Table) -> list[dict[str, Any]]:
    """What refused the documents that went, site by site, those with most of them first."""
    by = ["host", "signal", "rule", "source", "source_hash", "source_date"]
    counted = gone.group_by(by, use_threads=False).aggregate([([], "count_all")])
    rows = counted.rename_columns({"count_all": "documents"}).to_pylist()
    return sorted(rows, key=lambda row: (-row["documents"], *(row[key] or "" for key in by)))


def _sites(table: pa.Table) -> dict[str, int]:
    """Documents by site."""
    counted = Counter(host for host in table["host"].to_pylist() if host is not None)
    return dict(sorted(counted.items()))
