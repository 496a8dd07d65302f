"""``lethe filter`` and ``lethe selftest``: bundles are built, looked at, applied, tested."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from filter.errors import InputError
from lethe.console import grouped, progress_bar
from lethe.quick import without_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filter import Bundle, OutputFilter

app = typer.Typer(
    help="Compile identifiers into a hashed filter, and apply it to text.", no_args_is_help=True
)

_CHUNK = 1 << 16


@app.command()
def build(
    entries: Annotated[Path, typer.Option(help='JSONL, a line each: {"kind": ..., "value": ...}.')],
    release: Annotated[str, typer.Option(help="Year, half-year and patch, such as 2026.2.0.")],
    out: Annotated[Path, typer.Option(help="Bundle to write, *.safetensors.")],
    audience: Annotated[
        str, typer.Option(help="public (no phrases) or operators (everything).")
    ] = "operators",
    kdf: Annotated[
        str, typer.Option(help="standard (Argon2id), or testing, which hides nothing.")
    ] = "standard",
    family: Annotated[
        str, typer.Option(help="Name of the family of releases; its hashes share a salt.")
    ] = "lethe",
    regions: Annotated[
        str, typer.Option(help="Where telephone numbers without +.. are at home: CH,DE,FR.")
    ] = "CH",
    decoys: Annotated[
        Path | None,
        typer.Option(help="File with a secret key, the same for all releases: hides exact counts."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Compile identifiers into a bundle. Kinds are named by `lethe filter build --help`.

    Kinds: email, phone, iban, ahv, credit_card, ip; and phrases: name, postal_address, handle, url, text.

    Example:

    lethe filter build --entries people.jsonl --release 2026.2.0 --out filter.safetensors
    """
    from filter import Bundle

    with progress_bar("Hashing", "identifiers and variants") as bar:
        bundle = Bundle.build(
            _entries(entries),
            release=release,
            audience=audience,
            kdf=kdf,
            family=family,
            regions=tuple(region.strip().upper() for region in regions.split(",")),
            progress=bar,
            decoys=_key(decoys),
        )
        bundle.write(out)
    report = bundle.report
    assert report is not None
    counts = {
        str(kind): {"entries": n, "stored": report.stored[kind]}
        for kind, n in report.entries.items()
        if n
    }
    if as_json:
        typer.echo(json.dumps({"kinds": counts, "left_out": report.left_out, "out": str(out)}))
    else:
        for kind, row in counts.items():
            typer.echo(f"{kind:<16}{grouped(row['entries']):>10}  stored {grouped(row['stored'])}")
        if report.left_out:
            typer.echo(f"{grouped(report.left_out)} phrases left out: a public bundle has none.")
        typer.echo(
            f"{out}: {out.stat().st_size / 1024:.0f} kB   look at it: lethe filter inspect {out}"
        )
    _warn(bundle)


@app.command()
def scan(
    bundle: Annotated[Path, typer.Option(help="A bundle from `lethe filter build`.")],
    jsonl: Annotated[
        bool, typer.Option(help='Lines {"text": ...} in; {"text": ..., "matches": [...]} out.')
    ] = False,
    policy: Annotated[str, typer.Option(help="standard, corpus or frugal.")] = "standard",
) -> None:
    """Redact standard input. Of JSON lines only "text" and a filtered "id" come out.

    Example:

    lethe filter scan --bundle filter.safetensors < answer.txt > redacted.txt
    """
    without_threads()
    from filter import OutputFilter
    from filter.policy import policy as named

    opened = _opened(bundle)
    _warn(opened)
    output_filter = OutputFilter(opened, named(policy))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    if jsonl:
        for number, line in enumerate(source, 1):
            if line.strip():
                target.write(_redacted_line(output_filter, line, number))
                target.flush()
        return
    stream = output_filter.stream()
    for text in _decoded(source):
        target.write(stream.push(text).encode("utf-8", "surrogateescape"))
        target.flush()
    target.write(stream.finish().encode("utf-8", "surrogateescape"))
    target.flush()


