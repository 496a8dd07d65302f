"""``lethe registry``: requests are taken, reviewed, compiled, published. Its keeper's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from filter.errors import InputError
from lethe.console import extra, printable

app = typer.Typer(
    help="Take deletion requests, review them, publish signed releases.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Option("--folder", help="The registry's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Release = Annotated[str | None, typer.Option(help="Year, half-year and patch: 2026.2.0.")]
DEFAULT = Path("registry")


def _run(folder: Path, as_json: bool, command: str, **arguments: object) -> dict[str, Any]:
    """Run a command, in the serving process if there is one, and print its answer."""
    with extra("service"):
        from filter_service.commands import run
    given = {name: value for name, value in arguments.items() if value is not None}
    answer = run(folder, command, **given)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        for name, value in answer.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                for row in value:
                    typer.echo("  ".join(printable(f"{k}={v}") for k, v in row.items()))
                continue
            shown = json.dumps(value) if isinstance(value, dict | list) else str(value)
            typer.echo(f"{name.replace('_', ' '):<24} {printable(shown)}")
    return answer


def _absolute(path: Path | None) -> str | None:
    """Paths mean the same to the serving process, which stands in another folder."""
    return None if path is None else str(path.absolute())


@app.command()
def serve(
    folder: Folder = DEFAULT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve the pages, the REST interface and the releases. Makes a development set-up in an empty folder.

    Example:

    lethe registry serve --folder registry
    """
    with extra("service"):
        from filter_service.serving import serve as run

    def says(text: str) -> None:
        typer.echo(text, err=True)

    run(folder, host, port, says)


