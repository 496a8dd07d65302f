"""Everything that a summary of training content can know of one or several corpora."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filter.errors import InputError
from pipeline.reconstruct.folder import Folder
from pipeline.reconstruct.report.ai_act.acquired import Acquired, acquired
from pipeline.reconstruct.report.ai_act.domains import Domains, Share, gather
from pipeline.reconstruct.report.model import Count, Summary
from pipeline.reconstruct.report.records import Manifest, read_manifest
from pipeline.reconstruct.report.summary import summarise
from pipeline.reconstruct.report.tables import Table


@dataclass(frozen=True, slots=True)
class Corpus:
    """One rebuilt corpus."""

    manifest: Manifest
    summary: Summary
    acquired: Acquired
    name: str
    """Title of the dataset; with the beginning of the fingerprint where two have the same."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted, of all corpora of a model."""

    corpora: tuple[Corpus, ...]
    domains: Domains

    @property
    def kept(self) -> Count:
        """What stayed in all of them."""
        return added(c.summary.flow.kept for c in self.corpora)

    @property
    def without_tokens(self) -> int:
        """Documents that came in without a number of tokens."""
        return sum(c.summary.without_tokens for c in self.corpora)

    @property
    def acquired(self) -> Acquired:
        """What the documents of all of them say of their crawl."""
        total = Acquired()
        for corpus in self.corpora:
            total.add(corpus.acquired)
        return total

    def captioned(self, corpus: Corpus, table: Table) -> Table:
        """The table, with the corpus in its caption where there are several."""
        if len(self.corpora) == 1:
            return table
        return replace(table, caption=f"{table.caption} ({corpus.name})")

    @property
    def languages(self) -> tuple[tuple[str | None, Count], ...]:
        """What stayed by language, the largest first; only languages of which something did."""
        held: defaultdict[str | None, list[Count]] = defaultdict(list)
        for corpus in self.corpora:
            for row in corpus.summary.languages:
                if row.flow.kept.documents:
                    held[row.language].append(row.flow.kept)
        found = [(language, added(counts)) for language, counts in held.items()]
        return tuple(sorted(found, key=lambda f: (-f[1].documents, f[0] or "")))


def added(counts: Iterable[Count]) -> Count:
    """Their sum."""
    held = list(counts)
    tokens = [c.tokens for c in held if c.tokens is not None]
    return Count(sum(c.documents for c in held), sum(tokens) if tokens else None)


def gathered(roots: Sequence[str | Path], share: Share) -> Evidence:
    """What is known of the corpora in the output folders ``roots``.

    Raises:
        InputError: none is given, or the same run twice, whose documents would count twice.
        UnreadableFile: a file of a run is missing, damaged, or at odds with another one.
        WrongColumns: a ledger without the columns of this version.
        WrongVersion: another version of Lethe wrote a run.
    """
    if not roots:
        raise InputError("Give at least one output folder of `lethe reconstruct run`.")
    held = []
    finished = []
    met: dict[str, str | Path] = {}
    for root in roots:
        folder = Folder(str(root))
        manifest = read_manifest(folder)
        first = met.setdefault(manifest.fingerprint, root)
        if first is not root:
            raise InputError(
                f"{first} and {root} hold the same run: give it once, or its documents count twice."
            )
        summary = summarise(root)
        names = [f.name for f in manifest.inputs if folder.exists(f"state/{f.name}.json")]
        held.append((manifest, summary, acquired(folder, names)))
        finished.append((folder, names))
    titles = Counter(manifest.dataset.title for manifest, *_ in held)
    corpora = (Corpus(*parts, name=_name(parts[0], titles)) for parts in held)
    return Evidence(tuple(corpora), gather(finished, share))


def _name(manifest: Manifest, titles: Counter[str]) -> str:
    title = manifest.dataset.title
    return title if titles[title] == 1 else f"{title}, run {manifest.fingerprint[:8]}"
