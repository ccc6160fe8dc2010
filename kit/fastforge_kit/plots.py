"""Horizontal plots as SVG, with a row for each thing compared; the page around them sets the colours."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple, Protocol

WIDTH, LABELS, RIGHT, ROW, TOP, BOTTOM = 760, 215, 75, 26, 30, 26


class Row(NamedTuple):
    """A line from `low` to `high`, with a dot if one figure is the result; `tone` is its colour's class."""

    label: str
    low: float
    high: float
    dot: float | None
    text: str
    tone: str


class Scale(Protocol):
    """A mapping of values to positions on the plot, from 0 to 1, and the values that are written below it."""

    def at(self, value: float) -> float: ...

    def ticks(self) -> Sequence[float]: ...


class LogScale:
    """A logarithmic scale from one power of ten to another, which include all values."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self._first = math.floor(math.log10(min(positive)))
        self._last = max(self._first + 1, math.ceil(math.log10(max(positive))))

    def at(self, value: float) -> float:
        """Return the position of the value; values that are not positive are at the left end."""
        if value <= 0:
            return 0.0
        return max(0.0, (math.log10(value) - self._first) / (self._last - self._first))

    def ticks(self) -> list[float]:
        """Return the powers of ten."""
        return [10.0**power for power in range(self._first, self._last + 1)]


class LinearScale:
    """A linear scale of round steps, which include all values and zero."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(0.0, *values, 0.0), max(0.0, *values, 1.0)
        step = 10.0 ** math.floor(math.log10(high - low))
        self._step = next(each for each in (step / 5, step / 2, step, 2 * step) if (high - low) / each <= 8)
        self._first, self._last = math.floor(low / self._step), math.ceil(high / self._step)

    def at(self, value: float) -> float:
        """Return the position of the value."""
        return (value / self._step - self._first) / (self._last - self._first)

    def ticks(self) -> list[float]:
        """Return the steps."""
        return [step * self._step for step in range(self._first, self._last + 1)]


def plot(title: str, rows: Sequence[Row], scale: Scale, marks: Sequence[tuple[str, float]] = ()) -> str:
    """Return the plot; `marks` are bounds with their names, drawn across all rows."""
    height = TOP + ROW * len(rows) + BOTTOM
    return "\n".join(
        [
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
            *(_tick(value, scale, height) for value in scale.ticks()),
            *(_mark(name, value, scale, height) for name, value in marks),
            *(_row(row, number, scale) for number, row in enumerate(rows)),
            "</svg>",
        ]
    )


def _x(value: float, scale: Scale) -> float:
    return round(LABELS + scale.at(value) * (WIDTH - LABELS - RIGHT), 1)


def _tick(value: float, scale: Scale, height: int) -> str:
    x = _x(value, scale)
    return (
        f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        f'<text class="tick" x="{x}" y="{height - 8}">{value:,g}</text>'
    )


def _mark(name: str, value: float, scale: Scale, height: int) -> str:
    x = _x(value, scale)
    return (
        f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - BOTTOM}"/>'
        f'<text class="tick" x="{x}" y="{TOP - 14}">{escape(name)}</text>'
    )


def _row(row: Row, number: int, scale: Scale) -> str:
    y = TOP + ROW * number + ROW // 2
    low, high = _x(row.low, scale), _x(row.high, scale)
    dot = "" if row.dot is None else f'<circle cx="{_x(row.dot, scale)}" cy="{y}" r="5"/>'
    return (
        f'<g class="{row.tone}"><text class="label" x="{LABELS - 10}" y="{y + 4}">{escape(row.label)}</text>'
        f'<line class="range" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>{dot}'
        f'<text class="value" x="{WIDTH}" y="{y + 4}">{escape(row.text)}</text></g>'
    )
