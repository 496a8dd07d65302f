"""Requests by month and outcome: groups of states, suppressed cells, the bars of the plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from filter_service.model import State
from filter_service.notes import FEW
from filter_service.pages.texts import Texts

GROUPS: Mapping[str, frozenset[State]] = {
    "open": frozenset({State.UNVERIFIED, State.IN_REVIEW, State.APPEALED, State.OBJECTED}),
    "accepted": frozenset({State.ACCEPTED, State.PUBLISHED, State.REMOVAL_DUE, State.REMOVED}),
    "rejected": frozenset({State.REJECTED}),
    "ended": frozenset({State.WITHDRAWN, State.EXPIRED}),
}
MONTHS = 24
WIDTH, HEIGHT = 640, 240
_LEFT, _BOTTOM, _TOP = 46, 24, 10


@dataclass(frozen=True)
class Cell:
    """A sum of counts of which some are not told."""

    told: int = 0
    hidden: int = 0
    """How many counts are suppressed: each is 1 to 9."""

    def plus(self, count: int | None) -> Cell:
        """With one more count."""
        if count is None:
            return Cell(self.told, self.hidden + 1)
        return Cell(self.told + count, self.hidden)

    def text(self, t: Texts) -> str:
        """As it is shown."""
        if not self.hidden:
            return t.number(self.told)
        if self.hidden == 1 and not self.told:
            return t("figures.under")
        least, most = self.told + self.hidden, self.told + self.hidden * (FEW - 1)
        return f"{t.number(least)} – {t.number(most)}"

    @property
    def height(self) -> float:
        """Of its bar: a hidden count is drawn as half of what it may be."""
        return self.told + self.hidden * FEW / 2


class Month(NamedTuple):
    """What became of the requests of one month."""

    name: str
    cells: dict[str, Cell]

    @property
    def height(self) -> float:
        """Of all its bars."""
        return sum(cell.height for cell in self.cells.values())


class Bar(NamedTuple):
    """A rectangle of the plot."""

    x: float
    y: float
    width: float
    height: float
    group: str
    hidden: bool


class Plot(NamedTuple):
    """What is to be drawn, in units of a view box of `WIDTH` and `HEIGHT`."""

    bars: list[Bar]
    labels: list[tuple[float, str]]
    """Where each month's name stands."""
    ticks: list[tuple[float, int]]
    """Heights of the lines behind the bars, and what they stand for."""


def months(figures: Mapping[str, Any]) -> list[Month]:
    """The last two years, oldest first, from what `filter_service.figures.figures` gives."""
    found = []
    for name, counts in sorted(figures["months"].items())[-MONTHS:]:
        cells = {group: Cell() for group in GROUPS}
        for key, count in counts.items():
            state = State(key.rpartition(".")[2])
            group = next(name for name, states in GROUPS.items() if state in states)
            cells[group] = cells[group].plus(count)
        found.append(Month(name, cells))
    return found


def plot(found: list[Month]) -> Plot:
    """Bars for some months."""
    most = max((month.height for month in found), default=0) or 1
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if most <= 5 * s * 10**e)
    top = step * -(-int(most + 0.999) // step)
    scale = (HEIGHT - _BOTTOM - _TOP) / top
    floor = HEIGHT - _BOTTOM
    slot = (WIDTH - _LEFT) / max(len(found), 6)
    width = round(min(slot * 0.62, 48), 1)
    bars, labels = [], []
    every = -(-len(found) // 8)
    for number, month in enumerate(found):
        middle = _LEFT + slot * (number + 0.5)
        if number % every == 0:
            labels.append((round(middle, 1), month.name))
        y = float(floor)
        for group, cell in month.cells.items():
            for count, hidden in ((cell.told, False), (cell.hidden * FEW / 2, True)):
                height = count * scale
                y -= height
                if height:
                    x = round(middle - width / 2, 1)
                    bars.append(Bar(x, round(y, 1), width, round(height, 1), group, hidden))
    ticks = [(round(floor - value * scale, 1), value) for value in range(0, top + 1, step)]
    return Plot(bars, labels, ticks)
