"""Bar charts as inline SVG: no script, no network, text that stays readable at any width.

There is no ``viewBox``: lengths along the page are percentages, heights and text are pixels, so
that a narrow screen shortens the bars and not the letters. Colours are classes of the page's style
sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from pipeline.reconstruct.report.numbers import counted, percent, whole
from pipeline.reconstruct.report.prose import signal_name
from pipeline.reconstruct.report.tables import language_name
from pipeline.reconstruct.report.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.reconstruct.report.model import Flow, Summary

BARS = 12
_ROW = 42
_BAR = 9
_LINE = 50
"""Characters that fit on a line of a screen of 400 pixels, a label and its number together."""
_LEAST = 0.5
"""Per cent of the width that something is drawn with, however little it is."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what went, and what stayed (0 where only what went is drawn)."""

    label: str
    dropped: int
    kept: int
    note: str


def overall(flow: Flow) -> str:
    """One bar for the whole corpus."""
    gone, total = flow.dropped.documents, flow.total.documents
    bar = Bar("All documents", gone, flow.kept.documents, _of(gone, total))
    return _svg("overall", "Documents that stayed and that went", [bar])


def languages(summary: Summary) -> str:
    """Kept and dropped documents of the largest languages."""
    bars = [
        Bar(
            language_name(row),
            row.flow.dropped.documents,
            row.flow.kept.documents,
            _of(row.flow.dropped.documents, row.flow.total.documents),
        )
        for row in summary.languages[:BARS]
    ]
    return _svg("languages", "Documents by language, that stayed and that went", bars)


def signals(summary: Summary) -> str:
    """Dropped documents by explaining signal."""
    total = summary.flow.total.documents
    losses = [(signal_name(s.signal), s.dropped.documents) for s in summary.signals]
    return _losses("signals", "Documents that went, by signal", losses, total)


def agents(summary: Summary) -> str:
    """Dropped documents by disallowed agent."""
    total = summary.flow.total.documents
    losses = [(a.agent, a.documents) for a in summary.agents if a.documents]
    return _losses("agents", "Documents that went, by disallowed agent", losses[:BARS], total)


def hosts(summary: Summary) -> str:
    """Kept and dropped documents of the hosts that lost most."""
    bars = [Bar(h.host, h.dropped, h.kept, _of(h.dropped, h.documents)) for h in summary.hosts.top]
    return _svg("hosts", "Documents by host, that stayed and that went", bars[:BARS])


def _losses(name: str, title: str, losses: Sequence[tuple[str, int]], total: int) -> str:
    ordered = sorted(losses, key=lambda loss: -loss[1])
    bars = [Bar(label, n, 0, f"{whole(n)} ({percent(n, total)})") for label, n in ordered if n]
    return _svg(name, title, bars)


def _of(part: int, total: int) -> str:
    return f"{whole(part)} of {whole(total)} ({percent(part, total)})"


def _svg(name: str, title: str, bars: Sequence[Bar]) -> str:
    """The chart, or nothing where there is nothing to draw.

    What went starts at the left edge of every row, so that it can be compared from row to row.
    """
    longest = max((bar.dropped + bar.kept for bar in bars), default=0)
    if longest == 0:
        return ""
    told = "; ".join(f"{shown(bar.label)}: {bar.note}" for bar in bars)
    rows = "".join(_row(bar, number * _ROW, longest) for number, bar in enumerate(bars))
    return (
        f'<svg class="chart" role="img" aria-labelledby="{name}-title {name}-desc" width="100%" '
        f'height="{len(bars) * _ROW}" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{counted(len(bars), "bar")}. {escape(told)}.</desc>{rows}</svg>'
    )


def _row(bar: Bar, top: int, longest: int) -> str:
    gone, stayed = _widths(bar, longest)
    y = top + 21
    parts = [
        f'<text class="label" x="0" y="{top + 15}">{escape(_label(bar))}</text>',
        f'<text class="note" x="100%" y="{top + 15}" text-anchor="end">{escape(bar.note)}</text>',
    ]
    rects = (("ground", 0.0, 100.0), ("kept", gone, stayed), ("gone", 0.0, gone))
    parts += [
        f'<rect class="{kind}" x="{x:.2f}%" y="{y}" width="{width:.2f}%" height="{_BAR}"/>'
        for kind, x, width in rects
        if width
    ]
    return "".join(parts)


def _label(bar: Bar) -> str:
    return shown(bar.label, max(12, _LINE - len(bar.note)))


def _widths(bar: Bar, longest: int) -> tuple[float, float]:
    """Per cent of the width for what went and what stayed; what is not nothing can be seen."""
    documents = bar.dropped + bar.kept
    if documents == 0:
        return 0.0, 0.0
    total = max(100 * documents / longest, 2 * _LEAST)
    if not bar.dropped or not bar.kept:
        return (total, 0.0) if bar.dropped else (0.0, total)
    gone = min(max(total * bar.dropped / documents, _LEAST), total - _LEAST)
    return gone, total - gone
