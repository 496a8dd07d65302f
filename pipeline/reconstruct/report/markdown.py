"""The report as Markdown: the same sentences and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.reconstruct.report import losses, prose, tables
from pipeline.reconstruct.report.numbers import counted, whole
from pipeline.reconstruct.report.tables import Column, Table
from pipeline.reconstruct.report.text import markdown, markdown_code

if TYPE_CHECKING:
    from pipeline.reconstruct.report.model import Summary


def render(summary: Summary) -> str:
    """The whole report."""
    policy, unchecked = summary.policy, summary.unchecked
    parts = [f"# Opt-outs in {markdown(summary.dataset.title)}"]
    parts += [f"> **Attention.** {markdown(alarm)}" for alarm in prose.alarms(summary)]
    parts += [f"**{markdown(prose.headline(summary))}**", table(tables.totals(summary))]
    parts += ["## What was asked", asked(summary)]
    parts += ["## By signal", table(tables.signals(summary)), table(tables.rules(summary))]
    parts += [table(tables.months(summary))]
    parts += ["## By language", *map(table, losses.tables(summary.languages))]
    parts += ["## By agent", table(tables.agents(summary))]
    parts += ["## By host", table(tables.hosts(summary))]
    parts += ["## Personal data replaced", markdown(prose.personal_data(summary))]
    if summary.personal_data.mode != "none":
        parts.append(table(tables.personal_data(summary)))
    parts += ["## What could not be checked", markdown(prose.no_url(summary))]
    parts.append(markdown(prose.sources(summary)))
    if unchecked.sources:
        parts.append(table(tables.unchecked_sources(summary)))
    parts += ["## How to reproduce this", f"```sh\n{prose.command(summary)}\n```"]
    parts.append(identity(summary))
    if policy.counts:
        parts.append(table(tables.policy_counts(summary)))
    parts.append("## What is not caught")
    caught = prose.not_caught(summary).items()
    parts.append("\n".join(f"- **{markdown(head)}.** {markdown(text)}" for head, text in caught))
    return "\n\n".join(part for part in parts if part) + "\n"


def asked(summary: Summary) -> str:
    """The policy as a list."""
    policy = summary.policy
    name, version = markdown_code(policy.name), markdown_code(policy.version)
    agents = ", ".join(map(markdown_code, policy.agents))
    lines = [
        f"- Policy {name}, as of {markdown(policy.as_of)}, version {version}",
        f"- Agents ({markdown(policy.agent_set)}): {agents}",
    ]
    lines += [
        f"- Signal {markdown_code(signal)}: {markdown(title)}"
        for signal, title in prose.signals_asked(summary)
    ]
    lines += [f"- Stock filter {markdown_code(step)}" for step in summary.run.steps]
    return "\n".join(lines)


def identity(summary: Summary) -> str:
    """What the run is bound to, as a list."""
    run, dataset = summary.run, summary.dataset
    revision = f", revision {markdown_code(dataset.revision)}" if dataset.revision else ""
    lines = [
        f"- Fingerprint of the run: {markdown_code(run.fingerprint)}",
        f"- Engine version: {whole(run.engine_version)}",
        f"- Policy version: {markdown_code(summary.policy.version)}",
        f"- Data set: {markdown_code(dataset.dataset or dataset.title)}{revision}",
        f"- Input: {markdown_code(run.input)}, {counted(run.files, 'file')}",
    ]
    if run.bundle is not None:
        lines.append(f"- Output filter: {markdown(prose.output_filter(run))}")
    return "\n".join(lines)


def table(content: Table) -> str:
    """A table with its caption and note; a sentence where it has no rows."""
    caption = f"**{markdown(content.caption)}**"
    if not content.rows:
        return f"{caption}: none."
    head = [markdown(name) for name, _ in content.head]
    kinds = [kind for _, kind in content.head]
    lines = [_line(head), _line(["---:" if kind is Column.NUMBER else "---" for kind in kinds])]
    for row in content.rows:
        cells = zip(row, kinds, strict=True)
        lines.append(_line([_cell(value, kind) for value, kind in cells]))
    text = f"{caption}\n\n" + "\n".join(lines)
    return f"{text}\n\n{markdown(content.note)}" if content.note else text


def _cell(value: str, kind: Column) -> str:
    return markdown_code(value) if kind is Column.CODE else markdown(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
