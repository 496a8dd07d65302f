"""A server of a small model, and a model whose decode loop a test can hold, fail and look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai

from model_gate.decode import Decoder
from model_gate.guard import Guard
from model_gate.model import GatedModel
from model_gate.server.app import Server
from model_gate.web import running

CONTEXT = 1024


class Served:
    """A server, its address, and clients."""

    def __init__(self, server: Server, guard: Guard, url: str, client: openai.OpenAI) -> None:
        self.server = server
        self.guard = guard
        self.url = url
        self.client = client
        self.http = httpx.Client(base_url=url, timeout=60)

    def figure(self, name: str) -> float:
        """One of those that ``/metrics`` shows; 0 where it does not."""
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(f"lethe_gate_{name} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    @property
    def active(self) -> int:
        """Sequences in the decode loop."""
        return int(self.figure("active_sequences"))

    def chat(self, text: str, **options: Any) -> Any:
        """The answer to one message, with the likeliest tokens."""
        return self.client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": text}],
            **{"temperature": 0, "max_tokens": 80, **options},
        )

    def complete(self, prompt: Any, **options: Any) -> Any:
        """What follows a prompt, with the likeliest tokens."""
        return self.client.completions.create(
            model="tiny", prompt=prompt, **{"temperature": 0, "max_tokens": 60, **options}
        )


@contextmanager
def serving(
    model: GatedModel, *, grace_s: float = 10, keeper: running.Keeper | None = None, **options: Any
) -> Iterator[Served]:
    """A server on a free port."""
    server = Server(model, name="tiny", **options)
    server.start()
    try:
        with (
            running.running(
                server.app,
                guard=model.guard,
                ending=server.engine.stop,
                grace_s=grace_s,
                keeper=keeper,
            ) as url,
            openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        ):
            served = Served(server, model.guard, url, client)
            with served.http:
                yield served
    finally:
        server.close()


class Paced:
    """A decode loop that stands still where a test wants it to."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.goes = threading.Event()
        self.goes.set()
        self.stands = threading.Semaphore(0)
        """Released whenever a step stands still."""
        self.fails = False
        self.admits = True
        self.removed = 0
        """Sequences that were taken out before their end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def admit(self, sequence: Any) -> None:
        if not self.admits:
            raise ValueError("jane.doe@example.org")
        self._decoder.admit(sequence)

    def remove(self, sequence: Any) -> None:
        self.removed += 1
        self._decoder.remove(sequence)

    def step(self) -> Any:
        if not self.goes.is_set():
            self.stands.release()
            assert self.goes.wait(60)
        if self.fails:
            raise ValueError("jane.doe@example.org")
        return self._decoder.step()


class PacedModel(GatedModel):
    """A model with such a loop."""

    paced: Paced

    def decoder(self, *, seed: int | None = None) -> Any:
        self.paced = Paced(super().decoder(seed=seed))
        return self.paced


def behind(loaded: GatedModel, guard: Guard, rows: int = 8) -> PacedModel:
    """The same model behind another guard."""
    return PacedModel(
        loaded.model, loaded.tokenizer, guard, eos=loaded.eos, rows=rows, context=CONTEXT
    )
