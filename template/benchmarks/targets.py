"""What is expected of every endpoint, and whether it keeps to it as far as the noise lets one say."""

from typing import NamedTuple

from benchmarks.measurement import Measurement, Sample


class Target(NamedTuple):
    """A figure of a `Sample`, and the bound that it stays below, or else above."""

    name: str
    figure: str
    bound: float
    is_upper_bound: bool = True

    def is_met(self, sample: Sample) -> bool:
        """Return whether the sample keeps to the bound."""
        value: float = getattr(sample, self.figure)
        return value < self.bound if self.is_upper_bound else value > self.bound


ERRORS = Target("errors < 0.1 %", "error_percent", 0.1)
TARGETS = (
    Target("p50 < 50 ms", "p50_ms", 50),
    Target("p99 < 200 ms", "p99_ms", 200),
    # An export or a batch is judged by its items.
    Target("> 1,000/s", "items_per_second", 1_000, is_upper_bound=False),
    ERRORS,
)


def verdict(target: Target, measurement: Measurement) -> str:
    """Return "pass" or "fail", or "undecided" if the rounds disagree or something else may be at fault."""
    met = {target.is_met(sample) for sample in measurement.samples}
    if met == {True}:
        return "pass"
    # What the generator and other programs add makes figures worse, never better.
    is_at_fault = measurement.is_limited_by_generator or measurement.is_disturbed
    return "undecided" if True in met or is_at_fault else "fail"
