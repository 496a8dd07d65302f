"""The certificate of a takedown as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.reconstruct.report.numbers import counted, whole
from pipeline.reconstruct.report.text import markdown, markdown_code

_SHOWN = 100
"""Lines of a table; the lists beside the certificate have all."""
_CHECK = (
    "`sha256sum` of the files, before and after, gives the digests above; `certificate.json` has those of "
    "the ledgers, which say why each document stands in the corpus or not. `lethe reconstruct verify CORPUS "
    "--policy POLICY --input INPUT --deep` makes the corpus again and compares every file."
)
_REMOVED = (
    "Postal addresses, handles, web addresses and passages that people asked to have removed{names}, as this "
    "release of the output filter lists them, were replaced by markers in the texts that stayed; what the "
    "release before listed and this one does not stands there again. Who these people are, and in which "
    "texts they were named, is written nowhere."
)


def prose(content: dict[str, Any]) -> str:
    """Markdown of what `pipeline.reconstruct.certificate.write` puts into its JSON."""
    parts = [
        "# Certificate of a takedown",
        _headline(content),
        _before_and_after(content),
        *_asked(content),
        *_back(content),
        *_texts(content),
        *_files(content),
        "## How to check this",
        _CHECK,
    ]
    return "\n\n".join(parts) + "\n"


def _headline(content: dict[str, Any]) -> str:
    counts, files = content["documents"], len(content["files"])
    went = [f"{counted(counts['gone'], 'document')} went"]
    if counts["back"]:
        went.append(f"{counted(counts['back'], 'document')} came back, which this policy allows")
    return (
        f"From the corpus made of {markdown_code(content['dataset'])} with the recipe "
        f"{markdown_code(content['recipe'])}: **{', '.join(went)}**. {counted(files, 'file')} of "
        f"{whole(content['files_in_all'])} changed."
    )


def _before_and_after(content: dict[str, Any]) -> str:
    rows = []
    policy, prints = content["policy"], content["fingerprint"]
    both = policy["before"], policy["after"]
    rows.append(("opt-outs in force on", *(markdown(one["as_of"]) for one in both)))
    rows.append(("policy", *(markdown(one["name"]) for one in both)))
    rows.append(("version of the policy", *(markdown_code(one["version"]) for one in both)))
    if "bundle" in content:
        releases = (content["bundle"][part] for part in ("before", "after"))
        said = (markdown(one["release"]) if one else "none" for one in releases)
        rows.append(("release of the output filter", *said))
    rows.append(("fingerprint of the corpus", *map(markdown_code, prints.values())))
    return _table(("", "before", "after"), rows)


def _asked(content: dict[str, Any]) -> list[str]:
    rows = [
        (
            markdown_code(one["host"] or "no site"),
            f"{markdown(one['signal'] or '')}: {markdown_code(one['rule'] or 'no reason recorded')}",
            _source(one),
            whole(one["documents"]),
        )
        for one in content["asked"]
    ]
    if not rows:
        return []
    columns = ("site", "by", "where it stands", "documents")
    return ["## What was asked", _cut(columns, rows, "certificate.json"), _list(content, "gone")]


def _source(one: dict[str, Any]) -> str:
    said = [markdown(one["source"] or "")]
    if one["source_date"]:
        said.append(f"of {markdown(one['source_date'])}")
    if one["source_hash"]:
        said.append(f"(SHA-256 {markdown_code(one['source_hash'])})")
    return " ".join(said)


def _back(content: dict[str, Any]) -> list[str]:
    rows = [(markdown_code(site), whole(n)) for site, n in content["sites"]["back"].items()]
    if not rows:
        return []
    table = _cut(("site", "documents"), rows, "certificate.json")
    return ["## Sites whose documents came back", table, _list(content, "back")]


def _texts(content: dict[str, Any]) -> list[str]:
    if "bundle" not in content or content["bundle"]["before"] == content["bundle"]["after"]:
        return []
    names = (
        ", and names" if content["names_removed"] else " (not names: the corpus may be published)"
    )
    return ["## Texts", _REMOVED.format(names=names)]


def _files(content: dict[str, Any]) -> list[str]:
    same = False
    rows = []
    for one in content["files"]:
        digests = [one[part]["data"] for part in ("before", "after")]
        same |= digests[0] == digests[1]
        rows.append((markdown_code(f"data/{one['file']}"), *map(markdown_code, digests)))
    found = [
        "## Files",
        _cut(("file", "SHA-256 before", "SHA-256 after"), rows, "certificate.json"),
    ]
    if same:
        found.append("Where the two are equal, only the reasons in the ledger changed.")
    return found


def _list(content: dict[str, Any], part: str) -> str:
    return (
        f"Every one of these documents is listed in `{part}.parquet`, SHA-256 "
        f"{markdown_code(content['lists'][part])}."
    )


def _cut(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], where: str) -> str:
    said = _table(columns, rows[:_SHOWN])
    more = len(rows) - _SHOWN
    return f"{said}\n\n{whole(more)} more lines are in `{where}`." if more > 0 else said


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
