"""``lethe optout``: opt-outs are gathered, compiled and explained."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from filter.errors import InputError
from lethe import differences
from lethe.console import corpus_extra, grouped, printable, progress_bar

app = typer.Typer(help="Gather opt-outs, compile them, explain verdicts.", no_args_is_help=True)
app.command("diff")(differences.diff_policies)


def _day(text: str | None) -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError("--as-of is a day: write it as 2026-01-31.") from None


@app.command()
def compile(  # noqa: A001  (the name of the command)
    out: Annotated[Path, typer.Option(help="The compiled policy to write (Parquet).")],
    robots: Annotated[
        Path | None,
        typer.Option(
            help="Snapshot: Parquet file or folder with domain, content [file, status, fetched_at]."
        ),
    ] = None,
    optouts: Annotated[Path | None, typer.Option(help="Explicit opt-outs (JSONL).")] = None,
    tags: Annotated[
        Path | None, typer.Option(help="Compliance tags: Parquet file or folder with id, agents.")
    ] = None,
    policy: Annotated[str, typer.Option(help="rfc9309 or apertus-2025-01.")] = "rfc9309",
    agents: Annotated[
        str,
        typer.Option(
            help="apertus, commoncrawl, training-2026, or user agents separated by commas."
        ),
    ] = "apertus",
    as_of: Annotated[str | None, typer.Option(help="Day on which opt-outs count; today.")] = None,
    signals: Annotated[
        str | None,
        typer.Option(help="Only these, separated by commas (robots,optout); the policy's."),
    ] = None,
    on_unreachable: Annotated[
        str | None, typer.Option(help="keep or drop sites whose server failed; the policy's.")
    ] = None,
    on_unreadable: Annotated[
        str | None, typer.Option(help="keep or drop where a file cannot be understood; keep.")
    ] = None,
    on_no_url: Annotated[
        str | None, typer.Option(help="keep or drop documents without a URL; keep.")
    ] = None,
    www: Annotated[
        bool, typer.Option("--www", help="Let www.x and x answer for each other.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was read as JSON.")] = False,
) -> None:
    """Compile opt-out files into one policy.

    Examples:

    lethe optout compile --robots robots.parquet --optouts optouts.jsonl --out policy.parquet

    lethe optout compile --robots robots.parquet --policy apertus-2025-01 --as-of 2025-01-31 --out policy.parquet
    """  # noqa: E501  (one line, so that it can be copied)
    with corpus_extra():
        from pipeline.collection import rare_collection
        from pipeline.optout.agents import resolve
        from pipeline.optout.compile import PolicyCompiler
        from pipeline.optout.spec import fall, named
    if robots is None and optouts is None and tags is None:
        raise InputError("Nothing to compile: give --robots, --optouts or --tags.")
    spec = named(
        policy,
        signals=signals,
        unreachable=fall(on_unreachable, "--on-unreachable"),
        unreadable=fall(on_unreadable, "--on-unreadable"),
        no_url=fall(on_no_url, "--on-no-url"),
        www=www or None,
    )
    _check_inputs(spec.signals, out, robots=robots, optouts=optouts, tags=tags)
    compiler = PolicyCompiler(spec, resolve(agents), _day(as_of))
    with progress_bar("Compiling", "files") as bar, rare_collection():
        if robots is not None:
            compiler.add_snapshot(robots, bar)
        if optouts is not None:
            compiler.add_optouts(optouts)
        try:
            if tags is not None:
                compiler.add_tags(tags, out)
            header = compiler.finish(out)
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror or error}.") from None
    if as_json:
        typer.echo(
            json.dumps({"policy": str(out), "version": header.version, "counts": header.counts})
        )
        return
    typer.echo(f"{out}: policy {spec.name}, version {header.version}, as of {header.as_of}")
    for reason, count in header.counts.items():
        typer.echo(f"  {printable(reason):<44}{grouped(count):>12}")


_READ_FROM = {
    "robots": {"robots", "content-usage", "content-signal", "tdmrep", "ai-txt", "rsl"},
    "optouts": {"optout"},
    "tags": {"tag"},
}
"""Which signals stand in which input."""


def _check_inputs(signals: Collection[str], out: Path, **inputs: Path | None) -> None:
    """Refuse what would silently have no effect, and to write over what is read."""
    if out.is_dir():
        raise InputError(f"{out} is a folder: give --out the name of a file.")
    for option, path in inputs.items():
        if path is None:
            continue
        if not _READ_FROM[option] & set(signals):
            raise InputError(
                f"The signals of this policy read nothing from --{option}: leave it out, or name "
                f"{' or '.join(sorted(_READ_FROM[option]))} in --signals."
            )
        if path.exists() and out.exists() and path.samefile(out):
            raise InputError(f"--{option} and --out are one file: give --out another name.")


@app.command()
def check(
    urls: Annotated[list[str] | None, typer.Argument(help="URLs to ask about.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A compiled policy.")] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl", help='Read {"robots"|"robots_b64", "agents": [..], "url"} a line from stdin.'
        ),
    ] = False,
    mode: Annotated[str, typer.Option(help="With --jsonl: rfc9309 or protego.")] = "rfc9309",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say keep or drop for URLs, and which line of which file decided.

    One tab-separated line each: keep|drop, signal, agents, rule, line, file and hash, date, URL.

    Examples:

    lethe optout check --policy policy.parquet https://example.org/private/

    lethe optout check --jsonl --mode protego < questions.jsonl
    """
    with corpus_extra():
        from pipeline.optout import check as checks
    if jsonl:
        if urls or policy is not None:
            raise InputError(
                "--jsonl reads everything from standard input: leave URLs and --policy out."
            )
        checks.check_mode(mode)
        failed = 0
        for octets in typer.get_binary_stream("stdin"):
            if octets.strip():
                answer = _answer(octets, mode)
                failed += "error" in answer
                typer.echo(json.dumps(answer))
        if failed:
            raise InputError(f'{failed} lines could not be answered: see their "error".')
        return
    if policy is None or not urls:
        raise InputError("Give --policy and at least one URL, or --jsonl.")
    # What the shell hands over need not be UTF-8.
    readable = [os.fsencode(url).decode("utf-8", "replace") for url in urls]
    for row in checks.explain(policy, readable):
        typer.echo(json.dumps(row) if as_json else _one_line(row))