@app.command()
def inspect(
    bundle: Annotated[Path, typer.Argument(help="A bundle file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what a bundle says of itself, and whether its content is what was built.

    Example:

    lethe filter inspect filter.safetensors
    """
    opened = _opened(bundle)
    manifest = opened.manifest
    if as_json:
        typer.echo(json.dumps(manifest, indent=1))
        return
    kdf = manifest["kdf"]
    rows = [
        ("release", f"{opened.release} for {opened.audience}"),
        ("valid until", f"{opened.valid_until} ({opened.freshness()})"),
        (
            "hash",
            f"{kdf['algorithm']}, {kdf['memory_kib']} KiB, {kdf['passes']} passes ({kdf['name']})",
        ),
        ("family", manifest["family"]["name"]),
        ("telephones of", ", ".join(opened.regions)),
        ("normaliser", f"nv1, sha256 {manifest['normaliser']['sha256'][:12]}"),
        ("content", f"verified, sha256 {manifest['content_sha256'][:12]}"),
        ("size", f"{bundle.stat().st_size / 1024:.0f} kB"),
    ]
    for name, value in rows:
        typer.echo(f"{name:<15}{value}")
    typer.echo(
        f"\n{'kind':<15}{'entries to':>11}{'bits':>6}{'k':>8}{'holds':>10}{'strangers hit':>15}"
    )
    for kind, about in manifest["kinds"].items():
        share = about["entries"] * about["readings"] / 2 ** about["bits"]
        typer.echo(
            f"{kind:<15}{grouped(about['entries']):>11}{about['bits']:>6}{about['k']:>8}"
            f"{grouped(about['capacity']):>10}{share:>15.4%}"
        )
    if opened.audience == "operators":
        typer.echo(f"{'phrases':<15}{grouped(manifest['phrases']['entries']):>11}")
    typer.echo("\nCanaries: " + ", ".join(str(c.kind) for c in opened.canaries))
    _warn(opened)


def selftest(
    bundle: Annotated[Path | None, typer.Option(help="A bundle whose canaries are tried.")] = None,
    url: Annotated[
        str | None, typer.Option(help="A gate: its health page tries the canaries it serves with.")
    ] = None,
) -> None:
    """Are the canaries stopped? Exit code 0 if all are, 1 if one is not.

    Without options the installation itself is tested, with a bundle made on the spot.

    Example:

    lethe selftest --bundle filter.safetensors
    """
    if bundle is not None and url is not None:
        raise InputError("Test a bundle or a gate: give --bundle or --url, not both.")
    if url is not None:
        results = _health(url)
    else:
        from filter import Bundle
        from filter.selftest import probe

        if bundle is None:
            own = Bundle.build([], release="2026.2.0", kdf="testing")
        results = probe(own if bundle is None else _opened(bundle))
    for name, stopped in results.items():
        mark = typer.style("stopped", fg="green") if stopped else typer.style("LEAKED", fg="red")
        typer.echo(f"{name:<16}{mark}")
    if not results or not all(results.values()):
        typer.echo("The filter does not hold." if results else "There were no canaries.", err=True)
        raise typer.Exit(1)


def _opened(path: Path) -> Bundle:
    from filter import Bundle

    return Bundle.open(path, verify=True)


def _warn(bundle: Bundle) -> None:
    """Say on standard error what somebody should know before they rely on a bundle."""
    from filter.release import Freshness

    if bundle.is_testing:
        typer.secho(
            "This bundle has cheap hashes: it is for tests and hides nobody.", fg="yellow", err=True
        )
    freshness = bundle.freshness()
    if freshness in {Freshness.EXPIRING, Freshness.EXPIRED}:
        verb = "expires" if freshness is Freshness.EXPIRING else "EXPIRED"
        typer.secho(
            f"This bundle {verb} on {bundle.valid_until}: get a newer release.",
            fg="yellow" if freshness is Freshness.EXPIRING else "red",
            err=True,
        )


def _key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        key = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): name a key file for --decoys."
        ) from None
    if not 16 <= len(key) <= 64:
        raise InputError(f"{path} is no key for --decoys: it must hold 16 to 64 random octets.")
    return key


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and value of every line; errors name lines, never values."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}, line {number}"
                row = _json_object(line, where)
                kind, value = row.get("kind"), row.get("value")
                if not isinstance(kind, str) or not isinstance(value, str):
                    raise InputError(f'{where}: write {{"kind": "email", "value": "..."}}.')
                yield kind, value
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): name a JSONL file for --entries."
        ) from None


def _json_object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise InputError(f"{where} is no JSON object: write one object a line, in UTF-8.")
    return row


def _redacted_line(output_filter: OutputFilter, line: bytes, number: int) -> bytes:
    row = _json_object(line, f"Line {number}")
    text = row.get("text")
    if not isinstance(text, str):
        raise InputError(f'Line {number} has no "text": write {{"text": "..."}}.')
    redaction = output_filter.redact(text)
    found: dict[str, Any] = {}
    if isinstance(row.get("id"), str):
        found["id"] = output_filter.redact(row["id"]).text
    elif isinstance(row.get("id"), int):
        found["id"] = row["id"]
    found["text"] = redaction.text
    found["matches"] = [
        {"start": m.start, "end": m.end, "kind": m.kind, "reason": m.reason}
        for m in redaction.matches
    ]
    return json.dumps(found).encode() + b"\n"


def _decoded(source: BinaryIO) -> Iterator[str]:
    """Text as it arrives; octets that are no UTF-8 pass as they are."""
    import codecs
    import io

    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    read = source.read1 if isinstance(source, io.BufferedReader) else source.read
    while octets := read(_CHUNK):
        yield decoder.decode(octets)
    yield decoder.decode(b"", final=True)


def _health(url: str) -> dict[str, bool]:
    """What a gate's health page says of its canaries.

    Raises:
        InputError: there is no such page.
    """
    from urllib.error import URLError
    from urllib.parse import urlsplit
    from urllib.request import urlopen

    page = f"{url.rstrip('/').removesuffix('/health')}/health"
    if urlsplit(page).scheme not in {"http", "https"}:
        raise InputError("This is no address of a gate: write http://host:port.")
    try:
        try:
            with urlopen(page, timeout=30) as answer:  # noqa: S310 -- the scheme was looked at
                octets = answer.read(1 << 20)
        except URLError as error:
            if getattr(error, "code", None) == 401:
                raise InputError(
                    f"{page} asks for a key: start the gate with --open-health to have it tested."
                ) from None
            octets = error.read(1 << 20) if hasattr(error, "read") else b""
        canaries = json.loads(octets)["canaries"]
        return {str(name): stopped is True for name, stopped in canaries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"No health page of a gate at {page}: is lethe gate running there?"
        ) from None
