"""The targets of every endpoint, which the project sets, and whether a measurement meets them despite its noise."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import Measurement, Sample
from fastforge_kit.project import PROJECT, REQUESTS, TARGETS, read_toml

# What a project without the file keeps to.
USUAL: dict[str, float] = {"p50_ms": 50, "p99_ms": 200, "items_per_second": 1_000, "error_percent": 0.1}
NAMES = {
    "p50_ms": "p50 < {:g} ms",
    "p99_ms": "p99 < {:g} ms",
    # An export or a batch is judged by its items.
    "items_per_second": "> {:,g}/s",
    "error_percent": "errors < {:g}%",
}


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


@cache
def targets() -> tuple[Target, ...]:
    """Return the project's targets.

    Raises:
        CannotMeasure: Its file cannot be read, or names a figure that is not measured.
    """
    return read_targets(PROJECT / TARGETS)


def errors_target() -> Target:
    """Return the target for errors. Raises `CannotMeasure` as `targets` does."""
    return next(target for target in targets() if target.figure == "error_percent")


def read_targets(file: Path) -> tuple[Target, ...]:
    """Return the targets of a file, completed by the usual ones. Raises `CannotMeasure`."""
    chosen = {name: bound for name, bound in read_toml(file).items() if name != REQUESTS}
    for name, bound in chosen.items():
        if name not in USUAL:
            raise CannotMeasure(f"{TARGETS}: {name!r} is not measured.", f"Choose from: {', '.join(USUAL)}.")
        if isinstance(bound, bool) or not isinstance(bound, int | float) or bound < 0:
            raise CannotMeasure(f"{TARGETS}: {name} is {bound!r}.", "Give a number, 0 or more.")
    return tuple(
        Target(NAMES[name].format(bound), name, bound, is_upper_bound=name != "items_per_second")
        for name, bound in (USUAL | chosen).items()
    )


def verdict(target: Target, measurement: Measurement) -> str:
    """Return "pass" or "fail", or "undecided" if the rounds disagree or something else may be at fault."""
    met = {target.is_met(sample) for sample in measurement.samples}
    if met == {True}:
        return "pass"
    # What the generator and other programs add makes figures worse, never better.
    is_at_fault = measurement.is_limited_by_generator or measurement.is_disturbed
    return "undecided" if True in met or is_at_fault else "fail"
