"""What the proxy costs beside the same engine asked directly: its CPU time a character, the delay of a chunk.

The engine is a small one that speaks OpenAI's streaming chat and says a text that it is given, a token a chunk, as
fast as it can or at a pace; it notes when it sent what. Engine, proxy and client share the machine, so the delays
are upper bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from scores import command

from filter.errors import InputError

PACE_S = 0.02


def engine(texts: Path) -> None:
    """Serve until killed; says its address on standard output."""
    pieces: list[list[str]] = json.loads(texts.read_text())
    app = FastAPI()
    sent: list[list[float]] = []

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "m", "object": "model"}]}

    @app.get("/sent")
    async def times() -> list[float]:
        return sent[-1]

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        number, pace = (await request.json())["messages"][-1]["content"].split()[:2]
        sent.append([])

        def event(delta: dict[str, str], reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"

        async def events() -> AsyncIterator[str]:
            yield event({"role": "assistant", "content": ""})
            for piece in pieces[int(number)]:
                sent[-1].append(time.monotonic())
                yield event({"content": piece})
                await asyncio.sleep(float(pace))
            yield event({}, "stop")
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    config = uvicorn.Config(app, port=0, log_level="error")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run([listener])


class Asked(NamedTuple):
    """One streamed answer."""

    characters: int
    seconds: float
    delays: list[float]
    """Of each chunk: seconds since the engine sent the last one before it."""


async def ask(base: str, engine_at: str, number: int, pace: float) -> Asked:
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": f"{number} {pace}"}],
        "max_tokens": 4096,
    }
    arrived: list[float] = []
    characters = 0
    begin = time.monotonic()
    async with (
        httpx.AsyncClient(timeout=600) as client,
        client.stream("POST", f"{base}/v1/chat/completions", json=body) as answer,
    ):
        if answer.status_code != 200:
            raise InputError(f"{answer.status_code}: {(await answer.aread()).decode()}")
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            now = time.monotonic()
            for choice in json.loads(line[6:])["choices"]:
                text = choice["delta"].get("content") or ""
                characters += len(text)
                if text:
                    arrived.append(now)
        seconds = time.monotonic() - begin
        sent = (await client.get(f"{engine_at}/sent")).json()
    delays = [now - max(at for at in sent if at <= now) for now in arrived] if pace else []
    return Asked(characters, seconds, delays)


class Proxied(NamedTuple):
    """What the proxy costs."""

    characters_a_cpu_second: float
    """Of the proxy's process: what one core can take."""
    chunk_us: float
    """CPU microseconds of the proxy for one chunk of the engine's."""
    direct_ms: float
    """From sending to arriving, median, and the same through the proxy."""
    through_ms: float
    direct_p95_ms: float
    through_p95_ms: float


def proxied(texts: Sequence[Sequence[str]], bundle: Path) -> Proxied:
    """Measure with texts given as pieces, one a chunk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps([*map(list, texts), list(texts[0][:100])]))
        process = subprocess.Popen(
            [sys.executable, __file__, "--engine", str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            engine_at = process.stdout.readline().strip()
            known = {child.pid for child in psutil.Process().children(recursive=True)}
            with command("proxy", "--upstream", engine_at, "--bundle", str(bundle)) as address:
                base = address.removesuffix("/v1")
                others = psutil.Process().children(recursive=True)
                (proxy,) = [child for child in others if child.pid not in known]
                return asyncio.run(_measured(base, engine_at, proxy, [len(t) for t in texts]))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


async def _measured(
    base: str, engine_at: str, proxy: psutil.Process, sizes: Sequence[int]
) -> Proxied:
    await ask(base, engine_at, len(sizes), 0)  # to warm up
    before = proxy.cpu_times()
    found = [await ask(base, engine_at, number, 0) for number in range(len(sizes))]
    after = proxy.cpu_times()
    spent = after.user + after.system - before.user - before.system
    direct: list[float] = []
    through: list[float] = []
    for _ in range(3):
        direct += (await ask(engine_at, engine_at, len(sizes), PACE_S)).delays
        through += (await ask(base, engine_at, len(sizes), PACE_S)).delays
    return Proxied(
        sum(one.characters for one in found) / spent,
        1e6 * spent / sum(sizes),
        *(1000 * statistics.median(some) for some in (direct, through)),
        *(1000 * statistics.quantiles(some, n=20)[-1] for some in (direct, through)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="texts to say, as JSON")
    engine(parser.parse_args().engine)
