"""The proxy's own process under many readers for long, its engine killed and started again midway."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from filter import Bundle
from filter.nv1 import fold

pytestmark = pytest.mark.soak

SECONDS = 600
"""At full length."""
GROWTH_MB = 30
"""After the first phase. Two threads that each keep the memory of a slow hash have more."""
STREAMS = 64
KEPT_ALIVE_S = 5
"""As the proxy keeps connections to the engine."""
ADDRESS = "contact-hs77@example.org"
NAME = "Bettina Hochstrasser"
PHONE = "+41 44 668 18 00"
LISTED = (("email", ADDRESS), ("name", NAME), ("phone", PHONE))
CLEAN = "[name removed] ([email removed], [phone removed])"
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
ENGINE = """
import asyncio, json, re, sys

LISTED = sys.argv[2]

async def serve(reader, writer):
    try:
        while line := await reader.readline():
            path, size = line.split()[1].decode(), 0
            while (line := await reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    size = int(line[15:])
            body = (await reader.readexactly(size)).decode()
            nonce = re.search("nonce[a-z]{12}", body)[0]
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
            def send(data):
                octets = b"data: " + data + b"\\n\\n"
                writer.write(b"%x\\r\\n" % len(octets) + octets + b"\\r\\n")
            def chunk(text, reason=None):
                said = {"delta": {"content": text}} if "chat" in path else {"text": text}
                send(json.dumps({"choices": [{"index": 0, **said, "finish_reason": reason}]}).encode())
            text = "".join(f"Part {n % 7} of {nonce} goes on; " for n in range(30))
            text = f"{text}ask {LISTED} of {nonce}. {text}That was {nonce}."
            for at in range(0, len(text), 9):
                chunk(text[at:at + 9])
                if at % 90 == 0:
                    await writer.drain()
                    await asyncio.sleep(0)
            chunk("", "stop")
            send(b"[DONE]")
            writer.write(b"0\\r\\n\\r\\n")
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def engine(port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(port), f"{NAME} ({ADDRESS}, {PHONE})"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as said:
        return process, int(said.readline())


@contextmanager
def proxy(folder: Path, port: int) -> Iterator[tuple[int, str]]:
    """Process id and address of ``lethe gate proxy``."""
    Bundle.build(LISTED, release="2026.2.0").write(folder / "filter.safetensors")
    log = folder / "proxy.log"
    command = [sys.executable, "-m", "lethe", "gate", "proxy", "--port", "0", "--grace", "2"]
    command += ["--upstream", f"http://127.0.0.1:{port}", "--bundle", str(folder / "filter.safetensors")]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        while not (found := re.search(r" at (http://[0-9.:]+)/v1", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield process.pid, found[1]
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(30)
    said = log.read_text()
    assert not any(value in said or fold(value) in said for _, value in LISTED)
    assert "nonce" not in said
    assert "Traceback" not in said


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@dataclass
class Seen:
    """What the readers met."""

    count: Counter[str] = field(default_factory=Counter)
    """Answers that were whole, left, broken off by an error."""
    codes: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    wrong: list[str] = field(default_factory=list)


def text_of(answer: str) -> tuple[str, str | None]:
    """What was said, and the code of the error if there is one."""
    found = [json.loads(answer)] if answer.startswith("{") else [
        json.loads(line[6:])
        for line in answer.splitlines()
        if line.startswith("data: {")
    ]  # fmt: skip
    texts = []
    for one in found:
        if one.get("error"):
            return "".join(texts), one["error"]["code"]
        for choice in one.get("choices", ()):
            shown = choice.get("delta") or choice.get("message") or choice
            texts.append(shown.get("content") or shown.get("text") or "")
        if one.get("type") == "response.output_text.delta":
            texts.append(one["delta"])
        if one.get("object") == "response":
            texts.append(one["output"][0]["content"][0]["text"])
    return "".join(texts), None


def asked(route: str, nonce: str, *, stream: bool) -> dict[str, Any]:
    what: dict[str, Any] = {
        ROUTES[0]: {"messages": [{"role": "user", "content": f"Speak of {nonce}."}]},
        ROUTES[1]: {"prompt": f"Speak of {nonce}."},
        ROUTES[2]: {"input": f"Speak of {nonce}."},
    }[route]
    return {"model": "any", "stream": stream, **what}


async def reader(http: httpx.AsyncClient, seen: Seen, rng: random.Random, end: float) -> None:
    while time.monotonic() < end:
        nonce = "nonce" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        route, stream = rng.choice(ROUTES), rng.random() < 0.8
        leaves = rng.randint(1, 4000) if rng.random() < 0.1 else 0
        answer = ""
        body = asked(route, nonce, stream=stream)
        async with http.stream("POST", route, json=body) as response:
            async for part in response.aiter_text():
                answer += part
                if leaves and len(answer) > leaves:
                    break
        folded = fold(answer)
        for _, value in LISTED:
            if value in answer or fold(value) in folded:
                seen.wrong.append("something listed went out")
        if set(re.findall("nonce[a-z]{12}", answer)) - {nonce}:
            seen.wrong.append("something of another stream")
        if leaves and len(answer) > leaves:
            seen.count["left"] += 1
            continue
        said, code = text_of(answer)
        seen.characters += len(said)
        if code is not None:
            seen.count["error"] += 1
            seen.codes[code] += 1
            await asyncio.sleep(0.2)
        elif said.count(nonce) == 62 and said.count(CLEAN) == 1:
            seen.count["whole"] += 1
        else:
            seen.wrong.append(f"{route} {response.status_code}: not what was to be said")


async def under_readers(url: str, seconds: float, seed: int, count: int = STREAMS) -> Seen:
    seen = Seen()
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        tasks = [reader(http, seen, random.Random(f"{seed} {n}"), end) for n in range(count)]
        await asyncio.gather(*tasks)
    return seen


def test_many_readers_and_an_engine_that_is_killed(tmp_path: Path, scale: float) -> None:
    eighth = SECONDS * scale / 8
    process, port = engine()
    try:
        with proxy(tmp_path, port) as (pid, url):
            files = open_files(pid)

            def phase(seed: int, seconds: float = eighth) -> Seen:
                seen = asyncio.run(under_readers(url, seconds, seed))
                print(
                    f"phase {seed}: {dict(seen.count)}, {seen.characters} characters, errors "
                    f"{dict(seen.codes)}, RSS {resident_mb(pid):.1f} MB, {open_files(pid)} files"
                )
                assert seen.wrong == []
                return seen

            assert phase(1).count["error"] == 0
            warm = resident_mb(pid)

            async def killed() -> Seen:
                reading = asyncio.ensure_future(under_readers(url, 2 * eighth, 2))
                await asyncio.sleep(eighth)
                process.kill()
                await asyncio.to_thread(process.wait)
                return await reading

            seen = asyncio.run(killed())
            print(f"killed: {dict(seen.count)}, errors {dict(seen.codes)}")
            assert seen.wrong == []
            assert set(seen.codes) <= {"upstream_down", "upstream_broke_off"}
            assert seen.codes.total() >= STREAMS // 2
            process, _ = engine(port)
            assert phase(3).count["error"] == 0
            last = phase(4, 4 * eighth)
            assert last.count["error"] == 0
            assert last.count["whole"] > STREAMS
            assert resident_mb(pid) < warm + GROWTH_MB
            time.sleep(KEPT_ALIVE_S + 1)
            # One more request: connections to the engine that are kept too long are closed then.
            httpx.post(url + ROUTES[1], json=asked(ROUTES[1], "nonce" + 12 * "x", stream=False))
            assert open_files(pid) <= files + 4
            found = httpx.get(f"{url}/metrics").text
            assert "lethe_gate_active_sequences 0" in found
    finally:
        process.kill()
        process.wait(30)
