"""How much of what is listed the output filter finds again, by variant and kind: `docs/recall.md`.

One operators' bundle lists everybody; every written form of `variants` stands in a sentence of
`carriers`, alone. An identifier counts as found when the matches together cover every letter, mark
and digit of it as it is written there; what says nothing about anybody may stay: punctuation, also
encoded, ``tel:``, and the ``https://www.`` of a URL. Whatever of the words around is covered is
overreach.
"""

from __future__ import annotations

import argparse
import random
import re
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import people
from carriers import CARRIERS, carried
from variants import VARIANTS

from filter import Bundle, Identifier, IdentifierKind, OutputFilter

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "recall.md"
COUNT = 500
"""Identifiers a cell."""
CLAIM = 0.99
"""What recall of a claimed cell is at least."""

KINDS = tuple(group for group in people.GROUPS if group not in people.SCRIPTS)


class Case(NamedTuple):
    """One identifier in one sentence, from ``start`` to ``end``."""

    identifier: Identifier
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Cell:
    """The counts of one variant and one group."""

    n: int = 0
    found: int = 0
    overreach: int = 0
    missed: list[str] = field(default_factory=list)
    """The first few sentences in which the identifier was left."""

    @property
    def recall(self) -> float:
        return self.found / self.n if self.n else 0.0


_SIGN = re.compile(
    r"&[#0-9A-Za-z]+;|%[0-7][0-9A-F]|(?:%[89A-F][0-9A-F])+|[(\[{](?:at|dot|AT|DOT)[)\]}]|.",
    re.DOTALL,
)
"""One character, also as HTML, percent-encoded or in brackets; of several octets, several."""

Table = dict[tuple[str, str], Cell]
"""Cells by variant and group."""


def cases(name: str, group: str, pool: Iterable[Identifier], count: int = COUNT) -> list[Case]:
    """The first ``count`` identifiers of ``pool`` that a variant applies to, each in a sentence."""
    rng = random.Random(f"{name}, {group}")
    variant = VARIANTS[name]
    found: list[Case] = []
    for identifier in pool:
        if len(found) == count:
            break
        written = variant.write(identifier, rng)
        if written is not None:
            text, start = carried(written, rng, glue=variant.glue, languages=variant.languages)
            found.append(Case(identifier, text, start, start + len(written)))
    return found


def plan(count: int = COUNT) -> dict[tuple[str, str], list[Case]]:
    """All cases by variant and group; pools are larger, for variants that apply to some."""
    pools = {group: make(5 * count) for group, make in people.GROUPS.items()}
    return {
        (name, group): cases(name, group, pool, count)
        for name, variant in VARIANTS.items()
        for group, pool in pools.items()
        if group in variant.groups
    }


def build(listed: Iterable[Identifier]) -> OutputFilter:
    """The filter that is measured; the cheap hash finds what the slow one finds."""
    entries = list(dict.fromkeys(listed))
    bundle = Bundle.build(
        entries,
        release="2026.1.0",
        audience="operators",
        kdf="testing",
        regions=people.HOME,
    )
    return OutputFilter(bundle)


def measure(count: int = COUNT) -> Table:
    """Recall of every cell."""
    planned = plan(count)
    judge = build(case.identifier for found in planned.values() for case in found)
    return {key: count_cell(judge, found) for key, found in planned.items()}


def count_cell(output_filter: OutputFilter, found: Sequence[Case]) -> Cell:
    cell = Cell()
    redactions = output_filter.redact_batch([case.text for case in found])
    for case, redaction in zip(found, redactions, strict=True):
        covered = bytearray(len(case.text))
        for match in redaction.matches:
            covered[match.start : match.end] = b"\1" * (match.end - match.start)
        is_found = all(covered[case.start + at] for at in telling(case))
        cell.n += 1
        cell.found += is_found
        cell.overreach += any(
            _spells(c)
            for match in redaction.matches
            for c in case.text[match.start : min(match.end, case.start)]
            + case.text[max(match.start, case.end) : match.end]
        )
        if not is_found and len(cell.missed) < 3:
            cell.missed.append(f"{case.identifier.text!r} in {case.text!r}")
    return cell


def telling(case: Case) -> list[int]:
    """Offsets, within what is written, of the letters, marks and digits that must be covered.

    Of encoded ones this is all that encodes them.
    """
    written = case.text[case.start : case.end]
    silent = 3 if written.startswith("tel:") else 0
    if case.identifier.kind is IdentifierKind.URL:
        silent = len("https") + len("www") * ("://www." in case.identifier.text)
    places = [
        range(*sign.span())
        for sign in _SIGN.finditer(written)
        if any(map(_spells, _decoded(sign.group())))
    ]
    return [at for span in places[silent:] for at in span]


