"""``lethe gate serve`` and ``lethe gate generate`` as processes, with a model."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lethe.cli import main

LETHE = [sys.executable, "-m", "lethe"]
KEY = "a-key-for-the-command"


class Command:
    """``lethe gate serve`` on a free port."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.log = folder / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*LETHE, "gate", "serve", "--port", "0", *map(str, arguments)],
                stderr=log,
                stdout=log,
            )
        self.url = ""
        for _ in range(600):
            found = re.search(r" at (http://[0-9.:]+)/v1", self.log.read_text())
            if found:
                self.url = found[1]
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def command(
    tmp_path_factory: pytest.TempPathFactory, tiny_path: Path, people: Any
) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("command")
    (folder / "keys").write_text(f"{KEY}\n")
    options: list[object] = ["--model", tiny_path, "--bundle", people.bundle]
    options += [
        "--device",
        "cpu",
        "--rows",
        4,
        "--max-context",
        2048,
        "--served-model-name",
        "tiny",
    ]
    options += [
        "--api-key-file",
        folder / "keys",
        "--open-health",
        "--log-requests",
        "--on-named-prompt",
        "answer",
    ]
    found = Command(folder, *options)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
            found.process.wait()


def run(*arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LETHE, *map(str, arguments)], input=given, capture_output=True, text=True, check=False
    )


def test_the_command_serves(command: Command, people: Any) -> None:
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": people.ask(people.listed)}],
        "temperature": 0,
        "max_tokens": 60,
    }
    route = f"{command.url}/v1/chat/completions"
    assert httpx.post(route, json=body).status_code == 401
    answer = httpx.post(route, json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    assert "[phone removed]" in answer.json()["choices"][0]["message"]["content"]


def test_selftest_asks_a_gate(command: Command) -> None:
    found = run("selftest", "--url", command.url)
    assert found.returncode == 0, found.stderr
    assert "iban" in found.stdout
    assert "LEAKED" not in found.stdout


def test_the_log_holds_nothing_of_what_was_said(command: Command, people: Any) -> None:
    said = command.log.read_text()
    assert '"route": "/v1/chat/completions"' in said
    for value in (people.listed.name, people.listed.phone, people.listed.email):
        assert value not in said
    assert KEY not in said
    assert "removed" not in said


def test_it_ends_in_order(command: Command) -> None:
    """What is under way comes to its end; then the command does, and says nothing of an error."""
    body = {"prompt": "The", "max_tokens": 300, "temperature": 2, "seed": 5, "stream": True}
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        httpx.Client(headers=headers, timeout=60) as client,
        client.stream("POST", f"{command.url}/v1/completions", json=body) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        command.process.send_signal(signal.SIGTERM)
        *_, last = (line for line in lines if line)
        assert last == "data: [DONE]"
    assert command.process.wait(30) == 0
    assert "Traceback" not in command.log.read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{command.url}/livez")


@pytest.mark.parametrize("stream", [(), ("--stream",)], ids=["whole", "stream"])
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_generate(
    tiny_path: Path,
    people: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stream: tuple[str, ...],
    as_json: tuple[str, ...],
) -> None:
    question = people.ask(people.listed)
    options = ["--model", tiny_path, "--bundle", people.bundle, "--device", "cpu", "--chat"]
    options += ["--on-named-prompt", "answer"]
    options += ["--temperature", 0, "--max-tokens", 60, *stream, *as_json]
    if stream:
        options += ["--prompt", question]
    else:
        monkeypatch.setattr(sys, "stdin", io.StringIO(question))
    monkeypatch.setattr(sys, "argv", ["lethe", "gate", "generate", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr().out
    text = said
    if as_json:
        rows = [json.loads(line) for line in said.splitlines()]
        text = "".join(row["text"] for row in rows)
        if not stream:
            assert rows[0]["removed"]["phone"] == 1
            assert rows[0]["finish_reason"] == "stop"
    assert "[phone removed]" in text
    assert people.listed.phone not in said


@pytest.mark.parametrize("command", ["serve", "generate"])
def test_what_is_no_apertus(
    tmp_path: Path,
    people: Any,
    command: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    options = ["--model", tmp_path, "--bundle", people.bundle]
    monkeypatch.setattr(sys, "argv", ["lethe", "gate", command, *map(str, options)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lethe: ")
    assert "Apertus" in said.err
