"""``lethe reconstruct list``, ``show``, ``plan``, ``prepare`` and ``megatron``: around the runs of recipes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filter.errors import InputError
from lethe.console import corpus_extra, grouped, progress_bar
from lethe.mixture import plan
from lethe.selection import needed

if TYPE_CHECKING:
    from pipeline.reconstruct.recipes import Recipe

_WIDTH = 100
_SHOWN = ("text", "id", "url", "language", "tokens")

prepare = typer.Typer(
    help="Turn a dataset that is no table of documents into one.", no_args_is_help=True
)


def list_recipes(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the recipes: name, stages, dataset.

    Example:

    lethe reconstruct list
    """
    with corpus_extra():
        from pipeline.reconstruct.recipes import recipes
    if as_json:
        typer.echo(json.dumps([r.described() for r in recipes().values()], indent=1))
        return
    rows = [(r.name, ", ".join(r.stages) or "-", r) for r in recipes().values()]
    names, stages = (max(len(str(row[at])) for row in rows) for at in (0, 1))
    room = _WIDTH - names - stages - 4
    for name, done, r in rows:
        dataset = next(
            (d for d in (_at(r), r.dataset) if len(d) <= room), r.dataset[: room - 1] + "…"
        )
        typer.echo(f"{name:<{names}}  {done:<{stages}}  {dataset}")


def show(
    recipe: Annotated[str, typer.Argument(help="A name from `lethe reconstruct list`.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Explain a recipe: its dataset, its columns, its stages, and what upstream does.

    Example:

    lethe reconstruct show fineweb
    """
    with corpus_extra():
        from pipeline.reconstruct.recipes import recipe as named
    r = named(recipe)
    if as_json:
        typer.echo(json.dumps(r.described(), indent=1))
        return
    rows = {
        "dataset": _at(r),
        "homepage": r.homepage,
        "license": r.license,
        "stages": " -> ".join(r.stages) or "none: opt-outs that name documents or the dataset",
    }
    for stage, settings in r.settings.items():
        told = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
        rows[f"  {stage}"] = ", ".join(told)
    for role in _SHOWN:
        candidates = getattr(r, role)
        rows[role] = candidates if role == "text" else " or ".join(candidates) or "none"
    if r.unaltered:
        rows["note"] = "the texts must stay as they are: nothing is scrubbed from them"
    rows |= needed(r)
    rows["upstream"] = r.upstream
    typer.echo(r.title)
    for name, value in rows.items():
        lines = textwrap.wrap(value, _WIDTH - 13, break_long_words=False, break_on_hyphens=False)
        typer.echo(f"  {name:<11}" + ("\n" + " " * 13).join(lines))


@prepare.command("paradocs")
def prepare_paradocs(
    source: Annotated[
        Path, typer.Option("--input", help="The folder 'data' of jhu-clsp/paradocs.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the Parquet files.")],
    frequency: Annotated[
        int, typer.Option(help="Lines that occur more often break a document.")
    ] = 3,
    confidence: Annotated[
        float, typer.Option(help="Lines whose language is less certain break a document.")
    ] = 0.5,
    longest: Annotated[int, typer.Option(help="Characters of a document, at most.")] = 4096,
    strict: Annotated[float, typer.Option(help="Share kept of strictly filtered files.")] = 1.0,
    paracrawl: Annotated[
        float, typer.Option(help="Share kept of all/paracrawl, where nothing is strict.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(help="Of the draw that takes a share.")] = 42,
) -> None:
    """Join sentence pairs of ParaDocs to documents in both directions, for the recipe paradocs.

    Example:

    lethe reconstruct prepare paradocs --input paradocs/data --out prepared/
    """
    with corpus_extra():
        from pipeline.reconstruct import paradocs
    settings = paradocs.Settings(frequency, confidence, longest, strict, paracrawl, seed)
    with progress_bar("Preparing ParaDocs", "octets") as bar:
        count = paradocs.prepare(source, out, settings, bar)
    typer.echo(
        f"{grouped(count)} documents: lethe reconstruct run paradocs --input {out} --policy ... --out ..."
    )


def megatron(
    corpus: Annotated[str, typer.Argument(help="Output folder of `lethe reconstruct run`.")],
    tokenizer: Annotated[Path, typer.Option(help="A tokenizer.json of the tokenizers library.")],
    out: Annotated[Path, typer.Option(help="Folder for the .bin and .idx files.")],
    eos: Annotated[
        str | None,
        typer.Option(help="Token behind every document; the tokenizer's </s> or the like."),
    ] = None,
    bos: Annotated[str | None, typer.Option(help="Token before every document, if any.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tokenise a corpus for Megatron-LM. Interrupted, the same command goes on where it was.

    Example:

    lethe reconstruct megatron rebuilt/ --tokenizer tokenizer.json --out tokens/ --workers 4
    """
    with corpus_extra():
        from pipeline.reconstruct.megatron import tokenize
    with progress_bar("Tokenising", "documents") as bar:
        result = tokenize(corpus, tokenizer, out, eos=eos, bos=bos, workers=workers, progress=bar)
    if as_json:
        typer.echo(json.dumps({k: getattr(result, k) for k in result.__slots__}))
        return
    typer.echo(
        f"{grouped(result.tokens)} tokens of {grouped(result.documents)} documents in "
        f"{result.files} pairs of files."
    )
    if result.empty:
        typer.echo(f"{grouped(result.empty)} documents without text were left out.")
    if result.resumed_files:
        typer.echo(f"{result.resumed_files} of {result.files} pairs had been finished before.")
    if result.unpublished:
        typer.secho(
            "Listed names were removed from this corpus: neither it nor these files may be published.",
            fg="yellow",
            err=True,
        )


def register(app: typer.Typer) -> None:
    """Add these commands to those of ``lethe reconstruct``."""
    app.command("list")(list_recipes)
    app.command()(show)
    app.command()(plan)
    app.command()(megatron)
    app.add_typer(prepare, name="prepare")


def with_least_class(recipe: Recipe, least: int | None) -> Recipe:
    """The recipe with the least quality class that was asked for, if one was."""
    if least is None:
        return recipe
    if "class" not in recipe.stages:
        raise InputError(f"Recipe {recipe.name} has no quality classes: leave out --min-class.")
    return recipe.changed("class", min_class=least)


def _at(recipe: Recipe) -> str:
    return f"{recipe.dataset} @ {recipe.revision}"
