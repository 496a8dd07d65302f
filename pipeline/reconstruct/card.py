"""The dataset card of a rebuilt corpus: the README.md that the Hugging Face Hub shows and reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pipeline.errors import UnreadableFile
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.report import prose, tables
from pipeline.reconstruct.report.markdown import asked, identity, table
from pipeline.reconstruct.report.numbers import whole
from pipeline.reconstruct.report.records import read_manifest
from pipeline.reconstruct.report.summary import summarise
from pipeline.reconstruct.report.text import markdown, markdown_code, shown

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from pipeline.reconstruct.report.model import Summary

DATA = "data/**/*.parquet"
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?=$|[_-])")
"""ISO 639 as the Hub wants it; a script or region behind it is left out."""
_LICENSES = frozenset(
    {
        *("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-3.0"),
        *("cc-by-sa-3.0", "odc-by", "odbl", "pddl", "cdla-permissive-2.0", "bsd-3-clause"),
        *("gpl-3.0", "other", "unknown"),
    }
)
"""Names that the Hub knows."""
_SPDX = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
"""Where the Hub's name of a license is not SPDX' in small letters."""


def card(root: str | Path) -> str:
    """The card of the corpus in the output folder ``root``: YAML front matter, then Markdown.

    Raises:
        UnreadableFile: a file of the run is missing, damaged, or at odds with another one.
        WrongColumns: a ledger without the columns of this version.
        WrongVersion: another version of Lethe wrote the run.
    """
    summary = summarise(root, lists=False)
    return front_matter(summary) + "\n" + _body(summary, _schema(Folder(str(root))))


def front_matter(summary: Summary) -> str:
    """What the Hub reads: YAML between two lines of dashes."""
    dataset = summary.dataset
    publishable = summary.run.publishable
    title = f"{dataset.title}, opt-outs respected{'' if publishable else ', unpublished'}"
    lines = ["---", f"pretty_name: {_quoted(title)}"]
    lines += _license(dataset.license, dataset.homepage)
    if languages := _languages(summary):
        lines += ["language:", *(f"- {_quoted(code)}" for code in languages)]
    if dataset.dataset:
        lines += ["source_datasets:", f"- {_quoted(dataset.dataset)}"]
    lines += ["size_categories:", f"- {_quoted(size_category(summary.flow.kept.documents))}"]
    lines += ["task_categories:", "- text-generation"]
    lines += ["tags:", "- lethe", "- opt-out", "- robots-txt", "- pretraining"]
    if summary.personal_data.mode != "none":
        lines.append("- personal-data-replaced")
    if not publishable:
        lines.append("- unpublished")
    lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train"]
    lines += [f"    path: {_quoted(DATA)}", "---"]
    return "\n".join(lines) + "\n"


def size_category(documents: int) -> str:
    """The Hub's name for the order of magnitude: ``n<1K``, ``1K<n<10K``, ..., ``n>1T``."""
    for power, name in enumerate(_SIZES, 3):
        if documents < 10**power:
            return f"n<{name}" if power == 3 else f"{_SIZES[power - 4]}<n<{name}"
    return f"n>{_SIZES[-1]}"


def _body(summary: Summary, schema: pa.Schema | None) -> str:
    dataset, policy = summary.dataset, summary.policy
    unpublished = "" if summary.run.publishable else " (unpublished)"
    parts = [f"# {markdown(dataset.title)}, opt-outs respected{unpublished}"]
    parts += [f"> **Attention.** {markdown(alarm)}" for alarm in prose.alarms(summary)]
    parts.append(
        f"{_source(summary)}, rebuilt so that every opt-out in force on {markdown(policy.as_of)} "
        "is respected, also those that came after the crawl. "
        f"{markdown(prose.headline(summary))}"
    )
    parts.append(table(tables.totals(summary)))
    parts += ["## What was removed, and why", asked(summary)]
    parts += [table(tables.signals(summary)), markdown(prose.no_url(summary))]
    parts.append(
        "The folder `ledger` has one row for every document that came in, kept or dropped, with "
        "the signal, the agents and the very line that decided. It holds no text."
    )
    parts += ["## Personal data", markdown(prose.personal_data(summary))]
    if summary.personal_data.mode != "none":
        parts.append(table(tables.personal_data(summary)))
    parts += ["## Columns", _columns(schema), "## How to load", _loading(summary)]
    parts.append("## Limitations")
    caught = prose.not_caught(summary).items()
    parts.append("\n".join(f"- **{markdown(head)}.** {markdown(text)}" for head, text in caught))
    parts += ["## Identity", identity(summary), f"```sh\n{prose.command(summary)}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _source(summary: Summary) -> str:
    dataset = summary.dataset
    name = markdown_code(dataset.dataset) if dataset.dataset else markdown(dataset.title)
    revision = f" at revision {markdown_code(dataset.revision)}" if dataset.revision else ""
    return f"{name}{revision}"


def _columns(schema: pa.Schema | None) -> str:
    if schema is None:
        return "There is no data file yet."
    rows = [f"| {markdown_code(f.name)} | {markdown_code(str(f.type))} |" for f in schema]
    said = (
        "The columns of the source; nothing in them is changed, except that personal data in the "
        "text is replaced as described."
    )
    return "\n".join([said, "", "| Column | Type |", "| --- | --- |", *rows])


def _loading(summary: Summary) -> str:
    documents, files = whole(summary.flow.kept.documents), whole(_finished(summary))
    return "\n".join(
        [
            "```python",
            "import datasets",
            "",
            f'corpus = datasets.load_dataset("parquet", data_files="{DATA}", split="train")',
            "```",
            "",
            f"{documents} documents in {files} Parquet files, named as in the source.",
        ]
    )


def _finished(summary: Summary) -> int:
    return summary.run.files - summary.run.missing


def _schema(folder: Folder) -> pa.Schema | None:
    """The columns of the first data file; ``None`` where no file is finished."""
    for file in read_manifest(folder).inputs:
        if folder.exists(f"state/{file.name}.json"):
            if not folder.exists(f"data/{file.name}"):
                raise UnreadableFile(
                    f"{folder.root}/data/{file.name} is missing, although its input file is marked "
                    "as finished: run again, or fetch the data too."
                )
            with folder.parquet(f"data/{file.name}") as parquet:
                return parquet.schema_arrow
    return None


def _languages(summary: Summary) -> list[str]:
    """ISO 639 codes of the languages in which something stayed, the largest first."""
    stated = (r.language for r in summary.languages if r.language and r.flow.kept.documents)
    found = (_LANGUAGE.match(language.lower()) for language in stated)
    return list(dict.fromkeys(match.group() for match in found if match))


def _license(stated: str | None, homepage: str | None) -> list[str]:
    """The license of the source: rebuilding a corpus gives nobody other rights to it."""
    if not stated:
        return ["license: unknown"]
    name = _SPDX.get(stated.lower(), stated.lower())
    if name in _LICENSES:
        return [f"license: {_quoted(name)}"]
    link = [f"license_link: {_quoted(homepage)}"] if homepage else []
    return ["license: other", f"license_name: {_quoted(stated)}", *link]


def _quoted(text: str) -> str:
    """A YAML string in double quotes, which JSON's are (YAML 1.2, 5.7 and 7.3.1)."""
    return json.dumps(shown(text, 1000), ensure_ascii=False)
