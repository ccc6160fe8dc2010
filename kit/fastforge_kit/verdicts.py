"""Verdicts on figures: met or missed, and inconclusive if the noise allows neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

MET, MISSED, INCONCLUSIVE = "met", "missed", "inconclusive"
# The confidence level of the interval around a median. Four rounds or fewer never reach it.
CONFIDENCE = 0.93


@dataclass(frozen=True)
class Bound:
    """A bound for a figure: an `AtMost` or an `AtLeast`."""

    value: float

    def is_kept(self, figure: float) -> bool:
        """Return whether the figure is within the bound."""
        raise NotImplementedError

    def verdict(self, low: float, high: float) -> str:
        """Return "met" or "missed" if the whole interval is on that side of the bound, else "inconclusive"."""
        if self.is_kept(low) != self.is_kept(high):
            return INCONCLUSIVE
        return MET if self.is_kept(low) else MISSED


class AtMost(Bound):
    """An upper bound."""

    def is_kept(self, figure: float) -> bool:
        """Return whether the figure is not higher."""
        return figure <= self.value

    def __str__(self) -> str:
        return f"≤ {self.value:,g}"


class AtLeast(Bound):
    """A lower bound."""

    def is_kept(self, figure: float) -> bool:
        """Return whether the figure is not lower."""
        return figure >= self.value

    def __str__(self) -> str:
        return f"≥ {self.value:,g}"


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the smallest interval of these values that contains the true median with `CONFIDENCE`.

    It assumes nothing about the noise: each value is as likely above the true median as below it. None if even the
    interval of all values does not reach the confidence.
    """
    ordered = sorted(values)
    for left_out in reversed(range(len(ordered) // 2)):
        outside = sum(comb(len(ordered), each) for each in range(left_out + 1)) / 2 ** (len(ordered) - 1)
        if 1 - outside >= CONFIDENCE:
            return ordered[left_out], ordered[-1 - left_out]
    return None
