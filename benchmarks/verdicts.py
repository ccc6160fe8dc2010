"""Whether a figure keeps to its goal, as far as the noise lets one say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median, quantiles
from typing import Any

UNDECIDED = "undecided"
# Beyond, the load generator rather than the server may be what was measured.
GENERATOR_BUSY_LIMIT = 0.9


def verdict(bound: float, low: float, high: float) -> str:
    """Return "met", "missed", or "undecided" where the bound lies in the middle half of the rounds."""
    if low <= bound <= high:
        return UNDECIDED
    return "met" if high < bound else "missed"


@dataclass(frozen=True)
class Bound:
    """What a figure should be at most, or else at least."""

    value: float
    is_upper: bool = True

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {self.value:g}"

    def verdict(self, low: float, high: float) -> str:
        """Return "met", "missed" or "undecided" for the middle half of the rounds."""
        if self.is_upper:
            return verdict(self.value, low, high)
        return verdict(-self.value, -high, -low)


@dataclass(frozen=True)
class Row:
    """One figure with its goal: the median of the rounds, their middle half, and what that says."""

    title: str
    # None where a figure is only there to compare with.
    bound: Bound | None
    measured: float
    low: float
    high: float
    verdict: str
    # Empty for a ratio.
    unit: str = ""
    # Figures behind it by their names, such as `cpu_us` and `limit_cpu_us`.
    details: Mapping[str, float] = field(default_factory=dict)
    # Why it is undecided, where that is not the noise.
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        data = asdict(self)
        data["goal"] = str(self.bound or "")
        return data


def row_of(
    title: str,
    bound: Bound | None,
    figures: Sequence[float],
    unit: str = "",
    details: Mapping[str, float] | None = None,
) -> Row:
    """Return the row of a figure that several rounds showed."""
    low, middle, high = quantiles(figures, n=4) if len(figures) > 1 else [median(figures)] * 3
    said = "" if bound is None else bound.verdict(low, high)
    return Row(title, bound, round(middle, 3), round(low, 3), round(high, 3), said, unit, details or {})


def undecided(row: Row, reason: str) -> Row:
    """Return the row without its verdict, because of something other than the noise."""
    return replace(row, verdict=UNDECIDED if row.bound else "", reason=reason)


def row_from(data: Mapping[str, Any]) -> Row:
    """Return the row that `Row.as_data` described."""
    known = {name: data[name] for name in Row.__dataclass_fields__}
    bound = data["bound"]
    return Row(**{**known, "bound": None if bound is None else Bound(**bound)})
