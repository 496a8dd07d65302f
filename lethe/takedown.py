"""``lethe reconstruct takedown``: opt-outs that arrived since leave a corpus that is there already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lethe.console import corpus_extra, grouped, progress_bar
from lethe.warned import warn_of


def takedown(
    corpus: Annotated[str, typer.Argument(help="Output folder of `lethe reconstruct run`.")],
    policy: Annotated[
        Path | None,
        typer.Option(help="A newer policy from `lethe optout compile`, of the same signals."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="A newer operators' bundle: what it lists is removed from all texts."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="Where the input is now; read only for --bundle, or if documents come back.",
        ),
    ] = None,
    quality_head: Annotated[
        Path | None, typer.Option(help="Head of the run, if it judged quality; as in run.")
    ] = None,
    toxicity_head: Annotated[
        Path | None, typer.Option(help="Head of the run, if it judged toxicity; as in run.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that work at the same time, each on one file.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Bring a corpus under a newer policy, touching only the files of those who opted out or back in.

    With a newer bundle, too, every text is looked through, and only those that change are made anew.
    What is there afterwards is what a whole run would have made, octet by octet, and a certificate
    says what went. Interrupted, the same command goes on where it was.

    Examples:

    lethe reconstruct takedown rebuilt/ --policy policy-2026-12.parquet

    lethe reconstruct takedown rebuilt/ --bundle operators-2026.2.1.safetensors
    """
    with corpus_extra():
        from pipeline.reconstruct import takedown as take_down
    if bundle is not None:
        warn_of(bundle)
    with progress_bar("Taking down", "files") as bar:
        result = take_down(
            corpus,
            policy,
            bundle=bundle,
            source=source,
            quality_head=quality_head,
            toxicity_head=toxicity_head,
            workers=workers,
            progress=bar,
        )
    if as_json:
        typer.echo(json.dumps({k: getattr(result, k) for k in result.__slots__}))
        return
    if result.certificate is None:
        typer.echo("No file changed: every document is treated as it was before.")
        return
    typer.echo(
        f"{grouped(result.documents_gone)} documents went, {grouped(result.documents_back)} came back; "
        f"{grouped(result.files)} files changed, {grouped(result.files - result.files_cut)} of them made "
        "again from the input."
    )
    typer.echo(f"Certificate: {corpus}/{result.certificate}")
