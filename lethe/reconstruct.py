"""``lethe reconstruct``: a corpus is rebuilt with its opt-outs, and reported on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from filter.errors import InputError
from lethe.console import corpus_extra, grouped, progress_bar, share

app = typer.Typer(
    help="Rebuild a corpus with its opt-outs, and report on it.", no_args_is_help=True
)


@app.command("list")
def list_recipes(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the recipes.

    Example:

    lethe reconstruct list
    """
    with corpus_extra():
        from pipeline.reconstruct.recipes import recipes
    if as_json:
        typer.echo(json.dumps([r.described() for r in recipes().values()], indent=1))
        return
    for r in recipes().values():
        typer.echo(f"{r.name:<20}{r.dataset + ' @ ' + r.revision:<46}{' -> '.join(r.stages)}")


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(help="A name from `lethe reconstruct list`.")],
) -> None:
    """Explain a recipe: its dataset, its columns, its stages, and what upstream does.

    Example:

    lethe reconstruct show fineweb
    """
    with corpus_extra():
        from pipeline.reconstruct.recipes import recipe as named
    r = named(recipe)
    rows = {
        "dataset": f"{r.dataset} @ {r.revision}",
        "homepage": r.homepage,
        "license": r.license,
        "stages": " -> ".join(r.stages),
        "text": r.text,
        "id": " or ".join(r.id),
        "url": " or ".join(r.url),
        "language": " or ".join(r.language),
        "tokens": " or ".join(r.tokens),
        "upstream": r.upstream,
    }
    typer.echo(r.title)
    for name, value in rows.items():
        typer.echo(f"  {name:<10}{value}")


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A name from `lethe reconstruct list`.")],
    source: Annotated[
        str, typer.Option("--input", help="Parquet file or folder: a path, hf://..., s3://...")
    ],
    policy: Annotated[Path, typer.Option(help="A policy from `lethe optout compile`.")],
    out: Annotated[str, typer.Option(help="Folder (or URL) for the corpus, its ledger and logs.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Read only so many documents.")] = None,
    pii: Annotated[
        str | None, typer.Option(help="strict, apertus or none; strict where the recipe scrubs.")
    ] = None,
    removed: Annotated[
        str, typer.Option(help="Write dropped documents beside: none, scrubbed or verbatim.")
    ] = "none",
    bundle: Annotated[
        Path | None, typer.Option(help="An operators' bundle: the phrases it lists are removed.")
    ] = None,
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Remove listed names, too; never publish it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Rebuild a corpus under a policy. Interrupted, the same command goes on where it was.

    Example:

    lethe reconstruct run fineweb --input corpus/ --policy policy.parquet --out rebuilt/ --workers 4
    """
    with corpus_extra():
        from pipeline.reconstruct.engine import run as run_recipe
        from pipeline.reconstruct.manifest import Options
        from pipeline.reconstruct.recipes import recipe as named
    chosen = named(recipe)
    mode = pii or ("strict" if "pii" in chosen.stages else "none")
    if bundle is not None:
        _warn(bundle, mode, unpublished=unpublished)
    with progress_bar(f"Rebuilding {chosen.name}", "documents") as bar:
        result = run_recipe(
            chosen,
            source,
            policy,
            out,
            bundle=bundle,
            options=Options(pii=mode, limit=limit, removed=removed, unpublished=unpublished),
            workers=workers,
            progress=bar,
        )
    if as_json:
        typer.echo(json.dumps({k: getattr(result, k) for k in result.__slots__}))
        return
    dropped = result.documents_in - result.documents_out
    typer.echo(
        f"{grouped(result.documents_in)} documents came in, {grouped(result.documents_out)} stayed, "
        f"{grouped(dropped)} opted out ({share(dropped, result.documents_in)})."
    )
    if result.replaced:
        found = ", ".join(f"{grouped(n)} {kind}" for kind, n in result.replaced.items())
        typer.echo(f"Personal data replaced: {found}.")
    if result.resumed_files:
        typer.echo(f"{result.resumed_files} of {result.files} files had been finished before.")
    typer.echo(
        f"Corpus: {out}/data   reasons: {out}/ledger   report: lethe reconstruct report {out}"
    )


def _warn(bundle: Path, mode: str, *, unpublished: bool) -> None:
    """Say on standard error what must be known of a bundle and of a corpus made with it."""
    with corpus_extra():
        from pipeline.reconstruct.pii.listed import ListedPhrases
    opened = ListedPhrases.open(bundle)
    said = []
    if opened.is_testing:
        said.append("This bundle has cheap hashes: it is for tests and hides nobody.")
    if opened.freshness == "expiring":
        said.append(f"This bundle expires on {opened.valid_until}.")
    if opened.freshness == "expired":
        said.append(f"This bundle EXPIRED on {opened.valid_until}: get a newer release.")
    if unpublished:
        said.append("Listed names are removed, too: what comes out must not be published.")
    elif mode == "none":
        said.append(
            "Nothing but listed phrases is replaced, so every marker gives one away: what comes out "
            "must not be published."
        )
    for sentence in said:
        typer.secho(sentence, fg="yellow", err=True)


@app.command()
def report(
    corpus: Annotated[str, typer.Argument(help="Output folder of `lethe reconstruct run`.")],
    format: Annotated[str, typer.Option(help="html, md or json.")] = "html",  # noqa: A002
    out: Annotated[Path | None, typer.Option(help="File to write; standard output.")] = None,
) -> None:
    """Report what was kept and lost, by language, signal and site.

    Example:

    lethe reconstruct report rebuilt/ --format html --out report.html
    """
    with corpus_extra():
        from pipeline.atomic import replacing
        from pipeline.reconstruct.report import report as render
    if format not in {"html", "md", "json"}:
        raise InputError(f"There is no report format {format!r}: use html, md or json.")
    text = render(corpus, format)
    if out is None:
        typer.echo(text)
        return
    try:
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror}): choose another file for --out."
        ) from None
    typer.echo(f"{out}: {len(text.encode()) / 1024:.0f} kB", err=True)
