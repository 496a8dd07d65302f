"""Reports over a rebuilt corpus: what went, by whose word, and what nobody could be asked about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.errors import UnknownName
from pipeline.reconstruct.report.model import Summary
from pipeline.reconstruct.report.summary import summarise

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "Summary", "report", "summarise"]

FORMATS = ("html", "md", "json")


def report(root: str | Path, format: str = "html") -> str:  # noqa: A002  (the option's own name)
    """The report over the run in the output folder ``root``, in one of `FORMATS`.

    Raises:
        UnknownName: no such format.
        UnreadableFile: a file of the run is missing, damaged, or at odds with another one.
        WrongColumns: a ledger without the columns of this version.
        WrongVersion: another version of Lethe wrote the run.
        MissingExtra: the format needs a package that is not installed.
    """
    if format not in FORMATS:
        raise UnknownName(f"There is no report format {format!r}: use one of {', '.join(FORMATS)}.")
    summary = summarise(root)
    from pipeline.reconstruct.report import html, markdown

    if format == "html":
        return html.render(summary)
    if format == "md":
        return markdown.render(summary)
    return json.dumps(summary.described(), ensure_ascii=False, indent=2) + "\n"
