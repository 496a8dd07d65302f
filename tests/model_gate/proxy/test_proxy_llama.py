"""The real server of llama.cpp behind the proxy: what a model of random weights says is listed, and gone.

``make llama`` builds it; the interpreter that has it is ``.venv-llama/bin/python``, or what
``LETHE_LLAMA_PYTHON`` names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from proxy_talk import CHAT, COMPLETIONS, RESPONSES, holds, joined, reason

from filter import Bundle
from filter.nv1 import fold
from model_gate.guard import Guard
from model_gate.proxy import Proxy
from model_gate.proxy.upstream import Upstream
from model_gate.web import running

ROOT = Path(__file__).resolve().parents[3]
PROMPT = "lake train"
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Tell me."}]},
    COMPLETIONS: {"prompt": PROMPT},
    RESPONSES: {"input": "Tell me."},
}
REMOVED = "[text removed]"


@pytest.fixture(scope="module")
def interpreter() -> Path:
    named = os.environ.get("LETHE_LLAMA_PYTHON")
    found = Path(named) if named else ROOT / ".venv-llama" / "bin" / "python"
    if not found.is_file():
        pytest.skip("make llama builds llama.cpp's server, which this test stands before.")
    return found


@pytest.fixture(scope="module")
def llama(interpreter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of its server."""
    folder = tmp_path_factory.mktemp("llama")
    model, log = folder / "tiny.gguf", folder / "server.log"
    maker = ROOT / "tests" / "support" / "tiny_llama.py"
    subprocess.run([interpreter, maker, model, "1"], check=True)
    command = [interpreter, "-m", "llama_cpp.server", "--model", model, "--model_alias", "tiny"]
    command += ["--host", "127.0.0.1", "--port", "0", "--n_ctx", "512", "--n_threads", "1"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        while not (found := re.search(r"running on (http://[0-9.:]+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)


def body_of(path: str, size: int, *, stream: bool) -> dict[str, Any]:
    name = "max_output_tokens" if path == RESPONSES else "max_tokens"
    return {"model": "tiny", "temperature": 0, name: size, "stream": stream, **ASKED[path]}


def said(url: str, path: str, size: int = 40, *, stream: bool = False) -> tuple[str, str, Any]:
    """All that arrives, the text of the answer, and why it ended."""
    found = httpx.post(url + path, json=body_of(path, size, stream=stream), timeout=60)
    assert found.status_code == 200, found.text
    if stream:
        return found.text, joined(found.text), reason(found.text)
    (choice,) = found.json()["choices"]
    text = choice["message"]["content"] if path == CHAT else choice["text"]
    return found.text, text, choice["finish_reason"]


@pytest.fixture(scope="module")
def phrases(llama: str) -> dict[str, str]:
    """Five words of what it says ungated, by route."""
    found = {path: " ".join(said(llama, path)[1].split()[9:14]) for path in (CHAT, COMPLETIONS)}
    assert len(set(found.values())) == 2
    return found


@pytest.fixture(scope="module")
def gate(llama: str, phrases: dict[str, str]) -> Iterator[str]:
    entries = [("text", phrase) for phrase in phrases.values()]
    bundle = Bundle.build(entries, release="2026.2.0", kdf="testing")
    guard = Guard(bundle, allow_testing=True)
    with running.running(Proxy(Upstream(llama), guard).app, guard=guard) as url:
        yield url


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_it_is_gone(
    llama: str, gate: str, phrases: dict[str, str], path: str, stream: bool
) -> None:
    phrase = phrases[path]
    _, ungated, why = said(llama, path, stream=stream)
    assert phrase in ungated
    arrived, text, ended = said(gate, path, stream=stream)
    assert text == ungated.replace(phrase, REMOVED)
    assert ended == why
    assert not holds(arrived, phrase)


def test_responses(gate: str, llama: str, phrases: dict[str, str]) -> None:
    for stream in (False, True):
        found = httpx.post(
            gate + RESPONSES, json=body_of(RESPONSES, 40, stream=stream), timeout=60
        ).text
        assert not holds(found, phrases[CHAT])
        assert REMOVED in found
    text = json.loads(
        httpx.post(gate + RESPONSES, json=body_of(RESPONSES, 40, stream=False), timeout=60).text
    )["output"][0]["content"][0]["text"]
    assert text == said(llama, CHAT)[1].replace(phrases[CHAT], REMOVED)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_cut_within(llama: str, gate: str, phrases: dict[str, str], path: str) -> None:
    """Of completions nothing of it is seen; a chat cannot be gone on with there: half of it at most."""
    phrase = phrases[path]
    seen = 0
    for size in range(9, 16):
        _, ungated, why = said(llama, path, size)
        assert why == "length"
        before, begins, rest = ungated.partition(phrase.split()[0])
        for stream in (False, True):
            arrived, text, ended = said(gate, path, size, stream=stream)
            assert ended == "length"
            assert not holds(arrived, phrase)
            assert text.startswith(before.rstrip())
            if path == COMPLETIONS:
                behind = ungated.partition(phrase)[2]
                assert text == (before + REMOVED + behind if begins else ungated)
            elif "removed]" not in text:
                assert text == ungated
                assert len(fold(begins + rest)) <= len(fold(phrase)) // 2
            seen += bool(begins)
    assert seen >= 8
