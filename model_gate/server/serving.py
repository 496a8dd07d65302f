"""Serving a checkpoint: from the options of a command to a server that runs until it is asked to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_gate.guard import Guard
from model_gate.model import LONGEST_CONTEXT, GatedModel
from model_gate.server.app import Server
from model_gate.server.engine import QUEUE
from model_gate.web import running
from model_gate.web.limits import LARGEST_BODY, ApiKeys


@dataclass(frozen=True, slots=True)
class Options:
    """How a checkpoint is served."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 for a free one."""
    rows: int = 64
    """Answers decoded at once."""
    queue: int = QUEUE
    """Answers that wait for a row."""
    context: int = LONGEST_CONTEXT
    """Tokens of a prompt and its answer."""
    device: str = "auto"
    dtype: str = "auto"
    name: str | None = None
    """The model's in requests; that of its folder by default."""
    keys: ApiKeys | None = None
    open_health: bool = False
    largest_body: int = LARGEST_BODY
    connections: int | None = None
    """At once; as many as descriptors suffice for by default."""
    grace_s: float = running.GRACE_S
    log_requests: bool = False


def serve(path: Path | str, guard: Guard, options: Options, says: Callable[[str], None]) -> None:
    """Serve until asked to end.

    Args:
        path: a checkpoint's folder, or its name on a model hub.
        guard: the bundle in force.
        options: how.
        says: takes sentences for whoever started it.

    Raises:
        CheckpointError: no Apertus, or one that cannot be run.
        InputError: the address cannot be listened on.
    """
    with running.listening(options.host, options.port) as listener:
        model = GatedModel.from_pretrained(
            path,
            bundle=guard,
            device=options.device,
            dtype=options.dtype,
            rows=options.rows,
            context=options.context,
        )
        name = options.name or Path(path).expanduser().resolve().name
        server = Server(
            model,
            name=name,
            keys=options.keys,
            open_health=options.open_health,
            largest_body=options.largest_body,
            queue=options.queue,
            log_requests=options.log_requests,
        )

        def ready(address: str) -> None:
            says(f"{name} behind release {guard.release} at {address}/v1, until Ctrl-C.")

        server.start()
        try:
            running.run(
                server.app,
                listener,
                guard=guard,
                ready=ready,
                ending=server.engine.stop,
                grace_s=options.grace_s,
                connections=options.connections,
            )
        finally:
            server.close()
            model.close()
