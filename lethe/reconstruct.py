"""``lethe reconstruct``: a corpus is rebuilt with its opt-outs, and reported on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lethe import differences, evidence, executor_options, recipes, selection
from lethe import takedown as takedowns
from lethe.console import corpus_extra, grouped, progress_bar, share
from lethe.warned import warn, warn_of

app = typer.Typer(
    help="Rebuild a corpus with its opt-outs, and report on it.", no_args_is_help=True
)


recipes.register(app)


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
    min_class: Annotated[
        int | None,
        typer.Option(
            "--min-class", help="Keep quality classes from this on, 0 to 4 (recipes of code)."
        ),
    ] = None,
    quality_head: selection.QualityHead = None,
    toxicity_head: selection.ToxicityHead = None,
    keep: selection.Keep = None,
    drop_toxic: selection.DropToxic = None,
    thresholds: selection.Thresholds = None,
    drop_embeddings: selection.DropEmbeddings = False,
    device: selection.Device = "auto",
    executor: executor_options.Executor = "local",
    ray_address: executor_options.RayAddress = None,
    slurm_partition: executor_options.SlurmPartition = None,
    slurm_time: executor_options.SlurmTime = None,
    slurm_cpus: executor_options.SlurmCpus = None,
    slurm_mem_per_cpu_gb: executor_options.SlurmMemory = None,
    slurm_env_command: executor_options.SlurmEnvironment = None,
    slurm: executor_options.SlurmMore = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Rebuild a corpus under a policy. Interrupted, the same command goes on where it was.

    Examples:

    lethe reconstruct run fineweb --input corpus/ --policy policy.parquet --out rebuilt/ --workers 4

    lethe reconstruct run fineweb --input /shared/corpus --policy /shared/policy.parquet --out /shared/rebuilt
    --executor slurm --workers 64 --slurm account=nlp
    """
    with corpus_extra():
        from pipeline.reconstruct.engine import run as run_recipe
        from pipeline.reconstruct.manifest import Options
        from pipeline.reconstruct.recipes import recipe as named
    chosen = recipes.with_least_class(named(recipe), min_class)
    chosen = selection.with_shares(chosen, keep, drop_toxic)
    where = executor_options.chosen(
        executor,
        ray_address,
        slurm_partition,
        slurm_time,
        slurm_cpus,
        slurm_mem_per_cpu_gb,
        slurm_env_command,
        slurm,
    )
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
            options=Options(
                pii=mode,
                limit=limit,
                removed=removed,
                unpublished=unpublished,
                quality_head=quality_head,
                toxicity_head=toxicity_head,
                thresholds=thresholds,
                drop_embeddings=drop_embeddings,
                device=device,
            ),
            workers=workers,
            progress=bar,
            executor=where,
        )
    if as_json:
        typer.echo(json.dumps({k: getattr(result, k) for k in result.__slots__}))
        return
    if result.jobs:
        typer.echo(executor_options.told(result))
        return
    dropped = result.documents_in - result.documents_out
    typer.echo(
        f"{grouped(result.documents_in)} documents came in, {grouped(result.documents_out)} stayed, "
        f"{grouped(dropped)} {selection.gone(chosen)} ({share(dropped, result.documents_in)})."
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
    warn_of(bundle)
    if unpublished:
        warn("Listed names are removed, too: what comes out must not be published.")
    elif mode == "none":
        warn(
            "Nothing but listed phrases is replaced, so every marker gives one away: what comes out "
            "must not be published."
        )


app.add_typer(selection.head, name="head")
app.command()(selection.embed)
app.command()(evidence.report)
app.command()(evidence.verify)
app.command()(evidence.provenance)
app.command()(differences.diff)
app.command()(takedowns.takedown)
