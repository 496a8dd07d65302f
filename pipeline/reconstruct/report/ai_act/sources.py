"""Section 2 of the summary: where the training data come from."""

from __future__ import annotations

from pipeline.reconstruct.report.ai_act.declared import Declared
from pipeline.reconstruct.report.ai_act.document import (
    Block,
    Heading,
    Part,
    Section,
    asked,
    counted,
)
from pipeline.reconstruct.report.ai_act.domains import Domains
from pipeline.reconstruct.report.ai_act.evidence import Corpus, Evidence
from pipeline.reconstruct.report.numbers import counted as number_of
from pipeline.reconstruct.report.numbers import percent, whole
from pipeline.reconstruct.report.records import Manifest
from pipeline.reconstruct.report.tables import Column, Table

CRAWLS = 12
"""Crawls that are named in the text; more of them are an annex."""
_STAGES = {
    "optout": "opted-out documents were left out",
    "pii": "personal data in the text was replaced by markers",
}


def sources(evidence: Evidence, declared: Declared, domains: str) -> Part:
    """Sections 2.1 to 2.6; ``domains`` says where the list of domain names is."""
    return Part(
        "2",
        "Sources of the data",
        (
            Section("2.1", "Publicly available datasets", tuple(_public(evidence, declared))),
            Section("2.2", "Private datasets of third parties", tuple(asked("2.2", declared))),
            Section(
                "2.3", "Content crawled from the web", tuple(_crawled(evidence, declared, domains))
            ),
            Section("2.4", "Data of users", tuple(asked("2.4", declared))),
            Section("2.5", "Synthetic data", tuple(asked("2.5", declared))),
            Section("2.6", "Other sources", tuple(asked("2.6", declared))),
        ),
    )


def _public(evidence: Evidence, declared: Declared) -> list[Block]:
    blocks: list[Block] = []
    for corpus in evidence.corpora:
        blocks += [Heading(corpus.name), *_dataset(corpus)]
    return [*blocks, Heading("Beside these"), *asked("2.1", declared)]


def _dataset(corpus: Corpus) -> list[Block]:
    dataset, flow = corpus.summary.dataset, corpus.summary.flow
    version = f", version {dataset.revision}" if dataset.revision else ", version not stated"
    share = percent(flow.kept.documents, flow.total.documents)
    tokens = "" if flow.kept.tokens is None else f" with {number_of(flow.kept.tokens, 'token')}"
    return [
        counted("Dataset", f"{dataset.dataset or dataset.title}{version}", link=dataset.homepage),
        counted("Licence", dataset.license or "Not stated."),
        counted("Modality", "Text."),
        counted(
            "Used of it",
            f"{whole(flow.kept.documents)} of {number_of(flow.total.documents, 'document')} "
            f"({share}){tokens}.",
        ),
        counted("How it was selected", *selection(corpus)),
    ]


def selection(corpus: Corpus) -> list[str]:
    """The stages of the recipe with what they are set to, and what else left documents out."""
    manifest, summary = corpus.manifest, corpus.summary
    said = [f"Recipe {summary.dataset.recipe} of Lethe, engine version {manifest.engine_version}."]
    said += [_stage(stage, manifest) for stage in manifest.stages]
    said += [f"Filter {step}." for step in manifest.steps]
    if summary.run.limit is not None:
        said.append(f"Only the first {number_of(summary.run.limit, 'document')} were read.")
    if summary.filtered:
        said.append(
            f"{number_of(summary.filtered, 'document')} were left out by stages and filters that are "
            "no opt-outs (Annex B)."
        )
    return said


def _stage(stage: str, manifest: Manifest) -> str:
    settings, thresholds = manifest.settings.get(stage, {}), manifest.thresholds.get(stage)
    told = f"Stage {stage}: {_STAGES[stage]}" if stage in _STAGES else f"Stage {stage}"
    values = ", ".join(f"{key} = {_value(value)}" for key, value in sorted(settings.items()))
    text = f"{told}{f' ({values})' if values else ''}."
    if thresholds is not None:
        by_language = _value(thresholds["values"]) if thresholds["values"] else "none"
        text += f" Thresholds by language ({thresholds['thresholds']}): {by_language}."
    return text


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_value(v)}" for k, v in sorted(value.items())) + "}"
    return str(value)


# -- 2.3 ---------------------------------------------------------------------------------------


def _crawled(evidence: Evidence, declared: Declared, domains: str) -> list[Block]:
    return [
        Heading("By others, in the datasets of section 2.1"),
        *_of_datasets(evidence),
        counted("Domain names", *_domains(evidence.domains), domains),
        Heading("By the provider"),
        *asked("2.3", declared),
    ]


def _of_datasets(evidence: Evidence) -> list[Block]:
    found = evidence.acquired
    blocks: list[Block] = []
    if found.crawls:
        named = f"{whole(found.crawled)} of {number_of(found.documents, 'document')}"
        blocks.append(
            counted("Crawler", f"CCBot, of Common Crawl: {named} name one of its crawls.")
        )
        blocks.append(counted("Crawls", _crawls(evidence)))
    else:
        blocks.append(counted("Crawler", "The documents do not name the crawl that they are from."))
    if found.first is None or found.last is None:
        period = "The documents bear no dates."
    else:
        dated = f"{whole(found.dated)} of {number_of(found.documents, 'document')}"
        period = f"{_month(found.first)} to {_month(found.last)}, from the dates that {dated} bear."
    return [*blocks, counted("Period", period)]


def _month(day: str) -> str:
    """MM/YYYY, as the template writes it."""
    return f"{day[5:7]}/{day[:4]}"


def _crawls(evidence: Evidence) -> str:
    names = sorted(evidence.acquired.crawls)
    if len(names) > CRAWLS:
        return f"{len(names)}, from {names[0]} to {names[-1]}; all of them in Annex D."
    return f"{', '.join(names)}."


def crawls(evidence: Evidence) -> Table:
    """Documents by crawl."""
    found = evidence.acquired
    rows = [
        (name, whole(number), percent(number, found.documents))
        for name, number in sorted(found.crawls.items())
    ]
    return Table(
        "Documents that stayed, by the crawl of Common Crawl that they name",
        (("Crawl", Column.CODE), ("Documents", Column.NUMBER), ("Share", Column.NUMBER)),
        tuple(rows),
    )


def _domains(found: Domains) -> list[str]:
    if not found.distinct:
        return ["No document has a URL that names a host."]
    said = [
        (
            f"{number_of(found.distinct, 'domain name')}. Listed are {found.share.said} by the number of "
            f"documents, which are {whole(found.share.of(found.distinct))}, and whoever is level with the "
            f"last: {whole(len(found.listed))}, from which {whole(found.covered)} of "
            f"{number_of(found.documents, 'document')} come "
            f"({percent(found.covered, found.documents)})."
        )
    ]
    if found.nameless:
        said.append(f"{number_of(found.nameless, 'document')} have no URL that names a host.")
    return said
