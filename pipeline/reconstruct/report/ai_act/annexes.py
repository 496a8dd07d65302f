"""The annexes of the summary: lists and tables that are too long for its sections."""

from __future__ import annotations

from pipeline.reconstruct.report import losses, prose
from pipeline.reconstruct.report.ai_act.document import Block, Heading, Section, counted
from pipeline.reconstruct.report.ai_act.domains import Domains
from pipeline.reconstruct.report.ai_act.evidence import Corpus, Evidence
from pipeline.reconstruct.report.ai_act.sources import CRAWLS, crawls
from pipeline.reconstruct.report.numbers import counted as number_of
from pipeline.reconstruct.report.numbers import percent, whole
from pipeline.reconstruct.report.tables import Column, Table

SHORT = 100
"""Domain names that are listed in the document itself, where there is a file with all of them."""


def annexes(evidence: Evidence, domains_file: str | None) -> tuple[Section, ...]:
    """Annexes A to D."""
    found: list[Section] = []
    if evidence.domains.listed:
        table = domains(evidence.domains, None if domains_file is None else SHORT)
        found.append(Section("Annex A", "Domain names by volume", (table,)))
    lost: list[Block] = []
    for corpus in evidence.corpora:
        lost.append(Heading(corpus.name))
        lost.extend(evidence.captioned(corpus, t) for t in losses.tables(corpus.summary.languages))
    found.append(Section("Annex B", "Losses by language and signal", tuple(lost), wide=True))
    runs: list[Block] = []
    for corpus in evidence.corpora:
        runs += [Heading(corpus.name), *_run(corpus)]
    found.append(Section("Annex C", "The runs behind the figures", tuple(runs)))
    if len(evidence.acquired.crawls) > CRAWLS:
        found.append(Section("Annex D", "Crawls of Common Crawl", (crawls(evidence),)))
    return tuple(found)


def where(evidence: Evidence, domains_file: str | None) -> str:
    """Where the list of domain names is."""
    if not evidence.domains.listed:
        return "There is no list."
    if domains_file is None:
        return "The list is Annex A."
    if len(evidence.domains.listed) <= SHORT:
        return f"The list is Annex A, and the attached file {domains_file}."
    return f"The list is the attached file {domains_file}; Annex A shows the first {SHORT}."


def domains(found: Domains, most: int | None) -> Table:
    """The listed domain names, at most so many of them."""
    rows = [
        (
            whole(rank),
            domain.name,
            whole(domain.documents),
            percent(domain.documents, found.documents),
            whole(domain.tokens),
        )
        for rank, domain in list(found.ranked())[:most]
    ]
    number = Column.NUMBER
    left = len(found.listed) - len(rows)
    return Table(
        "Domain names by the number of documents that stayed",
        (
            ("Rank", number),
            ("Domain name", Column.CODE),
            ("Documents", number),
            ("Share", number),
            ("Tokens", number),
        ),
        tuple(rows),
        "A name is the host of the URL without a leading “www.”; subdomains count for themselves. "
        "Equal volumes have equal ranks."
        + (f" {whole(left)} more are listed in the file." if left else ""),
    )


def _run(corpus: Corpus) -> list[Block]:
    run, policy = corpus.summary.run, corpus.summary.policy
    blocks: list[Block] = [
        counted("Fingerprint of the run", run.fingerprint),
        counted("Policy", f"{policy.name}, version {policy.version}, as of {policy.as_of}"),
        counted("Input", f"{run.input}, {number_of(run.files, 'file')}"),
        counted("Command", prose.command(corpus.summary)),
    ]
    if run.bundle is not None:
        blocks.append(counted("Output filter", prose.output_filter(run)))
    return blocks