def _decoded(sign: str) -> str:
    if len(sign) == 1:
        return sign
    return unquote(unescape(sign)) if sign[0] in "&%" else ""


def _spells(c: str) -> bool:
    return c.isalnum() or (c > "\u02ff" and unicodedata.category(c)[0] == "M")


def document(table: Table) -> str:
    """The table in Markdown."""
    count = max(cell.n for cell in table.values())
    claimed = [name for name, variant in VARIANTS.items() if variant.claimed]
    reported = [name for name, variant in VARIANTS.items() if not variant.claimed]
    lines = [
        "# Recall of the output filter",
        "",
        f"Written by `benchmarks/recall.py`. One operators' bundle lists everybody. Each of {count} made-up",
        "identifiers a cell is written as the variant says, alone in a sentence of one of",
        f"{len(CARRIERS)} languages. It counts as found when the matches together cover every letter,",
        "mark and digit of it (of a URL, scheme and `www.` aside). Cells give the share found in per cent,",
        "rounded down",
        f"(n = {count}, else n in brackets); they are blank where the variant does not apply.",
        "*Overreach* is the share of sentences of the row in which a word beside the identifier was",
        f"covered too. The bundle reads the national telephone numbers of {', '.join(people.HOME)};",
        f"the international numbers are of these and of {', '.join(people.ABROAD)}. Local parts of",
        "e-mail addresses have at least six letters and digits, words that an identifier is glued to have two. What each variant does is written in",
        "`benchmarks/variants.py`.",
        "",
        "This says nothing about several variants at once, about typing errors, or about identifiers",
        "that nobody listed.",
        "",
        f"## Claimed: at least {CLAIM:.0%} in every cell",
        "",
        *_rows(table, claimed, KINDS, count),
        "",
        "### Names by script",
        "",
        *_rows(table, claimed, people.SCRIPTS, count),
        "",
        "## Reported",
        "",
        "Measured in the same way, promised by nobody.",
        "",
        "| variant | of | n | found |",
        "|---|---|---|---|",
    ]
    for (name, group), cell in table.items():
        if name in reported:
            lines.append(f"| {name} | {group} | {cell.n} | {_percent(cell.found, cell.n)} |")
    return "\n".join([*lines, ""])


def _rows(table: Table, names: Sequence[str], groups: Sequence[str], count: int) -> list[str]:
    lines = [f"| variant | {' | '.join(groups)} | overreach |", "|---" * (len(groups) + 2) + "|"]
    for name in names:
        cells = [table.get((name, group)) for group in groups]
        measured = [cell for cell in cells if cell is not None]
        if not measured:
            continue
        shown = " | ".join("" if cell is None else _cell(cell, count) for cell in cells)
        beyond = _percent(sum(c.overreach for c in measured), sum(c.n for c in measured))
        lines.append(f"| {name} | {shown} | {beyond} |")
    return lines


def _cell(cell: Cell, count: int) -> str:
    return _percent(cell.found, cell.n) + (f" ({cell.n})" if cell.n != count else "")


def _percent(part: int, whole: int) -> str:
    """Rounded down to a tenth, so that 100 means all of them."""
    tenths = 1000 * part // whole if whole else 0
    return f"{tenths // 10}.{tenths % 10}" if tenths < 1000 else "100"


def claimed_rows(markdown: str) -> list[str]:
    """The rows of the claimed tables."""
    claimed = markdown.partition("## Reported")[0]
    return [line for line in claimed.splitlines() if line.startswith("| ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="identifiers a cell")
    parser.add_argument("--write", action="store_true", help="also write docs/recall.md")
    parser.add_argument("--missed", action="store_true", help="show what claimed cells missed")
    arguments = parser.parse_args()
    start = time.perf_counter()
    table = measure(arguments.count)
    markdown = document(table)
    print(markdown)
    for (name, group), cell in table.items():
        if arguments.missed and VARIANTS[name].claimed and cell.recall < CLAIM:
            print(f"{name} x {group}: {cell.found} of {cell.n}, for example")
            print(*(f"    {sentence}" for sentence in cell.missed), sep="\n")
    texts = sum(cell.n for cell in table.values())
    print(f"{texts:,} sentences in {time.perf_counter() - start:.0f} s")
    if arguments.write:
        DOCUMENT.write_text(markdown, encoding="utf-8")


if __name__ == "__main__":
    main()
