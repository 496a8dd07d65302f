"""``lethe gate``: a model's answers pass the filter, in a server of our own or before another engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filter.errors import InputError
from lethe.console import extra, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_gate.guard import Guard
    from model_gate.model import GatedModel, Generation, Prompt
    from model_gate.web.limits import ApiKeys

app = typer.Typer(
    help="Let what a model says pass the filter: serve, stand before an engine, or generate.",
    no_args_is_help=True,
)

Model = Annotated[str, typer.Option("--model", help="Folder or hub name of an Apertus checkpoint.")]
BundleFile = Annotated[
    Path, typer.Option("--bundle", help="The bundle; a newer one in its place comes into force.")
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)]
Mode = Annotated[
    str, typer.Option(help="redact, refuse or resample: what happens to a listed identifier.")
]
OnNamed = Annotated[
    str,
    typer.Option(help="answer, redact or refuse: what happens to a prompt with a listed name."),
]
NamedPerHour = Annotated[
    int, typer.Option(help="Listed names that one client's prompts may hit in an hour.", min=1)
]
FilterPolicyName = Annotated[str, typer.Option(help="standard, corpus or frugal.")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File with one API key a line; without it none is asked for.")
]
OpenHealth = Annotated[
    bool, typer.Option("--open-health", help="/health and /metrics ask for no key.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16, or auto.")]
Grace = Annotated[
    float, typer.Option(help="Seconds that answers have to end when the server is ended.", min=0)
]
LogRequests = Annotated[
    bool, typer.Option("--log-requests", help="Log route, status and duration of each request.")
]
Connections = Annotated[
    int | None,
    typer.Option(help="Open at once; as many as descriptors suffice for by default.", min=1),
]
LargestBody = Annotated[int, typer.Option(help="Octets of a request at most.", min=1024)]


@app.command()
def serve(
    model: Model,
    bundle: BundleFile,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    rows: Annotated[int, typer.Option(help="Answers decoded at once.", min=1)] = 64,
    queue: Annotated[int, typer.Option(help="Answers that may wait for a row.", min=0)] = 256,
    mode: Mode = "redact",
    on_named_prompt: OnNamed = "redact",
    named_prompts_per_hour: NamedPerHour = 30,
    filter_policy: FilterPolicyName = "standard",
    device: Device = "auto",
    dtype: Dtype = "auto",
    max_context: Annotated[
        int, typer.Option(help="Tokens of a prompt and its answer.", min=2)
    ] = 65536,
    served_model_name: Annotated[
        str | None, typer.Option(help="The model's name in requests; its folder's by default.")
    ] = None,
    api_key_file: KeyFile = None,
    open_health: OpenHealth = False,
    max_body: LargestBody = 4 << 20,
    connections: Connections = None,
    grace: Grace = 30.0,
    log_requests: LogRequests = False,
) -> None:
    """Serve an Apertus checkpoint as OpenAI's API does: /v1/chat/completions, /v1/completions, /v1/models.

    /health tells whether the filter holds, /metrics is for Prometheus.

    Example:

    lethe gate serve --model swiss-ai/Apertus-8B-Instruct-2509 --bundle filter.safetensors
    """
    guard = _guard(bundle, mode, on_named_prompt, named_prompts_per_hour, filter_policy)
    keys = _keys(api_key_file)
    with extra("gate"):
        from model_gate.server.serving import Options
        from model_gate.server.serving import serve as run
    options = Options(
        host=host,
        port=port,
        rows=rows,
        queue=queue,
        context=max_context,
        device=device,
        dtype=dtype,
        name=served_model_name,
        keys=keys,
        open_health=open_health,
        largest_body=max_body,
        connections=connections,
        grace_s=grace,
        log_requests=log_requests,
    )
    _caution(host, api_key_file)
    run(model, guard, options, _says)


@app.command()
def proxy(
    upstream: Annotated[
        str, typer.Option(help="Address of an engine with OpenAI's API: http://host:port.")
    ],
    bundle: BundleFile,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    mode: Annotated[
        str, typer.Option(help="redact or refuse: what happens to a listed identifier.")
    ] = "redact",
    on_named_prompt: OnNamed = "redact",
    named_prompts_per_hour: NamedPerHour = 30,
    filter_policy: FilterPolicyName = "standard",
    upstream_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that the engine asks for.")
    ] = None,
    may_continue: Annotated[
        bool,
        typer.Option(
            "--continue/--no-continue",
            help="Where an answer is cut, have the engine go on unseen to decide about its end.",
        ),
    ] = True,
    silence: Annotated[
        float, typer.Option(help="Seconds that the engine may say nothing.", min=1)
    ] = 120.0,
    api_key_file: KeyFile = None,
    open_health: OpenHealth = False,
    max_body: LargestBody = 4 << 20,
    connections: Connections = None,
    max_prompt: Annotated[
        int, typer.Option(help="Characters of a prompt at most.", min=1024)
    ] = 400_000,
    grace: Grace = 30.0,
    log_requests: LogRequests = False,
) -> None:
    """Stand before vLLM, SGLang, llama.cpp or any engine with OpenAI's API, which only the proxy may reach.

    Example:

    lethe gate proxy --upstream http://127.0.0.1:8000 --bundle filter.safetensors
    """
    guard = _guard(bundle, mode, on_named_prompt, named_prompts_per_hour, filter_policy)
    keys = _keys(api_key_file)
    upstream_key = _line(upstream_key_file)
    with extra("proxy"):
        from model_gate.proxy.serving import Options
        from model_gate.proxy.serving import serve as run
    options = Options(
        host=host,
        port=port,
        upstream_key=upstream_key,
        silence_s=silence,
        may_continue=may_continue,
        keys=keys,
        open_health=open_health,
        largest_body=max_body,
        connections=connections,
        longest_prompt=max_prompt,
        grace_s=grace,
        log_requests=log_requests,
    )
    _caution(host, api_key_file)
    run(upstream, guard, options, _says)


@app.command()
def generate(
    model: Model,
    bundle: BundleFile,
    prompt: Annotated[
        str | None, typer.Option(help="Text to continue; standard input without it.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="It is a message to the assistant, not text to continue.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON; with --stream, its pieces.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print what passed the filter while the model speaks.")
    ] = False,
    max_tokens: Annotated[int, typer.Option(help="Tokens at most.", min=1)] = 512,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Share of likelihood that is drawn from.")] = 0.9,
    seed: Annotated[int | None, typer.Option(help="For the same answer again.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="Text before which the answer ends.")
    ] = None,
    mode: Mode = "redact",
    on_named_prompt: OnNamed = "redact",
    filter_policy: FilterPolicyName = "standard",
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Continue a text, or answer a message; on a terminal, --chat without --prompt is a conversation.

    Example:

    lethe gate generate --model swiss-ai/Apertus-8B-2509 --bundle filter.safetensors --prompt "In Basel"
    """
    guard = _guard(bundle, mode, on_named_prompt, 1, filter_policy)
    with extra("gate"):
        from model_gate.model import GatedModel
        from model_gate.sampling import Sampling
    sampling = Sampling(temperature=temperature, top_p=top_p, seed=seed, max_new_tokens=max_tokens)
    if not all(guard.probe().values()):
        guard.in_force()  # raises, and says so
    gated = GatedModel.from_pretrained(model, bundle=guard, device=device, dtype=dtype, rows=1)

    def answer(asked: Prompt) -> str:
        options: dict[str, Any] = {"sampling": sampling, "stop": tuple(stop or ())}
        if stream:
            return _streamed(gated, asked, options, as_json)
        found = gated.generate(asked, **options)
        typer.echo(json.dumps(_row(found)) if as_json else found.text)
        return found.text

    if chat and prompt is None and sys.stdin.isatty():
        _converse(answer)
        return
    text = sys.stdin.read() if prompt is None else prompt
    if not text:
        raise InputError("There is no prompt: give --prompt, or text on standard input.")
    answer([{"role": "user", "content": text}] if chat else text)


