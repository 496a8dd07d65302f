"""Terminal output: people read standard error, programs read standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filter.errors import MissingExtra
from lethe.quick import without_clouds, without_looking_back, without_pandas, without_threads

_WITH_SIGNATURES = {"client", "service"}
_OURS = {"filter", "filter_service", "model_gate", "pipeline", "lethe"}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn the absence of an extra's packages into one helpful sentence."""
    try:
        if name in _WITH_SIGNATURES:
            without_threads()
            without_clouds()
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in _OURS:
            raise
        raise MissingExtra(
            f"This command needs the package {error.name!r}: pip install 'lethe-llm[{name}]'."
        ) from None


@contextmanager
def corpus_extra() -> Iterator[None]:
    """The extra of everything that reads or writes a corpus."""
    with extra("corpus"):
        without_threads()
        without_pandas()
        without_looking_back()
        yield


@contextmanager
def progress_bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; yields a function of (done, total)."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def grouped(number: int) -> str:
    """``1234567`` as ``1 234 567``, with narrow no-break spaces."""
    return f"{number:,}".replace(",", "\u202f")


def share(part: int, whole: int) -> str:
    """A percentage with one decimal."""
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def printable(text: str) -> str:
    """``text`` on one line, fit for a terminal: what is no visible character is escaped.

    Rules are other people's words; a tab in one would shift the columns, an escape sequence would
    steer the terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
