"""Choosing documents by quality, toxicity and lot: options of ``lethe reconstruct run`` and more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filter.errors import InputError
from lethe.console import corpus_extra, extra, grouped, progress_bar

if TYPE_CHECKING:
    from pipeline.reconstruct.recipes import Recipe

QualityHead = Annotated[
    Path | None,
    typer.Option(help="Head for the stage quality: a file, or a folder with one per language."),
]
ToxicityHead = Annotated[
    Path | None,
    typer.Option(help="Head for the stage toxicity: a file, or a folder with one per language."),
]
Keep = Annotated[
    float | None, typer.Option(help="Share of the documents that quality keeps; the recipe's.")
]
DropToxic = Annotated[
    float | None,
    typer.Option(help="Share of the documents that toxicity drops, in place of fixed thresholds."),
]
Thresholds = Annotated[
    str | None,
    typer.Option(help="Corpus (or its manifest) whose estimated thresholds are taken over."),
]
DropEmbeddings = Annotated[
    bool,
    typer.Option("--drop-embeddings", help="Leave the vectors out, from which texts can be told."),
]
Device = Annotated[str, typer.Option(help="Where models compute: auto, cpu or cuda.")]

head = typer.Typer(help="Heads: classifiers over the vectors of documents.", no_args_is_help=True)
_SELECTING = ("class", "quality", "toxicity", "sample")


def with_shares(recipe: Recipe, keep: float | None, drop_toxic: float | None) -> Recipe:
    """The recipe with other shares for its stages.

    Raises:
        UnknownName: it has no such stage.
    """
    if keep is not None:
        recipe = recipe.changed("quality", keep=keep)
    return recipe if drop_toxic is None else recipe.changed("toxicity", drop=drop_toxic)


def gone(recipe: Recipe) -> str:
    """What became of the documents that did not stay."""
    selects = any(stage in recipe.stages for stage in _SELECTING)
    return "opted out or were not selected" if selects else "opted out"


def needed(recipe: Recipe) -> dict[str, str]:
    """What a recipe needs beside its dataset, for ``show``."""
    heads = [stage for stage in ("quality", "toxicity") if stage in recipe.stages]
    if not heads:
        return {}
    given = " and ".join(f"--{stage}-head" for stage in heads)
    return {"needs": f"a column 'embeddings' (lethe reconstruct embed adds it), and {given}"}


@head.command("import")
def import_head(
    source: Annotated[Path, typer.Argument(help="What torch.save(model.state_dict(), ...) wrote.")],
    out: Annotated[Path, typer.Option(help="Head file to write (safetensors).")],
    kind: Annotated[str, typer.Option(help="quality or toxicity.")],
    vectors: Annotated[
        str, typer.Option(help="Score of a document: that of its first vector, or the mean or max.")
    ],
    output: Annotated[
        str, typer.Option(help="sigmoid (of one number) or softmax (of two).")
    ] = "sigmoid",
    positive: Annotated[
        int, typer.Option(help="With softmax: which number speaks for the kind.")
    ] = 1,
    language: Annotated[
        list[str] | None, typer.Option(help="Such as deu_Latn; several times; any without.")
    ] = None,
) -> None:
    """Make a head of the weights of a multilayer perceptron with ReLU between its layers.

    Example:

    lethe reconstruct head import quality.pt --out quality.safetensors --kind quality --vectors first
    """
    with extra("heads"):
        from pipeline.reconstruct.head_file import write_head
        from pipeline.reconstruct.head_import import imported
        from pipeline.reconstruct.heads import HeadSpec
    spec = HeadSpec(kind, output, vectors, positive, tuple(sorted(set(language or ()))))
    made = imported(source, spec)
    try:
        write_head(made, out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror}): choose another file for --out."
        ) from None
    typer.echo(f"{out}: a head for {kind} over vectors of {made.dimension} numbers.")


def embed(
    source: Annotated[
        str, typer.Option("--input", help="Parquet file or folder: a path, hf://..., s3://...")
    ],
    encoder: Annotated[Path, typer.Option(help="Folder of a text encoder (transformers).")],
    out: Annotated[str, typer.Option(help="Folder (or URL) for the same files with vectors.")],
    text: Annotated[str, typer.Option(help="Column with the texts.")] = "text",
    batch: Annotated[int, typer.Option(min=1, help="Pieces of text computed at a time.")] = 32,
    device: Device = "auto",
) -> None:
    """Add the column 'embeddings': a vector for each piece of a text. Interrupted, it goes on.

    Example:

    lethe reconstruct embed --input corpus/ --encoder xlm-roberta-base/ --out embedded/
    """
    with corpus_extra(), extra("embed"):
        from pipeline.reconstruct.embed import embed as embed_corpus
    with progress_bar("Embedding", "documents") as bar:
        done = embed_corpus(
            source, encoder, out, text=text, batch=batch, device=device, progress=bar
        )
    typer.echo(
        f"{grouped(done.documents)} documents in {done.files} files, {grouped(done.vectors)} vectors "
        f"added; {done.resumed_files} files had been finished before."
    )
