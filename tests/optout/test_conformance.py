"""The real command against other parsers' answers: their test suites, and real files.

What must be equal is equal. What differs is sorted by cause, every row of it, and counted; the
tables of docs/robots.md hold the same counts.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
DOCUMENT = ROOT / "docs" / "robots.md"

pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="the real test data (../shared/data) is not here"
)


def answers(questions, mode: str) -> list[bool]:
    """What ``lethe optout check --jsonl`` says to each question."""
    done = subprocess.run(
        [sys.executable, "-m", "lethe", "optout", "check", "--jsonl", "--mode", mode],
        input="".join(json.dumps(q) + "\n" for q in questions),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["allowed"] for line in done.stdout.splitlines()]
    assert len(found) == len(questions)
    return found


def octets(row) -> bytes:
    encoded = row.get("robots_body_b64")
    return base64.b64decode(encoded) if encoded else row["robots_body"].encode()


@pytest.fixture(scope="module")
def suites():
    """Rows of the parsers' own test suites, each with our answer as ``allowed``."""
    with (DATA / "conformance.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    questions = [
        {
            "url": row["url"],
            "agents": row["agents"],
            **(
                {"robots_b64": row["robots_body_b64"]}
                if row.get("robots_body_b64")
                else {"robots": row["robots_body"]}
            ),
        }
        for row in rows
    ]
    for row, allowed in zip(rows, answers(questions, "rfc9309"), strict=True):
        row["allowed"] = allowed
    return rows


@pytest.fixture(scope="module")
def real():
    """Questions about real files, with the answers of other parsers and ours in both modes."""
    import pyarrow.parquet as pq

    table = pq.read_table(DATA / "robots.parquet", columns=["sha256", "content"])
    bodies = dict(zip(*(table[name].to_pylist() for name in ("sha256", "content")), strict=True))
    rows = pq.read_table(DATA / "robots_verdicts.parquet").to_pylist()
    encoded = {row["sha256"]: "" for row in rows}
    encoded = {sha256: base64.b64encode(bodies[sha256]).decode() for sha256 in encoded}
    questions = [
        {"robots_b64": encoded[row["sha256"]], "agents": [row["agent"]], "url": row["url"]}
        for row in rows
    ]
    by_mode = [answers(questions, mode) for mode in ("rfc9309", "protego")]
    for row, ours, as_protego in zip(rows, *by_mode, strict=True):
        row |= {"allowed": ours, "as_protego": as_protego, "body": bodies[row["sha256"]]}
    return rows


def test_suites_where_all_agree(suites):
    hard = [
        row
        for row in suites
        if row["agent_is_product_token"]
        and row["implementations_agree"]
        and all(v in {None, row["expected_allowed"]} for v in row["verdicts"].values())
    ]
    assert len(hard) > 300
    assert [row["id"] for row in hard if row["allowed"] != row["expected_allowed"]] == []


def test_real_files_where_four_agree(real):
    hard = [row for row in real if row["rfc9309_four_agree"]]
    assert len(hard) > 11_000
    assert [row for row in hard if row["allowed"] != row["google_robotstxt"]] == []


def test_real_files_as_protego(real):
    assert [row for row in real if row["as_protego"] != row["protego"]] == []


# -- Differences, by cause --------------------------------------------------------------------------

_PRODUCT = re.compile(r"\*|[A-Za-z_-]+").fullmatch


def body_has(pattern: str):
    """Whether the file has it, anywhere."""
    found = re.compile(pattern.encode(), re.IGNORECASE | re.MULTILINE).search
    return lambda row: found(octets(row) if "id" in row else row["body"]) is not None


def not_plain(row) -> bool:
    """The URL holds an escape, or what has to be escaped."""
    return re.search(r"[^!#-;=?-\[\]_a-z~]|[%$*]", row["url"]) is not None


FROM_GOOGLE = {
    "several names are asked about at once": lambda row: len(row["agents"]) > 1,
    "`/robots.txt` is always allowed": lambda row: row["url"].endswith("/robots.txt"),
    "UTF-16 is decoded": lambda row: octets(row)[:2] in {b"\xff\xfe", b"\xfe\xff"},
    "the agent's name has a digit or a version": lambda row: (
        re.fullmatch(r"[A-Za-z0-9_/.-]+", row["agent"]) and not _PRODUCT(row["agent"])
    ),
    "the agent's name is no product token": lambda row: not _PRODUCT(row["agent"]),
    "URLs and patterns have one normal form": not_plain,
}
"""Why we differ from Google's parser; the first that fits is the cause."""

FROM_SUITES = {
    "two suites expect opposite answers": lambda row: row["expected_allowed"] is None,
    "a name that is no product token": lambda row: re.search(r"[ (]", row["agent"]),
    "an unknown line between names closes the group": body_has(r"^\s*(invalid_directive|noindex)"),
    "a line names several agents, or one with a wildcard": body_has(
        r"^\s*user-agent: *(\S+ \S|\S+\*\S)"
    ),
    "a final `$` may also be a letter": body_has(r"\$$"),
    "more misspellings": body_has(r"^\s*(desallow|useg-agent)"),
    "a line without a colon says nothing": body_has(r"^\s*disallow /no/colon"),
    "rules between HTML tags count": body_has(r"^<html|<html>"),
    "a name fits by its beginning": lambda row: row["agent"].startswith("Googlebot"),
    "only the first group of a name counts": body_has(r"\A\s*user-agent: \*(.*\n)+\s*user-agent: \*"),
    "the file is another host's": body_has(r"\Ahttp://"),
}  # fmt: skip
"""Why we differ from what a suite expects."""


def sorted_by_cause(rows, causes) -> Counter[str]:
    """Rows of each cause; fails for a row that none explains."""
    found = Counter()
    for row in rows:
        cause = next((name for name, fits in causes.items() if fits(row)), None)
        assert cause is not None, row
        found[cause] += 1
    assert set(found) == set(causes), "a cause without rows explains nothing: take it out"
    return found


def documented(heading: str) -> dict[str, int]:
    """The table below a heading of the document: cause -> number."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", section, re.MULTILINE)
    return {cause: int(count) for cause, count in rows}


def test_every_difference_from_google_is_explained(suites):
    differ = [row for row in suites if row["allowed"] != row["verdicts"]["google_robotstxt"]]
    found = sorted_by_cause(differ, FROM_GOOGLE)
    assert dict(found) == documented("Where we differ from Google's parser")


def test_every_difference_from_the_suites_is_explained(suites):
    differ = [row for row in suites if row["allowed"] != row["expected_allowed"]]
    found = sorted_by_cause(differ, FROM_SUITES)
    assert dict(found) == documented("Where we differ from what a suite expects")


def test_every_difference_on_real_files_is_explained(real):
    """All of one cause; and each of these answers is Protego's, crawler-commons' and robots-parser's."""
    differ = [row for row in real if row["allowed"] != row["google_robotstxt"]]
    assert all(map(not_plain, differ))
    others = ("protego", "crawler_commons", "robots_parser_js")
    assert all(row["allowed"] == row[other] for row in differ for other in others)
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"differ from Google's parser in {len(differ)} of {len(real):,} answers" in text