def _converse(answer: Any) -> None:
    """Turn by turn, until the input ends."""
    said: list[dict[str, str]] = []
    for line in _lines():
        said.append({"role": "user", "content": line})
        said.append({"role": "assistant", "content": answer(said)})


def _lines() -> Iterator[str]:
    while True:
        typer.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _streamed(gated: GatedModel, asked: Prompt, options: dict[str, Any], as_json: bool) -> str:
    said = []
    for piece in gated.stream(asked, **options):
        if as_json:
            typer.echo(json.dumps({"channel": str(piece.channel), "text": piece.text}))
        elif piece.channel == "content":
            typer.echo(piece.text, nl=False)
        if piece.channel == "content":
            said.append(piece.text)
        sys.stdout.flush()
    if not as_json:
        typer.echo()
    return "".join(said)


def _row(found: Generation) -> dict[str, Any]:
    return {
        "text": found.text,
        "finish_reason": found.finish_reason,
        "reasoning": found.reasoning,
        "tool_calls": [call._asdict() for call in found.tool_calls],
        "removed": dict(found.removed),
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
    }


def _guard(
    bundle: Path, mode: str, on_named_prompt: str, per_hour: int, filter_policy: str
) -> Guard:
    """The bundle in force.

    Raises:
        InputError: it must not be used, or there is no such policy.
    """
    from filter.policy import policy as named
    from model_gate.guard import Guard
    from model_gate.policy import GatePolicy

    policy = GatePolicy(
        mode=mode,  # type: ignore[arg-type]  # made one of the enum, or refused
        on_named_prompt=on_named_prompt,  # type: ignore[arg-type]
        named_prompts_per_hour=per_hour,
        filter=named(filter_policy),
    )
    guard = Guard.open(bundle, policy)
    for problem in guard.health().problems:
        _says(problem)
    return guard


def _keys(path: Path | None) -> ApiKeys | None:
    if path is None:
        return None
    with extra("gate"):
        from model_gate.web.limits import ApiKeys
    return ApiKeys.read(path)


def _line(path: Path | None) -> str | None:
    """A secret from a file with nothing else.

    Raises:
        InputError: there is none.
    """
    if path is None:
        return None
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        found = ""
    if not found or not found.isprintable():
        raise InputError(f"{path} holds no key: name a file with one line for --upstream-key-file.")
    return found


def _caution(host: str, keys: Path | None) -> None:
    if keys is None and host not in {"127.0.0.1", "::1", "localhost"}:
        _says("Whoever reaches this address is served: give --api-key-file to ask for keys.")


def _says(text: str) -> None:
    typer.echo(printable(text), err=True)
