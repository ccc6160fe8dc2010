"""The targets of every endpoint, which the project sets, and the verdicts on its measurements."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import WorkloadMeasurement
from fastforge_kit.project import PROJECT, REQUESTS, TARGETS, read_toml
from fastforge_kit.verdicts import INCONCLUSIVE, MISSED, AtLeast, AtMost, Bound

# The targets of a project without the file.
DEFAULTS: dict[str, float] = {"p50_ms": 50, "p99_ms": 200, "rows_per_second": 1_000, "error_percent": 0.1}
NAMES = {
    "p50_ms": "p50 {} ms",
    "p99_ms": "p99 {} ms",
    # An export or a batch is judged by its rows.
    "rows_per_second": "{}/s",
    "error_percent": "errors {}%",
}


class Target(NamedTuple):
    """A figure of a `Sample`, and its bound."""

    name: str
    figure: str
    bound: Bound


@cache
def targets() -> tuple[Target, ...]:
    """Return the project's targets.

    Raises:
        CannotMeasure: Their file cannot be read, or names a figure that is not measured.
    """
    return read_targets(PROJECT / TARGETS)


def errors_target() -> Target:
    """Return the target for errors. Raises `CannotMeasure` as `targets` does."""
    return next(target for target in targets() if target.figure == "error_percent")


def read_targets(file: Path) -> tuple[Target, ...]:
    """Return the targets of a file, and the defaults for others. Raises `CannotMeasure`."""
    chosen = {name: value for name, value in read_toml(file).items() if name != REQUESTS}
    for name, value in chosen.items():
        if name not in DEFAULTS:
            raise CannotMeasure(
                f"{TARGETS}: {name!r} is not measured.", f"Choose from: {', '.join(DEFAULTS)}."
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise CannotMeasure(f"{TARGETS}: {name} is {value!r}.", "Give a number, 0 or more.")
    return tuple(_target(name, value) for name, value in (DEFAULTS | chosen).items())


def _target(name: str, value: float) -> Target:
    bound = AtLeast(value) if name == "rows_per_second" else AtMost(value)
    return Target(NAMES[name].format(bound), name, bound)


def verdict(target: Target, measurement: WorkloadMeasurement) -> str:
    """Return "met" or "missed", or "inconclusive" if the rounds disagree or something else may be the cause."""
    figures = [getattr(sample, target.figure) for sample in measurement.samples]
    found = target.bound.verdict(min(figures), max(figures))
    # The generator and other programs make figures worse, never better.
    is_excused = measurement.is_limited_by_generator or measurement.is_disturbed
    return INCONCLUSIVE if found == MISSED and is_excused else found
