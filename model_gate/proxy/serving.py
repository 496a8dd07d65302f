"""Standing before an engine: from the options of a command to a proxy that runs until it is asked to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_gate.guard import Guard
from model_gate.proxy.app import LONGEST_PROMPT, Proxy
from model_gate.proxy.upstream import SILENCE_S, Upstream
from model_gate.web import running
from model_gate.web.limits import LARGEST_BODY, ApiKeys


@dataclass(frozen=True, slots=True)
class Options:
    """How the proxy stands before its engine."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 for a free one."""
    upstream_key: str | None = None
    silence_s: float = SILENCE_S
    """Seconds that the engine may say nothing in the middle of an answer."""
    may_continue: bool = True
    """The engine may be asked for a few tokens more where an answer is cut."""
    keys: ApiKeys | None = None
    open_health: bool = False
    largest_body: int = LARGEST_BODY
    longest_prompt: int = LONGEST_PROMPT
    """Characters of a prompt."""
    connections: int | None = None
    """At once; as many as descriptors suffice for by default."""
    grace_s: float = running.GRACE_S
    log_requests: bool = False


def serve(url: str, guard: Guard, options: Options, says: Callable[[str], None]) -> None:
    """Serve until asked to end.

    Args:
        url: the engine's.
        guard: the bundle in force.
        options: how.
        says: takes sentences for whoever started it.

    Raises:
        InputError: no URL, or the address cannot be listened on.
    """
    upstream = Upstream(url, api_key=options.upstream_key, silence_s=options.silence_s)
    with running.listening(options.host, options.port) as listener:
        proxy = Proxy(
            upstream,
            guard,
            keys=options.keys,
            open_health=options.open_health,
            largest_body=options.largest_body,
            longest_prompt=options.longest_prompt,
            may_continue=options.may_continue,
            log_requests=options.log_requests,
        )

        def ready(address: str) -> None:
            says(f"Release {guard.release} before the engine, at {address}/v1, until Ctrl-C.")

        running.run(
            proxy.app,
            listener,
            guard=guard,
            ready=ready,
            grace_s=options.grace_s,
            connections=options.connections,
        )
