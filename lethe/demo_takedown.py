"""The part of ``lethe demo`` in which a site opts out of the corpus that is there already."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from lethe.console import corpus_extra, grouped, progress_bar

DAY = "2026-07-02"
"""The day after the corpus was made."""
SITE = "vischnanca.example"
LIST = f"optouts-{DAY}.jsonl"


def ask(out: Path) -> Path:
    """The opt-out list of the day, in the folder ``out``: one site."""
    entry = {
        "scope": "domain",
        "value": SITE,
        "effective": DAY,
        "origin": "registry",
        "request_id": "6e7f2c1a-3d94-4b58-8a60-c41f9e27b209",
    }
    path = out / LIST
    path.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    return path


def tell(corpus: Path, source: Path, policy: Path) -> None:
    """Take down what the newer ``policy`` refuses, and make the corpus again from its ``source`` to compare."""
    with corpus_extra():
        from pipeline.reconstruct import takedown
        from pipeline.reconstruct.verify import Against, verify
    with progress_bar("Taking down", "files") as bar:
        result = takedown(corpus, policy, progress=bar)
    assert result.certificate is not None
    certificate = corpus / result.certificate
    files = json.loads(certificate.with_suffix(".json").read_text(encoding="utf-8"))["files"]
    cut = [file for file in files if file["before"]["data"] != file["after"]["data"]]
    typer.secho("\nA site opts out the day after", bold=True)
    typer.echo(f"  asked     {SITE}, with effect from {DAY}")
    typer.echo(
        f"  gone      {grouped(result.documents_gone)} documents, from {len(cut)} of "
        f"{len(list((corpus / 'data').rglob('*.parquet')))} files"
    )
    before, after = (cut[0][when]["data"][:12] for when in ("before", "after"))
    typer.echo(f"  sha256    {before} before, {after} after, of data/{cut[0]['file']}")
    findings = list(verify(corpus, Against(policy, str(source), deep=True)))
    wrong = [finding for finding in findings if not finding.ok]
    # One of the checks is the whole run, repeated from the input.
    said = wrong[0].said[0] if wrong else "a whole run under the newer policy writes the same files"
    typer.secho(
        f"  verify    {len(findings) - len(wrong)} of {len(findings)} checks held; {said}",
        fg="red" if wrong else "green",
    )
    typer.echo(f"  told in   {certificate}")
