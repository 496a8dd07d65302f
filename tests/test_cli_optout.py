"""``lethe optout compile`` and ``check`` as a shell and a person meet them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lethe.cli import main
from lethe.console import printable

ALL = b"User-agent: *\nDisallow: /\n"
ROBOTS = b"# rules\nUser-agent: GPTBot\nUser-agent: CCBot\nDisallow: /private/ # no\n"
DAY = ("--as-of", "2026-01-31")


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture
def lethe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["lethe", "optout", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "robots.parquet", **columns: Any) -> Path:
        columns = columns or {
            "domain": ["ex.test", "all.test", "html.test"],
            "content": [ROBOTS, ALL, b"<!doctype html><title>404</title>"],
            "fetched_at": [date(2026, 1, 2)] * 3,
        }
        path = tmp_path / name
        pq.write_table(pa.table(columns), path)
        return path

    return write


@pytest.fixture
def policy(lethe: Run, snapshot: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    def compile_policy(*options: str | Path, **columns: Any) -> Path:
        out = tmp_path / "policy.parquet"
        result = lethe("compile", "--robots", snapshot(**columns), "--out", out, *DAY, *options)
        assert (result.code, result.err) == (0, "")
        return out

    return compile_policy


def optouts(path: Path, **more: str) -> Path:
    entry = {"scope": "domain", "value": "opt.test", "effective": "2026-01-01"}
    path.write_text(json.dumps({**entry, "origin": "test", "request_id": "r-1", **more}) + "\n")
    return path


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("compile", ["--robots", "--optouts", "--tags", "--as-of", "--on-unreadable", "--www"]),
        ("check", ["--policy", "--jsonl", "--mode", "--json"]),
    ],
)
def test_help_names_every_option_and_shows_an_example(
    command: str, words: list[str], lethe: Run
) -> None:
    result = lethe(command, "--help")
    assert (result.code, result.err) == (0, "")
    assert "Example" in result.out
    assert f"lethe optout {command} --" in result.out
    assert all(word in result.out for word in words)


# -- compile ---------------------------------------------------------------------------------------


def test_compile_says_what_it_read(
    lethe: Run, snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "policy.parquet"
    arguments = ("compile", "--robots", snapshot(), "--out", out, *DAY)
    result = lethe(*arguments)
    assert (result.code, result.err) == (0, "")
    first, *counts = result.out.splitlines()
    assert first.startswith(f"{out}: policy rfc9309, version ")
    assert first.endswith("as of 2026-01-31")
    assert [" ".join(line.split()) for line in counts] == [
        "robots.txt: files 3",
        "robots.txt: unreadable 1",
    ]
    told = json.loads(lethe(*arguments, "--json").out)
    assert told["counts"] == {"robots.txt: files": 3, "robots.txt: unreadable": 1}
    assert told["policy"] == str(out)
    assert told["version"] in first


def test_everything_together(lethe: Run, policy: Callable[..., Path], tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"], "agents": [["*"]]}), tmp_path / "tags.parquet")
    listed = optouts(tmp_path / "optouts.jsonl")
    path = policy("--optouts", listed, "--tags", tmp_path / "tags.parquet", "--www")
    urls = ["https://www.all.test/", "https://opt.test/", "https://html.test/"]
    result = lethe("check", "--policy", path, *urls)
    assert [row[:2] for row in result.rows] == [
        ["drop", "robots"],
        ["drop", "optout"],
        ["keep", "-"],
    ]


def test_apertus_is_a_policy_of_its_own(lethe: Run, policy: Callable[..., Path]) -> None:
    path = policy("--policy", "apertus-2025-01", "--agents", "GPTBot,")
    urls = ["https://all.test/", "https://ALL.test/", "https://all.test:443/"]
    result = lethe("check", "--policy", path, *urls)
    assert [row[0] for row in result.rows] == ["drop", "keep", "keep"]
    assert result.rows[0][2] == "GPTBot"


def test_on_unreadable_drop(lethe: Run, policy: Callable[..., Path]) -> None:
    result = lethe("check", "--policy", policy("--on-unreadable", "drop"), "https://html.test/")
    assert result.rows[0][:2] == ["drop", "robots"]


def test_on_no_url_drop(lethe: Run, policy: Callable[..., Path]) -> None:
    result = lethe("check", "--policy", policy("--on-no-url", "drop"), "mailto:a@ex.test")
    assert result.rows[0][0] == "drop"


def test_on_unreachable_keep(lethe: Run, policy: Callable[..., Path]) -> None:
    columns = {"domain": ["a.test"], "content": [b""], "status": [503]}
    assert lethe("check", "--policy", policy(**columns), "a.test").rows[0][0] == "drop"
    path = policy("--on-unreachable", "keep", **columns)
    assert lethe("check", "--policy", path, "a.test").rows[0][0] == "keep"


def test_hostile_names_of_files_do_not_reach_the_terminal(
    lethe: Run, snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    columns = {"domain": ["a.test"], "file": ["\x1b]0;x\x07\x9b31m"], "content": [b"x"]}
    for extra in ((), ("--json",)):
        result = lethe(
            "compile", "--robots", snapshot(**columns), "--out", tmp_path / "p.parquet", *extra
        )
        assert result.code == 0
        assert not set(result.out) & set("\x1b\x07\x9b")


Arguments = tuple[str, ...]
BAD: dict[str, tuple[Arguments, str]] = {
    "nothing to compile": (("--out", "OUT"), "give --robots, --optouts or --tags"),
    "no snapshot": (("--robots", "DIR/none.parquet", "--out", "OUT"), "There is no file"),
    "no list": (("--optouts", "DIR/none.jsonl", "--out", "OUT"), "no opt-out list"),
    "no tags": (("--tags", "DIR/none.parquet", "--out", "OUT"), "no compliance tags"),
    "an empty folder": (("--robots", "DIR/empty", "--out", "OUT"), "holds no Parquet file"),
    "no Parquet": (("--robots", "DIR/text", "--out", "OUT"), "not a Parquet file"),
    "cut off": (("--robots", "DIR/cut", "--out", "OUT"), "cut off"),
    "wrong columns": (("--robots", "DIR/wrong.parquet", "--out", "OUT"), "no column 'content'"),
    "wrong tags": (("--tags", "DIR/wrong.parquet", "--out", "OUT"), "needs the columns id and"),
    "a list out of format": (("--optouts", "DIR/text", "--out", "OUT"), "line 1"),
    "a policy": (("--robots", "ROBOTS", "--policy", "x", "--out", "OUT"), "no policy 'x'"),
    "a set of agents": (("--robots", "ROBOTS", "--agents", "x", "--out", "OUT"), "no agent set"),
    "a day": (("--robots", "ROBOTS", "--as-of", "31.1.26", "--out", "OUT"), "--as-of is a day"),
    "a signal": (("--robots", "ROBOTS", "--signals", "x", "--out", "OUT"), "unknown signal"),
    "no signal": (("--robots", "ROBOTS", "--signals", "", "--out", "OUT"), "needs a signal"),
    "a way to fall": (
        ("--robots", "ROBOTS", "--on-unreadable", "x", "--out", "OUT"),
        "--on-unreadable is keep or drop",
    ),
    "www": (
        ("--robots", "ROBOTS", "--policy", "apertus-2025-01", "--www", "--out", "OUT"),
        "leave --www out",
    ),
    # What would have no effect, so that every refusal in it would be lost:
    "opt-outs nobody reads": (
        ("--optouts", "LIST", "--signals", "robots", "--out", "OUT"),
        "read nothing from --optouts",
    ),
    "tags nobody reads": (
        ("--tags", "ROBOTS", "--signals", "robots,optout", "--out", "OUT"),
        "read nothing from --tags",
    ),
    "a snapshot nobody reads": (
        ("--robots", "ROBOTS", "--signals", "optout,tag,noai", "--out", "OUT"),
        "read nothing from --robots",
    ),
    "out is in": (("--robots", "ROBOTS", "--out", "ROBOTS"), "are one file"),
    "out is a folder": (("--robots", "ROBOTS", "--out", "DIR/empty"), "is a folder"),
    "out is below a file": (("--robots", "ROBOTS", "--out", "DIR/text/p"), "cannot be written"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_changes_nothing(
    case: str, lethe: Run, snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "policy.parquet"
    out.write_bytes(b"the old policy")
    robots = snapshot()
    snapshot("wrong.parquet", domain=["a.test"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no JSON")
    (tmp_path / "cut").write_bytes(robots.read_bytes()[:-5])
    listed = optouts(tmp_path / "list.jsonl")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    given, said = BAD[case]
    names = {"OUT": str(out), "ROBOTS": str(robots), "LIST": str(listed)}
    result = lethe("compile", *(names.get(g, g.replace("DIR", str(tmp_path))) for g in given))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("lethe: ")
    assert said in result.err
    assert len(result.err.splitlines()) == 1
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_names_of_columns_do_not_steer_the_terminal(
    lethe: Run, snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    path = snapshot(**{"\x1b[2Jdomains": ["a.test"], "x\x9b\ny": ["b"]})
    result = lethe("compile", "--robots", path, "--out", tmp_path / "p.parquet")
    assert result.code == 2
    assert result.err.endswith("\n")
    assert result.err[:-1].isprintable()


def test_a_real_process_leaves_with_the_same_codes(
    snapshot: Callable[..., Path], tmp_path: Path
) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "lethe", "optout", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60)

    out = tmp_path / "p.parquet"
    good = run("compile", "--robots", snapshot(), "--out", out)
    assert (good.returncode, good.stderr) == (0, b"")
    # A shell hands over octets; these are no UTF-8.
    odd = run(
        "check", "--policy", out, b"https://all.test/caf\xe9".decode("utf-8", "surrogateescape")
    )
    assert odd.returncode == 0
    assert odd.stdout.decode().startswith("drop\trobots\t")
    bad = run("compile", "--robots", tmp_path / "none", "--out", out)
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert bad.stderr.count(b"\n") == 1


# -- check -----------------------------------------------------------------------------------------


def test_check_explains_in_columns(lethe: Run, policy: Callable[..., Path]) -> None:
    urls = ["https://EX.test:443/private/a?b", "https://ex.test/public"]
    result = lethe("check", "--policy", policy(), *urls)
    assert (result.code, result.err) == (0, "")
    sha256 = hashlib.sha256(ROBOTS).hexdigest()
    assert result.rows == [
        [
            "drop",
            "robots",
            "CCBot,CCBot/2.0,CCBot/1.0,GPTBot",
            "Disallow: /private/ # no",
            "4",
            f"robots.txt sha256:{sha256[:12]}",
            "2026-01-02",
            urls[0],
        ],
        ["keep", "-", "-", "-", "-", "-", "-", urls[1]],
    ]


def test_check_explains_in_json(lethe: Run, policy: Callable[..., Path]) -> None:
    path = policy()
    result = lethe("check", "--policy", path, "--json", "https://ex.test/private/ä", "x:y")
    drop, keep = map(json.loads, result.out.splitlines())
    assert drop == {
        "verdict": "drop",
        "url": "https://ex.test/private/ä",
        "host": "ex.test",
        "signal": "robots",
        "signals": ["robots"],
        "agents": ["CCBot", "CCBot/2.0", "CCBot/1.0", "GPTBot"],
        "rule": "Disallow: /private/ # no",
        "line": 4,
        "source": "robots.txt",
        "source_hash": hashlib.sha256(ROBOTS).hexdigest(),
        "source_date": "2026-01-02",
        "policy": "rfc9309",
        "policy_version": drop["policy_version"],
    }
    assert (keep["verdict"], keep["host"], keep["rule"]) == ("keep", None, None)


HOSTILE = [
    "Disallow: /a\tb",
    "Disallow: /a # \x1b[2J\x1b]0;owned\x07",
    "Disallow: /a # \x9b31m \x85 \x0c \x0b",
    "Disallow: /a # \u202e\u2028\u2029\u200b\ufeff",
    "Disallow: /a # \x08\x7f\x1f",
    "Disallow: /a # \xa0\u3000",
]


@pytest.mark.parametrize("line", HOSTILE)
@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_hostile_rules_do_not_steer_the_terminal(
    line: str, name: str, lethe: Run, policy: Callable[..., Path]
) -> None:
    body = f"User-agent: *\n{line}\n".encode()
    path = policy("--policy", name, domain=["a.test"], content=[body])
    url = "https://a.test/a%09b"
    plain = lethe("check", "--policy", path, url)
    assert plain.rows[0][0] == "drop"
    assert plain.rows[0][3].startswith("Disallow: /a")
    assert len(plain.rows[0]) == 8
    assert plain.out.removesuffix("\n").replace("\t", "").isprintable()
    told = lethe("check", "--policy", path, "--json", url)
    assert told.out.removesuffix("\n").isprintable()
    assert json.loads(told.out)["verdict"] == "drop"


ODD_URLS = [
    "",
    " ",
    "http://",
    "http://[bad/a",
    "http://[::1",
    "mailto:a@b.test",
    "data:text/html,x",
    "https://a..b/",
    "https://a.test:99999/",
    "https://" + "a" * 300 + ".test/",
    "https://a b.test/",
    "https://\x1b[31m.test/\t\n",
    "https://a.test/\udcff",
    "https://ex.test\\private\\",
    "\u202e",
]


@pytest.mark.parametrize("name", ["rfc9309", "apertus-2025-01"])
def test_malformed_urls_are_reported(name: str, lethe: Run, policy: Callable[..., Path]) -> None:
    path = policy("--policy", name)
    result = lethe("check", "--policy", path, "--", *ODD_URLS)
    assert (result.code, result.err) == (0, "")
    assert len(result.rows) == len(ODD_URLS)
    assert all(len(row) == 8 and row[0] in {"keep", "drop"} for row in result.rows)
    assert all(row[3] == "(no host: nobody can be asked)" for row in result.rows[:8])
    assert result.out.replace("\t", "").replace("\n", "").isprintable()
    told = lethe("check", "--policy", path, "--json", "--", *ODD_URLS)
    assert (told.code, len(told.out.splitlines())) == (0, len(ODD_URLS))
    assert all(json.loads(line)["host"] is None for line in told.out.splitlines()[:8])


CHECKS: dict[str, tuple[Arguments, str]] = {
    "no URL": (("--policy", "POLICY"), "Give --policy and at least one URL"),
    "no policy": (("https://a.test/",), "Give --policy and at least one URL"),
    "nothing": ((), "Give --policy and at least one URL"),
    "a policy that is not there": (("--policy", "DIR/none", "a.test"), "There is no policy"),
    "a folder": (("--policy", "DIR", "a.test"), "not a Parquet file or is cut off"),
    "a snapshot": (("--policy", "DIR/robots.parquet", "a.test"), "not a compiled policy"),
    "both ways": (("--jsonl", "--policy", "POLICY"), "leave URLs and --policy out"),
    "both ways, a URL": (("--jsonl", "a.test"), "leave URLs and --policy out"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_check_says_what_is_missing(
    case: str, lethe: Run, policy: Callable[..., Path], tmp_path: Path
) -> None:
    names = {"POLICY": str(policy())}
    given, said = CHECKS[case]
    result = lethe("check", *(names.get(g, g.replace("DIR", str(tmp_path))) for g in given))
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def question(**changes: object) -> bytes:
    asked = {"robots": ROBOTS.decode(), "agents": ["GPTBot"], "url": "https://x.test/private/"}
    return json.dumps({k: v for k, v in {**asked, **changes}.items() if v is not None}).encode()


ALLOWED = {"allowed": True, "agent": None, "rule": None, "line": None}
REFUSED = {"allowed": False, "agent": "GPTBot", "rule": "Disallow: /private/ # no", "line": 4}
QUESTIONS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "refused": (question(), REFUSED),
    "allowed": (question(url="https://x.test/"), ALLOWED),
    "another agent": (question(agents=["FooBot"]), ALLOWED),
    "one of several agents": (question(agents=["FooBot", "GPTBot", "CCBot"]), REFUSED),
    "an agent as text": (question(agents="GPTBot"), REFUSED),
    "octets": (question(robots=None, robots_b64=base64.b64encode(ROBOTS).decode()), REFUSED),
    "octets of UTF-16": (
        question(
            robots=None, robots_b64=base64.b64encode(ROBOTS.decode().encode("utf-16")).decode()
        ),
        REFUSED,
    ),
    "half a character": (
        question(robots="User-agent: GPTBot\nDisallow: /\ud800", url="https://x.test/"),
        ALLOWED,
    ),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_questions_by_line(case: str, lethe: Run) -> None:
    asked, expected = QUESTIONS[case]
    result = lethe("check", "--jsonl", stdin=asked + b"\n")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == expected


UNANSWERED = {
    "no JSON": b"{",
    "no object": b"[]",
    "a text": b'"x"',
    "no agents": question(agents=None),
    "agents that are numbers": question(agents=[1]),
    "no agent": question(agents=[]),
    "no URL": question(url=None),
    "no robots": question(robots=None),
    "robots that is a number": question(robots=1),
    "no base64": question(robots=None, robots_b64="%"),
    "no UTF-8": b'{"robots": "\xff"}',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("case", UNANSWERED)
def test_questions_that_cannot_be_read_are_answered_so(case: str, lethe: Run) -> None:
    """The other lines are answered all the same, each in its place, and the exit code tells."""
    lines = b"\r\n".join([question(), UNANSWERED[case], b"", question()])
    result = lethe("check", "--jsonl", stdin=b"\xef\xbb\xbf" + lines)
    assert result.code == 2
    first, bad, last = map(json.loads, result.out.splitlines())
    assert (first, last) == (REFUSED, REFUSED)
    assert list(bad) == ["error"]
    assert result.err == 'lethe: 1 lines could not be answered: see their "error".\n'


def test_the_modes_differ(lethe: Run) -> None:
    body = "\ufeffUser-agent: *\nDisallow: /\n"  # decoded text with a mark: Protego loses the group
    asked = question(robots=body)
    assert json.loads(lethe("check", "--jsonl", stdin=asked).out)["allowed"] is False
    found = lethe("check", "--jsonl", "--mode", "protego", stdin=asked)
    assert json.loads(found.out)["allowed"] is True
    wrong = lethe("check", "--jsonl", "--mode", "x", stdin=asked)
    assert (wrong.code, wrong.out) == (2, "")
    assert "no mode 'x'" in wrong.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Disallow: /é日 #", "Disallow: /é日 #"),
        ("a\tb\nc\r", "a\\tb\\nc\\r"),
        ("\x1b[0m\x9b\x00", "\\x1b[0m\\x9b\\x00"),
        ("\u202e\udcff\xa0", "\\u202e\\udcff\\xa0"),
        ("", ""),
    ],
)
def test_what_is_printable_stays_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown
