"""What can be shown of a rebuilt corpus afterwards: ``report``, ``verify``, ``provenance``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filter.errors import InputError
from lethe.console import corpus_extra, grouped, printable, progress_bar

if TYPE_CHECKING:
    from pipeline.reconstruct.report.ai_act import Rendered

_FORMATS = ("html", "md", "json", "ai-act", "ai-act-html")


def report(
    corpora: Annotated[
        list[str] | None,
        typer.Argument(help="Output folder of `lethe reconstruct run`; for ai-act, several."),
    ] = None,
    format: Annotated[  # noqa: A002  (the option's own name)
        str | None, typer.Option(help="html, md, json, ai-act or ai-act-html; html.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output.")] = None,
    declared: Annotated[
        Path | None, typer.Option(help="With ai-act: what you declare as the provider (TOML).")
    ] = None,
    domains: Annotated[
        Path | None,
        typer.Option(help="With ai-act: file for the domain names (CSV); beside --out."),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="With ai-act: list what small providers have to.")
    ] = False,
    declared_example: Annotated[
        bool, typer.Option("--declared-example", help="Print a file for --declared, and end.")
    ] = False,
) -> None:
    """Report what was kept and lost, by language, signal and site; or summarise it for the AI Act.

    Examples:

    lethe reconstruct report rebuilt/ --format html --out report.html

    lethe reconstruct report rebuilt/ --format ai-act-html --declared provider.toml --out summary.html
    """
    with corpus_extra():
        from pipeline.reconstruct.report import report as render
        from pipeline.reconstruct.report.ai_act.declared import example
    if declared_example:
        typer.echo(example(), nl=False)
        return
    chosen = format or "html"
    if chosen not in _FORMATS:
        raise InputError(f"There is no report format {chosen!r}: use {', '.join(_FORMATS)}.")
    if not corpora:
        raise InputError("Give the output folder of `lethe reconstruct run`.")
    if chosen.startswith("ai-act"):
        _training_summary(corpora, chosen, out, declared, domains, small=small)
        return
    if declared is not None or domains is not None or small:
        raise InputError("--declared, --domains and --small belong to --format ai-act.")
    if len(corpora) > 1:
        raise InputError(f"A report with --format {chosen} is about one corpus: give one folder.")
    _write(render(corpora[0], chosen), out)


def _training_summary(
    corpora: list[str],
    form: str,
    out: Path | None,
    declared: Path | None,
    domains: Path | None,
    *,
    small: bool,
) -> None:
    from pipeline.reconstruct.report import ai_act
    from pipeline.reconstruct.report.ai_act.declared import NOTHING_DECLARED, read
    from pipeline.reconstruct.report.ai_act.domains import TOP, TOP_OF_SMALL

    if out is not None and out.suffix == ".html":
        form = "ai-act-html"
    if domains is None and out is not None:
        domains = out.with_name(f"{out.stem}-domains.csv")
    if domains is not None and domains == out:
        raise InputError("--domains and --out are one file: give --domains another name.")
    made: Rendered = ai_act.training_summary(
        corpora,
        form,
        declared=NOTHING_DECLARED if declared is None else read(declared),
        share=TOP_OF_SMALL if small else TOP,
        domains_file=None if domains is None else domains.name,
    )
    if domains is not None:
        _write(made.domains.as_csv(), domains)
    _write(made.text, out)
    if made.missing:
        typer.echo(
            f"{grouped(len(made.missing))} entries are still to be completed: see the end of the "
            "document, and --declared-example.",
            err=True,
        )


def verify(
    corpus: Annotated[str, typer.Argument(help="Output folder of `lethe reconstruct run`.")],
    source: Annotated[
        str | None, typer.Option("--input", help="Compare with the input that it was made from.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Decide every row of the ledger again under this policy.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Make it again from --input and --policy, and compare.")
    ] = False,
    files: Annotated[
        int | None, typer.Option(min=1, help="With --deep: only so many files, drawn by lot.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="With --deep: the bundle of the run.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="With --deep: processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check that a corpus is what its manifest, states and provenance say. Exit code 1: it is not.

    Examples:

    lethe reconstruct verify rebuilt/

    lethe reconstruct verify rebuilt/ --policy policy.parquet --input corpus/ --deep
    """
    with corpus_extra():
        from pipeline.reconstruct.verify import Against
        from pipeline.reconstruct.verify import verify as check
    if not deep and (files is not None or bundle is not None):
        raise InputError("--files and --bundle belong to --deep.")
    against = Against(policy, source, deep, files, bundle, workers)
    wrong = 0
    with progress_bar("Verifying", "files") as bar:
        for found in check(corpus, against, bar):
            wrong += not found.ok
            if as_json:
                typer.echo(json.dumps(asdict(found)))
                continue
            for sentence in found.said:
                mark = (
                    typer.style("ok   ", fg="green") if found.ok else typer.style("WRONG", fg="red")
                )
                typer.echo(f"{mark}  {found.check:<14}  {printable(sentence)}")
    if wrong:
        raise typer.Exit(1)


def provenance(
    corpus: Annotated[str, typer.Argument(help="Output folder of `lethe reconstruct run`.")],
    source: Annotated[
        str | None, typer.Option("--input", help="With --hash-inputs: the input of the run.")
    ] = None,
    hash_inputs: Annotated[
        bool, typer.Option("--hash-inputs", help="Add SHA-256 of every input file; reads all.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output.")] = None,
) -> None:
    """Print where a corpus comes from (in-toto statement, SLSA provenance).

    Example:

    lethe reconstruct provenance rebuilt/ --input corpus/ --hash-inputs --out provenance.json
    """
    with corpus_extra():
        from pipeline.errors import UnreadableFile
        from pipeline.reconstruct.folder import Folder, inputs
        from pipeline.reconstruct.provenance import NAME, text, with_input_hashes
    said = Folder(corpus).read_json(NAME)
    if said is None:
        raise UnreadableFile(
            f"{corpus} holds no {NAME}: run the same command again, which writes it."
        )
    if hash_inputs != (source is not None):
        raise InputError("--input and --hash-inputs belong together: give both.")
    if source is not None:
        folder, files = inputs(source, lambda _schema, _name: None)
        said = with_input_hashes(said, folder, files)
    _write(text(said).rstrip("\n") if out is None else text(said), out)


def _write(text: str, out: Path | None) -> None:
    from pipeline.atomic import replacing

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
