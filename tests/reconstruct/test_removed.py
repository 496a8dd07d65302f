"""What was dropped and written beside is part of a run, too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named
from pipeline.reconstruct import Options, run
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.scrub import Scrubber


def test_a_removed_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    from datetime import date

    snapshot = pa.table({"domain": ["no.example"], "content": ["User-agent: *\nDisallow: /\n"]})
    pq.write_table(snapshot, tmp_path / "r.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(tmp_path / "r.parquet")
    compiler.finish(tmp_path / "p.parquet")
    urls = ["https://no.example/a", "https://yes.example/b"]
    texts = ["mail anna@example.org", "mail bert@example.org"]
    (tmp_path / "in").mkdir()
    pq.write_table(
        pa.table({"text": texts, "id": ["1", "2"], "url": urls}), tmp_path / "in" / "a.parquet"
    )

    def rebuild() -> int:
        options = Options(pii="strict", removed="scrubbed")
        found = run(
            "fineweb", tmp_path / "in", tmp_path / "p.parquet", tmp_path / "out", options=options
        )
        return found.resumed_files

    assert rebuild() == 0
    removed = tmp_path / "out" / "removed" / "a.parquet"
    state = json.loads((tmp_path / "out" / "state" / "a.parquet.json").read_text())
    assert state["rows_removed"] == 1
    assert state["sha256"]["removed"] == hashlib.sha256(removed.read_bytes()).hexdigest()
    assert pq.read_table(removed)["text"].to_pylist() == ["mail <email-pii>"]
    assert rebuild() == 1
    before = removed.read_bytes()
    removed.unlink()
    assert rebuild() == 0
    assert removed.read_bytes() == before


STRICT = Scrubber(MODES["strict"])
GLUED = [
    "(044) 668 18 00",
    "8.8.213.77",
    "anna@example.org",
    "+41 44 668 18 00",
    ",",
    " ",
    "756.9217.0769.85",
    "a",
    ".",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(GLUED), max_size=8).map("".join))
def test_scrubbing_a_scrubbed_text_changes_nothing(text: str) -> None:
    once = STRICT.scrub(pa.array([text])).column
    assert STRICT.scrub(once).documents == 0


def test_what_another_identifier_hid_is_found() -> None:
    scrubbed = STRICT.scrub(pa.array(["(044) 668 18 00,8.8.213.77"])).column
    assert scrubbed.to_pylist() == ["<phone-pii>,<ip-pii>"]
