"""What changed since: the ``diff`` commands over policies and over corpora."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.console import corpus_extra, grouped, printable

if TYPE_CHECKING:
    from pipeline.optout.changes import Line


def diff(
    old: Annotated[str, typer.Argument(help="A corpus, or its folder `ledger`.")],
    new: Annotated[str, typer.Argument(help="Another corpus out of the same input.")],
    limit: Annotated[int, typer.Option(min=0, help="Hosts to name.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say which documents are gone from a corpus since an older one, or back, and by whose word.

    Example:

    lethe reconstruct diff rebuilt-2025/ rebuilt-2026/
    """
    with corpus_extra():
        from pipeline.reconstruct.difference import difference
    found = difference(old, new, limit)
    if as_json:
        typer.echo(json.dumps(found.described()))
        return
    typer.echo(f"{grouped(found.joined)} documents are in both ledgers.")
    for title, side in (("Gone", found.gone), ("Back", found.back)):
        total = side.total
        typer.secho(
            f"{title}: {grouped(total.documents)} documents, {grouped(total.tokens)} tokens",
            bold=True,
        )
        for name, held in side.signals.items():
            _line(f"by {name or '(no reason)'}", held.documents, held.tokens)
        for name, held in side.languages.items():
            _line(f"language {name or '(not stated)'}", held.documents, held.tokens)
        for host in side.hosts:
            _line(host.host or "(no host)", host.documents, host.tokens)
        if side.distinct_hosts > len(side.hosts):
            typer.echo(f"  ... and {grouped(side.distinct_hosts - len(side.hosts))} more hosts")
    typer.echo(f"Dropped in both, but by another signal: {grouped(found.otherwise)}")
    if found.only_old or found.only_new:
        typer.echo(
            f"Only in {old}: {grouped(found.only_old)} rows; only in {new}: {grouped(found.only_new)}"
        )


def _line(name: str, documents: int, tokens: int) -> None:
    typer.echo(f"  {printable(name):<44}{grouped(documents):>12}{grouped(tokens):>16}")


def diff_policies(
    old: Annotated[Path, typer.Argument(help="A policy from `lethe optout compile`.")],
    new: Annotated[Path, typer.Argument(help="A newer one, of the same kind.")],
    limit: Annotated[int, typer.Option(min=0, help="Hosts to name.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say who opted out since: what hosts refuse now and did not before, and what they allow again.

    Example:

    lethe optout diff policy-2025.parquet policy-2026.parquet
    """
    with corpus_extra():
        from pipeline.optout.changes import changes
    found = changes(old, new)
    if as_json:
        typer.echo(json.dumps(found.described(limit)))
        return
    for host in found.hosts[:limit]:
        typer.echo(f"{host.host}{' and all below it' if host.subdomains else ''}")
        for mark, lines in (("+", host.refuses), ("-", host.allows)):
            for line in lines:
                typer.echo(f"  {mark} {printable(_told(line))}")
    if len(found.hosts) > limit:
        typer.echo(f"... and {grouped(len(found.hosts) - limit)} more hosts")
    counts = found.described(0)["counts"]
    typer.echo(
        f"{grouped(counts['opted_out'])} hosts refuse what they did not before, "
        f"{grouped(counts['allow_again'])} allow something again, {grouped(counts['no_answer'])} no "
        f"longer answer, {grouped(counts['answer_again'])} answer again; the files of "
        f"{grouped(counts['unchanged'])} changed to no effect."
    )
    for signal, (came, went) in found.by_signal().items():
        typer.echo(f"  {signal:<20}{grouped(came):>10} refuse{grouped(went):>10} allow again")
    for what in ("documents", "datasets", "tags"):
        held = getattr(found, what)
        if any(held):
            typer.echo(
                f"  {what:<20}{grouped(held.refused):>10} opted out{grouped(held.allowed):>10} no "
                f"longer{grouped(held.otherwise):>10} otherwise"
            )


def _told(line: Line) -> str:
    """A rule that came or went, on one line."""
    agents = f" for {', '.join(line.agents)}" if line.agents else ""
    where = f"line {line.line} of {line.file}" if line.line else line.file
    date = f", {line.date}" if line.date else ""
    gone = "no longer: " if line.gone else ""
    return f"{line.signal}  {gone}{line.rule}{agents} ({where}{date})"
