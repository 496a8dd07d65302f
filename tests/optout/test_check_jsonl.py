"""``lethe optout check --jsonl`` as others script it: a line in, a line out, errors on their own line."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnknownName
from pipeline.optout import check
from pipeline.optout.check import answer

ROOT = Path(__file__).resolve().parents[2]
ROBOTS = "User-agent: GPTBot\nDisallow: /a\n\nUser-agent: *\nDisallow: /b\n"
SECRET = "private-plans"


def run(lines: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "lethe", "optout", "check", "--jsonl", *options],
        input=lines,
        capture_output=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def asked(robots: object = ROBOTS, agents: object = ("GPTBot",), url: object = "/a", **more) -> str:
    return json.dumps({"robots": robots, "agents": agents, "url": url, **more})


# -- Answers ----------------------------------------------------------------------------------------


def test_the_refusing_agent_and_line_are_named():
    found = answer(asked(agents=["CCBot", "GPTBot"], url="https://example.org/a/x"), "rfc9309")
    assert found == {"allowed": False, "agent": "GPTBot", "rule": "Disallow: /a", "line": 2}


def test_the_first_refused_agent_is_named():
    found = answer(asked(agents=["CCBot", "ClaudeBot"], url="/b"), "rfc9309")
    assert found == {"allowed": False, "agent": "CCBot", "rule": "Disallow: /b", "line": 5}


def test_allowed():
    nothing = {"allowed": True, "agent": None, "rule": None, "line": None}
    assert answer(asked(url="/b"), "rfc9309") == nothing
    assert answer(asked(robots=""), "rfc9309") == nothing


def test_agents_may_be_whole_headers():
    found = answer(asked(agents=["Mozilla/5.0 (" + "x" * 987], url="/b"), "rfc9309")
    assert found["allowed"] is False


def test_one_agent_may_stand_alone():
    assert answer(asked(agents="GPTBot"), "rfc9309")["allowed"] is False


@pytest.mark.parametrize("mode", ["rfc9309", "protego"])
def test_octets_as_text(mode):
    encoded = base64.b64encode(ROBOTS.encode()).decode()
    question = {"robots_b64": encoded, "agents": ["GPTBot"], "url": "https://example.org/a"}
    assert answer(json.dumps(question), mode) == answer(asked(), mode)
    assert answer(json.dumps({**question, "robots": None}), mode) == answer(asked(), mode)


def test_the_modes_differ_where_they_should():
    question = asked(robots="\ufeffUser-agent: *\nDisallow: /")
    assert answer(question, "rfc9309")["allowed"] is False
    assert answer(question, "protego")["allowed"] is True


def test_lone_surrogates_are_octets_like_others():
    question = asked(robots="User-agent: *\nDisallow: /\ud800", url="/\ud800/x")
    assert answer(question, "rfc9309")["allowed"] is False


def test_unknown_mode():
    with pytest.raises(UnknownName, match="rfc9309 or protego"):
        answer(asked(), "google")


# -- Errors -----------------------------------------------------------------------------------------

MALFORMED = {
    "no JSON": f"Disallow: /{SECRET}",
    "cut off": asked(robots=SECRET)[:-5],
    "a list": json.dumps([SECRET]),
    "a string": json.dumps(SECRET),
    "null": "null",
    "too deep": "[" * 100_000,
    "a number too long to read": '{"robots": ' + "9" * 5000 + "}",
    "no robots": json.dumps({"agents": ["x"], "url": f"/{SECRET}"}),
    "both robots": asked(robots=SECRET, robots_b64=""),
    "robots is a number": asked(robots=1),
    "robots is a list": asked(robots=[SECRET]),
    "robots_b64 is no base64": asked(robots=None, robots_b64=f"!{SECRET}"),
    "robots_b64 is cut off": asked(robots=None, robots_b64="QQ="),
    "robots_b64 is no ASCII": asked(robots=None, robots_b64="é"),
    "robots_b64 is a number": asked(robots=None, robots_b64=1),
    "no agents": asked(agents=[]),
    "agents is a number": asked(agents=1),
    "an agent is a number": asked(agents=["x", 1]),
    "an agent of a thousand and one characters": asked(agents=["x", "x" * 1001]),
    "agents is an object": asked(agents={"x": SECRET}),
    "no url": asked(url=None),
    "url is a list": asked(url=["/a"]),
}


@pytest.mark.parametrize("mode", ["rfc9309", "protego"])
@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(line, mode):
    found = answer(line, mode)
    assert list(found) == ["error"]
    assert SECRET not in found["error"]
    assert "\n" not in found["error"]


def test_a_url_that_protego_cannot_split():
    question = asked(robots=f"User-agent: *\nDisallow: /{SECRET}", url="http://[bad/a?b")
    assert answer(question, "protego") == {
        "error": '"url" cannot be split: give scheme, host and path.'
    }
    assert answer(question, "rfc9309")["allowed"] is True


@given(
    st.one_of(st.text(max_size=60), st.from_regex(r'\{"(robots|url|agents)": .*\}', fullmatch=True))
)
@settings(max_examples=150, deadline=None)
def test_nothing_but_answers(line):
    for mode in ("rfc9309", "protego"):
        found = answer(line, mode)
        assert set(found) in ({"error"}, {"allowed", "agent", "rule", "line"})


anything = st.one_of(
    st.text(max_size=40), st.none(), st.integers(), st.lists(st.text(), max_size=2)
)


@given(anything, anything, anything, anything)
@settings(max_examples=150, deadline=None)
def test_any_values(robots, encoded, agents, url):
    question = {"robots": robots, "robots_b64": encoded, "agents": agents, "url": url}
    for mode in ("rfc9309", "protego"):
        json.dumps(answer(json.dumps(question), mode))


# -- Memory -----------------------------------------------------------------------------------------


def test_few_large_files_are_remembered():
    """A large file is forgotten as soon as the next one comes, a small one after sixty-four."""
    check._asked_of_small.cache_clear()
    check._asked_of_large.cache_clear()
    for n in range(100):
        assert answer(asked(robots=f"{ROBOTS}# {n}"), "rfc9309")["allowed"] is False
    for n in range(3):
        large = f"{ROBOTS}#{'x' * 70_000}{n}"
        assert answer(asked(robots=large), "rfc9309")["allowed"] is False
    assert check._asked_of_small.cache_info().currsize == 64
    assert check._asked_of_large.cache_info().currsize == 1


def test_a_file_remembers_few_agents():
    asked_of = check._asked("rfc9309", ROBOTS.encode())
    for n in range(1000):
        assert asked_of.rules(f"bot{n}").refuses("/b")
        assert len(asked_of._rules) <= 64


# -- The command ------------------------------------------------------------------------------------


def test_malformed_lines_answer_for_themselves():
    good = asked(agents=["GPTBot"], url="https://example.org/a")
    lines = [good, *MALFORMED.values(), good]
    done = run("\n".join(lines).encode())
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(lines)
    assert found[0] == found[-1] == answer(good, "rfc9309")
    assert all(list(f) == ["error"] for f in found[1:-1])
    assert done.returncode == 2
    (sentence,) = done.stderr.decode().splitlines()
    assert str(len(MALFORMED)) in sentence
    assert SECRET.encode() not in done.stdout + done.stderr


def test_octets_that_are_no_text():
    good = asked().encode()
    done = run(good + b'\n{"robots": "\xff\xfe"}\n' + b"\x00\n" + good + b"\r\n")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(f)) for f in found] == ["allowed", "error", "error", "allowed"]
    assert done.returncode == 2


def test_answers_fit_on_a_line_whatever_they_quote():
    robots = "User-agent: *\nDisallow: /a\u2028b\u0085\ud800"
    question = asked(robots=robots, agents=["\ud800"], url="/a\u2028b\u0085\ud800")
    done = run(question.encode() + b"\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    assert json.loads(done.stdout) == answer(question, "rfc9309")
    assert json.loads(done.stdout)["agent"] == "\ud800"


def test_all_is_well():
    done = run((asked() + "\n").encode() * 3, "--mode", "protego")
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 3


def test_no_questions_no_answers():
    done = run(b"")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_unknown_mode_is_one_sentence():
    done = run((asked() + "\n").encode(), "--mode", "google")
    assert done.returncode == 2
    assert done.stdout == b""
    (sentence,) = done.stderr.decode().splitlines()
    assert "rfc9309 or protego" in sentence


def test_an_unknown_mode_is_an_error_even_without_a_question():
    found = run(b"", "--mode", "nope")
    assert found.returncode == 2
    assert b"rfc9309 or protego" in found.stderr