@app.command()
def compile(  # noqa: A001  (the name of the command)
    folder: Folder = DEFAULT,
    release: Release = None,
    urgent: Annotated[
        str, typer.Option(help="Why a patch must come early or for few persons; written down.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Compile what is accepted into the files of a release.

    Example:

    lethe registry compile --release 2026.2.0
    """
    _run(folder, as_json, "compile", release=release, urgent=urgent)


@app.command()
def publish(
    folder: Folder = DEFAULT,
    release: Release = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(help="Folders of at least two custodians; a development set-up has its own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a compiled release, publish it, and tell everybody whom it concerns.

    Example:

    lethe registry publish --keys /media/custodian-1 --keys /media/custodian-2
    """
    _run(folder, as_json, "publish", release=release, keys=[_absolute(one) for one in keys or ()])


@app.command()
def prepare(
    out: Annotated[Path, typer.Option(help="Folder to write what is to be signed into.")],
    folder: Folder = DEFAULT,
    release: Release = None,
    as_json: Json = False,
) -> None:
    """Write a compiled release down for custodians to sign on another machine.

    Example:

    lethe registry prepare --out /media/stick/2026.2.0
    """
    _run(folder, as_json, "prepare", out=_absolute(out), release=release)


@app.command()
def sign(
    proposal: Annotated[Path, typer.Argument(help="The folder that prepare wrote.")],
    key: Annotated[Path, typer.Option(help="A custodian's targets key (PEM).")],
) -> None:
    """Add a custodian's signature. Needs no registry and no network.

    Example:

    lethe registry sign /media/stick/2026.2.0 --key targets-1.pem
    """
    with extra("service"):
        from filter_service.publication import sign as add
    for audience, summary in add(proposal, key).items():
        typer.echo(f"{audience}: {printable(summary)}")


@app.command()
def finish(
    proposal: Annotated[Path, typer.Argument(help="The folder with the signatures.")],
    folder: Folder = DEFAULT,
    release: Release = None,
    as_json: Json = False,
) -> None:
    """Publish what custodians have signed.

    Example:

    lethe registry finish /media/stick/2026.2.0
    """
    _run(folder, as_json, "finish", proposal=_absolute(proposal), release=release)


@app.command()
def create_repository(
    folder: Folder = DEFAULT,
    root: Annotated[
        Path | None, typer.Option(help="A signed root.json, made elsewhere by make-root.")
    ] = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(help="Or folders with all public keys and two private root keys."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the repositories that releases are published in; once.

    Example:

    lethe registry create-repository --root /media/stick/root.json
    """
    if root is not None and not root.is_file():
        raise InputError(f"{root} is no file: name the root.json that make-root wrote.")
    folders = [_absolute(one) for one in keys or ()]
    _run(folder, as_json, "create-repository", keys=folders, root=_absolute(root))


@app.command()
def make_keys(
    out: Annotated[Path, typer.Argument(help="Folder for the keys.")],
    online: Annotated[
        bool, typer.Option("--online", help="The snapshot and timestamp key, for the web host.")
    ] = False,
) -> None:
    """Make signing keys: those of three custodians, on a machine without network, or the online ones.

    Set LETHE_KEY_PASSPHRASE to encrypt them. The online keys belong into keys/online of a registry.

    Example:

    lethe registry make-keys custodians/
    """
    with extra("service"):
        from filter_service.publishing import keys
    make = keys.make_online_keys if online else keys.make_offline_keys
    for path in make(out, keys.passphrase()):
        typer.echo(str(path))


@app.command()
def make_root(
    keys: Annotated[
        list[Path],
        typer.Option(help="Folders with the public halves of all keys and two private root keys."),
    ],
    out: Annotated[Path, typer.Option(help="The root.json to write.")],
) -> None:
    """Make and sign the root that clients trust; on a machine without network.

    Example:

    lethe registry make-root --keys custodian-1 --keys custodian-2 --keys public --out root.json
    """
    from datetime import UTC, datetime

    with extra("service"):
        from filter_service.publication import make_root as made
        from filter_service.publishing import files
    files.write(out, made(keys, datetime.now(UTC)))
    typer.echo(f"{out}: to be taken to the registry, and given to operators by a way they trust")


@app.command()
def refresh(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Sign the online metadata for 14 days more; serve does it every day.

    Example:

    lethe registry refresh
    """
    _run(folder, as_json, "refresh")


@app.command()
def export_optouts(
    out: Annotated[Path, typer.Option(help="The opt-out list to write (JSONL).")],
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Write what rightsholders opted out, for `lethe optout compile --optouts`.

    Example:

    lethe registry export-optouts --out optouts.jsonl
    """
    _run(folder, as_json, "export-optouts", out=_absolute(out))


@app.command()
def verify_audit(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Check the audit trail from its first entry to its last.

    Example:

    lethe registry verify-audit
    """
    _run(folder, as_json, "verify-audit")


@app.command()
def backup(
    out: Annotated[Path, typer.Option(help="Folder for the copy.")],
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Copy the database, which holds sealed records only, while it serves.

    Example:

    lethe registry backup --out /backups/registry
    """
    _run(folder, as_json, "backup", out=_absolute(out))


@app.command()
def backup_keys(
    out: Annotated[Path | None, typer.Option(help="Folder for the copy; key-backups.")] = None,
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Copy the keys. Keep such copies apart from those of the database, and no longer than 30 days.

    Example:

    lethe registry backup-keys --out /backups/keys
    """
    _run(folder, as_json, "backup-keys", out=_absolute(out))


@app.command()
def restore(
    database: Annotated[Path, typer.Option(help="A file that backup made.")],
    folder: Folder = DEFAULT,
    keys: Annotated[
        Path | None, typer.Option(help="A folder that backup-keys made; those in the folder.")
    ] = None,
    destroyed: Annotated[
        list[Path] | None, typer.Option(help="Every destroyed.log there is, the newest above all.")
    ] = None,
) -> None:
    """Put a registry together from backups; what was erased since stays erased.

    Example:

    lethe registry restore --database /backups/registry/registry-20260701T000000Z.duckdb
    """
    with extra("service"):
        from filter_service.backup import restore as put_together
        from filter_service.commands import run
        from filter_service.settings import load, master_key
    master, _ = master_key(load(folder), folder)
    erased = put_together(folder, database, keys, master, destroyed or ())
    run(folder, "note-restored", erased=erased)
    typer.echo(f"Restored; {erased} records stay erased.")


@app.command()
def retention(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Expire and erase what has had its time; serve does it every day.

    Example:

    lethe registry retention
    """
    _run(folder, as_json, "retention")


@app.command()
def withdraw(
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Take a request back for somebody who has lost the link to it, and was identified otherwise.

    Example:

    lethe registry withdraw 7b1c6a52-8e0f-4c3a-9f67-2f0f2f6b1d11
    """
    _run(folder, as_json, "withdraw", request=request)


@app.command()
def figures(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Public figures, with small counts left out.

    Example:

    lethe registry figures --json
    """
    _run(folder, as_json, "figures")


@app.command()
def status(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """What waits: requests to decide, days left, messages.

    Example:

    lethe registry status
    """
    _run(folder, as_json, "status")


@app.command()
def create_key(
    role: Annotated[str, typer.Argument(help="reviewer, machine or operator.")],
    who: Annotated[str, typer.Option(help="Whose it is; kept sealed.")],
    folder: Folder = DEFAULT,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do: submit, mandate, metrics, ...")
    ] = None,
    days: Annotated[int | None, typer.Option(help="How long it is valid.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key for a reviewer, a machine or an operator; it is shown only now.

    Example:

    lethe registry create-key reviewer --who "Data protection office"
    """
    _run(folder, as_json, "create-key", role=role, who=who, scopes=scope, days=days)


@app.command()
def keys(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """List all keys, without their secrets.

    Example:

    lethe registry keys
    """
    _run(folder, as_json, "keys")


@app.command()
def revoke_key(
    key: Annotated[str, typer.Argument(help="Id of the key.")],
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """End a key at once.

    Example:

    lethe registry revoke-key 3f2c...
    """
    _run(folder, as_json, "revoke-key", key=key)


@app.command()
def rotate_master(folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Replace the master key; records stay as they are.

    Example:

    lethe registry rotate-master
    """
    _run(folder, as_json, "rotate-master")
