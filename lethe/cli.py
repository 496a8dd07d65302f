"""The command line as a whole: its groups, and how errors leave it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from filter.errors import LetheError
from lethe import __version__, bundle, gate, optout, output_filter, reconstruct, registry
from lethe.console import printable
from lethe.demo import demo
from pipeline.collection import rare_collection

app = typer.Typer(
    name="lethe",
    help="Rebuild a pretraining corpus so that every opt-out in it is respected, and keep what "
    "people had deleted out of what a model says.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(optout.app, name="optout")
app.add_typer(reconstruct.app, name="reconstruct")
app.add_typer(output_filter.app, name="filter")
app.add_typer(registry.app, name="registry")
app.add_typer(bundle.app, name="bundle")
app.add_typer(gate.app, name="gate")
app.command()(demo)
app.command()(output_filter.selftest)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"lethe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; what is wrong with the input becomes one sentence and exit code 2."""
    try:
        with rare_collection():
            app()
    except LetheError as error:
        typer.echo(f"lethe: {printable(str(error))}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more at exit.
        sys.stdout = None
        sys.exit(0)
