"""``lethe reconstruct plan``: a mixture beside what is there of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.console import corpus_extra, grouped, progress_bar, share

if TYPE_CHECKING:
    from pipeline.reconstruct.holdings import Corpus, Row
    from pipeline.reconstruct.mixture import Mixture, Stage

_NAME = 36


def plan(
    corpora: Annotated[
        list[str] | None, typer.Argument(help="Output folders of `lethe reconstruct run`.")
    ] = None,
    mixture: Annotated[
        Path | None, typer.Option(help="A mixture file; that of Apertus if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Tell how much of each stage of a mixture is there, and what is missing.

    Example:

    lethe reconstruct plan rebuilt/fineweb-edu rebuilt/starcoder
    """
    with corpus_extra():
        from pipeline.reconstruct import holdings
        from pipeline.reconstruct import mixture as mixtures
    chosen = mixtures.shipped() if mixture is None else mixtures.read(mixture)
    found = []
    for root in corpora or []:
        with progress_bar(f"Reading {root}", "ledgers") as bar:
            found.append(holdings.corpus(root, bar))
    holdings.check_apart(found)
    stages = [(stage, holdings.rows(stage, found)) for stage in chosen.stages]
    unused = holdings.unused(chosen, found)
    if as_json:
        typer.echo(json.dumps(_described(chosen, stages, unused), indent=1))
        return
    typer.echo(chosen.title)
    for stage, rows in stages:
        _print_stage(stage, rows)
    for corpus in unused:
        typer.echo(f"{corpus.root} (recipe {corpus.recipe}) is in no stage.")
    typer.echo(_summary(stages))


def _print_stage(stage: Stage, rows: list[Row]) -> None:
    typer.echo(f"\nStage {stage.name}{f', {stage.span}' if stage.span else ''}")
    cells = [
        (
            row.dataset.name,
            grouped(row.documents) if row.corpora else "",
            _tokens(row),
            _billions(row.dataset.planned),
            share(row.tokens, row.dataset.planned),
        )
        for row in rows
    ]
    planned, there = sum(r.dataset.planned for r in rows), sum(r.tokens for r in rows)
    heads = ("dataset", "documents", "tokens", "planned", "share")
    total = ("all", "", _billions(there), _billions(planned), share(there, planned))
    for cell in (heads, *cells, total):
        name, *others = cell
        typer.echo(f"  {name:<{_NAME}}" + "".join(f"{c:>14}" for c in others))
    for row in rows:
        for line in _remarks(row):
            typer.echo(f"    {row.dataset.name}: {line}")


def _remarks(row: Row) -> list[str]:
    said = []
    if row.missing:
        said.append("missing " + ", ".join(row.missing))
    for corpus in row.others:
        other = ", ".join(row.dataset.differences(corpus.settings))
        said.append(f"{corpus.root} is of another run ({other})")
    if row.dataset.variant:
        said.append(f"meant is {row.dataset.variant}")
    if row.uncounted:
        said.append(f"{grouped(row.uncounted)} documents have no number of tokens")
    unfinished = sum(corpus.missing_files for corpus in row.corpora)
    if unfinished:
        said.append(f"{unfinished} files of the input are not done")
    return said


def _summary(stages: list[tuple[Stage, list[Row]]]) -> str:
    rows = [row for _, some in stages for row in some]
    needed = {name for row in rows for name in row.dataset.recipes}
    counted = {c.fingerprint: c for row in rows for c in row.corpora}.values()
    made = {corpus.recipe for corpus in counted}
    planned, there = sum(r.dataset.planned for r in rows), sum(r.tokens for r in rows)
    said = (
        f"\nOf {len(needed)} recipes {len(made)} are there; of {_billions(planned)} tokens of all "
        f"stages {_billions(there)} ({share(there, planned)})."
    )
    uncounted = sum(corpus.uncounted for corpus in counted)
    if uncounted:
        said += (
            f"\nNot counted are {grouped(uncounted)} documents with an unknown number of tokens."
        )
    return said


def _described(
    mixture: Mixture, stages: list[tuple[Stage, list[Row]]], unused: list[Corpus]
) -> dict[str, Any]:
    return {
        "title": mixture.title,
        "stages": [
            {
                "name": stage.name,
                "span": stage.span,
                "tokens": sum(row.tokens for row in rows),
                "planned_tokens": sum(row.dataset.planned for row in rows),
                "datasets": [row.described() for row in rows],
            }
            for stage, rows in stages
        ],
        "unused": [corpus.root for corpus in unused],
    }


def _tokens(row: Row) -> str:
    """The number of tokens that are there, as far as it is known."""
    if not row.corpora:
        return ""
    if row.documents and row.uncounted == row.documents:
        return "unknown"
    return ("> " if row.uncounted else "") + _billions(row.tokens)


def _billions(tokens: int) -> str:
    """``4 815 G``: three digits or more, and the unit."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return (
                f"{grouped(round(tokens / size))}{unit}"
                if tokens >= 100 * size
                else (f"{tokens / size:.1f}{unit}")
            )
    return str(tokens)
