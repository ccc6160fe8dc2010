"""Rows of the report: a figure, its goal, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median, quantiles
from typing import Any

from fastforge_kit.verdicts import INCONCLUSIVE, AtLeast, AtMost, Bound

# Above it, the load generator rather than the server may be what was measured.
GENERATOR_BUSY_LIMIT = 0.9


@dataclass(frozen=True)
class Row:
    """The median of the rounds of a scenario, their middle half, and the verdict on its goal."""

    title: str
    compared_with: str
    # None if the figure is there only for comparison.
    bound: Bound | None
    measured: float
    low: float
    high: float
    verdict: str
    # Empty for a ratio.
    unit: str = ""
    # Figures behind it by their names, such as `cpu_us` and `baseline_cpu_us`.
    details: Mapping[str, float] = field(default_factory=dict)
    # The reason if it is inconclusive for another reason than the noise.
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {**asdict(self), "bound": None if self.bound is None else str(self.bound)}


def row_of(
    title: str,
    compared_with: str,
    bound: Bound | None,
    figures: Sequence[float],
    unit: str = "",
    details: Mapping[str, float] | None = None,
) -> Row:
    """Return the row of a figure of several rounds."""
    low, middle, high = quantiles(figures, n=4) if len(figures) > 1 else [median(figures)] * 3
    verdict = "" if bound is None else bound.verdict(low, high)
    figures = [round(each, 3) for each in (middle, low, high)]
    return Row(title, compared_with, bound, figures[0], figures[1], figures[2], verdict, unit, details or {})


def inconclusive(row: Row, reason: str) -> Row:
    """Return the row without a verdict, for another reason than the noise."""
    return replace(row, verdict=INCONCLUSIVE if row.bound else "", reason=reason)


def row_from(data: Mapping[str, Any]) -> Row:
    """Return the row that `Row.as_data` described."""
    known = {name: data[name] for name in Row.__dataclass_fields__}
    return Row(**{**known, "bound": _bound_from(data["bound"])})


def _bound_from(text: str | None) -> Bound | None:
    if text is None:
        return None
    sign, value = text.split()
    return (AtMost if sign == "≤" else AtLeast)(float(value.replace(",", "")))
