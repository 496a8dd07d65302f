"""``lethe bundle``: releases are downloaded and verified."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from filter.errors import InputError
from lethe.console import extra, printable

app = typer.Typer(help="Download releases of the output filter, verified.", no_args_is_help=True)

KEY = "LETHE_OPERATOR_KEY"


@app.callback()
def _group() -> None:
    pass


@app.command()
def get(
    url: Annotated[str, typer.Argument(help="Where releases are published: https://.../releases.")],
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder for the file; its name never changes.")
    ] = Path(),
    audience: Annotated[
        str, typer.Option(help="public, or operators, which needs a key.")
    ] = "public",
    root: Annotated[
        Path | None,
        typer.Option(
            help="The publisher's root.json, got by a way you trust; needed the first time."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help=f"File with an operator's key; the variable {KEY} by default."),
    ] = None,
    redirect_host: Annotated[
        list[str] | None,
        typer.Option(help="Another host that the publisher's may send large files from."),
    ] = None,
    allow_testing: Annotated[
        bool, typer.Option("--allow-testing", help="Take a file that hides nobody, for tests.")
    ] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow http to another machine.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was got as JSON.")] = False,
) -> None:
    """Download the newest release and verify who published it, that it is whole, new and not expired.

    Repeat it from cron: the file is replaced whole, and only by a newer release. The exit code is 0 while
    the file in the folder may be used.

    Example:

    lethe bundle get https://registry.example/releases --dir /var/lib/lethe --root root.json
    """
    with extra("client"):
        from filter_service.client import get as fetch
    fetched = fetch(
        url,
        directory,
        audience=audience,
        root=_read(root),
        key=_key(key),
        allow_testing=allow_testing,
        insecure_http=insecure_http,
        redirect_hosts=redirect_host or (),
    )
    for warning in fetched.warnings:
        typer.echo(f"lethe: warning: {printable(str(warning))}", err=True)
    about = {
        "path": str(fetched.path),
        "release": fetched.release,
        "valid_until": str(fetched.valid_until),
        "warnings": [str(warning) for warning in fetched.warnings],
    }
    if as_json:
        typer.echo(json.dumps(about))
    else:
        typer.echo(f"{fetched.path}: release {fetched.release}, valid until {fetched.valid_until}")


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name another file.") from None


def _key(path: Path | None) -> str | None:
    octets = _read(path)
    if octets is None:
        return os.environ.get(KEY)
    try:
        return octets.decode("ascii").strip()
    except UnicodeDecodeError:
        raise InputError(f"{path} holds no key: name the file that you saved it in.") from None
