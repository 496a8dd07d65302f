"""What people must be told before a command goes on, on standard error."""

from __future__ import annotations

from pathlib import Path

import typer

from lethe.console import corpus_extra


def warn(sentence: str) -> None:
    """Say it so that it is seen."""
    typer.secho(sentence, fg="yellow", err=True)


def warn_of(bundle: Path) -> None:
    """Whether a bundle is for tests, or grows too old.

    Raises:
        BundleError: it cannot be used for a corpus at all.
    """
    with corpus_extra():
        from pipeline.reconstruct.pii.listed import ListedPhrases
    opened = ListedPhrases.open(bundle)
    if opened.is_testing:
        warn("This bundle has cheap hashes: it is for tests and hides nobody.")
    if opened.freshness == "expiring":
        warn(f"This bundle expires on {opened.valid_until}.")
    if opened.freshness == "expired":
        warn(f"This bundle EXPIRED on {opened.valid_until}: get a newer release.")
