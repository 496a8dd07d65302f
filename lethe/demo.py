"""``lethe demo``: the whole story on the built-in sample."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from filter.errors import InputError, MissingExtra
from lethe import demo_gate, demo_registry, demo_takedown
from lethe.console import corpus_extra, grouped, progress_bar, share

AS_OF = "2026-07-01"
BEFORE = "2025-03-01"
"""Two days: between them, sites of the sample changed their minds."""


def sample_folder() -> Path:
    """The built-in sample: inside an installed package, or in the checkout.

    Raises:
        InputError: neither is there.
    """
    package = Path(__file__).parent
    for folder in (package / "sample", package.parent / "examples" / "sample"):
        if (folder / "corpus").is_dir():
            return folder
    raise InputError("The built-in sample is not installed: run the demo from a checkout of Lethe.")


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder to work in; one of an earlier demo is replaced.")
    ] = Path("demo-out"),
) -> None:
    """Tell the whole story on the built-in sample, under a minute.

    Example:

    lethe demo --out demo-out
    """
    with corpus_extra():
        from pipeline.reconstruct.engine import run
        from pipeline.reconstruct.report import report
    sample = sample_folder()
    _emptied(out)
    policies = {day: _policy(sample, out, day) for day in (BEFORE, AS_OF)}
    corpus = out / "rebuilt"
    with progress_bar("Rebuilding", "documents") as bar:
        result = run("fineweb", sample / "corpus", policies[AS_OF], corpus, progress=bar)
    dropped = result.documents_in - result.documents_out
    typer.secho(
        f"\n{grouped(result.documents_in)} documents came in, {grouped(result.documents_out)} stayed: "
        f"{grouped(dropped)} opted out ({share(dropped, result.documents_in)}).",
        bold=True,
    )
    _by_signal(corpus)
    replaced = ", ".join(f"{n} {kind}" for kind, n in result.replaced.items())
    typer.echo(f"\nPersonal data replaced in what stayed: {replaced}.")
    typer.secho("\nThree verdicts, explained", bold=True)
    _three_verdicts(policies[AS_OF], policies[BEFORE])
    newest = _policy(sample, out, demo_takedown.DAY, demo_takedown.ask(out))
    demo_takedown.tell(corpus, sample / "corpus", newest)
    # Only now, so that it is about the corpus as it is left.
    html = out / "report.html"
    html.write_text(report(corpus, "html"), encoding="utf-8")
    _people(out)
    typer.secho("\nWhere to look", bold=True)
    typer.echo(f"  {html}   the report after the takedown, to be opened in a browser")
    typer.echo(
        f"  {corpus}/data   the corpus: datasets.load_dataset('parquet', data_dir='{corpus}/data')"
    )
    typer.echo(
        f"  {corpus}/ledger   one row a document: verdict, signal, agents, rule, line, source"
    )
    typer.echo(f"  {corpus}/takedowns   the certificate: what went, and SHA-256 before and after")
    if (out / "registry").is_dir():
        typer.echo(
            f"  lethe registry serve --folder {out / 'registry'}   the registry, with its pages"
        )
    typer.echo(f"  lethe optout check --policy {newest} URL   why a page stays or goes")


def _policy(sample: Path, out: Path, day: str, *more: Path) -> Path:
    """The policy as of a day; ``more`` are opt-out lists beside that of the sample."""
    with corpus_extra():
        from datetime import date

        from pipeline.optout.agents import resolve
        from pipeline.optout.compile import PolicyCompiler
        from pipeline.optout.spec import named
    policy = out / f"policy-{day}.parquet"
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date.fromisoformat(day))
    compiler.add_snapshot(sample / "robots.parquet")
    for optouts in (sample / "optouts.jsonl", *more):
        compiler.add_optouts(optouts)
    compiler.add_tags(sample / "tags.parquet", policy)
    compiler.finish(policy)
    return policy


def _people(out: Path) -> None:
    """What a model knows of a person, her request, and what the model tells then."""
    model = None
    try:
        model = demo_gate.recite()
    except MissingExtra as error:
        typer.echo(f"\nThe part about what a model says is left out. {error}")
    try:
        bundle = demo_registry.tell(out)
    except MissingExtra as error:
        typer.echo(f"\nThe half about people's requests is left out. {error}")
        return
    if model is not None:
        demo_gate.ask_again(model, bundle)


def _emptied(out: Path) -> None:
    """An empty folder; only what an earlier demo left is removed.

    Raises:
        InputError: the folder holds something else.
    """
    known = {"rebuilt", "report.html", "registry", "operator", demo_takedown.LIST}
    if out.is_dir() and any(p.name not in known and "policy-" not in p.name for p in out.iterdir()):
        raise InputError(f"{out} holds other files: choose another folder with --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def _by_signal(corpus: Path) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = [
        pq.read_table(p, columns=["signal"]) for p in sorted((corpus / "ledger").rglob("*.parquet"))
    ]
    counts: dict[str, int] = {}
    for table in tables:
        for row in pc.value_counts(table["signal"].drop_null().cast("string")).to_pylist():
            counts[row["values"]] = counts.get(row["values"], 0) + row["counts"]
    widest = max(counts.values(), default=1)
    for signal, count in sorted(counts.items(), key=lambda item: -item[1]):
        typer.echo(f"  {signal:<16}{count:>5}  {'█' * max(1, round(30 * count / widest))}")


def _three_verdicts(now: Path, before: Path) -> None:
    """A spelling that used to slip through, a newer signal, and a site that changed its mind."""
    from pipeline.optout.check import explain

    questions = (
        ("upper case and a port do not hide a site", now, "https://EX.example:443/stamps/alps"),
        (
            "robots.txt says Allow: /, and the line beside it says no",
            now,
            "https://saveurs-et-savoirs.example/redaction",
        ),
        (f"as of {BEFORE}", before, "https://boardgame-table.example/rules"),
        (f"as of {AS_OF}, the crawl being years old", now, "https://boardgame-table.example/rules"),
    )
    for title, policy, url in questions:
        row = next(explain(policy, [url]))
        colour = "red" if row["verdict"] == "drop" else "green"
        typer.echo(f"  {typer.style(row['verdict'], fg=colour, bold=True)}  {url}\n        {title}")
        if row["rule"]:
            where = f"line {row['line']} of " if row["line"] else ""
            digest = f", sha256 {row['source_hash'][:12]}" if row["source_hash"] else ""
            agents = f" for {', '.join(row['agents'][:3])}" if row["agents"] else ""
            more = f" and {len(row['agents']) - 3} more" if len(row["agents"]) > 3 else ""
            typer.echo(
                f"        {row['signal']}: “{row['rule']}”{agents}{more} "
                f"({where}{row['source']}{digest}, {row['source_date'] or 'no date'})"
            )