def _answer(octets: bytes, mode: str) -> dict[str, Any]:
    from pipeline.optout import check as checks

    try:
        return checks.answer(octets.decode("utf-8-sig"), mode)
    except UnicodeDecodeError:
        return {"error": "a line must be UTF-8"}


def _one_line(row: dict[str, Any]) -> str:
    source = row["source"] or "-"
    if row["source_hash"]:
        source += f" sha256:{row['source_hash'][:12]}"
    nobody = "-" if row["host"] else "(no host: nobody can be asked)"
    fields = (
        row["verdict"],
        row["signal"] or "-",
        ",".join(row["agents"]) or "-",
        row["rule"] or nobody,
        str(row["line"] or "-"),
        source,
        row["source_date"] or "-",
        row["url"],
    )
    return "\t".join(map(printable, fields))


@app.command()
def fetch(
    domains: Annotated[Path, typer.Option(help="Text file with one host a line.")],
    out: Annotated[Path, typer.Option(help="The snapshot to write (Parquet).")],
    concurrency: Annotated[
        int, typer.Option(help="Connections at the same time; one a host.")
    ] = 64,
    delay: Annotated[float, typer.Option(help="Seconds between two requests to one host.")] = 1.0,
    timeout: Annotated[float, typer.Option(help="Seconds for one request in all.")] = 15.0,
    user_agent: Annotated[str | None, typer.Option(help="How the crawler names itself.")] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also ask private and loopback addresses.")
    ] = False,
) -> None:
    """Fetch robots.txt, tdmrep.json, ai.txt and RSL files of hosts, politely.

    Interrupted, the same command goes on where it was.

    Example:

    lethe optout fetch --domains domains.txt --out robots.parquet
    """
    with corpus_extra():
        from pipeline.optout.fetch import FetchOptions
        from pipeline.optout.fetch import fetch as run_fetch
    given: dict[str, Any] = {} if user_agent is None else {"user_agent": user_agent}
    options = FetchOptions(
        concurrency=concurrency,
        delay_s=delay,
        timeout_s=timeout,
        allow_private=allow_private,
        **given,
    )
    with progress_bar("Fetching", "hosts") as bar:
        result = run_fetch(domains, out, options=options, progress=bar)
    classes = ", ".join(f"{grouped(n)} {name}" for name, n in result.by_class.items() if n)
    typer.echo(
        f"{out}: {grouped(result.domains)} domains, {grouped(result.rows)} files ({classes})."
    )
    if result.resumed:
        typer.echo(f"{grouped(result.resumed)} domains had been asked before.")
    if result.truncated:
        typer.echo(f"{grouped(result.truncated)} files were longer than is kept.")
    if result.invalid_lines:
        numbers = ", ".join(map(str, result.invalid_lines[:10]))
        more = ", ..." if len(result.invalid_lines) > 10 else ""
        typer.echo(
            f"{len(result.invalid_lines)} lines of {domains} are no host: {numbers}{more}.",
            err=True,
        )
