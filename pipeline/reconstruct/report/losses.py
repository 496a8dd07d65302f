"""Losses by language and signal: what each language had, has, and lost by whose word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.reconstruct.report.model import Count, Flow, LanguageFlow, is_filter
from pipeline.reconstruct.report.numbers import NOTHING, percent, whole
from pipeline.reconstruct.report.summary import by_precedence
from pipeline.reconstruct.report.tables import LANGUAGES, Column, Table, language_name

FILTERS = "stages and filters"
"""The column for whatever dropped documents and is no opt-out."""
UNEXPLAINED = "(no reason)"


def documents(languages: Sequence[LanguageFlow]) -> Table:
    """Documents of each language before and after, and how many of them each signal explains."""
    return _table(
        "Documents by language: before, after, and lost by the signal that explains it",
        languages,
        lambda count: count.documents,
        "A document counts once, under the first signal that refuses it. The language is the one "
        "that the corpus states.",
    )


def tokens(languages: Sequence[LanguageFlow]) -> Table | None:
    """The same in tokens; ``None`` where no document states a number."""
    if all(row.flow.total.tokens is None for row in languages):
        return None
    return _table(
        "Tokens by language: before, after, and lost by the signal that explains it",
        languages,
        lambda count: count.tokens,
        "Tokens as the corpus states them, before personal data was replaced.",
    )


def tables(languages: Sequence[LanguageFlow]) -> list[Table]:
    """Both tables, or what there is of them; nothing where there are no documents."""
    if not languages:
        return []
    return [table for table in (documents(languages), tokens(languages)) if table is not None]


def _table(
    caption: str, languages: Sequence[LanguageFlow], of: Callable[[Count], int | None], note: str
) -> Table:
    columns = _columns(languages)
    shown, rest = languages[:LANGUAGES], languages[LANGUAGES:]
    rows = [_row(language_name(language), [language], columns, of) for language in shown]
    if rest:
        rows.append(_row(f"({len(rest)} more)", rest, columns, of))
    rows.append(_row("All", languages, columns, of))
    head = ("Before", "After", "Lost", "Share lost")
    return Table(
        caption,
        (("Language", Column.CODE), *((name, Column.NUMBER) for name in (*head, *columns))),
        tuple(rows),
        note,
    )


def _columns(languages: Sequence[LanguageFlow]) -> dict[str, set[str | None]]:
    """Names of the columns in their order, with the ledger's signals that each of them counts."""
    met = {held.signal for language in languages for held in language.signals}
    columns: dict[str, set[str | None]] = {}
    for signal in sorted(met, key=by_precedence):
        name = UNEXPLAINED if signal is None else FILTERS if is_filter(signal) else signal
        columns.setdefault(name, set()).add(signal)
    return columns


def _row(
    name: str,
    languages: Sequence[LanguageFlow],
    columns: dict[str, set[str | None]],
    of: Callable[[Count], int | None],
) -> tuple[str, ...]:
    flows = [language.flow for language in languages]
    before, after, lost = (
        _sum([_known(of, getattr(flow, part), flow) for flow in flows])
        for part in ("total", "kept", "dropped")
    )
    share = NOTHING if before is None or lost is None else percent(lost, before)
    by_signal = []
    for signals in columns.values():
        held = [c.dropped for row in languages for c in row.signals if c.signal in signals]
        by_signal.append(_sum([of(count) for count in held]) if held else 0)
    return (name, *map(whole, (before, after, lost)), share, *map(whole, by_signal))


def _known(of: Callable[[Count], int | None], count: Count, flow: Flow) -> int | None:
    """The number; where no document went, none of its tokens did."""
    if count.documents == 0 and of(flow.total) is not None:
        return 0
    return of(count)


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
